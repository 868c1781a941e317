package simnet

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"go.uber.org/zap/zapcore"

	"conclave/chain"
	"conclave/ledger"
	"conclave/p2p"
	"conclave/p2p/memnet"
)

// crasher kills a custodian at the moment when something is about to leave it for the first time: what led to it is on
// disk, and nobody has heard of it. Every effect has a name, so that one payment can be interrupted at each of its steps.
// It outlives the processes that it kills.
type crasher struct {
	w    *World
	name string

	mu     sync.Mutex // guards what follows
	armed  bool
	seen   map[string]bool // effects that were interrupted already
	frames int             // of threshold sessions, in this life
	shut   bool            // the process is dead: nothing leaves any more
	cancel context.CancelFunc
	at     []string

	database string      // its file
	once     string      // see CrashBefore
	fails    ledger.Step // see FailDisk
	broke    bool        // the disk has failed since the process was born
	cut      *cut        // see PowerCut
	deadly   bool        // points that are new kill: see CrashAtCommits
	points   *points
}

// framesToCrash are the frames of one life's threshold sessions that are interrupted: before the first, and in the middle
// of two later rounds. More would prove little and cost a second of computing each.
var framesToCrash = map[int]bool{1: true, 4: true, 8: true}

// born opens the gate for a new process.
func (c *crasher) born(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut, c.cancel, c.frames, c.broke = false, cancel, 0, false
}

// passes reports whether an effect may leave; otherwise the process is dead, or dies now.
func (c *crasher) passes(effect string) bool {
	c.mu.Lock()
	if c.shut {
		c.mu.Unlock()
		return false
	}
	struck := c.struck(effect)
	if effect == "session frame" {
		c.frames++
		effect = fmt.Sprintf("session frame %d", c.frames)
		if !struck && !framesToCrash[c.frames] {
			c.mu.Unlock()
			return true
		}
	}
	if !struck && (!c.armed || c.seen[effect]) {
		c.mu.Unlock()
		return true
	}
	c.seen[effect], c.shut = true, true
	c.at = append(c.at, effect)
	c.cancel()
	c.mu.Unlock()
	c.w.Tracef("%s: dies before: %s", c.name, effect)
	if onCore() {
		// Here and now: what the core would still write after this line belongs to a process that lives on.
		runtime.Goexit()
	}
	return false
}

// onCore reports whether the caller is the core's own goroutine, which holds no lock when it speaks.
func onCore() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "node.(*core).run") {
			return true
		}
		if !more {
			return false
		}
	}
}

// CrashEverywhere crashes a custodian before each effect that it has for the first time, and restarts it on its disk half a
// second later, until done says so. It returns what was interrupted.
func (w *World) CrashEverywhere(c *Custodian, within time.Duration, done func() error) ([]string, error) {
	c.crash.arm(true)
	defer c.crash.arm(false)
	deadline := time.Now().Add(within)
	for {
		time.Sleep(250 * time.Millisecond)
		if c.crash.dead() {
			if err := c.Kill(); err != nil {
				return nil, err
			}
			time.Sleep(250 * time.Millisecond)
			if err := c.Start(); err != nil {
				return nil, err
			}
			continue
		}
		err := done()
		if err == nil || !time.Now().Before(deadline) {
			return c.crash.places(), err
		}
	}
}

func (c *crasher) arm(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = on
}

func (c *crasher) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

func (c *crasher) places() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.at...)
}

// The doors through which effects leave.

type netDoor struct {
	*memnet.Node
	c *crasher
}

func (d netDoor) Publish(topic string, data []byte) error {
	if !d.c.passes("gossip of " + d.c.w.effect(topic, memnet.Gossip, data)) {
		return p2p.ErrNotRunning
	}
	return d.Node.Publish(topic, data)
}

func (d netDoor) Send(to common.Address, protocol string, data []byte) error {
	effect := "session frame"
	if protocol != "tss" {
		effect = d.c.w.effect(protocol, memnet.Frame, data) + fmt.Sprintf(" to n%d", d.c.w.wire.indexOf(to))
	}
	if !d.c.passes(effect) {
		return p2p.ErrNotRunning
	}
	return d.Node.Send(to, protocol, data)
}

// effect names what a message says.
func (w *World) effect(name string, kind memnet.Kind, data []byte) string {
	w.wire.mu.Lock()
	h := w.wire.read(memnet.Message{Name: name, Kind: kind, Data: data})
	w.wire.mu.Unlock()
	var s signMsg
	switch {
	case h.Says != "":
		return string(h.Says)
	case name == "signing" && rlp.DecodeBytes(data, &s) == nil:
		return fmt.Sprintf("%s %d", name, s.Kind)
	}
	return name
}

type chainDoor struct {
	chain.Endpoint
	c  *crasher
	of *Custodian
}

type relayDoor struct {
	http.RoundTripper
	c *crasher
}

func (d relayDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, call := range []string{"fulfill", "reject"} {
		if strings.HasSuffix(r.URL.Path, call) && !d.c.passes("report: "+call) {
			return nil, context.Canceled
		}
	}
	d.c.w.canary.request(d.c.name, r)
	return d.RoundTripper.RoundTrip(r)
}

// logDoor makes what the core tells its operator an effect: it stands right behind the commit that it tells of.
type logDoor struct {
	zapcore.Core
	c *crasher
}

func (d logDoor) With(fields []zapcore.Field) zapcore.Core { return logDoor{d.Core.With(fields), d.c} }

func (d logDoor) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if d.Enabled(e.Level) {
		return ce.AddCore(e, d)
	}
	return ce
}

func (d logDoor) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level == zapcore.InfoLevel && onCore() && !d.c.passes("log: "+e.Message) {
		return nil
	}
	return d.Core.Write(e, fields)
}
