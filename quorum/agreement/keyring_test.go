package agreement

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

var testNetwork = crypto.Keccak256Hash([]byte("agreement test network"))

// testHeight is divisible by 4 and 7, so that member i proposes in round i.
const testHeight = 28

// keyring holds a committee of test keys, derived from their number and good for nothing else, and remembers what they
// signed: simulations sign the same few statements thousands of times.
type keyring struct {
	roster quorum.Roster
	ids    quorum.Members
	keys   []*ecdsa.PrivateKey

	mu        sync.Mutex // guards what is below
	votes     map[signedKey[quorum.Vote]]quorum.Signed[quorum.Vote]
	proposals map[signedKey[quorum.Proposal]]quorum.Signed[quorum.Proposal]
	values    map[string]common.Hash
	names     map[[2]uint64]string
	convicted map[string]offence
	elders    *keyring // other keys, of an epoch long past
}

// mostCached bounds what a keyring remembers: a campaign of hours must not fill the memory.
const mostCached = 1 << 18

var rings = map[int]func() *keyring{
	2:  sync.OnceValue(func() *keyring { return newKeyring(2) }),
	4:  sync.OnceValue(func() *keyring { return newKeyring(4) }),
	7:  sync.OnceValue(func() *keyring { return newKeyring(7) }),
	10: sync.OnceValue(func() *keyring { return newKeyring(10) }),
}

func newKeyring(n int) *keyring {
	k := newKeyringOf(n, 1, "key")
	k.elders = newKeyringOf(n, elderEpoch, "elder key")
	return k
}

// elderEpoch is an epoch whose every key the liars have got hold of since.
const elderEpoch = 9

func newKeyringOf(n int, epoch uint64, what string) *keyring {
	k := &keyring{
		votes:     map[signedKey[quorum.Vote]]quorum.Signed[quorum.Vote]{},
		proposals: map[signedKey[quorum.Proposal]]quorum.Signed[quorum.Proposal]{},
		values:    map[string]common.Hash{}, names: map[[2]uint64]string{}, convicted: map[string]offence{},
	}
	var members []quorum.Member
	for i := range n {
		key := must(crypto.ToECDSA(crypto.Keccak256([]byte(fmt.Sprintf("agreement test %s %d of %d", what, i, n)))))
		m := quorum.Member{
			Name: fmt.Sprintf("m%d", i), Address: crypto.PubkeyToAddress(key.PublicKey),
			Operator:   common.BytesToAddress([]byte{1, byte(i)}),
			Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"},
		}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		members, k.keys = append(members, m), append(k.keys, key)
	}
	k.roster = must(quorum.NewRoster(epoch, members))
	k.ids = k.roster.IDs()
	slices.SortFunc(k.keys, func(a, b *ecdsa.PrivateKey) int {
		x, y := crypto.PubkeyToAddress(a.PublicKey), crypto.PubkeyToAddress(b.PublicKey)
		return bytes.Compare(x[:], y[:])
	})
	return k
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type signedKey[T any] struct {
	who  int
	body T
}

func (k *keyring) vote(who int, v quorum.Vote) quorum.Signed[quorum.Vote] {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := signedKey[quorum.Vote]{who, v}
	if s, ok := k.votes[key]; ok {
		return s
	}
	s := must(quorum.Sign(k.keys[who], testNetwork, v))
	if len(k.votes) >= mostCached {
		clear(k.votes)
	}
	k.votes[key] = s
	return s
}

func (k *keyring) proposal(who int, p quorum.Proposal) quorum.Signed[quorum.Proposal] {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := signedKey[quorum.Proposal]{who, p}
	if s, ok := k.proposals[key]; ok {
		return s
	}
	s := must(quorum.Sign(k.keys[who], testNetwork, p))
	if len(k.proposals) >= mostCached {
		clear(k.proposals)
	}
	k.proposals[key] = s
	return s
}

// say is a vote of a member at the test's height; the counter follows from the round, so that repeating it is the same
// statement.
func (k *keyring) say(who int, phase quorum.Phase, round uint64, id common.Hash) quorum.Signed[quorum.Vote] {
	return k.vote(who, quorum.Vote{
		Epoch: k.roster.Epoch, Height: testHeight, Round: round, Phase: phase, ID: id, Counter: 3*round + uint64(phase),
	})
}

// propose is a proposal of a member; validRound is round + 1.
func (k *keyring) propose(who int, round uint64, id common.Hash, validRound uint64) quorum.Signed[quorum.Proposal] {
	return k.proposal(who, quorum.Proposal{
		Epoch: k.roster.Epoch, Height: testHeight, Round: round, ID: id, ValidRound: validRound, Counter: 3 * round,
	})
}

// qc is a certificate by the given members.
func (k *keyring) qc(phase quorum.Phase, round uint64, id common.Hash, who ...int) quorum.QC {
	var votes []quorum.Signed[quorum.Vote]
	for _, w := range who {
		votes = append(votes, k.say(w, phase, round, id))
	}
	qc, ok := quorum.NewQC(k.roster, testHeight, round, phase, id, votes)
	if !ok {
		panic("too few votes for a certificate")
	}
	return qc
}

func (k *keyring) config(self int) Config {
	return Config{Network: testNetwork, Roster: k.roster, Self: k.ids[self], Height: testHeight, Timeouts: DefaultTimeouts()}
}

// value is the id of a value, see below, remembered.
func (k *keyring) value(name string) common.Hash {
	k.mu.Lock()
	defer k.mu.Unlock()
	id, ok := k.values[name]
	if !ok {
		id = value(name)
		k.values[name] = id
	}
	return id
}

// valueName is what a place calls the value that it builds in a round.
func (k *keyring) valueName(place int, round uint64) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := [2]uint64{uint64(place), round}
	name, ok := k.names[key]
	if !ok {
		name = fmt.Sprintf("v%d.%d", place, round)
		k.names[key] = name
	}
	return name
}

// offence is what evidence proves: two different statements of one kind in one round.
type offence struct {
	kind  quorum.Kind
	round uint64
}

// convict checks evidence as a stranger does, who has the roster and the two statements: both verify, by the offender, of
// one kind, height and round, and they differ.
func (k *keyring) convict(e Evidence) (quorum.Kind, uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := string(e.First) + string(e.Second)
	if o, ok := k.convicted[key]; ok {
		return o.kind, o.round, nil
	}
	kind, err := quorum.PeekKind(e.First)
	if err != nil {
		return "", 0, err
	}
	roundA, errA := k.accused(kind, e.Offender, e.First)
	roundB, errB := k.accused(kind, e.Offender, e.Second)
	if errA != nil || errB != nil || roundA != roundB || bytes.Equal(e.First, e.Second) {
		return "", 0, fmt.Errorf("rounds %d and %d of %s: %w", roundA, roundB, e.Offender, errors.Join(errA, errB))
	}
	if len(k.convicted) >= mostCached {
		clear(k.convicted)
	}
	k.convicted[key] = offence{kind, roundA}
	return kind, roundA, nil
}

// accused opens one statement of the kind by the accused, of this height, and returns its round.
func (k *keyring) accused(kind quorum.Kind, who common.Address, raw []byte) (uint64, error) {
	if kind == quorum.KindProposal {
		s, err := quorum.Open[quorum.Proposal](testNetwork, k.ids, raw)
		if err == nil && (s.Signer() != who || s.Body().Height != testHeight) {
			err = errNoEvidence
		}
		return s.Body().Round, err
	}
	s, err := quorum.Open[quorum.Vote](testNetwork, k.ids, raw)
	if err == nil && (s.Signer() != who || s.Body().Height != testHeight || s.Body().Kind() != kind) {
		err = errNoEvidence
	}
	return s.Body().Round, err
}

var errNoEvidence = errors.New("not a statement of the accused at this height")

// value is the id of a test value by its name; names that start with "bad" are invalid values.
func value(name string) common.Hash { return quorum.ValueID(testNetwork, []byte(name)) }
