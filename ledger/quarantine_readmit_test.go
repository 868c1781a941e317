package ledger

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// permit is the operators' word on the return of member 0 in a height, for the quarantine as it stands.
func (p *protoNet) permit(height uint64, operators []int, change ...func(*quorum.Readmit, *quorum.Action)) quorum.VerifiedAction {
	p.t.Helper()
	var q Quarantine
	p.view(func(tx *Tx) (err error) { q, _, err = tx.Quarantined(); return err })
	body := quorum.Readmit{Member: addressOf(p.keys[0]), Height: height, Since: q.Since, Counter: q.Floor, Reason: "r"}
	a := quorum.Action{Epoch: 1, Policy: 1, Serial: 1}
	for _, c := range change {
		c(&body, &a)
	}
	signed, err := quorum.NewAction(a.Epoch, a.Policy, a.Serial, body)
	require.NoError(p.t, err)
	s := quorum.SignedAction{Action: signed}
	slices.SortFunc(operators, func(i, j int) int {
		x, y := addressOf(p.operators[i]), addressOf(p.operators[j])
		return bytes.Compare(x[:], y[:])
	})
	for _, i := range operators {
		e, err := quorum.SignAction(p.operators[i], p.network, signed, 1)
		require.NoError(p.t, err)
		s.Signatures = append(s.Signatures, e)
	}
	r := p.roster
	r.Epoch = a.Epoch
	v, err := s.Open(p.network, r)
	require.NoError(p.t, err)
	return v
}

func (p *protoNet) readmit(v quorum.VerifiedAction, heard Heard) func(*Tx) error {
	return func(tx *Tx) error { return tx.Readmit(addressOf(p.keys[0]), v, heard) }
}

// TestOperatorsReadmit: of three members none is left to show a height, and without the third nothing is decided. It votes from
// where the operators say; what it judged and signed in the life that is missing stays barred.
func TestOperatorsReadmit(t *testing.T) {
	p := newProtoNet(t, 3)
	word := func() quorum.VerifiedAction { return p.permit(2, []int{0, 1, 2}) }
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 7, Reason: "an old copy", Shown: 100}))
	first := word()
	p.refused(ErrQuarantined, p.cast(vote(2, 0, quorum.Prevote, 1)))
	p.update(p.readmit(first, Heard{Height: 2}))
	p.view(func(tx *Tx) error {
		q, _, err := tx.Quarantined()
		require.Equal(t, uint64(2), q.Back())
		require.True(t, q.Missing(99, 1) && !q.Missing(99, 2), "a vote of the past in that height is another process's word")
		require.ErrorIs(t, tx.MayJudge(), ErrQuarantined)
		require.ErrorIs(t, tx.MayJoin(), ErrQuarantined)
		return err
	})
	p.refused(ErrOrder, p.readmit(first, Heard{Height: 2}))
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))

	// Height 2 puts a policy in force from 3 on. Had this node decided it before, it may have judged under it.
	p.decide(DecisionEffects{Action: policyAction(t, 1, 2)})
	p.view(func(tx *Tx) error { require.ErrorIs(t, tx.MayJudge(), ErrQuarantined); return nil })
	p.decide(DecisionEffects{Action: policyAction(t, 2, 3)})
	p.view(func(tx *Tx) error { require.NoError(t, tx.MayJudge()); return nil })

	// The machine is put back once more: the word was about the quarantine before.
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 8, Reason: "again"}))
	p.refused(quorum.ErrAction, p.readmit(first, Heard{Height: 4}))
	p.refused(ErrQuarantined, p.cast(vote(4, 0, quorum.Prevote, 1)))
}

// TestReadmissionIsRefused: whatever could let a node vote where it may have voted, or that q operators have not said of it now.
func TestReadmissionIsRefused(t *testing.T) {
	p := newProtoNet(t, 4)
	all := []int{0, 1, 2}
	p.refused(ErrOrder, p.readmit(p.permit(2, all, func(r *quorum.Readmit, _ *quorum.Action) { r.Since, r.Counter = 1, 1 }), Heard{}))
	p.update(p.cast(vote(2, 0, quorum.Prevote, 1)))
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 7, Reason: "an old copy", Shown: 100}))
	for name, c := range map[string]struct {
		want  error
		word  quorum.VerifiedAction
		heard Heard
	}{
		"voted, by its own book":  {ErrVoted, p.permit(2, all), Heard{Height: 2}},
		"voted, as another heard": {ErrVoted, p.permit(3, all), Heard{Height: 2, Voted: 3}},
		"voted later":             {ErrVoted, p.permit(3, all), Heard{Height: 2, Voted: 4}},
		"others decided it":       {ErrVoted, p.permit(3, all), Heard{Height: 4}},
		"too few operators":       {quorum.ErrAction, p.permit(3, []int{0, 1}), Heard{Height: 2}},
		"another epoch's":         {quorum.ErrAction, p.permit(3, all, func(_ *quorum.Readmit, a *quorum.Action) { a.Epoch = 2 }), Heard{Height: 2}},
		"another member":          {quorum.ErrAction, p.permit(3, all, func(r *quorum.Readmit, _ *quorum.Action) { r.Member = addressOf(p.keys[1]) }), Heard{Height: 2}},
		"another quarantine":      {quorum.ErrAction, p.permit(3, all, func(r *quorum.Readmit, _ *quorum.Action) { r.Since++ }), Heard{Height: 2}},
		"another count":           {quorum.ErrAction, p.permit(3, all, func(r *quorum.Readmit, _ *quorum.Action) { r.Counter++ }), Heard{Height: 2}},
	} {
		t.Run(name, func(t *testing.T) { p.refused(c.want, p.readmit(c.word, c.heard)) })
	}
	p.update(p.readmit(p.permit(3, all), Heard{Height: 2, Voted: 2}))

	// Once others have shown their heights, operators may still name an earlier one, never a later one.
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 9, Reason: "again", Shown: 100}))
	p.update(func(tx *Tx) error { return tx.Shown(3) })
	p.refused(ErrOrder, p.readmit(p.permit(5, all), Heard{Height: 3}))
	p.update(p.readmit(p.permit(4, all), Heard{Height: 3}))
}

// TestAWordThatNobodyGaveIsFound: the check reads the operators' signatures from the record.
func TestAWordThatNobodyGaveIsFound(t *testing.T) {
	p := newProtoNet(t, 4)
	require.NoError(t, p.l.Quarantine(Quarantine{Since: 7, Reason: "an old copy"}))
	p.update(p.readmit(p.permit(2, []int{1, 2, 3}), Heard{Height: 2}))
	for name, spoil := range map[string]func(*Quarantine){
		"another height":     func(q *Quarantine) { q.Named++ },
		"another quarantine": func(q *Quarantine) { q.Since++ },
		"no word":            func(q *Quarantine) { q.Word = []byte{0xc0} },
		"too few":            func(q *Quarantine) { q.Word = p.permit(2, []int{1, 2}).Signed().Encode() },
	} {
		require.NoError(t, p.l.Update(func(tx *Tx) error {
			q, _, err := tx.Quarantined()
			require.NoError(t, err)
			was := q
			spoil(&q)
			require.NoError(t, tx.put(bucketSelf, keyQuarantine, q))
			_, err = checkProtocol(tx, p.founding())
			require.ErrorContains(t, err, "I14", name)
			return tx.put(bucketSelf, keyQuarantine, was)
		}))
	}
	p.check()
}

// TestNewestVote: what else a member says later does not hide how far it has voted.
func TestNewestVote(t *testing.T) {
	p := newProtoNet(t, 4)
	of := func(i int) (raw []byte) {
		p.view(func(tx *Tx) (err error) { raw, _, err = tx.NewestVote(addressOf(p.keys[i])); return err })
		return raw
	}
	hear := func(i int, counter uint64, raw []byte) {
		p.update(func(tx *Tx) error { _, err := tx.Hear(addressOf(p.keys[i]), counter, raw); return err })
	}
	for i := range p.keys {
		require.Nil(t, of(i))
	}
	say := func(i int, height, counter uint64) []byte {
		return theirs(p, i, quorum.Vote{Epoch: 1, Height: height, Phase: quorum.Prevote, Counter: counter}).Bytes()
	}
	for i := range p.keys {
		hear(i, 5, say(i, 2, 5))
		hear(i, 6, say(i, 3, 6))
		hear(i, 7, theirs(p, i, quorum.Ready{Epoch: 1, Counter: 7, Height: 1, Batch: [32]byte{1}}).Bytes())
	}
	for i := range p.keys {
		require.Equal(t, say(i, 3, 6), of(i))
	}
}
