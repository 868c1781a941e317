package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/chain/payout"
	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/spf13/cobra"
)

// checkTimeout bounds the questions to one endpoint.
const checkTimeout = 30 * time.Second

// finding is one line of `lane check`, and of `doctor`.
type finding struct {
	Part  string `json:"part"` // the lane's network, or what else was looked at
	Of    string `json:"of"`   // the endpoint, "" for the lane's own settings
	Check string `json:"check"`
	State string `json:"state"` // stateOf
	Text  string `json:"text"`
}

// The states of a finding. What is unknown does not fail the command: it is printed, and a person decides.
const (
	stateGood    = "good"
	stateWrong   = "wrong"
	stateUnknown = "unknown"
)

func newLaneCheck(env *cli.Env) *cobra.Command {
	var s laneSource
	var payer string
	cmd := &cobra.Command{
		Use: "check --home DIR", Short: "Compare lanes with what their endpoints show; ends with 3 if something is wrong", Args: cobra.NoArgs,
		Long: "Asks every configured endpoint by itself: chain, finality, the contract's code, the token and what a transfer of it does, the\n" +
			"payer's first nonce, funds and allowance. It changes nothing. The payer is that of --payer, or of the home's running node.",
		RunE: env.Run(func(cmd *cobra.Command, _ []string) error {
			found, err := checkLanes(cmd.Context(), s, payer)
			if err != nil {
				return err
			}
			return printFindings(env, "LANE", "ENDPOINT", found)
		}),
	}
	s.register(cmd)
	cmd.Flags().StringVar(&payer, "payer", "", "the payer's address (default: ask the home's node)")
	return cmd
}

// printFindings takes the names of the first two columns.
func printFindings(env *cli.Env, part, of string, found []finding) error {
	wrong := 0
	rows := make([][]string, 0, len(found))
	for _, f := range found {
		style := cli.Faint
		switch f.State {
		case stateGood:
			style = cli.Good
		case stateWrong:
			style, wrong = cli.Bad, wrong+1
		}
		rows = append(rows, []string{f.Part, f.Of, f.Check, env.Paint(style, f.State), f.Text})
	}
	err := env.Print(map[string]any{"good": wrong == 0, "findings": found}, func(w io.Writer) error {
		return env.Table(w, []string{part, of, "CHECK", "STATE", "WHAT IT SHOWS"}, rows)
	})
	if err == nil && wrong > 0 {
		err = cli.Errorf(cli.Refused, "docs/operations.md, \"Lanes\" and \"Doctor\", says what each check means", "%d of %d checks are wrong", wrong, len(found))
	}
	return err
}

// lanePayer is what is known of the payer: its address, and how many of its nonces were decided when a node told.
type lanePayer struct {
	address common.Address
	next    map[string]uint64 // by network
	why     string            // it is unknown
}

func checkLanes(ctx context.Context, s laneSource, payer string) ([]finding, error) {
	if payer != "" {
		if err := checkAddress("--payer", payer); err != nil {
			return nil, err
		}
	}
	cfg, lanes, err := s.open()
	if err != nil {
		return nil, err
	}
	by := payerOf(s.home, payer)
	var out []finding
	for _, lane := range lanes {
		found, err := checkLane(ctx, cfg, lane, by)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// payerOf takes the address that was given, or asks the node, which may not run.
func payerOf(home, given string) lanePayer {
	if given != "" {
		return lanePayer{address: common.HexToAddress(given)}
	}
	s, _, err := ask[node.Status](target{home: home}, "custodian_status")
	if err != nil {
		return lanePayer{why: "the node of this home does not answer: start it, or give --payer"}
	}
	out := lanePayer{next: map[string]uint64{}, why: "there is no key yet"}
	for _, l := range s.Lanes {
		if l.Payer != nil {
			out.address, out.next[l.Network], out.why = *l.Payer, l.Next, ""
		}
	}
	return out
}

// laneChecker gathers what one endpoint shows of one lane.
type laneChecker struct {
	ctx  context.Context
	lane quorum.Lane
	by   lanePayer
	e    *evm.Endpoint
	at   chain.Header // the endpoint's final block
	out  []finding
}

func (c *laneChecker) add(check, state, format string, args ...any) {
	f := finding{Part: c.lane.Network, Check: check, State: state, Text: fmt.Sprintf(format, args...)}
	if c.e != nil {
		f.Of = c.e.Name()
	}
	c.out = append(c.out, f)
}

// judge adds a finding that is good or wrong.
func (c *laneChecker) judge(check string, good bool, format string, args ...any) {
	state := stateWrong
	if good {
		state = stateGood
	}
	c.add(check, state, format, args...)
}

func checkLane(ctx context.Context, cfg config.Config, lane quorum.Lane, by lanePayer) ([]finding, error) {
	c := &laneChecker{ctx: ctx, lane: lane, by: by}
	ends, end, err := endpoints(cfg, lane)
	if err != nil {
		return nil, err
	}
	defer end()
	c.judge("endpoints", uint64(len(ends)) >= lane.MinEndpoints, "%d in config.toml, %d must agree", len(ends), lane.MinEndpoints)
	for _, e := range ends {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		c.ctx, c.e = ctx, e
		c.endpoint()
		cancel()
	}
	return c.out, nil
}

// endpoint asks one server everything; without its final block there is nothing to ask about.
func (c *laneChecker) endpoint() {
	if err := c.e.Check(c.ctx); err != nil {
		c.add("chain", stateWrong, "%v", err)
		return
	}
	c.add("chain", stateGood, "id %d", c.lane.ChainID)
	head, err := c.e.Head(c.ctx)
	if err == nil {
		c.at, err = c.e.Final(c.ctx)
	}
	if err != nil {
		c.add("finality", stateWrong, "%s: %v", finality(c.lane.Finality), err)
		return
	}
	age := max(time.Since(time.Unix(int64(c.at.Time), 0)), 0).Round(time.Second)
	c.add("finality", stateGood, "%s: block %d, %d behind the newest, %s old", finality(c.lane.Finality), c.at.Number, head.Number-min(head.Number, c.at.Number), age)

	c.contract()
	c.token()
	c.payer()
}

func (c *laneChecker) contract() {
	if c.lane.Contract == (common.Address{}) {
		return
	}
	code, err := c.e.CodeAt(c.ctx, c.lane.Contract, c.at)
	switch hash := crypto.Keccak256Hash(code); {
	case err != nil:
		c.add("contract", stateWrong, "%v", err)
	case len(code) == 0:
		c.add("contract", stateWrong, "no code at %s in the final block", c.lane.Contract)
	case hash != payout.CodeHash():
		c.add("contract", stateWrong, "%s has code %s, this version's is %s", c.lane.Contract, hash, payout.CodeHash())
	default:
		c.add("contract", stateGood, "%s has the code of this version, %s", c.lane.Contract, hash)
	}
}

func (c *laneChecker) token() {
	if c.lane.Token == (common.Address{}) {
		return
	}
	code, err := c.e.CodeAt(c.ctx, c.lane.Token, c.at)
	switch {
	case err != nil:
		c.add("token", stateWrong, "%v", err)
		return
	case len(code) == 0:
		c.add("token", stateWrong, "no code at %s in the final block", c.lane.Token)
		return
	}
	if c.by.why != "" {
		c.add("transfer", stateUnknown, "needs a payer that holds the token: %s", c.by.why)
		return
	}
	funds, err := c.e.BalanceAt(c.ctx, c.lane.Token, c.by.address, c.at)
	if err != nil {
		c.add("token", stateWrong, "balance of the payer: %v", err)
		return
	}
	c.judge("token", !funds.IsZero(), "the payer holds %s of the smallest unit", funds.Dec())
	c.transfer(funds)
	if c.lane.Contract != (common.Address{}) {
		c.allowance(funds)
	}
}

// allowanceGas is what transferFrom uses beyond transfer, and what the probe does not see because it read the balances before.
const allowanceGas = 10_000

// transfer simulates one. A thousandth of what is there shows a fee of a hundredth of a percent, and stays below the
// limits that some tokens have.
func (c *laneChecker) transfer(funds uint256.Int) {
	if funds.IsZero() {
		c.add("transfer", stateUnknown, "needs a payer that holds the token")
		return
	}
	var amount uint256.Int
	amount.Div(&funds, uint256.NewInt(1000))
	if amount.IsZero() {
		amount = *uint256.NewInt(1)
	}
	to := common.BytesToAddress(crypto.Keccak256([]byte("conclave lane check"))) // nobody: a new holder
	p, err := c.e.ProbeToken(c.ctx, c.lane.Token, c.by.address, to, amount, c.at)
	switch {
	case errors.Is(err, evm.ErrNoSimulation):
		c.add("transfer", stateUnknown, "this endpoint does not simulate; try another, or one transfer by hand")
	case err != nil:
		c.add("transfer", stateWrong, "%v", err)
	case !p.Succeeds:
		c.add("transfer", stateWrong, "the token refuses to move %s from the payer", amount.Dec())
	case p.Lost != amount || p.Got != amount:
		c.add("transfer", stateWrong, "of %s the payer loses %s and the recipient gets %s: a token that takes a fee must have no lane", amount.Dec(), p.Lost.Dec(), p.Got.Dec())
	case c.lane.Contract != (common.Address{}) && p.Gas+allowanceGas > payout.TokenGas:
		c.add("transfer", stateWrong, "it uses %d gas, and out of an allowance up to %d more; the contract lets an item use %d", p.Gas, allowanceGas, payout.TokenGas)
	default:
		c.add("transfer", stateGood, "exact, %d gas to a new holder", p.Gas)
	}
}

func (c *laneChecker) allowance(funds uint256.Int) {
	allowed, err := c.e.Allowance(c.ctx, c.lane.Token, c.by.address, c.lane.Contract, c.at)
	if err != nil {
		c.add("allowance", stateWrong, "%v", err)
		return
	}
	if allowed.IsZero() {
		c.add("allowance", stateUnknown, "none yet: custodians decide it when the payer has coin for the gas, and pay one by one until it is final")
		return
	}
	c.judge("allowance", !allowed.Lt(&funds), "the contract may take %s; the payer holds %s", allowed.Dec(), funds.Dec())
}

// payer compares the payer's count with the document's first nonce and, where a node told, with its decisions.
func (c *laneChecker) payer() {
	if c.by.why != "" {
		c.add("nonce", stateUnknown, "%s", c.by.why)
		return
	}
	count, err := c.e.NonceAt(c.ctx, c.by.address, c.at)
	next, told := c.by.next[c.lane.Network]
	switch {
	case err != nil:
		c.add("nonce", stateWrong, "%v", err)
	case told:
		c.judge("nonce", count >= c.lane.FirstNonce && count <= next, "%d are final; the first is %d, the next to be decided %d", count, c.lane.FirstNonce, next)
	default:
		c.judge("nonce", count >= c.lane.FirstNonce, "%d are final; the first is %d", count, c.lane.FirstNonce)
	}
	coins, err := c.e.BalanceAt(c.ctx, common.Address{}, c.by.address, c.at)
	if err != nil {
		c.add("gas", stateWrong, "%v", err)
		return
	}
	c.judge("gas", !coins.IsZero(), "%s wei at %s", coins.Dec(), c.by.address)
}
