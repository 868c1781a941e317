package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// standing is the JSON of `member status`.
type standing struct {
	Epoch     uint64              `json:"epoch"`
	Members   []node.OperatorView `json:"members"`
	Need      int                 `json:"need"`
	Changes   []node.ProposalView `json:"changes"`
	Deletions []node.DeletionView `json:"deletions"`
	Sweep     *node.SweepView     `json:"sweep,omitempty"`
}

func newMemberStatus(env *cli.Env) *cobra.Command {
	return question(env, "status", "Changes of members that are proposed or carried out, and whose old shares are destroyed", cobra.NoArgs,
		func(t target, _ []string) error {
			c, _, err := ask[node.CommitteeView](t, "governance_committee")
			if err != nil {
				return err
			}
			list, _, err := ask[[]node.ProposalView](t, "governance_proposals")
			if err != nil {
				return err
			}
			s := standing{Epoch: c.Epoch, Members: c.Members, Need: c.Need, Changes: []node.ProposalView{}, Deletions: c.Deletions, Sweep: c.Sweep}
			for _, p := range list {
				if p.Change != nil {
					s.Changes = append(s.Changes, p)
				}
			}
			return env.Print(s, func(w io.Writer) error { return writeStanding(w, s) })
		})
}

func writeStanding(w io.Writer, s standing) error {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d: %d of %d decide: %s\n", s.Epoch, s.Need, len(s.Members), names(s.Members))
	if len(s.Changes) == 0 {
		b.WriteString("no change of members is proposed\n")
	}
	for _, p := range s.Changes {
		c := p.Change
		fmt.Fprintf(&b, "change %s, serial %d: %s\n", p.Hash, p.Serial, c.State)
		fmt.Fprintf(&b, "  %q: %d members, %d decide\n", c.Reason, c.Members, c.Quorum)
		if c.Sweep {
			b.WriteString("  and a sweep: a new key, and everything moved to its address\n")
		}
		for _, who := range []struct {
			what string
			list []node.OperatorView
		}{{"joins", c.Joins}, {"leaves", c.Leaves}, {"changes", c.Changed}} {
			if len(who.list) > 0 {
				fmt.Fprintf(&b, "  %s %s\n", who.what, names(who.list))
			}
		}
		fmt.Fprintf(&b, "  signed by %s: %d of the %d needed\n", orNobody(names(p.Signed)), len(p.Signed), p.Need)
		if c.Ceremony != nil {
			everyone := append(append([]node.OperatorView{}, s.Members...), c.Joins...)
			writeCeremony(&b, "  ", *c.Ceremony, everyone)
		}
		if p.Waits != "" {
			fmt.Fprintf(&b, "  waits: %s\n", p.Waits)
		}
	}
	writeSweep(&b, s.Sweep, s.Members)
	var gone, held []string
	for _, d := range s.Deletions {
		if d.Done {
			gone = append(gone, d.Name)
		} else {
			held = append(held, d.Name)
		}
	}
	if len(s.Deletions) > 0 {
		fmt.Fprintf(&b, "shares of epoch %d: destroyed by %s; not yet, or not heard of: %s\n", s.Epoch-1, orNobody(strings.Join(gone, ", ")), orNobody(strings.Join(held, ", ")))
	}
	return writeTo([]byte(b.String()))(w)
}

func orNobody(list string) string {
	if list == "" {
		return "nobody"
	}
	return list
}

// writeCeremony says how far a ceremony is; who is known is named.
func writeCeremony(b *strings.Builder, indent string, k node.KeygenStatus, who []node.OperatorView) {
	list := func(ids []common.Address) string {
		var out []string
		for _, id := range ids {
			name := id.Hex()
			for _, o := range who {
				if o.Member == id {
					name = o.Name
				}
			}
			out = append(out, name)
		}
		return strings.Join(out, ", ")
	}
	fmt.Fprintf(b, "%sceremony of epoch %d: ", indent, k.Epoch)
	switch {
	case k.Done:
		b.WriteString("all proofs are here, put to the vote")
	case k.Shares:
		fmt.Fprintf(b, "the new shares are made and tried; signed have: %s", orNobody(list(k.Tried)))
	default:
		fmt.Fprintf(b, "attempt %d, round %d of %d", k.Attempt, k.Round, k.Rounds)
		if len(k.Missing) > 0 {
			fmt.Fprintf(b, ", missing: %s", list(k.Missing))
		}
	}
	if k.Failed != "" {
		fmt.Fprintf(b, "; the attempt before: %s", k.Failed)
	}
	b.WriteByte('\n')
}

func newMemberReject(env *cli.Env) *cobra.Command {
	var d decree
	cmd := &cobra.Command{
		Use: "reject [--key-file F | --signature 0x… --time T] ID", Short: "Sign what makes a proposed change of members void", Args: cobra.ExactArgs(1),
		Long: "Sign what makes a proposed change of members void: the policy in force once more, under the next version and a higher serial.\n\n" +
			"Nothing has to be done about a change that fewer than q operators signed: not signing is enough, and signatures count for seven\n" +
			"days. One that q signed goes on until something with a higher serial is decided. This is that: no rule changes, and every action\n" +
			"of the old version is void; verdicts that are not decided yet are given again, which nodes do by themselves.",
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			if err := d.check("member reject"); err != nil {
				return err
			}
			c, err := d.committee()
			if err != nil {
				return err
			}
			v, a, err := d.held(c, args[0], quorum.ActionMembers)
			if err != nil {
				return err
			}
			file, err := sameRules(c)
			if err != nil {
				return err
			}
			// One above it, whoever rejects: the operators sign one action.
			veto, err := quorum.NewAction(c.Epoch, c.PolicyVersion, a.Serial+1, quorum.PolicyChange{File: file})
			if err != nil {
				return cli.With(cli.Usage, err, "")
			}
			if err := d.sign(env, "conclave member reject "+args[0], c, veto); err != nil {
				return err
			}
			if len(v.Signed) < v.Need {
				env.Note("%d of the %d operators needed signed the change: as it is, it does nothing", len(v.Signed), v.Need)
			} else {
				env.Note("the change goes on until %d operators have signed this; if it is decided first, this is void", v.Need)
			}
			return nil
		}),
	}
	d.register(cmd)
	return cmd
}

// policyVersion is the line that says a policy file's version.
var policyVersion = regexp.MustCompile(`(?m)^(version[ \t]*=[ \t]*)[0-9_]+`)

// sameRules is the policy file in force with the next version, and nothing else changed.
func sameRules(c node.CommitteeView) ([]byte, error) {
	was, err := quorum.ParsePolicy([]byte(c.PolicyFile))
	if err != nil || was.Version != c.PolicyVersion || was.Hash != c.PolicyHash {
		return nil, cli.Errorf(cli.Refused, "ask another node", "the policy that the node shows is not the one that it says is in force: %v", err)
	}
	at := policyVersion.FindStringSubmatchIndex(c.PolicyFile)
	if at == nil {
		return nil, cli.Errorf(cli.Failed, "`conclave policy show`, count the version up, `conclave policy propose`", "the policy file has its version in a place of its own")
	}
	file := fmt.Sprintf("%s%d%s", c.PolicyFile[:at[3]], was.Version+1, c.PolicyFile[at[1]:])
	now, err := quorum.ParsePolicy([]byte(file))
	if err != nil || now.Version != was.Version+1 {
		return nil, cli.Errorf(cli.Failed, "`conclave policy show`, count the version up, `conclave policy propose`", "the policy file's version cannot be counted up here: %v", err)
	}
	return []byte(file), nil
}

// writeChange says in `status` whether this node rules, and how far the ceremony is that makes or hands on the key.
func writeChange(w io.Writer, s node.Status) error {
	var b strings.Builder
	switch {
	case s.Removed:
		fmt.Fprintf(&b, "this node is out: it is no member of epoch %d, signs nothing, and the members close their connections\n", s.Epoch)
	case !s.Member:
		b.WriteString("this node is no member yet\n")
	}
	if k := s.Keygen; k != nil {
		var who []node.OperatorView
		for _, m := range s.Members {
			who = append(who, node.OperatorView{Name: m.Name, Member: m.Address})
		}
		what := "key generation"
		if k.Change != nil {
			what = "change of members " + k.Change.Hex()
		}
		b.WriteString(what + ": ")
		writeCeremony(&b, "", *k, who)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return writeTo([]byte(b.String()))(w)
}
