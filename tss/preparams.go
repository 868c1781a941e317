package tss

import (
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// PreParams are the primes that a member brings to one key generation: two for its Paillier key, two for the ring of range
// proofs. They take half a minute to find, so they are found ahead and kept in the vault. They serve one epoch only.
//
// The type has no String and no JSON; every format verb prints a placeholder.
type PreParams struct {
	p, q         *big.Int // Paillier safe primes
	ringP, ringQ *big.Int // Germain primes: NTilde = (2·ringP + 1)(2·ringQ + 1)
	h1, h2       *big.Int
	alpha, beta  *big.Int // h2 = h1^alpha, h1 = h2^beta
}

// preParamsVersion stands in front of the stored form.
const preParamsVersion = 1

type storedPreParams struct {
	Version      uint64
	P, Q         *big.Int
	RingP, RingQ *big.Int
	H1, H2       *big.Int
	Alpha, Beta  *big.Int
}

// ErrPreParams means that stored preparameters are damaged, of an unknown version, or unsafe.
var ErrPreParams = errors.New("unusable preparameters")

// Format prints a placeholder for every verb.
func (PreParams) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "[preparameters]") }

// MarshalBinary returns the secret bytes, for sealing in the vault and nothing else.
func (p *PreParams) MarshalBinary() ([]byte, error) {
	return rlp.EncodeToBytes(&storedPreParams{preParamsVersion, p.p, p.q, p.ringP, p.ringQ, p.h1, p.h2, p.alpha, p.beta})
}

// UnmarshalPreParams reads what MarshalBinary wrote and checks it. It fails with [ErrPreParams].
func UnmarshalPreParams(b []byte) (*PreParams, error) {
	var s storedPreParams
	if err := rlp.DecodeBytes(b, &s); err != nil {
		// The decoder's message may quote the input, which is secret.
		return nil, fmt.Errorf("%w: not their encoding", ErrPreParams)
	}
	if s.Version != preParamsVersion {
		return nil, fmt.Errorf("%w: version %d", ErrPreParams, s.Version)
	}
	p := &PreParams{s.P, s.Q, s.RingP, s.RingQ, s.H1, s.H2, s.Alpha, s.Beta}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// check verifies primes, sizes and the relations between the numbers.
func (p *PreParams) check() error {
	for _, prime := range []*big.Int{p.p, p.q, p.ringP, p.ringQ} {
		if prime.BitLen() > modulusBits/2 || !prime.ProbablyPrime(primalityRounds) {
			return fmt.Errorf("%w: a factor is no prime of the size", ErrPreParams)
		}
	}
	m := p.moduli()
	if err := newSieve().check(m); err != nil {
		return fmt.Errorf("%w: %w", ErrPreParams, err)
	}
	group := new(big.Int).Mul(p.ringP, p.ringQ)
	inverse := new(big.Int).Mul(p.alpha, p.beta)
	if new(big.Int).Exp(p.h1, p.alpha, m.NTilde).Cmp(p.h2) != 0 || inverse.Mod(inverse, group).Cmp(one) != 0 {
		return fmt.Errorf("%w: h1 and h2 do not belong together", ErrPreParams)
	}
	return nil
}

// moduli returns the public part.
func (p *PreParams) moduli() moduli {
	safe := func(g *big.Int) *big.Int { g = new(big.Int).Lsh(g, 1); return g.Add(g, one) }
	return moduli{
		N:      new(big.Int).Mul(p.p, p.q),
		NTilde: new(big.Int).Mul(safe(p.ringP), safe(p.ringQ)),
		H1:     p.h1,
		H2:     p.h2,
	}
}

// Fingerprint is the hash of the Paillier modulus. It is public.
func (p *PreParams) Fingerprint() common.Hash { return fingerprint(p.moduli().N) }

// Fingerprints are the hashes of both moduli: N, then NTilde.
func (p *PreParams) Fingerprints() [2]common.Hash {
	m := p.moduli()
	return [2]common.Hash{fingerprint(m.N), fingerprint(m.NTilde)}
}

// Development reports whether either modulus is one whose factors are published with this project.
func (p *PreParams) Development() bool { return p.moduli().development() }

// development reports whether the factors of a modulus are public knowledge.
func (m moduli) development() bool {
	return IsDevelopment(fingerprint(m.N)) || IsDevelopment(fingerprint(m.NTilde))
}
