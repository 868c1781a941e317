package relaysim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Mode names one way in which a Relay can misbehave.
type Mode string

// The modes. [Modes] lists them and [Mode.Meaning] says what each does.
const (
	Forked       Mode = "forked"
	Hidden       Mode = "hidden"
	Late         Mode = "late"
	Shrinking    Mode = "shrinking"
	Rewriting    Mode = "rewriting"
	Reordered    Mode = "reordered"
	Duplicated   Mode = "duplicated"
	IgnoresStart Mode = "ignores-start"
	IgnoresLimit Mode = "ignores-limit"

	Inflating    Mode = "inflating"
	Spiking      Mode = "spiking"
	HugeLog      Mode = "huge-log"
	NewAddresses Mode = "new-addresses"
	OddAmounts   Mode = "odd-amounts"
	OddSpellings Mode = "odd-spellings"
	SQLAddresses Mode = "sql-addresses"
	UnknownKinds Mode = "unknown-kinds"

	Page500     Mode = "page-500"
	Empty500    Mode = "empty-500"
	SlowDrip    Mode = "slow-drip"
	Gigabyte    Mode = "gigabyte"
	ContentType Mode = "content-type"
	Redirect    Mode = "redirect"
	TLSErrors   Mode = "tls-errors"

	FulfilNothing  Mode = "fulfil-nothing"
	Outcome500     Mode = "outcome-500"
	Outcome400     Mode = "outcome-400"
	OutcomeSilence Mode = "outcome-silence"
	BothOutcomes   Mode = "both-outcomes"
	StatusFlips    Mode = "status-flips"
	StatusTurns    Mode = "status-turns"
	Redirected     Mode = "requests-redirected"
)

// spec is what the table of modes holds: a sentence, and what makes a view do it.
type spec struct {
	mode  Mode
	means string
	enter func(*View, Lie)
}

// specs is the table of all modes, by group: the log's history, its pages, its rows, the answers, who answers,
// the outcomes, the list of requests.
func specs() []spec {
	return slices.Concat(historyModes(), orderModes(), rowModes(), answerModes(), untrustedModes(), outcomeModes(), requestModes())
}

// Modes returns every mode, by group.
func Modes() []Mode {
	var out []Mode
	for _, s := range specs() {
		out = append(out, s.mode)
	}
	return out
}

// ParseMode reads a mode's name.
func ParseMode(name string) (Mode, error) {
	if i := slices.IndexFunc(specs(), func(s spec) bool { return string(s.mode) == name }); i < 0 {
		return "", fmt.Errorf("the Relay has no way to misbehave called %q", name)
	}
	return Mode(name), nil
}

// String is the name.
func (m Mode) String() string { return string(m) }

// Meaning is the sentence on a mode; empty for an unknown one.
func (m Mode) Meaning() string {
	for _, s := range specs() {
		if s.mode == m {
			return s.means
		}
	}
	return ""
}

// Lie is a mode as one view is put into it. What it shows follows from these fields, the honest rows and the clock alone: two
// views with one lie show the same.
type Lie struct {
	Mode Mode
	Seed uint64
	// About is the account whose rows are lied about, or whom invented rows favour. Zero: rows that the seed picks, an
	// account that the seed makes.
	About common.Address
	// Amount tunes a mode that has a size: percent of Inflating (5), rows of Spiking and NewAddresses (400). Zero: the
	// default in brackets.
	Amount uint64
}

// Misbehave puts the view into a mode, on top of what it does already, until Repent.
func (v *View) Misbehave(l Lie) error {
	for _, s := range specs() {
		if s.mode == l.Mode {
			s.enter(v, l)
			return nil
		}
	}
	return fmt.Errorf("the Relay has no way to misbehave called %q", l.Mode)
}

// pick is a number that looks random and follows from the seed and some ids.
func (l Lie) pick(ids ...uint64) uint64 {
	b := binary.BigEndian.AppendUint64([]byte(l.Mode), l.Seed)
	for _, id := range ids {
		b = binary.BigEndian.AppendUint64(b, id)
	}
	return binary.BigEndian.Uint64(crypto.Keccak256(b))
}

// address is an account that the seed makes.
func (l Lie) address(i uint64) common.Address {
	return common.BytesToAddress(crypto.Keccak256(binary.BigEndian.AppendUint64([]byte(l.Mode), l.pick(i)))[12:])
}

// oneIn is how many rows the seed leaves alone for each that it picks, where a lie is about no account.
const oneIn = 3

// picks reports whether a row of an account is lied about.
func (l Lie) picks(id uint64, account string) bool {
	if l.About == (common.Address{}) {
		return l.pick(id)%oneIn == 0
	}
	return common.HexToAddress(account) == l.About
}

// size is the lie's amount, or its mode's default.
func (l Lie) size(otherwise uint64) uint64 {
	if l.Amount > 0 {
		return l.Amount
	}
	return otherwise
}

// each makes an EventLie that changes the rows that the lie picks.
func (l Lie) each(change func(*EventRow)) EventLie {
	return func(rows []EventRow) []EventRow {
		rows = slices.Clone(rows)
		for i := range rows {
			if l.picks(rows[i].ID, rows[i].Address) {
				change(&rows[i])
			}
		}
		return rows
	}
}

// every does the same with all rows where the lie is about no account.
func (l Lie) every(change func(*EventRow)) EventLie {
	if l.About != (common.Address{}) {
		return l.each(change)
	}
	return func(rows []EventRow) []EventRow {
		rows = slices.Clone(rows)
		for i := range rows {
			change(&rows[i])
		}
		return rows
	}
}
