package simnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain/memchain"
	"conclave/node"
	"conclave/p2p/memnet"
	"conclave/quorum"
	"conclave/relay/relaysim"
)

// usersView is the Relay as users see it: always honest, never one of a custodian's.
const usersView = 900

// relayURL names a Relay that only Transport reaches.
const relayURL = "http://relay.simnet"

// projectorDelay is how long the Relay keeps a new row to itself: time for a test to choose who sees it.
const projectorDelay = time.Second

// Config is what a world is made from. Zero fields have defaults.
type Config struct {
	Key      *Fixture
	Dir      string            // must exist; every custodian's disk is a folder in it
	Policy   map[string]string // by key of the policy file, over DefaultPolicy
	Finality uint64            // blocks on top of a final one; 2
	Payer    string            // coins that the payer starts with; 10000
	History  []Past            // what happened before the network was founded
	// Governors stand at the end of the policy file, see [Governor].
	Governors string
	// Endpoints of the chain per custodian: 1, 2 or 3, of which two must answer and all that do must agree; 1.
	Endpoints int
	// OtherLane gives the world a second chain and a lane on it, which lives while the first one does not.
	OtherLane bool
	// Batches makes the first lane pay many withdrawals by one transaction, through a contract on the chain.
	Batches bool
	// Tokens makes the first lane pay batches of a token.
	Tokens bool
	// Shares makes custodians sign with their real shares, which takes a second of computing for each signature. Otherwise
	// signing is ideal: see doc.go.
	Shares bool
	Alerts node.AlertRules
	// Poll is how often custodians look at the Relay; zero means as often as in production.
	Poll time.Duration
	// Stagger is how long after one custodian the next one is started: what each does every second then falls on moments of its own.
	Stagger time.Duration
	// Turns chooses in which order those act who were woken at one moment.
	Turns uint64
	// Strict makes a story ask [World.CheckNow] after each line.
	Strict bool
	// Forbid is a rule of the test's own, which [World.CheckNow] asks.
	Forbid func(*World) error
	// Trace is told what happens, in lines for people; nil is silence. It is called from many goroutines.
	Trace func(line string)
	// Hear is told every message when it is sent, lost or not, one after the other; nil: nobody listens. It must not ask the world
	// anything.
	Hear func(Heard)
}

// World is a committee and everything around it.
type World struct {
	cfg     Config
	Genesis quorum.Genesis
	Hub     *memnet.Hub
	Chain   *memchain.Chain
	Relay   *relaysim.Sim

	keys    []*ecdsa.PrivateKey
	network common.Hash
	payer   common.Address

	embezzled []common.Hash // of the payer's transactions, which nobody decided
	apiKey    *ecdsa.PrivateKey
	founding  founding
	started   time.Time
	end       *memchain.Endpoint // the world's own look at the chain
	other     *otherLane         // nil in a world of one lane

	Custodians []*Custodian // by index; twins come behind
	users      map[string]*User
	requests   map[string]*Request
	order      []string                    // names of requests, as they were made
	vestings   map[uint64]relaysim.Vesting // by the Relay's id
	funded     uint256.Int

	fundedTokens uint256.Int
	faulty       map[int]bool // members that the test made misbehave
	desk         *Custodian   // where operators meet; nil: each at their own
	wire         *wire
	deals        deals
	skipped      uint64                         // serials that operators leave out
	newcomers    atomic.Pointer[quorum.Members] // who is in no genesis document
	moments      moments
	bounded      int // bounds that were compared
	canary       *canary

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// New makes a world whose custodians stand ready and do not run yet.
func New(cfg Config) (*World, error) {
	if cfg.Key == nil {
		return nil, errors.New("simnet: no key fixture")
	}
	policy := DefaultPolicy()
	for k, v := range cfg.Policy {
		section, _, inSection := strings.Cut(k, ".")
		if _, known := policy[k]; !known && (!inSection || !policySections[section]) {
			return nil, fmt.Errorf("simnet: policy key %q cannot be set", k)
		}
		policy[k] = v
	}
	cfg.Policy = policy
	if cfg.Finality == 0 {
		cfg.Finality = 2
	}
	if cfg.Payer == "" {
		cfg.Payer = "10000"
	}
	if cfg.Trace == nil {
		cfg.Trace = func(string) {}
	}
	w := &World{cfg: cfg, keys: committee(), users: map[string]*User{}, requests: map[string]*Request{}, faulty: map[int]bool{}, started: time.Now(), moments: moments{taken: map[int64]bool{}}}
	w.Hub = memnet.New(memnet.Options{Serial: true, Due: w.moments.take})
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if err := w.prepare(); err != nil {
		w.cancel()
		return nil, fmt.Errorf("simnet: %w", err)
	}
	w.wire = newWire(w)
	if cfg.Hear != nil {
		w.wire.ears = append(w.wire.ears, cfg.Hear)
	}
	w.Hub.Drop(w.wire.rule)
	w.Hub.Delay(latency)
	mine := w.turns("chain")(Network)
	w.work.Go(func() { mine(); w.Chain.Run(w.ctx) })
	if w.other != nil {
		mine := w.turns("chain")(OtherNetwork)
		w.work.Go(func() { mine(); w.other.chain.Run(w.ctx) })
	}
	return w, nil
}

func (w *World) prepare() (err error) {
	if w.Genesis, err = newGenesis(w.cfg, w.keys); err != nil {
		return err
	}
	w.payer = w.cfg.Key.payer
	if err := errors.Join(w.openChain(), w.openOther()); err != nil {
		return err
	}
	if err := w.openRelay(); err != nil {
		return err
	}
	if err := w.makeHistory(); err != nil {
		return err
	}
	w.network = w.Genesis.ID()
	if w.canary, err = w.cfg.Key.canary(w.keys, w.apiKey); err != nil {
		return err
	}
	if w.founding, err = w.cfg.Key.found(w.Genesis, w.keys); err != nil {
		return err
	}
	for i, key := range w.keys {
		c, err := w.newCustodian(i, key, filepath.Join(w.cfg.Dir, fmt.Sprintf("n%d", i)))
		if err != nil {
			return err
		}
		w.Custodians = append(w.Custodians, c)
	}
	return nil
}

func (w *World) openChain() (err error) {
	wei, err := Coins(w.cfg.Payer)
	if err != nil {
		return err
	}
	w.funded = *uint256.MustFromBig(wei)
	w.Chain, err = memchain.New(memchain.Config{
		ChainID: chainID, Depth: w.cfg.Finality, BaseFee: *uint256.NewInt(1_000_000_000), Benefit: w.Genesis.Lanes[0].BenefitContract,
		Payout: w.Genesis.Lanes[0].Contract,
		Alloc:  map[common.Address]uint256.Int{w.payer: w.funded},
		Token:  w.Genesis.Lanes[0].Token, TokenAlloc: map[common.Address]uint256.Int{w.payer: w.funded},
	})
	w.fundedTokens = w.funded
	if err == nil {
		w.end = w.Chain.Endpoint("world")
	}
	return err
}

func (w *World) openRelay() (err error) {
	if w.apiKey, err = crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet api key, for tests only"))); err != nil {
		return err
	}
	w.Relay, err = relaysim.New(relaysim.Config{
		Seed: 1, APIKey: crypto.PubkeyToAddress(w.apiKey.PublicKey), FeeAddress: w.Genesis.FeeAddress, DaoAddress: w.Genesis.DaoAddress,
		Networks: w.cfg.relayTariffs(), BenefitOf: w.benefitOf, ProjectorDelay: projectorDelay,
	})
	return err
}

// Start starts every custodian that does not run.
func (w *World) Start() error {
	for _, c := range w.Custodians {
		if !c.Running() {
			if err := c.Start(); err != nil {
				return err
			}
			time.Sleep(w.cfg.Stagger)
		}
	}
	return nil
}

// Close crashes what still runs and stops the chain. It returns what custodians died of by themselves.
func (w *World) Close() error {
	w.questioned()
	var errs []error
	for _, c := range w.Custodians {
		errs = append(errs, c.Kill())
	}
	w.cancel()
	w.work.Wait()
	return errors.Join(errs...)
}

// bare is a context for questions that are answered at once, alive after the world's end too.
func (w *World) bare() context.Context { return context.WithoutCancel(w.ctx) }

// Now is the time since the world began.
func (w *World) Now() time.Duration { return time.Since(w.started) }

// Tracef writes one line of the trace, with the virtual time in front.
func (w *World) Tracef(format string, args ...any) {
	w.cfg.Trace(fmt.Sprintf("%8.2fs  ", w.Now().Seconds()) + fmt.Sprintf(format, args...))
}

// Until looks every quarter of a second, and fails with what was last missing when the time is up.
func (w *World) Until(within time.Duration, missing func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := missing()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(250 * time.Millisecond)
	}
}
