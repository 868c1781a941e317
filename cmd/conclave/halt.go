package main

import (
	"io"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/api"

	"github.com/spf13/cobra"
)

// order makes a verb that tells the node of a home to do something, over its socket.
func order(env *cli.Env, use, short, method, done string, check func(cmd *cobra.Command) error) *cobra.Command {
	var home, why string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: env.Run(func(cmd *cobra.Command, _ []string) error {
			switch {
			case home == "":
				return cli.Errorf(cli.Usage, "orders go over the socket in the node's home", "%s: --home is required", cmd.Name())
			case why == "":
				return cli.Errorf(cli.Usage, "the other operators read it", "%s: --reason is required", cmd.Name())
			}
			if err := check(cmd); err != nil {
				return err
			}
			_, raw, err := ask[api.Ack](target{home: home}, method, why)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeTo([]byte(done + "\n"))(w) })
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&why, "reason", "", "why, in words (required)")
	return cmd
}

func newHalt(env *cli.Env) *cobra.Command {
	return order(env, "halt --home DIR --reason WHY", "Blow this node's fuse: no verdicts, no signatures, until resumed", "admin_halt",
		"halted: this node gives no verdict and signs nothing until `conclave resume --local`",
		func(*cobra.Command) error { return nil })
}

func newResume(env *cli.Env) *cobra.Command {
	var local bool
	cmd := order(env, "resume --local --home DIR --reason WHY", "Mend this node's own fuse", "admin_resume",
		"resumed: this node takes part again",
		func(*cobra.Command) error {
			if !local {
				return cli.Errorf(cli.Usage, "--local mends this node's own fuse", "resume: --local is required")
			}
			return nil
		})
	cmd.Flags().BoolVar(&local, "local", false, "this node's own fuse (required)")
	return cmd
}
