package devnet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"conclave/node"
	"conclave/quorum"
)

// VolumeReport is what came of a measured load. Times are seconds; "final" is when the first custodian's own endpoints showed the
// payment that deep, or q members had told it so before.
type VolumeReport struct {
	Nodes     int     `json:"nodes"`
	Quorum    int     `json:"quorum"`
	PerMinute int     `json:"per_minute"` // that users were to ask for
	Window    float64 `json:"window"`     // that was measured, while users asked
	Asked     float64 `json:"asked"`      // a minute, within it
	Rate      float64 `json:"rate"`       // that became final a minute, within it
	Left      int     `json:"left"`       // not final when users stopped
	Drained   float64 `json:"drained"`    // until they were
	Paid      int     `json:"paid"`       // in the whole run

	Batches int     `json:"batches"` // decided within the window
	Items   float64 `json:"items"`   // of one, the mean
	Largest int     `json:"largest"`

	CPU     float64 `json:"cpu"`    // of the custodians, for each payout of the window
	World   float64 `json:"world"`  // of chain, Relay and users, likewise
	Busy    float64 `json:"busy"`   // share of the machine's processors that anybody used
	Others  float64 `json:"others"` // share that neither custodians nor their world used
	Cores   int     `json:"cores"`
	Session float64 `json:"session"` // mean wall time of one
	Signing float64 `json:"signing"` // share of the window in which a session ran
	Full    float64 `json:"full"`    // share of the moments at which as many slots were in flight as the policy allows
	Queue   int     `json:"queue"`   // the most that were certified and undecided

	Stages       []Stage `json:"stages"`        // means, of what became final within the window
	SingleStages []Stage `json:"single_stages"` // likewise, of those that came alone

	P50, P99             float64 // of those that came alone, from the Relay's list to final
	Singles              int     `json:"singles"`
	VolumeP50, VolumeP99 float64 // the same within the window
	Conserved            bool    `json:"conserved"`
}

// Stage is how long withdrawals took to come to a stage from the one before.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// report compares everything with the chain and the books, and prints what was measured.
func (l *load) report(ctx context.Context) error {
	n := l.n
	p, err := l.allReported(ctx)
	if err != nil {
		return err
	}
	r := VolumeReport{Nodes: n.o.Nodes, Quorum: n.quorum(), PerMinute: l.v.PerMinute, Left: l.left, Drained: l.drained.Seconds(), Paid: p.paid}
	conserved := n.conserved(ctx, p)
	r.Conserved = conserved == nil
	r.rates(l)
	r.latencies(l)
	r.use(l)
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := n.o.Out.Write(raw); err != nil {
		return err
	}
	if conserved != nil {
		return errors.Join(ErrNotPaid, conserved)
	}
	return nil
}

// allReported waits until the Relay shows every payment.
func (l *load) allReported(ctx context.Context) (p progress, err error) {
	for deadline := time.Now().Add(reportPatience); ; {
		if p, err = l.n.look(ctx); err == nil && p.fulfilled == len(l.asked) {
			return l.n.whole(ctx)
		}
		if time.Now().After(deadline) {
			return p, errors.Join(fmt.Errorf("%w: %d of %d are reported", ErrNotPaid, p.fulfilled, len(l.asked)), err)
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}

// reportPatience: reporters take turns of a minute.
const reportPatience = 3 * time.Minute

// life is one withdrawal's way.
type life struct {
	served, final time.Time
	times         []node.StageTime
	height        uint64
}

// lives are the ways of withdrawals that are final.
func (l *load) lives(of []request) (out []life) {
	for _, r := range of {
		w, ok := l.tail.all[r.id]
		at, served := l.n.world.sim.Served(r.id)
		if !ok || !served || w.Height == nil {
			continue
		}
		if v := lifeOfView(w, at); !v.final.IsZero() {
			out = append(out, v)
		}
	}
	return out
}

// lifeOfView: what q members told of before the own endpoints showed it was never seen final here, and is.
func lifeOfView(w node.WithdrawalView, served time.Time) life {
	v := life{served: served, times: w.Times, height: *w.Height}
	for _, t := range w.Times {
		if v.final.IsZero() && (t.Stage == "final" || t.Stage == "settled") {
			v.final = t.At
		}
	}
	return v
}

// window are the lives that became final while it was measured.
func (l *load) window() []life {
	return slices.DeleteFunc(l.lives(l.asked), func(v life) bool { return v.final.Before(l.from.at) || v.final.After(l.to.at) })
}

func (r *VolumeReport) rates(l *load) {
	long := l.to.at.Sub(l.from.at)
	in := l.window()
	r.Window, r.Rate = long.Seconds(), float64(len(in))/long.Minutes()
	for _, v := range l.asked {
		if at, ok := l.n.world.sim.Served(v.id); ok && at.After(l.from.at) && at.Before(l.to.at) {
			r.Asked += 1 / long.Minutes()
		}
	}
	items := map[uint64]int{}
	for _, v := range in {
		items[v.height]++
	}
	r.Batches = len(items)
	for _, n := range items {
		r.Items += float64(n) / float64(len(items))
		r.Largest = max(r.Largest, n)
	}
}

func (r *VolumeReport) latencies(l *load) {
	r.Singles = l.v.Singles
	alone := l.lives(l.asked[len(l.asked)-l.v.Singles:])
	r.P50, r.P99 = spread(alone)
	r.SingleStages = stages(alone)
	in := l.window()
	r.VolumeP50, r.VolumeP99 = spread(in)
	r.Stages = stages(in)
}

// spread is the median and the 99th of a hundred, by the nearest rank.
func spread(of []life) (p50, p99 float64) {
	if len(of) == 0 {
		return 0, 0
	}
	var all []float64
	for _, v := range of {
		all = append(all, v.final.Sub(v.served).Seconds())
	}
	slices.Sort(all)
	at := func(percent int) float64 { return all[max(0, (len(all)*percent+99)/100-1)] }
	return at(50), at(99)
}

// stages are the mean times between stages, in the order of the stages.
func stages(of []life) (out []Stage) {
	sum, count, order := map[string]time.Duration{}, map[string]int{}, []string{}
	for _, v := range of {
		before := v.served
		for _, t := range v.times {
			if count[t.Stage] == 0 {
				order = append(order, t.Stage)
			}
			sum[t.Stage] += t.At.Sub(before)
			count[t.Stage]++
			before = t.At
		}
	}
	for _, name := range order {
		out = append(out, Stage{name, sum[name].Seconds() / float64(count[name])})
	}
	return out
}

// use is what the window took of the machine, of the key, and of the policy's bound of slots in flight.
func (r *VolumeReport) use(l *load) {
	long := l.to.at.Sub(l.from.at).Seconds()
	if paid := r.Rate * long / 60; paid > 0 {
		r.CPU, r.World = (l.to.cpu-l.from.cpu)/paid, (l.to.own-l.from.own)/paid
	}
	m := l.to.machine.since(l.from.machine)
	r.Cores, r.Busy = m.cores, m.busy/m.all
	ours := (l.to.cpu - l.from.cpu + l.to.own - l.from.own) / (m.all / float64(ticksPerSecond))
	r.Others = max(0, r.Busy-ours)
	if signed := l.to.sessions.Signed - l.from.sessions.Signed; signed > 0 {
		wall := float64(l.to.sessions.WallMS-l.from.sessions.WallMS) / 1000
		r.Session = wall / float64(signed)
		r.Signing = wall / float64(r.Quorum) / long
	}
	most := l.n.inFlight()
	for _, s := range l.samples {
		if s.inFlight >= most {
			r.Full += 1 / float64(len(l.samples))
		}
		r.Queue = max(r.Queue, s.queue)
	}
}

// inFlight is how many slots the policy lets be in flight.
func (n *Network) inFlight() uint64 {
	p, err := quorum.ParsePolicy([]byte(n.genesis.Policy))
	if err != nil {
		return 0 // it was parsed when the network was founded
	}
	return p.InFlight
}

// machine is the processor time of the whole machine, in ticks.
type machine struct {
	busy, all float64
	cores     int
}

func (m machine) since(before machine) machine {
	return machine{m.busy - before.busy, max(1, m.all-before.all), m.cores}
}

func machineNow() (machine, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, err
	}
	return parseMachine(string(raw))
}

// parseMachine reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. What is stolen is busy
// with something else.
func parseMachine(stat string) (m machine, err error) {
	for _, line := range strings.Split(stat, "\n") {
		name, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(name, "cpu") {
			continue
		}
		if name != "cpu" {
			m.cores++
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 8 {
			return m, fmt.Errorf("%q is no machine's state", line)
		}
		for i, f := range fields[:8] {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return m, fmt.Errorf("read machine state: %w", err)
			}
			m.all += v
			if i != 3 && i != 4 {
				m.busy += v
			}
		}
	}
	if m.cores == 0 {
		return m, errors.New("the machine names no processor")
	}
	return m, nil
}

// Bound names what was used most, and how much of it, 0 to 1: what stops more.
func (r VolumeReport) Bound() (what string, share float64) {
	all := []Stage{
		{"the key: one session at a time signs", r.Signing},
		{"the policy's slots in flight", r.Full},
		{"the machine's processors", r.Busy},
		{"full batches", r.Items / quorum.MaxItems},
	}
	top := slices.MaxFunc(all, func(a, b Stage) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return top.Name, top.Seconds
}
