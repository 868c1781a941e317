package ledger

import (
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// books books rows as plain income of one account.
func (p *protoNet) books(ids ...uint64) {
	p.t.Helper()
	var rows []Event
	for _, id := range ids {
		rows = append(rows, event(id, testAccount(1), TaskIncome, "5"))
	}
	p.update(func(tx *Tx) error { _, err := tx.Append(rows, plenty()); return err })
}

// signDue signs whatever is due and returns the ranges.
func (p *protoNet) signDue() (out []uint64) {
	p.t.Helper()
	p.update(func(tx *Tx) (err error) {
		if out, err = tx.DueCheckpoints(100); err != nil {
			return err
		}
		for _, r := range out {
			if _, err := tx.Checkpoint(r, by[quorum.Checkpoint](p, 0)); err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

func (p *protoNet) rangeState(r uint64) (s RangeState) {
	p.t.Helper()
	p.view(func(tx *Tx) (err error) { s, err = tx.RangeState(r); return err })
	return s
}

// word is a member's checkpoint of a sum.
func (p *protoNet) word(member int, sum RangeSum) quorum.Signed[quorum.Checkpoint] {
	return theirs(p, member, quorum.Checkpoint{Epoch: 1, Counter: p.next(), Range: sum.Range, Count: sum.Count, Hash: sum.Hash})
}

func (p *protoNet) hear(words ...quorum.Signed[quorum.Checkpoint]) {
	p.t.Helper()
	p.update(func(tx *Tx) error {
		for _, w := range words {
			if _, _, err := tx.PutCheckpoint(w); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *protoNet) open() (out []uint64) {
	p.t.Helper()
	p.view(func(tx *Tx) error {
		_, err := tx.OpenRanges(0, 1000, func(s RangeState) error { out = append(out, s.Range); return nil })
		return err
	})
	return out
}

// sumWith is the sum of a range with these ids of income.
func sumWith(r uint64, ids ...uint64) RangeSum {
	var rows []Event
	for _, id := range ids {
		rows = append(rows, event(id, testAccount(1), TaskIncome, "5"))
	}
	s := SumRows(rows)
	return RangeSum{r, s.Count, s.Hash}
}

// A range is due once the settled log has left it, and again when a late row enters; nothing else is.
func TestCheckpointsAreDue(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 2, 4095)
	require.Empty(t, p.signDue(), "the range is still open")
	p.books(4096, 50_000)
	require.Equal(t, []uint64{0, 1}, p.signDue(), "ranges without rows are nobody's business")
	p.view(func(tx *Tx) error { require.False(t, tx.CheckpointsDue()); return nil })
	p.books(3)
	p.reopen()
	p.view(func(tx *Tx) error { require.True(t, tx.CheckpointsDue(), "a restart forgets nothing"); return nil })
	require.Equal(t, []uint64{0}, p.signDue())
	s := p.rangeState(0)
	require.Equal(t, uint64(4), s.Own.Count)
	require.Len(t, s.Said, 1)
	require.True(t, s.Own.says(s.Said[0].Body()), "the newest word stands")
	require.Equal(t, sumWith(0, 1, 2, 3, 4095), s.Own)
	p.check()
}

// The words of one state of a range are signed once, whatever is asked; each new state takes a higher counter.
func TestOneWordPerState(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 5000)
	p.signDue()
	sign := func() (raw []byte) {
		p.update(func(tx *Tx) (err error) { raw, err = tx.Checkpoint(0, by[quorum.Checkpoint](p, 0)); return err })
		return raw
	}
	first := sign()
	require.Equal(t, first, sign())
	p.books(2)
	second := sign()
	a, err := quorum.Open[quorum.Checkpoint](p.network, p.roster.IDs(), first)
	require.NoError(t, err)
	b, err := quorum.Open[quorum.Checkpoint](p.network, p.roster.IDs(), second)
	require.NoError(t, err)
	require.Greater(t, b.Body().Counter, a.Body().Counter)
	p.view(func(tx *Tx) error {
		raw, ok, err := tx.OwnStatement(a.Body().Counter)
		require.True(t, ok)
		require.Equal(t, first, raw, "every byte that was said stands on the disk")
		return err
	})
	p.refused(ErrOrder, func(tx *Tx) error { _, err := tx.Checkpoint(1, by[quorum.Checkpoint](p, 0)); return err })
	p.check()
}

// Before there is a key nobody signs; a database that filled up before signs everything then.
func TestNothingIsDueBeforeTheFirstEpoch(t *testing.T) {
	p := bareProtoNet(t, 4)
	p.books(1, 5000, 9000)
	require.Empty(t, p.signDue())
	p.refused(ErrOrder, func(tx *Tx) error { _, err := tx.Checkpoint(0, by[quorum.Checkpoint](p, 0)); return err })
	p.update(func(tx *Tx) error {
		return errorsOf(tx.b.Bucket(bucketCheckpointDue).Delete(be64(0)), tx.Decide(p.commit(p.genesis, 1, "members"), DecisionEffects{Members: p.members(1)}))
	})
	require.Equal(t, []uint64{0, 1}, p.signDue(), "also what was settled before there were marks")
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// q equal words certify; the certificate with most rows stands, and what it says as well is not kept twice.
func TestRangesAreCertified(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 2, 5000)
	p.signDue()
	have := sumWith(0, 1, 2)
	old := p.word(1, sumWith(0, 1))
	p.hear(old)
	require.Equal(t, []uint64{0}, p.open())
	p.hear(p.word(1, have))
	require.Nil(t, p.rangeState(0).Certified)
	p.hear(p.word(2, have))
	s := p.rangeState(0)
	require.NotNil(t, s.Certified)
	require.False(t, s.Differs())
	require.Empty(t, s.Said, "the certificate holds what they said")
	require.Empty(t, p.open())
	p.hear(old)
	require.Empty(t, p.open(), "an older word that is shown again is nothing")

	// A late row at the others: the certified range has one more.
	more := sumWith(0, 1, 2, 3)
	p.hear(p.word(1, more), p.word(2, more), p.word(3, more))
	s = p.rangeState(0)
	require.True(t, s.Differs())
	require.Equal(t, uint64(3), s.Certified.Checkpoint.Count)
	require.Equal(t, []uint64{0}, p.open())
	var less quorum.CheckpointCertificate
	for range 1 {
		words := []quorum.Signed[quorum.Checkpoint]{p.word(1, have), p.word(2, have), p.word(3, have)}
		less, _ = quorum.CertifyCheckpoint(p.roster, words)
	}
	p.update(func(tx *Tx) error {
		added, err := tx.PutRangeCertificate(less)
		require.False(t, added, "fewer rows never stand again")
		return err
	})
	p.books(3)
	p.signDue()
	require.False(t, p.rangeState(0).Differs())
	require.Empty(t, p.open())
	p.check()
}

// One member's words fill no more of the disk than this node's own log, and a little.
func TestCheckpointsAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 5000*RangeSize)
	put := func(r uint64) (added bool, err error) {
		err = p.l.Update(func(tx *Tx) error {
			added, _, err = tx.PutCheckpoint(p.word(1, sumWith(r, r*RangeSize+1)))
			return err
		})
		return added, err
	}
	for r := range uint64(maxEmptyRanges) {
		added, err := put(r + 1)
		require.NoError(t, err)
		require.True(t, added)
	}
	_, err := put(4000)
	require.ErrorIs(t, err, ErrFull)
	added, err := put(0)
	require.NoError(t, err)
	require.True(t, added, "ranges with rows are not counted")
	added, err = put(5000 + checkpointsAhead)
	require.NoError(t, err)
	require.False(t, added)
	added, err = put(5000 + checkpointsAhead - 1)
	require.NoError(t, err)
	require.True(t, added)
	p.refused(ErrNotInForce, func(tx *Tx) error {
		_, _, err := tx.PutCheckpoint(theirs(p, 1, quorum.Checkpoint{Epoch: 2, Counter: p.next(), Count: 1}))
		return err
	})
}

// Two words under one counter are evidence against whoever signed them.
func TestTwoCheckpointsUnderOneCounter(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 5000)
	a := theirs(p, 1, quorum.Checkpoint{Epoch: 1, Counter: 7, Count: 1, Hash: common.HexToHash("0x01")})
	b := theirs(p, 1, quorum.Checkpoint{Epoch: 1, Counter: 7, Count: 2, Hash: common.HexToHash("0x02")})
	p.hear(a)
	p.update(func(tx *Tx) error {
		_, ev, err := tx.PutCheckpoint(b)
		require.Equal(t, EvidenceCounter, ev.Kind)
		rule, who, err2 := quorum.Conflict(p.network, p.roster.IDs().InEveryEpoch(), ev.First, ev.Second)
		require.NoError(t, err2)
		require.Equal(t, quorum.RuleCounter, rule)
		require.Equal(t, addressOf(p.keys[1]), who)
		return err
	})
}

func TestCheckpointsFromPages(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 5000, 100_000, 200_000)
	p.signDue()
	sum := sumWith(0, 1)
	p.hear(p.word(1, sum), p.word(2, sum))
	p.view(func(tx *Tx) error {
		certs, words, next, err := tx.CheckpointsFrom(0, 2)
		require.Len(t, certs, 1)
		require.Len(t, words, 1)
		require.Equal(t, uint64(100_000/RangeSize), next)
		if err != nil {
			return err
		}
		certs, words, next, err = tx.CheckpointsFrom(next, 2)
		require.Empty(t, certs)
		require.Len(t, words, 1)
		require.Zero(t, next)
		return err
	})
}

// A dispute freezes whom it names, once, and ends with them when the range agrees.
func TestDisputesEndWhenTheRangeAgrees(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 2, 5000)
	p.signDue()
	more := sumWith(0, 1, 2, 3)
	p.hear(p.word(1, more), p.word(2, more), p.word(3, more))
	s := p.rangeState(0)
	own := s.Said[0].Bytes()
	d := RangeDispute{Range: 0, Level: DisputeCertified, Found: 1, Own: own, Certified: encode(s.Certified),
		Diffs: []RowDiff{{ID: 3, Theirs: encode(event(3, testAccount(2), TaskIncome, "5"))}}, Frozen: []common.Address{testAccount(2)}}
	put := func(d RangeDispute) (added bool) {
		p.update(func(tx *Tx) (err error) { added, err = tx.PutRangeDispute(d); return err })
		return added
	}
	require.True(t, put(d))
	require.False(t, put(d))
	frozen := func() (n uint64) { p.view(func(tx *Tx) error { n = tx.FrozenAccounts(); return nil }); return n }
	require.Equal(t, uint64(1), frozen())
	p.books(3)
	p.signDue()
	require.Zero(t, frozen())
	p.view(func(tx *Tx) error {
		return tx.RangeDisputes(func(d RangeDispute) error { require.NotZero(t, d.Over); return nil })
	})

	for i := range MaxDisputes + 5 {
		d.Range, d.Frozen = uint64(i+10), nil
		require.Equal(t, i < MaxDisputes, put(d), "the one that is over makes room, those that stand do not")
	}
	p.check()

	// Whatever stands: what is frozen thaws with its range.
	p.books(2*RangeSize+5, 3*RangeSize+5)
	p.signDue()
	for i := range byte(2) {
		d.Range, d.Level, d.From, d.Frozen = 2, DisputeSplit, testAccount(50+int(i)), []common.Address{testAccount(30 + int(i))}
		d.Own = []byte{i}
		require.Equal(t, i == 0, put(d), "another one on the range joins it")
	}
	require.Equal(t, uint64(2), frozen())
	s2 := p.rangeState(2)
	same := RangeSum{Range: 2, Count: s2.Own.Count, Hash: s2.Own.Hash}
	p.hear(p.word(1, same), p.word(2, same), p.word(3, same))
	require.Zero(t, frozen())
}

// The differences of two logs are exactly what makes one of the other.
func TestDiffRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := func(label string) (out []Event) {
			for _, id := range rapid.SliceOfNDistinct(rapid.Uint64Range(0, 40), 0, 20, rapid.ID).Draw(t, label) {
				out = append(out, event(id, testAccount(1), TaskIncome, fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "amount"))))
			}
			sortEvents(out)
			return out
		}
		own, theirs := side("own"), side("theirs")
		merged := map[uint64][]byte{}
		for _, e := range own {
			merged[e.ID] = encode(e)
		}
		last := int64(-1)
		for _, d := range DiffRows(own, theirs) {
			require.Greater(t, int64(d.ID), last)
			last = int64(d.ID)
			require.NotEqual(t, d.Own, d.Theirs)
			require.Equal(t, string(merged[d.ID]), string(d.Own))
			if merged[d.ID] = d.Theirs; d.Theirs == nil {
				delete(merged, d.ID)
			}
		}
		require.Len(t, merged, len(theirs))
		for _, e := range theirs {
			require.Equal(t, encode(e), merged[e.ID])
		}
	})
}

func sortEvents(rows []Event) {
	for i := range rows {
		for j := i; j > 0 && rows[j].ID < rows[j-1].ID; j-- {
			rows[j], rows[j-1] = rows[j-1], rows[j]
		}
	}
}

// Sections are cut where they are summed: the rows of all of them are the rows of the range.
func TestSectionsMakeTheRange(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 255, 256, 4095, 4096, 4500, 9000)
	p.view(func(tx *Tx) error {
		for r := range uint64(2) {
			rows, err := tx.RangeRows(r*RangeSize, RangeSize)
			if err != nil {
				return err
			}
			var again []Event
			for i, section := range SectionsOf(r, rows) {
				part, err := tx.RangeRows(r*RangeSize+uint64(i)*SectionSize, SectionSize)
				if err != nil {
					return err
				}
				require.Equal(t, SumRows(part), SumRows(section))
				again = append(again, section...)
			}
			require.Equal(t, rows, again)
			sum, err := tx.Range(r)
			require.Equal(t, SectionSum{sum.Count, sum.Hash}, SumRows(again))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// A check names a certificate or a word that somebody bent.
func TestCheckNamesBentCheckpoints(t *testing.T) {
	p := newProtoNet(t, 4)
	p.books(1, 5000, 9000)
	p.signDue()
	sum := sumWith(0, 1)
	p.hear(p.word(1, sum), p.word(2, sum))
	p.check()
	edit := func(tx *Tx, bucket, key []byte, into any, change func()) error {
		ok, err := tx.get(bucket, key, into)
		require.True(t, ok)
		change()
		return errorsOf(err, tx.put(bucket, key, into))
	}
	p.broken("I13", func(tx *Tx) error {
		var u quorum.UncheckedCheckpoint
		return edit(tx, bucketCheckpointCert, be64(0), &u, func() { u.Checkpoint.Count++ })
	})
	p.broken("I12", func(tx *Tx) error {
		var h heardCheckpoint
		return edit(tx, bucketCheckpoints, checkpointKey(1, addressOf(p.keys[0])), &h, func() { h.Counter++ })
	})
	p.broken("I2", func(tx *Tx) error {
		k, v := tx.b.Bucket(bucketCheckpointOwn).Cursor().First()
		require.NotNil(t, k)
		return tx.b.Bucket(bucketOwn).Delete(append([]byte{}, v...))
	})
}

// One member's inventions fill its own share of the disputes.
func TestOneMembersDisputesAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	for i := range maxDisputesOfOne + 2 {
		p.update(func(tx *Tx) error {
			added, err := tx.PutRangeDispute(RangeDispute{Range: uint64(i), Level: DisputeOne, From: addressOf(p.keys[1])})
			require.Equal(t, i < maxDisputesOfOne, added)
			return err
		})
	}
	p.update(func(tx *Tx) error {
		added, err := tx.PutRangeDispute(RangeDispute{Range: 99, Level: DisputeOne, From: addressOf(p.keys[2])})
		require.True(t, added)
		return err
	})
}
