package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

// maxEvidenceFile bounds a file of evidence: far above what one node keeps.
const maxEvidenceFile = 256 << 20

func newEvidence(env *cli.Env) *cobra.Command {
	cmd := question(env, "evidence [ID]", "What the node can show against members and the Relay, with both sides", cobra.MaximumNArgs(1),
		func(t target, args []string) error {
			var id []any
			if len(args) == 1 {
				id = append(id, args[0])
			}
			all, raw, err := ask[[]node.EvidenceView](t, "custodian_evidence", id...)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error {
				if len(args) == 1 {
					return writeExhibits(w, all)
				}
				return writeEvidence(env, w, all)
			})
		})
	cmd.AddCommand(newEvidenceVerify(env))
	return cmd
}

func writeEvidence(env *cli.Env, w io.Writer, all []node.EvidenceView) error {
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.ID.Hex()[:18], e.Kind, e.Found.Format("2006-01-02T15:04:05Z07:00"), evidenceState(e), about(e)})
	}
	return env.Table(w, []string{"ID", "KIND", "FOUND", "STATE", "ABOUT"}, rows)
}

func evidenceState(e node.EvidenceView) string {
	switch {
	case e.Range == nil:
		return "kept"
	case e.Over != nil:
		return "agrees again"
	}
	return "differs"
}

// about is one line: who, or which row.
func about(e node.EvidenceView) string {
	switch {
	case e.Range != nil && len(e.Range.Rows) > 0:
		row := e.Range.Rows[0]
		line := fmt.Sprintf("range %d, event %d: here %s; there %s", e.Range.Range, row.ID, said(row.Here), said(row.There))
		if more := uint64(len(e.Range.Rows)) - 1 + e.Range.MoreRows; more > 0 {
			line += fmt.Sprintf("; %d more", more)
		}
		return line
	case e.Member != nil:
		return e.Name + " " + e.Member.Hex()
	}
	return "the Relay"
}

func said(x *node.Exhibit) string {
	if x == nil {
		return "no row"
	}
	return x.Says
}

// writeExhibits shows all bytes of both sides.
func writeExhibits(w io.Writer, all []node.EvidenceView) error {
	p := printer{w: w}
	for _, e := range all {
		p.linef("%s %s, %s, %s", e.ID, e.Kind, e.Found.Format("2006-01-02T15:04:05Z07:00"), evidenceState(e))
		p.linef("about %s", about(e))
		p.side("first", e.First)
		p.side("second", e.Second)
		if e.Range == nil {
			continue
		}
		r := e.Range
		p.linef("events %d to %d; rows shown by %s; %d booked by the certificate; %d accounts wait", r.FirstID, r.LastID, r.ShownBy.Hex(), r.Booked, len(r.Frozen))
		for _, row := range r.Rows {
			p.linef("event %d", row.ID)
			p.linef("  here  %s", said(row.Here))
			p.linef("  there %s", said(row.There))
		}
	}
	return p.err
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) side(name string, side []node.Exhibit) {
	for _, x := range side {
		signer := ""
		if x.Signer != nil {
			signer = " by " + x.Signer.Hex()
		}
		p.linef("%s: %s%s: %s", name, x.What, signer, x.Says)
		p.linef("  %s", x.RLP)
	}
}

// verified is the JSON of one line of `evidence verify`.
type verified struct {
	ID      string               `json:"id"`
	Kind    string               `json:"kind"`
	Verdict node.EvidenceVerdict `json:"verdict"`
	Why     string               `json:"why,omitempty"`
}

func newEvidenceVerify(env *cli.Env) *cobra.Command {
	var home, genesis string
	cmd := &cobra.Command{
		Use: "verify (--home DIR | --genesis FILE) EVIDENCE.json", Args: cobra.ExactArgs(1),
		Short: "Judge what `conclave evidence --json` wrote, by the genesis document alone",
		Long: "Judge what `conclave evidence --json` wrote, by the genesis document alone: no node and no database is asked.\n" +
			"Each piece proves itself by signatures, is a record that nobody signed, or is false: then the command fails.",
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			var from []string
			if genesis != "" {
				from = []string{genesis}
			}
			g, err := genesisOf(home, from)
			if err != nil {
				return err
			}
			all, err := readEvidence(args[0])
			if err != nil {
				return err
			}
			return judgeEvidence(env, g, all)
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "take the genesis document that this home joined")
	cmd.Flags().StringVar(&genesis, "genesis", "", "take this genesis document")
	return cmd
}

// readBounded reads a file that somebody else wrote, of at most so many bytes.
func readBounded(what, path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("%s: %w", what, err), "")
	}
	raw, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", what, path, err)
	}
	if len(raw) > most {
		return nil, cli.Errorf(cli.Usage, "", "%s: more than %d bytes", path, most)
	}
	return raw, nil
}

// readEvidence reads a list, or a single piece.
func readEvidence(path string) ([]node.EvidenceView, error) {
	raw, err := readBounded("evidence", path, maxEvidenceFile)
	if err != nil {
		return nil, err
	}
	all, err := parseEvidence(raw)
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "`conclave evidence --json` writes it", "%s: %w", path, err)
	}
	return all, nil
}

// parseEvidence knows every field that it takes: a document of another kind is none with no evidence in it.
func parseEvidence(raw []byte) (all []node.EvidenceView, err error) {
	strict := func(into any) error {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		return dec.Decode(into)
	}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return all, strict(&all)
	}
	all = make([]node.EvidenceView, 1)
	return all, strict(&all[0])
}

func judgeEvidence(env *cli.Env, g quorum.Genesis, all []node.EvidenceView) error {
	out := []verified{}
	var rows [][]string
	wrong := 0
	for _, e := range all {
		verdict, err := node.VerifyEvidence(g, e)
		v := verified{ID: e.ID.Hex(), Kind: e.Kind, Verdict: verdict}
		switch {
		case err != nil:
			v.Why = err.Error()
		case e.Range != nil && verdict == node.EvidenceProves:
			v.Why = "both versions were signed; the rows are the word of the node that shows them"
		}
		if verdict == node.EvidenceFalse {
			wrong++
		}
		out = append(out, v)
		rows = append(rows, []string{v.ID[:18], v.Kind, string(v.Verdict), v.Why})
	}
	if err := env.Print(out, func(w io.Writer) error { return env.Table(w, []string{"ID", "KIND", "VERDICT", "WHY"}, rows) }); err != nil {
		return err
	}
	if wrong > 0 {
		return cli.Errorf(cli.Refused, "", "%d of %d pieces are not what they claim to be", wrong, len(all))
	}
	return nil
}
