package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// draft is what a RESOLVE does, as a file that people read and edit.
type draft struct {
	Contents  []node.FateView    `json:"contents"`
	Accounts  []node.RewriteView `json:"accounts"`
	Log       []quorum.LogRow    `json:"log"`
	Uncovered string             `json:"uncovered"` // wei that no longer count as uncovered
}

// maxDraft bounds a draft's file: an action of the largest size, in JSON.
const maxDraft = 4 << 20

func newResolve(env *cli.Env) *cobra.Command {
	return env.Group("resolve", "The operators' word on stuck withdrawals and disputed accounts",
		newResolveDraft(env), newResolvePropose(env),
		newSign(env, "resolve sign", "Add an operator's signature to a RESOLVE", quorum.ActionResolve))
}

func newResolveDraft(env *cli.Env) *cobra.Command {
	var t target
	var pay, reject []uint
	var accounts []string
	var upTo uint64
	var uncovered string
	cmd := &cobra.Command{
		Use:   "draft [--pay ID,…] [--reject ID,…] [--account 0x…,… [--up-to EVENT]] [--uncovered WEI]",
		Short: "Print a draft from this node's books, to be read, edited and proposed", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			q := node.CaseQuery{UpTo: upTo, Withdrawals: []uint64{}, Accounts: []common.Address{}}
			for _, id := range slices.Concat(pay, reject) {
				q.Withdrawals = append(q.Withdrawals, uint64(id))
			}
			for _, a := range accounts {
				if !common.IsHexAddress(a) {
					return cli.Errorf(cli.Usage, "", "resolve draft: %q is no address", a)
				}
				q.Accounts = append(q.Accounts, common.HexToAddress(a))
			}
			slices.SortFunc(q.Accounts, common.Address.Cmp)
			v, _, err := ask[node.CaseView](t, "governance_case", q)
			if err != nil {
				return err
			}
			d := draft{Contents: v.Contents, Accounts: v.Accounts, Log: []quorum.LogRow{}, Uncovered: uncovered}
			for i := range d.Contents {
				d.Contents[i].Pay = i < len(pay)
			}
			out, err := json.MarshalIndent(d, "", "  ")
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(append(out, '\n'))
			return err
		}),
	}
	t.register(cmd)
	flags := cmd.Flags()
	flags.UintSliceVar(&pay, "pay", nil, "withdrawals that are paid")
	flags.UintSliceVar(&reject, "reject", nil, "withdrawals that are rejected")
	flags.StringSliceVar(&accounts, "account", nil, "accounts whose debits are replaced by this node's, and that are freed")
	flags.Uint64Var(&upTo, "up-to", 0, "the last event of these debits (default: the last settled one)")
	flags.StringVar(&uncovered, "uncovered", "0", "wei of uncovered debits that no longer count")
	return cmd
}

func newResolvePropose(env *cli.Env) *cobra.Command {
	var d decree
	var policy, why string
	cmd := &cobra.Command{
		Use:   "propose --policy FILE --reason WHY [--key-file F | --signature 0x… --time T] DRAFT",
		Short: "Put a draft to the operators, with a policy of a higher version", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			switch {
			case policy == "":
				return cli.Errorf(cli.Usage, "a RESOLVE always voids undecided certificates: `conclave policy show`, count the version up", "resolve propose: --policy is required")
			case why == "":
				return cli.Errorf(cli.Usage, "the other operators read it", "resolve propose: --reason is required")
			}
			if err := d.check("resolve propose"); err != nil {
				return err
			}
			file, err := readPolicyFile(policy)
			if err != nil {
				return err
			}
			body, err := readDraft(args[0])
			if err != nil {
				return cli.With(cli.Usage, fmt.Errorf("%s: %w", args[0], err), "`conclave resolve draft` makes one")
			}
			c, err := d.committee()
			if err != nil {
				return err
			}
			if err := follows(c, file); err != nil {
				return err
			}
			body.File, body.Reason = file, why
			a, err := next(c, body)
			if err != nil {
				return err
			}
			return d.sign(env, fmt.Sprintf("conclave resolve propose --policy %s --reason %q %s", policy, why, args[0]), c, a)
		}),
	}
	d.register(cmd)
	cmd.Flags().StringVar(&policy, "policy", "", "the policy file that comes into force with it (required)")
	cmd.Flags().StringVar(&why, "reason", "", "why, in words (required)")
	return cmd
}

// readDraft reads a draft's file strictly.
func readDraft(path string) (quorum.Resolve, error) {
	var r quorum.Resolve
	file, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	var d draft
	if err := quorum.DecodeJSON(file, maxDraft, &d); err != nil {
		return r, err
	}
	for _, f := range d.Contents {
		fate, err := f.Fate()
		if err != nil {
			return r, err
		}
		r.Contents = append(r.Contents, fate)
	}
	for _, a := range d.Accounts {
		r.Accounts = append(r.Accounts, a.Rewrite())
	}
	r.Log = d.Log
	var ok bool
	if r.Uncovered, ok = quorum.ParseWei(d.Uncovered); !ok {
		return r, fmt.Errorf("uncovered: want an amount in wei, not %q", d.Uncovered)
	}
	return r, nil
}
