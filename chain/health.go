package chain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// patience is how long the rest may take to answer once enough endpoints did: a slow one may still contradict, and holds up
	// nobody for longer.
	patience = time.Second

	// restMax bounds how long an endpoint is left out before it is tried again; the first rest is a second, each next one twice
	// the last.
	restMax = time.Minute

	// lagMax is how far behind in block time an endpoint may be while the others still wait for it.
	lagMax = time.Minute
)

// Why an endpoint's answer is missing, beside its own errors.
var (
	errLate    = errors.New("no answer while enough others answered")
	errResting = errors.New("not asked for a while")
)

// Health is what is known of one endpoint of several.
type Health struct {
	Name          string
	Answered      time.Time // when it last answered; zero: never
	Final         uint64    // number of the newest final block that it showed
	Behind        uint64    // blocks by which that was behind what enough endpoints showed
	Failing       time.Time // since when it does not answer, lags too far, or is left out for it; zero: it takes part
	Failures      uint64    // in all
	Err           string    // of the last failure, while it fails
	Disagreed     time.Time // when it last gave another answer than others; zero: never
	Disagreements uint64
}

// member is one endpoint of several and what is known of it. Who fails is left out of reads while the others are enough, and
// is tried again by the next look at the final block when its rest is over: a dead endpoint costs a look once, not every look.
type member struct {
	Endpoint

	mu      sync.Mutex // guards what follows
	health  Health
	strikes int       // failures in a row
	until   time.Time // of its rest
}

// awake reports whether it takes part. probe also wakes one whose rest is over.
func (m *member) awake(now time.Time, probe bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.strikes == 0 || probe && !now.Before(m.until)
}

func (m *member) answered(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Answered, m.health.Failing, m.health.Err = now, time.Time{}, ""
	m.strikes, m.until = 0, time.Time{}
}

// failed begins a rest, or a longer one.
func (m *member) failed(now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Failures++
	m.health.Err = err.Error()
	if m.health.Failing.IsZero() {
		m.health.Failing = now
	}
	if now.Before(m.until) {
		return // it was asked although it rests, because the others are not enough
	}
	rest := min(time.Second<<min(m.strikes, 6), restMax)
	m.strikes++
	m.until = now.Add(rest)
}

// showed notes the final block that it shows, and reports whether it is too far behind the one that enough endpoints show.
func (m *member) showed(h, enough Header) (lags error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Final, m.health.Behind = h.Number, enough.Number-min(enough.Number, h.Number)
	if m.health.Behind == 0 || enough.Time < h.Time || enough.Time-h.Time <= uint64(lagMax.Seconds()) {
		return nil
	}
	return fmt.Errorf("it is %d blocks behind the others", m.health.Behind)
}

func (m *member) disagreed(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Disagreed = now
	m.health.Disagreements++
}

// Health says how each endpoint does, in their order.
func (a *Agreeing) Health() []Health {
	out := make([]Health, len(a.members))
	for i, m := range a.members {
		m.mu.Lock()
		out[i] = m.health
		m.mu.Unlock()
	}
	return out
}

// answer is what one endpoint said.
type answer[T any] struct {
	from  *member
	value T
	err   error
}

// none reports that the endpoint gave no answer: what it said, or did not say, is no statement about the chain.
func (a answer[T]) none() bool { return a.err != nil && !absence(a.err) }

// collect asks the endpoints that take part, all when these are too few, and returns the answers in their order. Once enough
// answered the others have patience to do so; who does not counts as failed. probe tries those whose rest is over.
func collect[T any](ctx context.Context, a *Agreeing, probe bool, read func(context.Context, Endpoint) (T, error)) []answer[T] {
	type numbered struct {
		i int
		a answer[T]
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of those that nobody waits for any more
	out, asked := a.choose(time.Now(), probe), 0
	answers := make([]answer[T], len(a.members))
	// Buffered for all, so that no goroutine waits for a reader that left.
	replies := make(chan numbered, len(a.members))
	for i, m := range a.members {
		answers[i] = answer[T]{from: m, err: errResting}
		if !out[i] {
			continue
		}
		asked++
		answers[i].err = errLate
		go func() {
			v, err := read(ctx, m.Endpoint)
			replies <- numbered{i, answer[T]{m, v, err}}
		}()
	}

	var late <-chan time.Time
	for got, enough := 0, 0; got < asked; {
		select {
		case <-late:
			return answers
		case r := <-replies:
			got++
			answers[r.i] = r.a
			if r.a.none() {
				continue
			}
			if enough++; enough == a.least {
				timer := time.NewTimer(patience)
				defer timer.Stop()
				late = timer.C
			}
		}
	}
	return answers
}

// choose says who is asked: those that take part, all when they are too few.
func (a *Agreeing) choose(now time.Time, probe bool) []bool {
	out, n := make([]bool, len(a.members)), 0
	for i, m := range a.members {
		if out[i] = m.awake(now, probe); out[i] {
			n++
		}
	}
	for i := range out {
		out[i] = out[i] || n < a.least
	}
	return out
}

// note keeps what a read showed of every endpoint's health. Nothing is held against them when the caller gave up.
func note[T any](ctx context.Context, answers []answer[T]) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	for _, r := range answers {
		switch {
		case errors.Is(r.err, errResting):
		case !r.none(), errors.Is(r.err, ErrPruned): // a server that has lost old state is alive
			r.from.answered(now)
		default:
			r.from.failed(now, r.err)
		}
	}
}
