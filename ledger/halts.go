package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Errors of halts.
var (
	// ErrHalted means that this node's own fuse, or f+1 members' halts, forbid verdicts, READYs and signing sessions.
	ErrHalted = errors.New("halted")
	// ErrNetworkHalted means that f+1 members have halted, so that one operator's word no longer clears it.
	ErrNetworkHalted = errors.New("f+1 members have halted: only a decided RESUME clears it")
)

// Bounds of the halts that are kept of one member. Standing ones are few; of the others the oldest go first.
const (
	MaxHalts = 256
	// reservedHalts of them are for halts of everything: an operator who halted hundreds of accounts must not have used up
	// what the fuse needs.
	reservedHalts = 32
)

// bucketHalts maps member ‖ counter to a halt, bucketHaltID a halt's id to that key. bucketHaltFloor maps a member to the
// counter up to which its halts were cleared and dropped: what is at or below it never counts again.
var (
	bucketHalts     = []byte("halts")
	bucketHaltID    = []byte("halt-id")
	bucketHaltFloor = []byte("halt-floor")
)

// HaltRecord is a halt of a member of this network, and its end.
type HaltRecord struct {
	ID      common.Hash // [quorum.Halt.ID]
	Signer  common.Address
	Halt    quorum.Halt
	Raw     []byte // the HALT's bytes
	Cleared []byte // the CLEAR's bytes, empty without one
	Resumed uint64 `rlp:"optional"` // height of the RESUME that lists it, 0 without one
}

// Stands reports whether the halt counts.
func (h HaltRecord) Stands() bool { return len(h.Cleared) == 0 && h.Resumed == 0 }

// covers reports whether the halt stops what scope and target name. A halt of everything covers each lane and account.
func (h HaltRecord) covers(scope quorum.Scope, target string) bool {
	return h.Halt.Scope == quorum.ScopeAll || (h.Halt.Scope == scope && h.Halt.Target == target)
}

func haltKey(signer common.Address, counter uint64) []byte { return join(signer[:], be64(counter)) }

// TripFuse stops this node: from the commit on it gives no verdict and no READY and joins no signing session, across
// restarts. It signs and returns the HALT. A fuse that is blown already, for the same scope and code, returns those bytes.
// While nothing may be signed, by a node that asks or that is no member, there are no bytes: the fuse stands, and is to be tripped
// again when the node speaks.
func (tx *Tx) TripFuse(body quorum.Halt, sign func(quorum.Halt) (quorum.Signed[quorum.Halt], error)) ([]byte, error) {
	if err := body.Check(); err != nil {
		return nil, fmt.Errorf("halt: %w", err)
	}
	own, err := tx.OwnHalts()
	if err != nil {
		return nil, err
	}
	for _, h := range own {
		if sameFuse(h.Halt, body) && (len(h.Raw) > 0 || tx.MaySpeak() != nil) {
			return h.Raw, nil
		}
	}
	if tx.MaySpeak() != nil { // asking, or no member yet, or none any more
		return nil, tx.postpone(body)
	}
	// The own record is found by bucketHalts; the counter alone is its index.
	s, err := say(tx, bucketSelf, []byte("last-halt"), func(counter uint64) quorum.Halt {
		body.Counter = counter
		return body
	}, sign)
	if err != nil {
		return nil, err
	}
	if err := tx.dropPostponed(func(h quorum.Halt) bool { return sameFuse(h, body) }); err != nil {
		return nil, err
	}
	if _, err := tx.putHalt(s); err != nil {
		return nil, err
	}
	return s.Bytes(), tx.Audit("halted", fmt.Sprintf("%s %s: %s", body.Scope, body.Code, body.Reason))
}

// OwnHalts returns this node's halts that stand: those that are not signed yet, then the others, oldest first.
func (tx *Tx) OwnHalts() ([]HaltRecord, error) {
	self, ok := tx.Self()
	out, err := tx.postponedRecords(self)
	if err != nil || !ok {
		return out, err
	}
	err = tx.haltsOf(self[:], func(h HaltRecord) error {
		if h.Stands() {
			out = append(out, h)
		}
		return nil
	})
	return out, err
}

// OwnHalt returns the oldest own halt that stands. ok is false when the fuse is whole.
func (tx *Tx) OwnHalt() (h HaltRecord, ok bool, err error) {
	own, err := tx.OwnHalts()
	if err != nil || len(own) == 0 {
		return h, false, err
	}
	return own[0], true, nil
}

// ClearHalt signs a CLEAR, with the operator's reason, for every own halt that stands, and returns their bytes. It fails
// with [ErrNetworkHalted] when f+1 members have halted in the meantime, and with [ErrNotFound] when nothing stands.
func (tx *Tx) ClearHalt(reason string, sign func(quorum.Clear) (quorum.Signed[quorum.Clear], error)) ([][]byte, error) {
	own, err := tx.OwnHalts()
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("clear halt: %w", ErrNotFound)
	}
	for _, h := range own {
		stopped, err := tx.NetworkHalted(h.Halt.Scope, h.Halt.Target)
		if err != nil || stopped {
			return nil, errors.Join(err, ErrNetworkHalted)
		}
	}
	if err := tx.dropPostponed(func(quorum.Halt) bool { return true }); err != nil {
		return nil, err
	}
	var raws [][]byte
	for _, h := range own {
		if len(h.Raw) == 0 {
			continue // nobody heard of it
		}
		s, err := say(tx, bucketSelf, []byte("last-clear"), func(counter uint64) quorum.Clear {
			return quorum.Clear{Epoch: tx.epoch(), Counter: counter, Halt: h.ID, Reason: reason, Time: nowMS()}
		}, sign)
		if err != nil {
			return nil, err
		}
		if _, err := tx.PutClear(s); err != nil {
			return nil, err
		}
		raws = append(raws, s.Bytes())
	}
	return raws, tx.Audit("resumed", reason)
}

// PutHalt records another member's halt. added is false when it is known, or was cleared and dropped.
func (tx *Tx) PutHalt(s quorum.Signed[quorum.Halt]) (added bool, err error) {
	if added, err = tx.putHalt(s); err != nil || !added {
		return false, err
	}
	h := s.Body()
	return true, tx.Audit("halt-heard", fmt.Sprintf("%s halts %s: %s", s.Signer(), h.Scope, h.Code))
}

func (tx *Tx) putHalt(s quorum.Signed[quorum.Halt]) (bool, error) {
	h, signer := s.Body(), s.Signer()
	if _, err := tx.Hear(signer, h.Counter, s.Bytes()); err != nil {
		return false, err
	}
	key := haltKey(signer, h.Counter)
	if floor := tx.b.Bucket(bucketHaltFloor).Get(signer[:]); floor != nil && h.Counter <= readBE64(floor) {
		return false, nil
	}
	if tx.b.Bucket(bucketHalts).Get(key) != nil {
		return false, nil
	}
	if err := tx.roomForHalt(signer, h.Scope); err != nil {
		return false, err
	}
	rec := HaltRecord{ID: h.ID(tx.network(), signer), Signer: signer, Halt: h, Raw: s.Bytes()}
	rec.Resumed = readBE64(tx.b.Bucket(bucketResumed).Get(rec.ID[:])) // heard after the RESUME that lists it
	return true, errors.Join(tx.put(bucketHalts, key, rec), tx.b.Bucket(bucketHaltID).Put(rec.ID[:], key))
}

// roomForHalt drops the oldest of a member's halts that does not stand any more, when its share is full. What counted
// before the dropped one and is not known here never counts; what stands goes on standing, however old it is.
func (tx *Tx) roomForHalt(signer common.Address, scope quorum.Scope) error {
	var over *HaltRecord
	n := 0
	err := tx.haltsOf(signer[:], func(h HaltRecord) error {
		if n++; over == nil && !h.Stands() {
			over = &h
		}
		return nil
	})
	limit := MaxHalts
	if scope != quorum.ScopeAll {
		limit -= reservedHalts
	}
	switch {
	case err != nil || n < limit:
		return err
	case over == nil:
		return fmt.Errorf("halt of %s: %w", signer, ErrFull)
	}
	floor := max(over.Halt.Counter, readBE64(tx.b.Bucket(bucketHaltFloor).Get(signer[:])))
	return errors.Join(
		tx.b.Bucket(bucketHalts).Delete(haltKey(signer, over.Halt.Counter)),
		tx.b.Bucket(bucketHaltID).Delete(over.ID[:]),
		tx.b.Bucket(bucketHaltFloor).Put(signer[:], be64(floor)))
}

// PutClear records a member's word that one of its halts is void. It fails with [ErrNotFound] when that halt is not
// known, or not of this signer; the CLEAR must then be offered again after the HALT.
func (tx *Tx) PutClear(s quorum.Signed[quorum.Clear]) (added bool, err error) {
	halt := s.Body().Halt
	key := tx.b.Bucket(bucketHaltID).Get(halt[:])
	var rec HaltRecord
	if ok, err := tx.get(bucketHalts, key, &rec); err != nil {
		return false, err
	} else if !ok || rec.Signer != s.Signer() {
		return false, fmt.Errorf("clear of halt %s by %s: %w", halt, s.Signer(), ErrNotFound)
	}
	if !rec.Stands() {
		return false, nil
	}
	if _, err := tx.Hear(s.Signer(), s.Body().Counter, s.Bytes()); err != nil {
		return false, err
	}
	rec.Cleared = s.Bytes()
	if err := tx.put(bucketHalts, haltKey(rec.Signer, rec.Halt.Counter), rec); err != nil {
		return false, err
	}
	return true, tx.Audit("halt-cleared", fmt.Sprintf("%s clears %s: %s", rec.Signer, rec.Halt.Code, s.Body().Reason))
}

// Halts calls fn for every halt that is kept, standing and cleared, by member and counter.
func (tx *Tx) Halts(fn func(HaltRecord) error) error { return tx.haltsOf(nil, fn) }

func (tx *Tx) haltsOf(prefix []byte, fn func(HaltRecord) error) error {
	return tx.each(bucketHalts, prefix, func(_, raw []byte) error {
		var h HaltRecord
		if err := decode(raw, &h); err != nil {
			return err
		}
		return fn(h)
	})
}

// NetworkHalted reports whether halts of f+1 members of the epoch in force stand that cover scope and target. Target is
// empty for everything, a network name for a lane, [common.Address.Hex] for an account.
func (tx *Tx) NetworkHalted(scope quorum.Scope, target string) (bool, error) {
	halted := map[common.Address]bool{}
	err := tx.Halts(func(h HaltRecord) error {
		if h.Stands() && h.covers(scope, target) {
			halted[h.Signer] = true
		}
		return nil
	})
	if err != nil || len(halted) == 0 {
		return false, err
	}
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return false, err
	}
	n := 0
	for _, m := range roster.IDs() {
		if halted[m] {
			n++
		}
	}
	return n > roster.F(), nil
}

// MaySign fails with [ErrHalted] when the own fuse or f+1 halts forbid new verdicts, READYs and signing sessions on a
// network, and on an account unless it is zero.
func (tx *Tx) MaySign(network string, account common.Address) error {
	own, err := tx.OwnHalts()
	if err != nil {
		return err
	}
	targets := []struct {
		scope  quorum.Scope
		target string
	}{{quorum.ScopeAll, ""}, {quorum.ScopeLane, network}, {quorum.ScopeAccount, account.Hex()}}
	for _, t := range targets {
		for _, h := range own {
			if h.covers(t.scope, t.target) {
				return fmt.Errorf("%w: this node's fuse: %s: %s", ErrHalted, h.Halt.Code, h.Halt.Reason)
			}
		}
		if stopped, err := tx.NetworkHalted(t.scope, t.target); err != nil || stopped {
			return errors.Join(err, fmt.Errorf("%w: f+1 members halted %s %s", ErrHalted, t.scope, t.target))
		}
	}
	return nil
}

// MaySignSlot is MaySign for a decided slot: its network, and the account of each of its withdrawals. A CANCEL pays none of these.
func (tx *Tx) MaySignSlot(slot Slot) error {
	if err := tx.MaySign(slot.Network, common.Address{}); err != nil || slot.Cancelled() {
		return err
	}
	for _, wid := range slot.Items {
		s, ok, err := tx.SpentWID(wid)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: withdrawal %d of %s is not decided", ErrCorrupt, wid, slot.Key))
		}
		if err := tx.MaySign(slot.Network, s.Content.Account); err != nil {
			return err
		}
	}
	return nil
}

// Stops is what halts forbid at one moment: this node's own, and those of f+1 members.
type Stops struct {
	All      bool
	Lanes    map[string]bool // by network name
	Accounts map[string]bool // by [common.Address.Hex]
}

// Covers reports whether a withdrawal may not be signed for.
func (s Stops) Covers(network string, account common.Address) bool {
	return s.All || s.Lanes[network] || s.Accounts[account.Hex()]
}

// Stops reads the halts once, for who asks about many withdrawals; one by one, [Tx.MaySign] says the same.
func (tx *Tx) Stops() (Stops, error) {
	out := Stops{Lanes: map[string]bool{}, Accounts: map[string]bool{}}
	err := tx.Halts(func(h HaltRecord) error {
		if h.Stands() {
			switch h.Halt.Scope {
			case quorum.ScopeLane:
				out.Lanes[h.Halt.Target] = false
			case quorum.ScopeAccount:
				out.Accounts[h.Halt.Target] = false
			}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	own, err := tx.OwnHalts()
	if err != nil {
		return out, err
	}
	stopped := func(scope quorum.Scope, target string) (bool, error) {
		for _, h := range own {
			if h.covers(scope, target) {
				return true, nil
			}
		}
		return tx.NetworkHalted(scope, target)
	}
	if out.All, err = stopped(quorum.ScopeAll, ""); err != nil {
		return out, err
	}
	for target := range out.Lanes {
		if out.Lanes[target], err = stopped(quorum.ScopeLane, target); err != nil {
			return out, err
		}
	}
	for target := range out.Accounts {
		if out.Accounts[target], err = stopped(quorum.ScopeAccount, target); err != nil {
			return out, err
		}
	}
	return out, nil
}
