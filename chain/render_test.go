package chain_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
)

// testKey is made for tests from a fixed seed and holds nothing anywhere.
var testKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("chain test key")))

func payer() common.Address { return crypto.PubkeyToAddress(testKey.PublicKey) }

func wei(n uint64) uint256.Int { return *uint256.NewInt(n) }

func fees(offer, tip, feeCap uint64) chain.Fees {
	return chain.Fees{Offer: wei(offer), Tip: wei(tip), FeeCap: wei(feeCap)}
}

func nativeLane() chain.Lane {
	return chain.Lane{
		Network: "devnet", ChainID: 61_000, Deposit: common.HexToAddress("0xdede"),
		BenefitContract: common.HexToAddress("0xbebe"), Finality: chain.Finality{Depth: 2}, Way: chain.WaySingle,
	}
}

func tokenLane() chain.Lane {
	l := nativeLane()
	l.Token = common.HexToAddress("0x70ce")
	return l
}

func nativePayment() chain.Payment {
	return chain.Transfer(nativeLane(), payer(), 7, common.HexToAddress("0x1234"), wei(5_000_000), 21_000, fees(3000, 1000, 9000))
}

// Golden bytes: changing them is a protocol version.
func TestRenderedBytesAreGolden(t *testing.T) {
	native, err := chain.Render(nativePayment(), 0)
	require.NoError(t, err)
	require.Equal(t, "02e882ee48078203e8820bb8825208940000000000000000000000000000000000001234834c4b4080c0", hex.EncodeToString(native.Payload))
	require.Equal(t, crypto.Keccak256Hash(native.Payload), native.Digest)

	p := chain.Transfer(tokenLane(), payer(), 0, common.HexToAddress("0x1234"), wei(258), 65_000, fees(3000, 1000, 9000))
	token, err := chain.Render(p, 1)
	require.NoError(t, err)
	require.Equal(t, "02f86a82ee4880820465820d2f82fde89400000000000000000000000000000000000070ce80b844"+
		"a9059cbb"+"0000000000000000000000000000000000000000000000000000000000001234"+
		"0000000000000000000000000000000000000000000000000000000000000102c0", hex.EncodeToString(token.Payload))
}

// anyPayment draws payments that are valid.
func anyPayment(t *rapid.T) chain.Payment {
	tip := rapid.Uint64Range(1, 1<<40).Draw(t, "tip")
	offer := rapid.Uint64Range(tip, 1<<42).Draw(t, "offer")
	feeCap := rapid.Uint64Range(offer, 1<<50).Draw(t, "cap")
	to := common.BytesToAddress(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "to"))
	to[0] |= 1
	return chain.Payment{
		ChainID: rapid.Uint64Range(1, 1<<60).Draw(t, "chain"), Nonce: rapid.Uint64().Draw(t, "nonce"), Payer: payer(), To: to,
		Value: *new(uint256.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "value")),
		Data:  rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data"),
		Gas:   rapid.Uint64Range(chain.MinGas, chain.MaxGas).Draw(t, "gas"),
		Fees:  fees(offer, tip, feeCap),
	}
}

func TestStepsChangeThePricesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPayment(t)
		k := rapid.UintRange(0, p.Bumps()).Draw(t, "k")
		first, last := signed(t, p, 0), signed(t, p, k)

		require.False(t, last.FeeCap.Gt(&p.FeeCap), "never above the cap")
		require.False(t, last.FeeCap.Lt(&last.Tip))
		same := last
		same.Tip, same.FeeCap, same.Signature = first.Tip, first.FeeCap, first.Signature
		require.Equal(t, first, same)

		if k > 0 {
			before := signed(t, p, k-1)
			requireReplaces(t, before.FeeCap, last.FeeCap)
			requireReplaces(t, before.Tip, last.Tip)
		}
		_, err := chain.Render(p, p.Bumps()+1)
		require.ErrorIs(t, err, chain.ErrBeyondCap)
	})
}

// requireReplaces is the rule of mempools: at least 10 % more.
func requireReplaces(t *rapid.T, before, now uint256.Int) {
	have, want := new(uint256.Int).Mul(&now, uint256.NewInt(100)), new(uint256.Int).Mul(&before, uint256.NewInt(110))
	require.False(t, have.Lt(want), "%s does not replace %s", now.Dec(), before.Dec())
}

func TestMatchInvertsRender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPayment(t)
		k := rapid.UintRange(0, p.Bumps()).Draw(t, "k")
		r, err := chain.Render(p, k)
		require.NoError(t, err)

		got, ok := chain.Match(r.Payload, p)
		require.True(t, ok)
		require.Equal(t, k, got)

		other := p
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			other.Nonce++
		case 1:
			other.To[5]++
		case 2:
			other.Value.Xor(&other.Value, uint256.NewInt(1))
		case 3:
			other.Data = append(bytes.Clone(p.Data), 0)
		case 4:
			other.ChainID++
		case 5:
			other.Gas ^= 1 << 14
			if other.Validate() != nil {
				other.Gas = p.Gas
				other.Nonce++
			}
		}
		_, ok = chain.Match(r.Payload, other)
		require.False(t, ok)
	})
}

func TestMatchRefusesForeignBytes(t *testing.T) {
	for _, payload := range [][]byte{nil, {}, {0x02}, []byte("whatever")} {
		_, ok := chain.Match(payload, nativePayment())
		require.False(t, ok)
	}
	_, ok := chain.Match(nil, chain.Payment{})
	require.False(t, ok)
}

// signed renders, signs, assembles and decodes again.
func signed(t require.TestingT, p chain.Payment, k uint) chain.Tx {
	r, err := chain.Render(p, k)
	require.NoError(t, err)
	signature, err := crypto.Sign(r.Digest[:], testKey)
	require.NoError(t, err)
	s, err := r.Assemble(signature)
	require.NoError(t, err)
	require.Equal(t, k, s.K)
	require.Equal(t, crypto.Keccak256Hash(s.Raw), s.Hash)

	tx, err := chain.DecodeTx(s.Raw)
	require.NoError(t, err)
	require.Equal(t, s.Raw, tx.Raw())
	require.Equal(t, r.Payload, tx.Payload())
	sender, err := tx.Sender()
	require.NoError(t, err)
	require.Equal(t, p.Payer, sender)
	return tx
}

func TestAssembleTakesThePayersSignatureOnly(t *testing.T) {
	r, err := chain.Render(nativePayment(), 0)
	require.NoError(t, err)
	good, err := crypto.Sign(r.Digest[:], testKey)
	require.NoError(t, err)
	_, err = r.Assemble(good)
	require.NoError(t, err)

	otherKey, err := crypto.GenerateKey()
	require.NoError(t, err)
	foreign, err := crypto.Sign(r.Digest[:], otherKey)
	require.NoError(t, err)
	otherDigest, err := crypto.Sign(crypto.Keccak256([]byte("another")), testKey)
	require.NoError(t, err)
	highS := bytes.Clone(good)
	s := new(uint256.Int).SetBytes(good[32:64])
	order, _ := uint256.FromBig(crypto.S256().Params().N)
	s.Sub(order, s).WriteToSlice(highS[32:64])
	highS[64] ^= 1
	v27 := bytes.Clone(good)
	v27[64] += 27

	for name, signature := range map[string][]byte{
		"nothing": nil, "short": good[:64], "long": append(bytes.Clone(good), 0), "zero": make([]byte, 65),
		"another key": foreign, "another digest": otherDigest, "high s": highS, "v 27": v27,
	} {
		_, err := r.Assemble(signature)
		require.ErrorIs(t, err, chain.ErrSignature, name)
	}
}

func TestPaymentValidate(t *testing.T) {
	require.NoError(t, nativePayment().Validate())
	for name, change := range map[string]func(*chain.Payment){
		"chain id 0":      func(p *chain.Payment) { p.ChainID = 0 },
		"zero address":    func(p *chain.Payment) { p.To = common.Address{} },
		"gas limit":       func(p *chain.Payment) { p.Gas = 20_999 },
		"gas limit of":    func(p *chain.Payment) { p.Gas = chain.MaxGas + 1 },
		"call data":       func(p *chain.Payment) { p.Data = make([]byte, chain.MaxData+1) },
		"tip of 0":        func(p *chain.Payment) { p.Tip.Clear() },
		"below the tip":   func(p *chain.Payment) { p.Tip = wei(3001) },
		"below the offer": func(p *chain.Payment) { p.FeeCap = wei(2999) },
		"above 2^96":      func(p *chain.Payment) { p.FeeCap.SetAllOne() },
	} {
		p := nativePayment()
		change(&p)
		require.ErrorContains(t, p.Validate(), name)
		_, err := chain.Render(p, 0)
		require.Error(t, err, name)
	}
}

func TestBumpsOfExtremes(t *testing.T) {
	p := nativePayment()
	p.Fees = fees(1000, 1000, 1000)
	require.Zero(t, p.Bumps(), "a cap at the offer leaves no step")
	p.Fees = fees(1, 1, 1<<62)
	require.EqualValues(t, chain.MaxBumps, p.Bumps())
	worst := nativePayment().WorstGas()
	require.EqualValues(t, 21_000*9000, worst.Uint64())
}

func FuzzDecodeTx(f *testing.F) {
	r, err := chain.Render(nativePayment(), 0)
	require.NoError(f, err)
	signature, err := crypto.Sign(r.Digest[:], testKey)
	require.NoError(f, err)
	s, err := r.Assemble(signature)
	require.NoError(f, err)
	f.Add(s.Raw)
	f.Add(r.Payload)
	f.Add([]byte{2, 0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := chain.DecodeTx(raw)
		if err != nil {
			require.ErrorIs(t, err, chain.ErrNotOurKind)
			return
		}
		require.Equal(t, raw, tx.Raw(), "one encoding for each transaction")
		_, _ = tx.Sender()
	})
}
