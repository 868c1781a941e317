package devnet

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"conclave/node"
)

// slotRow is one of the payer's transactions, as the view shows it.
type slotRow struct {
	height, nonce   uint64
	lane, stage, tx string
	items           int
}

// slots are the payer's transactions, by height: what each decided withdrawal stands in.
func (p progress) slots() []slotRow {
	by := map[uint64]*slotRow{}
	for _, v := range p.all {
		if v.Height == nil || v.Nonce == nil {
			continue // not decided, or never to be paid
		}
		row := by[*v.Height]
		if row == nil {
			row = &slotRow{height: *v.Height, nonce: *v.Nonce, lane: v.Network, stage: v.Stage, tx: shortTx(v)}
			by[*v.Height] = row
		}
		row.items++
	}
	out := make([]slotRow, 0, len(by))
	for _, row := range by {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b slotRow) int { return cmp.Compare(a.height, b.height) })
	return out
}

// largest is how many withdrawals the fullest transaction pays.
func largest(rows []slotRow) (n int) {
	for _, r := range rows {
		n = max(n, r.items)
	}
	return n
}

// shownSlots is how many of the newest transactions the view shows.
const shownSlots = 12

func writeSlots(w io.Writer, rows []slotRow) {
	if len(rows) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "\nHEIGHT\tLANE\tNONCE\tITEMS\tSTAGE\tTRANSACTION")
	for _, r := range rows[max(0, len(rows)-shownSlots):] {
		_, _ = fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%s\n", r.height, r.lane, r.nonce, r.items, r.stage, r.tx)
	}
}

func shortTx(v node.WithdrawalView) string {
	if v.Tx == nil {
		return ""
	}
	return v.Tx.Hex()[:18] + "…"
}
