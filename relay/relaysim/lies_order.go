package relaysim

import (
	"math/big"
	"slices"
	"time"
)

// Paces of the lies that need time.
const (
	latestBy     = 30 // seconds; the longest that Late keeps a row back
	rewriteAfter = 10 * time.Second
	shrinkEvery  = time.Second
)

// historyModes are the lies about which rows the log has, and about what stood there before.
func historyModes() []spec {
	return []spec{
		{Forked, "debits have other amounts than the ones that other readers see: another history of the account", func(v *View, l Lie) {
			v.Lie(l.each(func(r *EventRow) {
				if r.Type == kindTaskPayment || r.Type == kindWithdraw {
					r.Amount = plus(r.Amount, 1+l.pick(r.ID)%1000)
				}
			}))
		}},
		{Hidden, "rows are left out for good: ids are missing", func(v *View, l Lie) {
			v.Lie(func(rows []EventRow) []EventRow {
				return slices.DeleteFunc(slices.Clone(rows), func(r EventRow) bool { return l.picks(r.ID, r.Address) })
			})
		}},
		{Late, "rows appear up to half a minute late, below rows that were served before", func(v *View, l Lie) {
			v.Lie(func(rows []EventRow) []EventRow {
				now := v.sim.cfg.Now().Unix()
				return slices.DeleteFunc(slices.Clone(rows), func(r EventRow) bool {
					return l.picks(r.ID, r.Address) && now < r.CreatedAt+int64(1+l.pick(r.ID)%latestBy)
				})
			})
		}},
		{Shrinking, "the log loses its last row every second and gets no new ones", func(v *View, l Lie) {
			began, end := v.sim.cfg.Now(), v.sim.readEvents(0, -1)
			v.Lie(func(rows []EventRow) []EventRow {
				gone := int(v.sim.cfg.Now().Sub(began) / shrinkEvery)
				return rows[:max(0, min(len(rows), len(end)-gone))]
			})
		}},
		{Rewriting, "rows that were served ten seconds ago come back with other amounts", func(v *View, l Lie) {
			v.Lie(l.each(func(r *EventRow) {
				if v.sim.cfg.Now().Sub(time.Unix(r.CreatedAt, 0)) > rewriteAfter {
					r.Amount = plus(r.Amount, 1+l.pick(r.ID)%1000)
				}
			}))
		}},
	}
}

// orderModes are the lies that break what every page must keep: ids that rise, above what was asked for, no more of them than
// that.
func orderModes() []spec {
	return []spec{
		{Reordered, "two neighbours of a page stand in each other's place", func(v *View, l Lie) {
			v.lieInPages(func(page, _ []EventRow, _ uint64, _ int) []EventRow {
				if len(page) > 1 {
					i := l.at(page[:len(page)-1])
					page[i], page[i+1] = page[i+1], page[i]
				}
				return page
			})
		}},
		{Duplicated, "a row of a page stands there twice", func(v *View, l Lie) {
			v.lieInPages(func(page, _ []EventRow, _ uint64, _ int) []EventRow {
				if len(page) > 0 {
					i := l.at(page)
					page = slices.Insert(page, i, page[i])
				}
				return page
			})
		}},
		{IgnoresStart, "a page begins at the first row there is, whatever was asked for", func(v *View, l Lie) {
			v.lieInPages(func(_, all []EventRow, _ uint64, limit int) []EventRow {
				return cut(all, limit, func(EventRow) bool { return true })
			})
		}},
		{IgnoresLimit, "a page has all rows to the end of the log, however few were asked for", func(v *View, l Lie) {
			v.lieInPages(func(_, all []EventRow, after uint64, _ int) []EventRow {
				return cut(all, -1, func(r EventRow) bool { return r.ID > after })
			})
		}},
	}
}

// at chooses one of the rows that are there.
func (l Lie) at(rows []EventRow) int { return int(l.pick(rows[0].ID) % uint64(len(rows))) }

// plus adds to a decimal amount; what is no number stays as it is.
func plus(amount string, more uint64) string {
	v, ok := new(big.Int).SetString(amount, 10)
	if !ok {
		return amount
	}
	return v.Add(v, new(big.Int).SetUint64(more)).String()
}
