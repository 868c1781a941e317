package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// Bounds of one pass's questions.
const (
	// judgeAsks is how many withdrawals' questions are under way at once: a provider a tenth of a second away answers a
	// thousand of them in a few seconds, and none takes sixteen at a time for an attack.
	judgeAsks = 16
	// passHeaders bounds the headers that one pass keeps of a lane. Requests of one moment ask for the same few.
	passHeaders = 4096
)

// passEnd is a lane's endpoint during one pass. The final block is read once, and so is each header below it: those do not
// change, and a thousand requests of one hour ask for the same few.
type passEnd struct {
	chain.Endpoint

	mu       sync.Mutex // guards what follows
	final    *chain.Header
	headers  map[uint64]chain.Header
	answered bool // a question was answered, so many may be asked at once
	silent   bool // a question was not: asking on would keep the other lanes' withdrawals waiting
}

// Final implements [chain.Endpoint].
func (e *passEnd) Final(ctx context.Context) (chain.Header, error) {
	e.mu.Lock()
	known := e.final
	e.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	h, err := e.Endpoint.Final(ctx)
	if err == nil {
		e.mu.Lock()
		if e.final == nil {
			e.final = &h
		}
		h = *e.final
		e.mu.Unlock()
	}
	return h, err
}

// HeaderAt implements [chain.Endpoint].
func (e *passEnd) HeaderAt(ctx context.Context, number uint64) (chain.Header, error) {
	e.mu.Lock()
	h, ok := e.headers[number]
	e.mu.Unlock()
	if ok {
		return h, nil
	}
	h, err := e.Endpoint.HeaderAt(ctx, number)
	if err != nil {
		return h, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.final != nil && number <= e.final.Number && len(e.headers) < passHeaders {
		e.headers[number] = h
	}
	return h, nil
}

func (e *passEnd) is(what *bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *what
}

func (e *passEnd) set(what *bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*what = true
}

// begin starts a pass: every lane gets a new chance, and one withdrawal whose question always fails does not keep those
// behind it from being asked about.
func (j *judge) begin(open []ledger.Withdrawal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.ends)
	turn := func(w ledger.Withdrawal) int {
		if w.ID <= j.failed[w.Network] {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(open, func(a, b ledger.Withdrawal) int { return turn(a) - turn(b) })
}

// end is a lane's endpoint in this pass.
func (j *judge) end(network string) *passEnd {
	j.mu.Lock()
	defer j.mu.Unlock()
	e, ok := j.ends[network]
	if !ok {
		e = &passEnd{Endpoint: j.n.watchers[network].end, headers: map[uint64]chain.Header{}}
		j.ends[network] = e
	}
	return e
}

// together is how many of the next withdrawals may be asked about at once. A lane's first question in a pass goes alone: one
// that does not answer costs one question, not as many as there are requests.
func (j *judge) together(open []ledger.Withdrawal) int {
	for i, w := range open[:min(len(open), judgeAsks)] {
		if _, known := j.n.watchers[w.Network]; !known {
			continue // nobody is asked
		}
		if e := j.end(w.Network); !e.is(&e.answered) {
			return max(1, i)
		}
	}
	return min(len(open), judgeAsks)
}

// destination asks where the account's money must go, at the first final block at or after the time that it signed.
func (j *judge) destination(ctx context.Context, w ledger.Withdrawal, lane quorum.Lane) risk.Destination {
	j.mu.Lock()
	known, ok := j.dests[w.ID]
	j.mu.Unlock()
	if ok {
		return known
	}
	end := j.end(w.Network)
	if end.is(&end.silent) || j.n.watchers[w.Network].silent.Load() {
		return risk.Destination{}
	}
	ask, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	found, err := chain.BenefitAt(ask, end, chainLane(lane), w.Account, w.Timestamp)
	var split *chain.Disagreement
	switch {
	case errors.Is(err, chain.ErrNotFinal):
		end.set(&end.answered)
		j.mu.Lock()
		j.early[w.Network] = true
		j.mu.Unlock()
		return risk.Destination{State: risk.NotFinal}
	case errors.As(err, &split):
		end.set(&end.answered)
		// The watcher asks other questions, on which the endpoints may agree: what ends its alert does not end this one.
		a := alertLane(codeChainSplit, w.Network, fmt.Errorf("where withdrawal %d goes: %w", w.ID, err))
		a.Key += destinationKey
		j.n.alerts.raise(a)
		return risk.Destination{State: risk.Disagreeing}
	case err != nil:
		if ctx.Err() == nil && !errors.Is(err, chain.ErrNoContract) {
			end.set(&end.silent)
			j.mu.Lock()
			j.failed[w.Network] = w.ID
			j.mu.Unlock()
		}
		j.n.log.Debug("destination unknown", zap.Uint64("withdrawal", w.ID), zap.Error(err))
		return risk.Destination{}
	}
	end.set(&end.answered)
	d := risk.Destination{State: risk.Known, Address: found.Address}
	j.n.alerts.recover(codeChainSplit + w.Network + destinationKey)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.dests) < maxDestinations {
		j.dests[w.ID] = d
	}
	return d
}

// destinationKey sets the alert about a destination that endpoints disagree on apart from the watcher's.
const destinationKey = "/destination"
