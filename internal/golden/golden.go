package golden

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// update is the one flag of every test binary that imports this package; flags exist per binary, so it is package state.
var update = flag.Bool("update", false, "write golden files anew")

// hexLine is how many bytes one line of a golden hex file holds: a difference then points at a place.
const hexLine = 32

// Text compares got with the file at path, or writes the file under -update. Line endings count.
func Text(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		write(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s does not exist; run the test with -update and review what it holds", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := Difference(string(want), got); diff != "" {
		t.Fatalf("%s is stale: %s", path, diff)
	}
}

// Hex compares bytes with a file of hex lines.
func Hex(t testing.TB, path string, got []byte) {
	t.Helper()
	Text(t, path, Dump(got))
}

// Field is one named byte string of a golden file.
type Field struct {
	Name  string
	Bytes []byte
}

// Fields compares several byte strings with one file, each under its name.
func Fields(t testing.TB, path string, fields ...Field) {
	t.Helper()
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s (%d bytes)\n%s", f.Name, len(f.Bytes), Dump(f.Bytes))
	}
	Text(t, path, b.String())
}

// Dump is b as lines of hex.
func Dump(b []byte) string {
	var out strings.Builder
	for len(b) > hexLine {
		out.WriteString(hex.EncodeToString(b[:hexLine]) + "\n")
		b = b[hexLine:]
	}
	out.WriteString(hex.EncodeToString(b) + "\n")
	return out.String()
}

// Difference names the first line that differs, or returns "".
func Difference(want, got string) string {
	if want == got {
		return ""
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d is %q, now %q", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, now %d", len(w), len(g))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
