package governance

import (
	"encoding/json"
	"os"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// network is any network.
var network = crypto.Keccak256Hash([]byte("a network of these tests"))

const signedAt = 1_780_000_600_000

func actions(t *testing.T) map[string]quorum.Action {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave test key, holds nothing")))
	require.NoError(t, err)
	halt, err := quorum.Sign(key, network, quorum.Halt{Epoch: 1, Counter: 3, Scope: quorum.ScopeLane, Target: "devnet", Code: "operator", Reason: "r", Time: 1})
	require.NoError(t, err)
	file, err := os.ReadFile("testdata/policy.toml")
	require.NoError(t, err)
	account := common.HexToAddress("0xac")
	var change []quorum.Member
	for i, name := range []string{"alice", "bob", "carol", "dave", "erin"} {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave test key, holds nothing: " + name)))
		require.NoError(t, err)
		m := quorum.Member{Name: name, Address: crypto.PubkeyToAddress(key.PublicKey), Operator: common.Address{0x0b, byte(i)}, Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"}}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		change = append(change, m)
	}
	out := map[string]quorum.Action{}
	for name, body := range map[string]quorum.ActionBody{
		"resume":  quorum.NewResume(network, []quorum.Signed[quorum.Halt]{halt}, "the Relay was repaired"),
		"policy":  quorum.PolicyChange{File: file},
		"members": quorum.NewMemberChange(change, "erin comes"),
		"readmit": quorum.Readmit{Member: account, Height: 9, Since: 1_780_000_000_000, Counter: 1 << 33, Reason: "its machine was put back"},
		"cancel":  quorum.CancelSlot{Lane: quorum.LaneKey{ChainID: 1337, Payer: account}, Nonce: 5, Batch: common.HexToHash("0x1d"), Reason: "it sits at its cap"},
		"resolve": quorum.Resolve{File: file, Reason: "row 9 was deleted", Uncovered: *uint256.NewInt(400),
			Contents: []quorum.Fate{{Pay: true, Content: quorum.Content{WID: 7, Account: account, Network: "devnet", Amount: *uint256.NewInt(1 << 60), EventID: 5}}},
			Accounts: []quorum.Rewrite{{Account: account, UpTo: 5, Debits: []quorum.Debit{{ID: 5, Kind: 6, Amount: "9"}}}}},
		"resolve-empty-lists": quorum.Resolve{File: file, Reason: "r", Uncovered: *uint256.NewInt(1)},
	} {
		a, err := quorum.NewAction(1, 2, 3, body)
		require.NoError(t, err)
		out[name] = a
	}
	return out
}

// Nodes compute the digest by themselves; a wallet computes it from the JSON with a library that never saw our code.
func TestWalletAndNodeSignTheSameAction(t *testing.T) {
	for name, a := range actions(t) {
		doc, err := ActionTypedDataJSON(network, a, signedAt)
		require.NoError(t, err, name)
		require.NotContains(t, string(doc), "null")
		golden.Text(t, "testdata/action-"+name+".json", string(doc)+"\n")
		var typed apitypes.TypedData
		require.NoError(t, json.Unmarshal(doc, &typed))
		hash, _, err := apitypes.TypedDataAndHash(typed)
		require.NoError(t, err, name)
		want, err := a.Digest(network, signedAt)
		require.NoError(t, err)
		require.Equal(t, want, common.BytesToHash(hash), name)
		other, err := a.Digest(network, signedAt+1)
		require.NoError(t, err)
		require.NotEqual(t, want, other, "the time is signed")
	}
}

func TestNoTypedDataOfWhatDoesNotOpen(t *testing.T) {
	_, err := ActionTypedDataJSON(network, quorum.Action{Kind: quorum.ActionResume, Body: []byte{0xc0}}, 1)
	require.ErrorIs(t, err, quorum.ErrAction)
	_, err = ActionTypedDataJSON(network, quorum.Action{Kind: 9}, 1)
	require.ErrorIs(t, err, quorum.ErrAction)
}
