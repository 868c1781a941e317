package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"conclave/internal/devnet"
	"conclave/node"
	"conclave/quorum"
	"conclave/quorum/batch"
)

const (
	// lookEvery is how often custodians are asked while they sign: rarely, for it is their cores that answer.
	lookEvery = 300 * time.Millisecond
	// liveEvery is how often they are asked whether a session has begun.
	liveEvery = 20 * time.Millisecond
	// payPatience bounds a withdrawal, from the request to the payment.
	payPatience = 4 * time.Minute
)

// processesOf is a local network, one process for each custodian, whose users ask for a withdrawal when they are told to.
type processesOf struct {
	dir   string
	q     int
	gate  chan struct{}
	ended chan error
	stop  context.CancelFunc
	rpc   []string
	pids  []int
	asked int
	last  map[string]node.SessionStats // by custodian: one that does not answer has signed nothing since
}

// startProcesses makes one of n custodians, and waits until they have their key.
func startProcesses(ctx context.Context, n, withdrawals int) (*processesOf, error) {
	dir, err := os.MkdirTemp("", "conclave-bench-")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &processesOf{dir: dir, q: quorum.Size(n), gate: make(chan struct{}), ended: make(chan error, 1), stop: stop, last: map[string]node.SessionStats{}}
	go func() {
		p.ended <- devnet.Run(ctx, devnet.Options{
			Nodes: n, Withdrawals: withdrawals, Dir: dir, Network: "devnet", Out: io.Discard, Err: io.Discard,
			Pace: func(ctx context.Context, _ int) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-p.gate:
					return nil
				}
			},
		})
	}()
	for deadline := time.Now().Add(2 * networkPatience); len(p.pids) == 0; {
		if err := p.wait(ctx, time.Second, deadline); err != nil {
			p.close()
			return nil, err
		}
		if p.pids = keyed(p.state()); len(p.pids) > 0 {
			p.rpc = p.read().RPC
		}
	}
	return p, nil
}

func (p *processesOf) state() string { return filepath.Join(p.dir, "devnet.json") }

// wait passes some time, and fails when the network ended or there is none left.
func (p *processesOf) wait(ctx context.Context, d time.Duration, deadline time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-p.ended:
		p.ended <- err
		return errors.Join(errors.New("the network ended before it was measured"), err)
	case <-time.After(d):
	}
	if time.Now().After(deadline) {
		return errors.New("the network takes too long")
	}
	return nil
}

// close ends the network. What it says then is of no interest: it was told to.
func (p *processesOf) close() {
	p.stop()
	<-p.ended
	_ = os.RemoveAll(p.dir)
}

type networkState struct {
	RPC  []string `json:"rpc"`
	Paid int      `json:"paid"`
}

func (p *processesOf) read() (s networkState) {
	raw, err := os.ReadFile(p.state())
	if err == nil {
		_ = json.Unmarshal(raw, &s) // it is renamed into place whole
	}
	return s
}

// signature is what one signature cost, the mean of its signers.
type signature struct {
	open, session float64 // seconds, from the opening of the slot and from the joining of the session that made it
	cpu           float64 // seconds of all custodians, from the request to the payment
	failed        uint64  // sessions, of all members
}

// sign lets a user ask for a withdrawal, and waits until it is paid. begun is told of each look at the custodians, until the
// signature is there; nil looks rarely.
func (p *processesOf) sign(ctx context.Context, begun func(i int, s node.Status)) (out signature, err error) {
	before, cpu := p.sessions(ctx, nil), p.cpu()
	select {
	case p.gate <- struct{}{}:
	case <-ctx.Done():
		return out, ctx.Err()
	}
	p.asked++
	deadline, after := time.Now().Add(payPatience), before
	for after.Signed < before.Signed+uint64(p.q) {
		every := lookEvery
		if begun != nil {
			every = liveEvery
		}
		if err := p.wait(ctx, every, deadline); err != nil {
			return out, err
		}
		after = p.sessions(ctx, begun)
	}
	for p.read().Paid < p.asked {
		if err := p.wait(ctx, lookEvery, deadline); err != nil {
			return out, err
		}
	}
	signers := float64(after.Signed-before.Signed) * 1000
	return signature{
		open: float64(after.OpenMS-before.OpenMS) / signers, session: float64(after.WallMS-before.WallMS) / signers,
		cpu: p.cpu() - cpu, failed: after.Failed - before.Failed,
	}, nil
}

// sessions adds up what custodians count.
func (p *processesOf) sessions(ctx context.Context, begun func(int, node.Status)) (sum node.SessionStats) {
	for i, url := range p.rpc {
		var s node.Status
		if devnet.Ask(ctx, url, &s, "custodian_status") == nil {
			p.last[url] = s.Session
			if begun != nil {
				begun(i, s)
			}
		}
		one := p.last[url]
		sum.Signed, sum.Failed, sum.WallMS, sum.OpenMS = sum.Signed+one.Signed, sum.Failed+one.Failed, sum.WallMS+one.WallMS, sum.OpenMS+one.OpenMS
	}
	return sum
}

// cpu is what the custodians used so far; 0 where the system does not say.
func (p *processesOf) cpu() float64 {
	seconds, err := cpuSeconds(p.pids)
	if err != nil {
		return 0
	}
	return seconds
}

// pause stops a custodian's process, as a machine does that hangs: its connections stay. resume lets it go on.
func (p *processesOf) pause(i int) error  { return syscall.Kill(p.pids[i], syscall.SIGSTOP) }
func (p *processesOf) resume(i int) error { return syscall.Kill(p.pids[i], syscall.SIGCONT) }

// canaries is how many signatures the new key made before it was accepted, by the decision that did.
func (p *processesOf) canaries(ctx context.Context) (int, error) {
	var proof node.Proof
	if err := devnet.Ask(ctx, p.rpc[0], &proof, "custodian_decision", 1); err != nil {
		return 0, err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(proof.RLP, "0x"))
	if err != nil {
		return 0, err
	}
	var d quorum.UncheckedDecision
	if err := rlp.DecodeBytes(raw, &d); err != nil {
		return 0, fmt.Errorf("read the first decision: %w", err)
	}
	b, err := batch.Decode(d.Value)
	if err != nil {
		return 0, err
	}
	action, err := quorum.DecodeMembersAction(b.Action)
	return len(action.Canaries), err
}
