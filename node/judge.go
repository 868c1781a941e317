package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// Bounds of judging.
const (
	judgeEvery   = 2 * time.Second // for what waits on the clock or on the chain
	judgeTimeout = 10 * time.Second
	// maxVerdicts bounds what is remembered for status; the books hold the rest.
	maxVerdicts = 16_384
	// maxDestinations bounds the final answers that are remembered; beyond it they are asked for again.
	maxDestinations = 4 * maxVerdicts
)

// judge gives this node's verdicts: facts from the books and the own endpoints, the rules of package risk, and then one
// transaction that judges again and records.
type judge struct {
	n    *Node
	bell chan struct{}

	mu    sync.Mutex                  // guards what follows
	last  map[uint64]risk.Verdict     // the latest verdict on open withdrawals, for status
	heard map[uint64]risk.Destination // the answer that it rests on
	dests map[uint64]risk.Destination // final answers, which never change

	// By lane.
	ends   map[string]*passEnd // what this pass has read of it
	early  map[string]bool     // a withdrawal waits for a block that is not final yet
	failed map[string]uint64   // the withdrawal whose question failed last: the next pass asks about those beyond it first
}

func newJudge(n *Node) *judge {
	return &judge{n: n, bell: make(chan struct{}, 1), last: map[uint64]risk.Verdict{}, heard: map[uint64]risk.Destination{}, dests: map[uint64]risk.Destination{},
		ends: map[string]*passEnd{}, early: map[string]bool{}, failed: map[string]uint64{}}
}

// wake makes the judge look now.
func (j *judge) wake() {
	select {
	case j.bell <- struct{}{}:
	default:
	}
}

// finalMoved makes the judge look now if somebody waits for a lane's next final block: a withdrawal's destination is the one of its own
// time, and that becomes final a moment after the Relay lists it.
func (j *judge) finalMoved(network string) {
	j.mu.Lock()
	waits := j.early[network]
	delete(j.early, network)
	j.mu.Unlock()
	if waits {
		j.wake()
	}
}

// awaits reports whether a withdrawal waits for a lane's next final block.
func (j *judge) awaits(network string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.early[network]
}

// run judges until ctx ends. It returns an error only when the ledger fails.
func (j *judge) run(ctx context.Context) error {
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-j.bell:
			j.n.turns.wait("judge")
		case <-tick.C:
		}
		if err := j.all(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		j.n.alerts.moved("judge")
	}
}

// all looks at every open withdrawal that has no verdict of this node yet.
func (j *judge) all(ctx context.Context) error {
	var open []ledger.Withdrawal
	var in inForce
	err := j.n.led.View(func(tx *ledger.Tx) (err error) {
		if in, err = j.inForce(tx); err != nil || !in.founded {
			return err
		}
		rows, err := tx.Withdrawals(ledger.WithdrawalFilter{Open: true})
		if err != nil {
			return err
		}
		for _, w := range rows {
			if j.past(w) {
				continue
			}
			given, err := j.given(tx, w.ID, in)
			if err != nil {
				return err
			}
			if !given {
				open = append(open, w)
			}
		}
		return nil
	})
	if err != nil || !in.founded {
		return err
	}
	j.begin(open)
	if err := j.keepRisk(ctx, in); err != nil {
		return err
	}
	for rest := open; len(rest) > 0; {
		if rest, err = j.some(ctx, rest, in); err != nil || ctx.Err() != nil {
			return err
		}
	}
	j.forget(open)
	return nil
}

// past reports whether a request is history that this network does not pay. A Relay has many of them, and no chain needs to be asked.
func (j *judge) past(w ledger.Withdrawal) bool { return j.n.genesis.Cutover.Past(w.EventID, w.ID) }

// inForce is the epoch that verdicts count in. Before the founding decision nobody may judge: a node that does not know
// who decides does not know what was decided.
type inForce struct {
	founded bool
	epoch   uint64
	policy  quorum.Policy // of this pass: what is judged by it is signed in its name
}

func (j *judge) inForce(tx *ledger.Tx) (inForce, error) {
	roster, _, since, err := tx.CurrentEpoch()
	return inForce{founded: since > 0, epoch: roster.Epoch, policy: j.n.policy()}, err
}

// given reports whether this node's verdict stands for the epoch and policy in force.
func (j *judge) given(tx *ledger.Tx, wid uint64, in inForce) (bool, error) {
	given := false
	err := tx.Verdicts(wid, func(v ledger.Verdict) error {
		given = given || (v.Signer == j.n.self && v.Epoch == in.epoch && v.Policy == in.policy.Ref())
		return nil
	})
	return given, err
}

// halted says why nothing may be signed for a request; empty when nothing is halted.
func halted(tx *ledger.Tx, w ledger.Withdrawal) string {
	if err := errors.Join(tx.MayJudge(), tx.MaySign(w.Network, w.Account)); err != nil {
		return err.Error()
	}
	return ""
}

// sign records and signs a verdict in the transaction that judged.
func (j *judge) sign(tx *ledger.Tx, v risk.Verdict, in inForce) ([]byte, error) {
	now := uint64(j.n.now().UnixMilli())
	hash := v.Content.Hash(j.n.network)
	if v.Kind == risk.Wait {
		return nil, nil
	}
	if v.Kind == risk.Approve {
		body := quorum.Approve{Epoch: in.epoch, Policy: in.policy.Ref(), WID: v.Content.WID, Content: hash,
			Account: v.Content.Account, Seq: v.Seq, Head: v.Head, Time: now}
		return tx.Approve(body, tx.CaseOf(v.Content), func(b quorum.Approve) (quorum.Signed[quorum.Approve], error) {
			return quorum.Sign(j.n.cfg.Key, j.n.network, b)
		})
	}
	body := quorum.Refuse{Epoch: in.epoch, Policy: in.policy.Ref(), WID: v.Content.WID, Content: hash, Reason: v.Reason, Time: now}
	return tx.Refuse(body, tx.CaseOf(v.Content), func(b quorum.Refuse) (quorum.Signed[quorum.Refuse], error) {
		return quorum.Sign(j.n.cfg.Key, j.n.network, b)
	})
}

// freezeHead stops an account whose history is no longer the one that this node approved.
func (j *judge) freezeHead(c *ledger.HeadConflict) error {
	err := j.n.led.Update(func(tx *ledger.Tx) error {
		_, err := tx.Freeze(c.Account, ledger.Freeze{Code: ledger.FreezeHead, Text: c.Error(), Since: uint64(j.n.now().UnixMilli())})
		return err
	})
	j.n.alerts.raise(Alert{Key: codeHead + c.Account.Hex(), Code: codeHead, Severity: ledger.Critical, Text: c.Error(),
		Hint: "the Relay changed the account's history; operators must resolve it"})
	return err
}

// facts asks the own endpoints what the rules need to know of the world.
func (j *judge) facts(ctx context.Context, w ledger.Withdrawal, in inForce) risk.Facts {
	f, lane := j.plainFacts(w, in.policy)
	if f.LaneKnown {
		f.Destination = j.destination(ctx, w, lane)
	}
	return f
}

// plainFacts are those that need no question.
func (j *judge) plainFacts(w ledger.Withdrawal, p quorum.Policy) (risk.Facts, quorum.Lane) {
	f := risk.Facts{
		Policy: p, Overlay: j.n.cfg.Overlay, Now: uint64(j.n.now().UnixMilli()), FeeAddress: j.n.genesis.FeeAddress, DaoAddress: j.n.genesis.DaoAddress,
		Cutover: j.n.genesis.Cutover.Event, Carried: j.n.genesis.Cutover.Carried, InForce: true,
	}
	lane, ok := j.n.genesis.LaneOf(w.Network)
	if ok {
		f.LaneKnown, f.Token = true, lane.Token
	}
	return f, lane
}

func (j *judge) remember(wid uint64, v risk.Verdict, d risk.Destination) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.last[wid]; known || len(j.last) < maxVerdicts {
		j.last[wid], j.heard[wid] = v, d
	}
}

// forget drops what is remembered of withdrawals that are no longer open.
func (j *judge) forget(open []ledger.Withdrawal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.dests) <= 2*len(open)+maxVerdicts && len(j.dests) < maxDestinations {
		return
	}
	keep := map[uint64]bool{}
	for _, w := range open {
		keep[w.ID] = true
	}
	for wid := range j.dests {
		if !keep[wid] {
			delete(j.dests, wid)
			delete(j.last, wid)
			delete(j.heard, wid)
		}
	}
}

// verdict returns this node's latest verdict on a withdrawal, for people.
func (j *judge) verdict(wid uint64) (risk.Verdict, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v, ok := j.last[wid]
	return v, ok
}

// content gives the fields of a withdrawal as the own books have them.
func (j *judge) content(wid uint64) (c quorum.Content, ok bool) {
	err := j.n.led.View(func(tx *ledger.Tx) error {
		w, found, err := tx.Withdrawal(wid)
		if err != nil || !found {
			return err
		}
		lane, known := j.n.genesis.LaneOf(w.Network)
		c, ok = w.Content(lane.Token), known
		return nil
	})
	return c, ok && err == nil
}
