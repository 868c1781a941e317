package risk

import (
	"fmt"
	"slices"

	"conclave/ledger"
	"conclave/quorum"
)

// Breach is a row that alone is reason to stop: trip the fuse and raise the alert.
type Breach struct {
	Explanation Explanation
	Alert       ledger.Alert
	Freeze      *ledger.Freeze // when the policy freezes the account instead; Since is the caller's
}

// ScreenEvent looks at one row of the log before it is booked: an amount above the policy's maximum for its kind is a
// breach, which stops the node or, for kinds that the policy names, freezes the account. An amount that is malformed is the books' affair. Screening does not stop booking: what a person must judge is
// better seen in the books.
func ScreenEvent(p quorum.Policy, e ledger.Event) (Breach, bool) {
	limit, ok := p.MaxPerEvent[uint8(e.Kind)]
	amount, proper := ledger.ParseAmount(e.Amount)
	if !ok || !proper || !amount.Gt(&limit) {
		return Breach{}, false
	}
	x := Explanation{
		Rule: "event-maximum", Outcome: Waits, Threshold: limit.Dec() + " wei for a " + e.Kind.String(), Observed: amount.Dec() + " wei",
		Evidence: []uint64{e.ID}, Do: "find out who caused the row; clear the fuse, or vote a higher maximum, when it is right",
	}
	b := Breach{Explanation: x, Alert: ledger.Alert{
		Code: AlertEventMax, Severity: ledger.Critical, Account: e.Account, EventID: e.ID, Hint: x.Do,
		Text: fmt.Sprintf("a single log is abnormally high: event %d (%s) of %s is %s, the maximum is %s", e.ID, e.Kind, e.Account, x.Observed, x.Threshold),
	}}
	if slices.Contains(p.Limits.FreezeAboveMax, uint8(e.Kind)) {
		b.Explanation.Do = "find out who caused the row; RESOLVE frees the account when it is right"
		b.Alert.Hint = b.Explanation.Do
		b.Freeze = &ledger.Freeze{Code: ledger.FreezeMaximum, Ref: e.ID, Text: b.Alert.Text, Evidence: []uint64{e.ID}}
	}
	return b, true
}
