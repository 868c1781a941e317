package relaysim

import (
	"math/big"
	"slices"
	"sort"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// Sizes of invented content where a lie names none.
const (
	inflatePercent = 5
	inventedRows   = 400
)

// rowModes are the lies about what rows say, and rows that nobody caused.
func rowModes() []spec {
	return []spec{
		{Inflating, "task incomes, shares and refunds are a few percent higher than they were", func(v *View, l Lie) {
			percent := new(big.Int).SetUint64(100 + l.size(inflatePercent))
			v.Lie(l.every(func(r *EventRow) {
				switch amount, ok := new(big.Int).SetString(r.Amount, 10); {
				case !ok || amount.Sign() <= 0:
				case r.Type == kindTaskIncome, r.Type == kindDaoShare, r.Type == kindTaskRefund, r.Type == kindDelegation:
					r.Amount = amount.Div(amount.Mul(amount, percent), big.NewInt(100)).String()
				}
			}))
		}},
		{Spiking, "hundreds of small task incomes of a few accounts appear at once", func(v *View, l Lie) {
			v.invent(l, l.size(inventedRows), func(i uint64, r *EventRow) {
				r.Address, r.Amount = l.favoured(i%8).Hex(), big.NewInt(int64(1+l.pick(i)%1e9)).String()
			})
		}},
		{NewAddresses, "hundreds of accounts that nobody has seen earn something at once", func(v *View, l Lie) {
			v.invent(l, l.size(inventedRows), func(i uint64, r *EventRow) { r.Address, r.Amount = l.address(i).Hex(), "1000000000" })
		}},
		{HugeLog, "one task income of a million million coins appears", func(v *View, l Lie) {
			v.invent(l, 1, func(i uint64, r *EventRow) { r.Address, r.Amount = l.favoured(i).Hex(), coins(1e12).String() })
		}},
		{OddAmounts, "amounts are negative, signed, empty, padded, in exponents or beyond any number", func(v *View, l Lie) {
			v.Lie(l.each(func(r *EventRow) { r.Amount = oddAmounts()[l.pick(r.ID)%uint64(len(oddAmounts()))] }))
		}},
		{OddSpellings, "addresses are in lower case, in upper case, in mixed case or without 0x", func(v *View, l Lie) {
			v.Lie(l.every(func(r *EventRow) { r.Address = respell(r.Address, l.pick(r.ID)) }))
			v.LieAboutRequests(func(rows []RequestRow) []RequestRow {
				rows = slices.Clone(rows)
				for i := range rows {
					rows[i].Address = respell(rows[i].Address, l.pick(rows[i].ID))
				}
				return rows
			})
		}},
		{SQLAddresses, "addresses end one SQL statement and begin another", func(v *View, l Lie) {
			v.Lie(l.each(func(r *EventRow) { r.Address = "0x0' OR 1=1; UPDATE accounts SET balance=1e30; --" }))
		}},
		{UnknownKinds, "rows are of a kind that is in nobody's list", func(v *View, l Lie) {
			v.Lie(l.each(func(r *EventRow) { r.Type = 11 + int(l.pick(r.ID)%200) }))
		}},
	}
}

// oddAmounts are texts that some parser takes for a number and that no honest amount looks like.
func oddAmounts() []string {
	return []string{"-5000000000000000000000", "+1", "", "007", "1e30", "-0", " 1", "0x10", "1.5", "1_000", "٣",
		"1" + strings.Repeat("0", 77), strings.Repeat("9", 200), "1'; DROP TABLE accounts; --"}
}

// respell spells an address in another way; what it says stays.
func respell(address string, how uint64) string {
	digits := strings.TrimPrefix(address, "0x")
	switch how % 5 {
	case 0:
		return "0x" + strings.ToLower(digits)
	case 1:
		return "0x" + strings.ToUpper(digits)
	case 2:
		return digits
	case 3:
		return "0X" + strings.ToLower(digits)
	}
	return "0x" + strings.ToUpper(digits[:20]) + strings.ToLower(digits[20:])
}

// favoured is the account that the lie names, or the i-th that its seed makes.
func (l Lie) favoured(i uint64) common.Address {
	if l.About != (common.Address{}) {
		return l.About
	}
	return l.address(i)
}

// invent adds rows under ids that no honest row will ever have: they are taken from the log's counter, once for all views
// with this lie. To honest readers these ids are missing.
func (v *View) invent(l Lie, n uint64, fill func(i uint64, r *EventRow)) {
	first, at := v.sim.inventIDs(l, n)
	rows := make([]EventRow, n)
	for i := range rows {
		rows[i] = EventRow{ID: first + uint64(i), CreatedAt: at, Type: kindTaskIncome, Payload: "{}"}
		fill(uint64(i), &rows[i])
	}
	v.Lie(func(honest []EventRow) []EventRow {
		at := sort.Search(len(honest), func(i int) bool { return honest[i].ID > first })
		return slices.Insert(slices.Clone(honest), at, rows...)
	})
}

// invented is a block of ids that lies stand under.
type invented struct {
	first uint64
	at    int64 // unix seconds
}

func (s *Sim) inventIDs(l Lie, n uint64) (first uint64, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.invented[l]
	if !ok {
		known = invented{s.lastID + 1, s.cfg.Now().Unix()}
		s.invented[l] = known
		s.lastID += n
	}
	return known.first, known.at
}
