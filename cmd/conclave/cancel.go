package main

import (
	"fmt"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// cancel is the flags of a CANCEL.
type cancel struct {
	decree
	lane, payer, why string
	nonce            uint64
}

func newCancel(env *cli.Env) *cobra.Command {
	var x cancel
	cmd := &cobra.Command{
		Use:   "cancel --lane NETWORK --nonce N [--payer 0x…] --reason WHY",
		Short: "As an operator, free a nonce whose payment is stuck or shall not be made", Args: cobra.NoArgs,
		Long: "As an operator, free a nonce whose payment is stuck or shall not be made.\n\n" +
			"What was decided for the nonce last is asked of the node, shown, and named by hash in what is signed. From the decision of q operators on\n" +
			"only a transfer of nothing to the payer itself is signed at the nonce, dearer than whatever was signed before. Which of them the chain takes\n" +
			"is not known before it is final: its withdrawals are paid once more only when q members certify that they were not paid.\n" +
			"A withdrawal that shall not be paid at all wants more: halt its account first, and resolve it when it was released.",
		RunE: env.Run(func(c *cobra.Command, _ []string) error { return x.run(env, c.Flags().Changed("nonce")) }),
	}
	x.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&x.lane, "lane", "", "the network whose chain the nonce is on (required)")
	flags.Uint64Var(&x.nonce, "nonce", 0, "the nonce (required)")
	flags.StringVar(&x.payer, "payer", "", "whose nonce it is, when not of the payer in force")
	flags.StringVar(&x.why, "reason", "", "why, in words (required)")
	return cmd
}

func (x *cancel) run(env *cli.Env, named bool) error {
	switch {
	case x.lane == "" || !named:
		return cli.Errorf(cli.Usage, "the alert payout-stuck says both", "cancel: --lane and --nonce are required")
	case x.why == "":
		return cli.Errorf(cli.Usage, "the other operators read it", "cancel: --reason is required")
	}
	q := node.SlotQuery{Lane: x.lane, Nonce: x.nonce}
	if x.payer != "" {
		if err := checkAddress("--payer", x.payer); err != nil {
			return err
		}
		payer := common.HexToAddress(x.payer)
		q.Payer = &payer
	}
	if err := x.check("cancel"); err != nil {
		return err
	}
	c, err := x.committee()
	if err != nil {
		return err
	}
	s, _, err := ask[node.SlotView](x.target, "governance_slot", q)
	if err != nil {
		return err
	}
	if s.Closed {
		return cli.Errorf(cli.Refused, "`conclave batches` shows it", "nonce %d is final: it is %s", s.Nonce, s.Stage)
	}
	a, err := next(c, quorum.CancelSlot{Lane: quorum.LaneKey{ChainID: s.ChainID, Token: s.Token, Payer: s.Payer}, Nonce: s.Nonce, Batch: s.Last, Reason: x.why})
	if err != nil {
		return err
	}
	again := fmt.Sprintf("conclave cancel --lane %s --nonce %d --payer %s --reason %q", x.lane, s.Nonce, s.Payer, x.why)
	env.Note("%s", slotText(s))
	return x.sign(env, again, c, a)
}

// slotText says in words what a nonce holds: the wallet shows a hash.
func slotText(s node.SlotView) string {
	what := "nobody: a sweep of the old payer"
	if len(s.Items) > 0 {
		what = "withdrawals " + ids(s.Items)
	}
	text := fmt.Sprintf("nonce %d of %s on %s (chain %d), of height %d, is %s: it pays %s, %s in all",
		s.Nonce, s.Payer, s.Network, s.ChainID, s.Height, s.Stage, what, coins(s.Value))
	if len(s.Cancels) > 0 {
		text += ", and was cancelled at height " + ids(s.Cancels)
	}
	return text + fmt.Sprintf("; what is signed last pays at most %s wei per gas, a CANCEL offers an eighth more", s.FeeCap)
}
