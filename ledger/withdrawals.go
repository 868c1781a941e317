package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Message is the digest of the text that the requester signed. Requests with one message are one wish, however often the
// Relay lists it and whatever the signature's bytes: (r, n−s, v⊕1) is a second valid signature.
func (w Withdrawal) Message() common.Hash {
	return quorum.PersonalDigest(quorum.WithdrawText(w.Account, w.Spelling, w.Network, w.Amount, w.Timestamp))
}

// Content is all that a payment of w depends on, on a lane with this token.
func (w Withdrawal) Content(token common.Address) quorum.Content {
	return quorum.Content{WID: w.ID, Account: w.Account, Network: w.Network, Token: token, To: w.To,
		Amount: w.Amount, Fee: w.Fee, EventID: w.EventID, Message: w.Message()}
}

// Total is what the type-6 row must have taken; false when amount and fee do not fit.
func (w Withdrawal) Total() (total uint256.Int, ok bool) { return addWei(w.Amount, w.Fee) }

func contentTotal(c quorum.Content) (uint256.Int, bool) { return addWei(c.Amount, c.Fee) }

func addWei(a, b uint256.Int) (sum uint256.Int, ok bool) {
	_, over := sum.AddOverflow(&a, &b)
	return sum, !over
}

// PutWithdrawal records a row of the Relay's list. A row that is known may change its status only; anything else is a
// [*ChangedError]. The status informs and never decides: one that contradicts what this network decided is an alert.
func (tx *Tx) PutWithdrawal(w Withdrawal) ([]Alert, error) {
	var was Withdrawal
	known, err := tx.get(bucketRequests, be64(w.ID), &was)
	if err != nil {
		return nil, err
	}
	now := encode(w)
	if known {
		same := w
		same.Status = was.Status
		if before := encode(was); !bytes.Equal(before, encode(same)) {
			return nil, &ChangedError{"withdrawal", w.ID, before, now}
		}
		if was.Status == w.Status {
			return nil, nil
		}
	}
	if err := tx.b.Bucket(bucketRequests).Put(be64(w.ID), now); err != nil {
		return nil, err
	}
	alerts, err := tx.statusAlert(w)
	if known && was.Status != StatusPending && w.Status == StatusPending {
		alerts = append(alerts, Alert{AlertRequestStatus, Critical, w.Account, w.EventID,
			fmt.Sprintf("withdrawal %d was decided at the Relay and is pending there again", w.ID),
			"no outcome is ever taken back by an honest Relay; what this network decided stands"})
	}
	if err != nil || known {
		return alerts, err
	}
	shared, err := tx.indexRequest(w)
	return append(alerts, shared...), err
}

// indexRequest makes a new row findable and binds it to its event.
func (tx *Tx) indexRequest(w Withdrawal) (alerts []Alert, err error) {
	message := w.Message()
	err = errors.Join(
		tx.b.Bucket(bucketRequestEvent).Put(join(be64(w.EventID), be64(w.ID)), []byte{1}),
		tx.b.Bucket(bucketRequestMessage).Put(join(message[:], be64(w.EventID), be64(w.ID)), []byte{1}),
		tx.b.Bucket(bucketRequestAccount).Put(join(w.Account[:], be64(w.ID)), []byte{1}))
	if err != nil {
		return nil, err
	}
	if wids, err := tx.RequestsOfEvent(w.EventID); err != nil {
		return nil, err
	} else if len(wids) > 1 {
		alerts = append(alerts, Alert{AlertRequestEvent, Critical, w.Account, w.EventID,
			fmt.Sprintf("withdrawals %v all name event %d", wids, w.EventID),
			"none of them is judged; ask the Relay's operator which one is real"})
	}
	s, spent, err := tx.SpentWID(w.ID)
	if err != nil {
		return nil, err
	}
	if spent {
		err = tx.checkSpent(s)
	}
	if !spent || s.Free {
		err = errors.Join(err, tx.b.Bucket(bucketRequestOpen).Put(be64(w.ID), []byte{1}))
	}
	return alerts, errors.Join(err, tx.rebind(w.EventID))
}

// statusAlert compares the Relay's word on a withdrawal with this network's.
func (tx *Tx) statusAlert(w Withdrawal) ([]Alert, error) {
	if w.Status == StatusPending {
		return nil, nil
	}
	s, decided, err := tx.SpentWID(w.ID)
	if err != nil {
		return nil, err
	}
	decision := "has not decided it"
	switch {
	case !decided && tx.mayBelong() != nil:
		return nil, nil // who does not rule may not have followed the decisions yet; those who do say it
	case decided && s.Kind == SpentItem && w.Status == StatusFailed:
		decision = "pays it"
	case decided && s.Kind == SpentReject && w.Status == StatusSuccess:
		decision = "rejected it"
	case decided:
		return nil, nil
	}
	status := map[WithdrawalStatus]string{StatusSuccess: "paid", StatusFailed: "rejected"}[w.Status]
	return []Alert{{AlertRequestStatus, Critical, w.Account, w.EventID,
		fmt.Sprintf("withdrawal %d is %s at the Relay; this network %s", w.ID, status, decision),
		"another holder of the Relay's API key acts, or the Relay lies"}}, nil
}

// Withdrawal returns a request.
func (tx *Tx) Withdrawal(wid uint64) (w Withdrawal, ok bool, err error) {
	ok, err = tx.get(bucketRequests, be64(wid), &w)
	return w, ok, err
}

// RequestsOfEvent returns the requests that name an event, ascending. More than one is a lie.
func (tx *Tx) RequestsOfEvent(event uint64) (wids []uint64, err error) {
	err = tx.scan(bucketRequestEvent, be64(event), func(k, _ []byte) error {
		wids = append(wids, readBE64(k[8:]))
		return nil
	})
	return wids, err
}

// RequestsOfMessage returns the requests with one message, by the id of their event.
func (tx *Tx) RequestsOfMessage(message common.Hash) (wids []uint64, err error) {
	err = tx.scan(bucketRequestMessage, message[:], func(k, _ []byte) error {
		wids = append(wids, readBE64(k[common.HashLength+8:]))
		return nil
	})
	return wids, err
}

// WithdrawalFilter chooses requests; zero fields choose all.
type WithdrawalFilter struct {
	Account *common.Address
	Open    bool // undecided ones only
	After   uint64
	Limit   int // at most this many; 0 for no bound, which is for one's own loops only
}

// Withdrawals returns requests by id ascending.
func (tx *Tx) Withdrawals(f WithdrawalFilter) (out []Withdrawal, err error) {
	bucket, prefix := bucketRequests, []byte(nil)
	switch {
	case f.Account != nil:
		bucket, prefix = bucketRequestAccount, f.Account[:]
	case f.Open:
		bucket = bucketRequestOpen
	}
	c := tx.b.Bucket(bucket).Cursor()
	open := tx.b.Bucket(bucketRequestOpen)
	for k, _ := c.Seek(join(prefix, be64(f.After+1))); bytes.HasPrefix(k, prefix) && k != nil; k, _ = c.Next() {
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
		wid := k[len(prefix):]
		if f.Open && open.Get(wid) == nil {
			continue
		}
		w, ok, err := tx.Withdrawal(readBE64(wid))
		if err != nil || !ok {
			return nil, errors.Join(err, fmt.Errorf("%w: withdrawal %d is indexed and missing", ErrCorrupt, readBE64(wid)))
		}
		out = append(out, w)
	}
	return out, nil
}

// Binding says how a request and its type-6 event stand: Bound, or the first thing that is wrong.
type Binding string

// The bindings.
const (
	Bound          Binding = "bound"
	EventMissing   Binding = "event-not-settled"
	EventKindWrong Binding = "event-of-another-kind"
	EventAccount   Binding = "event-of-another-account"
	EventAmount    Binding = "event-of-another-amount"
	EventShared    Binding = "event-named-twice"
	EventExcluded  Binding = "event-not-debited"
)

// binding judges a request against the event that it names.
func (tx *Tx) binding(w Withdrawal) (Binding, debit, error) {
	e, ok, err := tx.Event(w.EventID)
	if err != nil || !ok {
		return EventMissing, debit{}, err
	}
	d, debited, err := tx.debitOf(e.Account, e.ID)
	if err != nil {
		return "", d, err
	}
	amount, proper := e.wei()
	total, fits := w.Total()
	wids, err := tx.RequestsOfEvent(w.EventID)
	if err != nil {
		return "", d, err
	}
	switch {
	case e.Kind != Withdraw:
		return EventKindWrong, d, nil
	case e.Account != w.Account:
		return EventAccount, d, nil
	case !proper || !fits || amount != total:
		return EventAmount, d, nil
	case len(wids) != 1 || wids[0] != w.ID:
		return EventShared, d, nil
	case !debited || d.Kind != Withdraw || d.Amount != total: // by the operators' list of the account's debits
		return EventExcluded, d, nil
	}
	return Bound, d, nil
}

// rebind keeps the index of debited type-6 events that lack their one request.
func (tx *Tx) rebind(event uint64) error {
	e, ok, err := tx.Event(event)
	if err != nil || !ok || e.Kind != Withdraw {
		return err
	}
	if d, debited, err := tx.debitOf(e.Account, e.ID); err != nil || !debited || d.Kind != Withdraw {
		return err
	}
	if missing, err := tx.spentMissingAt(e.Account, e.ID); err != nil {
		return err
	} else if missing != nil {
		if err := tx.checkSpent(*missing); err != nil {
			return err
		}
	}
	wids, err := tx.RequestsOfEvent(event)
	if err != nil {
		return err
	}
	key := debitKey(e.Account, e.ID)
	if len(wids) == 1 {
		w, _, err := tx.Withdrawal(wids[0])
		if err != nil {
			return err
		}
		if is, _, err := tx.binding(w); err != nil || is == Bound {
			return errors.Join(err, tx.b.Bucket(bucketUnbound).Delete(key))
		}
	}
	return tx.b.Bucket(bucketUnbound).Put(key, []byte{1})
}

// spentRequest books a fate into the indexes that verdicts read.
func (tx *Tx) spentRequest(s Spent, total uint256.Int) error {
	c := s.Content
	return errors.Join(
		tx.openRequest(s),
		tx.b.Bucket(bucketSpentAt).Put(debitKey(c.Account, c.EventID), join(amountKey(total), be64(c.WID))),
		tx.checkSpent(s))
}

// checkSpent notes whether the books hold and debited what a decision spent.
func (tx *Tx) checkSpent(s Spent) error {
	key := join(s.Content.Account[:], be64(s.Content.WID))
	held, err := tx.HasDebited(s.Content)
	if err != nil {
		return err
	}
	if held {
		return tx.b.Bucket(bucketSpentMissing).Delete(key)
	}
	return tx.b.Bucket(bucketSpentMissing).Put(key, []byte{1})
}

// spentMissingAt returns the spent withdrawal that used an event and that the books lack, nil when there is none.
func (tx *Tx) spentMissingAt(account common.Address, event uint64) (*Spent, error) {
	at := tx.b.Bucket(bucketSpentAt).Get(debitKey(account, event))
	if at == nil {
		return nil, nil
	}
	s, ok, err := tx.SpentWID(readBE64(at[32:]))
	if err != nil || !ok {
		return nil, err
	}
	return &s, nil
}
