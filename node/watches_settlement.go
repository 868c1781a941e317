package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// snapshotTimeout bounds one look at the settlement's source.
const snapshotTimeout = 10 * time.Second

// askSettlement reads the source and hands in what it holds.
func (w *watches) askSettlement(ctx context.Context) {
	p, source := w.n.policy().Settlement, w.n.cfg.Settlement
	switch {
	case p.Authority == (common.Address{}):
		w.n.alerts.recover(codeSnapshot)
		w.n.alerts.recover(codeSnapshotStale)
		return
	case source == "":
		w.n.alerts.recover(codeSnapshot)
		w.n.alerts.ensure(Alert{Code: codeSnapshotStale, Text: "settlement: the policy names an authority, and this node's configuration no source of its snapshots",
			Hint: "name the file or URL in [risk] settlement of config.toml"})
		return
	}
	snap, err := readSnapshot(ctx, source, w.n.network, p.Authority)
	if err == nil {
		w.mu.Lock()
		w.settle.Policy(p)
		_, err = w.settle.Offer(snap, w.clock())
		w.mu.Unlock()
	}
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		w.n.alerts.raise(Alert{Code: codeSnapshot, Severity: ledger.Warning, Text: "settlement: " + err.Error()})
	default:
		w.n.alerts.recover(codeSnapshot)
	}
	w.silentSettlement(p)
}

// silentSettlement calls people when nothing can be compared.
func (w *watches) silentSettlement(p quorum.Settlement) {
	now := w.clock()
	w.mu.Lock()
	text, late := w.settle.Late()
	stale := w.settle.Stale(p, now)
	w.mu.Unlock()
	// A node that has just started has not had the time to judge any: what it said before it ended stands.
	early := w.n.now().Sub(w.n.started) <= p.Delay+2*watchesAsk
	switch {
	case stale && !early:
		text = "no snapshot was compared for more than a day"
	case stale && !late:
		return
	case !late:
		w.n.alerts.recover(codeSnapshotStale)
		return
	}
	w.n.alerts.ensure(Alert{Code: codeSnapshotStale, Severity: ledger.Warning, Text: "settlement: " + text})
}

// judgeSettlement compares the snapshot that is due with the books, with mu held. While rows are held or counted and not
// stored it waits: they would stand on one side only.
func (w *watches) judgeSettlement(p quorum.Policy, now uint64) (found []risk.Finding, judged bool, err error) {
	snap, due := w.settle.Due(p.Settlement, now)
	if !due || w.ahead || p.Settlement.Authority == (common.Address{}) {
		return nil, false, nil
	}
	var ours risk.Settled
	var reached, held bool
	err = w.n.led.View(func(tx *ledger.Tx) error {
		if _, held, err = tx.HoldSince(); err != nil || held {
			return err
		}
		sums, err := tx.Credited()
		if reached = sums.LastID >= snap.Event; err != nil || !reached {
			return err
		}
		ours, err = risk.SettledUpTo(snap.Event, tx.WatchValues, tx.Events)
		return err
	})
	if err != nil || held {
		return nil, false, err
	}
	return w.settle.Judge(p.Settlement, snap, ours, reached, now), true, nil
}

// readSnapshot reads a file or a URL and verifies what it holds.
func readSnapshot(ctx context.Context, source string, network common.Hash, authority common.Address) (none risk.Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	read := readFile
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		read = fetchFile
	}
	raw, err := read(ctx, source)
	if err != nil {
		return none, err
	}
	if len(raw) > risk.MaxSnapshotFile {
		return none, fmt.Errorf("the source holds more than %d bytes", risk.MaxSnapshotFile)
	}
	signed, err := risk.DecodeSnapshot(raw)
	if err != nil {
		return none, err
	}
	return signed.Verify(network, authority)
}

// readFile reads one byte more than a snapshot may have. What is no plain file might be waited for without end.
func readFile(_ context.Context, path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("the source is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, risk.MaxSnapshotFile+1))
	return raw, errors.Join(err, f.Close())
}

// fetchFile follows no redirect: the operator chose the host.
func fetchFile(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("the source is no URL")
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch snapshot: %w", errors.Unwrap(err)) // without the URL, which may hold a key
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch snapshot: status %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, risk.MaxSnapshotFile+1))
}
