package main

import (
	"fmt"
	"io"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

func newMember(env *cli.Env) *cobra.Command {
	approve := newSign(env, "member approve", "Add an operator's signature to a change of members", quorum.ActionMembers)
	approve.Use = strings.Replace(approve.Use, "sign ", "approve ", 1)
	return env.Group("member", "Who rules: the members in force, and how operators change them",
		newMemberList(env), newMemberPropose(env), newMemberShow(env), approve, newMemberReject(env), newMemberStatus(env), newMemberInvite(env))
}

// source is whom a verb asks for the committee in force: a node, or, away from any network, the genesis document.
type source struct {
	decree
	genesis        string
	serial, policy uint64
}

func (s *source) register(cmd *cobra.Command) {
	s.decree.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.genesis, "genesis", "", "ask no node: the committee is that of this document, which holds until the first change")
	flags.Uint64Var(&s.serial, "serial", 1, "with --genesis: the action's serial, one above that of the last decided one")
	flags.Uint64Var(&s.policy, "policy-version", 0, "with --genesis: the policy's version in force (default: the document's)")
}

// committee asks the node, or reads the document.
func (s *source) committee() (node.CommitteeView, error) {
	if s.genesis == "" {
		return s.decree.committee()
	}
	var c node.CommitteeView
	if s.rpc != "" || s.home != "" {
		return c, cli.Errorf(cli.Usage, "", "give --genesis, or the node to ask")
	}
	g, err := readGenesis(s.genesis)
	if err != nil {
		return c, err
	}
	if err := expectID(g, s.id); err != nil {
		return c, err
	}
	p, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return c, err
	}
	c = node.CommitteeView{Network: g.ID(), Name: g.Name, Epoch: 1, Need: quorum.Size(len(g.Members)), PolicyVersion: p.Version, PolicyHash: p.Hash,
		PolicyFile: g.Policy, Serial: max(s.serial, 1) - 1}
	if s.policy != 0 {
		c.PolicyVersion = s.policy
	}
	for _, m := range g.Members {
		c.Members = append(c.Members, node.OperatorView{Name: m.Name, Member: m.Address, Operator: m.Operator})
		c.Records = append(c.Records, node.ViewRecord(m))
	}
	return c, nil
}

// roster is the committee in force, whole.
func roster(c node.CommitteeView) (quorum.Roster, error) {
	var members []quorum.Member
	for _, v := range c.Records {
		m, err := v.Record()
		if err != nil {
			return quorum.Roster{}, fmt.Errorf("governance_committee: %w", err)
		}
		members = append(members, m)
	}
	r, err := quorum.NewRoster(c.Epoch, members)
	return r, cli.With(cli.Failed, err, "does the node run this version of conclave?")
}

// memberNamed finds a member by its name or address.
func memberNamed(r quorum.Roster, text string) (quorum.Member, error) {
	for _, m := range r.Members {
		if m.Name == text || (common.IsHexAddress(text) && m.Address == common.HexToAddress(text)) {
			return m, nil
		}
	}
	return quorum.Member{}, cli.Errorf(cli.Usage, "`conclave member list` shows them", "no member is called %q", text)
}

func newMemberList(env *cli.Env) *cobra.Command {
	return question(env, "list", "The members in force", cobra.NoArgs, func(t target, _ []string) error {
		c, raw, err := ask[node.CommitteeView](t, "governance_committee")
		if err != nil {
			return err
		}
		return env.Print(raw, func(w io.Writer) error {
			var rows [][]string
			for _, m := range c.Records {
				rows = append(rows, []string{m.Name, m.Member.Hex(), m.Operator.Hex(), strings.Join(m.Multiaddrs, " ")})
			}
			if _, err := fmt.Fprintf(w, "epoch %d: %d of %d members decide, and %d shares sign\n\n", c.Epoch, c.Need, len(c.Members), c.Need); err != nil {
				return err
			}
			return env.Table(w, []string{"MEMBER", "NODE", "OPERATOR", "LISTENS ON"}, rows)
		})
	})
}

func newMemberShow(env *cli.Env) *cobra.Command {
	cmd := newProposal(env, quorum.ActionMembers)
	cmd.Use, cmd.Short = "show ID", "Who comes and who goes by a proposed change, who signed it, and how far it is"
	return cmd
}

func newMemberInvite(env *cli.Env) *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use: "invite", Short: "Print the string that a newcomer gives to `conclave network join --invitation`", Args: cobra.NoArgs,
		Long: "Print the string that a newcomer gives to `conclave network join --invitation`, with the genesis document's file.\n\n" +
			"It says where the members in force are, and nothing that is secret. It makes nobody a member.",
		RunE: env.Run(func(*cobra.Command, []string) error {
			c, err := s.committee()
			if err != nil {
				return err
			}
			r, err := roster(c)
			if err != nil {
				return err
			}
			text := quorum.Invitation{Network: c.Network, Members: r.Members}.String()
			return env.Print(map[string]any{"network_id": c.Network, "epoch": c.Epoch, "invitation": text}, writeTo([]byte(text+"\n")))
		}),
	}
	s.target.register(cmd)
	cmd.Flags().StringVar(&s.genesis, "genesis", "", "ask no node: the members are those of this document")
	cmd.Flags().StringVar(&s.id, "network-id", "", "refuse any other network")
	return cmd
}
