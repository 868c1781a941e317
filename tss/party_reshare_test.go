package tss

import (
	"crypto/rand"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"

	libcrypto "github.com/bnb-chain/tss-lib/v3/crypto"
	"github.com/bnb-chain/tss-lib/v3/crypto/commitments"
	"github.com/bnb-chain/tss-lib/v3/crypto/vss"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/resharing"
	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// reshareLie is one way to misbehave in a resharing: by dealer 2, who leaves, or by member 4, who joins.
type reshareLie struct {
	name string
	by   int
	// say is what the liar says in the place of a payload; nil is the truth. It holds what it says for its own: one that knew
	// better would leave, and nobody could be named.
	say func(t *testing.T, o outgoing) []byte
	// drops says what it keeps to itself; nil is nothing.
	drops func(kind uint8, to common.Address) bool
	named []int // whoever must name it; nobody honest is ever named
	rule  string
}

// lying is the liar's state machine.
type lying struct {
	machine
	change func(outgoing) []byte
}

func (l lying) start() step               { return l.tell(l.machine.start()) }
func (l lying) feed(batch []checked) step { return l.tell(l.machine.feed(batch)) }

func (l lying) tell(s step) step {
	for i, o := range s.out {
		s.out[i].payload = l.change(o)
	}
	return s
}

// changed says one type otherwise, and the rest as it is.
func changed[M proto.Message](kind uint8, change func(m M, to common.Address)) func(*testing.T, outgoing) []byte {
	return func(t *testing.T, o outgoing) []byte {
		if o.spec.kind != kind {
			return o.payload
		}
		return mutated(t, o.payload, func(m M) { change(m, o.to) })
	}
}

// silentFrom sends nothing from a type on, and takes no leave.
func silentFrom(first uint8) func(uint8, common.Address) bool {
	return func(kind uint8, _ common.Address) bool {
		return kind >= first && kind < typeEcho || kind == typeTranscript || kind == typeAbort
	}
}

// plusOne changes one number of a list by one, which keeps it in its range.
func plusOne(list [][]byte, i int) {
	list[i] = new(big.Int).Add(new(big.Int).SetBytes(list[i]), one).Bytes()
}

// falseDeal is a dealing of another secret, consistent in itself.
type falseDeal struct {
	commitment *commitments.HashCommitDecommit
	shares     map[common.Address]*big.Int
}

func newFalseDeal(t *testing.T, req ReshareRequest) *falseDeal {
	sorted, err := partyOrder(req.Members, req.Epoch)
	require.NoError(t, err)
	var keys []*big.Int
	for _, m := range sorted {
		keys = append(keys, partyKey(m, req.Epoch))
	}
	vs, shares, err := vss.Create(tsslib.S256(), req.Threshold-1, big.NewInt(77), keys, rand.Reader)
	require.NoError(t, err)
	flat, err := libcrypto.FlattenECPoints(vs)
	require.NoError(t, err)
	d := &falseDeal{commitment: commitments.NewHashCommitment(rand.Reader, flat...), shares: map[common.Address]*big.Int{}}
	for i, m := range sorted {
		d.shares[m] = shares[i].Share
	}
	return d
}

func (d *falseDeal) say(t *testing.T, o outgoing) []byte {
	switch o.spec.kind {
	case typeReshare1:
		return mutated(t, o.payload, func(m *resharing.DGRound1Message) { m.VCommitment = num(d.commitment.C) })
	case typeReshare3Direct:
		return mutated(t, o.payload, func(m *resharing.DGRound3Message1) { m.Share = num(d.shares[o.to]) })
	case typeReshare3:
		return mutated(t, o.payload, func(m *resharing.DGRound3Message2) {
			for i, x := range d.commitment.D {
				m.VDecommitment[i] = num(x)
			}
		})
	}
	return o.payload
}

// Lies of a new member, and of a dealer.
func brings(change func(*resharing.DGRound2Message1)) func(*testing.T, outgoing) []byte {
	return changed(typeReshare2, func(m *resharing.DGRound2Message1, _ common.Address) { change(m) })
}

func opens(change func(*resharing.DGRound3Message2)) func(*testing.T, outgoing) []byte {
	return changed(typeReshare3, func(m *resharing.DGRound3Message2, _ common.Address) { change(m) })
}

func begins(change func(*resharing.DGRound1Message)) func(*testing.T, outgoing) []byte {
	return changed(typeReshare1, func(m *resharing.DGRound1Message, _ common.Address) { change(m) })
}

func reshareLies(t *testing.T, req ReshareRequest) []reshareLie {
	payloads, _ := recorded(t, "reshare")
	other := testShares(t)[0].parties[0].x
	honest := func(liar int) []int {
		return slices.DeleteFunc([]int{0, 1, 2, 4}, func(i int) bool { return i == liar })
	}
	return []reshareLie{
		{name: "silent from its moduli on", by: 4, drops: silentFrom(typeReshare2), named: honest(4)},
		{name: "silent from its proofs of factors on", by: 4, drops: silentFrom(typeReshare4Direct), named: honest(4)},
		{name: "silent from its dealing on", by: 2, drops: silentFrom(typeReshare3Direct), named: honest(2)},
		{name: "never signs the transcript", by: 4, drops: silentFrom(typeEcho), named: honest(4)},
		{name: "a share for one and none for the other", by: 2, drops: func(kind uint8, to common.Address) bool {
			return kind == typeReshare3Direct && to == addressOf(4)
		}},
		{name: "a modulus proof with a wrong root", by: 4, rule: "proof", named: []int{1},
			say: brings(func(m *resharing.DGRound2Message1) { plusOne(m.ModProof, modIterations+3) })},
		{name: "a dln proof with a wrong response", by: 4, rule: "proof", named: []int{1},
			say: brings(func(m *resharing.DGRound2Message1) { plusOne(m.Dlnproof_2, dlnParts-1) })},
		{name: "proofs of another session", by: 1, rule: "proof", named: []int{4}, say: func(_ *testing.T, o outgoing) []byte {
			if o.spec.kind == typeReshare2 {
				return payloads[typeReshare2]
			}
			return o.payload
		}},
		{name: "a proof of factors with a wrong response", by: 4, rule: "proof", named: []int{1},
			say: changed(typeReshare4Direct, func(m *resharing.DGRound4Message1, _ common.Address) { plusOne(m.FacProof, 8) })},
		{name: "a wrong share for one", by: 2, rule: "proof", named: []int{4},
			say: changed(typeReshare3Direct, func(m *resharing.DGRound3Message1, to common.Address) {
				if to == addressOf(4) {
					m.Share = num(new(big.Int).Sub(new(big.Int).SetBytes(m.Share), one))
				}
			})},
		{name: "another secret, dealt without a flaw", by: 2, rule: "polynomial.constant", named: []int{0, 1}, say: newFalseDeal(t, req).say},
		{name: "a commitment that it does not open", by: 2, rule: "proof", named: []int{1, 4},
			say: opens(func(m *resharing.DGRound3Message2) { plusOne(m.VDecommitment, 0) })},
		{name: "a polynomial of a higher degree", by: 2, rule: "polynomial.length", named: honest(2),
			say: opens(func(m *resharing.DGRound3Message2) {
				m.VDecommitment = append(m.VDecommitment, m.VDecommitment[1:3]...)
			})},
		{name: "another session's name", by: 2, rule: "session", named: []int{0, 1},
			say: begins(func(m *resharing.DGRound1Message) { m.Ssid[3] ^= 1 })},
		{name: "another key", by: 2, rule: "payer", named: honest(2),
			say: begins(func(m *resharing.DGRound1Message) { m.EcdsaPubX, m.EcdsaPubY = num(other.x), num(other.y) })},
		shortModulus(),
	}
}

// shortModulus is what the library lets a member that joins bring.
func shortModulus() reshareLie {
	return reshareLie{name: "a modulus of 1024 bits", by: 4, named: []int{0, 1, 2}, rule: ruleBits,
		say: brings(func(m *resharing.DGRound2Message1) { m.PaillierN = m.PaillierN[128:] })}
}

// tell runs a resharing with one liar. The key does not move, whoever must names it, and nobody honest is ever named.
func (l reshareLie) tell(t *testing.T) {
	h, _ := newHub(t, 5)
	hd := handoverOf(t, h, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
	liar := addressOf(l.by)
	if l.say != nil {
		h.engines[liar].wrap = func(m machine) machine {
			return lying{m, func(o outgoing) []byte { return l.say(t, o) }}
		}
	}
	h.tamper = func(from, to common.Address, frame []byte) [][]byte {
		if from == liar && l.drops != nil && l.drops(typeOf(t, frame), to) {
			return nil
		}
		return [][]byte{frame}
	}
	results := hd.run(t)
	for m, r := range results {
		if m == liar {
			continue
		}
		require.Nil(t, r.key, "%s: %s", l.name, r.out)
		for _, named := range append(slices.Clone(r.out.Culprits), r.out.Silent...) {
			require.Equal(t, liar, named, "%s at %s: %s", l.name, m, r.out)
		}
	}
	for _, i := range l.named {
		out := results[addressOf(i)].out
		require.Equal(t, []common.Address{liar}, append(slices.Clone(out.Culprits), out.Silent...), "%s at %d: %s", l.name, i, out)
		if l.rule != "" {
			require.Equal(t, l.rule, out.Evidence[0].Rule, "%s at %d: %s", l.name, i, out)
		}
	}
	for _, s := range testShares(t) {
		_, err := s.checked()
		require.NoError(t, err, "the old shares are whole: the old epoch goes on paying")
	}
}

// A member that joins with a modulus that can be factored is named by everyone, before anybody deals a share.
func TestAMemberThatJoinsWithAShortModulus(t *testing.T) {
	synctest.Test(t, shortModulus().tell)
}

// Every lie; some minutes.
func TestLiarsOfAResharing(t *testing.T) {
	if !*everyReshare {
		t.Skip("make reshare runs it")
	}
	req := handoverOf(t, nil, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2).request
	for _, l := range reshareLies(t, req) {
		t.Run(l.name, func(t *testing.T) { synctest.Test(t, l.tell) })
	}
}

// BenchmarkReshare hands a key from 3 of 4 members over to 4 of 5 in one process: envelopes, guard, echo and transcript on.
func BenchmarkReshare(b *testing.B) {
	for range b.N {
		h, _ := newHub(b, 5)
		handoverOf(b, h, testShares(b), []int{0, 1, 2}, []int{0, 1, 2, 3, 4}, 4).succeeds(b)
	}
}

// BenchmarkBareReshare is the same by the library alone, messages passed by function calls: what BenchmarkReshare is measured
// against.
func BenchmarkBareReshare(b *testing.B) {
	for range b.N {
		h, _ := newHub(b, 5)
		bareReshare(b, handoverOf(b, h, testShares(b), []int{0, 1, 2}, []int{0, 1, 2, 3, 4}, 4))
	}
}

func bareReshare(b *testing.B, hd *handover) {
	type member struct {
		self common.Address
		run  *resharingParty
		ids  map[bool]map[common.Address]partyID // by whether it deals
		step step
	}
	cast := &cast{dealers: hd.request.Dealers, listeners: hd.request.Members}
	members := all(hd.everyone(), func(_ int, m common.Address) *member {
		req := hd.request
		req.Share, req.PreParams = hd.shares[m], hd.preParams(b, m)
		run, err := newResharing(m, req)
		require.NoError(b, err)
		return &member{self: m, run: run, step: run.start(), ids: map[bool]map[common.Address]partyID{
			true: namedParties(inOrder(b, req.Dealers, req.OldEpoch), req.OldEpoch), false: namedParties(inOrder(b, req.Members, req.Epoch), req.Epoch),
		}}
	})
	for range resharePlan().library {
		batches := map[common.Address][]checked{}
		for _, from := range members {
			require.Nil(b, from.step.err)
			for _, o := range from.step.out {
				for _, to := range members {
					if to == from || !o.spec.broadcast && o.to != to.self {
						continue
					}
					deals := slices.Equal(cast.speakers(o.spec.kind), cast.dealers)
					msg, err := tsslib.ParseWireMessage(o.payload, to.ids[deals][from.self], o.spec.broadcast)
					require.NoError(b, err)
					batches[to.self] = append(batches[to.self], checked{from.self, msg})
				}
			}
		}
		all(hd.everyone(), func(i int, m common.Address) bool {
			members[i].step = members[i].run.feed(batches[m])
			return true
		})
	}
	for _, m := range members {
		require.IsType(b, &rawShare{}, m.step.result)
	}
}

func inOrder(t testing.TB, members []common.Address, epoch uint64) []common.Address {
	sorted, err := partyOrder(members, epoch)
	require.NoError(t, err)
	return sorted
}
