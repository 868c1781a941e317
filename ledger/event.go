package ledger

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// EventKind is the Relay's number for what a row of its account log means.
type EventKind uint8

// The kinds that the Relay writes. A row of any other kind stops intake: unknown kinds are never skipped.
const (
	TaskIncome          EventKind = 0
	DaoTaskShare        EventKind = 1
	WithdrawalFeeIncome EventKind = 2
	Deposit             EventKind = 3
	TaskPayment         EventKind = 4
	TaskRefund          EventKind = 5
	Withdraw            EventKind = 6
	WithdrawRefund      EventKind = 7
	UserDelegation      EventKind = 8
	VestingCreated      EventKind = 9
	VestingRelease      EventKind = 10

	// MaxEventKind is the highest kind that these books know.
	MaxEventKind = VestingRelease
)

// String is the name that alerts and the API use.
func (k EventKind) String() string {
	names := [...]string{"task income", "DAO share", "fee income", "deposit", "task payment", "task refund",
		"withdrawal", "withdrawal refund", "delegation", "vesting created", "vesting release"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Debit reports whether rows of this kind take from an account. All others credit or only inform.
func (k EventKind) Debit() bool { return k == TaskPayment || k == Withdraw }

// Event is one row of the Relay's account log after the door: addresses are 20 bytes, the payload is typed, and the
// amount is still the Relay's verbatim bytes, because account chains hash what the Relay said, well-formed or not.
type Event struct {
	ID        uint64
	CreatedAt uint64 // unix seconds by the Relay's clock; informs, never decides
	Account   common.Address
	Kind      EventKind
	Amount    string     // decimal wei, verbatim: may be malformed, see ParseAmount
	Deposit   DepositRef `rlp:"optional"` // most rows carry neither, and a stored row then ends at the amount
	Vesting   VestingRef `rlp:"optional"`
}

// DepositRef names the on-chain transfer behind a Deposit; zero for every other kind.
type DepositRef struct {
	Network string
	TxHash  common.Hash
}

// VestingRef is what VestingCreated and VestingRelease carry; zero for every other kind. A release carries the ID alone.
type VestingRef struct {
	ID           uint64
	Account      common.Address
	Spelling     string // the address as the admin spelled it: the signed text holds these very bytes
	Total        string // decimal wei, verbatim
	Released     string // decimal wei, verbatim; "0" in what the Relay writes
	Start        uint64 // unix seconds
	DurationDays uint64
	Type         string
	Signature    []byte // as decoded from hex; any length, judged by whoever verifies it
}

// WithdrawalStatus is the Relay's word on a withdrawal request. It informs; it never decides a payment.
type WithdrawalStatus uint8

// The statuses that the Relay lists.
const (
	StatusPending WithdrawalStatus = 0
	StatusSuccess WithdrawalStatus = 1
	StatusFailed  WithdrawalStatus = 2
)

// Withdrawal is one row of the Relay's withdrawal list after the door.
type Withdrawal struct {
	ID        uint64
	CreatedAt uint64 // unix seconds by the Relay's clock
	Account   common.Address
	To        common.Address
	Spelling  string // the destination as the user spelled it: the signed message holds these very bytes
	Network   string
	Amount    uint256.Int // wei
	Fee       uint256.Int // wei
	Status    WithdrawalStatus
	EventID   uint64 // the type-6 event that reserved amount + fee
	Timestamp uint64 // unix seconds, from the signed message; 0 on rows older than the Relay's signature column
	Signature []byte // as decoded from hex; any length up to 65, judged by the verdict
}

// ParseAmount reads a decimal amount in wei. It accepts the one canonical form: digits only, no sign, no leading zero
// but in "0", at most 256 bits. Anything else is malformed and reported as false; the wallet that this replaces
// accepted "-5000" and paid it out.
func ParseAmount(s string) (uint256.Int, bool) { return quorum.ParseWei(s) }
