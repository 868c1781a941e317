package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"

	"github.com/spf13/cobra"
)

func newRisk(env *cli.Env) *cobra.Command {
	cmd := question(env, "risk", "The policy in force, and every rule of risk with its threshold and state", cobra.NoArgs,
		func(t target, _ []string) error {
			v, raw, err := ask[node.RiskView](t, "custodian_risk")
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeRisk(w, v) })
		})
	cmd.AddCommand(newRiskExplain(env), newRiskReplay(env))
	return cmd
}

func writeRisk(w io.Writer, v node.RiskView) error {
	_, _ = fmt.Fprintf(w, "policy %d, %s\n", v.Policy.Version, v.Policy.Hash)
	if v.Overlay != nil {
		_, _ = fmt.Fprintf(w, "overlay %s is stricter in: %s\n", v.Overlay.Hash, strings.Join(v.Overlay.Rules, ", "))
	}
	_, _ = fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "RULE\tCLASS\tSTATE\tEFFECT\tTHRESHOLD\tOBSERVED")
	for _, r := range v.Rules {
		name := r.Rule
		if r.Subject != "" {
			name += " (" + r.Subject + ")"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, r.Class, r.State, r.Effect, r.Threshold+local(r.Local), r.Observed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, o := range v.Objections {
		_, _ = fmt.Fprintf(w, "\nobjection to withdrawal %d: %s\n", o.ID, o.Reason)
	}
	return nil
}

// local marks what this node's overlay made stricter.
func local(is bool) string {
	if is {
		return " [overlay]"
	}
	return ""
}

func newRiskExplain(env *cli.Env) *cobra.Command {
	return question(env, "explain ID", "What each rule says of a withdrawal, and what a person can do", cobra.ExactArgs(1),
		func(t target, args []string) error {
			id, err := number("risk explain", args[0])
			if err != nil {
				return err
			}
			v, raw, err := ask[node.WithdrawalView](t, "custodian_withdrawal", id)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeExplanation(w, v) })
		})
}

// writeExplanation prints a block for each rule that does not pass, then one line for each that does.
func writeExplanation(w io.Writer, v node.WithdrawalView) error {
	_, _ = fmt.Fprintf(w, "withdrawal %d of %s on %s: %s\n", v.ID, v.Account, v.Network, v.Stage)
	passed := 0
	for _, e := range v.Explanation {
		if e.Outcome == "passed" {
			passed++
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s %s%s\n  wanted    %s\n  observed  %s\n", e.Rule, e.Outcome, local(e.Local), e.Threshold, e.Observed)
		if len(e.Evidence) > 0 {
			_, _ = fmt.Fprintf(w, "  evidence  %s\n", strings.Trim(fmt.Sprint(e.Evidence), "[]"))
		}
		if e.Do != "" {
			_, _ = fmt.Fprintf(w, "  do        %s\n", e.Do)
		}
	}
	_, _ = fmt.Fprintf(w, "\n%d of %d rules pass\n", passed, len(v.Explanation))
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, e := range v.Explanation {
		if e.Outcome == "passed" {
			_, _ = fmt.Fprintf(table, "  %s\t%s%s\t%s\n", e.Rule, e.Threshold, local(e.Local), e.Observed)
		}
	}
	return table.Flush()
}
