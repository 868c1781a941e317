package ledger

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// HeadAt returns the head of an account's chain after seq debits, [ErrNotFound] when the chain is shorter.
func (tx *Tx) HeadAt(account common.Address, seq uint64) (common.Hash, error) {
	if seq == 0 {
		return quorum.AccountHead(account), nil
	}
	a, _, err := tx.acct(account)
	if err != nil {
		return common.Hash{}, err
	}
	if seq > a.Seq {
		return common.Hash{}, fmt.Errorf("debit %d of %s, which has %d: %w", seq, account, a.Seq, ErrNotFound)
	}
	if seq == a.Seq {
		return a.Head, nil
	}
	return tx.searchHead(account, seq)
}

// searchHead finds a link by halving the span of ids: links are keyed by id, and numbers rise with ids.
func (tx *Tx) searchHead(account common.Address, seq uint64) (common.Hash, error) {
	t, err := tx.totals()
	if err != nil {
		return common.Hash{}, err
	}
	c := tx.b.Bucket(bucketDebits).Cursor()
	for low, high := uint64(0), t.LastID; low <= high; {
		mid := low + (high-low)/2
		k, v := c.Seek(debitKey(account, mid))
		if !bytes.HasPrefix(k, account[:]) {
			high = mid - 1
			continue
		}
		var d debit
		if err := decode(v, &d); err != nil {
			return common.Hash{}, err
		}
		switch at := readBE64(k[len(account):]); {
		case d.Seq == seq:
			return d.Head, nil
		case d.Seq < seq:
			low = at + 1
		case mid == 0:
			return common.Hash{}, fmt.Errorf("%w: no debit %d of %s", ErrCorrupt, seq, account)
		default:
			high = mid - 1
		}
	}
	return common.Hash{}, fmt.Errorf("%w: no debit %d of %s", ErrCorrupt, seq, account)
}

// HasDebited reports whether the books hold a withdrawal with this very content and have debited its type-6 event. Ask it
// of what decisions disposed of: a node that fell behind the log must not judge the account before.
func (tx *Tx) HasDebited(content quorum.Content) (bool, error) {
	w, ok, err := tx.Withdrawal(content.WID)
	if err != nil || !ok || w.Content(content.Token) != content {
		return false, err
	}
	d, debited, err := tx.debitOf(content.Account, content.EventID)
	total, fits := contentTotal(content)
	return err == nil && debited && fits && d.Kind == Withdraw && d.Amount == total, err
}

// CaseOf is what a verdict on this content rests on in the books; see [Case].
func (tx *Tx) CaseOf(content quorum.Content) Case {
	return Case{
		Content: content,
		Debited: tx.HasDebited,
		HeadAt:  func(seq uint64) (common.Hash, error) { return tx.HeadAt(content.Account, seq) },
	}
}
