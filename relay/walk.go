package relay

import (
	"context"
	"fmt"
	"time"

	"conclave/ledger"
)

const (
	// walkEvery is the pace at which settled log, and the list, is read again, one page a time: what the Relay says of it must
	// stay. A log of a million rows takes an hour and a half, and an idle node hardly notices.
	walkEvery = 5 * time.Second
	// shrunkAfter is how long the log must end before what is settled until a person hears of it. A late row that is pending
	// hides what is above it for a moment, so one look proves nothing.
	shrunkAfter = 30 * time.Second
)

// Compared is what books offer that can say whether they hold rows as they are shown. Those of a Books that does not offer it
// are read once only.
type Compared interface {
	// Compare looks at all rows that the Relay shows above after and up to upTo, all settled. same is false when one of them
	// is unknown or different: Record then says which. gone are the ids that the books have there and the Relay does not show.
	Compare(ctx context.Context, after, upTo uint64, rows []ledger.Event) (same bool, gone []uint64, err error)
}

// walk is how far the settled log was read again.
type walk struct {
	at    uint64 // the id that the last page ended with
	when  time.Time
	short bool   // the log ended before what is settled
	since uint64 // on the answered clock, since when
}

// walkOn reads one page of settled log again, another one each time: what was rewritten is refused by the books, what is
// shown no more is alerted about. Nothing is taken out of the books: a Relay drops rows of its own that fail its checks.
func (f *Follower) walkOn(ctx context.Context) error {
	books, ok := f.books.(Compared)
	if !ok || time.Since(f.walk.when) < walkEvery || f.state.Settled == 0 {
		return nil
	}
	f.walk.when = time.Now()
	if f.walk.at >= f.state.Settled {
		f.walk.at = 0
	}
	page, err := f.read(ctx, f.walk.at, f.cfg.Page)
	if err != nil {
		return err
	}
	upTo, ended := f.walk.at, len(page.rows) < f.cfg.Page
	settled := page.rows
	for i, e := range page.rows {
		if e.ID > f.state.Settled {
			settled, ended = page.rows[:i], false
			break
		}
		upTo = e.ID
	}
	if len(settled) < len(page.rows) {
		upTo = f.state.Settled
	}
	same, gone, err := books.Compare(ctx, f.walk.at, upTo, settled)
	if err != nil {
		return fmt.Errorf("compare account log: %w", err)
	}
	if !same {
		next := f.state.clone()
		if err := f.record(ctx, next, next.back(page)); err != nil {
			return err
		}
	}
	for _, id := range gone {
		f.cfg.Alert(Alert{AlertVanished, id, "the Relay showed this event when it settled and shows it no more; the books keep it"})
	}
	f.walk.at = upTo
	f.shrunk(ended && upTo < f.state.Settled)
	return nil
}

// shrunk alerts when the log has ended before what is settled for long enough. Until then the walk stays where it ends.
func (f *Follower) shrunk(short bool) {
	now := f.clock.now()
	switch {
	case !short:
		f.walk.short = false
	case !f.walk.short:
		f.walk.short, f.walk.since = true, now
	case now-f.walk.since >= uint64(shrunkAfter.Milliseconds()):
		f.cfg.Alert(Alert{AlertShrunk, f.walk.at, fmt.Sprintf("the Relay's log ends here and went on to %d before", f.state.Settled)})
		f.walk = walk{when: f.walk.when}
	}
}
