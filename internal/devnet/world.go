package devnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/internal/devnet/simchain"
	"conclave/relay/relaysim"
)

// world is everything around the custodians that is the devnet's own.
type world struct {
	network string
	chain   *simchain.Chain // nil with --rpc
	sim     *relaysim.Sim   // nil with --relay
	bad     *badEndpoint    // nil without --lying-endpoint
	censor  *censor         // nil without --scenario cancel
	server  *http.Server
	relay   string // URL
	apiKey  *ecdsa.PrivateKey
	deposit common.Address
	fee     common.Address
	dao     common.Address
	benefit common.Address
	payout  common.Address                             // zero with --rpc
	token   common.Address                             // zero unless users are simulated
	pace    func(ctx context.Context, asked int) error // nil: at once

	mu    sync.Mutex // guards bound
	bound map[common.Address]common.Address
}

// chainID is that of the own chain: no public network has it.
const chainID = 1_337_042

// devAddress is an address that nobody holds a key of, for a purpose.
func devAddress(purpose string) common.Address {
	return common.BytesToAddress(crypto.Keccak256([]byte("conclave devnet " + purpose))[12:])
}

// openWorld starts the parts that do not stand already.
func openWorld(ctx context.Context, o Options) (*world, error) {
	w := &world{network: o.Network, deposit: o.Deposit, fee: o.Fee, dao: devAddress("dao"), benefit: o.Benefit, payout: o.Payout, pace: o.Pace,
		bound: map[common.Address]common.Address{}}
	if w.deposit == (common.Address{}) {
		w.deposit = devAddress("deposit")
	}
	if w.fee == (common.Address{}) {
		w.fee = devAddress("fee")
	}
	if len(o.RPCs) == 0 {
		var err error
		if w.chain, err = simchain.Start(simchain.Config{ChainID: chainID}); err != nil {
			return nil, fmt.Errorf("start chain: %w", err)
		}
		if w.bad, err = o.trouble.endpoint(w.chain.URL()); err != nil {
			return nil, errors.Join(fmt.Errorf("start the second endpoint: %w", err), w.close())
		}
		if o.Scenario == ScenarioCancel {
			if w.censor, err = openCensor(w.chain.URL()); err != nil {
				return nil, errors.Join(fmt.Errorf("start the endpoint: %w", err), w.close())
			}
		}
	}
	if len(o.Relays) == 0 {
		if err := w.openRelay(o.relayNetworks(), o.trouble); err != nil {
			return nil, errors.Join(fmt.Errorf("start relay: %w", err), w.close())
		}
	}
	return w, nil
}

// listedAfter is how long the real Relay takes to list a request: 1.3 s usually, 1.8 s at the most of eight that were recorded.
const listedAfter = 1300 * time.Millisecond

// openRelay serves the simulated Relay on loopback.
func (w *world) openRelay(networks []relaysim.Network, trouble *troubles) error {
	var err error
	if w.apiKey, err = crypto.GenerateKey(); err != nil {
		return err
	}
	w.sim, err = relaysim.New(relaysim.Config{
		Seed: uint64(time.Now().UnixNano()), APIKey: crypto.PubkeyToAddress(w.apiKey.PublicKey), FeeAddress: w.fee, DaoAddress: w.dao,
		Networks:  networks,
		BenefitOf: w.benefitOf, ProjectorDelay: listedAfter,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.relay = "http://" + listener.Addr().String()
	w.server = &http.Server{Handler: trouble.relay(w.sim), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }()
	return nil
}

func (w *world) benefitOf(_ context.Context, _ string, account common.Address) (common.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bound[account], nil
}

func (w *world) close() error {
	var err error
	if w.server != nil {
		err = w.server.Close()
	}
	if w.bad != nil {
		err = errors.Join(err, w.bad.close())
	}
	if w.censor != nil {
		err = errors.Join(err, w.censor.close())
	}
	if w.chain != nil {
		err = errors.Join(err, w.chain.Close())
	}
	return err
}

// request is a withdrawal that a simulated user made.
type request struct {
	id     uint64
	user   common.Address
	lane   string
	to     common.Address
	amount *big.Int
}

// Users: each asks for some withdrawals, and every kind of life occurs.
const (
	perUser    = 4 // withdrawals of one user
	userWei    = 1 // coins for gas, to each user that acts on the chain
	binds      = 3 // every third user binds a benefit address
	deposits   = 2 // every second user deposits, the others earn
	smallCoins = 4 // the smallest withdrawal
	tokens     = 4 // every fourth withdrawal is paid in the token
)

// live lets users bind, deposit, earn and withdraw. It returns when n requests are made.
func (w *world) live(ctx context.Context, n int, made func(request)) error {
	faucet, err := w.chain.Faucet()
	if err != nil {
		return err
	}
	defer faucet.Close()
	users := (n + perUser - 1) / perUser
	people := make([]*simchain.Wallet, users)
	keys := make([]*ecdsa.PrivateKey, users)
	for i := range users {
		if keys[i], err = crypto.GenerateKey(); err != nil {
			return err
		}
		if people[i], err = simchain.NewWallet(w.chain.URL(), w.chain.ChainID(), keys[i]); err != nil {
			return err
		}
		defer people[i].Close()
	}
	if err := w.settleIn(ctx, faucet, people); err != nil {
		return err
	}
	return w.withdraw(ctx, keys, n, made)
}

// settleIn gives users gas, bindings and money.
func (w *world) settleIn(ctx context.Context, faucet *simchain.Wallet, people []*simchain.Wallet) error {
	need := new(big.Int).Mul(coins(100), big.NewInt(perUser))
	var last common.Hash
	var err error
	for i, p := range people {
		amount := coins(userWei)
		if i%deposits == 0 {
			amount = new(big.Int).Add(amount, need)
		}
		if last, err = faucet.Transfer(ctx, p.Address(), *uint256.MustFromBig(amount)); err != nil {
			return fmt.Errorf("fund user: %w", err)
		}
	}
	if err := faucet.Wait(ctx, last); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(people))
	for i, p := range people {
		wg.Go(func() { errs[i] = w.settleOne(ctx, i, p, need) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (w *world) settleOne(ctx context.Context, i int, p *simchain.Wallet, need *big.Int) error {
	if i%binds == 0 && w.benefit != (common.Address{}) {
		benefit := devAddress("benefit of " + p.Address().Hex())
		tx, err := p.Bind(ctx, w.benefit, benefit)
		if err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		if err := p.Wait(ctx, tx); err != nil {
			return err
		}
		w.mu.Lock()
		w.bound[p.Address()] = benefit
		w.mu.Unlock()
	}
	if i%deposits != 0 {
		// Several tasks, odd amounts: what a node really earns.
		for j := range int64(4) {
			w.sim.CreditTask(p.Address(), new(big.Int).Add(new(big.Int).Div(need, big.NewInt(4)), big.NewInt(7*j+1)))
		}
		return nil
	}
	tx, err := p.Transfer(ctx, w.deposit, *uint256.MustFromBig(need))
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	if err := p.Wait(ctx, tx); err != nil {
		return err
	}
	w.sim.Deposit(w.network, tx, p.Address(), need)
	return nil
}

// withdraw makes n requests, signed as real users do; some spell their own destination in lower case.
func (w *world) withdraw(ctx context.Context, keys []*ecdsa.PrivateKey, n int, made func(request)) error {
	for i := range n {
		if w.pace != nil {
			if err := w.pace(ctx, i); err != nil {
				return err
			}
		}
		key := keys[i%len(keys)]
		self := crypto.PubkeyToAddress(key.PublicKey)
		to, _ := w.benefitOf(ctx, w.network, self)
		if to == (common.Address{}) {
			to = self
		}
		spelled := to.Hex()
		if i%5 == 4 {
			spelled = strings.ToLower(spelled)
		}
		amount := new(big.Int).Add(coins(smallCoins+int64(i%17)), big.NewInt(int64(i)))
		user := relaysim.NewUser(key, w.relay, http.DefaultTransport, time.Now)
		lane := w.network
		if i%tokens == tokens-1 && w.token != (common.Address{}) {
			lane = tokenNetwork(w.network)
		}
		id, err := user.Withdraw(ctx, lane, amount, spelled)
		if err != nil {
			return fmt.Errorf("withdraw: %w", err)
		}
		made(request{id: id, user: self, lane: lane, to: to, amount: amount})
	}
	return nil
}
