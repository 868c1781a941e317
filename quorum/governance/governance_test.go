package governance_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Keys made for tests from public words; they must never hold anything.
func testKey(word string, i int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(fmt.Sprintf("conclave test key, holds nothing: %s %d", word, i))))
	if err != nil {
		panic(err)
	}
	return key
}

// founding is an unsigned document of n members and their operators' keys, in the members' order.
func founding(t require.TestingT, n int) (quorum.Genesis, []*ecdsa.PrivateKey) {
	policy, err := os.ReadFile("testdata/policy.toml")
	require.NoError(t, err)
	g := quorum.Genesis{
		Version: quorum.GenesisVersion, Name: "testnet", Policy: string(policy),
		FeeAddress: common.HexToAddress("0xfe"), DaoAddress: common.HexToAddress("0xda"),
		Lanes: []quorum.Lane{{
			Network: "devnet", ChainID: 1337, Way: quorum.WaySingle, DepositAddress: common.HexToAddress("0xde"), Finality: 2, MinEndpoints: 1,
		}},
	}
	operators := map[common.Address]*ecdsa.PrivateKey{}
	for i := range n {
		key, operator := testKey("member", i), testKey("operator", i)
		m := quorum.Member{
			Name: fmt.Sprintf("custodian-%d", i), Address: crypto.PubkeyToAddress(key.PublicKey),
			Operator: crypto.PubkeyToAddress(operator.PublicKey), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7000"},
		}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		operators[m.Operator] = operator
		g.Members = append(g.Members, m)
	}
	slices.SortFunc(g.Members, func(a, b quorum.Member) int { return a.Address.Cmp(b.Address) })
	keys := make([]*ecdsa.PrivateKey, n)
	for i, m := range g.Members {
		keys[i] = operators[m.Operator]
	}
	return g, keys
}

func signWith(t require.TestingT, g quorum.Genesis, keys ...*ecdsa.PrivateKey) quorum.Genesis {
	for _, key := range keys {
		sig, err := governance.Sign(key, g)
		require.NoError(t, err)
		g, _, err = governance.AddSignature(g, sig)
		require.NoError(t, err)
	}
	return g
}

func TestGoldenTypedData(t *testing.T) {
	g, keys := founding(t, 4)
	doc, err := governance.TypedDataJSON(g)
	require.NoError(t, err)
	golden.Text(t, "testdata/typed.json", string(doc)+"\n")

	digest, err := governance.Digest(g)
	require.NoError(t, err)
	sig, err := governance.Sign(keys[0], g)
	require.NoError(t, err)
	golden.Fields(t, "testdata/digest.txt",
		golden.Field{Name: "digest", Bytes: digest[:]}, golden.Field{Name: "signature of the first operator", Bytes: sig[:]})
	file, err := governance.MarshalGenesis(signWith(t, g, keys[0]))
	require.NoError(t, err)
	golden.Text(t, "testdata/genesis.json", string(file))
}

// The digest by hand, from the standard's words: what a wallet that never saw our code arrives at.
func TestDigestByHand(t *testing.T) {
	g, _ := founding(t, 4)
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	require.NoError(t, err)
	h := crypto.Keccak256
	word := func(b []byte) []byte { return common.LeftPadBytes(b, 32) }
	number := func(v uint64) []byte { return word(new(big.Int).SetUint64(v).Bytes()) }
	text := func(s string) []byte { return h([]byte(s)) }
	id := g.ID()

	const memberType, laneType = "Member(string name,address node,address operator)",
		"Lane(string network,uint256 chainId,address token,address depositAddress)"
	var members, lanes []byte
	for _, m := range g.Members {
		members = append(members, h(text(memberType), text(m.Name), word(m.Address[:]), word(m.Operator[:]))...)
	}
	for _, l := range g.Lanes {
		lanes = append(lanes, h(text(laneType), text(l.Network), number(l.ChainID), word(l.Token[:]), word(l.DepositAddress[:]))...)
	}
	domain := h(text("EIP712Domain(string name,string version,bytes32 salt)"), text("Conclave"), text("1"), id[:])
	message := h(text("Genesis(string name,Member[] members,uint256 approvalsNeeded,Lane[] lanes,address feeAddress,address daoAddress,"+
		"uint256 policyVersion,bytes32 policyHash,bytes32 networkId)"+laneType+memberType),
		text(g.Name), h(members), number(3), h(lanes), word(g.FeeAddress[:]), word(g.DaoAddress[:]),
		number(policy.Version), policy.Hash[:], id[:])
	want := common.BytesToHash(h([]byte("\x19\x01"), domain, message))

	got, err := governance.Digest(g)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A wallet reads the JSON and signs what it computes from it.
func TestWalletSignsTheSameDigest(t *testing.T) {
	g, keys := founding(t, 4)
	doc, err := governance.TypedDataJSON(g)
	require.NoError(t, err)
	require.NotContains(t, string(doc), "null")
	require.NotContains(t, string(doc), "verifyingContract")

	var typed apitypes.TypedData
	require.NoError(t, json.Unmarshal(doc, &typed))
	hash, _, err := apitypes.TypedDataAndHash(typed)
	require.NoError(t, err)
	sig, err := crypto.Sign(hash, keys[2])
	require.NoError(t, err)

	for _, wallet := range [][]byte{sig, withV(sig, 27), highS(sig), withV(highS(sig), 27)} {
		parsed, err := governance.ParseSignature("0x" + hex.EncodeToString(wallet))
		require.NoError(t, err)
		signed, who, err := governance.AddSignature(g, parsed)
		require.NoError(t, err)
		require.Equal(t, g.Members[2], who)
		require.Equal(t, sig, signed.Signatures[0][:], "one form, however the wallet spelled it")
	}
}

func withV(sig []byte, add byte) []byte {
	out := bytes.Clone(sig)
	out[64] += add
	return out
}

func highS(sig []byte) []byte {
	out := bytes.Clone(sig)
	new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(sig[32:64])).FillBytes(out[32:64])
	out[64] ^= 1
	return out
}

func TestParseSignatureRefuses(t *testing.T) {
	for _, bad := range []string{"", "0x", "0x00", "hello", "0x" + hex.EncodeToString(make([]byte, 66))} {
		_, err := governance.ParseSignature(bad)
		require.ErrorIs(t, err, quorum.ErrSignature, bad)
	}
}

func TestVerifyNeedsQDistinctOperators(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		g, keys := founding(t, n)
		q := quorum.Size(n)
		for signed := range n + 1 {
			v, err := governance.Verify(signWith(t, g, keys[:signed]...))
			if signed >= q {
				require.NoError(t, err)
				require.Equal(t, g.ID(), v.ID())
				require.Len(t, v.Tally().Signed, signed)
				require.False(t, v.Zero())
				continue
			}
			require.ErrorIs(t, err, governance.ErrTooFew)
			var few *governance.TooFew
			require.ErrorAs(t, err, &few)
			require.Equal(t, g.Members[signed:], few.Tally.Missing)
			require.ErrorContains(t, err, g.Members[n-1].Name)
			require.True(t, v.Zero())
		}
	}
}

func TestCountRefuses(t *testing.T) {
	g, keys := founding(t, 4)
	other, _ := founding(t, 4)
	other.Name = "othernet"
	whole := signWith(t, g, keys...)

	twice := whole
	twice.Signatures = []quorum.Signature{whole.Signatures[0], whole.Signatures[1], whole.Signatures[0]}
	_, err := governance.Verify(twice)
	require.ErrorIs(t, err, governance.ErrTwice)

	_, err = governance.Sign(testKey("member", 0), g)
	require.ErrorIs(t, err, governance.ErrNotOperator, "the node's own key is nobody's operator")

	// Signatures of one document under another: other digest, so they are of nobody known.
	moved := other
	moved.Signatures = whole.Signatures
	_, err = governance.Verify(moved)
	require.ErrorIs(t, err, governance.ErrNotOperator)
	// A byte of the policy that no wallet shows.
	edited := whole
	edited.Policy += "\n"
	_, err = governance.Verify(edited)
	require.ErrorIs(t, err, governance.ErrNotOperator)

	malformed := whole
	malformed.Signatures = []quorum.Signature{{1}}
	_, err = governance.Verify(malformed)
	require.ErrorIs(t, err, quorum.ErrSignature)
	_, _, err = governance.AddSignature(malformed, whole.Signatures[0])
	require.ErrorIs(t, err, quorum.ErrSignature)

	broken := g
	broken.Version = 9
	_, err = governance.Digest(broken)
	require.ErrorContains(t, err, "version 9")
	_, err = governance.TypedDataJSON(broken)
	require.ErrorContains(t, err, "version 9")
}

func TestMerge(t *testing.T) {
	g, keys := founding(t, 4)
	rapid.Check(t, func(t *rapid.T) {
		pick := rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 0, 4, rapid.ID[int])
		var copies [2]quorum.Genesis
		union := map[int]bool{}
		for i := range copies {
			copies[i] = g
			for _, k := range pick.Draw(t, "signers") {
				copies[i] = signWith(t, copies[i], keys[k])
				union[k] = true
			}
		}
		ab, err := governance.Merge(copies[0], copies[1])
		require.NoError(t, err)
		ba, err := governance.Merge(copies[1], copies[0])
		require.NoError(t, err)
		require.Equal(t, ab, ba, "one file, whoever merges")
		tally, err := governance.Count(ab)
		require.NoError(t, err)
		require.Len(t, tally.Signed, len(union))
	})
	other, _ := founding(t, 4)
	other.Name = "othernet"
	_, err := governance.Merge(g, other)
	require.ErrorIs(t, err, governance.ErrOtherNetwork)
}

func TestVerifiedGenesisCannotBeChanged(t *testing.T) {
	g, keys := founding(t, 4)
	file, err := governance.MarshalGenesis(signWith(t, g, keys...))
	require.NoError(t, err)
	v, err := governance.ParseVerified(file)
	require.NoError(t, err)

	doc := v.Document()
	doc.Members[0].Name, doc.Members[1].Multiaddrs[0], doc.Lanes[0].ChainID = "mallory", "/evil", 666
	v.Roster().Members[0].Name = "mallory"
	require.Equal(t, g.ID(), v.Document().ID())
	require.Equal(t, "testnet", v.Document().Name)
	require.NotEqual(t, "mallory", v.Roster().Members[0].Name)
	require.Equal(t, uint64(3), v.Policy().Version)

	_, err = governance.ParseVerified([]byte("{}"))
	require.Error(t, err)
}

func FuzzParseSignature(f *testing.F) {
	g, keys := founding(f, 4)
	sig, err := governance.Sign(keys[0], g)
	require.NoError(f, err)
	digest, err := governance.Digest(g)
	require.NoError(f, err)
	f.Add(sig.String())
	f.Add("0x" + hex.EncodeToString(withV(highS(sig[:]), 27)))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := governance.ParseSignature(text)
		if err != nil {
			require.ErrorIs(t, err, quorum.ErrSignature)
			return
		}
		if who, err := parsed.Recover(digest); err == nil && who == g.Members[0].Operator {
			require.Equal(t, sig, parsed)
		}
	})
}
