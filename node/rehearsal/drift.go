package rehearsal

import (
	"time"

	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// injected is a second watch beside the real one, to which every credit comes with a surplus once it has learned.
type injected struct {
	w       quorum.Watch
	drift   *risk.Drift
	percent uint64

	from    uint64 // unix seconds of log time; 0: not begun
	lost    uint256.Int
	alerted *Delay
	tripped *Delay
}

func newInjected(w quorum.Watch, percent uint64) *injected {
	return &injected{w: w, drift: risk.NewDrift(), percent: percent}
}

// row counts a row, inflated. The surplus is a row of its own of the same account, as a thief of trust would write it.
func (d *injected) row(e ledger.Event) {
	d.hear(e.CreatedAt, d.drift.Credit(d.w, e, e.CreatedAt, false))
	amount, ok := ledger.Accrued(e)
	if !ok || !vouched(e.Kind) || d.drift.Learning() {
		return
	}
	if d.from == 0 {
		d.from = e.CreatedAt
	}
	var surplus uint256.Int
	if _, over := surplus.MulDivOverflow(&amount, uint256.NewInt(d.percent), uint256.NewInt(100)); over || surplus.IsZero() {
		return
	}
	d.lost.Add(&d.lost, &surplus)
	e.Amount = surplus.Dec()
	d.hear(e.CreatedAt, d.drift.Credit(d.w, e, e.CreatedAt, false))
}

// vouched is what nothing but the Relay's word stands behind: a drift of anything else is seen on chain.
func vouched(k ledger.EventKind) bool {
	switch k {
	case ledger.TaskIncome, ledger.DaoTaskShare, ledger.TaskRefund, ledger.UserDelegation:
		return true
	}
	return false
}

// hear notes the first alarm after the drift began, and the first that trips the fuse.
func (d *injected) hear(at uint64, found []risk.Finding) {
	for _, f := range found {
		if d.from == 0 || f.Alert.Code != risk.AlertDrift {
			continue
		}
		delay := &Delay{Hours: (at - min(at, d.from)) / 3600, Lost: d.lost.Dec()}
		if d.alerted == nil {
			d.alerted = delay
		}
		if f.Fuse && d.tripped == nil {
			d.tripped = delay
		}
	}
}

func (d *injected) report() *Drift {
	out := &Drift{Percent: d.percent, Alerted: d.alerted, Tripped: d.tripped}
	if d.from > 0 {
		at := time.Unix(int64(d.from), 0).UTC()
		out.From = &at
	}
	return out
}
