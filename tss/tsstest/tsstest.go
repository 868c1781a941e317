// Package tsstest gives tests of other rooms a key: the shares of a 3-of-4 key that a real key generation made, and a dealer
// for other committees. FOR TESTS ONLY: every secret here is published.
package tsstest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"embed"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
	"conclave/tss"
)

//go:embed testdata/share-*.rlp
var files embed.FS

// The committee of the fixtures.
const (
	Members   = 4
	Threshold = 3
	Epoch     = 1
)

// MemberKey is the identity key of test member i: keccak256("conclave-test-member-" ‖ i).
func MemberKey(i int) *ecdsa.PrivateKey {
	k, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "conclave-test-member-%d", i)))
	if err != nil {
		panic(err)
	}
	return k
}

// MemberAddress is the id of test member i.
func MemberAddress(i int) common.Address { return crypto.PubkeyToAddress(MemberKey(i).PublicKey) }

// Shares loads the fixtures: the share of each member, by its address. All have one [tss.KeyShare.Transcript].
func Shares() (map[common.Address]*tss.KeyShare, error) {
	out := map[common.Address]*tss.KeyShare{}
	for i := range Members {
		b, err := files.ReadFile(fmt.Sprintf("testdata/share-%d.rlp", i))
		if err != nil {
			return nil, err
		}
		s, err := tss.LoadKeyShare(b)
		if err != nil {
			return nil, fmt.Errorf("fixture %d: %w", i, err)
		}
		out[s.Self()] = s
	}
	return out, nil
}

// PayerKey is the whole secret key of the fixtures, put together from three shares: what no real custodian ever holds.
func PayerKey() (*ecdsa.PrivateKey, error) {
	q := crypto.S256().Params().N
	var keys, secrets []*big.Int
	for i := range Threshold {
		b, err := files.ReadFile(fmt.Sprintf("testdata/share-%d.rlp", i))
		if err != nil {
			return nil, err
		}
		var s storedShare
		if err := rlp.DecodeBytes(b, &s); err != nil {
			return nil, fmt.Errorf("fixture %d: %w", i, err)
		}
		keys, secrets = append(keys, tss.PartyNumber(s.Self, s.Epoch)), append(secrets, s.Xi)
	}
	secret := new(big.Int)
	for i := range keys {
		term := new(big.Int).Set(secrets[i])
		for j := range keys {
			if j != i {
				d := new(big.Int).Sub(keys[j], keys[i])
				term.Mul(term, keys[j]).Mul(term, d.ModInverse(d.Mod(d, q), q)).Mod(term, q)
			}
		}
		secret.Add(secret, term).Mod(secret, q)
	}
	return crypto.ToECDSA(common.LeftPadBytes(secret.Bytes(), 32))
}

// Ceremony is what the fixtures' key generation would bring to the decision of height 1 on a network: all members'
// signatures over the transcript, and one canary. members must be the fixtures' committee, t the transcript of any of
// their shares, which whoever has loaded them need not prove again.
func Ceremony(network common.Hash, members []quorum.Member, t quorum.Transcript) (quorum.MembersAction, error) {
	payer, err := PayerKey()
	if err != nil {
		return quorum.MembersAction{}, err
	}
	keys := map[common.Address]*ecdsa.PrivateKey{}
	for i := range Members {
		keys[MemberAddress(i)] = MemberKey(i)
	}
	action := quorum.MembersAction{Epoch: t.Epoch, Members: members, Transcript: t}
	digest := quorum.Digest(quorum.KindTranscript, network, t)
	for _, m := range t.Members {
		sig, err := quorum.SignDigest(keys[m], digest)
		if err != nil {
			return quorum.MembersAction{}, err
		}
		action.Signatures = append(action.Signatures, sig)
	}
	for try := range quorum.CoveringSets(len(t.Members)) {
		set := quorum.CanarySet(t.Members, uint64(try))
		sig, err := quorum.SignDigest(payer, t.CanaryDigest(network, set))
		if err != nil {
			return quorum.MembersAction{}, err
		}
		action.Canaries = append(action.Canaries, quorum.Canary{Set: set, Sig: sig})
	}
	return action, nil
}

// Deal makes a key as a trusted dealer would: without messages, in a tenth of a second. set returns the preparameters of the
// i-th member in ascending order, as tss.UnmarshalPreParams reads them; members need not be sorted.
func Deal(epoch uint64, members []common.Address, threshold int, set func(i int) []byte) (map[common.Address]*tss.KeyShare, error) {
	secret, err := rand.Int(rand.Reader, crypto.S256().Params().N)
	if err != nil {
		return nil, err
	}
	return DealKey(secret, epoch, members, threshold, set)
}

// DealKey is [Deal] of a key that is there already: what a resharing of it to members would leave.
func DealKey(secret *big.Int, epoch uint64, members []common.Address, threshold int, set func(i int) []byte) (map[common.Address]*tss.KeyShare, error) {
	return DealIn(crypto.Keccak256Hash([]byte("conclave-test-deal")), secret, epoch, members, threshold, set)
}

// DealIn is [DealKey] as of a session, which the transcript names.
func DealIn(session common.Hash, secret *big.Int, epoch uint64, members []common.Address, threshold int, set func(i int) []byte) (map[common.Address]*tss.KeyShare, error) {
	sorted := slices.SortedFunc(slices.Values(members), common.Address.Cmp)
	d, err := newDeal(session, secret, epoch, sorted, threshold, set)
	if err != nil {
		return nil, err
	}
	d.common.Session = session
	out := map[common.Address]*tss.KeyShare{}
	for i, m := range sorted {
		b, err := rlp.EncodeToBytes(d.share(i))
		if err != nil {
			return nil, err
		}
		if out[m], err = tss.LoadKeyShare(b); err != nil {
			return nil, fmt.Errorf("deal: %w", err)
		}
	}
	return out, nil
}

// storedPreParams, storedParty and storedShare are the forms of package tss, version 1.
type storedPreParams struct {
	Version                                 uint64
	P, Q, RingP, RingQ, H1, H2, Alpha, Beta *big.Int
}

type storedParty struct {
	N, NTilde, H1, H2 *big.Int
	X                 [33]byte
}

type storedShare struct {
	Version   uint64
	Self      common.Address
	Epoch     uint64
	Members   []common.Address
	Threshold uint64
	Session   common.Hash
	Public    [33]byte
	Parties   []storedParty
	Xi, P, Q  *big.Int
}

// deal is what the dealer knows.
type deal struct {
	common  storedShare // without the secrets
	secrets []*big.Int
	pre     []storedPreParams
}

// newDeal draws the polynomial from what it deals, so that a test that deals the same again has the same shares.
func newDeal(session common.Hash, secret *big.Int, epoch uint64, members []common.Address, threshold int, set func(i int) []byte) (*deal, error) {
	q := crypto.S256().Params().N
	polynomial := make([]*big.Int, threshold)
	for i := range polynomial {
		c := crypto.Keccak256(fmt.Appendf(nil, "conclave test polynomial %x %x %d %d", session, secret, epoch, i))
		polynomial[i] = new(big.Int).Mod(new(big.Int).SetBytes(c), q)
	}
	polynomial[0] = secret
	d := &deal{common: storedShare{
		Version: 1, Epoch: epoch, Members: members, Threshold: uint64(threshold),
		Public: compressed(polynomial[0]),
	}}
	for i, m := range members {
		var pre storedPreParams
		if err := rlp.DecodeBytes(set(i), &pre); err != nil {
			return nil, fmt.Errorf("deal: set %d: %w", i, err)
		}
		secret := evaluate(polynomial, tss.PartyNumber(m, epoch), q)
		d.pre, d.secrets = append(d.pre, pre), append(d.secrets, secret)
		d.common.Parties = append(d.common.Parties, storedParty{
			N:      new(big.Int).Mul(pre.P, pre.Q),
			NTilde: new(big.Int).Mul(safe(pre.RingP), safe(pre.RingQ)),
			H1:     pre.H1, H2: pre.H2, X: compressed(secret),
		})
	}
	return d, nil
}

// share is one member's.
func (d *deal) share(i int) *storedShare {
	s := d.common
	s.Self, s.Xi, s.P, s.Q = s.Members[i], d.secrets[i], d.pre[i].P, d.pre[i].Q
	return &s
}

// safe is the safe prime of a Germain prime.
func safe(g *big.Int) *big.Int {
	p := new(big.Int).Lsh(g, 1)
	return p.Add(p, big.NewInt(1))
}

// evaluate is the polynomial's value at x modulo q.
func evaluate(polynomial []*big.Int, x, q *big.Int) *big.Int {
	y := new(big.Int)
	for i := len(polynomial) - 1; i >= 0; i-- {
		y.Mul(y, x).Add(y, polynomial[i]).Mod(y, q)
	}
	return y
}

// compressed is k·G in 33 bytes.
func compressed(k *big.Int) (out [33]byte) {
	key, err := crypto.ToECDSA(common.LeftPadBytes(k.Bytes(), 32))
	if err != nil {
		panic(err) // k is 0 modulo q: does not happen
	}
	copy(out[:], crypto.CompressPubkey(&key.PublicKey))
	return out
}
