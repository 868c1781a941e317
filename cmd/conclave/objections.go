package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/api"

	"github.com/spf13/cobra"
)

func newObjections(env *cli.Env) *cobra.Command {
	cmd := env.Group("objections", "Withdrawals that this node's operator holds back", newObjectionsAdd(env), newObjectionsRemove(env), newObjectionsList(env))
	cmd.Long = "An objecting operator's node gives no verdict on the withdrawal. f+1 objecting operators leave too few nodes to pay it;\n" +
		"RESOLVE by the operators then decides."
	return cmd
}

func newObjectionsAdd(env *cli.Env) *cobra.Command {
	var home, why string
	cmd := &cobra.Command{
		Use: "add ID --home DIR --reason WHY", Short: "Make this node wait with a withdrawal, listed or not yet", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			id, err := number("objections add", args[0])
			if err != nil {
				return err
			}
			switch {
			case home == "":
				return cli.Errorf(cli.Usage, "orders go over the socket in the node's home", "objections add: --home is required")
			case why == "":
				return cli.Errorf(cli.Usage, "it is shown with the withdrawal", "objections add: --reason is required")
			}
			ack, raw, err := ask[api.ObjectionAck](target{home: home}, "admin_object", id, why)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error {
				text := fmt.Sprintf("this node waits with withdrawal %d until `conclave objections remove %d`\n", id, id)
				if ack.Late {
					text = fmt.Sprintf("noted, but this node's verdict on withdrawal %d is out: only a later policy asks again. `conclave halt` stops it now\n", id)
				}
				return writeTo([]byte(text))(w)
			})
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&why, "reason", "", "why, in words (required)")
	return cmd
}

func newObjectionsRemove(env *cli.Env) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use: "remove ID --home DIR", Short: "Take an objection back", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			id, err := number("objections remove", args[0])
			if err != nil {
				return err
			}
			if home == "" {
				return cli.Errorf(cli.Usage, "orders go over the socket in the node's home", "objections remove: --home is required")
			}
			_, raw, err := ask[api.Ack](target{home: home}, "admin_endObjection", id)
			if err != nil {
				return err
			}
			return env.Print(raw, writeTo([]byte(fmt.Sprintf("this node judges withdrawal %d again\n", id))))
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the node's home (required)")
	return cmd
}

func newObjectionsList(env *cli.Env) *cobra.Command {
	return question(env, "list", "What this node's operator objects to", cobra.NoArgs, func(t target, _ []string) error {
		list, raw, err := ask[[]node.ObjectionView](t, "custodian_objections")
		if err != nil {
			return err
		}
		return env.Print(raw, func(w io.Writer) error {
			if len(list) == 0 {
				return writeTo([]byte("no objections\n"))(w)
			}
			table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "WITHDRAWAL\tSINCE\tREASON")
			for _, o := range list {
				_, _ = fmt.Fprintf(table, "%d\t%s\t%s\n", o.ID, o.Since.Format(time.RFC3339), o.Reason)
			}
			return table.Flush()
		})
	})
}
