package main

import (
	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/api"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

func newHalt(env *cli.Env) *cobra.Command {
	var home, why, account string
	var on node.HaltTarget
	cmd := &cobra.Command{
		Use:   "halt [--lane NETWORK | --account 0x…] --home DIR --reason WHY",
		Short: "Blow this node's fuse, for all, a lane or an account: no verdicts, no signatures, until resumed", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			done := "halted: this node gives no verdict and signs nothing until `conclave resume --local`"
			switch {
			case home == "":
				return cli.Errorf(cli.Usage, "orders go over the socket in the node's home", "halt: --home is required")
			case why == "":
				return cli.Errorf(cli.Usage, "the other operators read it", "halt: --reason is required")
			case account != "" && on.Lane != "":
				return cli.Errorf(cli.Usage, "a second halt can name the other", "halt: give one of --lane and --account")
			case account != "" && !common.IsHexAddress(account):
				return cli.Errorf(cli.Usage, "", "halt: %q is no address", account)
			case account != "":
				address := common.HexToAddress(account)
				on.Account = &address
				done = "halted: this node neither judges nor signs for the account until `conclave resume --local`"
			case on.Lane != "":
				done = "halted: this node neither judges nor signs on the lane until `conclave resume --local`; later payments on its chain wait too"
			}
			_, raw, err := ask[api.Ack](target{home: home}, "admin_halt", why, on)
			if err != nil {
				return err
			}
			return env.Print(raw, writeTo([]byte(done+"\n")))
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&why, "reason", "", "why, in words (required)")
	cmd.Flags().StringVar(&on.Lane, "lane", "", "a lane alone, by its network's name")
	cmd.Flags().StringVar(&account, "account", "", "an account alone")
	return cmd
}
