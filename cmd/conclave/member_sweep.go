package main

import (
	"fmt"
	"strings"

	"conclave/node"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

// sweepFlag lets a verb that takes a share's value away order a sweep behind it.
func sweepFlag(cmd *cobra.Command, verb string) *bool {
	sweep := new(bool)
	if verb != "add" {
		cmd.Flags().BoolVar(sweep, "sweep", false, "for cause: afterwards a new key is made, and everything is moved to its address")
	}
	return sweep
}

// tellSweep says what a change does to the key, and what operators owe beside their signatures.
func tellSweep(b *strings.Builder, now quorum.Roster, change quorum.MemberChange, leaves int) {
	switch {
	case change.Sweep:
		b.WriteString("  and a sweep: these members then make a new key, all of them online; payouts go on meanwhile. Everything is moved to its address,\n" +
			"  tokens first and the coin last; payouts wait until it has come. At last the shares of the old key are destroyed.\n" +
			"  Send nothing to the old address from then on: what comes after the last sweep is lost with its key. Give the new address to whoever\n" +
			"  tops the payer up, and to each token's or exchange's list that names the old one. Until it is done, members cannot change again\n")
	case leaves > 0:
		fmt.Fprintf(b, "  %d old shares remain the key: the members destroy theirs and say so, which nobody can check, and copies in backups still count.\n"+
			"  A removal for cause needs a new key and a sweep of the funds to it: propose it with --sweep\n", now.Q())
	}
}

// writeSweep says how far a sweep is.
func writeSweep(b *strings.Builder, s *node.SweepView, members []node.OperatorView) {
	switch {
	case s == nil:
		return
	case s.Old != nil:
		fmt.Fprintf(b, "sweep: %s pays now, and %s is being emptied: send nothing there\n", s.Payer, s.Old)
	default:
		fmt.Fprintf(b, "sweep: a new key is to be made; until then %s pays on\n", s.Payer)
		if s.Ceremony != nil {
			writeCeremony(b, "  ", *s.Ceremony, members)
		}
	}
	if s.Waits != "" {
		fmt.Fprintf(b, "  waits: %s\n", s.Waits)
	}
}
