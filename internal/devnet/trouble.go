package devnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"conclave/internal/devnet/simchain"
)

// Troubles are what the world around the custodians does while users withdraw. None of them is an excuse: everything is paid, once.
type Troubles struct {
	Reorgs        bool // the chain replaces its newest blocks, within the lanes' finality, again and again
	LyingEndpoint bool // each custodian has a second endpoint, and must ask both, that lies, lags, refuses or hangs half of the time
	LostFulfils   bool // of three calls that report an outcome to the Relay one is lost, and the answer to another
	FeesTriple    bool // blocks are full until the base fee has tripled, and it comes back, again and again
}

func (t Troubles) any() bool { return t != Troubles{} }

// troubles makes them, and counts what became of each: a trouble that never came proves nothing.
type troubles struct {
	what Troubles
	n    *Network

	mu   sync.Mutex // guards what follows
	rand *mathrand.Rand
	met  map[string]int // how often what happened
}

// Names of what may happen.
const (
	metReorg      = "reorganisations"
	metGone       = "transactions that left the chain"
	metSpike      = "times the base fee tripled"
	metLostCall   = "calls lost"
	metLostAnswer = "answers lost"
)

func (t *troubles) count(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.met[what] += n
}

func (t *troubles) draw(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rand.IntN(n)
}

// newTroubles is what the options ask for, drawn from their seed.
func newTroubles(what Troubles, seed uint64) *troubles {
	return &troubles{what: what, rand: mathrand.New(mathrand.NewPCG(seed, 1)), met: map[string]int{}}
}

// beginTroubles draws a seed unless the options name one.
func (o *Options) beginTroubles() error {
	if err := o.draw(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.Err, "the world makes trouble, seed %d\n", o.Seed)
	o.trouble = newTroubles(o.Troubles, o.Seed)
	return err
}

// endpoint opens the bad one; nil without.
func (t *troubles) endpoint(chain string) (*badEndpoint, error) {
	if t == nil || !t.what.LyingEndpoint {
		return nil, nil
	}
	return openBadEndpoint(t, chain)
}

// relay is the Relay as custodians reach it.
func (t *troubles) relay(relay http.Handler) http.Handler {
	if t == nil || !t.what.LostFulfils {
		return relay
	}
	return t.losing(relay)
}

// begin starts what happens beside the users, until ctx ends.
func (t *troubles) begin(ctx context.Context, n *Network, failed chan<- error) {
	if t == nil {
		return
	}
	t.n = n
	for name, run := range map[string]func(context.Context) error{"reorganise": t.reorgs, "raise fees": t.fees} {
		go func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		}()
	}
}

// Rhythms of reorganisations.
const (
	reorgLook  = 500 * time.Millisecond
	carryOdds  = 2  // where the newest blocks carry something, one look in so many replaces them
	reorgsOdds = 16 // and where they carry nothing
)

// reorgs replaces blocks once users have what they need: then every transaction is a custodian's, and all of a forgotten block's are theirs
// to send again.
func (t *troubles) reorgs(ctx context.Context) error {
	if !t.what.Reorgs {
		return nil
	}
	if err := t.asked(ctx); err != nil {
		return err
	}
	for {
		if err := pause(ctx, reorgLook); err != nil {
			return err
		}
		carried, err := t.n.world.chain.Carried(ctx, finalDepth)
		if err != nil {
			return err
		}
		odds := reorgsOdds
		if carried > 0 && !t.what.FeesTriple {
			odds = carryOdds
		}
		if t.draw(odds) != 0 {
			continue
		}
		depth := uint64(1 + t.draw(finalDepth))
		gone, err := t.n.world.chain.ReorgNow(ctx, depth, !t.what.FeesTriple && t.draw(2) == 0)
		if errors.Is(err, simchain.ErrTraffic) {
			continue
		}
		if err != nil {
			return err
		}
		t.count(metReorg, 1)
		t.count(metGone, gone)
	}
}

// asked waits until a user has asked for money.
func (t *troubles) asked(ctx context.Context) error {
	for !t.n.wasAsked() {
		if err := pause(ctx, watchEvery); err != nil {
			return err
		}
	}
	return nil
}

// wasAsked reports whether a user has asked for money: all have done by then what they do on the chain.
func (n *Network) wasAsked() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.requests) > 0
}

func pause(ctx context.Context, long time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(long):
		return nil
	}
}

// fees lets a rival use half of each block, which keeps the base fee, and nearly all of it from time to time, which triples it in ten blocks.
func (t *troubles) fees(ctx context.Context) error {
	if !t.what.FeesTriple {
		return nil
	}
	chain := t.n.world.chain
	faucet, err := chain.Faucet()
	if err != nil {
		return err
	}
	defer faucet.Close()
	rival, err := chain.Rival(ctx, faucet)
	if err != nil {
		return err
	}
	defer rival.Close()
	wave := feeWave{since: time.Now()}
	for {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		base, limit, err := chain.Fee(ctx)
		if err != nil {
			return err
		}
		share, tripled := wave.next(base.Uint64(), time.Now(), t.n.wasAsked())
		if tripled {
			t.count(metSpike, 1)
		}
		// What is refused stands in the mempool still: the next block has it.
		if err := rival.Burn(ctx, limit/100*share); err != nil && ctx.Err() == nil {
			t.n.say("the rival was refused: %v", err)
		}
	}
}

// Rhythms of fees.
const (
	usualFee = 1_000_000_000    // wei
	calmFor  = 20 * time.Second // before each rise
	highFor  = 35 * time.Second // longer than the policy lets a transaction wait for a block
)

// feeWave says how much of the next block others use.
type feeWave struct {
	state string // "", rising or high
	since time.Time
}

// next is that share in percent: half keeps a fee, more raises it, nothing lets it fall. It begins to rise once somebody withdraws.
func (f *feeWave) next(base uint64, now time.Time, asked bool) (share uint64, tripled bool) {
	to := func(state string) { f.state, f.since = state, now }
	switch {
	case f.state == "rising" && base >= 3*usualFee:
		to("high")
		return 50, true
	case f.state == "rising":
		return 95, false
	case f.state == "high" && now.Sub(f.since) >= highFor:
		to("")
		return 0, false
	case f.state == "high":
		return keeping(base, 3*usualFee), false
	case asked && now.Sub(f.since) >= calmFor && base <= 2*usualFee:
		to("rising")
		return 95, false
	}
	return keeping(base, usualFee), false
}

// keeping is the share that leads back to a fee.
func keeping(base, fee uint64) uint64 {
	switch {
	case base < fee/10*9:
		return 75
	case base > fee/10*12:
		return 0
	}
	return 50
}

// losing is a Relay that loses what it is told of outcomes: a call that never arrived, or an answer that never came back.
func (t *troubles) losing(relay http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outcome := r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/withdraw/")
		if !outcome {
			relay.ServeHTTP(w, r)
			return
		}
		switch t.draw(3) {
		case 0:
			t.count(metLostCall, 1)
			panic(http.ErrAbortHandler)
		case 1:
			t.count(metLostAnswer, 1)
			relay.ServeHTTP(nowhere{}, r)
			panic(http.ErrAbortHandler)
		}
		relay.ServeHTTP(w, r)
	})
}

// nowhere takes an answer that nobody gets.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// came says what happened, or what did not: a trouble that never came is an error.
func (t *troubles) came() (string, error) {
	if t == nil {
		return "", nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range []struct {
		on   bool
		what []string
	}{
		{t.what.Reorgs, []string{metReorg, metGone}}, {t.what.LostFulfils, []string{metLostCall, metLostAnswer}},
		{t.what.FeesTriple, []string{metSpike}}, {t.what.LyingEndpoint, []string{metLie, metLag, metRefusal}},
	} {
		for _, what := range w.what {
			if w.on && t.met[what] == 0 {
				return "", fmt.Errorf("%w: no %s in the whole run, which proves nothing then: more withdrawals take longer", ErrNotPaid, what)
			}
		}
	}
	return inWords(t.met), nil
}

// inWords lists counts in a fixed order.
func inWords(counts map[string]int) string {
	var out []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(out, ", ")
}
