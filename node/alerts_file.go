package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

// alertsFile is the record of alerts beside the books. It is a file of its own: what calls for people must work when the
// database does not, and a storm of alerts must not cost the books a commit each.
const (
	alertsFile        = "alerts.json"
	alertsFileVersion = 1
	maxAlertsFile     = 8 << 20 // maxAlerts with text and hint of full length, each byte of them escaped as six
	// saveEvery is the least time between two writes: in a storm the books need the disk more. The first is at once.
	saveEvery = 250 * time.Millisecond
)

var errAlertsFile = errors.New("not a record of alerts")

// alertsRecord is what the file holds.
type alertsRecord struct {
	Version int     `json:"version"`
	Alerts  []entry `json:"alerts"`
}

// decodeAlerts reads the file's content.
func decodeAlerts(raw []byte) ([]entry, error) {
	if len(raw) > maxAlertsFile {
		return nil, fmt.Errorf("%w: %d bytes", errAlertsFile, len(raw))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var r alertsRecord
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", errAlertsFile, err)
	}
	if r.Version != alertsFileVersion || len(r.Alerts) > maxAlerts {
		return nil, fmt.Errorf("%w: version %d, %d alerts", errAlertsFile, r.Version, len(r.Alerts))
	}
	seen := map[string]bool{}
	for _, e := range r.Alerts {
		if e.Key == "" || e.Code == "" || seen[e.Key] || e.Reminded < 0 {
			return nil, fmt.Errorf("%w: key %q", errAlertsFile, e.Key)
		}
		seen[e.Key] = true
	}
	return r.Alerts, nil
}

func encodeAlerts(in []entry) ([]byte, error) {
	return json.Marshal(alertsRecord{alertsFileVersion, in})
}

// load reads what stood when the process ended: it is neither forgotten nor told anew, and what was owed is still owed. A
// record that cannot be read is put aside, and that is an alert itself.
func (a *alerts) load(dir string) {
	path := filepath.Join(dir, alertsFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var held []entry
	if err == nil {
		held, err = decodeAlerts(raw)
	}
	if err != nil {
		if aside := os.Rename(path, path+".unreadable"); aside != nil {
			err = errors.Join(err, aside)
		}
		a.raise(Alert{Code: codeLost, Text: err.Error()})
		return
	}
	a.take(held)
}

// take goes on with what a record held.
func (a *alerts) take(held []entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for _, e := range held {
		// A clock that was ahead when this was written must not keep a reminder waiting until it is right.
		for _, at := range []*time.Time{&e.First, &e.Last, &e.Told, &e.OwedAt, &e.Gone} {
			if at.After(now) {
				*at = now
			}
		}
		a.seq++
		e.seq = a.seq
		if e.Missed {
			e.Missed, e.Owed, e.OwedAt = false, NoticeReminder, now
			if e.Over {
				e.Owed = NoticeRecovered
			}
		}
		if a.out == nil {
			e.Owed = NoticeNone
		}
		a.all[e.Key] = &e
	}
	a.ring()
}

// save writes the record so that a crash leaves the old one or the new.
func (a *alerts) save(dir string) error {
	a.mu.Lock()
	held := make([]entry, 0, len(a.all))
	for _, e := range a.sorted() {
		held = append(held, *e)
	}
	a.mu.Unlock()
	raw, err := encodeAlerts(held)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, alertsFile), raw)
}

// replaceFile writes beside the file, always under one name: what a crash leaves there is written over.
func replaceFile(path string, content []byte) error {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// run serves the path until ctx ends: reminders, the record on disk, and delivery, which may take its time.
func (a *alerts) run(ctx context.Context, dir string) {
	var work sync.WaitGroup
	if a.out != nil {
		work.Go(func() { a.turns.wait("deliver"); a.deliver(ctx) })
	}
	defer work.Wait()
	a.turns.wait("alerts")
	tick := time.NewTicker(alertsEvery)
	defer tick.Stop()
	healthy := true
	keep := func() {
		err := a.save(dir)
		if err != nil && healthy {
			a.log.Warn("the record of alerts is not stored", zap.Error(err))
		}
		healthy = err == nil
	}
	disk := a.disk
	var pause <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			keep()
			return
		case <-tick.C:
			a.due()
			a.beat()
		case <-pause:
			disk = a.disk
		case <-disk:
			a.turns.wait("alerts")
			keep()
			disk, pause = nil, time.After(saveEvery)
		}
	}
}
