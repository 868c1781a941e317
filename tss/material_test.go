package tss

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/internal/devnet/devkeys"
)

func newInt(i int) *big.Int { return big.NewInt(int64(i)) }

// nextPrime is the first prime at or after n.
func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).Set(n)
	for p.SetBit(p, 0, 1); !p.ProbablyPrime(0); p.Add(p, big.NewInt(2)) {
	}
	return p
}

func TestEachRuleOfModuli(t *testing.T) {
	s := newSieve()
	good := devPreParams(t, 0).moduli()
	require.NoError(t, s.check(good))

	for name, n := range badModuli(t) {
		require.ErrorIs(t, s.checkModulus("N", n), ErrModuli, name)
		rule, ok := brokenRule(s.checkModulus("N", n))
		require.False(t, ok)
		require.Equal(t, badModuliRules[name], rule, name)
	}
	require.Error(t, s.checkModulus("N", nil))
	for name, change := range map[string]func(*moduli){
		"N equals NTilde": func(m *moduli) { m.NTilde = m.N },
		"h1 is not":       func(m *moduli) { m.H1 = m.NTilde },
		"h1 is not a":     func(m *moduli) { m.H1 = one },
		"h2 is not":       func(m *moduli) { m.H2 = zero },
		"h2 is not a":     func(m *moduli) { m.H2 = new(big.Int).Add(m.NTilde, one) },
		"h1 equals h2":    func(m *moduli) { m.H2 = m.H1 },
	} {
		m := good
		change(&m)
		require.ErrorContains(t, s.check(m), name)
	}
}

func TestClashesAreFound(t *testing.T) {
	a, b := devPreParams(t, 0), devPreParams(t, 1)
	_, _, found := clash([]moduli{a.moduli(), b.moduli()})
	require.False(t, found)
	for name, change := range map[string]func(*moduli){
		"a shared factor": func(m *moduli) { m.N = new(big.Int).Mul(a.p, b.p) },
		"ring of another": func(m *moduli) { m.NTilde = a.moduli().N },
		"h of another":    func(m *moduli) { m.H2 = a.h1 },
		"own factor":      func(m *moduli) { m.NTilde = new(big.Int).Mul(b.p, b.ringP) },
	} {
		m := b.moduli()
		change(&m)
		_, _, found := clash([]moduli{a.moduli(), m})
		require.True(t, found, name)
	}
}

func TestPerfectPowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 3, 30).Draw(t, "base"))
		base.SetBit(base, 21, 1)
		e := rapid.IntRange(2, 7).Draw(t, "exponent")
		n := new(big.Int).Exp(base, newInt(e), nil)
		require.True(t, perfectPower(n))
		root := integerRoot(new(big.Int).Add(n, one), e)
		require.Equal(t, 0, root.Cmp(base))
		require.Equal(t, 0, integerRoot(new(big.Int).Sub(n, one), e).Cmp(new(big.Int).Sub(base, one)))
	})
	require.False(t, perfectPower(new(big.Int).Mul(nextPrime(lsh(100)), nextPrime(lsh(101)))))
}

func TestPreParamsAreChecked(t *testing.T) {
	good := devPreParams(t, 0)
	b, err := good.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, devkeys.Set(0), b)
	require.True(t, good.Development())
	require.Equal(t, good.Fingerprint(), good.Fingerprints()[0])
	require.Equal(t, crypto.Keccak256Hash(good.moduli().N.Bytes()), good.Fingerprint())
	require.False(t, IsDevelopment(common.Hash{}))

	for name, change := range map[string]func(*PreParams){
		"no prime":      func(p *PreParams) { p.p = new(big.Int).Add(p.p, one) },
		"too long":      func(p *PreParams) { p.q = nextPrime(lsh(1024)) },
		"short modulus": func(p *PreParams) { p.q = nextPrime(lsh(512)) },
		"other ring":    func(p *PreParams) { p.ringP = devPreParams(t, 1).ringP },
		"other h2":      func(p *PreParams) { p.h2 = devPreParams(t, 1).h1 },
		"other alpha":   func(p *PreParams) { p.alpha = new(big.Int).Add(p.alpha, one) },
		"other beta":    func(p *PreParams) { p.beta = new(big.Int).Add(p.beta, one) },
	} {
		bad := *good
		change(&bad)
		b, err := bad.MarshalBinary()
		require.NoError(t, err)
		_, err = UnmarshalPreParams(b)
		require.ErrorIs(t, err, ErrPreParams, name)
	}
	future, err := rlp.EncodeToBytes(&storedPreParams{Version: 2})
	require.NoError(t, err)
	for _, b := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), 0), future} {
		_, err := UnmarshalPreParams(b)
		require.ErrorIs(t, err, ErrPreParams)
	}
}

func TestSharesAreCheckedOnEveryLoad(t *testing.T) {
	shares := testShares(t)
	good := shares[0]
	b, err := good.MarshalBinary()
	require.NoError(t, err)

	for name, change := range map[string]func(*storedShare){
		"version":           func(s *storedShare) { s.Version = 2 },
		"not a member":      func(s *storedShare) { s.Self = common.Address{1} },
		"members' order":    func(s *storedShare) { s.Members[0], s.Members[1] = s.Members[1], s.Members[0] },
		"another epoch":     func(s *storedShare) { s.Epoch++ },
		"lower threshold":   func(s *storedShare) { s.Threshold = 2 },
		"endless threshold": func(s *storedShare) { s.Threshold = 1 << 63 },
		"one party less":    func(s *storedShare) { s.Parties = s.Parties[1:] },
		"another key":       func(s *storedShare) { s.Public = s.Parties[1].X },
		"no point":          func(s *storedShare) { s.Parties[2].X = [33]byte{9} },
		"other secret":      func(s *storedShare) { s.Xi = new(big.Int).Add(s.Xi, one) },
		"no secret":         func(s *storedShare) { s.Xi = zero },
		"swapped points":    func(s *storedShare) { s.Parties[1].X, s.Parties[2].X = s.Parties[2].X, s.Parties[1].X },
		"other primes":      func(s *storedShare) { s.P = new(big.Int).Add(s.P, one) },
		"short modulus":     func(s *storedShare) { s.Parties[3].N = new(big.Int).Rsh(s.Parties[3].N, 1024) },
		"even ring":         func(s *storedShare) { s.Parties[2].NTilde = new(big.Int).Sub(s.Parties[2].NTilde, one) },
		"copied moduli":     func(s *storedShare) { s.Parties[2].N = s.Parties[3].N },
	} {
		var s storedShare
		require.NoError(t, rlp.DecodeBytes(b, &s))
		change(&s)
		bad, err := rlp.EncodeToBytes(&s)
		require.NoError(t, err)
		_, err = LoadKeyShare(bad)
		require.Error(t, err, name)
	}
	for _, b := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), 0)} {
		_, err := LoadKeyShare(b)
		require.ErrorIs(t, err, ErrShare)
	}
	for _, s := range shares {
		require.Equal(t, good.Transcript(), s.Transcript())
		require.Equal(t, good.Payer(), s.Payer())
		require.Equal(t, good.ModuliHash(), s.ModuliHash())
		require.Equal(t, good.PublicKey(), s.PublicKey())
		require.EqualValues(t, 1, s.Epoch())
		require.Equal(t, s.Members().Q(), s.Threshold())
	}
}

// No way of printing shows a secret; JSON shows nothing.
func TestSecretsDoNotPrint(t *testing.T) {
	share, pre := testShares(t)[0], devPreParams(t, 0)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		require.Equal(t, "[key share]", fmt.Sprintf(verb, share))
		require.Equal(t, "[key share]", fmt.Sprintf(verb, *share))
		require.Equal(t, "[preparameters]", fmt.Sprintf(verb, pre))
		printed := fmt.Sprintf(verb, struct {
			Key *Key
			Req KeygenRequest
		}{&Key{Share: share}, KeygenRequest{PreParams: pre}})
		for _, secret := range []*big.Int{share.xi, share.p, pre.p, pre.ringQ} {
			for _, text := range []string{secret.String(), secret.Text(16)} {
				require.NotContains(t, printed, text)
			}
		}
	}
	for _, v := range []any{share, *share, pre, *pre} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, "{}", string(b))
	}
	require.Panics(t, func() { _ = any(share).(fmt.Stringer).String() }, "a String method would be one more way out")
}

// Party numbers are the same for everyone, differ between epochs, and are what the golden value says.
func TestPartyNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a common.Address
		copy(a[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "member"))
		epoch := rapid.Uint64().Draw(t, "epoch")
		k := PartyNumber(a, epoch)
		require.True(t, k.Sign() > 0 && k.Cmp(order()) < 0)
		require.NotEqual(t, 0, k.Cmp(PartyNumber(a, epoch+1)))
	})
	require.Equal(t, golden.partyNumber, fmt.Sprintf("%x", PartyNumber(common.Address{1}, 1)))
	same := []common.Address{{1}, {1}}
	_, err := partyOrder(same, 1)
	require.ErrorIs(t, err, errParties)
}
