package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Options is what the command line says.
type Options struct {
	Nodes       int
	Withdrawals int    // to simulate, or to wait for; −1: as many as come
	Dir         string // empty: a new temporary folder
	ExitPaid    bool
	JSON        bool
	Keep        bool   // leave the folder
	Conclave    string // path of the custodian's binary; empty: build it

	Relays       []string // that stand already: one for all, or one each
	RelayKeyFile string
	RPCs         []string // likewise
	FundKeyFile  string

	Network string
	Fee     common.Address // zero: a devnet address
	Benefit common.Address // zero with an own chain: deployed
	Deposit common.Address // zero: a devnet address
	Tokens  bool           // the own chain's lane of a token pays batches, too
	Payout  common.Address // batch contract of a chain that stands already; zero: each withdrawal is paid by itself there

	Finality uint64 // blocks on top of a final one; 0: the devnet's own

	Timeout time.Duration // for --exit-when-paid; zero: none

	Kills int    // custodians to kill and restart while users withdraw; ends when all is paid, and looks at every home then
	Seed  uint64 // of who is killed when

	Volume *Volume // a load to measure, with [Measure]; nil: users as they come

	Funds    uint64   // whole coins that the payer has at first, of what it gets in the end; 0: everything at once
	Load     int      // with Kills: so many withdrawals, spread over the kills; 0: a few at a time
	Troubles Troubles // of the world
	trouble  *troubles

	Scenario string // a constant below; empty: nobody misbehaves and nothing changes
	Self     string // the program that runs a custodian that lies, as [RunLiar] does; for [ScenarioLiar]

	Out, Err io.Writer
	Terminal bool // Out is one: redraw the view

	// For a test that gives each custodian a network of its own, and says when users ask for money; nil: loopback, and at once.
	Host   func(i int) string                         // the address of custodian i
	Launch func(s Seat, start func() error) error     // calls start where custodian s.Index is to run
	Pace   func(ctx context.Context, asked int) error // before each withdrawal, with how many were asked for so far
}

// Seat is what one custodian's process has to do with loopback addresses of its surroundings.
type Seat struct {
	Index   int
	Reaches []string // host:port of chain and Relay
	Answers string   // host:port of its own API
}

// Scenarios are what a network goes through while users withdraw.
const (
	ScenarioLiar = "liar" // one custodian lies whenever it signs; the others name it
	// ScenarioMembers changes who rules: a fifth custodian joins, one leaves, one is replaced.
	ScenarioMembers = "member-change"
	// ScenarioSweep removes one for cause: another takes its place, another key is made, and everything moves to it.
	ScenarioSweep = "sweep"
	// ScenarioCancel has a payment that the chain never takes; operators take its nonce back, and it is paid at another.
	ScenarioCancel = "cancel"
)

func scenarios() []string {
	return []string{ScenarioLiar, ScenarioMembers, ScenarioSweep, ScenarioCancel}
}

// Bounds of a local network.
const (
	maxNodes       = 16
	maxWithdrawals = 10_000
	maxKills       = 10_000
)

// Validate names the first thing that is wrong.
func (o Options) Validate() error {
	switch {
	case o.Nodes < 2 || o.Nodes > maxNodes:
		return fmt.Errorf("--nodes: want 2 to %d", maxNodes)
	case o.Withdrawals < -1 || o.Withdrawals > maxWithdrawals:
		return fmt.Errorf("--withdrawals: want 0 to %d", maxWithdrawals)
	case len(o.Relays) > 1 && len(o.Relays) != o.Nodes:
		return fmt.Errorf("--relay: one URL, or one for each of the %d nodes", o.Nodes)
	case len(o.RPCs) > 1 && len(o.RPCs) != o.Nodes:
		return fmt.Errorf("--rpc: one URL, or one for each of the %d nodes", o.Nodes)
	case len(o.Relays) > 0 && o.RelayKeyFile == "":
		return errors.New("--relay needs --relay-key-file: the API key that the Relay accepts")
	case len(o.Relays) == 0 && o.RelayKeyFile != "":
		return errors.New("--relay-key-file goes with --relay")
	case len(o.RPCs) > 0 && o.FundKeyFile == "":
		return errors.New("--rpc needs --fund-key-file: the key that funds the payer")
	case len(o.RPCs) == 0 && o.FundKeyFile != "":
		return errors.New("--fund-key-file goes with --rpc")
	case o.Kills < 0 || o.Kills > maxKills:
		return fmt.Errorf("--kills: want 0 to %d", maxKills)
	case o.Kills > 0 && !o.simulated():
		return errors.New("--kills needs the devnet's own Relay and chain")
	case o.Funds > payerFunds || o.Funds > 0 && !o.simulated():
		return fmt.Errorf("--payer-funds: want up to %d, with the devnet's own Relay and chain", payerFunds)
	case o.Load < 0 || o.Load > maxWithdrawals:
		return fmt.Errorf("--withdrawals: want 0 to %d", maxWithdrawals)
	case o.Troubles.any() && (!o.simulated() || o.Scenario != ""):
		return errors.New("--reorgs, --lying-endpoint, --lost-fulfils and --fees-triple need the devnet's own Relay and chain, and no --scenario")
	case o.Scenario != "" && !slices.Contains(scenarios(), o.Scenario):
		return fmt.Errorf("--scenario: want one of %s", strings.Join(scenarios(), ", "))
	case o.Scenario != "" && (!o.simulated() || o.Kills > 0):
		return errors.New("--scenario needs the devnet's own Relay and chain, and no --kills")
	case slices.Contains([]string{ScenarioLiar, ScenarioCancel}, o.Scenario) && (o.Nodes < 4 || o.Withdrawals < 1):
		return fmt.Errorf("--scenario %s: want four custodians or more, and a withdrawal", o.Scenario)
	case slices.Contains([]string{ScenarioMembers, ScenarioSweep}, o.Scenario) && (o.Nodes != 4 || o.Withdrawals < 1):
		return fmt.Errorf("--scenario %s: begins with four custodians, and a withdrawal", o.Scenario)
	case o.Tokens && !o.simulated():
		return errors.New("--token-batches needs the devnet's own Relay and chain")
	case o.Network == "":
		return errors.New("--network: a name is needed")
	}
	for _, u := range append(append([]string{}, o.Relays...), o.RPCs...) {
		if p, err := url.Parse(u); err != nil || (p.Scheme != "http" && p.Scheme != "https") || p.Host == "" {
			return fmt.Errorf("%q is not an http URL", u)
		}
	}
	return nil
}

// simulated reports whether users are simulated: only when both ends are the devnet's own.
func (o Options) simulated() bool { return len(o.Relays) == 0 && len(o.RPCs) == 0 }
