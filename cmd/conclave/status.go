package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// question makes a verb that asks a node one thing and shows the answer.
func question(env *cli.Env, use, short string, args cobra.PositionalArgs, run func(t target, args []string) error) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: env.Run(func(_ *cobra.Command, args []string) error { return run(t, args) }),
	}
	t.register(cmd)
	return cmd
}

func newStatus(env *cli.Env) *cobra.Command {
	return question(env, "status", "The node, its network, members, books, lanes, and why something does not go on", cobra.NoArgs,
		func(t target, _ []string) error {
			s, raw, err := ask[node.Status](t, "custodian_status")
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeStatus(env, w, s) })
		})
}

func writeStatus(env *cli.Env, w io.Writer, s node.Status) error {
	b := s.Books
	_, err := fmt.Fprintf(w, "%s %s, up %s, version %s\nnetwork %s %s\nheight %d, epoch %d, %d of %d decide; round %d, %s\n"+
		"books: %d events, settled up to %d of %d, %d gaps; %d accounts, %d frozen; owed %s, uncovered %s\n\n",
		env.Paint(cli.Bold, s.Node.Name), s.Node.Address.Hex(), s.Node.Uptime, s.Version, s.Network.Name, s.Network.ID.Hex(),
		s.Height, s.Epoch, s.Quorum, len(s.Members), s.Round.Round, s.Round.Step,
		b.Events, b.SettledID, b.LastID, b.Gaps, b.Accounts, b.Frozen, coins(b.Liabilities), coins(b.Uncovered))
	return errors.Join(err, writeChange(w, s), writeMembers(env, w, s), blank(w), writeLanes(env, w, s.Lanes), writeReasons(env, w, s.Reasons))
}

func writeMembers(env *cli.Env, w io.Writer, s node.Status) error {
	var rows [][]string
	for _, m := range s.Members {
		state := "away"
		switch {
		case m.Halted:
			state = "halted"
		case m.Self:
			state = "this node"
		case m.Connected:
			state = "connected"
		}
		seen := ""
		if m.LastSeen != nil && !m.Self {
			seen = max(s.Node.Time.Sub(*m.LastSeen), 0).Round(time.Second).String() + " ago"
		}
		rows = append(rows, []string{m.Name, m.Address.Hex(), state, seen, fmt.Sprint(m.Height), fmt.Sprint(m.Settled)})
	}
	return env.Table(w, []string{"MEMBER", "ADDRESS", "STATE", "SEEN", "HEIGHT", "SETTLED"}, rows)
}

func blank(w io.Writer) error {
	_, err := fmt.Fprintln(w)
	return err
}

func writeLanes(env *cli.Env, w io.Writer, lanes []node.LaneStatus) error {
	var rows [][]string
	for _, l := range lanes {
		payer, balance := "no key yet", l.Balance
		if l.Payer != nil {
			payer = l.Payer.Hex()
		}
		if l.Token == (common.Address{}) {
			balance = coins(balance) // a token's decimals are its own
		}
		rows = append(rows, []string{l.Network, payer, balance, coins(l.Gas), fmt.Sprint(l.Nonce), fmt.Sprint(l.InFlight), fmt.Sprint(l.Queue), fmt.Sprint(l.Block)})
	}
	return errors.Join(env.Table(w, []string{"LANE", "PAYER", "BALANCE", "GAS", "NONCE", "IN FLIGHT", "QUEUE", "FINAL BLOCK"}, rows), writeEndpoints(env, w, lanes))
}

// writeEndpoints shows how the endpoints of each lane do; those with one alone are told of by its alert.
func writeEndpoints(env *cli.Env, w io.Writer, lanes []node.LaneStatus) error {
	var rows [][]string
	when := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.Format(time.RFC3339)
	}
	for _, l := range lanes {
		for _, e := range l.Endpoints {
			state := "answers"
			if e.Failing != nil {
				state = "fails since " + when(e.Failing) + ": " + e.Error
			}
			rows = append(rows, []string{l.Network, e.Name, when(e.Answered), fmt.Sprint(e.Block), fmt.Sprint(e.Behind), fmt.Sprint(e.Failures),
				fmt.Sprint(e.Disagreements), state})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w)
	return errors.Join(err, env.Table(w, []string{"LANE", "ENDPOINT", "ANSWERED", "FINAL BLOCK", "BEHIND", "FAILURES", "DISAGREED", "STATE"}, rows))
}

func writeReasons(env *cli.Env, w io.Writer, reasons []node.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w)
	var rows [][]string
	for _, r := range reasons {
		rows = append(rows, []string{r.Code, r.Text, r.Hint})
	}
	return errors.Join(err, env.Table(w, []string{"REASON", "WHAT", "WHAT TO DO"}, rows))
}

func newPeers(env *cli.Env) *cobra.Command {
	return question(env, "peers", "The node's connections to the other members", cobra.NoArgs, func(t target, _ []string) error {
		peers, raw, err := ask[[]node.Peer](t, "custodian_peers")
		if err != nil {
			return err
		}
		return env.Print(raw, func(w io.Writer) error {
			var rows [][]string
			for _, p := range peers {
				state := "away"
				if p.Connected {
					state = "connected"
				}
				rows = append(rows, []string{p.Address.Hex(), state, p.Since.Format(time.RFC3339), fmt.Sprint(p.Refused), fmt.Sprint(p.Throttled),
					fmt.Sprint(p.Dropped), strings.Join(p.Multiaddrs, " ")})
			}
			return env.Table(w, []string{"ADDRESS", "STATE", "SINCE", "REFUSED", "THROTTLED", "DROPPED", "LISTENS ON"}, rows)
		})
	})
}

// coins shows wei as coins, without rounding.
func coins(wei string) string {
	const decimals = 18
	wei = strings.Repeat("0", max(decimals+1-len(wei), 0)) + wei
	whole, rest := wei[:len(wei)-decimals], strings.TrimRight(wei[len(wei)-decimals:], "0")
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}
