package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/api"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// number reads an id or a height.
func number(what, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, cli.Errorf(cli.Usage, "", "%s: want a number, not %q", what, text)
	}
	return n, nil
}

type listFlags struct {
	stage, account string
	limit          int
	after          uint64
}

func newWithdrawals(env *cli.Env) *cobra.Command {
	var f listFlags
	cmd := question(env, "withdrawals [ID]", "Withdrawals, or one with its verdicts and why it is not paid yet", cobra.MaximumNArgs(1),
		func(t target, args []string) error {
			if len(args) == 0 {
				return f.list(env, t)
			}
			if f != (listFlags{}) {
				return cli.Errorf(cli.Usage, "", "withdrawals ID takes no --stage, --account, --limit or --after")
			}
			id, err := number("withdrawals", args[0])
			if err != nil {
				return err
			}
			v, raw, err := ask[node.WithdrawalView](t, "custodian_withdrawal", id)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeWithdrawal(env, w, v) })
		})
	cmd.Flags().StringVar(&f.stage, "stage", "", "only those of this stage")
	cmd.Flags().StringVar(&f.account, "account", "", "only those of this account")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "at most so many (default 100)")
	cmd.Flags().Uint64Var(&f.after, "after", 0, "only ids above this one")
	return cmd
}

func (f listFlags) list(env *cli.Env, t target) error {
	if f.limit < 0 {
		return cli.Errorf(cli.Usage, "", "--limit: want a positive number, not %d", f.limit)
	}
	q := node.WithdrawalQuery{Stage: f.stage, Limit: f.limit, After: f.after}
	if f.account != "" {
		if err := checkAddress("--account", f.account); err != nil {
			return err
		}
		account := common.HexToAddress(f.account)
		q.Account = &account
	}
	list, raw, err := ask[[]node.WithdrawalView](t, "custodian_withdrawals", q)
	if err != nil {
		return err
	}
	return env.Print(raw, func(w io.Writer) error {
		var rows [][]string
		for _, v := range list {
			rows = append(rows, []string{fmt.Sprint(v.ID), v.Stage, v.Account.Hex(), v.To.Hex(), v.Network, coins(v.Amount), optional(v.Height), optional(v.Tx)})
		}
		return env.Table(w, []string{"ID", "STAGE", "ACCOUNT", "TO", "NETWORK", "AMOUNT", "HEIGHT", "TRANSACTION"}, rows)
	})
}

// optional shows what may be absent.
func optional[T any](v *T) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func writeWithdrawal(env *cli.Env, w io.Writer, v node.WithdrawalView) error {
	_, err := fmt.Fprintf(w, "withdrawal   %d, event %d, requested %s\nstage        %s\naccount      %s\nto           %s on %s\namount       %s, fee %s\n"+
		"certified    %t\nheight       %s, nonce %s\ntransaction  %s, block %s\noutcome      %s, told to the Relay: %t, the Relay says %s\n",
		v.ID, v.EventID, v.Requested.Format(time.RFC3339), env.Paint(cli.Bold, v.Stage), v.Account.Hex(), v.To.Hex(), v.Network, coins(v.Amount), coins(v.Fee),
		v.Certified, optional(v.Height), optional(v.Nonce), optional(v.Tx), optional(v.Block), orDash(v.Outcome), v.Reported, orDash(v.RelayStatus))
	if len(v.Cancels) > 0 {
		_, line := fmt.Fprintf(w, "cancelled    at height %s: the final chain says whether it was paid before\n", ids(v.Cancels))
		err = errors.Join(err, line)
	}
	if v.Claim != nil {
		_, line := fmt.Fprintf(w, "claim        the recipient did not take it: %s is paid to %s, who calls claim(%s, %s) of contract %s\n",
			coins(v.Amount), v.To.Hex(), v.Claim.Token.Hex(), v.To.Hex(), v.Claim.Contract.Hex())
		err = errors.Join(err, line)
	}
	if len(v.Verdicts) > 0 {
		var rows [][]string
		for _, d := range v.Verdicts {
			word := "refuses: " + d.Reason
			if d.Approve {
				word = "approves"
			}
			rows = append(rows, []string{d.Name, d.Member.Hex(), word, d.Time.Format(time.RFC3339)})
		}
		_, line := fmt.Fprintln(w)
		err = errors.Join(err, line, env.Table(w, []string{"MEMBER", "ADDRESS", "VERDICT", "TIME"}, rows))
	}
	if len(v.Times) > 0 {
		var rows [][]string
		for i, t := range v.Times {
			took := ""
			if i > 0 {
				took = "+" + t.At.Sub(v.Times[i-1].At).String()
			}
			rows = append(rows, []string{t.Stage, t.At.Format("2006-01-02 15:04:05.000Z07:00"), took})
		}
		_, line := fmt.Fprintln(w)
		err = errors.Join(err, line, env.Table(w, []string{"CAME TO", "AT", "AFTER"}, rows))
	}
	if len(v.Explanation) > 0 {
		var rows [][]string
		for _, e := range v.Explanation {
			rows = append(rows, []string{e.Rule, e.Outcome, e.Observed, e.Threshold, e.Do})
		}
		_, line := fmt.Fprintln(w)
		err = errors.Join(err, line, env.Table(w, []string{"RULE", "SAYS", "OBSERVED", "THRESHOLD", "WHAT TO DO"}, rows))
	}
	return errors.Join(err, writeReasons(env, w, v.WhyNotYet))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newAccount(env *cli.Env) *cobra.Command {
	return question(env, "account ADDRESS", "An account in the node's books", cobra.ExactArgs(1), func(t target, args []string) error {
		if err := checkAddress("account", args[0]); err != nil {
			return err
		}
		a, raw, err := ask[node.AccountView](t, "custodian_account", common.HexToAddress(args[0]))
		if err != nil {
			return err
		}
		return env.Print(raw, func(w io.Writer) error { return writeAccount(env, w, a) })
	})
}

func writeAccount(env *cli.Env, w io.Writer, a node.AccountView) error {
	_, err := fmt.Fprintf(w, "account   %s\nbalance   %s, reserved %s, pending %s, short %s\nsequence  %d\nhead      %s\n",
		a.Address.Hex(), coins(a.Balance), coins(a.Reserved), coins(a.Pending), coins(a.Short), a.Sequence, a.Head.Hex())
	for _, f := range a.Frozen {
		_, line := fmt.Fprintf(w, "%s    %s: %s\n", env.Paint(cli.Bad, "frozen"), f.Code, f.Text)
		err = errors.Join(err, line)
	}
	var rows [][]string
	for _, e := range a.Recent {
		rows = append(rows, []string{fmt.Sprint(e.ID), fmt.Sprint(e.Kind), e.Amount, e.Time.Format(time.RFC3339)})
	}
	_, line := fmt.Fprintln(w)
	return errors.Join(err, line, env.Table(w, []string{"EVENT", "TYPE", "AMOUNT", "TIME"}, rows))
}

func newBatches(env *cli.Env) *cobra.Command {
	var q api.BatchQuery
	cmd := question(env, "batches [HEIGHT]", "Decisions, the newest first, or the one of a height", cobra.MaximumNArgs(1), func(t target, args []string) error {
		if len(args) == 0 {
			list, raw, err := ask[[]node.BatchView](t, "custodian_batches", q)
			if err != nil {
				return err
			}
			return env.Print(raw, func(w io.Writer) error { return writeBatches(env, w, list) })
		}
		height, err := number("batches", args[0])
		if err != nil {
			return err
		}
		b, raw, err := ask[node.BatchView](t, "custodian_batch", height)
		if err != nil {
			return err
		}
		return env.Print(raw, func(w io.Writer) error { return writeBatch(w, b) })
	})
	cmd.Flags().IntVar(&q.Limit, "limit", 0, "at most so many (default 100)")
	cmd.Flags().Uint64Var(&q.After, "after", 0, "continue below this height")
	return cmd
}

func writeBatches(env *cli.Env, w io.Writer, list []node.BatchView) error {
	var rows [][]string
	for _, b := range list {
		rows = append(rows, []string{fmt.Sprint(b.Height), b.Kind, orDash(b.Network), optional(b.Nonce), idsInARow(b.Items), idsInARow(b.Rejects), coins(b.Value), orDash(b.Stage), optional(b.Tx)})
	}
	return env.Table(w, []string{"HEIGHT", "KIND", "LANE", "NONCE", "PAYS", "REJECTS", "VALUE", "STAGE", "TRANSACTION"}, rows)
}

func ids(list []uint64) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Trim(fmt.Sprint(list), "[]")
}

// maxIDs is how many withdrawals a row of a table names.
const maxIDs = 6

// idsInARow is ids for a table: of many, how many, and the first and the last.
func idsInARow(list []uint64) string {
	if len(list) <= maxIDs {
		return ids(list)
	}
	return fmt.Sprintf("%d: %d … %d", len(list), list[0], list[len(list)-1])
}

func writeBatch(w io.Writer, b node.BatchView) error {
	signers := make([]string, len(b.Signers))
	for i, s := range b.Signers {
		signers[i] = s.Hex()
	}
	_, err := fmt.Fprintf(w, "height       %d, epoch %d, round %d, %s\nkind         %s\nid           %s\nlane         %s, nonce %s\npays         %s, %s\nrejects      %s\n"+
		"fees         offer %s wei, at most %s wei, %d gas\nstage        %s, %d signing sessions joined here\ntransaction  %s\nproposer     %s\nsigners      %s\n",
		b.Height, b.Epoch, b.Round, b.Time.Format(time.RFC3339), b.Kind, b.ID.Hex(), orDash(b.Network), optional(b.Nonce), ids(b.Items), coins(b.Value), ids(b.Rejects),
		b.Offer, b.FeeCap, b.GasLimit, orDash(b.Stage), b.Attempts, optional(b.Tx), b.Proposed.Hex(), strings.Join(signers, "\n             "))
	if len(b.Cancels) > 0 {
		_, line := fmt.Fprintf(w, "cancelled    at height %s\n", ids(b.Cancels))
		err = errors.Join(err, line)
	}
	return err
}
