package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"conclave/node/config"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func testEnv() (*Env, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}, &out, &errs
}

// probe is a root with one verb that fails as told.
func probe(e *Env, fail error) *cobra.Command {
	root := &cobra.Command{Use: "conclave"}
	root.AddCommand(&cobra.Command{
		Use: "verb", Args: cobra.NoArgs,
		RunE: e.Run(func(*cobra.Command, []string) error { return fail }),
	})
	return root
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		fail error
		code Code
		text string
	}{
		{[]string{"verb"}, nil, Done, ""},
		{[]string{"verb"}, errors.New("open vault: no"), Failed, "conclave: open vault: no\n"},
		{[]string{"verb"}, Errorf(Refused, "ask them", "2 of 3"), Refused, "conclave: 2 of 3\nhint: ask them\n"},
		{[]string{"verb"}, fmt.Errorf("join: %w", Errorf(Sealed, "unseal", "sealed")), Sealed, "conclave: join: sealed\nhint: unseal\n"},
		{[]string{"verb"}, &config.KeyError{Key: "a.b", Why: "is required"}, Usage,
			"conclave: a.b is required\nhint: `conclave config default` explains every key\n"},
		{[]string{"verb"}, With(Refused, &config.ModeError{Path: "/k", Mode: 0o644, Can: "read"}, ""), Refused,
			"conclave: /k has mode 0644: others can read it\nhint: chmod 600 /k\n"},
		{[]string{"verb"}, errors.New("two\nlines\x1b[2J"), Failed, "conclave: two lines [2J\n"},
		{[]string{"verb", "extra"}, nil, Usage, "conclave: unknown command \"extra\" for \"conclave verb\"\nhint: `conclave verb --help`\n"},
		{[]string{"verb", "--fast"}, nil, Usage, "conclave: unknown flag: --fast\nhint: `conclave verb --help`\n"},
		{[]string{"walk"}, nil, Usage, "conclave: unknown command \"walk\" for \"conclave\"\nhint: `conclave --help`\n"},
	} {
		e, _, errs := testEnv()
		require.Equal(t, c.code, e.Execute(probe(e, c.fail), c.args), "%v", c.args)
		require.Equal(t, c.text, errs.String())
	}
}

func TestWithKeepsNil(t *testing.T) {
	require.NoError(t, With(Failed, nil, "hint"))
	require.Equal(t, Done, CodeOf(nil))
	require.Empty(t, HintOf(errors.New("plain")))
}

func TestPrintAndNote(t *testing.T) {
	e, out, errs := testEnv()
	text := func(w io.Writer) error { _, err := io.WriteString(w, "words\n"); return err }
	require.NoError(t, e.Print(map[string]int{"a": 1}, text))
	e.Note("for %s", "people")
	require.Equal(t, "words\n", out.String())
	require.Equal(t, "for people\n", errs.String())

	e, out, errs = testEnv()
	e.JSON = true
	require.NoError(t, e.Print(map[string]int{"a": 1}, text))
	e.Note("for people")
	var doc map[string]int
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	require.Equal(t, map[string]int{"a": 1}, doc)
	require.Empty(t, errs.String())
}

func TestTableIsPlainOffTheTerminal(t *testing.T) {
	e, out, _ := testEnv()
	require.False(t, e.Terminal())
	require.NoError(t, e.Table(out, []string{"NAME", "SIGNED"}, [][]string{{"custodian-0", "yes"}, {"x\x1b[1m", "no"}}))
	require.Equal(t, "NAME         SIGNED\ncustodian-0  yes\nx [1m        no\n", out.String())
	require.Equal(t, "plain", e.Paint(Bad, "plain"))
}
