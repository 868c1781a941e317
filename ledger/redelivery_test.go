package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// governed is a ledger while members halt and operators decide, and everything that was ever brought to it.
type governed struct {
	*protoNet
	brought  []func(*Tx) error            // each brings one statement or decision again
	kept     []quorum.Signed[quorum.Halt] // signed, and not brought yet
	standing map[int][]common.Hash        // of other members, as far as brought
	ids      []common.Hash                // of every halt, brought or not
	version  int
	nonce    uint64
}

// bring brings something for the first time, and remembers how to bring it again.
func (g *governed) bring(fn func(*Tx) error) {
	g.t.Helper()
	require.NoError(g.t, g.l.Update(fn))
	g.brought = append(g.brought, fn)
}

func (g *governed) halt(t *rapid.T) {
	member := rapid.IntRange(1, 3).Draw(t, "member")
	h := quorum.Halt{Epoch: 1, Counter: g.next(), Code: "x", Reason: "r", Time: g.count}
	switch h.Scope = quorum.Scope(rapid.IntRange(0, 2).Draw(t, "scope")); h.Scope {
	case quorum.ScopeLane:
		h.Target = protoLane
	case quorum.ScopeAccount:
		h.Target = g.content(rapid.Uint64Range(1, 2).Draw(t, "account")).Account.Hex()
	}
	s := theirs(g.protoNet, member, h)
	g.ids = append(g.ids, h.ID(g.network, s.Signer()))
	if rapid.IntRange(0, 3).Draw(t, "comes late") == 0 {
		g.kept = append(g.kept, s)
		return
	}
	g.hear(member, s)
}

func (g *governed) hear(member int, s quorum.Signed[quorum.Halt]) {
	g.bring(func(tx *Tx) error { _, err := tx.PutHalt(s); return err })
	g.standing[member] = append(g.standing[member], s.Body().ID(g.network, s.Signer()))
}

func (g *governed) late(*rapid.T) {
	if len(g.kept) > 0 {
		s := g.kept[0]
		g.kept = g.kept[1:]
		g.hear(slices.Index(g.roster.IDs(), s.Signer()), s)
	}
}

func (g *governed) clear(t *rapid.T) {
	member := rapid.IntRange(1, 3).Draw(t, "member")
	all := g.standing[member]
	if len(all) == 0 {
		return
	}
	i := rapid.IntRange(0, len(all)-1).Draw(t, "halt")
	s := theirs(g.protoNet, member, quorum.Clear{Epoch: 1, Counter: g.next(), Halt: all[i], Reason: "r", Time: g.count})
	g.bring(func(tx *Tx) error { _, err := tx.PutClear(s); return err })
	g.standing[member] = append(all[:i:i], all[i+1:]...)
}

// own is this node's fuse, and its operator's word.
func (g *governed) own(*rapid.T) {
	require.NoError(g.t, g.l.Update(func(tx *Tx) error {
		_, err := tx.TripFuse(stopAll, by[quorum.Halt](g.protoNet, 0))
		return err
	}))
}

func (g *governed) mend(*rapid.T) {
	err := g.l.Update(func(tx *Tx) error { _, err := tx.ClearHalt("r", by[quorum.Clear](g.protoNet, 0)); return err })
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNetworkHalted) {
		require.NoError(g.t, err)
	}
}

func (g *governed) decision(fx DecisionEffects) {
	var height uint64
	g.view(func(tx *Tx) error { height = tx.LastHeight() + 1; return nil })
	c := g.commit(g.roster, height, fmt.Sprintf("value %d", height))
	g.bring(func(tx *Tx) error { return tx.Decide(c, fx) })
}

func (g *governed) serial() (n uint64) {
	g.view(func(tx *Tx) error { n = tx.LastSerial(); return nil })
	return n + 1
}

// resume lists some of all halts that were ever signed, heard here or not.
func (g *governed) resume(t *rapid.T) {
	var some []common.Hash
	for _, id := range g.ids {
		if rapid.Bool().Draw(t, "is resumed") {
			some = append(some, id)
		}
	}
	g.decision(DecisionEffects{Action: resumeAction(g.serial(), some...)})
}

func (g *governed) policy(*rapid.T) {
	if g.version < 9 { // one digit, see policyText
		g.version++
		g.decision(DecisionEffects{Action: policyAction(g.t, g.serial(), g.version)})
	}
}

func (g *governed) resolve(t *rapid.T) {
	if g.version == 9 {
		return
	}
	g.version++
	a := policyAction(g.t, g.serial(), g.version)
	a.Kind = quorum.ActionResolve
	a.Resolve = &quorum.Resolve{File: a.File, Reason: "r", Uncovered: wei(1), Accounts: []quorum.Rewrite{{
		Account: common.Address{0xac}, UpTo: 5, Debits: []quorum.Debit{{ID: rapid.Uint64Range(1, 5).Draw(t, "debit"), Kind: 4, Amount: "7"}},
	}}}
	g.decision(DecisionEffects{Action: a})
}

func (g *governed) payout(*rapid.T) {
	g.decision(DecisionEffects{Items: []quorum.Content{g.content(100 + g.nonce)}, Slot: g.slot(g.nonce)})
	g.nonce++
}

// whole is one hash over every record of both halves.
func (g *governed) whole() (h common.Hash) {
	state := crypto.NewKeccakState()
	g.view(func(tx *Tx) error {
		for _, name := range append(protocolBuckets(), booksBuckets()...) {
			state.Write(encode(name))
			if err := tx.scan(name, nil, func(k, v []byte) error { state.Write(encode([][]byte{k, v})); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	state.Read(h[:])
	return h
}

// TestNothingThatComesAgainDoesAnythingTwice: halts, their ends, and decided actions come in any order, some late, and all
// that ever came comes again at every later moment, over restarts. Not a byte of the database changes then.
func TestNothingThatComesAgainDoesAnythingTwice(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		g := &governed{protoNet: newProtoNet(outer, 4), standing: map[int][]common.Hash{}, version: 1}
		steps := []func(*rapid.T){g.halt, g.halt, g.late, g.clear, g.own, g.mend, g.resume, g.policy, g.resolve, g.payout}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			rapid.SampledFrom(steps).Draw(t, "step")(t)
			before := g.whole()
			all := rapid.Permutation(g.brought).Draw(t, "again")
			require.NoError(t, g.l.Update(func(tx *Tx) error {
				for _, again := range all {
					if err := again(tx); err != nil {
						return err
					}
				}
				return nil
			}))
			require.Equal(t, before, g.whole())
			if rapid.IntRange(0, 4).Draw(t, "restart") == 0 {
				g.reopen()
				require.Equal(t, before, g.whole())
			}
		}
		require.Empty(t, g.evidence())
		g.check()
	})
}
