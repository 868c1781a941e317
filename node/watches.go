package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/relay"
	"conclave/risk"
)

// Rhythms of the watches.
const (
	watchesTick = time.Second
	// watchesAsk is how often the Relay's clock and tariff and the settlement's source are read.
	watchesAsk = time.Minute
	// presentWithin is how late the next answer of the Relay may be while this node counts as present.
	presentWithin = 5 * time.Second
)

// watches feeds the statistics of package risk with rows, requests and time, and does what they find: an alert, or this
// node's own fuse. They withhold no verdict.
type watches struct {
	n    *Node
	page sync.Mutex // held from the counting of a page to its booking: pages come from the Relay and from peers

	mu     sync.Mutex // guards what follows; whoever holds it commits nothing
	stats  *risk.Watches
	settle *risk.Settlement
	ahead  bool   // rows are counted that are not stored
	wid    uint64 // the highest request that was counted
}

// keyWatchedRequest is where the highest counted request is stored.
const keyWatchedRequest = "requests/last"

func newWatches(n *Node) (*watches, error) {
	w := &watches{n: n}
	fresh, err := w.load()
	if err == nil && fresh {
		err = n.led.Update(w.store)
	}
	if err != nil {
		return nil, fmt.Errorf("watches: %w", err)
	}
	return w, nil
}

func (w *watches) clock() uint64 { return uint64(w.n.now().Unix()) }

// present reports whether this node holds everything that the Relay shows. A poll that hangs says nothing yet.
func (w *watches) present() bool {
	if w.n.intake == nil {
		return false
	}
	st := w.n.intake.follow.Status()
	return st.CaughtUp && w.n.now().Sub(st.LastAnswer) <= w.n.relayPoll()+presentWithin
}

// load reads what is stored and fills the windows from the end of the log. fresh: the sums of settlement were made anew
// and are to be stored. The caller holds mu, or is alone.
func (w *watches) load() (fresh bool, err error) {
	w.stats, w.ahead = risk.NewWatches(w.n.policy().Watch), false
	now := w.clock()
	err = w.n.led.View(func(tx *ledger.Tx) error {
		if err := w.stats.Load(tx.WatchValues); err != nil {
			return err
		}
		if w.settle, fresh, err = risk.LoadSettlement(tx.WatchValues); err != nil {
			return err
		}
		if fresh {
			if err := tx.Events(0, func(e ledger.Event) error { w.settle.Row(e); return nil }); err != nil {
				return err
			}
		}
		sums, err := tx.Credited()
		if err != nil {
			return err
		}
		err = tx.Events(sums.LastID-min(sums.LastID, risk.RebuildRows), func(e ledger.Event) error {
			if e.ID > w.n.genesis.Cutover.Event {
				w.stats.Remember(e, now)
			}
			return nil
		})
		if err != nil {
			return err
		}
		w.stats.Remembered(now)
		return w.loadRequests(tx, now)
	})
	return fresh, err
}

func (w *watches) loadRequests(tx *ledger.Tx, now uint64) error {
	if raw := tx.WatchValue([]byte(keyWatchedRequest)); len(raw) == 8 {
		w.wid = binary.BigEndian.Uint64(raw)
	}
	rows, err := tx.Withdrawals(ledger.WithdrawalFilter{After: w.wid - min(w.wid, risk.RebuildRequests), Limit: risk.RebuildRequests})
	for _, r := range rows {
		w.stats.Request(r, now, false)
	}
	return err
}

// onePage waits until no other page is counted; call what it returns when the page is booked.
func (w *watches) onePage() func() {
	w.page.Lock()
	return w.page.Unlock
}

// rows counts what the books do not hold yet. It is asked before the rows are booked: no verdict shall rest on a row that
// trips the fuse. What history says is counted and judged by nobody: q operators signed it. Neither are rows that q members
// certified, which come by the thousand when this node was shown less.
func (w *watches) rows(ctx context.Context, events []ledger.Event, certified bool) error {
	if len(events) == 0 {
		return nil
	}
	found, err := w.count(events, certified)
	if err != nil {
		return fmt.Errorf("watches: %w", err)
	}
	return w.act(found, func(trip func()) error { return w.n.core.ask(ctx, trip) })
}

func (w *watches) count(events []ledger.Event, certified bool) (found []risk.Finding, err error) {
	present := w.present()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ahead { // the page before this one was not stored
		if _, err := w.load(); err != nil {
			return nil, err
		}
	}
	var fresh []ledger.Event
	var unseen map[common.Address]bool
	err = w.n.led.View(func(tx *ledger.Tx) (err error) { fresh, unseen, err = tx.Unbooked(events); return err })
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	w.stats.Policy(w.n.policy().Watch)
	now := w.clock()
	for _, e := range fresh {
		w.settle.Row(e)
		if e.ID > w.n.genesis.Cutover.Event && !certified {
			found = append(found, w.stats.Row(e, now, unseen[e.Account], present)...)
		} else {
			w.stats.Past(e, now, unseen[e.Account])
		}
		delete(unseen, e.Account)
	}
	w.ahead = true
	return found, nil
}

// store keeps what was counted, in the transaction that books it.
func (w *watches) store(tx *ledger.Tx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.stats.Flush(tx.PutWatch); err != nil {
		return err
	}
	return w.settle.Flush(tx.WatchValue, tx.PutWatch)
}

// stored ends what count began; a page that was not booked is counted again when it comes again.
func (w *watches) stored(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead = w.ahead && err != nil
}

// requests counts rows of the list that were not there before.
func (w *watches) requests(tx *ledger.Tx, rows []ledger.Withdrawal) error {
	now, present := w.clock(), w.present()
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.wid
	var found []risk.Finding
	for _, r := range rows {
		if r.ID > w.wid {
			w.wid = r.ID
			found = append(found, w.stats.Request(r, now, present)...)
		}
	}
	if w.wid == was {
		return nil
	}
	return errorsOrAct(tx.PutWatch([]byte(keyWatchedRequest), binary.BigEndian.AppendUint64(nil, w.wid)), func() error {
		return w.act(found, w.later)
	})
}

func errorsOrAct(err error, act func() error) error {
	if err != nil {
		return err
	}
	return act()
}

// later trips on the core when it comes to it.
func (w *watches) later(trip func()) error { w.n.core.post(trip); return nil }

// act does what was found: people hear of it, and the fuse trips.
func (w *watches) act(found []risk.Finding, on func(func()) error) error {
	for _, f := range found {
		w.n.alerts.raise(alertFinding(f))
		if !f.Fuse {
			continue
		}
		if err := on(func() { w.n.core.trip(string(f.Alert.Code), f.Alert.Text) }); err != nil {
			return err
		}
	}
	return nil
}

func alertFinding(f risk.Finding) Alert {
	return Alert{Key: watchKey(f.Alert.Code, f.Subject), Code: string(f.Alert.Code), Severity: f.Alert.Severity, Text: f.Alert.Text, Hint: f.Alert.Hint}
}

func watchKey(code ledger.AlertCode, subject string) string { return string(code) + " " + subject }

// run tells the watches the time until ctx ends.
func (w *watches) run(ctx context.Context) error {
	tick := time.NewTicker(watchesTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.tick(ctx); err != nil {
			return err
		}
		w.n.alerts.moved("watches")
	}
}

// questions asks the Relay and the authority until ctx ends. They may take their time to answer, or never do: the watches go
// on meanwhile.
func (w *watches) questions(ctx context.Context) error {
	tick := time.NewTicker(watchesAsk)
	defer tick.Stop()
	for {
		w.ask(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tick judges what time makes due, and ends the alerts of what has passed.
func (w *watches) tick(ctx context.Context) error {
	now, present, policy := w.clock(), w.present(), w.n.policy()
	w.mu.Lock()
	w.stats.Policy(policy.Watch)
	w.settle.Policy(policy.Settlement)
	found := append(w.stats.Tick(now, present), w.settle.Tick(policy.Settlement, now)...)
	due, judged, err := w.judgeSettlement(policy, now)
	found = append(found, due...)
	changed := judged || w.stats.Judged() || len(found) > 0
	standing, unsaid := w.standing(now, present, policy), w.stats.Unsaid(present)
	w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("watches: %w", err)
	}
	// The fuse first: a crash between the two tells it again, which is better than not at all.
	if err := w.act(found, func(trip func()) error { return w.n.core.ask(ctx, trip) }); err != nil {
		return ended(ctx, err)
	}
	if changed {
		if err := w.keep(); err != nil {
			return fmt.Errorf("watches: %w", err)
		}
	}
	w.recover(standing, unsaid)
	return nil
}

// keep stores what time alone changed. A page that is counted and not booked yet must not get in with it: it is counted once
// more if its booking fails. Who books it stores all of it.
func (w *watches) keep() error {
	defer w.onePage()()
	w.mu.Lock()
	ahead := w.ahead
	w.mu.Unlock()
	if ahead {
		return nil
	}
	return w.n.led.Update(w.store)
}

// ended is no error when the node ends.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// recover begins the alerts of what stands since before a start, and ends those of what does not stand.
func (w *watches) recover(standing []risk.Standing, unsaid []ledger.AlertCode) {
	keys := map[ledger.AlertCode]map[string]bool{}
	for _, code := range watchCodes() {
		keys[code] = map[string]bool{}
	}
	for _, s := range standing {
		if !s.Breached || keys[s.Code] == nil {
			continue
		}
		key := watchKey(s.Code, s.Subject)
		keys[s.Code][key] = true
		w.n.alerts.ensure(Alert{Key: key, Code: string(s.Code), Text: s.String()})
	}
	for code, but := range keys {
		if !slices.Contains(unsaid, code) {
			w.n.alerts.recoverAll(string(code), but)
		}
	}
}

// standing lists the rules with mu held.
func (w *watches) standing(now uint64, present bool, p quorum.Policy) []risk.Standing {
	out := w.stats.Standing(now, present)
	if s, ok := w.settle.Standing(p.Settlement, now); ok {
		out = append(out, s)
	}
	return out
}

// watchStates lists every rule of the watches that is on, for people.
func (n *Node) watchStates() []risk.Standing {
	present := n.watches.present()
	n.watches.mu.Lock()
	defer n.watches.mu.Unlock()
	return n.watches.standing(n.watches.clock(), present, n.policy())
}

// ask reads what comes from outside. What does not answer is asked again; other alerts say that it is silent.
func (w *watches) ask(ctx context.Context) {
	sent := w.n.now()
	said, err := w.n.relay.Now(ctx)
	came := w.n.now()
	var found []risk.Finding
	if err == nil {
		w.mu.Lock()
		found = w.stats.Skew(uint64(said.Unix()), sent, came)
		w.mu.Unlock()
	}
	tariff, tariffErr := w.n.relay.Tariff(ctx)
	if tariffErr == nil {
		w.mu.Lock()
		found = append(found, w.stats.Tariff(w.n.policy().Tariffs, published(tariff), w.clock())...)
		w.mu.Unlock()
	}
	if err != nil || tariffErr != nil {
		w.n.log.Debug("relay not asked", zap.NamedError("clock", err), zap.NamedError("tariff", tariffErr))
	}
	if err := w.act(found, w.later); err != nil {
		w.n.log.Error("watch alerts", zap.Error(err))
	}
	w.askSettlement(ctx)
}

// published is the Relay's tariff in the policy's terms.
func published(in relay.Tariff) map[string]quorum.Tariff {
	coin := uint256.NewInt(1e18)
	coins := func(n uint64) (wei uint256.Int) { wei.Mul(uint256.NewInt(n), coin); return wei }
	out := map[string]quorum.Tariff{}
	for _, n := range in {
		t := quorum.Tariff{Fixed: coins(n.Fee), Minimum: coins(n.Min)}
		for _, tier := range n.Tiers {
			t.Tiers = append(t.Tiers, quorum.Tier{From: coins(tier.Min), Ratio: ratioOf(tier.Ratio)})
		}
		out[n.Network] = t
	}
	return out
}
