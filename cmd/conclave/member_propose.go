package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

// recast makes the members to come out of those in force, and says in words why.
type recast func(now quorum.Roster, args []string) (members []quorum.Member, why string, err error)

func newMemberPropose(env *cli.Env) *cobra.Command {
	return env.Group("propose", "Put another committee to the operators: q of them let the members hand the key on to it",
		proposeVerb(env, "add RECORD-FILE", "A newcomer joins; the file is what its `conclave init` printed", cobra.ExactArgs(1), added),
		proposeVerb(env, "remove NAME-or-ADDRESS", "A member leaves", cobra.ExactArgs(1), removed),
		proposeVerb(env, "replace NAME-or-ADDRESS RECORD-FILE", "A member leaves and another joins, or the same comes with another record", cobra.ExactArgs(2), replaced),
		proposeVerb(env, "rotate", "The same members, with fresh shares", cobra.NoArgs, rotated))
}

func added(now quorum.Roster, args []string) ([]quorum.Member, string, error) {
	m, err := readRecord(args[0])
	if err != nil {
		return nil, "", err
	}
	if _, is := now.Find(m.Address); is {
		return nil, "", cli.Errorf(cli.Usage, "`conclave member propose replace` puts another record in place of one", "%s (%s) is a member already", m.Name, m.Address)
	}
	return append(slices.Clone(now.Members), m.Member), m.Name + " joins", nil
}

func removed(now quorum.Roster, args []string) ([]quorum.Member, string, error) {
	m, err := memberNamed(now, args[0])
	if err != nil {
		return nil, "", err
	}
	return without(now, m), m.Name + " leaves", nil
}

func replaced(now quorum.Roster, args []string) ([]quorum.Member, string, error) {
	was, err := memberNamed(now, args[0])
	if err != nil {
		return nil, "", err
	}
	m, err := readRecord(args[1])
	if err != nil {
		return nil, "", err
	}
	if quorum.MemberDigest(m.Member) == quorum.MemberDigest(was) {
		return nil, "", cli.Errorf(cli.Usage, "`conclave member propose rotate` makes fresh shares", "this is the record that %s has", was.Name)
	}
	if _, is := now.Find(m.Address); is && m.Address != was.Address {
		return nil, "", cli.Errorf(cli.Usage, "", "%s (%s) is a member already", m.Name, m.Address)
	}
	return append(without(now, was), m.Member), fmt.Sprintf("%s in place of %s", m.Name, was.Name), nil
}

func rotated(now quorum.Roster, _ []string) ([]quorum.Member, string, error) {
	return now.Members, "fresh shares", nil
}

func without(now quorum.Roster, m quorum.Member) []quorum.Member {
	return slices.DeleteFunc(slices.Clone(now.Members), func(o quorum.Member) bool { return o.Address == m.Address })
}

// proposeVerb makes a verb that proposes a committee.
func proposeVerb(env *cli.Env, use, short string, args cobra.PositionalArgs, how recast) *cobra.Command {
	var s source
	var why string
	var sweep *bool
	verb, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use + " [--reason WHY] [--key-file F | --signature 0x… --time T]", Short: short, Args: args,
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if err := s.check("member propose " + verb); err != nil {
				return err
			}
			c, err := s.committee()
			if err != nil {
				return err
			}
			now, err := roster(c)
			if err != nil {
				return err
			}
			members, reason, err := how(now, args)
			if err != nil {
				return err
			}
			if why != "" {
				reason = why
			}
			change := quorum.NewMemberChange(members, reason)
			change.Sweep = *sweep
			a, err := s.place(c, change)
			if err != nil {
				return err
			}
			again := "conclave member propose " + verb
			for _, arg := range args {
				again += fmt.Sprintf(" %q", arg)
			}
			if *sweep {
				again += " --sweep"
			}
			return s.propose(env, fmt.Sprintf("%s --reason %q", again, reason), c, now, a, change)
		}),
	}
	s.register(cmd)
	sweep = sweepFlag(cmd, verb)
	cmd.Flags().StringVar(&why, "reason", "", "why, in words; the others read it (default: who comes and goes)")
	return cmd
}

// place is the action of a change: the one that operators sign already, when it is the same change, else one behind every change
// that is carried out, so that it takes its place. Only what q operators signed counts: one alone cannot use serials up.
func (s *source) place(c node.CommitteeView, change quorum.MemberChange) (quorum.Action, error) {
	a, err := next(c, change)
	if err != nil || s.genesis != "" {
		return a, err
	}
	list, _, err := ask[[]node.ProposalView](s.target, "governance_proposals")
	if err != nil {
		return a, err
	}
	var same []quorum.Action
	for _, p := range list {
		if p.Change == nil {
			continue
		}
		_, open, err := s.held(c, p.Hash.Hex(), quorum.ActionMembers)
		if err != nil {
			return a, err
		}
		if bytes.Equal(open.Body, a.Body) && open.Epoch == a.Epoch && open.Policy == a.Policy {
			same = append(same, open)
		} else if len(p.Signed) >= p.Need {
			a.Serial = max(a.Serial, open.Serial+1)
		}
	}
	slices.SortFunc(same, func(x, y quorum.Action) int { return cmp.Compare(x.Serial, y.Serial) })
	for _, open := range same {
		if open.Serial >= a.Serial {
			return open, nil
		}
	}
	return a, nil
}

// propose signs and hands in, or says what is to be signed. Away from any network, what was signed is printed.
func (s *source) propose(env *cli.Env, again string, c node.CommitteeView, now quorum.Roster, a quorum.Action, change quorum.MemberChange) error {
	if s.genesis != "" {
		again += fmt.Sprintf(" --genesis %s --serial %d", s.genesis, a.Serial)
	}
	if s.keyFile == "" && s.signature == "" {
		var b strings.Builder
		tellChange(&b, now, change)
		for _, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
			env.Note("%s", line)
		}
	}
	if s.genesis == "" || (s.keyFile == "" && s.signature == "") {
		return s.sign(env, again, c, a)
	}
	e, err := s.endorse(c, a)
	if err != nil {
		return err
	}
	text := "0x" + hex.EncodeToString(quorum.SignedAction{Action: a, Signatures: []quorum.Endorsed{e}}.Encode())
	env.Note("hand it in at any member's node: conclave governance submit FILE")
	return env.Print(map[string]any{"hash": a.Hash(c.Network), "rlp": text}, writeTo([]byte(text+"\n")))
}

// tellChange says in words what a change of members does.
func tellChange(b *strings.Builder, now quorum.Roster, change quorum.MemberChange) {
	after := quorum.Roster{Members: change.Members}
	joins, leaves, changed := change.Differs(now)
	line := func(what string, ids quorum.Members, in quorum.Roster) {
		for _, id := range ids {
			m, _ := in.Find(id)
			fmt.Fprintf(b, "  %-8s %q, node %s, operator %s, at %s\n", what, m.Name, m.Address, m.Operator, strings.Join(m.Multiaddrs, " "))
		}
	}
	line("joins", joins, after)
	line("leaves", leaves, now)
	line("changes", changed, after)
	if len(joins)+len(leaves)+len(changed) == 0 {
		b.WriteString("  nobody joins or leaves: the same members get fresh shares\n")
	}
	stays := "the address that pays stays the same"
	if change.Sweep {
		stays = "the address that pays changes"
	}
	fmt.Fprintf(b, "  then %d of %d members decide, and %d shares sign (now %d of %d); %s\n", after.Q(), len(after.Members), after.Q(), now.Q(), len(now.Members), stays)
	if len(after.Members) < recommendedMembers {
		fmt.Fprintf(b, "  %d members: safe, but one node down stops payouts; for pilots only\n", len(after.Members))
	}
	tellSweep(b, now, change, len(leaves))
}

// newSubmit hands in what was signed elsewhere.
func newSubmit(env *cli.Env) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "submit FILE", Short: "Hand in an action that was signed away from the network", Args: cobra.ExactArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			file, err := os.ReadFile(args[0])
			if err != nil {
				return cli.With(cli.Usage, err, "")
			}
			raw, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(file)), "0x"))
			if err != nil {
				return cli.Errorf(cli.Usage, "the file holds what the signing verb printed", "%s: want 0x and hex digits", args[0])
			}
			s, err := quorum.DecodeSignedAction(raw)
			if err != nil {
				return cli.With(cli.Usage, fmt.Errorf("%s: %w", args[0], err), "")
			}
			d := decree{target: t}
			c, err := d.committee()
			if err != nil {
				return err
			}
			v, answer, err := ask[node.ProposalView](t, "governance_submit", "0x"+hex.EncodeToString(raw))
			if err != nil {
				return err
			}
			return env.Print(answer, func(w io.Writer) error { return showProposal(w, c, v, s.Action) })
		}),
	}
	t.register(cmd)
	return cmd
}
