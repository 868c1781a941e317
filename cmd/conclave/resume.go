package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/api"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// resume is the flags of both ways to end halts.
type resume struct {
	decree
	local      bool
	halts, why string
}

func newResume(env *cli.Env) *cobra.Command {
	var r resume
	cmd := &cobra.Command{
		Use:   "resume (--local --home DIR | --halts all|ID,…) --reason WHY",
		Short: "Mend this node's own fuse, or end members' halts as an operator", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error { return r.run(env) }),
	}
	r.register(cmd)
	cmd.Flags().BoolVar(&r.local, "local", false, "this node's own fuse, over the socket of --home")
	cmd.Flags().StringVar(&r.halts, "halts", "", "the halts that a RESUME clears: their ids, or all that stand")
	cmd.Flags().StringVar(&r.why, "reason", "", "why, in words (required)")
	return cmd
}

func (r *resume) run(env *cli.Env) error {
	switch {
	case r.local == (r.halts != ""):
		return cli.Errorf(cli.Usage, "--local mends this node's own fuse; --halts ends what f+1 members halted", "resume: give one of --local and --halts")
	case r.local && r.home == "":
		return cli.Errorf(cli.Usage, "orders go over the socket in the node's home", "resume: --home is required")
	case r.why == "":
		return cli.Errorf(cli.Usage, "the other operators read it", "resume: --reason is required")
	case r.local:
		_, raw, err := ask[api.Ack](target{home: r.home}, "admin_resume", r.why)
		if err != nil {
			return err
		}
		return env.Print(raw, writeTo([]byte("resumed: this node takes part again\n")))
	}
	if err := r.check("resume"); err != nil {
		return err
	}
	c, err := r.committee()
	if err != nil {
		return err
	}
	halts, err := r.chosen(c)
	if err != nil {
		return err
	}
	a, err := next(c, quorum.NewResume(c.Network, halts, r.why))
	if err != nil {
		return err
	}
	if err := r.sign(env, fmt.Sprintf("conclave resume --halts %s --reason %q", r.halts, r.why), c, a); err != nil {
		return err
	}
	r.noteTooEarly(env, c, halts)
	return nil
}

// chosen are the halts to clear, as their members signed them.
func (r *resume) chosen(c node.CommitteeView) ([]quorum.Signed[quorum.Halt], error) {
	wanted := map[common.Hash]bool{}
	for _, id := range strings.Split(r.halts, ",") {
		if r.halts != "all" {
			wanted[common.HexToHash(strings.TrimSpace(id))] = true
		}
	}
	var members quorum.Members
	for _, m := range c.Members {
		members = append(members, m.Member)
	}
	var chosen []quorum.Signed[quorum.Halt]
	for _, h := range c.Halts {
		if r.halts != "all" && !wanted[h.ID] {
			continue
		}
		raw, err := hex.DecodeString(strings.TrimPrefix(h.Statement, "0x"))
		if err != nil {
			return nil, fmt.Errorf("halt %s: %w", h.ID, err)
		}
		s, err := quorum.Open[quorum.Halt](c.Network, members, raw)
		if err != nil {
			return nil, cli.Errorf(cli.Refused, "do not sign; ask another node", "halt %s: %w", h.ID, err)
		}
		chosen = append(chosen, s)
		delete(wanted, s.Body().ID(c.Network, s.Signer()))
	}
	for id := range wanted {
		return nil, cli.Errorf(cli.Usage, "`conclave resume --halts all` takes those that stand", "no halt %s stands at this node", id)
	}
	if len(chosen) == 0 {
		return nil, cli.Errorf(cli.Usage, "", "no halt stands at this node")
	}
	return fewest(chosen), nil
}

// noteTooEarly says that a signature of now does not count yet: the operators are to look at the halts for a while first. The
// median of their times decides, so one that came too early can still be made up for by others.
func (r *resume) noteTooEarly(env *cli.Env, c node.CommitteeView, halts []quorum.Signed[quorum.Halt]) {
	p, err := quorum.ParsePolicy([]byte(c.PolicyFile))
	if err != nil {
		return // a newer node's policy; the node itself says when it is too early
	}
	var times []uint64
	for _, h := range halts {
		times = append(times, h.Body().Time)
	}
	signed := r.at
	if signed == 0 {
		signed = uint64(time.Now().UnixMilli())
	}
	if ripe := quorum.LowerMedian(times) + uint64(p.ResumeDelay.Milliseconds()); signed < ripe {
		env.Note("too early: the policy lets operators end these halts from %s; sign then, or again then",
			time.UnixMilli(int64(ripe)).UTC().Format(time.RFC3339))
	}
}

// fewest leaves as many halts as one RESUME can list: of the members with fewest of them first, so that one that halts
// without end keeps nobody else's from being cleared. What is left over takes another RESUME.
func fewest(halts []quorum.Signed[quorum.Halt]) []quorum.Signed[quorum.Halt] {
	if len(halts) <= quorum.MaxResumed {
		return halts
	}
	of := map[common.Address]int{}
	for _, h := range halts {
		of[h.Signer()]++
	}
	slices.SortStableFunc(halts, func(a, b quorum.Signed[quorum.Halt]) int {
		return cmp.Or(cmp.Compare(of[a.Signer()], of[b.Signer()]), a.Signer().Cmp(b.Signer()), cmp.Compare(a.Body().Counter, b.Body().Counter))
	})
	return halts[:quorum.MaxResumed]
}
