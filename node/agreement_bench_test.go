package node

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/agreement"
	"conclave/quorum/batch"
)

// These benchmarks are what `go run ./cmd/bench agreement` runs: real cores with ledgers on disk, over real connections on
// loopback. What is left out is what stands before and behind agreement: the Relay, the judge, the chain, signing.

// rig is a committee of cores, each on its own goroutine, that are connected by the real wire.
type rig struct {
	b     *testing.B
	cores []*lab
	hosts []*p2p.Host
	began chan decidedAt
	stop  context.CancelFunc
	work  sync.WaitGroup
}

type decidedAt struct {
	height uint64
	member int
	at     time.Time
}

// newRig connects n members, all founded by one decision; those in dead have a seat and no process.
func newRig(b *testing.B, n int, dead ...int) *rig {
	l := newLabOf(b, n, 0)
	l.found()
	return newRigOf(b, l, n, dead...)
}

// newRigOf takes another lab's founding.
func newRigOf(b *testing.B, founder *lab, n int, dead ...int) *rig {
	r := &rig{b: b, began: make(chan decidedAt, 1<<12)}
	ctx, stop := context.WithCancel(b.Context())
	r.stop = stop
	b.Cleanup(func() { r.stop(); r.work.Wait() })
	var founding quorum.UncheckedDecision
	require.NoError(b, founder.led.View(func(tx *ledger.Tx) (err error) { founding, _, err = tx.Decision(1); return err }))
	var members []p2p.Peer
	for i := range n {
		l := newLabOf(b, n, i)
		l.marks = newMarks()
		require.NoError(b, l.hearDecision(founding))
		l.onDecision = func(fx batch.Effects) {
			r.began <- decidedAt{fx.Batch.Height, i, time.Now()}
		}
		h := r.host(l)
		members = append(members, p2p.NewPeer(&l.keys[i].PublicKey, h.Addrs()...))
		r.cores, r.hosts = append(r.cores, l), append(r.hosts, h)
	}
	for i, h := range r.hosts {
		if slices.Contains(dead, i) {
			continue
		}
		require.NoError(b, h.SetMembers(members))
		r.cores[i].net = h
		r.work.Go(func() { _ = h.Run(ctx) })
		r.work.Go(func() { r.cores[i].drive(ctx) })
	}
	return r
}

func (r *rig) host(l *lab) *p2p.Host {
	topics, protocols, requests := Wire()
	h, err := p2p.New(p2p.Config{
		Key: l.key, NetworkID: l.network, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Topics: topics, Protocols: protocols, Requests: requests,
		ThrottleDuration: time.Second, ThrottleMax: 1 << 20, Fanout: 4, Log: zap.NewNop(),
	}, l.door().handlers())
	require.NoError(r.b, err)
	return h
}

// drive is the core's loop.
func (l *lab) drive(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for l.fatal == nil {
		select {
		case <-ctx.Done():
			return
		case task := <-l.tasks:
			task()
		case <-tick.C:
			l.tick()
		}
	}
	panic(fmt.Sprintf("core stopped: %v", l.fatal))
}

// each runs something on every living core and waits for it.
func (r *rig) each(do func(i int, l *lab)) {
	for i, l := range r.cores {
		if l.net != nil && l.net != p2p.Network(l.wire) {
			require.NoError(r.b, l.ask(r.b.Context(), func() { do(i, l) }))
		}
	}
}

// until looks every few milliseconds whether all living cores say so.
func (r *rig) until(what string, holds func(l *lab) bool) {
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		all := true
		r.each(func(_ int, l *lab) { all = all && holds(l) })
		if all {
			return
		}
		require.True(r.b, time.Now().Before(deadline), what)
	}
}

// decide has every member see the chain as it is after all earlier payments and approve one withdrawal, and returns how long
// it took from when all of them knew both until q of them had decided.
func (r *rig) decide(wid uint64) time.Duration {
	living := 0
	r.each(func(int, *lab) { living++ })
	height := uint64(0)
	r.each(func(_ int, l *lab) {
		lane := l.state.LaneKeys()[0]
		seen := quorum.LaneView{Lane: lane, Block: 100 + wid, Nonce: l.state.NextNonce(lane.Nonces()), BaseFee: *uint256.NewInt(7)}
		seen.Gas.Lsh(uint256.NewInt(1), 100)
		seen.Balance = seen.Gas
		height = l.state.Height + 1
		l.laneSeen("devnet", seen)
		l.speakView(l.now())
	})
	r.until("views", func(l *lab) bool {
		fresh := 0
		for _, v := range l.pool.viewList() {
			if lanes := v.Body().Lanes; len(lanes) == 1 && lanes[0].Block == 100+wid {
				fresh++
			}
		}
		return fresh == living
	})
	_, approvals := r.cores[0].approved(wid, uint64(time.Now().UnixMilli()))
	began := time.Now()
	r.each(func(_ int, l *lab) {
		l.content = func(wid uint64) (quorum.Content, bool) { return contentOf(wid), true }
		for _, a := range approvals {
			l.pool.addApproval(a)
		}
		l.step(agreement.Begin{}) // not by maybeBegin: members would show each other own approvals, which stand in no ledger here
	})
	var at []time.Time
	for late := time.After(30 * time.Second); len(at) < quorum.Size(len(r.cores)); {
		select {
		case d := <-r.began:
			if d.height == height {
				at = append(at, d.at)
			}
		case <-late:
			require.Fail(r.b, "not decided", "height %d", height)
		}
	}
	r.until("all decided", func(l *lab) bool { return l.state.Height >= height })
	return at[len(at)-1].Sub(began)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkDecision is the time from when every member knows a certified withdrawal until q of them have decided its batch,
// proposals, votes and decisions on disk.
func BenchmarkDecision(b *testing.B) {
	const decisions = 40
	for _, n := range []int{4, 7, 10} {
		b.Run(fmt.Sprintf("n%d", n), func(b *testing.B) {
			r := newRig(b, n)
			r.until("connected", func(l *lab) bool { return len(l.connected()) == n })
			for b.Loop() {
				var took []time.Duration
				for i := range decisions + 3 {
					if d := r.decide(uint64(i + 1)); i >= 3 { // the first ones warm up
						took = append(took, d)
					}
				}
				b.ReportMetric(float64(median(took).Microseconds())/1000, "ms")
			}
		})
	}
}

// BenchmarkLeaderFailure is the same for the heights whose first proposer is dead, of four members: a propose timeout, a
// round of nil, and a decision.
func BenchmarkLeaderFailure(b *testing.B) {
	const heights = 12
	r := newRig(b, 4, 2)
	r.until("connected", func(l *lab) bool { return len(l.connected()) == 3 })
	for b.Loop() {
		var took []time.Duration
		for i := range heights {
			height := uint64(0)
			r.each(func(_ int, l *lab) { height = l.state.Height + 1 })
			d := r.decide(uint64(i + 1))
			if r.cores[0].state.Roster.IDs().Proposer(height, 0) == r.cores[2].self {
				took = append(took, d)
			}
		}
		require.NotEmpty(b, took)
		b.ReportMetric(slices.Max(took).Seconds(), "s")
	}
}

// BenchmarkStart is how fast a node that starts builds its state from decisions of one payment each in its ledger, and what it keeps of each
// in memory from then on.
func BenchmarkStart(b *testing.B) {
	const decisions = 3000
	l := newLab(b)
	for i := range uint64(decisions) {
		require.NoError(b, l.hearDecision(l.decision(l.payout(i+1, uint64(time.Now().UnixMilli())))))
	}
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		var err error
		l.state, err = batch.NewState(l.genesis)
		require.NoError(b, err)
		before, began := heap(), time.Now()
		require.NoError(b, l.led.View(l.replayDecisions))
		b.ReportMetric(decisions/time.Since(began).Seconds(), "decisions/s")
		b.ReportMetric((heap()-before)/decisions, "B/decision")
	}
}

// BenchmarkSync is how fast a member that was away takes over decisions of one payment each from one honest member, while
// another shows rubbish and a third says nothing.
func BenchmarkSync(b *testing.B) {
	const decisions = 3000
	honest := newLab(b)
	for i := range uint64(decisions) {
		require.NoError(b, honest.hearDecision(honest.decision(honest.payout(i+1, uint64(time.Now().UnixMilli())))))
	}
	for b.Loop() {
		r := newRigOf(b, honest, 4, 1, 2, 3)
		r.serve(1, honest.answer)
		r.serve(2, func(ctx context.Context, raw []byte) ([]byte, error) {
			page, err := honest.answer(ctx, raw)
			if len(page) > 500 {
				page[len(page)-20] ^= 1 // in the last decision's value
			}
			return page, err
		})
		r.serve(3, func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		r.until("connected", func(l *lab) bool { return len(l.connected()) == 4 })
		began := time.Now()
		r.each(func(_ int, l *lab) {
			for _, m := range l.genesis.Members[1:] {
				l.behind[m.Address] = math.MaxUint64
			}
		})
		r.until("synced", func(l *lab) bool {
			for _, m := range l.genesis.Members[1:] {
				l.behind[m.Address] = math.MaxUint64
			}
			return l.state.Height == honest.state.Height
		})
		b.ReportMetric(decisions/time.Since(began).Seconds(), "decisions/s")
		b.ReportMetric(honest.sizeOf(), "bytes/decision")
		r.stop()
	}
}

// sizeOf is how large the decisions of a page are, on average.
func (l *lab) sizeOf() float64 {
	raw, err := l.answerDecisions(2)
	require.NoError(l.t, err)
	var page []quorum.UncheckedDecision
	require.NoError(l.t, unmarshal(raw, &page))
	return float64(len(raw)) / float64(len(page))
}

// serve gives a dead member a wire that answers questions, and nothing else.
func (r *rig) serve(i int, answer func(context.Context, []byte) ([]byte, error)) {
	l := r.cores[i]
	topics, protocols, requests := Wire()
	members := []p2p.Peer{p2p.NewPeer(&r.cores[0].key.PublicKey, r.hosts[0].Addrs()...)}
	h, err := p2p.New(p2p.Config{
		Key: l.key, NetworkID: l.network, Members: members, Topics: topics, Protocols: protocols, Requests: requests,
		ThrottleDuration: time.Second, ThrottleMax: 1 << 20, Fanout: 4, Log: zap.NewNop(),
	}, p2p.Handlers{
		Check:  func(string, []byte) (common.Address, error) { return common.Address{}, p2p.ErrIgnore },
		Gossip: func(string, common.Address, common.Address, []byte) {}, Frame: func(string, common.Address, []byte) {},
		Request: func(ctx context.Context, _ string, _ common.Address, body []byte) ([]byte, error) {
			return answer(ctx, body)
		},
	})
	require.NoError(r.b, err)
	ctx, stop := context.WithCancel(r.b.Context())
	was := r.stop
	r.stop = func() { stop(); was() }
	r.work.Go(func() { _ = h.Run(ctx) })
}
