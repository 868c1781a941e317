package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"syscall"
	"time"

	"conclave/node"
)

// Patience of a measured load.
const (
	warmUp        = 8 // withdrawals before anything is measured
	warmPatience  = 90 * time.Second
	drainPatience = 90 * time.Second // for what is left when users stop asking
	sampleEvery   = time.Second
)

// Measure runs a network under the load that the options name, and reports. It fails when anything was not paid, or not as the
// books and the chain say.
func Measure(ctx context.Context, o Options) (VolumeReport, error) {
	var r VolumeReport
	if o.Volume == nil || o.Volume.PerMinute < 1 || o.Volume.For <= 0 {
		return r, errors.New("a load is missing")
	}
	out := &lastLine{}
	o.Out, o.JSON, o.Withdrawals = out, true, 0
	if err := Run(ctx, o); err != nil {
		return r, err
	}
	return r, json.Unmarshal(out.line, &r)
}

// lastLine keeps what was written last.
type lastLine struct{ line []byte }

func (l *lastLine) Write(b []byte) (int, error) {
	l.line = append([]byte{}, b...)
	return len(b), nil
}

// profiled are the arguments by which the first custodian can be profiled.
func (n *Network) profiled(i int) []string {
	if n.o.Volume == nil || n.o.Volume.Profile == "" || i != 0 {
		return nil
	}
	return []string{"--cpu-profile", n.o.Volume.Profile}
}

// profile begins, or ends, the profile of the first custodian.
func (n *Network) profile() error {
	if n.profiled(0) == nil {
		return nil
	}
	return n.custodians[0].process().cmd.Process.Signal(syscall.SIGUSR1)
}

// load is one measured run.
type load struct {
	n      *Network
	v      Volume
	tail   tail
	people []person
	asked  []request

	from, to moment // of what is measured
	stopped  time.Time
	left     int // asked and not final when users stopped
	drained  time.Duration
	samples  []sample
}

// moment is what was used up to a point in time.
type moment struct {
	at       time.Time
	cpu, own float64 // seconds, of the custodians and of this program
	machine  machine
	sessions node.SessionStats // of all custodians together
}

// sample is how the lane stood at one moment.
type sample struct {
	inFlight uint64
	queue    int
}

// measure lets users ask at an even pace, then one by one, and reports.
func (n *Network) measure(ctx context.Context, failed <-chan error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-failed:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	l := &load{n: n, v: *n.o.Volume, tail: tail{n: n, all: map[uint64]node.WithdrawalView{}}}
	for _, step := range []func(context.Context) error{l.warm, l.many, l.singles, l.report} {
		if err := step(ctx); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
	return nil
}

func (l *load) made(r request) {
	l.asked = append(l.asked, r)
	l.n.made(r)
}

// warm lets accounts earn, and pays a few: the books have followed, the payer's money counts, connections stand.
func (l *load) warm(ctx context.Context) (err error) {
	if l.people, err = l.n.world.people(crowd, l.fortune()); err != nil {
		return err
	}
	if err := l.n.world.asking(ctx, l.people, 0, warmUp, 0, l.made); err != nil {
		return err
	}
	return l.paid(ctx, warmPatience)
}

// fortune is more than anybody asks for.
func (l *load) fortune() *big.Int {
	return new(big.Int).Mul(coins(100), big.NewInt(int64(l.number()/crowd+l.v.Singles+warmUp)))
}

// number is how many are asked for at the pace.
func (l *load) number() int {
	return int((l.v.Settle + l.v.For).Minutes() * float64(l.v.PerMinute))
}

// paid waits until all that was asked for is final.
func (l *load) paid(ctx context.Context, patience time.Duration) error {
	final, err := l.tail.until(ctx, len(l.asked), patience)
	if err == nil && final < len(l.asked) {
		err = fmt.Errorf("%w: %d of %d after %s", ErrNotPaid, final, len(l.asked), patience)
	}
	return err
}

// many is the load itself.
func (l *load) many(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.n.say("users ask for %d withdrawals a minute; it is measured for %s", l.v.PerMinute, l.v.For)
	asked := make(chan error, 1)
	go func() {
		asked <- l.n.world.asking(ctx, l.people, len(l.asked), l.number(), time.Minute/time.Duration(l.v.PerMinute), l.made)
	}()
	if err := l.pass(ctx, l.v.Settle, nil); err != nil {
		return err
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	if err := l.pass(ctx, l.v.For, l.sample); err != nil {
		return err
	}
	if err := l.end(ctx); err != nil {
		return err
	}
	if err := <-asked; err != nil {
		return err
	}
	l.stopped = time.Now()
	final, err := l.tail.until(ctx, 0, warmPatience)
	l.left = len(l.asked) - final
	l.n.say("users stopped; %d of %d are not final", l.left, len(l.asked))
	if err == nil {
		err = l.paid(ctx, drainPatience)
	}
	l.drained = time.Since(l.stopped)
	return err
}

func (l *load) begin(ctx context.Context) (err error) {
	if l.from, err = l.n.moment(ctx); err != nil {
		return err
	}
	return l.n.profile()
}

func (l *load) end(ctx context.Context) (err error) {
	if l.to, err = l.n.moment(ctx); err != nil {
		return err
	}
	return l.n.profile()
}

// pass lets time pass, and looks each second.
func (l *load) pass(ctx context.Context, long time.Duration, look func(context.Context)) error {
	end := time.After(long)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return nil
		case <-tick.C:
			if look != nil {
				look(ctx)
			}
		}
	}
}

// sample notes how the lane stands. A question that is not answered is a sample less.
func (l *load) sample(ctx context.Context) {
	var s node.Status
	if l.n.custodians[0].ask(ctx, &s, "custodian_status") == nil && len(s.Lanes) > 0 {
		l.samples = append(l.samples, sample{s.Lanes[0].InFlight, s.Lanes[0].Queue})
	}
}

// singles asks for one after the other.
func (l *load) singles(ctx context.Context) error {
	if l.v.Singles == 0 {
		return nil
	}
	l.n.say("%d withdrawals come alone, %s apart", l.v.Singles, l.v.Apart)
	if err := l.n.world.asking(ctx, l.people, len(l.asked), l.v.Singles, l.v.Apart, l.made); err != nil {
		return err
	}
	return l.paid(ctx, drainPatience)
}

// moment sums up what was used so far.
func (n *Network) moment(ctx context.Context) (m moment, err error) {
	m.at = time.Now()
	if m.machine, err = machineNow(); err != nil {
		return m, err
	}
	own, err := UsageOf(os.Getpid())
	if err != nil {
		return m, err
	}
	m.own = own.CPU
	for _, c := range n.all() {
		u, err := UsageOf(c.process().cmd.Process.Pid)
		if err != nil {
			return m, err
		}
		m.cpu += u.CPU
		s, err := patiently(ctx, c)
		if err != nil {
			return m, err
		}
		m.sessions.Signed, m.sessions.WallMS = m.sessions.Signed+s.Session.Signed, m.sessions.WallMS+s.Session.WallMS
	}
	return m, nil
}

// statusTries is how often a busy custodian is asked for its status before that is an error.
const statusTries = 10

func patiently(ctx context.Context, c *custodian) (s node.Status, err error) {
	for range statusTries {
		if err = c.ask(ctx, &s, "custodian_status"); err == nil || ctx.Err() != nil {
			break
		}
	}
	return s, err
}
