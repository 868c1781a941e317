package node

import (
	"context"
	"time"

	"conclave/ledger"
)

// ObjectionView is one standing objection of this node's operator.
type ObjectionView struct {
	ID     uint64    `json:"id"` // the withdrawal's
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Object makes this node wait with a withdrawal until its operator takes the word back. late reports that the node gave a
// verdict before: that one is out. It fails with [ledger.ErrDecided] when a decision disposed of the withdrawal.
func (n *Node) Object(_ context.Context, wid uint64, reason string) (late bool, err error) {
	o := ledger.Objection{WID: wid, Reason: reason, Since: uint64(n.now().UnixMilli())}
	err = n.led.Update(func(tx *ledger.Tx) (err error) { late, err = tx.Object(o); return err })
	if err == nil {
		n.poke()
	}
	return late, err
}

// EndObjection takes an objection back. It fails with [ledger.ErrNotFound] when none stands.
func (n *Node) EndObjection(_ context.Context, wid uint64) error {
	err := n.led.Update(func(tx *ledger.Tx) error { return tx.WithdrawObjection(wid) })
	if err == nil {
		n.poke()
	}
	return err
}

// Objections lists what this node's operator objects to, by withdrawal.
func (n *Node) Objections() ([]ObjectionView, error) {
	out := []ObjectionView{}
	err := n.led.View(func(tx *ledger.Tx) error {
		all, err := tx.Objections()
		for _, o := range all {
			out = append(out, ObjectionView{o.WID, o.Reason, time.UnixMilli(int64(o.Since)).UTC()})
		}
		return err
	})
	return out, err
}
