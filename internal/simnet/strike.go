package simnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"conclave/ledger"
)

// databaseFile is where a custodian's ledger is, in its folder.
const databaseFile = "ledger.db"

// strikeWithin is how long a custodian may do nothing of the kind that it is to be struck at, before it is struck anyway.
const strikeWithin = 5 * time.Second

// errDead is what the disk says to goroutines of a process that is dead already.
var errDead = errors.New("simnet: the process is dead")

// CrashBefore lets a custodian die when an effect whose name contains the words is about to leave it, once.
func (c *Custodian) CrashBefore(words string) {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	c.crash.once = words
}

// FailDisk makes the next commit of a custodian's core fail at a step, with an error that says so: there is what it signs.
func (c *Custodian) FailDisk(at ledger.Step) {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	c.crash.fails = at
}

// cut is a power cut in the middle of a commit.
type cut struct {
	dice   *rand.Rand
	at     ledger.Step // the last one that is reached
	before []byte      // the database as the last sync left it; nil until the commit begins
}

// PowerCut takes the power from a custodian during its core's next commit, or after a while without one. What the last sync of
// its disk made durable is still there, of the interrupted commit any part of its sectors; the seed says which.
func (w *World) PowerCut(c *Custodian, seed uint64) error {
	if !c.Running() {
		return fmt.Errorf("%s does not run", c.Name)
	}
	k := &cut{dice: rand.New(rand.NewPCG(seed, 1)), at: ledger.StepMark}
	if k.dice.IntN(3) == 0 {
		k.at = ledger.StepReplace
	}
	c.crash.mu.Lock()
	c.crash.cut = k
	c.crash.mu.Unlock()
	// A custodian that commits nothing has nothing to lose.
	_ = w.Until(strikeWithin, func() error {
		if !c.crash.dead() {
			return errors.New("it lives")
		}
		return nil
	})
	return c.ofItsDisk(c.Kill())
}

// step stands between the durable steps of a custodian's ledger.
func (c *crasher) step(at ledger.Step) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
		return errDead
	case c.fails == at && onCore():
		c.fails, c.broke = "", true
		c.w.Tracef("%s: the disk fails at %s", c.name, at)
		if at == ledger.StepCommit {
			return syscall.ENOSPC
		}
		return syscall.EIO
	case c.cut == nil:
		return c.dies(at)
	case at == ledger.StepCommit && c.cut.before == nil:
		if !onCore() {
			return nil
		}
		var err error
		c.cut.before, err = os.ReadFile(c.database)
		return err
	case at == ledger.StepCommit:
		return errDead // the power goes while this one waits for the disk
	case c.cut.before == nil:
		return nil // the commit before the one that is cut
	case at == ledger.StepMark && c.cut.at == ledger.StepReplace:
		return nil // later in this commit
	}
	c.shut = true
	c.cancel()
	c.w.Tracef("%s: the power goes in the middle of a commit", c.name)
	if onCore() {
		c.mu.Unlock()
		defer c.mu.Lock() // for the deferred Unlock
		runtime.Goexit()
	}
	return errDead
}

// tear leaves on the disk what a power cut leaves. Nobody may have the database open.
func (c *crasher) tear() error {
	c.mu.Lock()
	k := c.cut
	c.cut = nil
	c.mu.Unlock()
	if k == nil || k.before == nil {
		return nil
	}
	// The file that would have replaced the high-water mark: half of it.
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.database), "high-water.new"), []byte{0xf8, 0x20}, 0o600); err != nil || k.at != ledger.StepMark {
		return err
	}
	after, err := os.ReadFile(c.database)
	if err != nil {
		return err
	}
	return os.WriteFile(c.database, torn(k.before, after, k.dice), 0o600)
}

// Of bbolt's file: pages as large as this machine's, the first two of them metas; a disk writes sectors whole.
const (
	sector    = 512
	metaPages = 2
)

// torn is a file in the middle of a commit from one state to another: the pages are written in any order before the metas are,
// the metas before anybody is told.
func torn(before, after []byte, dice *rand.Rand) []byte {
	metas := min(metaPages*os.Getpagesize(), len(after))
	phase := dice.IntN(4)
	if phase == 3 {
		return after // all of it came to the disk, and nobody was told
	}
	out := make([]byte, max(len(before), len(after)))
	copy(out, before)
	percent := []int{0, 50, 100}[phase]
	for at := metas; at < len(after); at += sector {
		if dice.IntN(100) < percent {
			copy(out[at:min(at+sector, len(after))], after[at:])
		}
	}
	if phase < 2 {
		return out
	}
	// A meta page in the middle of being written: its checksum must tell.
	for at := range metas {
		if before[at] != after[at] {
			half := at + dice.IntN(16)
			copy(out[:min(half, metas)], after)
			break
		}
	}
	return out
}

// Broken reports whether the custodian ended because its disk was made to fail, or by a crash that a test asked for; it
// clears what ended.
func (c *Custodian) Broken() (bool, error) {
	if c.Node == nil {
		return false, nil
	}
	if c.crash.dead() {
		return true, c.ofItsDisk(c.Kill())
	}
	c.crash.mu.Lock()
	broke := c.crash.broke
	c.crash.mu.Unlock()
	if !broke {
		return false, nil
	}
	err, ended := c.Died()
	if !ended {
		err = c.Kill() // what the disk refused stops it; it may be about to end
	}
	return true, c.ofItsDisk(err)
}

// ofItsDisk takes the error that a custodian ended with: none when its disk was made to fail and that is what it says. What
// strikes may come together, and the power then goes from a machine whose disk had failed.
func (c *Custodian) ofItsDisk(err error) error {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	broke := c.crash.broke
	c.crash.broke = false
	if broke && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)) {
		return nil
	}
	return err
}

// struck reports whether an effect is the one that the custodian is to die before; the mutex is held.
func (c *crasher) struck(effect string) bool {
	if c.once == "" || !strings.Contains(effect, c.once) {
		return false
	}
	c.once = ""
	return true
}

// Spare ends what was still to befall a custodian.
func (c *Custodian) Spare() {
	c.crash.mu.Lock()
	defer c.crash.mu.Unlock()
	c.crash.once, c.crash.fails = "", ""
}

// Revive starts every custodian that is dead, but for members that a test turned.
func (w *World) Revive() error {
	for _, c := range w.Custodians {
		if _, err := c.Broken(); err != nil {
			return err
		}
		if !c.Running() && !w.faulty[c.Index] {
			if err := c.Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// RequestsOf are a user's requests, as they were made.
func (w *World) RequestsOf(name string) (out []*Request) {
	for _, n := range w.order {
		if r := w.requests[n]; r.User.Name == name {
			out = append(out, r)
		}
	}
	return out
}
