package ledger

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// policyText is a policy file of a version.
func policyText(t require.TestingT, version int) []byte {
	raw, err := os.ReadFile("../quorum/testdata/policy-plain.toml")
	require.NoError(t, err)
	text := string(raw)
	at := strings.Index(text, "version = ")
	end := at + strings.IndexByte(text[at:], '\n')
	return []byte(text[:at] + "version = " + string(rune('0'+version)) + text[end:])
}

func makeTemp(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "conclave-ledger")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func policyAction(t require.TestingT, serial uint64, version int) *ActionEffects {
	file := policyText(t, version)
	p, err := quorum.ParsePolicy(file)
	require.NoError(t, err)
	return &ActionEffects{Serial: serial, Kind: quorum.ActionPolicy, File: file, Policy: p.Ref()}
}

func resumeAction(serial uint64, halts ...common.Hash) *ActionEffects {
	return &ActionEffects{Serial: serial, Kind: quorum.ActionResume, Resumed: halts}
}

func TestResumeClearsHaltsForEver(t *testing.T) {
	p := newProtoNet(t, 4)
	raw := p.trip(stopAll)
	own, err := quorum.Open[quorum.Halt](p.network, p.roster.IDs(), raw)
	require.NoError(t, err)
	one := p.halts(1, stopAll)
	unheard := theirs(p, 2, quorum.Halt{Epoch: 1, Counter: p.next(), Code: "late", Reason: "r"})
	require.True(t, p.networkHalted(quorum.ScopeAll, ""))

	c := p.decide(DecisionEffects{Action: resumeAction(1, own.Body().ID(p.network, own.Signer()), one, unheard.Body().ID(p.network, unheard.Signer()))})
	require.False(t, p.networkHalted(quorum.ScopeAll, ""))
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.update(func(tx *Tx) error { return tx.Decide(c, DecisionEffects{}) }) // shown again

	// What was resumed before it was heard never counts either.
	p.update(func(tx *Tx) error { _, err := tx.PutHalt(unheard); return err })
	p.halts(3, stopAll)
	require.False(t, p.networkHalted(quorum.ScopeAll, ""), "one halt stands")
	p.refused(ErrNotFound, func(tx *Tx) error { _, err := tx.ClearHalt("nothing stands", by[quorum.Clear](p, 0)); return err })
	require.NotEqual(t, raw, p.trip(stopAll), "the same cause again is a new halt")
	require.True(t, p.networkHalted(quorum.ScopeAll, ""))
	p.broken("I12", func(tx *Tx) error { return tx.b.Bucket(bucketResumed).Put(one[:], be64(1)) })
}

func TestPolicyInForce(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.decide(DecisionEffects{Action: policyAction(t, 3, 2)})
	p.refused(ErrNotInForce, func(tx *Tx) error { _, err := p.approve(tx, 2); return err })
	second := policyAction(t, 3, 2).Policy
	p.update(p.judged(1, func(a *quorum.Approve, _ *Case) { a.Policy = second })) // signed anew
	p.view(func(tx *Tx) error {
		rec, ok, err := tx.PolicyInForce()
		require.True(t, ok)
		require.Equal(t, PolicyRecord{second, 3, policyText(t, 2)}, rec)
		require.Equal(t, uint64(3), tx.LastSerial())
		return err
	})
	p.refused(ErrOrder, func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "serial"), DecisionEffects{Action: policyAction(t, 3, 3)})
	})
	p.refused(ErrOrder, func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "version"), DecisionEffects{Action: policyAction(t, 4, 2)})
	})
	p.decide(DecisionEffects{Action: policyAction(t, 4, 3)})
	p.broken("I12", func(tx *Tx) error { return tx.put(bucketPolicies, be64(2), PolicyRecord{second, 2, policyText(t, 2)}) })
	p.broken("I12", func(tx *Tx) error { return tx.put(bucketPolicies, be64(2), PolicyRecord{second, 3, policyText(t, 3)}) })
	p.broken("I12", func(tx *Tx) error { return tx.put(bucketActions, be64(9), DecidedAction{9, quorum.ActionPolicy, 99}) })
}

func TestProposalsAreKept(t *testing.T) {
	p := newProtoNet(t, 4)
	one := common.HexToHash("0x1")
	p.update(func(tx *Tx) error {
		return errors.Join(tx.PutProposal(one, []byte{1}), tx.PutProposal(common.HexToHash("0x2"), []byte{2}))
	})
	p.update(func(tx *Tx) error {
		return errors.Join(tx.PutProposal(one, []byte{3}), tx.DropProposal(common.HexToHash("0x2")))
	})
	var held [][]byte
	p.view(func(tx *Tx) error {
		return tx.Proposals(func(raw []byte) error { held = append(held, raw); return nil })
	})
	require.Equal(t, [][]byte{{3}}, held)
}

// Stops is MaySign over everything at once.
func TestStopsSayWhatMaySignSays(t *testing.T) {
	p := newProtoNet(t, 4)
	account, other := common.HexToAddress("0xac"), common.HexToAddress("0xad")
	places := []struct {
		network string
		account common.Address
	}{{"a", account}, {"a", other}, {"b", account}, {"b", other}}
	same := func() {
		t.Helper()
		p.view(func(tx *Tx) error {
			stops, err := tx.Stops()
			for _, at := range places {
				require.Equal(t, errors.Is(tx.MaySign(at.network, at.account), ErrHalted), stops.Covers(at.network, at.account), "%v", at)
			}
			return err
		})
	}
	same()
	p.halts(1, quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: "a", Code: "x"})
	same()
	p.halts(2, quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: "a", Code: "x"})
	same()
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeAccount, Target: other.Hex(), Code: "y"})
	same()
	p.halts(3, quorum.Halt{Epoch: 1, Scope: quorum.ScopeAll, Code: "z"})
	same()
	p.halts(2, quorum.Halt{Epoch: 1, Scope: quorum.ScopeAll, Code: "z"})
	same()
}

// A halt of an account keeps a decided slot of it from being signed, and no other.
func TestAHaltOfAnAccountStopsItsSlots(t *testing.T) {
	p := newProtoNet(t, 4)
	p.pay(0, 1)
	p.pay(1, 2)
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeAccount, Target: p.content(1).Account.Hex(), Code: "operator"})
	p.view(func(tx *Tx) error {
		first, _, err := tx.Slot(p.slotKey(0))
		require.ErrorIs(t, tx.MaySignSlot(first), ErrHalted)
		second, _, err2 := tx.Slot(p.slotKey(1))
		require.NoError(t, tx.MaySignSlot(second))
		return errors.Join(err, err2)
	})
}

// A lane's halt holds up its own sequence of nonces, and no other chain's.
func TestAHaltedSlotHoldsUpItsSequenceAlone(t *testing.T) {
	p := newProtoNet(t, 4)
	next := func() (out []uint64) {
		p.view(func(tx *Tx) error {
			next, ok, err := tx.NextTurn(nil)
			if ok {
				out = next.Slot.Items
			}
			return err
		})
		return out
	}
	other := p.slot(0)
	other.Network, other.Lane.ChainID = "elsewhere", 7
	decide := func(slot *SlotFields, network string, wid uint64) {
		t.Helper()
		c := p.content(wid)
		c.Network, c.Token = network, slot.Lane.Token
		p.update(func(tx *Tx) error {
			height := tx.LastHeight() + 1
			return tx.Decide(p.commit(p.roster, height, "value"+string(rune('0'+height))), DecisionEffects{Items: []quorum.Content{c}, Slot: slot})
		})
	}
	require.Empty(t, next())
	decide(p.slot(0), protoLane, 1)
	token := p.slot(1)
	token.Network, token.Lane.Token = "tokens", common.HexToAddress("0x7")
	decide(token, "tokens", 2)
	decide(other, "elsewhere", 3)
	require.Equal(t, []uint64{1}, next(), "decided first")
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: protoLane, Code: "operator"})
	require.Equal(t, []uint64{3}, next(), "the token lane shares the halted lane's nonces; the other chain does not")
	p.update(func(tx *Tx) error { _, err := tx.ClearHalt("over", by[quorum.Clear](p, 0)); return err })
	require.Equal(t, []uint64{1}, next())
	p.trip(quorum.Halt{Epoch: 1, Scope: quorum.ScopeLane, Target: "tokens", Code: "operator"})
	require.Equal(t, []uint64{1}, next())
}
