package agreement

import (
	"bytes"
	"crypto/ecdsa"
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

	mu        sync.Mutex // guards the two below
	votes     map[any]quorum.Signed[quorum.Vote]
	proposals map[any]quorum.Signed[quorum.Proposal]
}

var rings = map[int]func() *keyring{
	2: sync.OnceValue(func() *keyring { return newKeyring(2) }),
	4: sync.OnceValue(func() *keyring { return newKeyring(4) }),
	7: sync.OnceValue(func() *keyring { return newKeyring(7) }),
}

func newKeyring(n int) *keyring {
	k := &keyring{votes: map[any]quorum.Signed[quorum.Vote]{}, proposals: map[any]quorum.Signed[quorum.Proposal]{}}
	var members []quorum.Member
	for i := range n {
		key := must(crypto.ToECDSA(crypto.Keccak256([]byte(fmt.Sprintf("agreement test key %d of %d", i, n)))))
		m := quorum.Member{
			Name: fmt.Sprintf("m%d", i), Address: crypto.PubkeyToAddress(key.PublicKey),
			Operator:   common.BytesToAddress([]byte{1, byte(i)}),
			Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"},
		}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		members, k.keys = append(members, m), append(k.keys, key)
	}
	k.roster = must(quorum.NewRoster(1, members))
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

// value is the id of a test value by its name; names that start with "bad" are invalid values.
func value(name string) common.Hash { return quorum.ValueID(testNetwork, []byte(name)) }
