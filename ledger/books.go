package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Buckets of the books. Everything but the log, the requests, the follower's state and the proofs of deposits follows
// from these and from the decisions; CheckBooks derives it again.
var (
	bucketBooks  = []byte("books")  // totals, hold and the follower's state
	bucketLog    = []byte("log")    // event id → row
	bucketHeld   = []byte("held")   // event id → event that waits for uncovered debits to fall
	bucketRanges = []byte("ranges") // range of ids → rangeSum

	bucketAccounts = []byte("accounts") // account → acct
	bucketDebits   = []byte("debits")   // account ‖ event id → debit
	bucketFreezes  = []byte("freezes")  // account ‖ ref ‖ code → Freeze

	bucketDeposits     = []byte("deposits")      // event id → Proof and repeated
	bucketDepositsOpen = []byte("deposits-open") // event id → nothing, while the proof may still change
	bucketDepositTx    = []byte("deposit-tx")    // tx hash ‖ network → event id that uses it
	bucketFees         = []byte("fees")          // amount → feeMatch
	bucketFeesPaid     = []byte("fees-paid")     // wid → nothing
	bucketRefunds      = []byte("refunds")       // account ‖ amount → refundMatch
	bucketRejectWait   = []byte("reject-wait")   // account ‖ event id → amount, of rejects whose debit is not booked yet
	bucketVesting      = []byte("vesting")       // vesting id → Schedule
	bucketVestingKey   = []byte("vesting-key")   // account ‖ start ‖ type → vesting id
	bucketReleases     = []byte("releases")      // vesting id ‖ account → release
	bucketReleasesDue  = []byte("releases-due")  // vesting id → nothing, while more was released than counts

	bucketRequests       = []byte("requests")        // wid → Withdrawal
	bucketRequestEvent   = []byte("request-event")   // event id ‖ wid → nothing
	bucketRequestMessage = []byte("request-message") // message ‖ event id ‖ wid → nothing
	bucketRequestAccount = []byte("request-account") // account ‖ wid → nothing
	bucketRequestOpen    = []byte("request-open")    // wid → nothing, while undecided
	bucketUnbound        = []byte("unbound")         // account ‖ event id → nothing, of debited type-6 rows without their one request
	bucketSpentAt        = []byte("spent-at")        // account ‖ event id → amount + fee of the spent wid
	bucketSpentMissing   = []byte("spent-missing")   // account ‖ wid → nothing, while the books lack what was spent
)

// booksBuckets are the buckets of the books half of the ledger.
func booksBuckets() [][]byte {
	return append([][]byte{
		bucketBooks, bucketLog, bucketHeld, bucketRanges,
		bucketAccounts, bucketDebits, bucketFreezes,
		bucketDeposits, bucketDepositsOpen, bucketDepositTx, bucketFees, bucketFeesPaid, bucketRefunds, bucketRejectWait,
		bucketVesting, bucketVestingKey, bucketReleases, bucketReleasesDue,
		bucketRequests, bucketRequestEvent, bucketRequestMessage, bucketRequestAccount, bucketRequestOpen,
		bucketUnbound, bucketSpentAt, bucketSpentMissing,
	}, resolveBuckets()...)
}

var (
	keyTotals = []byte("totals")
	keyHold   = []byte("hold")
	keyFollow = []byte("follow")
	keyClock  = []byte("clock") // latest time of booking
)

// Errors of intake. ErrHostile is content that only a broken or hostile Relay can produce: the node's fuse trips.
var (
	ErrHostile = errors.New("the Relay contradicts its own contract")
	// ErrHoldFull means that more events wait behind uncovered debits than this node keeps. The page was not taken; ask
	// again later.
	ErrHoldFull = errors.New("too many events wait behind uncovered debits")
)

// ChangedError is evidence: a row that was taken before, and what the Relay says now under the same id.
type ChangedError struct {
	What string // "event" or "withdrawal"
	ID   uint64
	Was  []byte // RLP of the Event or Withdrawal
	Now  []byte
}

// Error implements error.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s %d is not what the Relay showed before; both rows are kept as evidence", e.What, e.ID)
}

// Unwrap makes it an [ErrHostile].
func (e *ChangedError) Unwrap() error { return ErrHostile }

// Intake is what booking needs to know beside the events.
type Intake struct {
	Now           uint64 // unix ms by this node's clock
	Policy        quorum.Policy
	FeeAddress    common.Address // of the genesis document
	VestingAdmins []common.Address
	VestingTerms  []quorum.VestingTerm
	History       quorum.Cutover // of the genesis document; the zero value has none
	Brought       bool           // members certified these rows, or operators signed them: this node's Relay did not show them
}

// Appended says what became of a page.
type Appended struct {
	Booked int     // events that are in the books now and were not before, held ones of earlier pages included
	Held   int     // events that wait
	Hold   *Hold   // why they wait; nil when nothing does
	Alerts []Alert // for people
}

// MaxHeld bounds the events that wait behind uncovered debits: a busy hour, and some ten megabytes.
const MaxHeld = 65_536

// Append books settled events, ids ascending, and then in id order whatever an earlier hold kept waiting. Late rows need
// no mark: an id below the last booked one is late. A row that is in the books already must be the same to the byte;
// another is a [*ChangedError]. Uncovered debits above the policy's maximum leave the rest of the page waiting, stored
// with it: Appended.Hold says so, and the next Append, also of no events, tries again. After an error the transaction must
// fail.
func (tx *Tx) Append(events []Event, in Intake) (Appended, error) {
	return tx.append(encodeAll(events), in)
}

// entry is an event with its RLP, which the log stores and ranges hash: it is encoded once.
type entry struct {
	Event
	rlp []byte
}

// encodeAll encodes a page into one piece of memory.
func encodeAll(events []Event) []entry {
	out := make([]entry, len(events))
	buffer := make([]byte, 0, 64*len(events))
	for i, e := range events {
		at := len(buffer)
		buffer = appendEvent(buffer, &e)
		out[i] = entry{e, buffer[at:len(buffer):len(buffer)]}
	}
	return out
}

// append is Append of encoded events.
func (tx *Tx) append(events []entry, in Intake) (Appended, error) {
	fresh, err := tx.screen(events)
	if err != nil {
		return Appended{}, err
	}
	if in.Brought {
		if err := tx.markBrought(fresh); err != nil {
			return Appended{}, err
		}
	}
	queue, err := tx.queue(fresh)
	if err != nil {
		return Appended{}, err
	}
	b, err := tx.openBook(in)
	if err != nil {
		return Appended{}, err
	}
	if err := b.openHistory(); err != nil {
		return Appended{}, err
	}
	queue = b.tooLate(queue)
	if err := b.tick(); err != nil {
		return Appended{}, err
	}
	held, err := b.bookAll(queue)
	if err != nil {
		return Appended{}, err
	}
	out := Appended{Booked: len(queue) - len(held), Held: len(held)}
	if out.Hold, err = b.keepHold(queue[:out.Booked], held); err != nil {
		return Appended{}, err
	}
	err = errors.Join(b.close(), b.closeHistory(out.Booked > 0 && b.past(queue[0].Event)))
	out.Alerts = b.alerts
	return out, err
}

// bookAll books in id order up to the first event that may not be booked; what is left is returned.
func (b *book) bookAll(queue []entry) (held []entry, err error) {
	for i := range queue {
		e := &queue[i]
		ok, err := b.mayBook(e.Event)
		if err != nil {
			return nil, err
		}
		if !ok {
			return queue[i:], nil
		}
		b.rlp = e.rlp
		before := b.totals.Uncovered
		if err := b.post(e.Event); err != nil {
			return nil, fmt.Errorf("book event %d: %w", e.ID, err)
		}
		b.moveBase(e.Event, before)
	}
	return nil, nil
}

// screen refuses what no honest Relay sends and drops what is in the books already; it returns a part of what it is given.
func (tx *Tx) screen(events []entry) (fresh []entry, err error) {
	t, err := tx.totals()
	if err != nil {
		return nil, err
	}
	log, held := tx.b.Bucket(bucketLog), tx.b.Bucket(bucketHeld)
	first, _ := held.Cursor().First()
	fresh = events[:0] // most often all of them, and there may be many
	var last uint64
	for i := range events {
		e := &events[i]
		switch {
		case e.ID <= last:
			return nil, fmt.Errorf("%w: event %d after %d in one page", ErrHostile, e.ID, last)
		case e.Kind > MaxEventKind:
			return nil, fmt.Errorf("%w: event %d has the unknown kind %d", ErrHostile, e.ID, e.Kind)
		}
		last = e.ID
		if first == nil && e.ID > t.LastID {
			fresh = append(fresh, *e)
			continue // nothing to compare with: most rows, and all of a replay
		}
		was := held.Get(be64(e.ID))
		if row := log.Get(be64(e.ID)); row != nil && e.ID <= t.LastID {
			was = row[rowHeader:]
		}
		if was == nil {
			fresh = append(fresh, *e)
			continue
		}
		if !bytes.Equal(was, e.rlp) {
			return nil, &ChangedError{"event", e.ID, bytes.Clone(was), bytes.Clone(e.rlp)}
		}
	}
	return fresh, nil
}

// queue merges fresh events with those that wait, by id.
func (tx *Tx) queue(fresh []entry) ([]entry, error) {
	var queue []entry
	err := tx.each(bucketHeld, nil, func(_, v []byte) error {
		e := entry{rlp: bytes.Clone(v)}
		if err := decodeEvent(v, &e.Event); err != nil {
			return err
		}
		for len(fresh) > 0 && fresh[0].ID < e.ID {
			queue, fresh = append(queue, fresh[0]), fresh[1:]
		}
		queue = append(queue, e)
		return nil
	})
	if len(queue) == 0 {
		return fresh, err
	}
	return append(queue, fresh...), err
}

// FollowState returns what the follower of the Relay's log saved, nil before the first time.
func (tx *Tx) FollowState() []byte { return bytes.Clone(tx.b.Bucket(bucketBooks).Get(keyFollow)) }

// SaveFollowState keeps the follower's state. Save it in the transaction that appends the events which it counts as
// settled, or a crash loses them.
func (tx *Tx) SaveFollowState(state []byte) error {
	return tx.b.Bucket(bucketBooks).Put(keyFollow, state)
}
