package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
)

// Rhythms of a lane's watcher.
const (
	watchEvery     = time.Second
	rebroadcast    = 5 * time.Second  // the same signed bytes are sent again while no block holds them
	watchTimeout   = 15 * time.Second // for one look at a lane
	heardWithin    = 30 * time.Second // who counts as heard, before this node calls a payment foreign
	maxOpenDeposit = 64               // deposits that are proven in one look
)

// watcher follows one lane on this node's own endpoints: funds and nonce for the VIEW, deposits, and the way of every
// decided transaction to finality. It owns nothing: what it sees goes to the ledger or to the core.
type watcher struct {
	n     *Node
	lane  quorum.Lane
	end   chain.Endpoint
	kick  chan struct{}
	sent  map[common.Hash]time.Time // when each transaction that is out was last sent
	odd   map[string]time.Time      // since when this node sees what its decisions do not explain
	after uint64

	anchor anchor                       // the newest final block that was seen
	lost   map[ledger.SlotKey]time.Time // when bytes were sent again that had been final
	unread int                          // deposits that could not be looked at, in this round over all of them
	out    int                          // payments on their way to finality, at the last look
	newest uint64                       // the block for which a glance last asked for a look

	payer common.Address // whom this watcher follows
	first uint64         // its first nonce on the chain

	contract bool     // the lane's contract was found with the code that it must have
	old      *watcher // follows the payer that is being emptied; nil without one

	undecided undecided // what was found at a nonce that no decision took

	silent atomic.Bool // its endpoints gave no answer to the last look: nobody else needs to wait for them to find out

	closed   uint64    // below this nonce every slot of the sequence is settled
	flows    flows     // the payer's running accounts
	overpaid time.Time // since when decisions pay more than was credited
}

// run looks at the lane every second, at once when it is kicked, and soon after a block became final for which somebody waits.
func (w *watcher) run(ctx context.Context) error {
	w.flows = newFlows(w.lane, w.n.genesis.Lanes)
	tick := time.NewTicker(glanceEvery)
	defer tick.Stop()
	var since time.Duration // the last look
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if since += glanceEvery; since < watchEvery && !w.glance(ctx) {
				continue
			}
			since = 0
		case <-w.kick:
			w.n.turns.wait("lane " + w.lane.Network)
		}
		look, cancel := context.WithTimeout(ctx, watchTimeout)
		err := w.look(look)
		cancel()
		w.report(ctx, err)
	}
}

// report alerts about what went wrong and recovers when it went well.
func (w *watcher) report(ctx context.Context, err error) {
	var split *chain.Disagreement
	w.sick()
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &split):
		w.n.alerts.raise(alertLane(codeChainSplit, w.lane.Network, err))
	case errors.Is(err, chain.ErrContract):
		w.n.alerts.raise(alertLane(codeContract, w.lane.Network, err))
	case err != nil:
		w.n.alerts.raise(alertLane(codeChainDown, w.lane.Network, err))
	default:
		w.n.alerts.moved("lane " + w.lane.Network)
		w.n.alerts.recover(codeChainDown + w.lane.Network)
		w.n.alerts.recover(codeChainSplit + w.lane.Network)
		w.n.alerts.recover(codeContract + w.lane.Network)
	}
}

func (w *watcher) look(ctx context.Context) error {
	if w.lane.Network == w.n.genesis.Lanes[0].Network { // one of the watchers looks at what concerns no lane
		if err := w.outflow(); err != nil {
			w.n.core.post(func() { w.n.core.stop(fmt.Errorf("sum up what is paid: %w", err)) })
			return err
		}
	}
	if err := w.broadcast(ctx); err != nil {
		return err
	}
	key, founded := w.key()
	var seen chain.Survey
	if founded {
		var err error
		if seen, err = w.survey(ctx, key); err != nil {
			return err
		}
	}
	// One answer that is not to be had must not hold up the rest: a row of the Relay can ask for any transaction.
	err := w.observe(ctx)
	err = errors.Join(err, w.deposits(ctx))
	if !founded || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, w.conserve(ctx, key, seen), w.lookOld(ctx))
}

// survey reads what the VIEW says of the lane.
func (w *watcher) survey(ctx context.Context, key quorum.LaneKey) (chain.Survey, error) {
	s, err := chain.SurveyLane(ctx, w.end, chainLane(w.lane), key.Payer)
	var split *chain.Disagreement
	w.silent.Store(err != nil && !errors.As(err, &split))
	if err != nil {
		return s, err
	}
	before := w.anchor
	if err := w.firmly(ctx, key, s.Final); err != nil {
		return s, err
	}
	if w.anchor != before {
		w.n.judge.finalMoved(w.lane.Network)
	}
	if err := w.laneContract(func() error { return chain.CheckContract(ctx, w.end, chainLane(w.lane), s.Final) }); err != nil {
		return s, err
	}
	view := quorum.LaneView{Lane: key, Block: s.Final.Number, Nonce: s.Nonce, Balance: s.Token, Gas: s.Gas, BaseFee: s.Final.BaseFee, Allowance: s.Allowance}
	w.n.core.post(func() { w.n.core.laneSeen(w.lane.Network, view); w.n.core.checkFunds(w.lane.Network, view) })
	return s, w.checkNonce(ctx, key, s.Nonce)
}

// key names the lane once the committee has a payer.
func (w *watcher) key() (quorum.LaneKey, bool) {
	var key quorum.LaneKey
	var ok bool
	err := w.n.led.View(func(tx *ledger.Tx) error {
		payer, founded, err := tx.Payer()
		key, ok = w.lane.Key(payer), founded
		if err == nil && founded {
			err = w.turnTo(tx, payer)
		}
		return err
	})
	return key, ok && err == nil
}

// checkNonce halts when the payer's final transactions cannot all be ours. A node that lags would halt everyone, so it
// speaks only after it heard q−1 others lately and holds every decision that they show.
func (w *watcher) checkNonce(ctx context.Context, key quorum.LaneKey, final uint64) error {
	settled, decided, err := w.counts(key, w.closed)
	if err != nil {
		return err
	}
	w.closed = w.closedAfter(key, w.closed)
	if chain.CheckNonce(w.first, settled, decided, final) == nil {
		delete(w.odd, oddNonce)
		clear(w.lost)
		return nil
	}
	since, core, odd, closed := w.oddSince(oddNonce), w.n.core, false, w.closed
	w.findUndecided(ctx, key, w.first+decided, final)
	asked := core.ask(ctx, func() {
		// Decisions may have come in since: the books are read again where none can come in between.
		if settled, decided, err = w.counts(key, closed); err == nil {
			odd = core.caughtUp(since) && chain.CheckNonce(w.first, settled, decided, final) != nil
		}
		if first := w.first + decided; odd && final > first {
			core.tripUndecided(w.lane.Network, final, first, w.undecided)
		}
	})
	if asked != nil || err != nil {
		return errors.Join(asked, err)
	}
	if odd && final < w.first+settled {
		// Endpoints that lag behind what is settled show an older chain: that is a reason to wait, not to halt. A chain that went
		// back has halted this node before.
		w.again(ctx, key, final, w.first+settled)
		return fmt.Errorf("final nonce %d is below what is settled: the endpoints lag", final)
	}
	return nil
}

// undecided is a final transaction of the payer at a nonce that no decision took; without a hash it was not found.
type undecided struct {
	nonce uint64
	hash  common.Hash
	raw   []byte // nil when it is not of our shape
}

// findUndecided looks once for what stands at the first nonce that no decision took. Not to find it delays nothing: the
// halt then names the nonce alone.
func (w *watcher) findUndecided(ctx context.Context, key quorum.LaneKey, first, final uint64) {
	if final <= first || w.undecided.nonce == first && w.undecided.hash != (common.Hash{}) {
		return
	}
	w.undecided = undecided{nonce: first}
	if out, err := chain.OutcomeFor(ctx, w.end, key.Payer, first, nil); err == nil {
		w.undecided.hash, w.undecided.raw = out.TxHash, out.Raw
	}
}

// tripUndecided halts this node for payments of which no decision tells, and keeps the first of them.
func (c *core) tripUndecided(network string, final, first uint64, found undecided) {
	what := fmt.Sprintf("nobody decided nonce %d", first)
	if found.nonce == first && found.hash != (common.Hash{}) {
		c.keepForeign(found.raw, found.hash, 0)
		what += fmt.Sprintf(", which %s took", found.hash)
	}
	c.trip("foreign-payment", fmt.Sprintf("%s: the payer has %d final transactions, decisions explain %d: %s", network, final, first, what))
}

// counts says how many of the sequence's slots are settled, and how many were decided. Those below closed are all settled.
func (w *watcher) counts(key quorum.LaneKey, closed uint64) (settled, decided uint64, err error) {
	err = w.eachSlot(key, closed, func(_ uint64, done bool) {
		if decided++; done {
			settled++
		}
	})
	before := max(closed, w.first) - w.first
	return settled + before, decided + before, err
}

// closedAfter is the nonce below which every slot is settled: the next look begins there, not at the first payment ever.
func (w *watcher) closedAfter(key quorum.LaneKey, closed uint64) uint64 {
	closed = max(closed, w.first)
	err := w.eachSlot(key, closed, func(nonce uint64, done bool) {
		if done && nonce == closed {
			closed++
		}
	})
	if err != nil {
		return 0
	}
	return closed
}

// eachSlot walks a sequence's slots from a nonce on, with whether an outcome certificate closed each.
func (w *watcher) eachSlot(key quorum.LaneKey, from uint64, fn func(nonce uint64, done bool)) error {
	return w.n.led.View(func(tx *ledger.Tx) error {
		last, ok := tx.LastNonce(key.Nonces())
		if !ok {
			return nil
		}
		for n := max(from, w.first); n <= last; n++ {
			p, _, err := tx.Payout(ledger.SlotKey{ChainID: key.ChainID, Payer: key.Payer, Nonce: n})
			if err != nil {
				return err
			}
			fn(n, p.Stage >= ledger.StageSettled)
		}
		return nil
	})
}

// oddNonce is what checkNonce finds odd; a slot's key is what seen does.
const oddNonce = "nonce"

// oddSince is when this watcher first saw something that the decisions known here do not explain.
func (w *watcher) oddSince(what string) time.Time {
	if _, known := w.odd[what]; !known {
		w.odd[what] = w.n.now()
	}
	return w.odd[what]
}

// broadcast sends the highest signed fee step of every slot that no block holds: endpoints refuse the lower ones beside it. Of a
// cancelled slot it is the CANCEL's: what it replaces is nothing that this node still wants to see in a block. The record that it is about to leave comes first.
func (w *watcher) broadcast(ctx context.Context) error {
	type due struct {
		slot  ledger.Slot
		batch common.Hash
		tx    ledger.Signed
	}
	var out []due
	now := w.n.now()
	open := map[common.Hash]time.Time{}
	err := w.n.led.View(func(tx *ledger.Tx) error {
		return tx.OpenSlots(func(s ledger.Slot, p ledger.Payout) error {
			if s.Network != w.lane.Network || (p.Stage != ledger.StageSigned && p.Stage != ledger.StageBroadcast) {
				return nil
			}
			last, top, ok, err := tx.TopOf(s)
			if err != nil || !ok {
				return err
			}
			if open[top.Hash] = w.sent[top.Hash]; now.Sub(w.sent[top.Hash]) >= rebroadcast {
				out = append(out, due{s, last, top})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	w.sent = open // what is settled or overtaken is forgotten
	for _, d := range out {
		err := w.n.led.Update(func(tx *ledger.Tx) error {
			return tx.Track(d.slot.Key, ledger.Payout{Stage: ledger.StageBroadcast, K: d.tx.K, TxHash: d.tx.Hash})
		})
		if overtaken(err) {
			continue
		}
		if err != nil {
			w.n.core.post(func() { w.n.core.stop(fmt.Errorf("record broadcast: %w", err)) })
			return err
		}
		w.sent[d.tx.Hash] = now
		if err := w.send(ctx, d.batch, d.tx); err != nil {
			return err
		}
	}
	return nil
}

// observe follows every open slot of the lane on chain.
func (w *watcher) observe(ctx context.Context) error {
	type open struct {
		slot   ledger.Slot
		was    ledger.Payout
		signed []common.Hash
	}
	var all []open
	err := w.n.led.View(func(tx *ledger.Tx) error {
		return tx.OpenSlots(func(s ledger.Slot, p ledger.Payout) error {
			if s.Network != w.lane.Network || p.Stage == ledger.StageDecided && w.n.now().UnixMilli()-int64(p.Changed) < 2000 {
				return nil
			}
			signed, err := signedHashes(tx, s)
			all = append(all, open{s, p, signed})
			return err
		})
	})
	if err != nil {
		return err
	}
	w.out = 0
	var failed error
	for _, o := range all {
		if o.was.Stage > ledger.StageDecided && o.was.Stage < ledger.StageFinal {
			w.out++
		}
		payments, err := w.payments(o.slot)
		if err != nil {
			return err
		}
		look, err := chain.Observe(ctx, w.end, o.signed, payments...)
		if errors.Is(err, chain.ErrUnexplained) {
			w.unexplainedNonce(o.slot, err)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		w.seen(o.slot, o.was, look)
	}
	return errors.Join(failed, w.restate(ctx))
}

// unexplainedNonce halts this node when a decided nonce is used up by what is no transaction: the key authorised something, and it
// was not this network.
func (w *watcher) unexplainedNonce(slot ledger.Slot, why error) {
	core, since := w.n.core, w.oddSince(slot.Key.String())
	core.post(func() {
		if core.caughtUp(since) {
			core.trip("foreign-payment", fmt.Sprintf("%s: %v", slot.Key, why))
		}
	})
}

// seen carries out what a look at a slot's nonce means; see [follow].
func (w *watcher) seen(slot ledger.Slot, was ledger.Payout, look chain.Look) {
	core := w.n.core
	next, means := follow(was, look)
	if next != was {
		w.track(slot.Key, next)
	}
	switch means {
	case sightNowhere:
		at := w.n.now()
		core.post(func() { core.notMined(slot, at) })
	case sightMined:
		core.post(func() { core.inBlock(slot) })
	case sightForeign:
		reason := fmt.Sprintf("%s holds transaction %s, which this network did not render", slot.Key, look.Seen.TxHash)
		since := w.oddSince(slot.Key.String())
		seen := *look.Seen
		core.post(func() {
			if core.caughtUp(since) {
				core.keepForeign(seen.Raw, seen.TxHash, slot.Height)
				core.trip("foreign-payment", reason)
			}
		})
	case sightFinal:
		if was.Stage == ledger.StageFinal && was.TxHash == look.Seen.TxHash && was.BlockHash == look.Seen.BlockHash && w.stated(slot.Key) {
			return // the core gossips the statement again until the slot is settled
		}
		seen := *look.Seen
		core.post(func() { core.finalSeen(slot, seen); core.inBlock(slot) })
	}
}

func (w *watcher) track(key ledger.SlotKey, to ledger.Payout) {
	err := w.n.led.Update(func(tx *ledger.Tx) error { return tx.Track(key, to) })
	if err != nil && !overtaken(err) && !isRule(err) {
		w.n.core.post(func() { w.n.core.stop(fmt.Errorf("track %s: %w", key, err)) })
	}
}

// overtaken reports whether a record was refused because the core found the slot final since it was read here.
func overtaken(err error) bool {
	return errors.Is(err, ledger.ErrOrder) || errors.Is(err, ledger.ErrConflict)
}

// deposits proves what the Relay credited on this lane.
func (w *watcher) deposits(ctx context.Context) error {
	var open []ledger.Event
	err := w.n.led.View(func(tx *ledger.Tx) (err error) { open, err = tx.OpenDeposits(w.after, maxOpenDeposit); return err })
	if err != nil {
		return err
	}
	if len(open) < maxOpenDeposit {
		w.after = 0
	} else {
		w.after = open[len(open)-1].ID
	}
	changed := false
	for _, e := range open {
		if e.Deposit.Network != w.lane.Network {
			continue
		}
		amount, ok := ledger.ParseAmount(e.Amount)
		if !ok {
			continue
		}
		found, err := chain.VerifyDeposit(ctx, w.end, chainLane(w.lane), e.Deposit.TxHash, e.Account, amount)
		if err != nil {
			w.unreadDeposit(e, err)
			continue
		}
		moved, err := w.prove(e, found)
		if err != nil {
			w.n.core.post(func() { w.n.core.stop(err) })
			return err
		}
		changed = changed || moved
	}
	if changed {
		w.n.poke()
	}
	if w.after == 0 { // all of them were looked at
		if w.unread == 0 {
			w.n.alerts.recover(codeChainDown + w.lane.Network + depositKey)
			w.n.alerts.recover(codeChainSplit + w.lane.Network + depositKey)
		}
		w.unread = 0
	}
	return nil
}

// depositKey sets the alert about deposits that cannot be read apart from the lane's own.
const depositKey = "/deposit"

// unreadDeposit calls people for one that the endpoints give no answer to; the others are looked at all the same.
func (w *watcher) unreadDeposit(e ledger.Event, why error) {
	if w.unread++; w.unread > 1 {
		return
	}
	var split *chain.Disagreement
	code := codeChainDown
	if errors.As(why, &split) {
		code = codeChainSplit
	}
	a := alertLane(code, w.lane.Network, fmt.Errorf("deposit of event %d: %w", e.ID, why))
	a.Key += depositKey
	w.n.alerts.raise(a)
}

func (w *watcher) prove(e ledger.Event, found chain.DepositFinding) (changed bool, err error) {
	proof := map[chain.Proof]ledger.Proof{
		chain.Unknown: ledger.Unproven, chain.Pending: ledger.Pending, chain.Proven: ledger.Counted, chain.Contradicted: ledger.Contradicted,
	}[found.Proof]
	var raised []ledger.Alert
	err = w.n.led.Update(func(tx *ledger.Tx) error {
		was, ok := tx.ProofOf(e.ID)
		if !ok || was == proof {
			return nil
		}
		changed = true
		raised, err = tx.SetProof(e.ID, proof, uint64(w.n.now().UnixMilli()))
		return err
	})
	w.n.raiseBooks(raised)
	return changed, err
}

// caughtUp reports whether this node heard q−1 others lately, after it saw what it cannot explain, and holds every decision up
// to the height that f+1 of them show: at most f can claim one that does not exist, and a claim that stops the alarm must
// not be a liar's to make. What others said before that moment proves nothing: a node that was cut off a second ago still
// holds everybody's word that nothing was decided.
func (c *core) caughtUp(since time.Time) bool {
	shown := map[common.Address]uint64{}
	heard := 0
	for _, v := range c.pool.views {
		at := c.heard[v.Signer()]
		if v.Signer() == c.self || !at.After(since) || c.now().Sub(at) > heardWithin {
			continue
		}
		heard++
		shown[v.Signer()] = v.Body().Height
	}
	for id, height := range c.behind {
		shown[id] = max(shown[id], height)
	}
	ahead := 0
	for _, height := range shown {
		if height > c.state.Height {
			ahead++
		}
	}
	return heard >= c.state.Roster.Q()-1 && ahead <= c.state.Roster.F()
}

// stated reports whether this node's OUTCOME of a slot stands for the epoch in force: another epoch's counts no more.
func (w *watcher) stated(key ledger.SlotKey) (ok bool) {
	err := w.n.led.View(func(tx *ledger.Tx) error {
		self, _ := tx.Self()
		said, err := tx.Outcomes(key)
		for _, s := range said {
			ok = ok || s.Signer() == self
		}
		return err
	})
	return ok || err != nil
}
