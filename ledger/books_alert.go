package ledger

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Severity says how soon a person must look.
type Severity uint8

// The severities.
const (
	Info     Severity = 0 // worth a line in a report
	Warning  Severity = 1 // look today
	Critical Severity = 2 // look now: somebody may be stealing
)

// String is the name that logs and the API use.
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Critical:
		return "critical"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// AlertCode names an alert for machines: a closed set.
type AlertCode string

// The alerts of the books.
const (
	AlertMalformedCredit AlertCode = "malformed-credit"     // an amount that is none, on a credit: counts nothing
	AlertMalformedDebit  AlertCode = "malformed-debit"      // the same on a debit: counts nothing, the account is frozen
	AlertLateDebit       AlertCode = "late-debit"           // came behind what this node approved: not booked, frozen
	AlertDeposit         AlertCode = "deposit-contradicted" // the final chain says otherwise
	AlertDepositRepeated AlertCode = "deposit-repeated"     // one transfer under two event ids
	AlertFeeAddress      AlertCode = "fee-address"          // fee income of somebody else
	AlertRefund          AlertCode = "refund-unmatched"     // a refund of what this network did not reject
	AlertVesting         AlertCode = "vesting-refused"      // a schedule or release that proves nothing
	AlertUncovered       AlertCode = "uncovered-debits"     // intake is held
	AlertRequestEvent    AlertCode = "request-event-shared" // two requests name one event
	AlertAccrual         AlertCode = "accrual"              // more credits within a window than the ceiling: frozen
	AlertHistory         AlertCode = "history"              // the log up to the cut-over is not what the operators signed
	AlertRequestStatus   AlertCode = "request-status"       // the Relay's status contradicts what was decided
)

// Alert is something that a person should know. The books only return alerts; whoever calls raises them.
type Alert struct {
	Code     AlertCode
	Severity Severity
	Account  common.Address
	EventID  uint64 // 0 when it is about no event
	Text     string // what happened
	Hint     string // what a person can do
}
