package tss

import (
	"math/big"

	"github.com/ethereum/go-ethereum/crypto"
)

// refusal is why the guard did not let a message pass. It is not an error of ours: it is a finding about the sender.
type refusal struct {
	rule string
}

// reading goes through the fields of one message and keeps the first rule that a field breaks. Each method returns the
// number, or zero once a rule is broken, so that a check reads as a list.
type reading struct {
	broken string
}

func (r *reading) want(rule string, ok bool) {
	if !ok && r.broken == "" {
		r.broken = rule
	}
}

// number reads low ≤ x < high in the one encoding without leading zeros. high bounds the work that x can cause.
func (r *reading) number(rule string, b []byte, low, high *big.Int) *big.Int {
	if len(b) > (high.BitLen()+7)/8 || len(b) > 0 && b[0] == 0 {
		r.want(rule, false)
		return new(big.Int)
	}
	x := new(big.Int).SetBytes(b)
	r.want(rule, x.Cmp(low) >= 0 && x.Cmp(high) < 0)
	return x
}

// unit reads 0 < x < n with gcd(x, n) = 1.
func (r *reading) unit(rule string, b []byte, n *big.Int) *big.Int {
	x := r.number(rule, b, one, n)
	r.want(rule, r.broken != "" || isUnit(x, n))
	return x
}

// unitAboveOne reads a unit that is not 1: as a response, 1 (like 0) satisfies equations without knowing anything.
func (r *reading) unitAboveOne(rule string, b []byte, n *big.Int) *big.Int {
	x := r.unit(rule, b, n)
	r.want(rule, x.Cmp(one) != 0)
	return x
}

// scalar reads 0 < x < q. The library multiplies the base point by such numbers and panics at zero.
func (r *reading) scalar(rule string, b []byte) *big.Int {
	return r.number(rule, b, one, order())
}

// hash reads a commitment or its randomness: at most 256 bits, not zero.
func (r *reading) hash(rule string, b []byte) {
	r.number(rule, b, one, new(big.Int).Lsh(one, 256))
}

// point reads reduced coordinates of a point on the curve that is not infinity.
func (r *reading) point(rule string, x, y []byte) {
	field := crypto.S256().Params().P
	p := point{r.number(rule, x, zero, field), r.number(rule, y, zero, field)}
	r.want(rule, r.broken != "" || p.valid())
}

// parts reports whether a list has exactly n parts, and breaks the rule unless it has: no index below is out of range.
func (r *reading) parts(rule string, list [][]byte, n int) bool {
	r.want(rule, len(list) == n)
	return len(list) == n
}

// decommitment reads the randomness and then exactly n points. One more would raise the threshold.
func (r *reading) decommitment(rule string, list [][]byte, n int) {
	if !r.parts(rule+".length", list, 1+2*n) {
		return
	}
	r.hash(rule+".randomness", list[0])
	for i := 1; i < len(list); i += 2 {
		r.point(rule+".point", list[i], list[i+1])
	}
}

// bounds are the limits of the responses in range proofs, for a verifier's NTilde.
type bounds struct {
	q, q3, q7 *big.Int
	blind     *big.Int // q³·NTilde + q²·NTilde: what a response masked with NTilde cannot exceed
}

func newBounds(nTilde *big.Int) bounds {
	q := order()
	q2 := new(big.Int).Mul(q, q)
	q3 := new(big.Int).Mul(q2, q)
	q7 := new(big.Int).Mul(new(big.Int).Mul(q3, q3), q)
	blind := new(big.Int).Add(q3, q2)
	return bounds{q: q, q3: q3, q7: q7, blind: blind.Mul(blind, nTilde)}
}

// Orders of the numbers in the library's serialised proofs.
const (
	aliceParts = 6  // Z, U, W, S, S1, S2
	bobParts   = 10 // Z, Z', T, V, W, S, S1, S2, T1, T2
	bobWCParts = 12 // and the point U
	facParts   = 11 // P, Q, A, B, T, Sigma, Z1, Z2, W1, W2, V

	modIterations = 80 // of the modulus proof
	modParts      = 2*modIterations + 3
	dlnIterations = 128
	dlnParts      = 2 + 2*dlnIterations
	paillierParts = 13
)

// alice reads the range proof of a ciphertext under n: MtA's first message.
func (r *reading) alice(pf [][]byte, n, nTilde *big.Int) {
	if !r.parts("range-proof.parts", pf, aliceParts) {
		return
	}
	b := newBounds(nTilde)
	r.unitAboveOne("range-proof.z", pf[0], nTilde)
	r.unit("range-proof.u", pf[1], new(big.Int).Mul(n, n))
	r.unit("range-proof.w", pf[2], nTilde)
	r.unitAboveOne("range-proof.s", pf[3], n)
	s1 := r.number("range-proof.s1", pf[4], b.q, new(big.Int).Add(b.q3, one))
	s2 := r.number("range-proof.s2", pf[5], b.q, b.blind)
	r.want("range-proof.s1=s2", s1.Cmp(s2) != 0)
}

// bob reads the proof of MtA's answer. With check is the variant whose first response is multiplied by the base point, in a
// goroutine where a panic would end the process: there it must not be zero modulo q.
func (r *reading) bob(name string, pf [][]byte, n, nTilde *big.Int, withCheck bool) {
	want := bobParts
	if withCheck {
		want = bobWCParts
	}
	if !r.parts(name+".parts", pf, want) {
		return
	}
	b := newBounds(nTilde)
	r.unitAboveOne(name+".z", pf[0], nTilde)
	r.unit(name+".z'", pf[1], nTilde)
	r.unit(name+".t", pf[2], nTilde)
	r.unit(name+".v", pf[3], new(big.Int).Mul(n, n))
	r.unit(name+".w", pf[4], nTilde)
	r.unitAboveOne(name+".s", pf[5], n)
	s1 := r.number(name+".s1", pf[6], b.q, new(big.Int).Add(b.q3, one))
	s2 := r.number(name+".s2", pf[7], b.q, b.blind)
	r.want(name+".s1=s2", s1.Cmp(s2) != 0)
	r.number(name+".t1", pf[8], b.q, new(big.Int).Add(b.q7, one))
	r.number(name+".t2", pf[9], b.q, b.blind)
	if withCheck {
		r.want(name+".s1", new(big.Int).Mod(s1, b.q).Sign() != 0)
		r.point(name+".point", pf[10], pf[11])
	}
}

// dln reads a proof that h1 and h2 generate one group.
func (r *reading) dln(name string, pf [][]byte, nTilde *big.Int) {
	if !r.parts(name+".parts", pf, dlnParts) {
		return
	}
	two, count := big.NewInt(2), big.NewInt(dlnIterations)
	for half := range 2 {
		at := half * (dlnIterations + 1)
		r.number(name+".length", pf[at], count, new(big.Int).Add(count, one))
		for _, x := range pf[at+1 : at+1+dlnIterations] {
			r.number(name+".value", x, two, nTilde)
		}
	}
}

// modProof reads the proof that n is a product of two primes, both 3 modulo 4. W must be a unit that is no square, by its
// Jacobi symbol of −1: with W = 0, or a W that shares a factor with n, the zeros of X satisfy every equation that W enters,
// and n may have any factors at all.
func (r *reading) modProof(pf [][]byte, n *big.Int) {
	if !r.parts("modulus-proof.parts", pf, modParts) {
		return
	}
	w := r.unit("modulus-proof.w", pf[0], n)
	if r.broken == "" {
		r.want("modulus-proof.w", big.Jacobi(w, n) == -1) // n is odd, or its material was refused: an even one panics
	}
	for i := range modIterations {
		r.unit("modulus-proof.x", pf[1+i], n)
		r.unit("modulus-proof.z", pf[modIterations+3+i], n)
	}
	top := new(big.Int).Lsh(one, modIterations)
	for _, bits := range pf[modIterations+1 : modIterations+3] {
		r.number("modulus-proof.bits", bits, top, new(big.Int).Lsh(top, 1))
	}
}

// facProof reads the proof that no factor of the sender's n is small, over the receiver's ring.
func (r *reading) facProof(pf [][]byte, n, nTilde *big.Int) {
	if !r.parts("factor-proof.parts", pf, facParts) {
		return
	}
	b := newBounds(nTilde)
	for i := range 5 {
		r.unit("factor-proof.commitment", pf[i], nTilde)
	}
	sigma := new(big.Int).Mul(b.q, nTilde)
	r.number("factor-proof.sigma", pf[5], zero, sigma.Mul(sigma, n))

	z := new(big.Int).Mul(b.q3, new(big.Int).Sqrt(n))
	r.number("factor-proof.z1", pf[6], one, z)
	r.number("factor-proof.z2", pf[7], one, z)
	r.number("factor-proof.w1", pf[8], zero, b.blind)
	r.number("factor-proof.w2", pf[9], zero, b.blind)
	r.number("factor-proof.v", pf[10], zero, new(big.Int).Mul(b.blind, n))
}
