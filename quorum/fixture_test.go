package quorum_test

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"sort"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// tb is what helpers need of a test; a property's *rapid.T has it too.
type tb interface {
	require.TestingT
	Helper()
}

// The keys below are made for tests from public words; they must never hold anything.
func testKey(word string, i int) *ecdsa.PrivateKey {
	seed := crypto.Keccak256([]byte(fmt.Sprintf("conclave test key, holds nothing: %s %d", word, i)))
	key, err := crypto.ToECDSA(seed)
	if err != nil {
		panic(err)
	}
	return key
}

func testMember(i int, key *ecdsa.PrivateKey) quorum.Member {
	var pub quorum.PublicKey
	copy(pub[:], crypto.CompressPubkey(&key.PublicKey))
	return quorum.Member{
		Name:       fmt.Sprintf("custodian-%d", i),
		Address:    crypto.PubkeyToAddress(key.PublicKey),
		PublicKey:  pub,
		Operator:   crypto.PubkeyToAddress(testKey("operator", i).PublicKey),
		Multiaddrs: []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 7000+i)},
	}
}

// committee is n members with their keys, both ascending by address.
type committee struct {
	roster quorum.Roster
	keys   []*ecdsa.PrivateKey
}

func newCommittee(t tb, n int) committee {
	t.Helper()
	var c committee
	members := make([]quorum.Member, n)
	for i := range n {
		key := testKey("member", i)
		members[i] = testMember(i, key)
		c.keys = append(c.keys, key)
	}
	sort.Slice(c.keys, func(i, j int) bool {
		a, b := crypto.PubkeyToAddress(c.keys[i].PublicKey), crypto.PubkeyToAddress(c.keys[j].PublicKey)
		return bytes.Compare(a[:], b[:]) < 0
	})
	r, err := quorum.NewRoster(1, members)
	require.NoError(t, err)
	c.roster = r
	return c
}

func (c committee) ids() quorum.Members { return c.roster.IDs() }

// hash is a recognisable 32-byte value.
func hash(b byte) common.Hash { return common.BytesToHash(bytes.Repeat([]byte{b}, 32)) }

func address(b byte) common.Address { return common.BytesToAddress(bytes.Repeat([]byte{b}, 20)) }

func wei(s string) uint256.Int { return *uint256.MustFromDecimal(s) }

var testNetwork = hash(0x4e) // read only

func sign[T quorum.Body](t tb, key *ecdsa.PrivateKey, body T) quorum.Signed[T] {
	t.Helper()
	s, err := quorum.Sign(key, testNetwork, body)
	require.NoError(t, err)
	return s
}

// signAll lets the members signs bodies that differ as each says.
func signAll[T quorum.Body](t tb, c committee, n int, body func(i int) T) []quorum.Signed[T] {
	t.Helper()
	out := make([]quorum.Signed[T], n)
	for i := range n {
		out[i] = sign(t, c.keys[i], body(i))
	}
	return out
}

// statement is one kind with a sample body, its type erased: tests range over all kinds.
type statement struct {
	kind   quorum.Kind
	body   any
	digest common.Hash
	sign   func(key *ecdsa.PrivateKey, network common.Hash) ([]byte, error)
	open   func(network common.Hash, members quorum.Members, raw []byte) (body any, signer common.Address, again []byte, err error)
}

func statementOf[T quorum.Body](body T) statement {
	return statement{
		kind:   body.Kind(),
		body:   body,
		digest: quorum.Digest(body.Kind(), testNetwork, body),
		sign: func(key *ecdsa.PrivateKey, network common.Hash) ([]byte, error) {
			s, err := quorum.Sign(key, network, body)
			return s.Bytes(), err
		},
		open: func(network common.Hash, members quorum.Members, raw []byte) (any, common.Address, []byte, error) {
			s, err := quorum.Open[T](network, members, raw)
			return s.Body(), s.Signer(), s.Bytes(), err
		},
	}
}

// statements is a sample of every kind that package quorum signs, every field set.
func statements(c committee) []statement {
	return []statement{
		statementOf(c.roster.Members[0]),
		statementOf(sampleApprove()),
		statementOf(quorum.Refuse{
			Epoch: 1, Policy: samplePolicyRef(), Counter: 8, WID: 77, Content: hash(0xc0),
			Reason: quorum.ReasonDestination, Time: 1_780_000_000_001,
		}),
		statementOf(sampleView()),
		statementOf(sampleOutcome()),
		statementOf(quorum.Proposal{Epoch: 1, Height: 9, Round: 3, ID: hash(0x1d), ValidRound: 2, Counter: 11}),
		statementOf(quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Prevote, ID: hash(0x1d), Counter: 12}),
		statementOf(quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Precommit, ID: common.Hash{}, Counter: 13}),
		statementOf(quorum.Ready{Epoch: 1, Counter: 14, Height: 9, Batch: hash(0x1d), KMax: 2, Attempt: 5}),
		statementOf(quorum.Abort{
			Epoch: 1, Counter: 15, Session: hash(0x5e), Batch: hash(0x1d), K: 1, Attempt: 5, Set: c.ids()[:c.roster.Q()],
		}),
		statementOf(quorum.Halt{
			Epoch: 1, Counter: 16, Scope: quorum.ScopeLane, Target: "devnet", Code: "foreign-transaction",
			Reason: "a transaction that this network did not render", Time: 1_780_000_000_002,
		}),
		statementOf(quorum.Clear{Epoch: 1, Counter: 17, Halt: hash(0x4a), Reason: "looked at, a false alarm", Time: 1_780_000_000_003}),
		statementOf(quorum.Ceremony{Epoch: 1, Attempt: 2, Nonce: hash(0x0c)}),
		statementOf(quorum.Deletion{Epoch: 2}),
		statementOf(sampleTranscript(c)),
		statementOf(sampleCheckpoint()),
	}
}

func samplePolicyRef() quorum.PolicyRef { return quorum.PolicyRef{Version: 3, Hash: hash(0x90)} }

func sampleApprove() quorum.Approve {
	return quorum.Approve{
		Epoch: 1, Policy: samplePolicyRef(), Counter: 7, WID: 77, Content: hash(0xc0), Account: address(0xac),
		Seq: 4, Head: hash(0x4e), Time: 1_780_000_000_000,
	}
}

func sampleLane() quorum.LaneKey { return quorum.LaneKey{ChainID: 1337, Payer: address(0xbb)} }

func sampleView() quorum.View {
	return quorum.View{Epoch: 1, Time: 1_780_000_000_004, Height: 9, Settled: 4096, Lanes: []quorum.LaneView{{
		Lane: sampleLane(), Block: 100, Nonce: 5,
		Balance: wei("115792089237316195423570985008687907853269984665640564039457584007913129639935"),
		Gas:     wei("1000000000000000000"), BaseFee: wei("7"),
	}}}
}

func sampleOutcome() quorum.Outcome {
	return quorum.Outcome{
		Epoch: 1, Counter: 10, Lane: sampleLane(), Nonce: 5, Batch: hash(0x1d), K: 1,
		TxHash: hash(0x77), BlockHash: hash(0xb1), Status: 1,
	}
}

func sampleTranscript(c committee) quorum.Transcript {
	var pub quorum.PublicKey
	copy(pub[:], crypto.CompressPubkey(&testKey("payer", 0).PublicKey))
	return quorum.Transcript{
		Epoch: 1, Session: hash(0x5e), PublicKey: pub, Members: c.ids(), Threshold: uint64(c.roster.Q()), Moduli: hash(0x30),
	}
}

func sampleContent() quorum.Content {
	return quorum.Content{
		WID: 77, Account: address(0xac), Network: "devnet", To: address(0x70), Amount: wei("2500000000000000000"),
		Fee: wei("1000"), EventID: 4001, Message: hash(0x3e),
	}
}
