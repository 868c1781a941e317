// Command devnet runs a local network of custodians against a simulated chain and a simulated Relay.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/devnet"
)

// Exit codes, as the custodian's command has them.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == devnet.LiarVerb {
		return runLiar(os.Args[2:])
	}
	o, err := options(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "devnet: %v\nhint: devnet -help lists the options\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go followGoRun(ctx, cancel)

	err = devnet.Run(ctx, o)
	if ctx.Err() != nil && !o.ExitPaid {
		fmt.Fprintln(os.Stderr, "devnet: stopped; nothing of it runs any more")
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "devnet: %v\nhint: --keep --dir DIR leaves the custodians' logs to look at\n", err)
		return exitFailed
	}
	return 0
}

// runLiar is the custodian that lies in --scenario liar; its flags are those of `conclave run`.
func runLiar(args []string) int {
	flags := flag.NewFlagSet(devnet.LiarVerb, flag.ContinueOnError)
	home := flags.String("home", "", "the node's home")
	password := flags.String("password-file", "", "file with the vault's password")
	fingerprint := flags.String("fingerprint", "", "the network's fingerprint")
	flags.Bool("exit-with-parent", true, "always")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := devnet.RunLiar(ctx, *home, *password, *fingerprint, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "devnet: %v\n", err)
		return exitFailed
	}
	return 0
}

// parentEvery is how often followGoRun looks whether its parent lives.
const parentEvery = 500 * time.Millisecond

// followGoRun ends this process with the `go run` that started it: killed outright, `go run` cannot pass the signal on. Any
// other parent may leave: a shell that ends must not end a network in the background.
func followGoRun(ctx context.Context, cancel context.CancelFunc) {
	parent := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return
	}
	tick := time.NewTicker(parentEvery)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel()
}

// options reads the command line.
func options(args []string) (devnet.Options, error) {
	o := devnet.Options{Out: os.Stdout, Err: os.Stderr, Terminal: terminal(os.Stdout)}
	flags := flag.NewFlagSet("devnet", flag.ContinueOnError)
	var relays, rpcs, fee, benefit, deposit, payout string
	flags.IntVar(&o.Nodes, "nodes", 4, "custodians")
	flags.IntVar(&o.Withdrawals, "withdrawals", 20, "withdrawals to simulate, or to wait for with --relay or --rpc; with --kills: as many, spread over the kills (default there: a few at a time)")
	flags.StringVar(&o.Dir, "dir", "", "folder of the network (default: a temporary one)")
	flags.BoolVar(&o.ExitPaid, "exit-when-paid", false, "end when all withdrawals are paid, final and fulfilled")
	flags.BoolVar(&o.JSON, "json", false, "print the report as the last line, as JSON")
	flags.BoolVar(&o.Keep, "keep", false, "leave the folder")
	flags.StringVar(&o.Conclave, "conclave", "", "the custodian's binary (default: build it)")
	flags.StringVar(&relays, "relay", "", "Relay that stands already: one URL, or one for each custodian, separated by commas")
	flags.StringVar(&o.RelayKeyFile, "relay-key-file", "", "the API key that it accepts")
	flags.StringVar(&rpcs, "rpc", "", "chain that stands already: one URL, or one for each custodian")
	flags.StringVar(&o.FundKeyFile, "fund-key-file", "", "the key that funds the payer there")
	flags.StringVar(&o.Network, "network", "devnet", "the Relay's name of the payout network")
	flags.StringVar(&fee, "fee-address", "", "the Relay's fee account")
	flags.StringVar(&benefit, "benefit-contract", "", "the chain's benefit contract")
	flags.StringVar(&deposit, "deposit-address", "", "where deposits go on the chain")
	flags.StringVar(&payout, "payout-contract", "", "the chain's batch contract, with --rpc (default: one payment a transaction)")
	flags.BoolVar(&o.Tokens, "token-batches", false, "the lane of the token pays batches too: custodians first allow its contract the payer's tokens")
	flags.Uint64Var(&o.Finality, "finality", 0, "blocks on top of a final one (default: 2)")
	flags.IntVar(&o.Kills, "kills", 0, "kill -9 and restart custodians this often while users withdraw, then check the chain and every home")
	flags.Uint64Var(&o.Seed, "seed", 0, "of who is killed when (default: a new one, which is printed)")
	flags.StringVar(&o.Scenario, "scenario", "", "what happens while users withdraw: liar (one custodian lies whenever it signs), member-change (a fifth custodian joins, one leaves, one is replaced), sweep (one is replaced for cause: another key, everything moves to it), cancel (the chain never takes a payment; operators take its nonce back, and it is paid at another)")
	flags.Uint64Var(&o.Funds, "payer-funds", 0, "whole coins that the payer has at first; the rest comes when custodians have called for money for a while (default: all at once)")
	flags.BoolVar(&o.Troubles.Reorgs, "reorgs", false, "the chain replaces its newest blocks, within the lanes' finality, again and again")
	flags.BoolVar(&o.Troubles.LyingEndpoint, "lying-endpoint", false, "each custodian must ask a second endpoint, which lies, lags, refuses or hangs half of the time")
	flags.BoolVar(&o.Troubles.LostFulfils, "lost-fulfils", false, "the Relay loses a third of the calls that report outcomes, and a third of the answers")
	flags.BoolVar(&o.Troubles.FeesTriple, "fees-triple", false, "the base fee triples and comes back, again and again")
	flags.DurationVar(&o.Timeout, "timeout", 0, "give up after this long (default: never)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.Scenario != "" {
		self, err := os.Executable()
		if err != nil {
			return o, err
		}
		o.Self, o.ExitPaid = self, true
	}
	o.Relays, o.RPCs = split(relays), split(rpcs)
	waits := false
	flags.Visit(func(f *flag.Flag) { waits = waits || f.Name == "withdrawals" })
	if o.Kills > 0 && waits {
		o.Load = o.Withdrawals
	}
	if len(o.Relays)+len(o.RPCs) > 0 && !waits {
		o.Withdrawals = -1
	}
	return o, errors.Join(address(&o.Fee, "fee-address", fee), address(&o.Benefit, "benefit-contract", benefit), address(&o.Deposit, "deposit-address", deposit), address(&o.Payout, "payout-contract", payout))
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func address(into *common.Address, flag, s string) error {
	if s == "" {
		return nil
	}
	if !common.IsHexAddress(s) {
		return fmt.Errorf("--%s: %q is no address", flag, s)
	}
	*into = common.HexToAddress(s)
	return nil
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
