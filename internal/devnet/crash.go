package devnet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/node"
)

// Rhythms of a crash run. Most of a payment's steps take milliseconds, so moments are drawn finely.
const (
	killPause    = 2500 * time.Millisecond // longest calm before most kills
	calmPause    = 8 * time.Second         // and before the others: a payment may get through
	deadPause    = 3 * time.Second         // longest time that a victim stays dead
	startPause   = 1200 * time.Millisecond // longest life of a victim that is killed again at its start
	backPatience = time.Minute             // a restart answers by then, or something is wrong
	drainTime    = 4 * time.Minute         // everything is paid this long after the last kill, or something is wrong
	maxOpen      = 6                       // unpaid withdrawals above which users wait
	perRound     = 8                       // withdrawals of one round of users
)

// Odds of a crash run, one in so many.
const (
	pairOdds  = 6 // two at once
	againOdds = 4 // a second time, while it starts
	calmOdds  = 4 // a long calm
)

// ErrViolation means that a crash run found what may never be.
var ErrViolation = errors.New("violation")

// killer kills custodians and starts them again.
type killer struct {
	n      *Network
	rand   *mathrand.Rand
	kills  int
	stages map[string]int // what the victims were doing
	keyed  int            // how many kills fell before there was a key
	pairs  int            // how often two were killed at once
	began  time.Time
	slow   time.Duration // the longest way back
	struck atomic.Int64  // kills, for who asks meanwhile
}

// newKiller draws a seed unless the options name one.
func (n *Network) newKiller() (*killer, error) {
	if err := n.o.draw(); err != nil {
		return nil, err
	}
	n.say("kill -9, %d times, seed %d", n.o.Kills, n.o.Seed)
	return &killer{n: n, rand: mathrand.New(mathrand.NewPCG(n.o.Seed, 0)), stages: map[string]int{}, began: time.Now()}, nil
}

// draw draws a seed unless there is one.
func (o *Options) draw() error {
	if o.Seed != 0 {
		return nil
	}
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	o.Seed = binary.BigEndian.Uint64(b[:]) >> 32
	return nil
}

// crash kills custodians under load, waits until everything is paid, and looks at what is left: the chain, the books, and
// every home.
func (k *killer) crash(ctx, background context.Context, failed chan error) error {
	n := k.n
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	calm := make(chan struct{})
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		if err := k.load(background, calm); err != nil && ctx.Err() == nil {
			failed <- fmt.Errorf("users: %w", err)
		}
	}()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		if err := k.run(ctx); err != nil && ctx.Err() == nil {
			failed <- err
		}
		close(calm)
		<-loaded
		n.mu.Lock()
		n.target = len(n.requests)
		n.mu.Unlock()
		n.say("%d kills are done; %d withdrawals must be paid", k.kills, n.wanted())
		time.AfterFunc(drainTime, func() { cancel(fmt.Errorf("%w: not paid %s after the last kill", ErrViolation, drainTime)) })
	}()
	err := n.watch(ctx, failed)
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, ErrViolation) {
		err = errors.Join(cause, err)
	}
	if err == nil {
		err = n.examine(ctx)
	}
	cancel(nil)
	<-killed
	k.summary(err)
	return err
}

// load lets users earn and withdraw, round after round, until calm.
func (n *Network) load(ctx context.Context, calm <-chan struct{}) error {
	for {
		n.mu.Lock()
		open := len(n.requests) - len(n.paidAt)
		n.mu.Unlock()
		if open <= maxOpen {
			if err := n.world.live(ctx, perRound, n.made); err != nil {
				return err
			}
		}
		select {
		case <-calm:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// run kills until the number is reached.
func (k *killer) run(ctx context.Context) error {
	for k.kills < k.n.o.Kills {
		pause := killPause
		if k.rand.IntN(calmOdds) == 0 {
			pause = calmPause
		}
		if err := k.wait(ctx, pause); err != nil {
			return err
		}
		if err := k.strike(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strike kills one custodian, sometimes two, and starts them again.
func (k *killer) strike(ctx context.Context) error {
	victims, beside := k.draw(), ""
	if len(victims) > 1 {
		k.pairs++
		beside = " of two at once"
	}
	for _, i := range victims {
		if err := k.kill(ctx, i, beside); err != nil {
			return err
		}
	}
	for _, i := range victims {
		if err := k.revive(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// draw chooses one victim, sometimes two.
func (k *killer) draw() []int {
	order := k.rand.Perm(len(k.n.custodians))
	if k.rand.IntN(pairOdds) == 0 && k.n.o.Kills-k.kills > 1 {
		return order[:2]
	}
	return order[:1]
}

// wait lets a random time pass.
func (k *killer) wait(ctx context.Context, longest time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(k.rand.Int64N(int64(longest)))):
		return nil
	}
}

// kill ends a process as a power cut would, and says what it was doing.
func (k *killer) kill(ctx context.Context, i int, beside string) error {
	stage := k.n.stage(ctx, i)
	// The question took a moment that the answer did not see.
	if err := k.wait(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	p := k.n.custodians[i].process()
	select {
	case <-p.done:
		return fmt.Errorf("%w: custodian %d ended by itself: %w; its last words: %s", ErrViolation, i, p.err, k.n.lastWords(i))
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill custodian %d: %w", i, err)
	}
	<-p.done
	_ = p.pipe.Close()
	k.kills++
	k.struck.Store(int64(k.kills))
	k.stages[stage]++
	if strings.HasPrefix(stage, makingKey) || stage == starting && k.n.payer == (common.Address{}) {
		k.keyed++
	}
	k.n.say("kill %d: %.2f s, seed %d, custodian %d%s, %s; its last words: %s",
		k.kills, time.Since(k.began).Seconds(), k.n.o.Seed, i, beside, stage, k.n.lastWords(i))
	return nil
}

// revive starts a victim with its own command, kills it again at its start now and then, and waits until it answers.
func (k *killer) revive(ctx context.Context, i int) error {
	if err := k.wait(ctx, deadPause); err != nil {
		return err
	}
	if err := k.n.launchOne(i); err != nil {
		return err
	}
	if k.kills < k.n.o.Kills && k.rand.IntN(againOdds) == 0 {
		if err := k.wait(ctx, startPause); err != nil {
			return err
		}
		if err := k.kill(ctx, i, " at its start"); err != nil {
			return err
		}
		if err := k.n.launchOne(i); err != nil {
			return err
		}
	}
	since := time.Now()
	err := k.n.back(ctx, i)
	k.slow = max(k.slow, time.Since(since))
	return err
}

// back waits until a custodian answers, and looks whether it says that something is wrong.
func (n *Network) back(ctx context.Context, i int) error {
	c := n.custodians[i]
	for deadline := time.Now().Add(backPatience); ; {
		var s node.Status
		err := c.ask(ctx, &s, "custodian_status")
		if err == nil {
			return sound(i, s)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.process().done:
			return fmt.Errorf("%w: custodian %d ended at its start: %s", ErrViolation, i, n.lastWords(i))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: custodian %d does not answer %s after its start: %w", ErrViolation, i, backPatience, err)
		}
	}
}

// sound reports what a killed custodian may never say of itself.
func sound(i int, s node.Status) error {
	for _, r := range s.Reasons {
		if r.Code == "halted" || strings.Contains(r.Code, "quarantine") {
			return fmt.Errorf("%w: custodian %d says %s: %s", ErrViolation, i, r.Code, r.Text)
		}
	}
	return nil
}

// starting is a process that does not answer yet.
const starting = "starting"

// stage names what a custodian is doing, as it says itself.
func (n *Network) stage(ctx context.Context, i int) string {
	var s node.Status
	if n.custodians[i].ask(ctx, &s, "custodian_status") != nil {
		return starting
	}
	switch {
	case s.Keygen != nil:
		return keygenStage(*s.Keygen)
	case s.Signing != nil && s.Signing.Live:
		return "in a signing session"
	case s.Round.Step != "waiting":
		return "agreeing: " + s.Round.Step
	case s.Signing != nil:
		return "gathering signers"
	case len(s.Lanes) > 0 && s.Lanes[0].InFlight > 0:
		return "waiting for blocks"
	case len(s.Lanes) > 0 && s.Lanes[0].Queue > 0:
		return "about to decide"
	}
	return "idle or judging"
}

// lastWords is what a custodian logged last.
func (n *Network) lastWords(i int) string {
	const tail = 4096
	f, err := os.Open(n.logFile(i))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-tail), io.SeekStart)
	}
	raw, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	last := lines[len(lines)-1]
	var said struct {
		Event string `json:"event"`
		Code  string `json:"code"`
	}
	if json.Unmarshal([]byte(last), &said) == nil && said.Event != "" {
		return strings.TrimSpace(said.Event + " " + said.Code)
	}
	return last
}

// examine looks at every custodian while it lives, then at every home when all are stopped.
func (n *Network) examine(ctx context.Context) error {
	for i, c := range n.custodians {
		var all []node.EvidenceView
		if err := c.ask(ctx, &all, "custodian_evidence"); err != nil {
			return fmt.Errorf("evidence of custodian %d: %w", i, err)
		}
		if len(all) > 0 {
			return fmt.Errorf("%w: custodian %d holds evidence of %s against %s", ErrViolation, i, all[0].Kind, all[0].Name)
		}
		if err := n.back(ctx, i); err != nil {
			return err
		}
		if err := n.sameKey(ctx, i); err != nil {
			return err
		}
	}
	var all []*process
	for _, c := range n.custodians {
		all = append(all, c.process())
	}
	stopAll(all)
	for i, c := range n.custodians {
		if _, err := call(ctx, n.bin, "ledger", "check", "--home", c.home); err != nil {
			return fmt.Errorf("%w: home of custodian %d: %w", ErrViolation, i, err)
		}
	}
	return nil
}

// summary says what was done, by what the victims were doing.
func (k *killer) summary(err error) {
	var stages []string
	for s := range k.stages {
		stages = append(stages, s)
	}
	sort.Strings(stages)
	for i, s := range stages {
		stages[i] = fmt.Sprintf("%s %d", s, k.stages[s])
	}
	verdict := "no violation"
	if err != nil {
		verdict = "FAILED: " + err.Error()
	}
	k.n.say("kill -9: %d kills, %d of them before there was a key, %d times two at once, seed %d, %.0f s; slowest way back %.1f s; %d withdrawals; victims were: %s; %s",
		k.kills, k.keyed, k.pairs, k.n.o.Seed, time.Since(k.began).Seconds(), k.slow.Seconds(), k.n.wanted(), strings.Join(stages, ", "), verdict)
}
