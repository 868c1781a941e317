package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/ledger"
	"conclave/node"

	"github.com/spf13/cobra"
)

// maxProofFile bounds a file with a proof: a decision of a full batch and the decisions of a thousand committees.
const maxProofFile = 64 << 20

func newAudit(env *cli.Env) *cobra.Command {
	return env.Group("audit", "For auditors: what proves a payment, whether it does, and what a node did", newAuditProof(env), newAuditVerify(env), newAuditTail(env))
}

func newAuditProof(env *cli.Env) *cobra.Command {
	var out string
	cmd := question(env, "proof ID [--out FILE]", "Ask a node for all that proves what became of a withdrawal", cobra.ExactArgs(1), func(t target, args []string) error {
		id, err := number("audit proof", args[0])
		if err != nil {
			return err
		}
		_, raw, err := ask[node.Proof](t, "custodian_payment", id)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := json.Indent(&text, raw, "", "  "); err != nil {
			return err
		}
		text.WriteByte('\n')
		if out == "" {
			return env.Print(raw, func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
		}
		if err := os.WriteFile(out, text.Bytes(), 0o644); err != nil {
			return err
		}
		env.Note("wrote %s; judge it with: conclave audit verify --genesis genesis.json %s", out, out)
		return nil
	})
	cmd.Flags().StringVar(&out, "out", "", "write it there (default: to standard output)")
	return cmd
}

func newAuditVerify(env *cli.Env) *cobra.Command {
	var home, genesis string
	cmd := &cobra.Command{
		Use: "verify (--home DIR | --genesis FILE) PROOF.json", Args: cobra.ExactArgs(1),
		Short: "Judge what `conclave audit proof` wrote, by the genesis document alone",
		Long: "Judge what `conclave audit proof` wrote, or what custodian_certificate or custodian_decision answered, by the genesis document alone:\n" +
			"no node, no database and no chain is asked. It says what the signatures show, by whom, and what is left to be seen elsewhere.\n" +
			"The genesis document is the one that all operators signed: get it, or its id, from one whom you trust.",
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			var from []string
			if genesis != "" {
				from = []string{genesis}
			}
			g, err := genesisOf(home, from)
			if err != nil {
				return err
			}
			p, err := readProof(args[0])
			if err != nil {
				return err
			}
			proven, err := node.VerifyProof(g, p)
			if err != nil {
				return cli.With(cli.Refused, fmt.Errorf("%s: it proves nothing: %w", args[0], err), "ask another custodian for it")
			}
			return env.Print(proven, func(w io.Writer) error { return writeProven(env, w, proven) })
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "take the genesis document that this home joined")
	cmd.Flags().StringVar(&genesis, "genesis", "", "take this genesis document")
	return cmd
}

func readProof(path string) (p node.Proof, err error) {
	raw, err := readBounded("audit verify", path, maxProofFile)
	if err != nil {
		return p, err
	}
	if p, err = parseProof(raw); err != nil {
		return p, cli.Errorf(cli.Usage, "`conclave audit proof ID` writes it", "%s: %w", path, err)
	}
	return p, nil
}

// parseProof knows every field that it takes, and nothing may stand behind the document.
func parseProof(raw []byte) (p node.Proof, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return p, errors.New("more than one document")
	}
	return p, nil
}

// writeProven tells it in the order in which it happened.
func writeProven(env *cli.Env, w io.Writer, v node.Proven) error {
	p := printer{w: w}
	p.linef("it proves    %s", env.Paint(cli.Bold, v.Proves))
	if v.Account != "" {
		p.linef("withdrawal   %d, of event %d: %s and fee %s of %s, to %s on %s", v.ID, v.EventID, coins(v.Amount), coins(v.Fee), v.Account, v.To, v.Lane)
	}
	if len(v.Voted) > 0 {
		word := "owed, by the own books of"
		if v.Proves == node.ProvesRefused {
			word = "not to be paid, by the word of"
		}
		p.linef("verdicts     %s %s, policy %d", word, strings.Join(v.Voted, ", "), v.Policy)
	}
	if v.Value != nil {
		p.linef("decided      %s %s at height %d in epoch %d, by %s", v.Kind, v.Value.Hex(), v.Height, v.Epoch, strings.Join(v.Decided, ", "))
	}
	if v.Nonce != nil {
		p.linef("payer        %s, nonce %d", v.Payer, *v.Nonce)
	}
	if v.Tx != nil {
		p.linef("transaction  %s", v.Tx.Hex())
	}
	if v.Block != nil {
		p.linef("final        in block %s, seen by %s", v.Block.Hex(), strings.Join(v.Final, ", "))
	}
	for _, t := range v.Trusts {
		p.linef("not shown    %s", t)
	}
	return p.err
}

// followEvery is how often `audit tail --follow` asks for more.
const followEvery = time.Second

func newAuditTail(env *cli.Env) *cobra.Command {
	var q node.AuditQuery
	var follow bool
	cmd := question(env, "tail [--from N] [--limit N] [--follow]", "What a node did, line by line, each with the hash of the one before", cobra.NoArgs, func(t target, _ []string) error {
		if q.Limit < 1 {
			return cli.Errorf(cli.Usage, "", "--limit: want a positive number, not %d", q.Limit)
		}
		ctx, stop := interruptible()
		defer stop()
		tail := trail{env: env}
		for {
			lines, _, err := ask[[]node.AuditView](t, "custodian_audit", q)
			if err == nil {
				err = tail.write(lines)
			}
			if err != nil || !follow {
				return err
			}
			q.From = max(tail.last.Index+1, q.From, 1)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(followEvery):
			}
		}
	})
	cmd.Flags().Uint64Var(&q.From, "from", 0, "index of the first line (default: so that the newest is the last)")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "at most so many at once")
	cmd.Flags().BoolVar(&follow, "follow", false, "go on with what comes, until interrupted")
	return cmd
}

// trail writes lines, and holds each against the one before.
type trail struct {
	env  *cli.Env
	last node.AuditView
}

func (t *trail) write(lines []node.AuditView) error {
	for _, l := range lines {
		line := ledger.AuditLine{Index: l.Index, Time: uint64(l.Time.UnixMilli()), What: l.What, Ref: l.Ref, Prev: l.Prev}
		if line.Hash() != l.Hash || t.last.Index > 0 && (l.Index != t.last.Index+1 || l.Prev != t.last.Hash) {
			return cli.Errorf(cli.Failed, "stop the node and look with: conclave ledger check", "line %d does not follow line %d", l.Index, t.last.Index)
		}
		t.last = l
		if err := t.line(l); err != nil {
			return err
		}
	}
	return nil
}

func (t *trail) line(l node.AuditView) error {
	if t.env.JSON { // a stream: one document a line
		return json.NewEncoder(t.env.Stdout).Encode(l)
	}
	_, err := fmt.Fprintf(t.env.Stdout, "%d  %s  %-10s %s  %s\n", l.Index, l.Time.Format(time.RFC3339), l.What, l.Hash.Hex()[:18], l.Ref)
	return err
}
