package tss

import (
	"encoding/binary"
	"errors"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Small numbers that are compared with. Nobody writes to them.
var (
	zero = new(big.Int)
	one  = big.NewInt(1)
)

// order is q, the number of points of secp256k1.
func order() *big.Int { return crypto.S256().Params().N }

// partyDomain separates a party's number from every other hash.
const partyDomain = "conclave/1/tss party"

// partyKey is a member's number in the key of one epoch: H(member, epoch) mod q. No member chooses it, and two epochs have
// disjoint ones.
func partyKey(member common.Address, epoch uint64) *big.Int {
	h := crypto.Keccak256([]byte(partyDomain), member[:], binary.BigEndian.AppendUint64(nil, epoch))
	return new(big.Int).Mod(new(big.Int).SetBytes(h), order())
}

// PartyNumber is partyKey for those who check a key from outside.
func PartyNumber(member common.Address, epoch uint64) *big.Int { return partyKey(member, epoch) }

// errParties means that two members have one number, or one has number zero. No one can bring that about on purpose.
var errParties = errors.New("party numbers are not distinct and nonzero")

// partyOrder returns the members ascending by their number, which is the library's order.
func partyOrder(members []common.Address, epoch uint64) ([]common.Address, error) {
	sorted := slices.Clone(members)
	key := map[common.Address]*big.Int{}
	for _, m := range members {
		key[m] = partyKey(m, epoch)
	}
	slices.SortFunc(sorted, func(a, b common.Address) int { return key[a].Cmp(key[b]) })

	for i, m := range sorted {
		if key[m].Sign() == 0 || i > 0 && key[m].Cmp(key[sorted[i-1]]) == 0 {
			return nil, errParties
		}
	}
	return sorted, nil
}

// point is a point of secp256k1 in affine coordinates; (0, 0) is infinity.
type point struct{ x, y *big.Int }

// valid reports that the coordinates are reduced, on the curve and not infinity.
func (p point) valid() bool {
	field := crypto.S256().Params().P
	if p.x == nil || p.y == nil || p.x.Sign() < 0 || p.y.Sign() < 0 || p.x.Cmp(field) >= 0 || p.y.Cmp(field) >= 0 {
		return false
	}
	return (p.x.Sign() != 0 || p.y.Sign() != 0) && crypto.S256().IsOnCurve(p.x, p.y)
}

func (p point) equal(o point) bool { return p.x.Cmp(o.x) == 0 && p.y.Cmp(o.y) == 0 }

func (p point) times(k *big.Int) point {
	x, y := crypto.S256().ScalarMult(p.x, p.y, common.LeftPadBytes(k.Bytes(), 32))
	return point{x, y}
}

func (p point) plus(o point) point {
	x, y := crypto.S256().Add(p.x, p.y, o.x, o.y)
	return point{x, y}
}

// baseTimes is k·G for 0 < k < q.
func baseTimes(k *big.Int) point {
	x, y := crypto.S256().ScalarBaseMult(common.LeftPadBytes(k.Bytes(), 32))
	return point{x, y}
}

// compress gives 33 bytes.
func (p point) compress() (out [33]byte) {
	out[0] = 2 + byte(p.y.Bit(0))
	p.x.FillBytes(out[1:])
	return out
}

// decompress reads 33 bytes; it fails unless they are a point.
func decompress(b [33]byte) (point, error) {
	pub, err := crypto.DecompressPubkey(b[:])
	if err != nil {
		return point{}, err
	}
	raw := crypto.FromECDSAPub(pub) // 4, X, Y
	return point{new(big.Int).SetBytes(raw[1:33]), new(big.Int).SetBytes(raw[33:])}, nil
}

// weight is λ_i: what the i-th of these shares is multiplied by, so that all of them add up to the value at zero.
func weight(keys []*big.Int, i int) *big.Int {
	q, lambda := order(), big.NewInt(1)
	for j := range keys {
		if j == i {
			continue
		}
		d := new(big.Int).Sub(keys[j], keys[i])
		lambda.Mul(lambda, keys[j]).Mul(lambda, d.ModInverse(d.Mod(d, q), q)).Mod(lambda, q)
	}
	return lambda
}

// interpolate returns Σ λ_i·P_i, the value at zero of the polynomial through (keys[i], points[i]), or false when a partial
// sum is infinity, which honest points never give.
func interpolate(keys []*big.Int, points []point) (point, bool) {
	var sum point
	for i := range keys {
		term := points[i].times(weight(keys, i))
		if i == 0 {
			sum = term
			continue
		}
		// Equal or opposite points: curve.Add does not double, and infinity has no coordinates.
		if sum.x.Cmp(term.x) == 0 {
			return point{}, false
		}
		sum = sum.plus(term)
	}
	return sum, true
}
