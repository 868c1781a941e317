package node

import "conclave/ledger"

// settled is the last id up to which the log is booked.
func settled(tx *ledger.Tx) (uint64, error) {
	t, err := tx.Totals()
	return t.SettledID, err
}
