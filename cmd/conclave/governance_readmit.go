package main

import (
	"fmt"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

// readmission is the flags of what names the height from which a quarantined member votes again.
type readmission struct {
	decree
	member, why          string
	from, since, counter uint64
}

func newReadmit(env *cli.Env) *cobra.Command {
	var r readmission
	cmd := &cobra.Command{
		Use:   "readmit --from HEIGHT --reason WHY [--member NAME --since MS --counter N]",
		Short: "Name the height from which a quarantined member votes again, where too few others can show theirs", Args: cobra.NoArgs,
		Long: "Name the height from which a quarantined member votes again, where too few others can show theirs.\n\n" +
			"Asked of the quarantined node itself, which quarantine is meant is taken from its status. The others sign by hash.\n" +
			"The node follows the word of q operators unless it, or a member that answered, knows of a vote of it in that height or above.",
		RunE: env.Run(func(*cobra.Command, []string) error { return r.run(env) }),
	}
	r.register(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&r.from, "from", 0, "the first height in which it votes again (required)")
	flags.StringVar(&r.why, "reason", "", "why, in words (required)")
	flags.StringVar(&r.member, "member", "", "the member's name, when another node is asked")
	flags.Uint64Var(&r.since, "since", 0, "when its quarantine began, unix ms, with --member")
	flags.Uint64Var(&r.counter, "counter", 0, "the counter behind which it counts on, with --member")
	return cmd
}

func (r *readmission) run(env *cli.Env) error {
	other := r.member != ""
	switch {
	case r.from == 0 || r.why == "":
		return cli.Errorf(cli.Usage, "`conclave status` of the quarantined node says which height is the running one", "governance readmit: --from and --reason are required")
	case other != (r.since != 0) || other != (r.counter != 0):
		return cli.Errorf(cli.Usage, "the quarantined node's status shows all three", "governance readmit: --member, --since and --counter go together")
	}
	if err := r.check("governance readmit"); err != nil {
		return err
	}
	c, err := r.committee()
	if err != nil {
		return err
	}
	body := quorum.Readmit{Height: r.from, Since: r.since, Counter: r.counter, Reason: r.why}
	if err := r.whose(c, &body); err != nil {
		return err
	}
	a, err := next(c, body)
	if err != nil {
		return err
	}
	again := fmt.Sprintf("conclave governance readmit --from %d --reason %q", r.from, r.why)
	if other {
		again += fmt.Sprintf(" --member %s --since %d --counter %d", r.member, r.since, r.counter)
	}
	return r.sign(env, again, c, a)
}

// whose fills in the member and its quarantine: as named, or as the node that is asked says of itself.
func (r *readmission) whose(c node.CommitteeView, body *quorum.Readmit) error {
	name := r.member
	if name == "" {
		s, _, err := ask[node.Status](r.target, "custodian_status")
		if err != nil {
			return err
		}
		if s.Silence == nil || !s.Silence.Quarantined {
			return cli.Errorf(cli.Usage, "ask the quarantined node itself, or name it with --member, --since and --counter", "the node %s is not quarantined", s.Node.Name)
		}
		name, body.Since, body.Counter = s.Node.Name, uint64(s.Silence.Since.UnixMilli()), s.Silence.Counter
	}
	for _, m := range c.Members {
		if m.Name == name {
			body.Member = m.Member
			return nil
		}
	}
	return cli.Errorf(cli.Usage, "", "no member is called %q", name)
}
