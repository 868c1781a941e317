package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
	"conclave/quorum/batch"
)

// Bounds of the proposed values that are held for the running height. One per round is held: the first of its proposer.
const (
	// roundsAhead is how far ahead of the own round a proposal is kept: one turn of every member. It comes again each second.
	roundsAhead = quorum.MaxMembers
	// roundsBehind is more than agreement looks back.
	roundsBehind = 16
)

// answerEvery is how often one peer's messages of decided heights are answered (R7).
const answerEvery = time.Second

// newHeight begins to wait for the height after the last decision, or resumes it from the ledger.
func (c *core) newHeight() error {
	c.values, c.valueOf = map[common.Hash][]byte{}, map[common.Hash]batch.Proven{}
	c.roundOf = map[uint64]common.Hash{}
	c.building, c.certSeen, c.wake = nil, time.Time{}, time.Time{}
	c.fetching = map[common.Hash]bool{}
	if !c.member() {
		c.agree = nil // who is no member follows by decisions alone
		return nil
	}

	cfg := agreement.Config{
		Network: c.network, Roster: c.state.Roster, Self: c.self, Height: c.state.Height + 1,
		Timeouts: agreement.DefaultTimeouts(),
	}
	var (
		record []byte
		found  bool
		own    agreement.Own
	)
	err := c.led.View(func(tx *ledger.Tx) error {
		if record, found = tx.Consensus(cfg.Height); !found {
			return nil
		}
		return tx.CastMessages(cfg.Height, func(_, step uint64, raw []byte) error { return c.readopt(&own, step, raw) })
	})
	if err != nil {
		return err
	}
	if !found {
		c.agree, err = agreement.New(cfg)
		return err
	}
	durable, err := agreement.DecodeDurable(record)
	if err != nil {
		return err
	}
	if c.agree, err = agreement.Resume(cfg, durable, own); err != nil {
		return err
	}
	c.reloadValues(durable, own)
	c.step(agreement.Begin{})
	return nil
}

func (c *core) readopt(own *agreement.Own, step uint64, raw []byte) error {
	if step == ledger.StepProposal {
		p, err := quorum.Open[quorum.Proposal](c.network, c.state.Roster.IDs(), raw)
		own.Proposals = append(own.Proposals, p)
		return err
	}
	v, err := quorum.Open[quorum.Vote](c.network, c.state.Roster.IDs(), raw)
	own.Votes = append(own.Votes, v)
	return err
}

// reloadValues takes the values of own messages back from the ledger.
func (c *core) reloadValues(d agreement.Durable, own agreement.Own) {
	ids := []common.Hash{d.LockedID}
	if d.Valid != nil {
		ids = append(ids, d.Valid.ID)
	}
	for _, p := range own.Proposals {
		ids = append(ids, p.Body().ID)
	}
	for _, v := range own.Votes {
		ids = append(ids, v.Body().ID)
	}
	for _, id := range ids {
		var raw []byte
		err := c.led.View(func(tx *ledger.Tx) error { raw, _ = tx.Value(d.Height, id); return nil })
		if err == nil && raw != nil {
			c.holdValue(raw)
		}
	}
}

// holdValue keeps a value of the running height and says whether it is valid.
func (c *core) holdValue(raw []byte) (common.Hash, bool) {
	id := quorum.ValueID(c.network, raw)
	if _, ok := c.valueOf[id]; ok {
		return id, true
	}
	p, err := batch.Prove(c.network, c.state.Roster, raw)
	if err == nil {
		err = c.state.ValidProven(p)
	}
	if err != nil {
		c.log.Info("value is invalid", zap.Stringer("id", id), zap.Error(err))
		return id, false
	}
	c.values[id], c.valueOf[id] = raw, p
	return id, true
}

// timely reports whether a proposal may be looked at: its signer proposes in its round, and the round is near. A later
// one comes again each second, and its value must not be judged as missing when its round begins.
func (c *core) timely(signer common.Address, p quorum.Proposal) bool {
	now := c.agree.Status().Round
	return signer == c.state.Roster.IDs().Proposer(p.Height, p.Round) && p.Round <= now+roundsAhead && now <= p.Round+roundsBehind
}

// holdFirst holds a proposal's value if none came before in its round: a member that proposes valid values without end
// fills no more than its turns. The second statement is evidence all the same.
func (c *core) holdFirst(p quorum.Proposal, value []byte) (valid bool) {
	if first, ok := c.roundOf[p.Round]; ok && first != p.ID {
		return c.values[p.ID] != nil
	}
	c.roundOf[p.Round] = p.ID
	c.forgetValues()
	_, valid = c.holdValue(value)
	return valid
}

// forgetValues drops the values of rounds long past, and those that were fetched or taken from the ledger, except what agreement
// may still decide. The ledger keeps what this node voted for.
func (c *core) forgetValues() {
	now := c.agree.Status().Round
	keep := map[common.Hash]bool{}
	for round, id := range c.roundOf {
		if round+roundsBehind < now {
			delete(c.roundOf, round)
		} else {
			keep[id] = true
		}
	}
	for id := range c.values {
		if !keep[id] && !c.agree.Holds(id) {
			delete(c.values, id)
			delete(c.valueOf, id)
		}
	}
}

// step drives agreement with one event and everything that follows from it.
func (c *core) step(ev agreement.Event) {
	if c.fatal != nil || !c.votes() {
		return
	}
	height := c.state.Height
	fx := c.agree.Step(ev, c.now())
	own, decided, ok := c.commit(fx.Commit)
	if !ok {
		return
	}
	c.wake = fx.Wake
	c.evidence(fx)
	// Own statements go back in before anything is sent: a Send carries only what came in as an event.
	for _, e := range own {
		if c.state.Height == height {
			c.step(e)
		}
	}
	for _, s := range fx.Send {
		c.speak(s)
	}
	if decided != nil {
		c.afterDecision(*decided)
		return
	}
	if c.state.Height != height {
		return
	}
	for _, f := range fx.Fetch {
		if c.fetchValue(f); c.state.Height != height {
			return // it was here, and decided
		}
	}
	if fx.Build != nil {
		c.building = &fx.Build.Round
		c.tryBuild()
	}
}

// commit makes one Step durable and returns the own statements that it signed.
func (c *core) commit(what agreement.Commit) (own []agreement.Event, decided *batch.Effects, ok bool) {
	if what.Empty() {
		return nil, nil, true
	}
	var fx batch.Effects
	var committed quorum.Committed
	if what.Decide != nil {
		var err error
		if committed, err = quorum.NewCommitted(c.network, what.Decide.QC, c.values[what.Decide.ID]); err != nil {
			c.stop(err)
			return nil, nil, false
		}
	}
	height := c.state.Height + 1
	done := c.update("record agreement", func(tx *ledger.Tx) error {
		var err error
		if own, err = c.cast(tx, what); err != nil {
			return err
		}
		if err := c.said.keep(tx); err != nil {
			return err
		}
		if what.Save != nil && what.Decide == nil {
			if err := c.putValid(tx, height, what.Save.Valid); err != nil {
				return err
			}
			return tx.SaveConsensus(height, what.Save.Encode())
		}
		return nil
	})
	if !done {
		return nil, nil, false
	}
	if what.Decide != nil {
		if fx, done = c.decide(committed); !done {
			return nil, nil, false
		}
		return nil, &fx, true
	}
	return own, nil, true
}

// cast signs what a Step wants said, in the order of rounds and steps: one Step may end a round with a vote and open the
// next with a proposal, and the ledger refuses to sign behind what it has signed.
func (c *core) cast(tx *ledger.Tx, what agreement.Commit) (own []agreement.Event, err error) {
	vote := func(v quorum.Vote) error {
		s, err := c.castVote(tx, v)
		own = append(own, agreement.VoteSeen{Vote: s})
		return err
	}
	for _, v := range what.Votes {
		if what.Proposal != nil && v.Round < what.Proposal.Round {
			if err := vote(v); err != nil {
				return nil, err
			}
		}
	}
	if what.Proposal != nil {
		p, err := c.castProposal(tx, *what.Proposal)
		if err != nil {
			return nil, err
		}
		own = append(own, agreement.ProposalSeen{Proposal: p, Valid: true, Pol: c.polOf(what)})
	}
	for _, v := range what.Votes {
		if what.Proposal == nil || v.Round >= what.Proposal.Round {
			if err := vote(v); err != nil {
				return nil, err
			}
		}
	}
	return own, nil
}

// polOf is the proof that the own proposal of this commit shows.
func (c *core) polOf(what agreement.Commit) quorum.QC {
	if what.Proposal.ValidRound == quorum.NoRound || what.Save == nil || what.Save.Proof == nil {
		return quorum.QC{}
	}
	qc, err := what.Save.Proof.Verify(c.network, c.state.Roster)
	if err != nil {
		return quorum.QC{}
	}
	return qc
}

func (c *core) castProposal(tx *ledger.Tx, p quorum.Proposal) (quorum.Signed[quorum.Proposal], error) {
	var none quorum.Signed[quorum.Proposal]
	if err := c.putValue(tx, p.Height, p.ID); err != nil {
		return none, err
	}
	raw, err := tx.CastProposal(p, func(b quorum.Proposal) (quorum.Signed[quorum.Proposal], error) {
		return quorum.Sign(c.key, c.network, b)
	})
	if err != nil {
		return none, err
	}
	return quorum.Open[quorum.Proposal](c.network, c.state.Roster.IDs(), raw)
}

func (c *core) castVote(tx *ledger.Tx, v quorum.Vote) (quorum.Signed[quorum.Vote], error) {
	var none quorum.Signed[quorum.Vote]
	if v.ID != (common.Hash{}) {
		if err := c.putValue(tx, v.Height, v.ID); err != nil {
			return none, err
		}
	}
	raw, err := tx.CastVote(v, func(b quorum.Vote) (quorum.Signed[quorum.Vote], error) {
		return quorum.Sign(c.key, c.network, b)
	})
	if err != nil {
		return none, err
	}
	return quorum.Open[quorum.Vote](c.network, c.state.Roster.IDs(), raw)
}

// putValid keeps the bytes of the valid value, which this node may have learned of without a vote of its own: after a restart
// agreement counts on them.
func (c *core) putValid(tx *ledger.Tx, height uint64, valid *quorum.UncheckedQC) error {
	if valid == nil {
		return nil
	}
	return c.putValue(tx, height, valid.ID)
}

// putValue keeps the bytes that an own statement is about. A height that failed in hundreds of rounds drops what it said
// long ago, not what it is locked on.
func (c *core) putValue(tx *ledger.Tx, height uint64, id common.Hash) error {
	err := tx.PutValue(height, id, c.values[id])
	if !errors.Is(err, ledger.ErrFull) {
		return err
	}
	now := c.agree.Status()
	err = tx.RetainValues(height, func(held common.Hash) bool { return held == now.Locked || held == now.Valid })
	if err != nil {
		return err
	}
	return tx.PutValue(height, id, c.values[id])
}

// evidence keeps proofs of double voting, and stops a node whose own key speaks elsewhere.
func (c *core) evidence(fx agreement.Effects) {
	for _, e := range fx.Evidence {
		c.keepEvidence(ledger.EvidenceVotes, e.Offender, e.First, e.Second)
	}
	for _, raw := range fx.Foreign {
		if counter, _, err := quorum.CounterOf(c.network, quorum.Members{c.self}, raw); err == nil {
			c.foreign(counter, c.state.Height+1, raw)
		}
	}
	if !fx.Contradiction.Zero() {
		c.trip("contradiction", fmt.Sprintf("members certified value %s of height %d, which this node judged invalid", fx.Contradiction.ID(), fx.Contradiction.Height()))
	}
}

// speak sends what agreement asks for: to one peer on its stream, or to all by gossip and streams.
func (c *core) speak(s agreement.Send) {
	beside := encodeQC(s.Beside)
	var out []voteMsg
	if p := s.Proposal; len(p.Bytes()) > 0 {
		out = append(out, voteMsg{Statement: p.Bytes(), Beside: beside, Value: c.values[p.Body().ID], Proof: encodeQC(s.Pol)})
	}
	for _, v := range s.Votes {
		out = append(out, voteMsg{Statement: v.Bytes(), Beside: beside})
	}
	for _, m := range out {
		frame := marshal(m)
		if s.To != (common.Address{}) {
			c.send(s.To, protoVotes, frame)
			continue
		}
		c.publish(topicVotes, frame)
		c.sendAll(protoVotes, frame)
	}
}

func encodeQC(qc quorum.QC) []byte {
	if qc.Zero() {
		return nil
	}
	return marshal(qc.Unchecked())
}

// hearVote takes one message of agreement. signer's signature was verified at the door.
func (c *core) hearVote(m voteMsg) {
	kind, err := quorum.PeekKind(m.Statement)
	if err != nil {
		return
	}
	if kind == quorum.KindProposal {
		c.hearProposal(m)
		return
	}
	v, err := quorum.Open[quorum.Vote](c.network, c.state.Roster.IDs(), m.Statement)
	if err == nil && v.Signer() == c.self {
		c.foreign(v.Body().Counter, v.Body().Height, v.Bytes())
		return
	}
	if err != nil {
		return
	}
	c.said.note(v.Signer(), v.Body().Counter, v.Body().Place(), v.Bytes())
	c.overhear(v.Signer(), v.Body().Counter, v.Body().Place(), v.Bytes())
	if !c.current(v.Signer(), v.Body().Epoch, v.Body().Height) {
		return
	}
	c.hearQC(m.Beside)
	c.step(agreement.VoteSeen{Vote: v})
}

func (c *core) hearProposal(m voteMsg) {
	p, err := quorum.Open[quorum.Proposal](c.network, c.state.Roster.IDs(), m.Statement)
	if err == nil && p.Signer() == c.self {
		c.foreign(p.Body().Counter, p.Body().Height, p.Bytes())
		return
	}
	if err != nil {
		return
	}
	c.said.note(p.Signer(), p.Body().Counter, p.Body().Place(), p.Bytes())
	c.overhear(p.Signer(), p.Body().Counter, p.Body().Place(), p.Bytes())
	if !c.current(p.Signer(), p.Body().Epoch, p.Body().Height) {
		return
	}
	if !c.member() {
		return
	}
	c.hearQC(m.Beside)
	if c.state.Height+1 != p.Body().Height || !c.timely(p.Signer(), p.Body()) {
		return
	}
	if quorum.ValueID(c.network, m.Value) != p.Body().ID {
		c.log.Info("proposal without its value", zap.Stringer("from", p.Signer()))
		return
	}
	ev := agreement.ProposalSeen{Proposal: p}
	if len(m.Proof) > 0 {
		if ev.Pol, err = c.openQC(m.Proof); err != nil {
			return
		}
	}
	ev.Valid = c.holdFirst(p.Body(), m.Value)
	ev.Refrain = ev.Valid && c.refrains(c.valueOf[p.Body().ID].Batch())
	c.step(ev)
}

// current tells messages of the running height from others: decided heights are answered, later ones start a sync.
func (c *core) current(from common.Address, epoch, height uint64) bool {
	switch {
	case height <= c.state.Height:
		c.answerDecided(from, height)
		return false
	case height > c.state.Height+1:
		c.behind[from] = height - 1
		return false
	}
	return epoch == c.state.Roster.Epoch
}

func (c *core) openQC(raw []byte) (quorum.QC, error) {
	var u quorum.UncheckedQC
	if err := unmarshal(raw, &u); err != nil {
		return quorum.QC{}, err
	}
	return u.Verify(c.network, c.state.Roster)
}

// hearQC takes a certificate that travelled beside a vote.
func (c *core) hearQC(raw []byte) {
	if len(raw) == 0 {
		return
	}
	// The same certificate comes beside most votes of a round; it is verified once.
	id := common.BytesToHash(raw[max(0, len(raw)-32):])
	if id == c.seenQC {
		return
	}
	var u quorum.UncheckedQC
	if unmarshal(raw, &u) != nil || u.Height != c.state.Height+1 {
		return
	}
	if qc, err := u.Verify(c.network, c.state.Roster); err == nil {
		c.seenQC = id
		c.step(agreement.CertificateSeen{QC: qc})
	}
}

// maybeBegin starts a height when there is something to decide: at once when it fills a batch, else after batch_wait. While
// that runs nothing is built but when a batch may have filled: what a thousand withdrawals cost to gather is not paid each tick.
func (c *core) maybeBegin(now time.Time) {
	if !c.votes() {
		return
	}
	if c.fatal != nil || c.agree.Status().Step != agreement.StepWaiting {
		c.tryBuild()
		return
	}
	if waits := c.gathering(now); waits && len(c.pool.pay) < quorum.MaxItems {
		return
	}
	b, ok := c.build()
	if !ok {
		c.certSeen = time.Time{}
		return
	}
	if c.certSeen.IsZero() {
		c.certSeen = now
	}
	if b.Kind == batch.Payout && !c.state.Full(b) && c.gathering(now) {
		return
	}
	c.tellCarried(b)
	c.step(agreement.Begin{})
}

// gathering reports whether what was seen to be decidable still waits for more to go with it.
func (c *core) gathering(now time.Time) bool {
	return !c.certSeen.IsZero() && now.Sub(c.certSeen) < c.state.Policy.BatchWait
}

// build makes the next value from what this node holds. A halted node builds no PAYOUT.
func (c *core) build() (batch.Batch, bool) {
	if b, ok := c.ceremony.build(c); ok || !c.state.Founded() {
		return b, ok
	}
	if b, ok := c.buildAction(); ok {
		return b, true
	}
	if b, ok := c.buildSweep(); ok {
		return b, true
	}
	if b, ok := c.buildAllow(); ok {
		return b, true
	}
	if b, ok := c.buildRelease(); ok {
		return b, true
	}
	if len(c.pool.pay)+len(c.pool.refuse)+len(c.state.Resolved()) == 0 {
		return batch.Batch{}, false
	}
	stops := c.stops()
	if stops.All {
		return batch.Batch{}, false
	}
	return c.state.Build(c.pool.candidates(c.network, c.content), c.pool.viewList(), func(w quorum.Content) bool {
		return stops.Covers(w.Network, w.Account)
	})
}

// tryBuild answers agreement's wish for a value, now or when more is known.
func (c *core) tryBuild() {
	if c.building == nil || c.fatal != nil {
		return
	}
	b, ok := c.build()
	if !ok {
		return
	}
	round, raw := *c.building, b.Encode()
	c.building = nil
	c.roundOf[round] = quorum.ValueID(c.network, raw)
	c.forgetValues()
	id, valid := c.holdValue(raw)
	if !valid {
		c.stop(fmt.Errorf("built an invalid batch at height %d", b.Height))
		return
	}
	c.step(agreement.Built{Round: round, ID: id})
}
