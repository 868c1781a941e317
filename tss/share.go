package tss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// KeyShare is one member's share of the key in one epoch, with the public material of the whole committee. It is immutable.
//
// The type has no String and no JSON; every format verb prints a placeholder.
type KeyShare struct {
	self      common.Address
	epoch     uint64
	members   quorum.Members // ascending
	threshold int            // how many members sign
	session   common.Hash    // the key generation that made it
	public    quorum.PublicKey
	payer     common.Address
	parties   []party // in the order of members
	moduli    common.Hash

	xi   *big.Int // the secret share
	p, q *big.Int // the factors of the own Paillier modulus
}

// party is the public part of one member's share.
type party struct {
	key *big.Int // its number, derived from member and epoch
	moduli
	x point // share · G
}

const shareVersion = 1

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
	Public    quorum.PublicKey
	Parties   []storedParty
	Xi, P, Q  *big.Int
}

// ErrShare means that a stored share is damaged, of an unknown version, or inconsistent in itself.
var ErrShare = errors.New("unusable key share")

// Format prints a placeholder for every verb.
func (KeyShare) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, "[key share]") }

// Self is the member whose share this is.
func (s *KeyShare) Self() common.Address { return s.self }

// Epoch is the epoch that the share serves.
func (s *KeyShare) Epoch() uint64 { return s.epoch }

// Members are the ids of the committee, ascending.
func (s *KeyShare) Members() quorum.Members { return slices.Clone(s.members) }

// Threshold is q: how many members sign together.
func (s *KeyShare) Threshold() int { return s.threshold }

// PublicKey is the compressed key of the payer.
func (s *KeyShare) PublicKey() quorum.PublicKey { return s.public }

// Payer is the Ethereum address of the key.
func (s *KeyShare) Payer() common.Address { return s.payer }

// ModuliHash names the public material of the committee; all members hold the same.
func (s *KeyShare) ModuliHash() common.Hash { return s.moduli }

// Transcript is what all members of the key generation signed.
func (s *KeyShare) Transcript() quorum.Transcript {
	return quorum.Transcript{
		Epoch: s.epoch, Members: slices.Clone(s.members), Threshold: uint64(s.threshold),
		PublicKey: s.public, Moduli: s.moduli, Session: s.session,
	}
}

// MarshalBinary returns the secret bytes, for sealing in the vault and nothing else.
func (s *KeyShare) MarshalBinary() ([]byte, error) {
	out := storedShare{
		Version: shareVersion, Self: s.self, Epoch: s.epoch, Members: s.members, Threshold: uint64(s.threshold),
		Session: s.session, Public: s.public, Xi: s.xi, P: s.p, Q: s.q,
	}
	for _, p := range s.parties {
		out.Parties = append(out.Parties, storedParty{p.N, p.NTilde, p.H1, p.H2, p.x.compress()})
	}
	return rlp.EncodeToBytes(&out)
}

// LoadKeyShare reads what MarshalBinary wrote and checks all of it again: the committee's moduli by the rules that a key
// generation applies, the points against the key, and the secrets against the points. It fails with [ErrShare] or
// [ErrModuli], and takes about 40 ms per member.
func LoadKeyShare(b []byte) (*KeyShare, error) {
	var in storedShare
	if err := rlp.DecodeBytes(b, &in); err != nil {
		// The decoder's message may quote the input, which is secret.
		return nil, fmt.Errorf("%w: not its encoding", ErrShare)
	}
	if in.Version != shareVersion {
		return nil, fmt.Errorf("%w: version %d", ErrShare, in.Version)
	}
	if len(in.Parties) != len(in.Members) || in.Threshold > quorum.MaxMembers {
		return nil, fmt.Errorf("%w: parties, members and threshold do not fit", ErrShare)
	}
	s := &KeyShare{
		self: in.Self, epoch: in.Epoch, members: in.Members, threshold: int(in.Threshold),
		session: in.Session, public: in.Public, xi: in.Xi, p: in.P, q: in.Q,
	}
	for i, p := range in.Parties {
		x, err := decompress(p.X)
		if err != nil {
			return nil, fmt.Errorf("%w: the point of %s is no point", ErrShare, in.Members[i])
		}
		s.parties = append(s.parties, party{partyKey(in.Members[i], in.Epoch), moduli{p.N, p.NTilde, p.H1, p.H2}, x})
	}
	return s.checked()
}

// checked derives what is derived and verifies the whole share; nothing else makes a share usable.
func (s *KeyShare) checked() (*KeyShare, error) {
	if err := checkMembers(s.members, s.threshold, s.epoch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	me := slices.Index(s.members, s.self)
	if me < 0 {
		return nil, fmt.Errorf("%w: %s is not in its committee", ErrShare, s.self)
	}
	if err := checkCommittee(s.members, s.committee()); err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	if err := s.checkSecrets(me); err != nil {
		return nil, err
	}
	if err := s.checkPoints(); err != nil {
		return nil, err
	}
	payer, err := s.public.Address()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	s.payer, s.moduli = payer, moduliHash(s.members, s.committee())
	return s, nil
}

// checkMembers looks at a committee as every key must have it.
func checkMembers(members []common.Address, threshold int, epoch uint64) error {
	ascending := slices.IsSortedFunc(members, func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
	switch {
	case len(members) < quorum.MinMembers || len(members) > quorum.MaxMembers:
		return fmt.Errorf("a committee of %d members", len(members))
	case !ascending || len(slices.Compact(slices.Clone(members))) != len(members):
		return errors.New("members are not ascending")
	case threshold < 2 || threshold > len(members):
		return fmt.Errorf("a threshold of %d of %d", threshold, len(members))
	}
	_, err := partyOrder(members, epoch)
	return err
}

// checkSecrets compares the secrets with the own public part.
func (s *KeyShare) checkSecrets(me int) error {
	own := s.parties[me]
	switch {
	case new(big.Int).Mul(s.p, s.q).Cmp(own.N) != 0 || !s.p.ProbablyPrime(primalityRounds) || !s.q.ProbablyPrime(primalityRounds):
		return fmt.Errorf("%w: the Paillier key is not that of the committee", ErrShare)
	case s.xi.Sign() == 0 || s.xi.Cmp(order()) >= 0 || !baseTimes(s.xi).equal(own.x):
		return fmt.Errorf("%w: the secret is not that of the committee", ErrShare)
	}
	return nil
}

// checkPoints verifies that all points lie on one polynomial of the threshold's degree whose value at zero is the key.
func (s *KeyShare) checkPoints() error {
	public, err := decompress(s.public)
	if err != nil {
		return fmt.Errorf("%w: the public key is no point", ErrShare)
	}
	base := s.threshold - 1
	for i := base; i < len(s.parties); i++ {
		var keys []*big.Int
		var points []point
		for _, p := range append(slices.Clone(s.parties[:base]), s.parties[i]) {
			keys, points = append(keys, p.key), append(points, p.x)
		}
		if sum, ok := interpolate(keys, points); !ok || !sum.equal(public) {
			return fmt.Errorf("%w: the members' points do not make the public key", ErrShare)
		}
	}
	return nil
}

// committee returns the members' moduli in their order.
func (s *KeyShare) committee() []moduli {
	all := make([]moduli, len(s.parties))
	for i, p := range s.parties {
		all[i] = p.moduli
	}
	return all
}

// verify checks that sig is this key's signature over digest.
func (s *KeyShare) verify(digest common.Hash, sig quorum.Signature) bool {
	return verifySignature(s.payer, digest, sig)
}

func verifySignature(payer common.Address, digest common.Hash, sig quorum.Signature) bool {
	signer, err := sig.Recover(digest)
	return err == nil && signer == payer
}
