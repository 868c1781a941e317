package simnet

import (
	"time"

	"conclave/ledger"
)

// marks is what must not go back on a custodian's disk: I12.
type marks struct {
	Height, Epoch, Policy, Counter, Audit, Events uint64
}

func readMarks(tx *ledger.Tx) (m marks, err error) {
	m.Height, m.Counter = tx.LastHeight(), tx.Counter()
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return m, err
	}
	m.Epoch = roster.Epoch
	if p, ok, err := tx.PolicyInForce(); err != nil {
		return m, err
	} else if ok {
		m.Policy = p.Ref.Version
	}
	last, err := tx.VerifyAudit()
	if err != nil {
		return m, err
	}
	m.Audit = last.Index
	totals, err := tx.Totals()
	m.Events = totals.Events
	return m, err
}

// remember reads the disk of a custodian that ended, and compares it with what it held when it ended before.
func (c *Custodian) remember() error {
	l, err := ledger.Open(c.dir, c.w.network)
	if err != nil {
		return err
	}
	var now marks
	err = l.View(func(tx *ledger.Tx) (err error) { now, err = readMarks(tx); return err })
	if closed := l.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	was := c.marks
	c.marks = now
	if now.Height < was.Height || now.Epoch < was.Epoch || now.Policy < was.Policy || now.Counter < was.Counter || now.Audit < was.Audit || now.Events < was.Events {
		return broken("I12", "%s held %+v when it ended before, and holds %+v", c.Name, was, now)
	}
	return nil
}

// Skew makes a custodian's clock wrong from now on. What a process waits for goes by this clock as well, where on a real machine
// it goes by one that never jumps: whoever sets a clock back restarts the custodian, or it waits for what it has had.
func (c *Custodian) Skew(d time.Duration) { c.skew.Store(int64(d)) }

// SetRight ends a custodian's skew, with a restart when its clock was wrong.
func (c *Custodian) SetRight() error {
	if c.skew.Swap(0) == 0 || !c.Running() {
		return nil
	}
	if err := c.Kill(); err != nil {
		return err
	}
	return c.Start()
}

// now is the time that the custodian's clock shows.
func (c *Custodian) now() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) }
