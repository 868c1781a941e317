package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/holiman/uint256"

	"conclave/internal/devnet/simchain"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"
)

// Network is one local network, from its start to its end.
type Network struct {
	o        Options
	dir      string
	bin      string
	world    *world
	chainURL string
	chainID  uint64
	genesis  quorum.Genesis

	custodians []*custodian
	payer, old common.Address // in force, and the one before it that was swept
	began      time.Time
	keygen     time.Duration
	firstPaid  time.Duration

	epochs  uint64    // that ruled by the end of a member change
	pids    []int     // of custodians that this program ended on purpose
	namedBy []string  // who holds evidence against the liar
	waited  time.Time // for more of them to

	lastLine string // of the view without a terminal
	done     []node.WithdrawalView
	summary  string // for people, once everything is paid

	mu       sync.Mutex // guards what follows
	target   int        // withdrawals to be paid before the end; 0: not known yet, or none
	requests []request
	seen     map[uint64]time.Time
	paidAt   map[uint64]time.Time
}

// ErrNotPaid means that the run ended before every withdrawal was paid and fulfilled, or the balances do not add up.
var ErrNotPaid = errors.New("not everything was paid as the books say")

// payerFunds is what the payer gets on the own chain, in whole coins, for each withdrawal that may come.
const payerFunds = 1_000_000

// Run makes the network and stays until ctx ends, or until everything is paid when the options say so.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Kills > 0 {
		o.ExitPaid, o.Withdrawals = true, 0 // as many as users ask for until the last kill
	}
	if o.Troubles.any() {
		if err := o.beginTroubles(); err != nil {
			return err
		}
	}
	n := &Network{o: o, target: o.Withdrawals, seen: map[uint64]time.Time{}, paidAt: map[uint64]time.Time{}}
	cleanup, err := n.open(ctx)
	defer cleanup()
	if err != nil {
		return err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	return n.run(ctx)
}

// open makes the folder and builds the custodian. cleanup ends and removes everything; it is never nil.
func (n *Network) open(ctx context.Context) (cleanup func(), err error) {
	cleanup = func() { n.close() }
	if n.dir = n.o.Dir; n.dir == "" {
		if n.dir, err = os.MkdirTemp("", "conclave-devnet-"); err != nil {
			return cleanup, err
		}
	} else if err = os.MkdirAll(n.dir, 0o700); err != nil {
		return cleanup, err
	}
	if n.dir, err = filepath.Abs(n.dir); err != nil {
		return cleanup, err
	}
	if n.bin = n.o.Conclave; n.bin == "" {
		n.say("building conclave")
		n.bin, err = build(ctx, n.dir)
	}
	return cleanup, err
}

// close ends what was started, in order, and removes the folder unless it is to stay.
func (n *Network) close() {
	var all []*process
	for _, c := range n.custodians {
		if p := c.process(); p != nil {
			all = append(all, p)
		}
	}
	stopAll(all)
	if n.world != nil {
		_ = n.world.close()
	}
	if n.dir != "" && n.o.Dir == "" && !n.o.Keep {
		_ = os.RemoveAll(n.dir)
	}
}

func (n *Network) run(ctx context.Context) error {
	n.began = time.Now()
	if err := n.begin(ctx); err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 4)
	n.play(background, failed)

	if err := n.answering(ctx); err != nil {
		return err
	}
	if err := n.writeState(0); err != nil {
		return err
	}
	n.say("%d custodians answer; they make their key together", n.o.Nodes)
	k, err := n.makeKey(ctx)
	if err != nil {
		return err
	}
	n.say("key generated in %.1f s; the payer is %s", n.keygen.Seconds(), n.payer)
	n.say("look inside with: %s status --home %s; every endpoint stands in %s", n.bin, n.custodians[0].home, filepath.Join(n.dir, "devnet.json"))
	if err := n.fund(ctx); err != nil {
		return fmt.Errorf("fund the payer: %w", err)
	}
	if err := n.writeState(0); err != nil {
		return err
	}
	if n.o.Funds > 0 {
		go n.topUp(background, failed)
	}
	if n.o.Kills > 0 {
		return k.crash(ctx, background, failed)
	}
	if n.o.Volume != nil {
		return n.measure(ctx, failed)
	}
	if story := n.story(); story != nil {
		go func() {
			if err := story(n, background); err != nil && background.Err() == nil {
				failed <- fmt.Errorf("%s: %w", n.o.Scenario, err)
			}
		}()
	}
	return n.watch(ctx, failed)
}

// makeKey waits until the custodians have their key. Who kills them begins with it; without kills there is nobody.
func (n *Network) makeKey(ctx context.Context) (k *killer, err error) {
	began := time.Now()
	var payer common.Address
	if n.o.Kills == 0 {
		payer, err = n.founded(ctx, n.showKeygen())
	} else if k, err = n.newKiller(); err == nil {
		if payer, err = k.ceremony(ctx); err != nil {
			k.summary(err)
		}
	}
	n.payer, n.keygen = payer, time.Since(began)
	return k, err
}

// begin starts the world, prepares the homes and launches the custodians.
func (n *Network) begin(ctx context.Context) error {
	var err error
	if n.world, err = openWorld(ctx, n.o); err != nil {
		return err
	}
	if err := n.openChain(ctx); err != nil {
		return err
	}
	if err := n.prepare(ctx); err != nil {
		return fmt.Errorf("prepare homes: %w", err)
	}
	return n.launch()
}

// openChain learns the chain's id, and deploys the contracts on an own chain.
func (n *Network) openChain(ctx context.Context) error {
	if n.world.chain == nil {
		n.chainURL = n.o.RPCs[0]
		client, err := ethclient.DialContext(ctx, n.chainURL)
		if err != nil {
			return fmt.Errorf("dial chain: %w", err)
		}
		defer client.Close()
		id, err := client.ChainID(ctx)
		if err != nil {
			return fmt.Errorf("ask for the chain id: %w", err)
		}
		n.chainID = id.Uint64()
		return nil
	}
	n.chainURL, n.chainID = n.world.chain.URL(), n.world.chain.ChainID()
	faucet, err := n.world.chain.Faucet()
	if err != nil {
		return err
	}
	defer faucet.Close()
	if err := n.deploy(ctx, faucet); err != nil {
		return err
	}
	_, err = n.world.chain.Commit()
	return err
}

// play lets the world live beside the custodians: blocks, users, and troubles.
func (n *Network) play(ctx context.Context, failed chan<- error) {
	n.o.trouble.begin(ctx, n, failed)
	if n.world.chain != nil {
		go func() {
			if err := n.world.chain.Run(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("chain: %w", err)
			}
		}()
	}
	if !n.o.simulated() || n.o.Withdrawals <= 0 || n.o.Kills > 0 || n.o.Volume != nil {
		return
	}
	go func() {
		err := n.world.live(ctx, n.o.Withdrawals, n.made)
		if err != nil && ctx.Err() == nil {
			failed <- fmt.Errorf("users: %w", err)
		}
	}()
}

// made notes what a user asked for.
func (n *Network) made(r request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests = append(n.requests, r)
}

// wanted is how many withdrawals must be paid, 0 while nobody knows.
func (n *Network) wanted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.target
}

// fund gives the payer money: on the own chain from the faucet, else from the given key.
func (n *Network) fund(ctx context.Context) error {
	var wallet *simchain.Wallet
	var err error
	amount := coins(n.atFirst())
	if n.world.chain != nil {
		wallet, err = n.world.chain.Faucet()
	} else {
		key, e := config.ReadKey(n.o.FundKeyFile)
		if e != nil {
			return e
		}
		if wallet, err = simchain.NewWallet(n.chainURL, n.chainID, key); err == nil {
			amount, err = spendable(ctx, wallet, crypto.PubkeyToAddress(key.PublicKey))
		}
	}
	if err != nil {
		return err
	}
	defer wallet.Close()
	tx, err := wallet.Transfer(ctx, n.payer, *uint256.MustFromBig(amount))
	if err == nil && n.world.token != (common.Address{}) {
		tx, err = n.fundTokens(ctx, wallet)
	}
	if err != nil {
		return err
	}
	return wallet.Wait(ctx, tx)
}

// spendable is half of what a funding key has: the rest stays for its owner and for gas.
func spendable(ctx context.Context, w *simchain.Wallet, a common.Address) (*big.Int, error) {
	have, err := w.Balance(ctx, a)
	if err != nil {
		return nil, err
	}
	return new(big.Int).Div(have.ToBig(), big.NewInt(2)), nil
}

// state is devnet.json.
type state struct {
	RPC        []string         `json:"rpc"`
	Chain      string           `json:"chain"`
	Relay      []string         `json:"relay"`
	Payer      *common.Address  `json:"payer"`
	Custodians []stateCustodian `json:"custodians"`
	Paid       int              `json:"paid"`
}

type stateCustodian struct {
	Home    string `json:"home"`
	PID     int    `json:"pid"`
	Address string `json:"address"`
}

// writeState renames a new devnet.json into place.
func (n *Network) writeState(paid int) error {
	s := state{Chain: n.chainURL, Relay: n.o.Relays, Paid: paid}
	if len(s.Relay) == 0 {
		s.Relay = []string{n.world.relay}
	}
	if n.payer != (common.Address{}) {
		s.Payer = &n.payer
	}
	for _, c := range n.all() {
		s.RPC = append(s.RPC, c.api)
		s.Custodians = append(s.Custodians, stateCustodian{c.home, c.process().cmd.Process.Pid, c.address.Hex()})
	}
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return config.Replace(filepath.Join(n.dir, "devnet.json"), append(raw, '\n'), 0o644)
}

func (n *Network) say(format string, args ...any) {
	_, _ = fmt.Fprintf(n.o.Err, format+"\n", args...)
}

// showKeygen says when the ceremony moves on.
func (n *Network) showKeygen() func(node.Status) {
	last := -1
	return func(s node.Status) {
		if s.Keygen != nil && s.Keygen.Rounds > 0 && s.Keygen.Round != last {
			last = s.Keygen.Round
			n.say("key generation: round %d of %d", s.Keygen.Round, s.Keygen.Rounds)
		}
	}
}
