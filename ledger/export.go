package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// An export is JSON, a line for each row of the log by rising id, and a last line that is the manifest. Each line begins
// with the first bytes of SHA-256 over the rest of it, so that a flipped byte is found in its line; the manifest holds the
// SHA-256 over all lines before it and the root of the log, which is computed again from the rows.
const (
	exportFormat = 1
	lineSum      = 8          // bytes
	lineOpen     = `{"sum":"` // then the sum in hex
	lineThen     = `","`      // then the rest
	maxLine      = 1 << 20    // a row is a few hundred bytes; nothing honest is longer
	lineHead     = len(lineOpen) + 2*lineSum + len(lineThen)
)

// ExportedEvent is one row of an export. Amounts are decimal wei, as the Relay spelled them.
type ExportedEvent struct {
	ID        uint64           `json:"id"`
	CreatedAt uint64           `json:"created_at"` // unix seconds by the Relay's clock
	Account   common.Address   `json:"account"`
	Kind      EventKind        `json:"kind"`
	Amount    string           `json:"amount"`
	Deposit   *ExportedDeposit `json:"deposit,omitempty"`
	Vesting   *ExportedVesting `json:"vesting,omitempty"`
	Excluded  bool             `json:"excluded,omitempty"` // a debit that stands in the log only
}

// ExportedDeposit is a [DepositRef].
type ExportedDeposit struct {
	Network string      `json:"network"`
	TxHash  common.Hash `json:"tx_hash"`
}

// ExportedVesting is a [VestingRef].
type ExportedVesting struct {
	ID           uint64         `json:"id"`
	Account      common.Address `json:"account"`
	Spelling     string         `json:"spelling"`
	Total        string         `json:"total"`
	Released     string         `json:"released"`
	Start        uint64         `json:"start"`
	DurationDays uint64         `json:"duration_days"`
	Type         string         `json:"type"`
	Signature    hexutil.Bytes  `json:"signature"`
}

// Manifest is the last line of an export.
type Manifest struct {
	Format      int         `json:"format"`
	Network     common.Hash `json:"network"`
	Events      uint64      `json:"events"`
	LastID      uint64      `json:"last_id"`
	Root        common.Hash `json:"root"`   // of the log
	SHA256      common.Hash `json:"sha256"` // of all lines before
	State       common.Hash `json:"state"`  // of the books, see [Tx.StateHash]
	Accounts    uint64      `json:"accounts"`
	Liabilities string      `json:"liabilities"` // wei
}

// Export writes one moment of the log to w. progress, which may be nil, is called now and then.
func (l *Ledger) Export(w io.Writer, progress func(what string, n uint64)) (m Manifest, err error) {
	err = l.View(func(tx *Tx) error {
		t, err := tx.Totals()
		if err != nil {
			return err
		}
		m = Manifest{Format: exportFormat, Network: tx.network(), LastID: t.SettledID, Root: t.Root, Accounts: t.Accounts, Liabilities: t.Liabilities.Dec()}
		if m.State, err = tx.StateHash(); err != nil {
			return err
		}
		out := exporter{w: bufio.NewWriterSize(w, 1<<18), sum: sha256.New()}
		err = tx.scan(bucketLog, nil, func(_, v []byte) error {
			e, _, flags, err := row(v)
			if err != nil {
				return err
			}
			if m.Events++; progress != nil && m.Events%progressEvery == 0 {
				progress("events", m.Events)
			}
			return out.line("event", exported(e, flags))
		})
		if err != nil {
			return err
		}
		out.sum.Sum(m.SHA256[:0])
		return errors.Join(out.line("manifest", m), out.w.Flush())
	})
	return m, err
}

type exporter struct {
	w   *bufio.Writer
	sum hash.Hash
}

func (x *exporter) line(name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	rest := append(append([]byte(name+`":`), body...), '}')
	line := append(append([]byte(lineOpen+lineSumOf(rest)+lineThen), rest...), '\n')
	_, _ = x.sum.Write(line)
	_, err = x.w.Write(line)
	return err
}

func lineSumOf(rest []byte) string {
	sum := sha256.Sum256(rest)
	return hex.EncodeToString(sum[:lineSum])
}

func exported(e Event, flags byte) ExportedEvent {
	out := ExportedEvent{ID: e.ID, CreatedAt: e.CreatedAt, Account: e.Account, Kind: e.Kind, Amount: e.Amount, Excluded: flags&rowExcluded != 0}
	if e.Deposit != (DepositRef{}) {
		out.Deposit = &ExportedDeposit{e.Deposit.Network, e.Deposit.TxHash}
	}
	if v := e.Vesting; e.vested() {
		out.Vesting = &ExportedVesting{v.ID, v.Account, v.Spelling, v.Total, v.Released, v.Start, v.DurationDays, v.Type, v.Signature}
	}
	return out
}

func (x ExportedEvent) event() Event {
	e := Event{ID: x.ID, CreatedAt: x.CreatedAt, Account: x.Account, Kind: x.Kind, Amount: x.Amount}
	if x.Deposit != nil {
		e.Deposit = DepositRef{x.Deposit.Network, x.Deposit.TxHash}
	}
	if v := x.Vesting; v != nil {
		e.Vesting = VestingRef{v.ID, v.Account, v.Spelling, v.Total, v.Released, v.Start, v.DurationDays, v.Type, v.Signature}
	}
	return e
}

// LineError is the first line of an export that is not what was written. It is an [ErrCorrupt].
type LineError struct {
	Line uint64 // from 1
	What string
}

// Error implements error.
func (e *LineError) Error() string {
	return fmt.Sprintf("%v: line %d of the export: %s", ErrCorrupt, e.Line, e.What)
}

// Unwrap makes it an [ErrCorrupt].
func (e *LineError) Unwrap() error { return ErrCorrupt }

// VerifyExport reads an export to its end: every line's sum, rising ids, the manifest's counts and hash, and the log's root
// from the rows themselves. The first line that is wrong is a [*LineError]. It holds the sums of ranges only. progress,
// which may be nil, is called now and then.
func VerifyExport(r io.Reader, progress func(what string, n uint64)) (Manifest, error) {
	return ReadExport(r, nil, progress)
}

// ReadExport is VerifyExport that hands each row to fn, which may be nil. What fn was told is sound only once ReadExport
// returned without an error.
func ReadExport(r io.Reader, fn func(Event) error, progress func(what string, n uint64)) (Manifest, error) {
	x := importer{each: fn, in: bufio.NewScanner(r), sum: sha256.New(), progress: progress}
	x.in.Buffer(make([]byte, 0, 1<<16), maxLine)
	x.in.Split(wholeLines)
	for x.in.Scan() {
		if x.lines++; x.done {
			return x.manifest, x.bad("something follows the manifest")
		}
		if err := x.line(x.in.Bytes()); err != nil {
			return x.manifest, err
		}
	}
	if err := x.in.Err(); errors.Is(err, bufio.ErrTooLong) {
		x.lines++
		return x.manifest, x.bad("it is longer than %d bytes", maxLine)
	} else if err != nil {
		return x.manifest, fmt.Errorf("read export: %w", err)
	}
	if !x.done {
		x.lines++
		return x.manifest, x.bad("the export ends without its manifest")
	}
	return x.manifest, nil
}

// wholeLines is bufio.ScanLines that keeps the line's end: the hash covers it.
func wholeLines(data []byte, end bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

type importer struct {
	in       *bufio.Scanner
	each     func(Event) error
	sum      hash.Hash
	progress func(what string, n uint64)
	lines    uint64
	events   uint64
	last     uint64
	leaves   []common.Hash
	open     RangeSum
	rows     crypto.KeccakState
	manifest Manifest
	done     bool
}

func (x *importer) bad(format string, args ...any) error {
	return &LineError{x.lines, fmt.Sprintf(format, args...)}
}

func (x *importer) line(line []byte) error {
	if len(line) < lineHead+1 || line[len(line)-1] != '\n' || string(line[:len(lineOpen)]) != lineOpen ||
		string(line[lineHead-len(lineThen):lineHead]) != lineThen {
		return x.bad("it is no line of an export, or cut off")
	}
	rest := line[lineHead : len(line)-1]
	if lineSumOf(rest) != string(line[len(lineOpen):lineHead-len(lineThen)]) {
		return x.bad("it does not match its sum")
	}
	var doc struct {
		Event    *ExportedEvent `json:"event"`
		Manifest *Manifest      `json:"manifest"`
	}
	dec := json.NewDecoder(bytes.NewReader(append([]byte(`{"`), rest...)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil || (doc.Event == nil) == (doc.Manifest == nil) {
		return x.bad("it is no event and no manifest")
	}
	if doc.Manifest != nil {
		return x.end(*doc.Manifest)
	}
	_, _ = x.sum.Write(line)
	return x.row(doc.Event.event())
}

// row takes an event into the sum of its range.
func (x *importer) row(e Event) error {
	if e.ID <= x.last {
		return x.bad("event %d stands behind event %d", e.ID, x.last)
	}
	x.last = e.ID
	if x.events++; x.progress != nil && x.events%progressEvery == 0 {
		x.progress("events", x.events)
	}
	if r := e.ID / RangeSize; x.rows == nil || r != x.open.Range {
		x.closeRange()
		x.open, x.rows = RangeSum{Range: r}, crypto.NewKeccakState()
	}
	x.open.Count++
	_, _ = x.rows.Write(encodeEvent(&e))
	if x.each != nil {
		return x.each(e)
	}
	return nil
}

func (x *importer) closeRange() {
	if x.rows == nil {
		return
	}
	x.rows.Sum(x.open.Hash[:0])
	x.leaves = append(x.leaves, x.open.leaf())
}

func (x *importer) end(m Manifest) error {
	x.done, x.manifest = true, m
	x.closeRange()
	var sum common.Hash
	x.sum.Sum(sum[:0])
	switch root := merkle(x.leaves); {
	case m.Format != exportFormat:
		return x.bad("the export has format %d, this program knows %d", m.Format, exportFormat)
	case m.Events != x.events || m.LastID != x.last:
		return x.bad("the manifest counts %d events up to %d, there are %d up to %d", m.Events, m.LastID, x.events, x.last)
	case m.SHA256 != sum:
		return x.bad("the lines have the hash %s, the manifest says %s", sum, m.SHA256)
	case m.Root != root:
		return x.bad("the rows give the root %s, the manifest says %s", root, m.Root)
	}
	return nil
}
