package relay

import (
	"encoding/hex"
	"math"
	"strings"

	"conclave/ledger"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// The wire files are the only place that knows the Relay's JSON: this one its rows, wire_plain.go the rest. Unknown fields are
// passed over, for the Relay's own history adds some now and then; known ones must be there exactly once and with the right
// type.

// Bounds of a page and of the texts in it.
const (
	// MaxPage is the most rows that one request may ask for. The Relay itself has no maximum.
	MaxPage = 5000

	// maxRowBytes is what one pretty-printed row may take, with room to spare: a vesting row, the largest, takes 900.
	maxRowBytes = 8 << 10
	// maxPlainBytes bounds an answer without rows, and what a page has around its rows.
	maxPlainBytes = 64 << 10

	// maxAmountBytes bounds an event's verbatim amount; the Relay's column holds 255.
	maxAmountBytes = 1 << 10
	// maxPayloadBytes bounds an event's payload text; a vesting payload takes 500.
	maxPayloadBytes = 4 << 10
	// maxAddressBytes bounds the spelling of an address: 0x and 40 digits.
	maxAddressBytes = 42
	// maxSignatureBytes is r ‖ s ‖ v.
	maxSignatureBytes = 65
	// maxVestingSignature bounds an admin's signature in bytes; its length is judged by whoever verifies it.
	maxVestingSignature = 256
	// maxWord bounds short names: vesting types, token types.
	maxWord = 64
	// maxMessage bounds the Relay's messages to people.
	maxMessage = 1 << 10
	// maxNetworks and maxTiers bound a published tariff.
	maxNetworks, maxTiers = 64, 64
)

// pageBytes is the most bytes that an answer of at most limit rows may have.
func pageBytes(limit int) int64 { return maxPlainBytes + int64(limit)*maxRowBytes }

// decodeEvents reads an event_logs answer to a request for at most limit rows above after.
func decodeEvents(body []byte, after uint64, limit int) ([]ledger.Event, error) {
	rows := make([]ledger.Event, 0, min(limit, len(body)/100))
	order := order{last: after, limit: limit}
	err := decodeRows(body, func(s *scanner, row int) *Refusal {
		e, r := scanEvent(s)
		if r == nil {
			r = order.next(row, e.ID)
		}
		if r != nil {
			return r.at(row, e.ID)
		}
		rows = append(rows, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// decodeWithdrawals reads a withdraw/list answer. Rows that an ordinary user can spoil at an honest Relay are set aside;
// everything else that is wrong refuses the page.
func decodeWithdrawals(body []byte, after uint64, limit int) (rows []ledger.Withdrawal, aside []*Refusal, err error) {
	order := order{last: after, limit: limit}
	err = decodeRows(body, func(s *scanner, row int) *Refusal {
		w, spoilt, r := scanWithdrawal(s)
		if r == nil {
			r = order.next(row, w.ID)
		}
		switch {
		case r != nil:
			return r.at(row, w.ID)
		case spoilt != nil:
			aside = append(aside, spoilt.at(row, w.ID))
		default:
			rows = append(rows, w)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return rows, aside, nil
}

// order enforces what a page's ids must keep.
type order struct {
	last  uint64 // the highest id so far, the one asked for at first
	limit int
}

func (o *order) next(row int, id uint64) *Refusal {
	switch {
	case row >= o.limit:
		return refuse(RuleTooManyRows, "more than the %d rows asked for", o.limit)
	case row == 0 && id <= o.last:
		return refuse(RuleIDNotAfter, "asked for ids above %d", o.last)
	case id == o.last:
		return refuse(RuleIDRepeated, "stands twice")
	case id < o.last:
		return refuse(RuleIDGoesBack, "comes after %d", o.last)
	case id == math.MaxUint64:
		return refuse(RuleNumberTooLarge, "the last id there is")
	}
	o.last = id
	return nil
}

// decodeRows reads {"message":…,"data":[…]}.
func decodeRows(body []byte, row func(s *scanner, i int) *Refusal) error {
	s, r := newScanner(body)
	if r != nil {
		return r
	}
	r = s.object([]string{"message", "data"}, func(i int) *Refusal {
		if i == 0 {
			_, r := s.str("message", maxMessage)
			return r
		}
		return s.array(func(i int) *Refusal { return row(s, i) })
	})
	if r != nil {
		return r
	}
	return nil
}

func scanEvent(s *scanner) (ledger.Event, *Refusal) {
	var (
		e       ledger.Event
		payload string
	)
	names := [...]string{"id", "created_at", "address", "amount", "type", "payload"}
	r := s.object(names[:], func(i int) (r *Refusal) {
		switch name := names[i]; i {
		case 0:
			e.ID, r = s.uint(name)
		case 1:
			e.CreatedAt, r = s.uint(name)
		case 2:
			e.Account, _, r = s.address(name)
		case 3:
			e.Amount, r = s.str(name, maxAmountBytes)
		case 4:
			e.Kind, r = s.kind()
		case 5:
			payload, r = s.str(name, maxPayloadBytes)
		}
		return r
	})
	if r == nil {
		r = scanPayload(&e, payload)
	}
	return e, r
}

// kind reads an event's type. A kind that is no small number at all is as unknown as number 11.
func (s *scanner) kind() (ledger.EventKind, *Refusal) {
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, refuse(RuleFieldType, "type: want a number, have %s", clip(string(s.raw())))
	}
	raw := string(s.raw())
	n, r := (&scanner{b: []byte(raw)}).uint("type")
	if r != nil || n > uint64(ledger.MaxEventKind) {
		return 0, refuse(RuleUnknownKind, "type %s", clip(raw))
	}
	return ledger.EventKind(n), nil
}

// address reads 20 bytes of hex and the spelling that they came in: in any case, and without 0x where an admin left it out.
func (s *scanner) address(name string) (common.Address, string, *Refusal) {
	text, r := s.str(name, maxMessage)
	if r != nil {
		return common.Address{}, "", r
	}
	if len(text) > maxAddressBytes || !common.IsHexAddress(text) {
		return common.Address{}, "", refuse(RuleAddress, "%s: %s", name, clip(text))
	}
	return common.HexToAddress(text), text, nil
}

// scanPayload reads the JSON text inside an event. Kinds without a payload of their own carry an object, whose fields, if
// the Relay ever adds any, mean nothing here.
func scanPayload(e *ledger.Event, payload string) *Refusal {
	if payload == "{}" && e.Kind != ledger.Deposit && e.Kind != ledger.VestingCreated && e.Kind != ledger.VestingRelease {
		return nil
	}
	s, r := newScanner([]byte(payload))
	if r == nil {
		switch e.Kind {
		case ledger.Deposit:
			r = scanDeposit(s, &e.Deposit)
		case ledger.VestingCreated:
			r = scanVesting(s, &e.Vesting)
		case ledger.VestingRelease:
			r = scanRelease(s, &e.Vesting)
		default:
			r = s.object(nil, nil)
		}
	}
	if r != nil {
		return refuse(RulePayload, "kind %d: %s: %s", e.Kind, r.Rule, r.Detail)
	}
	return nil
}

func scanDeposit(s *scanner, d *ledger.DepositRef) *Refusal {
	names := [...]string{"network", "tx_hash"}
	return s.object(names[:], func(i int) (r *Refusal) {
		if i == 0 {
			d.Network, r = s.network()
			return r
		}
		text, r := s.str(names[i], maxMessage)
		if r != nil {
			return r
		}
		b, ok := unhex(text, common.HashLength)
		if !ok || len(b) != common.HashLength {
			return refuse(RulePayload, "tx_hash: %s", clip(text))
		}
		d.TxHash = common.BytesToHash(b)
		return nil
	})
}

func scanVesting(s *scanner, v *ledger.VestingRef) *Refusal {
	names := [...]string{"vesting_id", "address", "total_amount", "released_amount", "start_time", "duration_days", "type", "admin_signature"}
	return s.object(names[:], func(i int) (r *Refusal) {
		switch name := names[i]; i {
		case 0:
			v.ID, r = s.uint(name)
		case 1:
			v.Account, v.Spelling, r = s.address(name)
		case 2:
			v.Total, r = s.str(name, maxAmountBytes)
		case 3:
			v.Released, r = s.str(name, maxAmountBytes)
		case 4:
			v.Start, r = s.uint(name)
		case 5:
			v.DurationDays, r = s.uint(name)
		case 6:
			v.Type, r = s.str(name, maxWord)
		case 7:
			var text string
			if text, r = s.str(name, maxPayloadBytes); r == nil {
				var ok bool
				if v.Signature, ok = unhex(text, maxVestingSignature); !ok {
					r = refuse(RulePayload, "%s: %s", name, clip(text))
				}
			}
		}
		return r
	})
}

func scanRelease(s *scanner, v *ledger.VestingRef) *Refusal {
	return s.object([]string{"vesting_id"}, func(int) (r *Refusal) {
		v.ID, r = s.uint("vesting_id")
		return r
	})
}

// network reads a network's name.
func (s *scanner) network() (string, *Refusal) {
	name, r := s.str("network", maxMessage)
	if r == nil && (name == "" || len(name) > quorum.MaxNetworkName) {
		r = refuse(RuleNetwork, "%s", clip(name))
	}
	return name, r
}

// unhex reads hex with or without 0x, of at most max bytes.
func unhex(text string, max int) ([]byte, bool) {
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
		text = text[2:]
	}
	if text == "" {
		return nil, true
	}
	if len(text) > 2*max {
		return nil, false
	}
	b, err := hex.DecodeString(text)
	return b, err == nil
}

// scanWithdrawal reads one row. spoilt is what sets the row aside, r what refuses the page.
func scanWithdrawal(s *scanner) (w ledger.Withdrawal, spoilt, r *Refusal) {
	names := [...]string{"id", "created_at", "address", "benefit_address", "amount", "network", "status",
		"relay_account_event_id", "withdrawal_fee", "timestamp", "signature"}
	spoil := func(r *Refusal) {
		if spoilt == nil {
			spoilt = r
		}
	}
	r = s.object(names[:], func(i int) (r *Refusal) {
		name, text := names[i], ""
		switch i {
		case 0:
			w.ID, r = s.uint(name)
		case 1:
			w.CreatedAt, r = s.uint(name)
		case 2:
			w.Account, _, r = s.address(name)
		case 3:
			w.To, w.Spelling, r = s.address(name)
		case 4:
			r = s.amount(name, &w.Amount, spoil)
		case 5:
			if w.Network, r = s.network(); r != nil && r.Rule == RuleNetwork {
				spoil(r)
				r = nil
			}
		case 6:
			w.Status, r = s.status()
		case 7:
			w.EventID, r = s.uint(name)
		case 8:
			r = s.amount(name, &w.Fee, spoil)
		case 9:
			w.Timestamp, r = s.uint(name)
		case 10:
			if text, r = s.str(name, maxMessage); r == nil {
				var ok bool
				if w.Signature, ok = unhex(text, maxSignatureBytes); !ok {
					spoil(refuse(RuleSignature, "%s", clip(text)))
				}
			}
		}
		return r
	})
	return w, spoilt, r
}

// amount reads a withdrawal's amount. Where a negative task fee is paid by a Relay, an ordinary user owns any balance he
// likes and can ask for more than 256 bits of it: that row is spoilt, the page is not.
func (s *scanner) amount(name string, into *uint256.Int, spoil func(*Refusal)) *Refusal {
	text, r := s.str(name, maxAmountBytes)
	if r != nil {
		return r
	}
	v, ok := ledger.ParseAmount(text)
	if !ok {
		spoil(refuse(RuleAmount, "%s: %s", name, clip(text)))
	}
	*into = v
	return nil
}

func (s *scanner) status() (ledger.WithdrawalStatus, *Refusal) {
	n, r := s.uint("status")
	if r != nil {
		return 0, r
	}
	if n > uint64(ledger.StatusFailed) {
		return 0, refuse(RuleUnknownStatus, "status %d", n)
	}
	return ledger.WithdrawalStatus(n), nil
}
