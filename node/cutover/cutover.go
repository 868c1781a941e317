package cutover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/relay"
)

const (
	// MinAge is how old a cut-over is when operators sign it: rows that were late are there by then.
	MinAge = 24 * time.Hour
	// emptyPages is how often an empty page is asked for again before it is the end: the Relay drops a page's broken rows
	// and shows the ones behind them the next time.
	emptyPages = 3
	page       = relay.DefaultPage
)

// Relay is what is read; a [relay.Client] is one.
type Relay interface {
	Events(ctx context.Context, after uint64, limit int) ([]ledger.Event, error)
	Withdrawals(ctx context.Context, after uint64, limit int) ([]ledger.Withdrawal, []*relay.Refusal, error)
}

// Config is one replay.
type Config struct {
	Relay         Relay
	Dir           string // new and empty
	Event         uint64 // the cut-over; 0: the newest row that is MinAge old by the Relay's clock
	Now           time.Time
	VestingAdmins []common.Address
	VestingTerms  []quorum.VestingTerm
	Progress      func(events, id uint64) // called after every page; may be nil
}

// Found is what the Relay shows.
type Found struct {
	Cutover  quorum.Cutover // Carried: all that is pending
	Events   uint64
	At       time.Time // of the cut-over's row, by the Relay's clock
	Unsigned []uint64  // carried withdrawals without the requester's signature: they would be refused
}

// Errors of a replay.
var (
	// ErrNoRow means that the Relay shows no row with the cut-over's id, or none that is old enough.
	ErrNoRow = errors.New("no such row")
	// ErrYoung means that rows below the cut-over may still appear.
	ErrYoung = errors.New("too young")
)

// Replay reads the Relay up to the cut-over.
func Replay(ctx context.Context, cfg Config) (Found, error) {
	l, err := ledger.Open(cfg.Dir, common.Hash{})
	if err != nil {
		return Found{}, err
	}
	found, err := replay(ctx, cfg, l)
	return found, errors.Join(err, l.Close())
}

func replay(ctx context.Context, cfg Config, l *ledger.Ledger) (found Found, err error) {
	var last ledger.Event
	vesting := map[common.Hash]bool{}
	limit := uint64(cfg.Now.Add(-MinAge).Unix())
	err = rows(ctx, cfg, func(events []ledger.Event) (bool, error) {
		for i, e := range events {
			if e.ID > cfg.Event && (cfg.Event > 0 || e.CreatedAt > limit) {
				return false, book(l, cfg, events[:i])
			}
			last = e
			found.Events++
			if e.Kind == ledger.VestingCreated && !cfg.signed(e) {
				vesting[ledger.VestingDigest(e.Vesting)] = true
			}
		}
		if cfg.Progress != nil && len(events) > 0 {
			cfg.Progress(found.Events, last.ID)
		}
		return true, book(l, cfg, events)
	})
	switch {
	case err != nil:
		return found, err
	case last.ID == 0 || (cfg.Event > 0 && last.ID != cfg.Event):
		return found, fmt.Errorf("%w: the Relay's log ends at event %d before the cut-over", ErrNoRow, last.ID)
	case last.CreatedAt > limit:
		return found, fmt.Errorf("%w: event %d is of %s; a cut-over is at least %s old, for rows below it may still appear",
			ErrYoung, last.ID, time.Unix(int64(last.CreatedAt), 0).UTC().Format(time.RFC3339), MinAge)
	}
	found.At = time.Unix(int64(last.CreatedAt), 0).UTC()
	found.Cutover.Event = last.ID
	for digest := range vesting {
		found.Cutover.Vesting = append(found.Cutover.Vesting, digest)
	}
	slices.SortFunc(found.Cutover.Vesting, common.Hash.Cmp)
	err = l.View(func(tx *ledger.Tx) (err error) {
		found.Cutover.Root, err = tx.LogRoot(last.ID)
		return err
	})
	if err != nil {
		return found, err
	}
	return found, pending(ctx, cfg.Relay, &found)
}

// book takes a page as a running node would. The whole log is history here.
func book(l *ledger.Ledger, cfg Config, events []ledger.Event) error {
	return l.Update(func(tx *ledger.Tx) error {
		_, err := tx.Append(events, ledger.Intake{
			Now: uint64(cfg.Now.UnixMilli()), VestingAdmins: cfg.VestingAdmins, VestingTerms: cfg.VestingTerms, History: quorum.Cutover{Event: 1<<64 - 1},
		})
		return err
	})
}

// rows reads the log page by page until take has enough or the Relay shows no more.
func rows(ctx context.Context, cfg Config, take func([]ledger.Event) (more bool, err error)) error {
	empty := 0
	for after := uint64(0); empty < emptyPages; {
		events, err := cfg.Relay.Events(ctx, after, page)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			empty++
			continue
		}
		empty, after = 0, events[len(events)-1].ID
		if more, err := take(events); err != nil || !more {
			return err
		}
	}
	return nil
}

// pending reads which withdrawals of the history nobody has paid or rejected.
func pending(ctx context.Context, r Relay, found *Found) error {
	empty := 0
	for after := uint64(0); empty < emptyPages; {
		rows, aside, err := r.Withdrawals(ctx, after, page)
		if err != nil {
			return err
		}
		if len(rows)+len(aside) == 0 {
			empty++
			continue
		}
		was := after
		empty = 0
		for _, w := range rows {
			after = max(after, w.ID)
			if w.Status != ledger.StatusPending || w.EventID > found.Cutover.Event {
				continue
			}
			found.Cutover.Carried = append(found.Cutover.Carried, w.ID)
			if len(w.Signature) == 0 {
				found.Unsigned = append(found.Unsigned, w.ID)
			}
		}
		for _, refusal := range aside {
			after = max(after, refusal.ID)
		}
		if after == was {
			return fmt.Errorf("read withdrawal list: nothing in the page after %d has an id: %w", was, aside[0])
		}
	}
	return nil
}

// signed reports whether an admin whose term holds signed the record in today's text.
func (cfg Config) signed(e ledger.Event) bool {
	signer, err := quorum.RecoverAny(quorum.PersonalDigest(ledger.VestingText(e.Vesting)), e.Vesting.Signature)
	return err == nil && quorum.MayVest(cfg.VestingAdmins, cfg.VestingTerms, signer, e.ID)
}

// Difference is what a document says of the history and this operator's Relay does not show.
type Difference struct{ What, Document, Relay string }

// Compare names every difference between a document and what was found. Withdrawals that a document does not carry are the
// operators' choice: the old wallet may have paid them and not said so; one that it carries must be pending.
func Compare(document quorum.Cutover, found Found) (out []Difference) {
	if document.Event != found.Cutover.Event {
		out = append(out, Difference{"event", fmt.Sprint(document.Event), fmt.Sprint(found.Cutover.Event)})
	}
	if document.Root != found.Cutover.Root {
		out = append(out, Difference{"root", document.Root.Hex(), found.Cutover.Root.Hex()})
	}
	for _, wid := range document.Carried {
		if !slices.Contains(found.Cutover.Carried, wid) {
			out = append(out, Difference{"carried", fmt.Sprintf("withdrawal %d", wid), "not pending, or not of the history"})
		}
	}
	for _, digest := range document.Vesting {
		if !slices.ContainsFunc(found.Cutover.Vesting, func(h common.Hash) bool { return bytes.Equal(h[:], digest[:]) }) {
			out = append(out, Difference{"vesting", digest.Hex(), "no unsigned record has this digest"})
		}
	}
	return out
}
