package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func exportOf(t *testing.T) ([]byte, Manifest) {
	p := fillSample(t)
	var out bytes.Buffer
	m, err := p.l.Export(&out, nil)
	require.NoError(t, err)
	require.Equal(t, checked(t, p.l).Root, m.Root)
	require.Equal(t, stateOf(t, p.l), m.State)
	return out.Bytes(), m
}

func TestExportIsVerified(t *testing.T) {
	raw, m := exportOf(t)
	again, err := VerifyExport(bytes.NewReader(raw), nil)
	require.NoError(t, err)
	require.Equal(t, m, again)
	require.Equal(t, uint64(139), m.Events)
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		require.True(t, json.Valid([]byte(line)), line)
	}
	// One moment gives one export.
	l := newBooks(t)
	var a, b bytes.Buffer
	appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "\u2028<\"&"), event(2, testAccount(1), TaskPayment, "7"))
	_, err = l.Export(&a, nil)
	require.NoError(t, err)
	_, err = l.Export(&b, nil)
	require.NoError(t, err)
	require.Equal(t, a.String(), b.String())
	_, err = VerifyExport(&a, nil)
	require.NoError(t, err)

	var empty bytes.Buffer
	_, err = newBooks(t).Export(&empty, nil)
	require.NoError(t, err)
	_, err = VerifyExport(&empty, nil)
	require.NoError(t, err)
}

// TestAFlippedByteOfAnExportIsLocated flips, drops and repeats: the line is named.
func TestAFlippedByteOfAnExportIsLocated(t *testing.T) {
	raw, _ := exportOf(t)
	rapid.Check(t, func(t *rapid.T) {
		bent := bytes.Clone(raw)
		at := rapid.IntRange(0, len(raw)-1).Draw(t, "at")
		bent[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		_, err := VerifyExport(bytes.NewReader(bent), nil)
		var bad *LineError
		require.ErrorAs(t, err, &bad)
		require.Equal(t, uint64(bytes.Count(raw[:at], []byte("\n"))+1), bad.Line)
	})
	lines := bytes.SplitAfter(raw, []byte("\n"))
	lines = lines[:len(lines)-1]
	last := len(lines) - 1
	for name, c := range map[string]struct {
		line  int
		lines [][]byte
	}{
		"a row less":           {last, append(append([][]byte{}, lines[:5]...), lines[6:]...)},
		"a row twice":          {7, append(append([][]byte{}, lines[:6]...), lines[5:]...)},
		"no manifest":          {last + 1, lines[:last]},
		"two manifests":        {last + 2, append(append([][]byte{}, lines...), lines[last])},
		"nothing":              {1, nil},
		"no line's end":        {last + 1, append(append([][]byte{}, lines[:last]...), bytes.TrimSpace(lines[last]))},
		"another export's end": {last + 1, append(append([][]byte{}, lines[:last]...), otherManifest(t))},
	} {
		_, err := VerifyExport(bytes.NewReader(bytes.Join(c.lines, nil)), nil)
		var bad *LineError
		require.ErrorAs(t, err, &bad, name)
		require.Equal(t, uint64(c.line), bad.Line, name)
	}
	_, err := VerifyExport(strings.NewReader(strings.Repeat("x", maxLine+1)), nil)
	require.ErrorContains(t, err, "longer")
}

func otherManifest(t *testing.T) []byte {
	var out bytes.Buffer
	_, err := newBooks(t).Export(&out, nil)
	require.NoError(t, err)
	return out.Bytes()
}

func FuzzVerifyExport(f *testing.F) {
	l, err := Open(f.TempDir(), testNetwork)
	require.NoError(f, err)
	defer func() { require.NoError(f, l.Close()) }()
	appendAll(f, l, plenty(), event(1, testAccount(1), TaskIncome, "100"), deposit(2, testAccount(1), "5", 1), event(5000, testAccount(1), TaskPayment, "-1"))
	var out bytes.Buffer
	_, err = l.Export(&out, nil)
	require.NoError(f, err)
	f.Add(out.Bytes())
	f.Add([]byte(lineOpen))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := VerifyExport(bytes.NewReader(raw), nil)
		if err != nil {
			var bad *LineError
			require.ErrorAs(t, err, &bad)
			return
		}
		require.Equal(t, uint64(bytes.Count(raw, []byte("\n"))), m.Events+1)
	})
}

func TestCompactKeepsEverything(t *testing.T) {
	dir, raw := diskOf(t)
	path := filepath.Join(dir, databaseFile)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	require.NoError(t, os.WriteFile(path+".new", []byte("left behind by a process that died"), 0o600))
	before, was := dump(t, path), fileReport(t, dir)
	report, err := Compact(dir, nil)
	require.NoError(t, err)
	require.Equal(t, int64(len(raw)), report.Before)
	require.LessOrEqual(t, report.After, report.Before)
	require.Equal(t, before, dump(t, path))
	is := fileReport(t, dir)
	require.Empty(t, is.Damage)
	require.Less(t, is.Pages+is.Free, was.Pages+was.Free)
	require.NoFileExists(t, path+".new")

	_, err = Compact(t.TempDir(), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadingNeedsTheLockAndThisLayout(t *testing.T) {
	dir := t.TempDir()
	l := booksAt(t, dir)
	for name, try := range map[string]func() error{
		"read":    func() error { _, err := OpenRead(dir); return err },
		"compact": func() error { _, err := Compact(dir, nil); return err },
		"check":   func() error { _, err := CheckFile(dir, nil); return err },
	} {
		require.ErrorIs(t, try(), ErrLocked, name)
	}
	appendAll(t, l, plenty(), event(1, testAccount(1), TaskIncome, "5"))
	require.NoError(t, l.Close())
	r, err := OpenRead(dir)
	require.NoError(t, err)
	id, err := r.Network()
	require.NoError(t, err)
	require.Equal(t, testNetwork, id)
	checked(t, r)
	require.Error(t, r.Update(func(tx *Tx) error { return nil }))
	require.NoError(t, r.Close())

	old, err := os.ReadFile(samplePath(1, "db"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, databaseFile), old, 0o600))
	_, err = OpenRead(dir)
	require.ErrorIs(t, err, ErrOlder)
	_, err = OpenRead(t.TempDir())
	require.True(t, errors.Is(err, os.ErrNotExist))
}
