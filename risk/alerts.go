package risk

import (
	"fmt"

	"conclave/ledger"
)

// The alerts of verdicts.
const (
	AlertBinding   ledger.AlertCode = "request-event"
	AlertOverdraft ledger.AlertCode = "overdraft"
	AlertFee       ledger.AlertCode = "fee-differs"
	AlertEventMax  ledger.AlertCode = "event-maximum"
)

// alertFor says whether a rule's word is for people at once. A row that has not settled is routine: the list runs ahead of
// the log.
func alertFor(c file, e Explanation) (ledger.Alert, bool) {
	a := ledger.Alert{Severity: ledger.Warning, Account: c.w.Account, EventID: c.w.EventID, Hint: e.Do}
	switch {
	case e.Outcome == Passed:
		return a, false
	case e.Rule == ruleBound && c.s.Binding != ledger.EventMissing:
		a.Code = AlertBinding
	case e.Rule == ruleBalance:
		a.Code, a.Severity = AlertOverdraft, ledger.Critical
	case e.Rule == ruleFee:
		a.Code = AlertFee
	default:
		return a, false
	}
	a.Text = fmt.Sprintf("withdrawal %d: %s, wanted: %s", c.w.ID, e.Observed, e.Threshold)
	if a.Code == AlertOverdraft {
		a.Text = fmt.Sprintf("withdrawal %d exceeds the local balance: potentially an attack; %s", c.w.ID, e.Observed)
	}
	return a, true
}
