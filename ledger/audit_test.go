package ledger

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func TestAuditTrailIsChained(t *testing.T) {
	p := newProtoNet(t, 4)
	before := p.check()
	p.update(func(tx *Tx) error { return tx.Audit("tested", "one") })
	p.update(func(tx *Tx) error { return tx.Audit("tested", "two") })
	after := p.check()
	require.Equal(t, before.AuditLines+2, after.AuditLines)
	var lines []AuditLine
	p.view(func(tx *Tx) error {
		return tx.AuditTrail(after.AuditLines-1, func(l AuditLine) error { lines = append(lines, l); return nil })
	})
	require.Len(t, lines, 2)
	require.Equal(t, "one", lines[0].Ref)
	require.Equal(t, lines[0].Hash(), lines[1].Prev)
	require.Equal(t, after.AuditHash, lines[1].Hash())
	require.NotZero(t, lines[1].Time)
	for _, change := range []func(*AuditLine){
		func(l *AuditLine) { l.Index++ }, func(l *AuditLine) { l.Time++ }, func(l *AuditLine) { l.What += "x" },
		func(l *AuditLine) { l.Ref += "x" }, func(l *AuditLine) { l.Prev[0]++ },
	} {
		l := lines[1]
		change(&l)
		require.NotEqual(t, lines[1].Hash(), l.Hash())
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	e := Evidence{Kind: EvidenceTSS, Member: addressOf(p.keys[1]), First: []byte("a"), Second: []byte("b")}
	add := func(e Evidence) (added bool) {
		require.NoError(t, p.l.Update(func(tx *Tx) (err error) { added, err = tx.AddEvidence(e); return }))
		return added
	}
	require.True(t, add(e))
	require.False(t, add(e))
	swapped := e
	swapped.First, swapped.Second = e.Second, e.First
	require.False(t, add(swapped), "two statements are one piece in either order")
	for i := range uint64(MaxEvidence - 1) {
		e.Second = be64(i)
		require.True(t, add(e))
	}
	e.Second = []byte("one too many")
	require.False(t, add(e))
	e.Kind = EvidencePayment
	require.True(t, add(e), "another kind has its own share")
	e.Member = addressOf(p.keys[2])
	require.True(t, add(e))
	require.Len(t, p.evidence(), MaxEvidence+2)
	p.check()
}

func TestHeardStatements(t *testing.T) {
	p := newProtoNet(t, 4)
	member, other := addressOf(p.keys[1]), addressOf(p.keys[2])
	hear := func(m common.Address, counter uint64, raw string) (ev *Evidence) {
		require.NoError(t, p.l.Update(func(tx *Tx) (err error) { ev, err = tx.Hear(m, counter, []byte(raw)); return }))
		return ev
	}
	newest := func(m common.Address) (counter uint64, text string) {
		p.view(func(tx *Tx) error {
			c, raw, ok := tx.Newest(m)
			require.Equal(t, ok, raw != nil)
			counter, text = c, string(raw)
			return nil
		})
		return counter, text
	}
	n, _ := newest(member)
	require.Zero(t, n)
	require.Nil(t, hear(member, 7, "seven"))
	require.Nil(t, hear(other, 9, "nine"))
	require.Nil(t, hear(member, 3, "three"))
	require.Nil(t, hear(member, 7, "seven"))
	n, text := newest(member)
	require.Equal(t, uint64(7), n)
	require.Equal(t, "seven", text)
	n, _ = newest(other)
	require.Equal(t, uint64(9), n)
	n, _ = newest(addressOf(p.keys[3]))
	require.Zero(t, n)

	ready := func(height uint64) string {
		return string(theirs(p, 1, quorum.Ready{Epoch: 1, Counter: 8, Height: height, Batch: common.Hash{1}}).Bytes())
	}
	require.Nil(t, hear(member, 8, ready(1)))
	require.Nil(t, hear(member, 8, ready(1)))
	ev := hear(member, 8, ready(2))
	require.Equal(t, EvidenceCounter, ev.Kind)
	require.Equal(t, []string{ready(1), ready(2)}, []string{string(ev.First), string(ev.Second)})
	own := theirs(p, 1, quorum.Ready{Epoch: 99, Counter: 8, Height: 3, Batch: common.Hash{1}})
	require.Nil(t, hear(member, 8, string(own.Bytes())), "an epoch of its own making convinces nobody, and stops nothing here")
	require.Nil(t, hear(member, ^uint64(0), "the last"))
	n, _ = newest(member)
	require.Equal(t, ^uint64(0), n)
}

func TestHeardStatementsAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	member := addressOf(p.keys[1])
	require.NoError(t, p.l.Update(func(tx *Tx) error {
		for i := range uint64(MaxHeard + 50) {
			if _, err := tx.Hear(member, 100+i, be64(i)); err != nil {
				return err
			}
		}
		ev, err := tx.Hear(member, 5, []byte("long gone"))
		require.Nil(t, ev)
		return err
	}))
	var counters []uint64
	p.view(func(tx *Tx) error {
		return tx.each(bucketHeard, member[:], func(k, _ []byte) error { counters = append(counters, readBE64(k[20:])); return nil })
	})
	require.Len(t, counters, MaxHeard)
	require.Equal(t, uint64(150), counters[0], "the newest are kept")
}

func TestExcludedMembers(t *testing.T) {
	p := newProtoNet(t, 4)
	e := Evidence{Kind: EvidenceTSS, Member: addressOf(p.keys[1]), First: []byte("a")}
	p.update(func(tx *Tx) error { return tx.Exclude(1, e) })
	p.update(func(tx *Tx) error { return tx.Exclude(1, e) })
	p.view(func(tx *Tx) error {
		now, err := tx.Excluded(1)
		require.Equal(t, quorum.Members{e.Member}, now)
		next, err2 := tx.Excluded(2)
		require.Empty(t, next, "a new key is a new start")
		require.NoError(t, err2)
		return err
	})
	require.Equal(t, []EvidenceKind{EvidenceTSS}, p.evidence())
}

// Whoever is told hears of each piece once, when it is on disk, and of nothing that was undone.
func TestEvidenceIsTold(t *testing.T) {
	p := newProtoNet(t, 4)
	var told []common.Hash
	p.l.OnEvidence(func(e Evidence) { told = append(told, e.ID()) })
	e := Evidence{Kind: EvidenceTSS, Member: addressOf(p.keys[1]), First: []byte("a"), Second: []byte("b")}
	undo := errors.New("undo")
	require.ErrorIs(t, p.l.Update(func(tx *Tx) error { _, err := tx.AddEvidence(e); return errors.Join(err, undo) }), undo)
	require.Empty(t, told)
	p.update(func(tx *Tx) error { _, err := tx.AddEvidence(e); return err })
	p.update(func(tx *Tx) error { _, err := tx.AddEvidence(e); return err })
	require.Equal(t, []common.Hash{e.ID()}, told)
	e.First, e.Second = e.Second, e.First
	require.Equal(t, told[0], e.ID(), "in either order")
}

// A statement that its signer signed twice is one statement: nothing is kept against an honest member whatever it resends.
func TestOneStatementIsNoEvidence(t *testing.T) {
	p := newProtoNet(t, 4)
	s := theirs(p, 1, quorum.Ready{Epoch: 1, Counter: 8, Height: 1, Batch: common.Hash{1}})
	p.update(func(tx *Tx) error {
		for range 2 {
			ev, err := tx.Hear(s.Signer(), 8, s.Bytes())
			require.Nil(t, ev)
			require.NoError(t, err)
		}
		return nil
	})
	require.Empty(t, p.evidence())
}

// TestEveryKindIsHeard offers a member's second statement under one counter, of another kind each time.
func TestEveryKindIsHeard(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	halt := stopAll
	halt.Counter = 50
	session := p.intent(c, 0, 0)
	outcome := p.outcome(0, c, 1)
	outcome.Counter = 50
	approval := p.approval(2)
	approval.Counter = 50
	for name, put := range map[string]func(*Tx) error{
		"outcome": func(tx *Tx) error { _, err := tx.PutOutcome(theirs(p, 1, outcome)); return err },
		"abort": func(tx *Tx) error {
			a := quorum.Abort{Epoch: 1, Counter: 50, Session: session.Session, Batch: c.ID(), Set: session.Set}
			_, err := tx.PutAbort(theirs(p, 1, a))
			return err
		},
		"clear": func(tx *Tx) error {
			clear := quorum.Clear{Epoch: 1, Counter: 50, Halt: halt.ID(p.network, addressOf(p.keys[1])), Reason: "r"}
			_, err := tx.PutClear(theirs(p, 1, clear))
			return err
		},
		"approval": func(tx *Tx) error { _, _, err := tx.PutApproval(theirs(p, 1, approval)); return err },
	} {
		undo := errors.New("undo")
		err := p.l.Update(func(tx *Tx) error {
			if _, err := tx.PutHalt(theirs(p, 1, halt)); err != nil {
				return err
			}
			if err := put(tx); err != nil {
				return err
			}
			var kinds []EvidenceKind
			err := tx.Evidences(func(e Evidence) error { kinds = append(kinds, e.Kind); return nil })
			require.Equal(t, []EvidenceKind{EvidenceCounter}, kinds, name)
			return errors.Join(err, undo)
		})
		require.ErrorIs(t, err, undo, name)
	}
}
