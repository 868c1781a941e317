package simnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing/synctest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/zap"

	"conclave/chain/memchain"
	"conclave/node"
	"conclave/p2p"
	"conclave/p2p/memnet"
	"conclave/quorum"
	"conclave/relay"
	"conclave/relay/relaysim"
	"conclave/tss"
)

// Custodian is one member's node with its disk, its endpoint of the chain and its view of the Relay, which outlive the
// process.
type Custodian struct {
	Index   int // of the member
	Name    string
	Address common.Address
	Chain   *memchain.Endpoint
	Relay   *relaysim.View
	Node    *node.Node   // nil while it does not run
	Net     *memnet.Node // of the present process, or of the last
	Notices Notices      // what its alerts told

	BroadcastsSeemToFail atomic.Bool // the chain takes a transaction and the answer says otherwise

	second *odd // endpoint, in a world of several

	treason atomic.Pointer[treason] // in sessions of threshold signing

	skew   atomic.Int64         // of its clock, nanoseconds
	marks  marks                // what its disk held when it last ended
	past   map[common.Hash]bool // approvals that a replaced disk held
	w      *World
	key    *ecdsa.PrivateKey
	dir    string
	crash  *crasher
	cancel context.CancelFunc
	done   chan error

	vault   *safe
	invited []quorum.Member // who asked a newcomer to join
}

func (w *World) newCustodian(i int, key *ecdsa.PrivateKey, dir string) (*Custodian, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return w.custodian(i, key, dir), w.founding.write(dir, w.network)
}

// custodian has its own views of chain and Relay; its folder is there.
func (w *World) custodian(i int, key *ecdsa.PrivateKey, dir string) *Custodian {
	name := fmt.Sprintf("n%d", i)
	c := &Custodian{Index: i, Name: name, Address: crypto.PubkeyToAddress(key.PublicKey), w: w, key: key, dir: dir,
		Chain: w.Chain.Endpoint(name), Relay: w.Relay.View(i + 1), crash: &crasher{w: w, name: name, seen: map[string]bool{}, database: filepath.Join(dir, databaseFile)}}
	c.second = &odd{Endpoint: w.Chain.Endpoint(name + " second")}
	c.second.set(EndpointHonest)
	return c
}

// Running reports whether the process lives, as far as anybody told.
func (c *Custodian) Running() bool { return c.Node != nil }

// Start starts a process on the custodian's disk.
func (c *Custodian) Start() error {
	if c.Node != nil {
		return fmt.Errorf("%s runs already", c.Name)
	}
	ctx, cancel := context.WithCancel(c.w.ctx)
	c.crash.born(cancel)
	n, err := c.build()
	if err != nil {
		cancel()
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	c.Node, c.cancel, c.done = n, cancel, make(chan error, 1)
	go func() { c.done <- n.Run(ctx) }()
	synctest.Wait()
	return nil
}

func (c *Custodian) build() (*node.Node, error) {
	api, err := relay.NewClient(relay.Config{URL: relayURL, Key: c.w.apiKey, Transport: relayDoor{relaysim.Transport(c.Relay), c.crash}})
	if err != nil {
		return nil, err
	}
	chains, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	cfg := node.Config{Key: c.key, Genesis: c.w.Genesis, DataDir: c.dir, Development: true, Settlement: c.w.SettlementFile(), Alerts: c.w.cfg.Alerts, RelayPoll: c.w.cfg.Poll, Invited: c.invited,
		Log: zap.New(c.w.overheard(c.Name, logDoor{traceCore{w: c.w, name: c.Name}, c.crash}), zap.Development())} // which panics at our own bugs
	parts := node.Parts{
		Network: func(h p2p.Handlers) (p2p.Network, error) {
			var err error
			c.Net, err = c.w.join(c.key, peers(c.w.keys), h)
			return traitorDoor{netDoor{c.Net, c.crash}, c}, err
		},
		Relay: api, Chains: chains, Vault: c.store(), Notifier: &c.Notices,
		Steps: c.crash.step, Now: c.now, Turns: c.w.turns(c.Name), Random: c.w.random(c.Name),
	}
	if !c.w.cfg.Shares {
		parts.Signer = func(to tss.Transport) (node.Signer, error) {
			return &idealSigner{self: c.Address, key: c.w.whole, to: to, used: map[common.Hash]bool{}, live: map[common.Hash]*idealSession{}, taken: map[string]bool{},
				identity: c.key, network: c.w.network, deal: c.w.deal}, nil
		}
	}
	return node.New(cfg, parts)
}

// join makes an endpoint of the hub.
func (w *World) join(key *ecdsa.PrivateKey, members []p2p.Peer, h p2p.Handlers) (*memnet.Node, error) {
	topics, protocols, requests := node.Wire()
	return w.Hub.Join(p2p.Config{
		Key: key, NetworkID: w.network, Members: members, Topics: topics, Protocols: protocols, Requests: requests,
		ThrottleDuration: throttleDuration, ThrottleMax: throttleMax, Fanout: 2, Log: zap.NewNop(),
	}, h)
}

// Kill crashes the process: its context ends, and nothing is told to anybody. It returns what the process died of before
// that, if it did.
func (c *Custodian) Kill() error {
	if c.Node == nil {
		return nil
	}
	c.cancel()
	err := <-c.done
	c.Node = nil
	if torn := c.crash.tear(); torn != nil {
		return torn
	}
	if forgot := c.remember(); forgot != nil {
		return forgot
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// Died reports whether the process ended by itself, and why.
func (c *Custodian) Died() (error, bool) {
	if c.Node == nil {
		return nil, false
	}
	select {
	case err := <-c.done:
		c.Node = nil
		c.cancel()
		return err, true
	default:
		return nil, false
	}
}
