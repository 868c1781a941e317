package node

import (
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// AuditQuery chooses lines of the audit trail; zero fields choose the newest hundred.
type AuditQuery struct {
	From  uint64 `json:"from"` // index of the first line, from 1 on; 0: so that the newest one is the last
	Limit int    `json:"limit"`
}

// AuditView is one line of this node's audit trail. Each holds the hash of the one before.
type AuditView struct {
	Index uint64      `json:"index"`
	Time  time.Time   `json:"time"` // by this node's clock
	What  string      `json:"what"`
	Ref   string      `json:"ref"`
	Prev  common.Hash `json:"prev"`
	Hash  common.Hash `json:"hash"`
}

// Audit returns lines of the audit trail, the oldest first.
func (n *Node) Audit(q AuditQuery) ([]AuditView, error) {
	out, limit := []AuditView{}, uint64(clampLimit(q.Limit))
	err := n.led.View(func(tx *ledger.Tx) error {
		from := q.From
		if from == 0 {
			last, err := tx.LastAudit()
			if err != nil {
				return err
			}
			from = last.Index + 1 - min(last.Index, limit)
		}
		return tx.AuditTrail(from, func(l ledger.AuditLine) error {
			if uint64(len(out)) == limit {
				return errEnough
			}
			out = append(out, AuditView{l.Index, time.UnixMilli(int64(l.Time)).UTC(), l.What, l.Ref, l.Prev, l.Hash()})
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}
