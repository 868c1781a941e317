package main

import (
	"fmt"
	"io"
	"os"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

func newPolicy(env *cli.Env) *cobra.Command {
	return env.Group("policy", "The committee's rules: what is in force, and what operators put in its place",
		newPolicyShow(env), newPolicyPropose(env),
		newSign(env, "policy sign", "Add an operator's signature to a proposed policy", quorum.ActionPolicy))
}

func newPolicyShow(env *cli.Env) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "show", Short: "Print the policy file in force", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			c, raw, err := ask[node.CommitteeView](t, "governance_committee")
			if err != nil {
				return err
			}
			env.Note("policy %d, %s", c.PolicyVersion, c.PolicyHash)
			return env.Print(raw, writeTo([]byte(c.PolicyFile)))
		}),
	}
	t.register(cmd)
	return cmd
}

func newPolicyPropose(env *cli.Env) *cobra.Command {
	var d decree
	cmd := &cobra.Command{
		Use:   "propose [--key-file F | --signature 0x… --time T] FILE",
		Short: "Put another policy file to the operators; q of them bring it into force", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if err := d.check("policy propose"); err != nil {
				return err
			}
			file, err := readPolicyFile(args[0])
			if err != nil {
				return err
			}
			c, err := d.committee()
			if err != nil {
				return err
			}
			if err := follows(c, file); err != nil {
				return err
			}
			a, err := next(c, quorum.PolicyChange{File: file})
			if err != nil {
				return err
			}
			return d.sign(env, "conclave policy propose "+args[0], c, a)
		}),
	}
	d.register(cmd)
	return cmd
}

// readPolicyFile reads a file that may become a policy.
func readPolicyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.With(cli.Usage, err, "")
	}
	defer func() { _ = f.Close() }()
	file, err := io.ReadAll(io.LimitReader(f, quorum.MaxPolicyFile+1))
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("%s: %w", path, err), "")
	}
	if _, err := quorum.ParsePolicy(file); err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("%s: %w", path, err), "`conclave policy show` prints the one in force")
	}
	return file, nil
}

// follows refuses a version that no node would take.
func follows(c node.CommitteeView, file []byte) error {
	p, err := quorum.ParsePolicy(file)
	if err == nil && p.Version <= c.PolicyVersion {
		err = cli.Errorf(cli.Usage, "count the version up", "version %d is not above %d, which is in force", p.Version, c.PolicyVersion)
	}
	return err
}
