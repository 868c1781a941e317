package ledger

import (
	"bytes"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Buckets of what the rules of risk remember. They lie outside the books: times are this node's own, objections its
// operator's, and the rest follows from the log and the decisions; CheckRisk derives it again.
var (
	bucketRisk        = []byte("risk")            // the state of the accrual sums
	bucketRiskSettled = []byte("risk-settled")    // event id → unix ms at which this node first saw the row settled with its request
	bucketRiskPaid    = []byte("risk-paid")       // account ‖ destination ‖ network → the withdrawal that a decision paid so first
	bucketRiskAccrual = []byte("risk-accrual")    // generation ‖ account ‖ slot → wei credited in that slot of log time
	bucketObjections  = []byte("risk-objections") // wid → Objection
)

func riskBuckets() [][]byte {
	return [][]byte{bucketRisk, bucketRiskSettled, bucketRiskPaid, bucketRiskAccrual, bucketObjections}
}

// RiskFacts is what the rules of risk know of a request beyond its standing.
type RiskFacts struct {
	Settled    uint64     // unix ms by this node's clock when it first saw the row settled with its request; 0: not noted
	PaidBefore uint64     // another withdrawal of the account that a decision pays to the same destination, the first one; 0 for none
	Objection  *Objection // of this node's operator; nil for none
	Accrual    AccrualState
	Accrued    uint256.Int // the most that the account was credited within one window, while the sums are complete
}

// RiskFacts reads what the rules of risk know of a request.
func (tx *Tx) RiskFacts(w Withdrawal) (f RiskFacts, err error) {
	f.Settled = readBE64(tx.b.Bucket(bucketRiskSettled).Get(be64(w.EventID)))
	if first, _ := tx.PaidTo(w.Account, w.To, w.Network); first != w.ID {
		f.PaidBefore = first
	}
	o, ok, err := tx.Objection(w.ID)
	if err != nil {
		return f, err
	}
	if ok {
		f.Objection = &o
	}
	if f.Accrual, err = tx.Accrual(); err != nil || !f.Accrual.Complete() {
		return f, err
	}
	f.Accrued, err = tx.accruedPeak(f.Accrual, w.Account)
	return f, err
}

// NoteSettled remembers when this node first saw a type-6 row settled together with its request. Later calls change
// nothing, so a delay that counts from here is the same after a restart.
func (tx *Tx) NoteSettled(event, now uint64) error {
	b := tx.b.Bucket(bucketRiskSettled)
	if b.Get(be64(event)) != nil {
		return nil
	}
	return b.Put(be64(event), be64(now))
}

// payee is where an account's money goes on a network. It is one payee for one account alone: who was paid somewhere by
// his own withdrawals has not vouched for the place in anybody else's name.
func payee(account, to common.Address, network string) []byte {
	return join(account[:], to[:], []byte(network))
}

func payeeOf(s Spent) []byte { return payee(s.Content.Account, s.Content.To, s.Content.Network) }

// notePaid remembers which withdrawal of an account was paid first at a destination.
func (tx *Tx) notePaid(s Spent) error {
	b := tx.b.Bucket(bucketRiskPaid)
	if (s.Kind != SpentItem && s.First == 0) || b.Get(payeeOf(s)) != nil {
		return nil
	}
	return b.Put(payeeOf(s), be64(s.Content.WID))
}

// PaidTo returns the withdrawal of an account that a decision paid to a destination first; ok is false when none did.
func (tx *Tx) PaidTo(account, to common.Address, network string) (wid uint64, ok bool) {
	raw := tx.b.Bucket(bucketRiskPaid).Get(payee(account, to, network))
	return readBE64(raw), raw != nil
}

// paidByAddress reports whether the notes are those of an earlier program, by destination alone.
func (tx *Tx) paidByAddress() bool {
	k, _ := tx.b.Bucket(bucketRiskPaid).Cursor().First()
	return len(k) == common.AddressLength
}

// indexPaid notes the payees of decisions that were made before this program noted them.
func (tx *Tx) indexPaid() error {
	b := tx.b.Bucket(bucketRiskPaid)
	if k, _ := b.Cursor().First(); k != nil && !tx.paidByAddress() {
		return nil
	}
	var old [][]byte
	err := tx.scan(bucketRiskPaid, nil, func(k, _ []byte) error { old = append(old, bytes.Clone(k)); return nil })
	for _, k := range old {
		err = errors.Join(err, b.Delete(k))
	}
	first, errFirst := tx.firstPaid()
	if err = errors.Join(err, errFirst); err != nil {
		return err
	}
	for _, s := range first {
		if err := tx.notePaid(s); err != nil {
			return err
		}
	}
	return nil
}

// firstPaid is by payee the item of the earliest decision; within one decision that of the lowest id, as items
// stand in it.
func (tx *Tx) firstPaid() (map[string]Spent, error) {
	first := map[string]Spent{}
	err := tx.scan(bucketSpent, nil, func(_, raw []byte) error {
		var s Spent
		if err := decode(raw, &s); err != nil || (s.Kind != SpentItem && s.First == 0) {
			return err
		}
		was, ok := first[string(payeeOf(s))]
		if !ok || s.first() < was.first() || (s.first() == was.first() && s.Content.WID < was.Content.WID) {
			first[string(payeeOf(s))] = s
		}
		return nil
	})
	return first, err
}

// CheckRisk derives what the rules of risk remember of the decisions and of the log again and compares.
func (tx *Tx) CheckRisk() error {
	first, err := tx.firstPaid()
	if err != nil {
		return err
	}
	for key, s := range first {
		if raw := tx.b.Bucket(bucketRiskPaid).Get([]byte(key)); raw != nil && readBE64(raw) != s.Content.WID {
			return violation("I13", "account %s was paid at %s first by withdrawal %d, noted is %d", s.Content.Account, s.Content.To,
				s.Content.WID, readBE64(raw))
		}
	}
	err = tx.scan(bucketRiskPaid, nil, func(k, _ []byte) error {
		if _, ok := first[string(k)]; !ok && !tx.paidByAddress() {
			return violation("I13", "%x is noted as paid, and no decision pays it", k)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tx.checkAccrual()
}
