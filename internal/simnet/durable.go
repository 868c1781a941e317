package simnet

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"conclave/ledger"
)

// Point is a place between two durable steps: the function of package node on whose behalf the ledger commits, and how far
// the commit is.
type Point struct {
	Commit string
	At     ledger.Step
}

func (p Point) String() string { return p.Commit + " at " + string(p.At) }

// points are where a custodian has died so far.
type points struct {
	died map[Point]bool
	all  []Point
	high string // the high-water file beside the ledger
}

// CrashAtCommits lets a custodian die at every point of every commit that it has not died at before, and starts it again on
// its disk half a second later, until done says so.
func (w *World) CrashAtCommits(c *Custodian, within time.Duration, done func() error) error {
	c.crash.mu.Lock()
	if c.crash.points == nil {
		c.crash.points = &points{died: map[Point]bool{}, high: filepath.Join(c.dir, "high-water.new")}
	}
	c.crash.deadly = true
	c.crash.mu.Unlock()
	defer func() {
		c.crash.mu.Lock()
		defer c.crash.mu.Unlock()
		c.crash.deadly = false
	}()
	for deadline := time.Now().Add(within); ; {
		time.Sleep(250 * time.Millisecond)
		if c.crash.dead() {
			if err := c.Kill(); err != nil {
				return err
			}
			time.Sleep(250 * time.Millisecond)
			if err := c.Start(); err != nil && !errors.Is(err, errDead) {
				return err
			}
			continue
		}
		err := done()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
	}
}

// CrashedAt lists where a custodian died of [World.CrashAtCommits].
func (c *Custodian) CrashedAt() []Point {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	if c.crash.points == nil {
		return nil
	}
	return append([]Point{}, c.crash.points.all...)
}

// dies lets the process die here if it never did. The caller holds c.mu.
func (c *crasher) dies(at ledger.Step) error {
	if !c.deadly {
		return nil
	}
	p := Point{committer(), at}
	if p.Commit == "" || c.points.died[p] {
		return nil
	}
	c.points.died[p] = true
	c.points.all = append(c.points.all, p)
	c.shut = true
	c.cancel()
	c.w.Tracef("%s: dies in %s", c.name, p)
	if at == ledger.StepReplace {
		// What stands under the other name need not be whole.
		if info, err := os.Stat(c.points.high); err == nil {
			_ = os.Truncate(c.points.high, info.Size()/2)
		}
	}
	if ofProcess() {
		runtime.Goexit() // here and now, with all that its goroutine would still have done
	}
	return errDead
}

// wrappers commit for others.
var wrappers = map[string]bool{"(*core).update": true, "(*core).attempt": true, "(*reporter).mark": true}

// closure is what the compiler appends to the name of a function for one inside it.
var closure = regexp.MustCompile(`(\.func\d+|\.\d+|-range\d+|\.gowrap\d+|-fm)+$`)

// committer is the function of package node that commits on this goroutine, or "".
func committer() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if name, ok := strings.CutPrefix(f.Function, "conclave/node."); ok {
			if name = closure.ReplaceAllString(name, ""); !wrappers[name] {
				return name
			}
		}
		if !more {
			return ""
		}
	}
}

// ofProcess reports whether the goroutine is one that the custodian started, not a caller from outside.
func ofProcess() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "sync.(*WaitGroup).Go") {
			return true
		}
		if !more {
			return false
		}
	}
}
