package tss

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// Bounds of the moduli that a member brings to a key.
const (
	// modulusBits is the exact size of the Paillier modulus N and of NTilde.
	modulusBits = 2048
	// smallFactorBits: no modulus has a prime factor below 2^20. Such a factor leaks the share in small pieces.
	smallFactorBits = 20
	// primalityRounds of Miller-Rabin, beside Baillie-PSW. The numbers may be chosen by an adversary, but he gains nothing
	// from a prime that passes as composite, which is what no number of rounds gets wrong.
	primalityRounds = 10
)

// ErrModuli means that public key material of a member breaks one of the rules that every key must keep.
var ErrModuli = errors.New("unsafe key material")

// moduli is a member's public material beside its point: the Paillier modulus and the ring for range proofs.
type moduli struct {
	N, NTilde, H1, H2 *big.Int
}

// sieve finds small factors; one serves many moduli.
type sieve struct {
	products []uint64 // products of primes below 2^20, each below 2^60
}

// newSieve lists the primes below 2^smallFactorBits, three to a word, so that a modulus is divided 27,000 times, not 82,000.
func newSieve() *sieve {
	const limit = 1 << smallFactorBits
	composite := make([]bool, limit)
	s, product, held := &sieve{}, uint64(1), 0

	for p := uint64(2); p < limit; p++ {
		if composite[p] {
			continue
		}
		for m := p * p; m < limit; m += p {
			composite[m] = true
		}
		if product, held = product*p, held+1; held == 3 {
			s.products, product, held = append(s.products, product), 1, 0
		}
	}
	return &sieve{append(s.products, product)}
}

// divides reports whether some prime below 2^20 divides n.
func (s *sieve) divides(n *big.Int) bool {
	var word, rest, gcd big.Int
	for _, p := range s.products {
		word.SetUint64(p)
		if gcd.GCD(nil, nil, rest.Mod(n, &word), &word).Cmp(one) != 0 {
			return true
		}
	}
	return false
}

// Rules of moduli, as refusals name them.
const (
	ruleBits   = "moduli.bits"
	ruleEven   = "moduli.even"
	ruleFactor = "moduli.small-factor"
	rulePrime  = "moduli.prime"
	rulePower  = "moduli.perfect-power"
	ruleRing   = "moduli.n=ntilde"
	ruleH1     = "moduli.h1"
	ruleH2     = "moduli.h2"
	ruleH      = "moduli.h1=h2"
	ruleShared = "moduli.shared"
)

// unsafeModuli is an [ErrModuli] that names its rule.
type unsafeModuli struct{ rule, what string }

func (e *unsafeModuli) Error() string { return fmt.Sprintf("%v: %s", ErrModuli, e.what) }

func (e *unsafeModuli) Unwrap() error { return ErrModuli }

// brokenRule is the rule that an error names, for [reading.want].
func brokenRule(err error) (rule string, ok bool) {
	var e *unsafeModuli
	if errors.As(err, &e) {
		return e.rule, false
	}
	return "moduli", err == nil
}

// checkModulus is what a single modulus must satisfy. The error names the rule.
func (s *sieve) checkModulus(name string, n *big.Int) error {
	broken := func(rule, what string) error { return &unsafeModuli{rule, name + " " + what} }
	switch {
	case n == nil || n.Sign() <= 0 || n.BitLen() != modulusBits:
		return broken(ruleBits, fmt.Sprintf("must have exactly %d bits", modulusBits))
	case n.Bit(0) == 0:
		return broken(ruleEven, "is even")
	case s.divides(n):
		return broken(ruleFactor, fmt.Sprintf("has a prime factor below 2^%d", smallFactorBits))
	case n.ProbablyPrime(primalityRounds):
		return broken(rulePrime, "is prime")
	case perfectPower(n):
		return broken(rulePower, "is a perfect power")
	}
	return nil
}

// check is what one member's material must satisfy by itself.
func (s *sieve) check(m moduli) error {
	if err := s.checkModulus("N", m.N); err != nil {
		return err
	}
	if err := s.checkModulus("NTilde", m.NTilde); err != nil {
		return err
	}
	switch {
	case m.N.Cmp(m.NTilde) == 0:
		return &unsafeModuli{ruleRing, "N equals NTilde"}
	case !isUnit(m.H1, m.NTilde) || m.H1.Cmp(one) == 0:
		return &unsafeModuli{ruleH1, "h1 is not a unit above 1"}
	case !isUnit(m.H2, m.NTilde) || m.H2.Cmp(one) == 0:
		return &unsafeModuli{ruleH2, "h2 is not a unit above 1"}
	case m.H1.Cmp(m.H2) == 0:
		return &unsafeModuli{ruleH, "h1 equals h2"}
	}
	return nil
}

// clash finds two members whose material is not independent: moduli with a common factor, or a shared h. It returns the
// indices of the pair. Whoever copied cannot be told from whoever was copied.
func clash(all []moduli) (i, j int, found bool) {
	var gcd big.Int
	coprime := func(a, b *big.Int) bool { return gcd.GCD(nil, nil, a, b).Cmp(one) == 0 }

	for i, a := range all {
		if !coprime(a.N, a.NTilde) {
			return i, i, true
		}
		for j := i + 1; j < len(all); j++ {
			b := all[j]
			if !coprime(a.N, b.N) || !coprime(a.N, b.NTilde) || !coprime(a.NTilde, b.N) || !coprime(a.NTilde, b.NTilde) {
				return i, j, true
			}
			for _, h := range []*big.Int{b.H1, b.H2} {
				if a.H1.Cmp(h) == 0 || a.H2.Cmp(h) == 0 {
					return i, j, true
				}
			}
		}
	}
	return 0, 0, false
}

// checkCommittee is what the material of a whole committee must satisfy, members in their order.
func checkCommittee(members []common.Address, all []moduli) error {
	s := newSieve()
	for i, m := range all {
		if err := s.check(m); err != nil {
			return fmt.Errorf("member %s: %w", members[i], err)
		}
	}
	if i, j, found := clash(all); found {
		return fmt.Errorf("members %s and %s: %w", members[i], members[j], &unsafeModuli{ruleShared, "not independent"})
	}
	return nil
}

// perfectPower reports whether n = b^e for some e ≥ 2. With no prime factor below 2^20, e is at most bits/20.
func perfectPower(n *big.Int) bool {
	for e := 2; e <= n.BitLen()/smallFactorBits+1; e++ {
		// A power with a composite exponent is one with each prime divisor of it too.
		if !big.NewInt(int64(e)).ProbablyPrime(0) {
			continue
		}
		root := integerRoot(n, e)
		if new(big.Int).Exp(root, big.NewInt(int64(e)), nil).Cmp(n) == 0 {
			return true
		}
	}
	return false
}

// integerRoot returns ⌊n^(1/e)⌋ by Newton's iteration from above.
func integerRoot(n *big.Int, e int) *big.Int {
	exp, less := big.NewInt(int64(e)), big.NewInt(int64(e-1))
	x := new(big.Int).Lsh(one, uint(n.BitLen()/e+1))

	for {
		// y = ((e−1)·x + n / x^(e−1)) / e
		y := new(big.Int).Exp(x, less, nil)
		y.Quo(n, y)
		y.Add(y, new(big.Int).Mul(less, x))
		if y.Quo(y, exp); y.Cmp(x) >= 0 {
			return x
		}
		x = y
	}
}

// isUnit reports 0 < x < n and gcd(x, n) = 1.
func isUnit(x, n *big.Int) bool {
	return x != nil && x.Sign() > 0 && x.Cmp(n) < 0 && new(big.Int).GCD(nil, nil, x, n).Cmp(one) == 0
}

// moduliHash names the whole committee's public material, members in their order.
func moduliHash(members []common.Address, all []moduli) common.Hash {
	type row struct {
		Member common.Address
		Moduli moduli
	}
	rows := make([]row, len(all))
	for i := range all {
		rows[i] = row{members[i], all[i]}
	}
	b, err := rlp.EncodeToBytes(rows)
	if err != nil {
		panic(fmt.Sprintf("tss: encode moduli: %v", err)) // our own type of non-negative integers
	}
	return crypto.Keccak256Hash(b)
}

// fingerprint names one modulus.
func fingerprint(n *big.Int) common.Hash { return crypto.Keccak256Hash(n.Bytes()) }
