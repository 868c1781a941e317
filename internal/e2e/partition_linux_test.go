//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/internal/devnet"
	"conclave/internal/e2e"
	"conclave/node"
)

// What the networks between custodians are like, and how long each phase may take before something is wrong.
const (
	custodians  = 4
	lossPercent = 10
	delay       = 50 * time.Millisecond
	cutFor      = 20 * time.Second
	patience    = 10 * time.Minute // many times what it takes, for busy machines
	lookEvery   = 500 * time.Millisecond
	perPhase    = 3
	lastWords   = 6000 // bytes of each custodian's log, of a test that failed
)

// story is one network under test: the devnet in the background, and what is asked of its custodians.
type story struct {
	*testing.T
	ctx     context.Context
	lab     *e2e.Lab
	began   time.Time
	dir     string
	allowed chan int // how many withdrawals users may have asked for
	out     *output
	ended   chan error
	rpc     []string
}

// output is what the devnet prints; its report is one line of JSON.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Split(strings.TrimSpace(o.buf.String()), "\n")
}

// Four custodians, each in its own network, with loss; two against two for a while; then one that does not hear another.
// Users ask for money all the while. Everything is paid exactly once, nobody halts, nobody accuses anybody.
func TestLossAndPartitions(t *testing.T) {
	if !inside(t) {
		return
	}
	s := begin(t)
	s.allow(perPhase)
	s.until("paid with loss", func() error { return s.fulfilled(perPhase) })

	s.cutInHalves(2 * perPhase)
	s.heal()
	halves := s.until("paid after healing", func() error { return s.fulfilled(2 * perPhase) })

	s.deafen(3 * perPhase)
	s.heal()
	deaf := s.until("fulfilled after healing", func() error { return s.fulfilled(3 * perPhase) })
	s.allWell(3 * perPhase)
	s.result(3*perPhase, halves, deaf)
}

// result is the line that whoever reads one line reads.
func (s *story) result(n int, halves, deaf time.Duration) {
	s.Helper()
	cut, lost, err := s.lab.Dropped(s.ctx)
	require.NoError(s, err)
	s.say("e2e: %d of %d withdrawals paid exactly once: %.1f s after 2 | 2 healed, %.1f s after 1 -/-> 0 healed; %d packets lost by chance (%d %%), %d by cuts; %s",
		n, n, halves.Seconds(), deaf.Seconds(), lost, lossPercent, cut, s.lab.Delay())
}

// begin starts the devnet in the lab: loss and delay are there from the first packet, the key's ceremony included.
func begin(t *testing.T) *story {
	ctx, cancel := context.WithCancel(t.Context())
	s := &story{T: t, ctx: ctx, began: time.Now(), dir: filepath.Join(t.TempDir(), "net"), allowed: make(chan int, 1), out: &output{}, ended: make(chan error, 1)}
	var err error
	s.lab, err = e2e.NewLab(ctx, custodians, delay)
	t.Cleanup(func() { require.NoError(t, s.lab.Close()) })
	require.NoError(t, err)
	require.NoError(t, s.lab.Loss(ctx, lossPercent))
	s.say("%d %% loss in each direction between custodians; %s", lossPercent, s.lab.Delay())
	s.allowed <- 0
	o := devnet.Options{
		Nodes: custodians, Withdrawals: 3 * perPhase, Dir: s.dir, JSON: true, Network: "devnet", Conclave: os.Getenv("CONCLAVE"),
		Out: s.out, Err: t.Output(), Host: s.lab.Host, Launch: s.launch, Pace: s.pace,
	}
	go func() { s.ended <- devnet.Run(ctx, o) }()
	t.Cleanup(func() {
		if t.Failed() {
			s.logs()
		}
		cancel()
		if err := <-s.ended; !errors.Is(err, context.Canceled) { // cut short by a failure
			require.NoError(t, err)
		}
	})
	s.until("the key is made", s.standing)
	return s
}

// launch puts a custodian into its network, with ways to the chain and the Relay, and a way to its API.
func (s *story) launch(seat devnet.Seat, start func() error) error {
	for _, addr := range seat.Reaches {
		if err := s.lab.Forward(seat.Index, e2e.Router, addr); err != nil {
			return err
		}
	}
	if err := s.lab.Forward(e2e.Router, seat.Index, seat.Answers); err != nil {
		return err
	}
	return s.lab.Within(seat.Index, start)
}

// allow lets users ask for withdrawals until there are n.
func (s *story) allow(n int) {
	<-s.allowed
	s.allowed <- n
}

// pace holds users back until they are allowed to ask.
func (s *story) pace(ctx context.Context, asked int) error {
	for {
		n := <-s.allowed
		s.allowed <- n
		if asked < n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// until asks again and again, and says how long it took; the devnet must not end meanwhile.
func (s *story) until(what string, done func() error) time.Duration {
	s.Helper()
	began := time.Now()
	for {
		err := done()
		took := time.Since(began)
		if err == nil {
			s.say("%s, after %.1f s", what, took.Seconds())
			return took
		}
		require.Less(s, took, patience, "%s: %v", what, err)
		select {
		case err := <-s.ended:
			s.ended <- err
			require.FailNow(s, "the network ended", "%s: %v", what, err)
		case <-time.After(lookEvery):
		}
	}
}

// standing learns where the custodians answer, once they are all in one network and have a payer.
func (s *story) standing() error {
	raw, err := os.ReadFile(filepath.Join(s.dir, "devnet.json"))
	if err != nil {
		return err
	}
	var state struct {
		RPC   []string `json:"rpc"`
		Payer *string  `json:"payer"`
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return err
	}
	if state.Payer == nil {
		return fmt.Errorf("no payer yet")
	}
	s.rpc = state.RPC
	return nil
}

func (s *story) status(i int) (st node.Status, err error) {
	err = devnet.Ask(s.ctx, s.rpc[i], &st, "custodian_status")
	return st, err
}

func (s *story) withdrawals(i int) (all []node.WithdrawalView, err error) {
	err = devnet.Ask(s.ctx, s.rpc[i], &all, "custodian_withdrawals", node.WithdrawalQuery{Limit: 1000})
	return all, err
}

// fulfilled: every custodian says that n withdrawals exist, are paid, and are known to the Relay as paid.
func (s *story) fulfilled(n int) error {
	for i := range custodians {
		if err := s.count(i, n, n); err != nil {
			return err
		}
		all, err := s.withdrawals(i)
		if err != nil {
			return err
		}
		for _, w := range all {
			if !w.Reported {
				return fmt.Errorf("custodian %d: withdrawal %d is not fulfilled: %v", i, w.ID, w.WhyNotYet)
			}
		}
	}
	return nil
}

// count: a custodian lists so many withdrawals, and so many of them are paid.
func (s *story) count(i, listed, paid int) error {
	all, err := s.withdrawals(i)
	if err != nil {
		return err
	}
	got := 0
	for _, w := range all {
		if w.Outcome == "paid" {
			got++
		}
	}
	if len(all) != listed || got != paid {
		return fmt.Errorf("custodian %d lists %d withdrawals, %d of them paid; want %d and %d", i, len(all), got, listed, paid)
	}
	return nil
}

// cutInHalves parts two custodians from the other two. Users ask for n withdrawals in all; none is paid, for neither half is a
// quorum, and every custodian says so.
func (s *story) cutInHalves(n int) {
	s.Helper()
	before := s.heights()
	require.NoError(s, s.lab.Cut(s.ctx, e2e.Between([]int{0, 1}, []int{2, 3})...))
	s.say("cut: 0 and 1 from 2 and 3")
	s.allow(n)
	over := time.After(cutFor)
	s.until("every custodian misses its quorum", func() error { return s.lonely(n) })
	<-over
	require.Equal(s, before, s.heights(), "decisions while no half was a quorum")
	for i := range custodians {
		require.NoError(s, s.count(i, n, n-perPhase))
	}
	s.dropped()
}

// lonely: every custodian knows the requests, and says that it has no quorum.
func (s *story) lonely(n int) error {
	for i := range custodians {
		if err := s.count(i, n, n-perPhase); err != nil {
			return err
		}
		st, err := s.status(i)
		if err != nil {
			return err
		}
		if !has(st, "no-quorum") {
			return fmt.Errorf("custodian %d believes that it has a quorum", i)
		}
	}
	return nil
}

func has(st node.Status, code string) bool {
	for _, r := range st.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

func (s *story) heights() (all [custodians]uint64) {
	for i := range custodians {
		st, err := s.status(i)
		require.NoError(s, err)
		all[i] = st.Round.Height
	}
	return all
}

// deafen lets custodian 0 hear nothing of custodian 1, which hears it. Three can do everything without the fourth, and here
// each still hears two others: payments go on.
func (s *story) deafen(n int) {
	s.Helper()
	require.NoError(s, s.lab.Cut(s.ctx, e2e.Cut{From: 1, To: 0}))
	s.say("cut: 0 does not hear 1")
	over := time.After(cutFor)
	s.allow(n)
	s.until("paid while one does not hear another", func() error {
		for i := range custodians {
			if err := s.count(i, n, n); err != nil {
				return err
			}
		}
		return nil
	})
	<-over
	s.dropped()
}

func (s *story) heal() {
	s.Helper()
	require.NoError(s, s.lab.Heal(s.ctx))
	s.say("healed")
}

// dropped shows that loss and cuts really met packets.
func (s *story) dropped() {
	s.Helper()
	cut, lost, err := s.lab.Dropped(s.ctx)
	require.NoError(s, err)
	require.Positive(s, cut)
	require.Positive(s, lost)
	s.say("packets dropped so far: %d by cuts, %d by loss", cut, lost)
}

// allWell: the devnet found every balance right to the wei, and no custodian has halted or accuses anybody.
func (s *story) allWell(n int) {
	s.Helper()
	s.until("balances compared", func() error {
		lines := s.out.lines()
		var r devnet.Report
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
			return err
		}
		require.True(s, r.Conserved, "the books and the chain differ")
		require.Equal(s, []int{n, n, n}, []int{r.Withdrawals, r.Paid, r.Fulfilled})
		return nil
	})
	for i := range custodians {
		st, err := s.status(i)
		require.NoError(s, err)
		require.False(s, st.Halted)
		require.Empty(s, st.Refused, "custodian %d refused what a member sent", i)
		for _, m := range st.Members {
			require.False(s, m.Halted, "custodian %d sees %s halted", i, m.Name)
		}
		var evidence []node.EvidenceView
		require.NoError(s, devnet.Ask(s.ctx, s.rpc[i], &evidence, "custodian_evidence"))
		require.Empty(s, evidence, "custodian %d holds evidence", i)
	}
}

func (s *story) say(format string, args ...any) {
	s.Helper()
	s.Logf("%5.1f s  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// logs shows the last words of every custodian.
func (s *story) logs() {
	for i := range custodians {
		raw, _ := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("custodian-%d.log", i)))
		s.Logf("custodian %d: …%s", i, raw[max(0, len(raw)-lastWords):])
	}
}
