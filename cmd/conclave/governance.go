package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// decree is how an operator signs: with a key file, or with a wallet elsewhere, which is shown typed data and whose answer
// is pasted back together with the time that stood in it.
type decree struct {
	target
	keyFile, signature, id string
	at                     uint64
}

func (d *decree) register(cmd *cobra.Command) {
	d.target.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&d.keyFile, "key-file", "", "the operator's key, mode 0600; without it and --signature the typed data for a wallet is printed")
	flags.StringVar(&d.signature, "signature", "", "what the wallet answered to eth_signTypedData_v4")
	flags.Uint64Var(&d.at, "time", 0, "signedAt of the typed data, with --signature")
	flags.StringVar(&d.id, "network-id", "", "refuse any other network")
}

// check refuses flags that do not go together.
func (d *decree) check(verb string) error {
	switch {
	case d.keyFile != "" && d.signature != "":
		return cli.Errorf(cli.Usage, "", "%s: give one of --key-file and --signature", verb)
	case (d.signature != "") != (d.at != 0):
		return cli.Errorf(cli.Usage, "the time stands in the typed data as signedAt", "%s: --signature and --time go together", verb)
	}
	return nil
}

// committee asks the node what operators sign against.
func (d *decree) committee() (node.CommitteeView, error) {
	c, _, err := ask[node.CommitteeView](d.target, "governance_committee")
	if err == nil && d.id != "" && common.HexToHash(d.id) != c.Network {
		err = cli.Errorf(cli.Refused, "ask the node of the other network", "the node is of network %s", c.Network)
	}
	return c, err
}

// next is the action of a body that can be decided next.
func next(c node.CommitteeView, body quorum.ActionBody) (quorum.Action, error) {
	a, err := quorum.NewAction(c.Epoch, c.PolicyVersion, c.Serial+1, body)
	return a, cli.With(cli.Usage, err, "")
}

// sign signs an action and hands it in, or prints what a wallet is to sign.
func (d *decree) sign(env *cli.Env, again string, c node.CommitteeView, a quorum.Action) error {
	if d.keyFile == "" && d.signature == "" {
		now := uint64(time.Now().UnixMilli())
		doc, err := governance.ActionTypedDataJSON(c.Network, a, now)
		if err != nil {
			return cli.With(cli.Usage, err, "")
		}
		env.Note("sign this with the operator's wallet, then: %s --time %d --signature 0x…", again, now)
		_, err = env.Stdout.Write(append(doc, '\n'))
		return err
	}
	e, err := d.endorse(c, a)
	if err != nil {
		return err
	}
	s := quorum.SignedAction{Action: a, Signatures: []quorum.Endorsed{e}}
	v, raw, err := ask[node.ProposalView](d.target, "governance_submit", "0x"+hex.EncodeToString(s.Encode()))
	if err != nil {
		return err
	}
	return env.Print(raw, func(w io.Writer) error { return showProposal(w, c, v, a) })
}

// endorse is the operator's signature, checked here: a node would only say that it is nobody's.
func (d *decree) endorse(c node.CommitteeView, a quorum.Action) (e quorum.Endorsed, err error) {
	if d.signature != "" {
		e.Time = d.at
		if e.Sig, err = governance.ParseSignature(d.signature); err != nil {
			return e, cli.With(cli.Usage, err, "paste what the wallet answered, 0x and 130 hex digits")
		}
	} else {
		key, err := config.ReadKey(d.keyFile)
		if err != nil {
			return e, cli.With(cli.Usage, fmt.Errorf("operator's key: %w", err), cli.HintOf(err))
		}
		if e, err = quorum.SignAction(key, c.Network, a, uint64(time.Now().UnixMilli())); err != nil {
			return e, err
		}
	}
	by, err := a.Operator(c.Network, e)
	if err != nil {
		return e, cli.With(cli.Refused, err, "")
	}
	if !slices.ContainsFunc(c.Members, func(m node.OperatorView) bool { return m.Operator == by }) {
		return e, cli.Errorf(cli.Refused, "was the typed data of this very action and time signed, and by an operator's key?", "%s is not an operator of this network", by)
	}
	return e, nil
}

// held asks the node for an action and reads it from its bytes: what is shown and signed is what the hash names.
func (d *decree) held(c node.CommitteeView, text string, kinds ...quorum.ActionKind) (node.ProposalView, quorum.Action, error) {
	var none quorum.Action
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(raw) != common.HashLength {
		return node.ProposalView{}, none, cli.Errorf(cli.Usage, "`conclave governance list` shows the hashes", "%q is no hash of an action", text)
	}
	v, _, err := ask[node.ProposalView](d.target, "governance_proposal", common.BytesToHash(raw))
	if err != nil {
		return v, none, err
	}
	signed, err := hex.DecodeString(strings.TrimPrefix(v.RLP, "0x"))
	if err != nil {
		return v, none, fmt.Errorf("governance_proposal: %w", err)
	}
	s, err := quorum.DecodeSignedAction(signed)
	if err == nil && s.Action.Hash(c.Network) != common.BytesToHash(raw) {
		err = cli.Errorf(cli.Refused, "do not sign; ask another node", "the node shows another action than the hash names")
	}
	if err == nil && len(kinds) > 0 && !slices.Contains(kinds, s.Action.Kind) {
		err = cli.Errorf(cli.Usage, "`conclave governance sign` signs any action", "the action is a %s", s.Action.Kind)
	}
	return v, s.Action, err
}

// newSign makes a verb that adds an operator's signature to an action which the node holds.
func newSign(env *cli.Env, path, short string, kinds ...quorum.ActionKind) *cobra.Command {
	var d decree
	cmd := &cobra.Command{
		Use: "sign [--key-file F | --signature 0x… --time T] HASH", Short: short, Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if err := d.check(path); err != nil {
				return err
			}
			c, err := d.committee()
			if err != nil {
				return err
			}
			_, a, err := d.held(c, args[0], kinds...)
			if err != nil {
				return err
			}
			return d.sign(env, "conclave "+path+" "+args[0], c, a)
		}),
	}
	d.register(cmd)
	return cmd
}

func newGovernance(env *cli.Env) *cobra.Command {
	return env.Group("governance", "What operators decide: actions that are signed and not decided yet",
		newProposals(env), newProposal(env), newSign(env, "governance sign", "Add an operator's signature to an action that the node holds"),
		newSubmit(env), newReadmit(env))
}

func newProposals(env *cli.Env) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "list", Short: "The actions that are not decided yet", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			list, raw, err := ask[[]node.ProposalView](t, "governance_proposals")
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error {
				var rows [][]string
				for _, p := range list {
					rows = append(rows, []string{strconv.FormatUint(p.Serial, 10), p.Kind, fmt.Sprintf("%d/%d", len(p.Signed), p.Need), p.Hash.Hex(), p.Waits})
				}
				return env.Table(w, []string{"SERIAL", "KIND", "SIGNED", "HASH", "WAITS"}, rows)
			})
		}),
	}
	t.register(cmd)
	return cmd
}

func newProposal(env *cli.Env, kinds ...quorum.ActionKind) *cobra.Command {
	var d decree
	cmd := &cobra.Command{
		Use: "show HASH", Short: "What an action does, and who signed it", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			c, err := d.committee()
			if err != nil {
				return err
			}
			v, a, err := d.held(c, args[0], kinds...)
			if err != nil {
				return err
			}
			return env.Print(v, func(w io.Writer) error { return showProposal(w, c, v, a) })
		}),
	}
	d.target.register(cmd)
	return cmd
}
