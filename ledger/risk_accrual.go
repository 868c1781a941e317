package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// accrualParts is into how many slots a window of log time is cut. A window is counted as the slots that it can touch, so
// up to one slot longer than the policy says and never shorter: the rule may look at an hour of a day too much.
const accrualParts = 24

// accrualBatch is how many rows one step of counting anew reads, so that a step commits in a moment.
const accrualBatch = 20_000

var keyAccrual = []byte("accrual")

// AccrualState is which credits the accrual sums hold. Sums are made for one window and ceiling; when the policy changes
// them, they are counted anew from the log, some rows at a time.
type AccrualState struct {
	Generation uint64 // part of the sums' keys: those of an earlier one are being deleted
	Window     uint64 // seconds of log time; 0: the rule is off
	Ceiling    uint256.Int
	From       uint64 // rows up to this id are history, which counts at face value and is not judged
	Next       uint64 // rows from this id on are not counted yet
}

// Complete reports whether the sums hold every booked row.
func (s AccrualState) Complete() bool { return s.Window == 0 || s.Next == math.MaxUint64 }

// Of reports whether the sums are those of a policy.
func (s AccrualState) Of(l quorum.Limits, history uint64) bool {
	if l.AccrualWindow == 0 {
		return s.Window == 0
	}
	return s.Window == accrualWindow(l) && s.Ceiling == l.AccrualCeiling && s.From == history
}

func accrualWindow(l quorum.Limits) uint64 { return max(1, uint64(l.AccrualWindow/time.Second)) }

// slot is how many seconds one slot spans.
func (s AccrualState) slot() uint64 { return max(1, (s.Window+accrualParts-1)/accrualParts) }

// span is how many neighbouring slots a window can touch.
func (s AccrualState) span() uint64 { return (s.Window+s.slot()-1)/s.slot() + 1 }

// AccrualSlots is how a policy's window of log time is counted: seconds of one slot, and how many neighbouring slots a window
// can touch. Both are zero without the rule.
func AccrualSlots(l quorum.Limits) (seconds, span uint64) {
	if l.AccrualWindow == 0 {
		return 0, 0
	}
	s := AccrualState{Window: accrualWindow(l)}
	return s.slot(), s.span()
}

// Accrued is what a row brings its account, for the accrual ceiling; false when it brings nothing.
func Accrued(e Event) (amount uint256.Int, ok bool) {
	amount, ok = e.wei()
	return amount, ok && e.Kind.accrues() && !amount.IsZero()
}

// accrues reports whether a row brings an account money. A refund gives back what was debited, and a schedule only
// promises.
func (k EventKind) accrues() bool { return !k.Debit() && k != WithdrawRefund && k != VestingCreated }

// Accrual returns which credits the accrual sums hold.
func (tx *Tx) Accrual() (s AccrualState, err error) {
	_, err = tx.get(bucketRisk, keyAccrual, &s)
	return s, err
}

// KeepRisk brings what the rules of risk remember in line with a policy, some rows at a time: call it until done. Rows up to
// history are not judged. Accounts that exceed a new ceiling are frozen, and the alerts say so.
func (tx *Tx) KeepRisk(l quorum.Limits, history, now uint64) (done bool, alerts []Alert, err error) {
	s, err := tx.Accrual()
	if err != nil {
		return false, nil, err
	}
	if s.Generation == 0 || !s.Of(l, history) {
		s = AccrualState{Generation: s.Generation + 1, From: history, Next: math.MaxUint64}
		if l.AccrualWindow > 0 {
			s.Window, s.Ceiling, s.Next = accrualWindow(l), l.AccrualCeiling, history+1
		}
		return false, nil, tx.put(bucketRisk, keyAccrual, s)
	}
	if done, err := tx.dropAccrual(s.Generation); err != nil || !done {
		return false, nil, err
	}
	if err := tx.indexPaid(); err != nil || s.Complete() {
		return err == nil, nil, err
	}
	alerts, err = tx.countAnew(&s, now)
	return s.Complete(), alerts, err
}

// RiskKept reports whether KeepRisk has nothing to do.
func (tx *Tx) RiskKept(l quorum.Limits, history uint64) (bool, error) {
	s, err := tx.Accrual()
	return err == nil && s.Of(l, history) && s.Complete() && s.Generation > 0 && !tx.paidByAddress(), err
}

// dropAccrual deletes sums of earlier generations, some at a time.
func (tx *Tx) dropAccrual(generation uint64) (done bool, err error) {
	var old [][]byte
	c := tx.b.Bucket(bucketRiskAccrual).Cursor()
	for k, _ := c.First(); k != nil && len(old) < accrualBatch && readBE64(k[:8]) < generation; k, _ = c.Next() {
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := tx.b.Bucket(bucketRiskAccrual).Delete(k); err != nil {
			return false, err
		}
	}
	return len(old) < accrualBatch, nil
}

// errEnough ends a walk that has read what it wanted.
var errEnough = errors.New("enough")

// countAnew counts the next rows of the log.
func (tx *Tx) countAnew(s *AccrualState, now uint64) (alerts []Alert, err error) {
	var rows []Event
	err = tx.Events(s.Next, func(e Event) error {
		if len(rows) == accrualBatch {
			return errEnough
		}
		rows = append(rows, e)
		return nil
	})
	switch {
	case err == nil:
		s.Next = math.MaxUint64
	case errors.Is(err, errEnough):
		s.Next = rows[len(rows)-1].ID + 1
	default:
		return nil, err
	}
	if err := tx.put(bucketRisk, keyAccrual, *s); err != nil {
		return nil, err
	}
	for _, e := range rows {
		a, err := tx.accrue(*s, e, now)
		if err != nil {
			return nil, err
		}
		alerts = append(alerts, a...)
	}
	return alerts, nil
}

// accrue counts a credit as it is booked, unless counting anew will come by.
func (b *book) accrue(e Event) error {
	if b.accrual == nil {
		s, err := b.tx.Accrual()
		if err != nil {
			return err
		}
		b.accrual = &s
	}
	if b.accrual.Window == 0 || e.ID >= b.accrual.Next || e.ID <= b.accrual.From {
		return nil
	}
	alerts, err := b.tx.accrue(*b.accrual, e, b.in.Now)
	b.alerts = append(b.alerts, alerts...)
	return err
}

func accrualKey(s AccrualState, account common.Address, slot uint64) []byte {
	return join(be64(s.Generation), account[:], be64(slot))
}

// accrue adds a credit to its slot, and freezes the account when a window that holds the slot is over the ceiling. The
// order in which rows come does not matter: the sums, and so the windows above the ceiling, are those of the rows.
func (tx *Tx) accrue(s AccrualState, e Event, now uint64) ([]Alert, error) {
	amount, ok := Accrued(e)
	if !ok {
		return nil, nil
	}
	at := e.CreatedAt / s.slot()
	key, sum := accrualKey(s, e.Account, at), uint256.Int{}
	sum.SetBytes(tx.b.Bucket(bucketRiskAccrual).Get(key))
	sum.Add(&sum, &amount)
	if err := tx.b.Bucket(bucketRiskAccrual).Put(key, sum.Bytes()); err != nil {
		return nil, err
	}
	low := at - min(at, s.span()-1)
	most, err := tx.accruedWithin(s, e.Account, low, at+s.span()-1)
	if err != nil || !most.Gt(&s.Ceiling) {
		return nil, err
	}
	text := fmt.Sprintf("credits of %s wei within %s of log time, the ceiling is %s wei", most.Dec(), time.Duration(s.Window)*time.Second, s.Ceiling.Dec())
	added, err := tx.Freeze(e.Account, Freeze{Code: FreezeAccrual, Text: text, Evidence: []uint64{e.ID}, Since: now})
	if err != nil || !added {
		return nil, err
	}
	return []Alert{{AlertAccrual, Critical, e.Account, e.ID, fmt.Sprintf("account %s is frozen: %s", e.Account, text),
		"see the account's newest rows; RESOLVE frees it when they are right, a policy with a higher ceiling keeps it free"}}, nil
}

// accruedWithin is the largest sum of a window of slots from low to high.
func (tx *Tx) accruedWithin(s AccrualState, account common.Address, low, high uint64) (most uint256.Int, err error) {
	type part struct {
		slot uint64
		sum  uint256.Int
	}
	var window []part
	var sum uint256.Int
	prefix := join(be64(s.Generation), account[:])
	c := tx.b.Bucket(bucketRiskAccrual).Cursor()
	for k, v := c.Seek(accrualKey(s, account, low)); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		p := part{slot: readBE64(k[len(prefix):])}
		if p.slot > high {
			break
		}
		p.sum.SetBytes(v)
		sum.Add(&sum, &p.sum)
		window = append(window, p)
		for p.slot-window[0].slot >= s.span() {
			sum.Sub(&sum, &window[0].sum)
			window = window[1:]
		}
		if sum.Gt(&most) {
			most = sum
		}
	}
	return most, nil
}

// accruedPeak is the largest sum of any window.
func (tx *Tx) accruedPeak(s AccrualState, account common.Address) (uint256.Int, error) {
	if s.Window == 0 {
		return uint256.Int{}, nil
	}
	return tx.accruedWithin(s, account, 0, math.MaxUint64)
}

// checkAccrual counts the log again and compares with the sums.
func (tx *Tx) checkAccrual() error {
	s, err := tx.Accrual()
	if err != nil || s.Window == 0 {
		return err
	}
	want := map[string]*uint256.Int{}
	err = tx.Events(s.From+1, func(e Event) error {
		if amount, ok := Accrued(e); ok && e.ID < s.Next {
			key := string(accrualKey(s, e.Account, e.CreatedAt/s.slot()))
			if want[key] == nil {
				want[key] = new(uint256.Int)
			}
			want[key].Add(want[key], &amount)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.scan(bucketRiskAccrual, be64(s.Generation), func(k, v []byte) error {
		var sum uint256.Int
		sum.SetBytes(v)
		if w := want[string(k)]; w == nil || *w != sum {
			return violation("I13", "accrual of account %x in slot %d is not what the log gives", k[8:28], readBE64(k[28:]))
		}
		delete(want, string(k))
		return nil
	})
	for key := range want {
		return violation("I13", "accrual of account %x in slot %d is not stored", key[8:28], readBE64([]byte(key[28:])))
	}
	return err
}
