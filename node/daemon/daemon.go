package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/node"
	"conclave/node/api"
	"conclave/node/config"
	"conclave/node/metrics"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/vault"
)

// Options is what a home does not say.
type Options struct {
	Home string
	// Password gives the vault's password, nil to start sealed. It is asked once, after everything that can be refused without
	// it; the daemon clears what it returns.
	Password func(config.Config) ([]byte, error)
	// Fingerprint is what the operator confirmed of the network, as it was typed; "" is what was typed at an earlier start of this home, and
	// takes no part in making a key when nothing was. One that is not the document's own is refused.
	Fingerprint string
	Log         func(config.LogLevel) *zap.Logger
	Note        func(string) // tells a person what takes long
	// Signer replaces what runs threshold sessions; nil: package tss. For networks that are tried with members that lie.
	Signer func(tss.Transport) (node.Signer, error)
}

// Daemon is a custodian that is ready to run.
type Daemon struct {
	node    *node.Node
	api     *api.Server
	vault   *vault.Door
	host    *p2p.Host
	ends    []*evm.Endpoint
	log     *zap.Logger
	genesis quorum.Genesis
	started chan struct{} // closed once the node runs

	confirmed quorum.Fingerprint
}

// Open reads the home and opens everything: vault, books, listeners. Nothing is sent or answered before Run; close a
// daemon that never runs. ctx ends with the process: what takes long ends with it. Errors that an operator can act on are a [*Problem] or one of package config's.
func Open(ctx context.Context, o Options) (*Daemon, error) {
	h, err := readHome(o.Home)
	if err != nil {
		return nil, err
	}
	confirmed, err := h.confirmed(o.Fingerprint)
	if err != nil {
		return nil, err
	}
	d := &Daemon{confirmed: confirmed, genesis: h.genesis, log: o.Log(h.cfg.Node.LogLevel), started: make(chan struct{})}
	if d.vault, err = openVault(h, o); err != nil {
		return nil, err
	}
	if err := d.open(ctx, h, o); err != nil {
		return nil, errors.Join(explain(err), d.Close())
	}
	return d, nil
}

// open joins the parts. Read it as the list of what a custodian is made of.
func (d *Daemon) open(ctx context.Context, h home, o Options) error {
	chains, err := d.chains(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.cfg.DataPath(), 0o700); err != nil {
		return problem(Setup, "the home must be writable", "make the data folder: %w", err)
	}
	if err := h.keepConfirmed(d.confirmed); err != nil {
		return err
	}
	d.node, err = node.New(node.Config{
		Key: h.key, Genesis: h.genesis, Confirmed: d.confirmed, DataDir: h.cfg.DataPath(), Invited: h.invited, Settlement: h.cfg.SettlementSource(), Overlay: h.overlay, Development: Development(h.genesis),
		RelayPoll: time.Duration(h.cfg.Relay.Poll), RoundTimeout: time.Duration(h.cfg.TSS.RoundTimeout), Alerts: rules(h.cfg.Alerts), Log: d.log,
	}, node.Parts{
		Network: func(in p2p.Handlers) (p2p.Network, error) { return d.network(h, in) },
		Relay:   h.relay, Chains: chains, Vault: keys{d.vault, ctx, o.Note}, Notifier: h.notifier,
		Signer: o.Signer,
	})
	if err != nil {
		return err
	}
	scraped, err := metrics.Handler(d.node)
	if err != nil {
		return err
	}
	d.api, err = api.New(api.Config{
		Listen: h.cfg.API.Listen, Socket: h.cfg.SocketPath(), Hosts: ownHosts(h.cfg.API.Listen), Backend: d.node, Orders: d.node, Govern: d.node,
		Custody: &custody{door: d.vault, node: d.node, key: h.key, network: h.genesis.ID(), log: d.log.Named("vault")},
		Metrics: scraped, Log: d.log.Named("api"),
	})
	if err != nil {
		return problem(Setup, "set api.listen to a free port; end another node of this home", "%w", err)
	}
	return nil
}

// ownHosts is the name that the operator told the API to listen on, if it is a name.
func ownHosts(listen string) []string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return nil
	}
	return []string{strings.ToLower(host)}
}

// chains makes an endpoint for each lane of the document out of those of the configuration.
func (d *Daemon) chains(h home) (map[string]chain.Endpoint, error) {
	out := map[string]chain.Endpoint{}
	for _, lane := range h.genesis.Lanes {
		i := slices.IndexFunc(h.cfg.Lanes, func(l config.Lane) bool { return l.Network == lane.Network })
		var ends []chain.Endpoint
		for _, url := range h.cfg.Lanes[i].Endpoints {
			finality := chain.Finality{Tag: lane.Finality == 0, Depth: lane.Finality}
			e, err := evm.New(evm.Config{URL: url, ChainID: lane.ChainID, Finality: finality})
			if err != nil {
				return nil, problem(Setup, "see [[lane]] of config.toml", "lane %q: %w", lane.Network, err)
			}
			d.ends, ends = append(d.ends, e), append(ends, e)
		}
		agreeing, err := chain.NewAgreeing(int(lane.MinEndpoints), ends...)
		if err != nil {
			return nil, problem(Setup, "see [[lane]] of config.toml", "lane %q: %w", lane.Network, err)
		}
		out[lane.Network] = agreeing
	}
	return out, nil
}

// network opens the wire to the members of the document.
func (d *Daemon) network(h home, in p2p.Handlers) (p2p.Network, error) {
	topics, protocols, requests := node.Wire()
	cfg := p2p.Config{
		Key: h.key, NetworkID: h.genesis.ID(), Listen: h.cfg.P2P.Listen, Topics: topics, Protocols: protocols, Requests: requests,
		ThrottleDuration: time.Duration(h.cfg.P2P.ThrottleDuration), ThrottleMax: h.cfg.P2P.ThrottleMax, Fanout: h.cfg.P2P.Fanout,
		Log: d.log.Named("p2p"),
	}
	for _, m := range h.genesis.Members {
		cfg.Members = append(cfg.Members, p2p.Peer{Address: m.Address, PublicKey: m.PublicKey, Multiaddrs: m.Multiaddrs})
	}
	host, err := p2p.New(cfg, in)
	if err != nil {
		return nil, problem(Setup, "see [p2p] listen of config.toml", "%w", err)
	}
	d.host = host
	return startNotice{host, d.started}, nil
}

// startNotice tells when the node runs the network: from then on its core can be asked.
type startNotice struct {
	p2p.Network
	started chan struct{}
}

// Run implements p2p.Network.
func (n startNotice) Run(ctx context.Context) error {
	close(n.started)
	return n.Network.Run(ctx)
}

// Run serves until ctx ends or a part fails, then ends everything and closes it.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var nodeErr, apiErr error
	all.Go(func() {
		defer cancel()
		nodeErr = d.node.Run(ctx)
	})
	all.Go(func() {
		defer cancel()
		// Not before the node runs: its core answers the API.
		select {
		case <-d.started:
			d.log.Info("custodian runs", zap.String("network", d.genesis.Name), zap.Stringer("id", d.genesis.ID()),
				zap.String("api", d.api.URL()), zap.Strings("p2p", d.host.Addrs()), zap.String("version", node.Version))
			apiErr = d.api.Run(ctx)
		case <-ctx.Done():
			apiErr = d.api.Close()
		}
	})
	all.Wait()
	d.vault.Close()
	d.closeEnds()
	return explain(errors.Join(wrap("node", nodeErr), apiErr))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close frees what Open opened; only for a daemon that never ran.
func (d *Daemon) Close() error {
	var errs []error
	if d.api != nil {
		errs = append(errs, d.api.Close())
	}
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	if d.host != nil {
		errs = append(errs, d.host.Close())
	}
	d.closeEnds()
	d.vault.Close()
	return errors.Join(errs...)
}

func (d *Daemon) closeEnds() {
	for _, e := range d.ends {
		e.Close()
	}
}

// Node is the custodian itself; it can be asked once Started is closed.
func (d *Daemon) Node() *node.Node { return d.node }

// Started is closed once the node runs.
func (d *Daemon) Started() <-chan struct{} { return d.started }

// Genesis is the document of the network that the home joined.
func (d *Daemon) Genesis() quorum.Genesis { return d.genesis }

// URL is where the API answers over HTTP.
func (d *Daemon) URL() string { return d.api.URL() }
