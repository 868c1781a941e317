package tss

import (
	"math/big"
	"slices"
	"testing"

	libcommon "github.com/bnb-chain/tss-lib/v3/common"
	"github.com/bnb-chain/tss-lib/v3/crypto/modproof"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/signing"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

// publicPrime is the 2048-bit prime of RFC 3526, group 14: finding one takes a second.
const publicPrime = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6d" +
	"f25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8" +
	"a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e46" +
	"2e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"

// badModuli are moduli that no key may hold.
func badModuli(t testing.TB) map[string]*big.Int {
	prime, ok := new(big.Int).SetString(publicPrime, 16)
	require.True(t, ok && prime.ProbablyPrime(0))
	root := devPreParams(t, 0).p
	if q := devPreParams(t, 0).q; q.Cmp(root) > 0 {
		root = q
	}
	cubic := nextPrime(new(big.Int).Rsh(new(big.Int).Mul(lsh(683), newInt(3)), 2)) // 0.75 · 2^683
	cofactor := nextPrime(new(big.Int).Mul(newInt(3), lsh(1002)))
	return map[string]*big.Int{
		"a 1024-bit modulus": new(big.Int).Sub(lsh(1024), one),
		"2047 bits":          new(big.Int).Sub(lsh(2047), one),
		"2049 bits":          new(big.Int).Add(lsh(2048), one),
		"even":               lsh(2047),
		"prime":              prime,
		"a prime squared":    new(big.Int).Mul(root, root),
		"a prime cubed":      new(big.Int).Exp(cubic, newInt(3), nil),
		"a small factor":     new(big.Int).Mul(newInt(1048573), new(big.Int).Mul(devPreParams(t, 0).p, cofactor)), // 2^20 − 3
	}
}

var badModuliRules = map[string]string{
	"a 1024-bit modulus": ruleBits, "2047 bits": ruleBits, "2049 bits": ruleBits, "even": ruleEven, "prime": rulePrime,
	"a prime squared": rulePower, "a prime cubed": rulePower, "a small factor": ruleFactor,
}

// Each unsafe modulus, as a member would bring it to a key and as it would lie in a vault: refused, by the rule's name.
func TestUnsafeModuliAreRefused(t *testing.T) {
	kg, _, from := guards(t)
	payloads, _ := recorded(t, "keygen")
	stored, err := testShares(t)[0].MarshalBinary()
	require.NoError(t, err)

	for name, n := range badModuli(t) {
		rule := badModuliRules[name]
		for field, set := range map[string]func(*keygen.KGRound1Message, []byte){
			"N":      func(m *keygen.KGRound1Message, b []byte) { m.PaillierN = b },
			"NTilde": func(m *keygen.KGRound1Message, b []byte) { m.NTilde = b },
		} {
			payload := mutated(t, payloads[typeKeygen1], func(m *keygen.KGRound1Message) { set(m, num(n)) })
			guardCase{name + " as " + field, rule, payload}.run(t, kg, typeKeygen1, from)
		}
		var s storedShare
		require.NoError(t, rlp.DecodeBytes(stored, &s))
		s.Parties[1].N = n
		bad, err := rlp.EncodeToBytes(&s)
		require.NoError(t, err)
		_, err = LoadKeyShare(bad)
		got, _ := brokenRule(err)
		require.Equal(t, rule, got, "a stored share with %s", name)
		require.ErrorIs(t, err, ErrModuli)
		require.ErrorContains(t, err, s.Members[1].Hex())
	}
}

// The relations between a member's numbers, in a message and in a vault.
func TestUnsafeRingsAreRefused(t *testing.T) {
	kg, _, from := guards(t)
	payloads, _ := recorded(t, "keygen")
	stored, err := testShares(t)[0].MarshalBinary()
	require.NoError(t, err)
	factor := devPreParams(t, 1).safeRing()

	for name, c := range map[string]struct {
		rule   string
		change func(*moduli)
	}{
		"N = NTilde":            {ruleRing, func(m *moduli) { m.NTilde = m.N }},
		"h1 = h2":               {ruleH, func(m *moduli) { m.H1 = m.H2 }},
		"h1 no unit":            {ruleH1, func(m *moduli) { m.H1 = factor }},
		"h2 no unit":            {ruleH2, func(m *moduli) { m.H2 = factor }},
		"h1 is one":             {ruleH1, func(m *moduli) { m.H1 = one }},
		"h2 is one":             {ruleH2, func(m *moduli) { m.H2 = one }},
		"h1 above its ring":     {ruleH1, func(m *moduli) { m.H1 = new(big.Int).Add(m.NTilde, m.H1) }},
		"h2 its ring's modulus": {ruleH2, func(m *moduli) { m.H2 = m.NTilde }},
	} {
		payload := mutated(t, payloads[typeKeygen1], func(m *keygen.KGRound1Message) {
			own := kg.known[from]
			c.change(&own)
			m.PaillierN, m.NTilde, m.H1, m.H2 = num(own.N), num(own.NTilde), num(own.H1), num(own.H2)
		})
		guardCase{name, c.rule, payload}.run(t, kg, typeKeygen1, from)
		if name == "h1 is one" || name == "h2 is one" || name == "h1 above its ring" {
			continue // the same rule was loaded already
		}

		var s storedShare
		require.NoError(t, rlp.DecodeBytes(stored, &s))
		p := &s.Parties[1]
		own := moduli{p.N, p.NTilde, p.H1, p.H2}
		c.change(&own)
		p.N, p.NTilde, p.H1, p.H2 = own.N, own.NTilde, own.H1, own.H2
		bad, err := rlp.EncodeToBytes(&s)
		require.NoError(t, err)
		_, err = LoadKeyShare(bad)
		got, _ := brokenRule(err)
		require.Equal(t, c.rule, got, "a stored share: %s", name)
	}
}

// safeRing is one prime factor of NTilde.
func (p *PreParams) safeRing() *big.Int {
	f := new(big.Int).Lsh(p.ringP, 1)
	return f.Add(f, one)
}

// A factor that two members share is found on every load too.
func TestASharedFactorIsRefusedOnLoad(t *testing.T) {
	stored, err := testShares(t)[0].MarshalBinary()
	require.NoError(t, err)
	a, b := devPreParams(t, 2), devPreParams(t, 3)
	for name, set := range map[string]func(*storedShare){
		"N with N":           func(s *storedShare) { s.Parties[3].N = new(big.Int).Mul(a.p, b.q) },
		"NTilde with N":      func(s *storedShare) { s.Parties[3].NTilde = new(big.Int).Mul(a.p, b.safeRing()) },
		"N with NTilde":      func(s *storedShare) { s.Parties[3].N = new(big.Int).Mul(b.p, a.safeRing()) },
		"NTilde with NTilde": func(s *storedShare) { s.Parties[3].NTilde = new(big.Int).Mul(a.safeRing(), b.safeRing()) },
		"its own two":        func(s *storedShare) { s.Parties[3].N = new(big.Int).Mul(b.safeRing(), b.p) },
		"h1 with h2":         func(s *storedShare) { s.Parties[3].H1 = s.Parties[2].H2 },
	} {
		var s storedShare
		require.NoError(t, rlp.DecodeBytes(stored, &s))
		set(&s)
		if s.Parties[3].N.BitLen() != modulusBits || s.Parties[3].NTilde.BitLen() != modulusBits {
			t.Fatalf("%s: the test's own modulus is short", name)
		}
		bad, err := rlp.EncodeToBytes(&s)
		require.NoError(t, err)
		_, err = LoadKeyShare(bad)
		got, _ := brokenRule(err)
		if name == "h1 with h2" && got == ruleH1 {
			continue // not below the other ring: refused even earlier
		}
		require.Equal(t, ruleShared, got, "%s: %v", name, err)
		require.ErrorContains(t, err, s.Members[3].Hex())
	}
}

// forgery is a proof that a product of three primes is one of two: it satisfies every equation of the proof, because its W
// shares factors with N. cofactor ≡ 3 modulo 4 is the one prime that W is a unit of; zero makes W zero.
func forgery(t testing.TB, session []byte, primes [3]*big.Int) (n *big.Int, parts [][]byte) {
	n, phi := big.NewInt(1), big.NewInt(1)
	for _, p := range primes {
		n.Mul(n, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	shared, last := new(big.Int).Mul(primes[0], primes[1]), primes[2]
	w := new(big.Int).Set(shared)
	inverse := new(big.Int).ModInverse(n, phi)
	require.NotNil(t, inverse)
	lift := new(big.Int).Mul(shared, new(big.Int).ModInverse(shared, last)) // 0 modulo shared, 1 modulo last
	quarter := new(big.Int).Rsh(new(big.Int).Add(last, one), 2)

	pf := modproof.ProofMod{W: w, A: lsh(modIterations), B: lsh(modIterations)}
	var ys []*big.Int
	for i := range modIterations {
		y := libcommon.RejectionSample(n, libcommon.SHA512_256i_TAGGED(session, append([]*big.Int{w, n}, ys...)...))
		ys = append(ys, y)
		pf.Z[i] = new(big.Int).Exp(y, inverse, n)
		c := new(big.Int).Mul(w, y)
		if big.Jacobi(c.Mod(c, last), last) != 1 {
			c.Sub(last, c)
			pf.A.SetBit(pf.A, i, 1)
		}
		pf.B.SetBit(pf.B, i, 1)
		x := new(big.Int).Exp(c, quarter, last)
		x.Exp(x, quarter, last)
		pf.X[i] = x.Mul(x, lift).Mod(x, n)
	}
	bytes := pf.Bytes()
	return n, bytes[:]
}

// equations are all that an older version of the library looked at: the ranges of W, X and Z, and the two equations of each
// iteration. It is here to show that the forgery is one.
func equations(session []byte, n *big.Int, parts [][]byte) bool {
	pf, err := modproof.NewProofFromBytes(parts)
	if err != nil || big.Jacobi(pf.W, n) == 1 || pf.W.Sign() != 1 || pf.W.Cmp(n) >= 0 {
		return false
	}
	var ys []*big.Int
	for i := range modIterations {
		y := libcommon.RejectionSample(n, libcommon.SHA512_256i_TAGGED(session, append([]*big.Int{pf.W, n}, ys...)...))
		ys = append(ys, y)
		right := new(big.Int).Set(y)
		if pf.A.Bit(i) == 1 {
			right.Neg(right)
		}
		if pf.B.Bit(i) == 1 {
			right.Mul(right, pf.W)
		}
		left := new(big.Int).Exp(pf.X[i], newInt(4), n)
		if left.Cmp(right.Mod(right, n)) != 0 || new(big.Int).Exp(pf.Z[i], n, n).Cmp(y) != 0 || pf.X[i].Sign() != 1 {
			return false
		}
	}
	return true
}

func TestAForgedModulusProofIsRefused(t *testing.T) {
	g, _, from := guards(t)
	payloads, _ := recorded(t, "keygen")
	base := new(big.Int).Rsh(new(big.Int).Mul(lsh(683), newInt(3)), 2)
	primes := [3]*big.Int{nextPrime(base), nextPrime(new(big.Int).Add(base, lsh(600))), nextPrime(new(big.Int).Add(base, lsh(601)))}
	for last := primes[2]; last.Bit(1) == 0 || !last.ProbablyPrime(10); last.Add(last, newInt(2)) {
	}
	session := []byte("a session")
	n, parts := forgery(t, session, primes)
	require.True(t, equations(session, n, parts), "this is no forgery")
	require.NoError(t, newSieve().checkModulus("N", n), "its modulus looks like any other")

	own := g.known[from]
	g.known[from] = moduli{n, own.NTilde, own.H1, own.H2}
	with := func(change func([][]byte)) []byte {
		return mutated(t, payloads[typeKeygen2], func(m *keygen.KGRound2Message2) {
			m.ModProof = append([][]byte(nil), parts...)
			change(m.ModProof)
		})
	}
	for name, change := range map[string]func([][]byte){
		"W shares a factor with N": func([][]byte) {},
		"W is N":                   func(p [][]byte) { p[0] = num(n) },
		"W is zero, and so is X": func(p [][]byte) {
			for i := range modIterations + 1 {
				p[i] = []byte{0}
			}
		},
	} {
		guardCase{name, "modulus-proof.w", with(change)}.run(t, g, typeKeygen2, from)
	}
	// With a W that is a unit, the zeros alone.
	w := num(nonResidue(n))
	for name, c := range map[string]guardCase{
		"X is zero": {"", "modulus-proof.x", with(func(p [][]byte) { p[0], p[1] = w, []byte{0} })},
		"X no unit": {"", "modulus-proof.x", with(func(p [][]byte) { p[0] = w })},
		"Z no unit": {"", "modulus-proof.z", with(func(p [][]byte) {
			p[0] = w
			for i := range modIterations {
				p[1+i] = []byte{2}
			}
			p[modIterations+3] = num(primes[0])
		})},
	} {
		c.name = name
		c.run(t, g, typeKeygen2, from)
	}
}

// nonResidue is the least number with the Jacobi symbol −1.
func nonResidue(n *big.Int) *big.Int {
	for w := big.NewInt(2); ; w.Add(w, one) {
		if big.Jacobi(w, n) == -1 {
			return w
		}
	}
}

// Points as no library should be fed them, in every list of points.
func TestBadPointsAreRefused(t *testing.T) {
	kg, sign, from := guards(t)
	keygens, _ := recorded(t, "keygen")
	signs, _ := recorded(t, "sign")
	field := crypto.S256().Params().P
	gen := crypto.S256().Params().Gx
	small := new(big.Int).Add(field, smallX()) // the same point, unreduced

	for name, xy := range map[string][2][]byte{
		"off the curve":             {num(gen), num(newInt(5))},
		"at infinity":               {{0}, {0}},
		"at infinity, unreduced":    {num(field), num(field)},
		"an unreduced coordinate":   {num(small), num(smallY())},
		"the largest coordinates":   {num(new(big.Int).Sub(lsh(256), one)), num(new(big.Int).Sub(lsh(256), one))},
		"a leading zero":            {append([]byte{0}, num(gen)...), num(crypto.S256().Params().Gy)},
		"longer than a coordinate":  {num(lsh(300)), num(gen)},
		"on the twist of the curve": {num(newInt(5)), num(newInt(1))},
	} {
		set := func(list [][]byte) { list[1], list[2] = xy[0], xy[1] }
		for _, c := range []struct {
			g    *guard
			kind uint8
			guardCase
		}{
			{kg, typeKeygen2, guardCase{name, "polynomial.point", mutated(t, keygens[typeKeygen2], func(m *keygen.KGRound2Message2) { set(m.DeCommitment) })}},
			{sign, typeSign4, guardCase{name, "gamma.point", mutated(t, signs[typeSign4], func(m *signing.SignRound4Message) { set(m.DeCommitment) })}},
			{sign, typeSign4, guardCase{name, "schnorr.alpha", mutated(t, signs[typeSign4], func(m *signing.SignRound4Message) { m.ProofAlphaX, m.ProofAlphaY = xy[0], xy[1] })}},
			{sign, typeSign6, guardCase{name, "phase5a.point", mutated(t, signs[typeSign6], func(m *signing.SignRound6Message) { set(m.DeCommitment) })}},
			{sign, typeSign6, guardCase{name, "schnorr-v.alpha", mutated(t, signs[typeSign6], func(m *signing.SignRound6Message) { m.VProofAlphaX, m.VProofAlphaY = xy[0], xy[1] })}},
			{sign, typeSign8, guardCase{name, "phase5c.point", mutated(t, signs[typeSign8], func(m *signing.SignRound8Message) { set(m.DeCommitment) })}},
			{sign, typeSign2, guardCase{name, "mta-proof-wc.point", mutated(t, signs[typeSign2], func(m *signing.SignRound2Message) { m.ProofBobWc[10], m.ProofBobWc[11] = xy[0], xy[1] })}},
		} {
			c.run(t, c.g, c.kind, from)
		}
	}
}

// smallX and smallY are a point whose x has room below 2^256 for the field's prime on top.
func smallX() *big.Int { return big.NewInt(1) }

func smallY() *big.Int {
	p := crypto.S256().Params().P
	return new(big.Int).ModSqrt(newInt(8), p) // 1 + 7
}

// Responses that satisfy equations without knowing anything, in each proof that has them.
func TestTrivialResponsesAreRefused(t *testing.T) {
	_, g, from := guards(t)
	payloads, _ := recorded(t, "sign")
	for value, b := range map[string][]byte{"0": {0}, "1": {1}} {
		for at, rule := range map[int]string{0: "range-proof.z", 3: "range-proof.s"} {
			payload := mutated(t, payloads[typeSign1Direct], func(m *signing.SignRound1Message1) { m.RangeProofAlice[at] = b })
			guardCase{rule + " is " + value, rule, payload}.run(t, g, typeSign1Direct, from)
		}
		for at, part := range map[int]string{0: ".z", 5: ".s"} {
			bob := mutated(t, payloads[typeSign2], func(m *signing.SignRound2Message) { m.ProofBob[at] = b })
			guardCase{part + " is " + value, "mta-proof" + part, bob}.run(t, g, typeSign2, from)
			wc := mutated(t, payloads[typeSign2], func(m *signing.SignRound2Message) { m.ProofBobWc[at] = b })
			guardCase{part + " is " + value, "mta-proof-wc" + part, wc}.run(t, g, typeSign2, from)
		}
	}
}

// The proofs of a key generation are good for its session only: shown in another, they convict who shows them.
func TestAKeygenProofOfAnotherSessionIsRefused(t *testing.T) {
	h, members := newHub(t, 2)
	payloads, _ := recorded(t, "keygen")
	replayer := members[1]
	h.tamper = func(f, _ common.Address, frame []byte) [][]byte {
		switch kind := typeOf(t, frame); {
		case f == replayer && kind == typeAbort:
			return nil // it sees another message than it sent; a replayer would not complain
		case f != replayer || kind != typeKeygen1:
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(*Header, []byte) []byte { return payloads[typeKeygen1] })}
	}
	outs := all(members, func(i int, m common.Address) Outcome {
		_, out := h.engines[m].Keygen(t.Context(), KeygenRequest{
			Session: sessionOf("replayed"), Epoch: 1, Members: members, Threshold: 2, PreParams: devPreParams(t, i),
		})
		return out
	})
	out := outs[0]
	require.Equal(t, Aborted, out.Ending, out.String())
	require.Equal(t, []common.Address{replayer}, out.Culprits)
	require.Equal(t, BadProof, out.Evidence[0].Kind)
}

// So are those of a signature, between the same members with the same shares.
func TestASigningProofOfAnotherSessionIsRefused(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	replayer, victim := shares[1].self, shares[0].self
	sorted, err := partyOrder([]common.Address{victim, replayer, shares[2].self}, 1)
	require.NoError(t, err)
	// Of the same digest, as two attempts are: without a nonce the library tells sessions apart by their digests alone.
	digest := crypto.Keccak256Hash([]byte("digest of replayed proof"))
	before, err := newSignParty(sorted, slices.Index(sorted, replayer), sessionOf("before"), digest, shares[1])
	require.NoError(t, err)
	var old []byte
	for _, o := range before.start().out {
		if o.to == victim {
			old = o.payload
		}
	}
	require.NotEmpty(t, old)
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		if f != replayer || to != victim || typeOf(t, frame) != typeSign1Direct {
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(*Header, []byte) []byte { return old })}
	}
	out := h.signAll(shares, "replayed proof", 0)[0]
	require.Equal(t, Aborted, out.Ending, out.String())
	require.EqualValues(t, 2, out.Round, "as soon as it was read")
	require.Equal(t, []common.Address{replayer}, out.Culprits)
	require.Equal(t, BadProof, out.Evidence[0].Kind)
}
