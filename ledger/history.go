package ledger

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

var keyHistory = []byte("history")

// History is how far these books hold what the genesis document says of the time before the network: the Relay's rows up
// to the cut-over, under the document's root.
type History struct {
	Event  uint64      // the cut-over; 0: there is no history
	Root   common.Hash // of the log up to Event, by the document
	Own    common.Hash // by these books when they last passed the cut-over; zero before
	Sealed bool        // both are the same: rows up to Event that come later only alert

	// Base is what of the uncovered debits is history. It only falls once the cut-over is passed, so that old debts that
	// are paid make no room for new ones.
	Base uint256.Int
}

// Open says why no verdict may rest on these books yet; empty when the history is complete.
func (h History) Open() string {
	switch {
	case h.Event == 0 || h.Sealed:
		return ""
	case h.Own == (common.Hash{}):
		return "the Relay's log is not replayed up to the cut-over yet"
	}
	return "the Relay shows another history up to the cut-over than the genesis document"
}

// History returns the state of the history; ok is false before the first page of a network with a cut-over.
func (tx *Tx) History() (h History, ok bool, err error) {
	ok, err = tx.get(bucketBooks, keyHistory, &h)
	return h, ok, err
}

// VestingDigest names one vesting record of the log, as a genesis document lists those whose signatures cannot be verified
// from today's rows.
func VestingDigest(v VestingRef) common.Hash {
	return crypto.Keccak256Hash([]byte("conclave/1/vesting-record\x00"), encode(v))
}

// openHistory reads what is known, or begins it.
func (b *book) openHistory() error {
	if b.in.History.Event == 0 {
		return nil
	}
	known, err := b.tx.get(bucketBooks, keyHistory, &b.history)
	b.historyWas = b.history
	if !known && err == nil {
		b.history = History{Event: b.in.History.Event, Root: b.in.History.Root}
	}
	return err
}

// past reports whether a row is history.
func (b *book) past(e Event) bool { return e.ID <= b.history.Event }

// tooLate drops rows of a history that is sealed: what the operators signed is what counts, whatever the Relay adds to it.
func (b *book) tooLate(queue []entry) []entry {
	if !b.history.Sealed {
		return queue
	}
	return slices.DeleteFunc(queue, func(e entry) bool {
		if b.past(e.Event) {
			b.alert(AlertHistory, Warning, e.Event, "ask the Relay's operator where the row comes from; it counts nothing",
				"event %d appeared after the operators signed the history up to %d", e.ID, b.history.Event)
		}
		return b.past(e.Event)
	})
}

// postPast books what counts at face value up to the cut-over; done is false for rows that are booked as ever.
func (b *book) postPast(e Event, amount uint256.Int) (done bool, err error) {
	if !b.past(e) {
		return false, nil
	}
	switch e.Kind {
	case WithdrawalFeeIncome, WithdrawRefund:
		return true, b.count(e.Account, amount)
	case Deposit:
		// The transfer is used up: shown again after the cut-over it must not count twice.
		key := depositTxKey(e.Deposit)
		if use := b.tx.b.Bucket(bucketDepositTx); use.Get(key) == nil {
			if err := use.Put(key, be64(e.ID)); err != nil {
				return true, err
			}
		}
		if err := b.tx.b.Bucket(bucketDeposits).Put(be64(e.ID), []byte{byte(Counted)}); err != nil {
			return true, err
		}
		return true, b.count(e.Account, amount)
	}
	return false, nil
}

// listedVesting reports whether the document vouches for a record of the history.
func (b *book) listedVesting(e Event) bool {
	return b.past(e) && slices.Contains(b.in.History.Vesting, VestingDigest(e.Vesting))
}

// moveBase follows the uncovered debits: rows of the history move what is allowed, later ones can only lower it.
func (b *book) moveBase(e Event, before uint256.Int) {
	h, after := &b.history, b.totals.Uncovered
	switch {
	case !b.past(e):
	case after.Gt(&before):
		h.Base.Add(&h.Base, new(uint256.Int).Sub(&after, &before))
	default:
		fallen := new(uint256.Int).Sub(&before, &after)
		take(&h.Base, fallen)
	}
	if h.Base.Gt(&after) {
		h.Base = after
	}
}

// take subtracts down to zero.
func take(from, v *uint256.Int) {
	if _, under := from.SubOverflow(from, v); under {
		from.Clear()
	}
}

// maxUncovered is the policy's maximum above what the history left.
func (b *book) maxUncovered() uint256.Int {
	limit := b.in.Policy.UncoveredMax
	for _, more := range []uint256.Int{b.history.Base, b.tx.waived()} {
		if _, over := limit.AddOverflow(&limit, &more); over {
			limit.SetAllOne()
		}
	}
	return limit
}

// closeHistory compares with the document once the log has passed the cut-over. touched says that a row of the history
// was booked just now. Call it when the ranges are closed.
func (b *book) closeHistory(touched bool) error {
	h := &b.history
	if h.Event == 0 {
		return nil
	}
	if h.Base.Gt(&b.totals.Uncovered) {
		h.Base = b.totals.Uncovered
	}
	if !h.Sealed && b.totals.LastID >= h.Event && (touched || h.Own == (common.Hash{})) {
		own, err := b.tx.LogRoot(h.Event)
		if err != nil {
			return err
		}
		h.Own, h.Sealed = own, own == h.Root
		if !h.Sealed {
			b.alert(AlertHistory, Critical, Event{ID: h.Event}, "compare the Relay with the other operators'; nothing is judged until the rows are the same",
				"the log up to the cut-over at event %d has the root %s, the genesis document %s", h.Event, own, h.Root)
		}
	}
	if *h == b.historyWas {
		return nil
	}
	return b.tx.put(bucketBooks, keyHistory, *h)
}
