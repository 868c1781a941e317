package ledger

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

func (p *protoNet) nonceOf(c quorum.Committed) (s Slot) {
	p.view(func(tx *Tx) error {
		var ok bool
		var err error
		s, ok, err = tx.SlotOfBatch(c.ID())
		require.True(p.t, ok)
		return err
	})
	return s
}

// intent is the session of the first q members for a decided batch, this node among them.
func (p *protoNet) intent(c quorum.Committed, k, attempt uint64) IntentFields {
	return IntentFields{
		Slot: p.nonceOf(c).Key, Batch: c.ID(), K: k, Attempt: attempt, Set: p.roster.IDs()[:p.roster.Q()],
		Session: crypto.Keccak256Hash(c.ID().Bytes(), be64(k), be64(attempt)),
		Digest:  crypto.Keccak256Hash(c.ID().Bytes(), be64(k)),
	}
}

func rawTx(c quorum.Committed, k uint64) []byte { return append(c.ID().Bytes(), byte(k)) }

func (p *protoNet) sign(c quorum.Committed, k uint64) {
	p.t.Helper()
	p.update(func(tx *Tx) error { return tx.PutSigned(c.ID(), k, rawTx(c, k), crypto.Keccak256Hash(rawTx(c, k))) })
}

func (p *protoNet) outcome(nonce uint64, c quorum.Committed, status uint64) quorum.Outcome {
	return quorum.Outcome{Epoch: 1, Lane: quorum.LaneKey{ChainID: protoChain, Payer: addressOf(p.payer)}, Nonce: nonce, Batch: c.ID(),
		TxHash: crypto.Keccak256Hash(rawTx(c, 0)), BlockHash: common.HexToHash("0xb1"), Status: status}
}

func (p *protoNet) certify(o quorum.Outcome) quorum.OutcomeCertificate {
	p.t.Helper()
	var votes []quorum.Signed[quorum.Outcome]
	for i := 1; i < len(p.keys); i++ {
		o.Counter = p.next()
		votes = append(votes, theirs(p, i, o))
	}
	cert, ok := quorum.CertifyOutcome(p.roster, votes)
	require.True(p.t, ok)
	return cert
}

func (p *protoNet) settle(nonce uint64, c quorum.Committed, status uint64) {
	p.t.Helper()
	cert := p.certify(p.outcome(nonce, c, status))
	p.update(func(tx *Tx) error { return tx.Settle(cert) })
}

func (p *protoNet) stage(nonce uint64) (out Payout) {
	p.view(func(tx *Tx) (err error) { out, _, err = tx.Payout(p.slotKey(nonce)); return })
	return out
}

func (p *protoNet) intentRefused(want error, f IntentFields) {
	p.t.Helper()
	i, err := p.l.RecordIntent(f)
	require.ErrorIs(p.t, err, want)
	require.True(p.t, i.Zero(), "a refused intent allows nothing")
}

func TestIntentIsWhatWasRecorded(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	require.True(t, Intent{}.Zero())
	f := p.intent(c, 0, 3)
	i, err := p.l.RecordIntent(f)
	require.NoError(t, err)
	require.False(t, i.Zero())
	require.Equal(t, f, IntentFields{i.Slot(), i.Batch(), i.K(), i.Attempt(), i.Session(), i.Set(), i.Digest()})

	// Neither the caller's slice nor the one handed out reaches the record.
	f.Set[0], i.Set()[0] = common.Address{}, common.Address{}
	require.Equal(t, p.roster.IDs()[0], i.Set()[0])

	p.reopen()
	p.check()
	p.view(func(tx *Tx) error {
		stored, ok, err := tx.IntentOf(i.Session())
		require.True(t, ok)
		require.Equal(t, i.Set(), stored.Set)
		highest, ok, err2 := tx.HighestAttempt(c.ID(), 0)
		require.True(t, ok)
		require.Equal(t, uint64(3), highest)
		_, ok, err3 := tx.HighestAttempt(c.ID(), 1)
		require.False(t, ok)
		n := 0
		err4 := tx.Intents(c.ID(), func(IntentFields) error { n++; return nil })
		require.Equal(t, 1, n)
		return errors.Join(err, err2, err3, err4)
	})
}

func TestIntentRules(t *testing.T) {
	p := newProtoNet(t, 4)
	c, later := p.pay(0, 1), p.pay(1, 2)
	good := p.intent(c, 0, 5)
	_, err := p.l.RecordIntent(good)
	require.NoError(t, err)
	change := func(fn func(*IntentFields)) IntentFields {
		f := p.intent(c, 0, 6)
		fn(&f)
		return f
	}
	p.intentRefused(ErrOrder, change(func(f *IntentFields) { f.Attempt = 5 }))
	p.intentRefused(ErrOrder, change(func(f *IntentFields) { f.Attempt = 4 }))
	p.intentRefused(ErrConflict, change(func(f *IntentFields) { f.Session = good.Session }))
	p.intentRefused(ErrNoSlot, change(func(f *IntentFields) { f.Batch = common.HexToHash("0x7") }))
	p.intentRefused(ErrNoSlot, change(func(f *IntentFields) { f.Slot.Nonce = 1 }))
	p.intentRefused(ErrNoSlot, change(func(f *IntentFields) { f.Slot.Nonce = 9 }))
	p.intentRefused(ErrOtherPayload, change(func(f *IntentFields) { f.Digest = common.HexToHash("0x7") }))
	ids := p.roster.IDs()
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = ids[:2] }))
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = ids }))
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = quorum.Members{ids[1], ids[0], ids[2]} }))
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = quorum.Members{ids[0], ids[0], ids[1]} }))
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = quorum.Members{ids[0], ids[1], common.MaxAddress} }))
	p.intentRefused(ErrNotEarliest, p.intent(later, 0, 0))
	for _, none := range []IntentFields{change(func(f *IntentFields) { f.Digest = common.Hash{} }), change(func(f *IntentFields) { f.Session = common.Hash{} })} {
		_, err := p.l.RecordIntent(none)
		require.ErrorContains(t, err, "needs a digest and a session")
	}

	// Once this node has spoken, it is known, and joins no session that it is not in.
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 9); return err })
	p.intentRefused(ErrNotInForce, change(func(f *IntentFields) { f.Set = ids[1:] }))
	_, err = p.l.RecordIntent(change(func(*IntentFields) {}))
	require.NoError(t, err)

	p.sign(c, 0)
	p.intentRefused(ErrSigned, p.intent(c, 0, 7))
	p.intentRefused(ErrNotDue, p.intent(c, 1, 0))
	p.sent(c, 0)
	p.intentRefused(ErrNotDue, p.intent(c, 2, 0))
	_, err = p.l.RecordIntent(p.intent(c, 1, 0))
	require.NoError(t, err, "a fee step is a new signature")
	_, err = p.l.RecordIntent(p.intent(later, 0, 0))
	require.NoError(t, err, "its turn has come")
	p.sign(c, 2)
	p.intentRefused(ErrSigned, p.intent(c, 1, 1))
	p.update(func(tx *Tx) error { return tx.Track(p.slotKey(1), Payout{Stage: StageMined, Status: 1}) })
	p.intentRefused(ErrSigned, p.intent(later, 0, 1))
	p.check()
}

// TestIntentNeedsTheCommit lets the last durable step fail: the record may be there, the authority is not.
func TestIntentNeedsTheCommit(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.l.high.path = filepath.Join(p.dir, "gone", "high-water")
	p.l.high.last = Mark{}
	_, err := p.l.commit(func(tx *Tx) error { _, err := tx.NextCounter(); return err })
	require.NoError(t, err)
	i, err := p.l.RecordIntent(p.intent(c, 0, 0))
	require.Error(t, err)
	require.True(t, i.Zero())
}

func TestAttemptsOnlyGrow(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	for k := range uint64(2) {
		highest := -1
		rapid.Check(t, func(r *rapid.T) {
			attempt := rapid.Uint64Range(0, 20).Draw(r, "attempt")
			f := p.intent(c, k, attempt)
			f.Session = crypto.Keccak256Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "session"), be64(attempt))
			_, err := p.l.RecordIntent(f)
			if (err == nil) != (int(attempt) > highest) {
				r.Fatalf("step %d, attempt %d after %d: %v", k, attempt, highest, err)
			}
			if err == nil {
				highest = int(attempt)
			}
		})
		p.sign(c, k)
		p.sent(c, k)
	}
	p.check()
}

func TestSignedBytesAreWrittenOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.sign(c, 0)
	p.sign(c, 0) // the same again
	other := []byte("a second signature over the same payload")
	p.refused(ErrConflict, func(tx *Tx) error { return tx.PutSigned(c.ID(), 0, other, crypto.Keccak256Hash(other)) })
	p.refused(ErrNotFound, func(tx *Tx) error {
		return tx.PutSigned(common.HexToHash("0x1"), 0, other, crypto.Keccak256Hash(other))
	})
	for _, raw := range [][]byte{nil, other} {
		require.ErrorContains(t, p.l.Update(func(tx *Tx) error { return tx.PutSigned(c.ID(), 1, raw, common.HexToHash("0x1")) }), "not of these bytes")
	}
	p.update(func(tx *Tx) error { return tx.Track(p.slotKey(0), Payout{Stage: StageBroadcast}) })
	p.sign(c, 1)
	require.Equal(t, StageBroadcast, p.stage(0).Stage, "a further fee step takes nothing back")
	p.view(func(tx *Tx) error {
		s, ok, err := tx.Signed(c.ID(), 0)
		require.True(t, ok)
		require.Equal(t, rawTx(c, 0), s.Raw)
		var ks []uint64
		err2 := tx.SignedOf(c.ID(), func(s Signed) error { ks = append(ks, s.K); return nil })
		require.Equal(t, []uint64{0, 1}, ks)
		return errors.Join(err, err2)
	})
}

func TestSlotsAreSignedInOrder(t *testing.T) {
	p := newProtoNet(t, 4)
	first, second := p.pay(0, 1), p.pay(1, 2)
	next := func() (nonce uint64, ok bool) {
		p.view(func(tx *Tx) error {
			s, found, err := tx.NextUnsigned(p.slotKey(0).Nonces())
			nonce, ok = s.Key.Nonce, found
			return err
		})
		return nonce, ok
	}
	nonce, ok := next()
	require.True(t, ok)
	require.Zero(t, nonce)
	p.sign(first, 0)
	nonce, ok = next()
	require.True(t, ok)
	require.Equal(t, uint64(1), nonce)
	// A node that was away sees it on the chain: others have signed it.
	p.update(func(tx *Tx) error { return tx.Track(p.slotKey(1), Payout{Stage: StageMined, Status: 1}) })
	_, ok = next()
	require.False(t, ok)

	open := func() (nonces []uint64) {
		p.view(func(tx *Tx) error {
			return tx.OpenSlots(func(s Slot, _ Payout) error { nonces = append(nonces, s.Key.Nonce); return nil })
		})
		return nonces
	}
	require.Equal(t, []uint64{0, 1}, open())
	p.settle(0, first, 1)
	require.Equal(t, []uint64{1}, open())
	p.settle(1, second, 1)
	require.Empty(t, open())
	p.view(func(tx *Tx) error {
		_, ok, err := tx.NextUnsigned(quorum.NonceKey{ChainID: 5})
		require.False(t, ok)
		n, ok := tx.LastNonce(p.slotKey(0).Nonces())
		require.True(t, ok)
		require.Equal(t, uint64(1), n)
		for _, k := range []quorum.NonceKey{{ChainID: 5}, {ChainID: protoChain}, {ChainID: 1 << 40, Payer: common.MaxAddress}} {
			_, ok = tx.LastNonce(k)
			require.False(t, ok)
		}
		s, ok, err2 := tx.SlotAt(3)
		require.True(t, ok)
		require.Equal(t, []uint64{2}, s.Items)
		wei, ok := s.WorstGas()
		require.True(t, ok)
		require.Equal(t, uint64(350_000), wei.Uint64())
		s.FeeCap.SetAllOne()
		_, ok = s.WorstGas()
		require.False(t, ok)
		_, ok, err3 := tx.SlotAt(1)
		require.False(t, ok)
		return errors.Join(err, err2, err3)
	})
}

func TestStages(t *testing.T) {
	mined := Payout{Stage: StageMined, TxHash: common.HexToHash("0x1"), Block: 7, BlockHash: common.HexToHash("0x7"), Status: 1}
	final := mined
	final.Stage = StageFinal
	elsewhere := final
	elsewhere.BlockHash = common.HexToHash("0x8")
	broadcast := Payout{Stage: StageBroadcast, TxHash: mined.TxHash, Block: 3, Status: 1}
	for name, c := range map[string]struct {
		way  []Payout
		last Payout
		want error
	}{
		"all the way":                   {[]Payout{broadcast, mined}, final, nil},
		"mined by others":               {[]Payout{mined}, final, nil},
		"a reorganisation":              {[]Payout{broadcast, mined}, broadcast, nil},
		"mined in another block":        {[]Payout{mined}, Payout{Stage: StageMined, Block: 9}, nil},
		"final twice":                   {[]Payout{final}, final, nil},
		"final elsewhere":               {[]Payout{final}, elsewhere, ErrConflict},
		"final is not mined again":      {[]Payout{final}, mined, ErrConflict},
		"broadcast before it is signed": {nil, broadcast, ErrOrder},
		"signed by observation":         {nil, Payout{Stage: StageSigned}, ErrOrder},
		"settled by observation":        {[]Payout{final}, Payout{Stage: StageSettled}, ErrOrder},
		"failed by observation":         {[]Payout{final}, Payout{Stage: StageFailed}, ErrOrder},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProtoNet(t, 4)
			batch := p.pay(0, 1)
			if len(c.way) > 0 && c.way[0].Stage == StageBroadcast {
				p.sign(batch, 0)
			}
			for _, step := range c.way {
				p.update(func(tx *Tx) error { return tx.Track(p.slotKey(0), step) })
			}
			err := p.l.Update(func(tx *Tx) error { return tx.Track(p.slotKey(0), c.last) })
			require.ErrorIs(t, err, c.want)
			if c.want == nil {
				got := p.stage(0)
				require.Equal(t, c.last.Stage, got.Stage)
				require.NotZero(t, got.Changed)
				if got.Stage == StageBroadcast {
					require.Zero(t, got.Block, "what is in no block has no block")
				}
			}
		})
	}
	p := newProtoNet(t, 4)
	p.refused(ErrNotFound, func(tx *Tx) error { return tx.Track(p.slotKey(4), mined) })
	require.Equal(t, "decided failed stage(0) stage(9)", StageDecided.String()+" "+StageFailed.String()+" "+Stage(0).String()+" "+Stage(9).String())
}

func TestReadyIsSignedOnce(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	ready := func(change func(*quorum.Ready)) (raw []byte, err error) {
		b := quorum.Ready{Epoch: 1, Height: 2, Batch: c.ID()}
		change(&b)
		err = p.l.Update(func(tx *Tx) (err error) { raw, err = tx.Ready(b, by[quorum.Ready](p, 0)); return })
		p.reopen()
		p.check()
		return raw, err
	}
	same := func(*quorum.Ready) {}
	first, err := ready(same)
	require.NoError(t, err)
	again, err := ready(same)
	require.NoError(t, err)
	require.Equal(t, first, again)
	next, err := ready(func(r *quorum.Ready) { r.Attempt = 1 })
	require.NoError(t, err)
	require.NotEqual(t, first, next)
	for _, c := range []struct {
		want   error
		change func(*quorum.Ready)
	}{
		{ErrNoSlot, func(r *quorum.Ready) { r.Batch = common.HexToHash("0x1") }},
		{ErrNoSlot, func(r *quorum.Ready) { r.Height = 3 }},
		{ErrNotInForce, func(r *quorum.Ready) { r.Epoch = 2 }},
	} {
		_, err := ready(c.change)
		require.ErrorIs(t, err, c.want)
	}
	_, err = ready(func(r *quorum.Ready) { r.Batch = common.Hash{} })
	require.Error(t, err)
}

func TestAbortsStrikeASet(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	i, err := p.l.RecordIntent(p.intent(c, 0, 0))
	require.NoError(t, err)
	struck := func() (n int) {
		p.view(func(tx *Tx) error {
			return tx.Struck(1, func(set quorum.Members) error { require.Equal(t, i.Set(), set); n++; return nil })
		})
		return n
	}
	var raw, again []byte
	p.update(func(tx *Tx) (err error) { raw, err = tx.Abort(1, i.Session(), by[quorum.Abort](p, 0)); return })
	p.update(func(tx *Tx) (err error) { again, err = tx.Abort(1, i.Session(), by[quorum.Abort](p, 0)); return })
	require.Equal(t, raw, again)
	require.Zero(t, struck(), "one member may lie")
	p.refused(ErrNotFound, func(tx *Tx) error { _, err := tx.Abort(1, common.HexToHash("0x1"), by[quorum.Abort](p, 0)); return err })

	abort := quorum.Abort{Epoch: 1, Session: i.Session(), Batch: c.ID(), Set: i.Set(), Counter: 9}
	put := func(member int, change func(*quorum.Abort)) (now bool, err error) {
		a := abort
		change(&a)
		s := theirs(p, member, a)
		err = p.l.Update(func(tx *Tx) (err error) { now, err = tx.PutAbort(s); return })
		p.reopen()
		return now, err
	}
	_, err = put(3, func(*quorum.Abort) {})
	require.ErrorIs(t, err, ErrNotInForce, "not of the set")
	_, err = put(1, func(a *quorum.Abort) { a.Epoch = 2 })
	require.ErrorIs(t, err, ErrNotInForce)
	_, err = put(1, func(a *quorum.Abort) { a.Set = quorum.Members{i.Set()[1], i.Set()[0], i.Set()[2]} })
	require.ErrorIs(t, err, ErrNotInForce, "one order per set")
	now, err := put(1, func(a *quorum.Abort) { a.Session = common.HexToHash("0x1") })
	require.NoError(t, err)
	require.False(t, now, "aborts of two sessions do not add up")

	now, err = put(1, func(*quorum.Abort) {})
	require.NoError(t, err)
	require.True(t, now)
	require.Equal(t, 1, struck())
	now, err = put(2, func(*quorum.Abort) {})
	require.NoError(t, err)
	require.False(t, now, "struck once")
	p.view(func(tx *Tx) error {
		n := 0
		err := tx.Aborts(1, func(raw []byte) error {
			n++
			_, err := quorum.Open[quorum.Abort](p.network, p.roster.IDs(), raw)
			return err
		})
		require.Equal(t, 4, n)
		return err
	})

	p.update(func(tx *Tx) error {
		liar := addressOf(p.keys[2])
		return tx.addCount(bucketAbortCount, join(be64(1), liar[:]), MaxAborts)
	})
	_, err = put(2, func(a *quorum.Abort) { a.Session = common.HexToHash("0x2") })
	require.ErrorIs(t, err, ErrFull)
	p.check()
}

func TestOwnOutcomeIsSignedOncePerBlock(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	outcome := func(change func(*quorum.Outcome)) (raw []byte, err error) {
		o := p.outcome(0, c, 1)
		change(&o)
		err = p.l.Update(func(tx *Tx) (err error) { raw, err = tx.Outcome(o, by[quorum.Outcome](p, 0)); return })
		p.reopen()
		p.check()
		return raw, err
	}
	same := func(*quorum.Outcome) {}
	first, err := outcome(same)
	require.NoError(t, err)
	again, err := outcome(same)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = outcome(func(o *quorum.Outcome) { o.Status = 0 })
	require.ErrorIs(t, err, ErrConflict)
	_, err = outcome(func(o *quorum.Outcome) { o.TxHash = common.HexToHash("0x5") })
	require.ErrorIs(t, err, ErrConflict)
	_, err = outcome(func(o *quorum.Outcome) { o.Epoch = 2 })
	require.ErrorIs(t, err, ErrNotInForce)
	_, err = outcome(func(o *quorum.Outcome) { o.Batch = common.HexToHash("0x5") })
	require.ErrorIs(t, err, ErrNoSlot)
	_, err = outcome(func(o *quorum.Outcome) { o.Nonce = 5 })
	require.ErrorIs(t, err, ErrNoSlot)
	_, err = outcome(func(o *quorum.Outcome) { o.Lane.Token = common.HexToAddress("0x5") })
	require.ErrorIs(t, err, ErrNoSlot)
	_, err = outcome(func(o *quorum.Outcome) { o.Status = 2 })
	require.Error(t, err)
	moved, err := outcome(func(o *quorum.Outcome) { o.BlockHash = common.HexToHash("0xb2") })
	require.NoError(t, err)
	require.NotEqual(t, first, moved)
}

func TestOutcomesAddUpToACertificate(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.update(func(tx *Tx) error { _, err := tx.Outcome(p.outcome(0, c, 1), by[quorum.Outcome](p, 0)); return err })
	put := func(member int, change func(*quorum.Outcome)) (added bool, err error) {
		o := p.outcome(0, c, 1)
		o.Counter = 10
		change(&o)
		s := theirs(p, member, o)
		err = p.l.Update(func(tx *Tx) (err error) { added, err = tx.PutOutcome(s); return })
		return added, err
	}
	added, err := put(1, func(o *quorum.Outcome) { o.BlockHash = common.HexToHash("0xb2") })
	require.NoError(t, err)
	require.True(t, added)
	added, err = put(1, func(o *quorum.Outcome) { o.Counter = 11 })
	require.NoError(t, err)
	require.True(t, added, "the newest counts")
	added, err = put(1, func(o *quorum.Outcome) { o.BlockHash = common.HexToHash("0xb2"); o.Counter = 9 })
	require.NoError(t, err)
	require.False(t, added)
	_, err = put(2, func(*quorum.Outcome) {})
	require.NoError(t, err)
	_, err = put(2, func(o *quorum.Outcome) { o.Nonce = 8 })
	require.ErrorIs(t, err, ErrNoSlot)
	_, err = put(2, func(o *quorum.Outcome) { o.Epoch = 8 })
	require.ErrorIs(t, err, ErrNotInForce)
	p.view(func(tx *Tx) error {
		all, err := tx.Outcomes(p.slotKey(0))
		require.Len(t, all, 3)
		_, ok := quorum.CertifyOutcome(p.roster, all)
		require.True(t, ok)
		return err
	})
}

func TestSettlePays(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1, 2)
	cert := p.certify(p.outcome(0, c, 1))
	require.ErrorContains(t, p.l.Update(func(tx *Tx) error { return tx.Settle(quorum.OutcomeCertificate{}) }), "no certificate")
	p.update(func(tx *Tx) error { return tx.Settle(cert) })
	p.update(func(tx *Tx) error { return tx.Settle(cert) })
	require.Equal(t, StageSettled, p.stage(0).Stage)
	require.Equal(t, uint64(2), p.check().Paid)
	p.view(func(tx *Tx) error {
		paid, err := tx.IsPaid(1)
		require.True(t, paid)
		fee, ok, err2 := tx.PaidFee(2)
		require.True(t, ok)
		require.Equal(t, uint64(2), fee.Uint64())
		_, ok, err3 := tx.PaidFee(3)
		require.False(t, ok)
		require.NotNil(t, tx.b.Bucket(bucketFeesPaid).Get(be64(2)), "the books await the fee")
		by, ok, err4 := tx.PaidBy(2)
		require.True(t, ok)
		require.Equal(t, Paid{2, p.slotKey(0), cert.Outcome().TxHash, 2}, by)
		r, ok, err5 := tx.ReportOn(1)
		require.True(t, ok)
		require.Equal(t, ReportFulfil, r.Outcome)
		require.Equal(t, cert.Outcome().TxHash, r.TxHash)
		u, ok, err6 := tx.OutcomeOf(p.slotKey(0))
		require.True(t, ok)
		_, err7 := u.Verify(p.network, p.roster)
		return errors.Join(err, err2, err3, err4, err5, err6, err7)
	})
	// Other members may certify the same outcome in another block; another outcome is the end.
	moved := p.outcome(0, c, 1)
	moved.BlockHash = common.HexToHash("0xb2")
	p.update(func(tx *Tx) error { return tx.Settle(p.certify(moved)) })
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(0, c, 0))) })
	other := p.outcome(0, c, 1)
	other.TxHash = common.HexToHash("0x5")
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Settle(p.certify(other)) })
	other = p.outcome(0, c, 1)
	other.K = 1
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Settle(p.certify(other)) })
}

func TestNothingIsPaidTwice(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.refused(ErrConflict, func(tx *Tx) error {
		return errors.Join(tx.put(bucketPaid, be64(1), Paid{WID: 1}), tx.Settle(p.certify(p.outcome(0, c, 1))))
	})
}

// TestNoEpochToComeSettles; what an earlier one may say is TestAnEarlierEpochsOutcomeSettlesItsOwnSlots.
func TestNoEpochToComeSettles(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	second, err := quorum.NewRoster(2, p.roster.Members)
	require.NoError(t, err)
	early := p.outcome(0, c, 1)
	early.Epoch = 2
	was := p.roster
	p.roster = second
	cert := p.certify(early)
	p.roster = was
	p.refused(ErrNotInForce, func(tx *Tx) error { return tx.Settle(cert) })
}

func TestARevertedPayoutPaysNothing(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 1)
	p.settle(0, c, 0)
	require.Equal(t, StageFailed, p.stage(0).Stage)
	p.view(func(tx *Tx) error {
		paid, err := tx.IsPaid(1)
		require.False(t, paid)
		_, ok, err2 := tx.ReportOn(1)
		require.False(t, ok, "the Relay is told nothing")
		require.Nil(t, tx.b.Bucket(bucketFeesPaid).Get(be64(1)), "the books await no fee")
		_, decided, err3 := tx.SpentWID(1)
		require.True(t, decided, "nothing is released")
		return errors.Join(err, err2, err3)
	})
	p.refused(ErrConflict, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(0, c, 1))) })
	require.Error(t, p.l.Update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.roster, 3, "again"), DecisionEffects{Items: []quorum.Content{p.content(1)}, Slot: p.slot(1)})
	}))
}

func TestSettleNeedsTheDecision(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.commit(p.roster, 2, "not known here")
	p.refused(ErrNoSlot, func(tx *Tx) error { return tx.Settle(p.certify(p.outcome(0, c, 1))) })
}
