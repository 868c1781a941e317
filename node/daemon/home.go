package daemon

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"
	"conclave/relay"
)

// Permission bits of everyone but the owner.
const (
	othersAny   fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// home is what a home says, checked as far as that goes without opening vault, books or network.
type home struct {
	cfg     config.Config
	genesis quorum.Genesis
	key     *ecdsa.PrivateKey
	relay   *relay.Client
	invited []quorum.Member // by the invitation; nil without one

	notifier node.Notifier  // nil without a webhook
	overlay  quorum.Overlay // zero: none
}

func (h home) self() common.Address { return crypto.PubkeyToAddress(h.key.PublicKey) }

// readHome reads and checks; it changes nothing.
func readHome(dir string) (home, error) {
	cfg, err := config.Load(dir)
	if err != nil {
		return home{}, err
	}
	h := home{cfg: cfg}
	for _, step := range []func() error{h.checkModes, h.readGenesis, h.readInvitation, h.readKeys, h.checkLanes, h.readWebhook, h.readOverlay} {
		if err := step(); err != nil {
			return home{}, err
		}
	}
	return h, nil
}

// checkModes refuses a home in which others can put files, and books that others can read.
func (h *home) checkModes() error {
	for _, c := range []struct {
		path   string
		forbid fs.FileMode
		can    string
	}{
		{h.cfg.Home(), othersWrite, "write"},
		{h.cfg.DataPath(), othersAny, "read"},
		{h.cfg.LedgerPath(), othersAny, "read"},
		{h.cfg.InvitationPath(), othersWrite, "write"},
		{h.cfg.VaultPath(), othersAny, "read"},
	} {
		info, err := os.Stat(c.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // whoever needs it says so
		case err != nil:
			return fmt.Errorf("check the home: %w", err)
		case info.Mode().Perm()&c.forbid != 0 && info.IsDir():
			return problem(Setup, "chmod 700 "+c.path, "%s has mode %04o: others can %s it", c.path, info.Mode().Perm(), c.can)
		case info.Mode().Perm()&c.forbid != 0:
			return &config.ModeError{Path: c.path, Mode: info.Mode().Perm(), Can: c.can}
		}
	}
	return nil
}

// readGenesis wants a document that q operators signed.
func (h *home) readGenesis() error {
	file, err := os.ReadFile(h.cfg.GenesisPath())
	if errors.Is(err, fs.ErrNotExist) {
		return problem(Setup, "`conclave network join --home "+h.cfg.Home()+" FILE` puts the genesis document there", "this home has joined no network")
	}
	if err != nil {
		return fmt.Errorf("read the genesis document: %w", err)
	}
	verified, err := governance.ParseVerified(file)
	if errors.Is(err, governance.ErrTooFew) {
		return problem(Refused, "`conclave network sign`, then join with the signed copy", "network: %w", err)
	}
	if err != nil {
		return problem(Setup, "`conclave network verify` says more", "%s: %w", h.cfg.GenesisPath(), err)
	}
	h.genesis = verified.Document()
	return nil
}

func (h *home) readKeys() error {
	var err error
	if h.key, err = config.ReadKey(h.cfg.NodeKeyPath()); err != nil {
		return secretProblem("node key", err)
	}
	ids := make(quorum.Members, len(h.genesis.Members))
	for i, m := range h.genesis.Members {
		ids[i] = m.Address
	}
	if !ids.Has(h.self()) && h.invited == nil {
		return problem(Setup, "join the network that this node's member record went into; one that runs already, with `--invitation`", "%s, the address of %s, is no member of network %s",
			h.self(), h.cfg.NodeKeyPath(), h.genesis.Name)
	}
	relayKey, err := config.ReadKey(h.cfg.RelayKeyPath())
	if err != nil {
		return secretProblem("relay key", err)
	}
	if h.relay, err = relay.NewClient(relay.Config{URL: h.cfg.Relay.URL, Key: relayKey}); err != nil {
		return problem(Setup, "", "%w", err)
	}
	return nil
}

// secretProblem keeps the configuration's own hint where it has one.
func secretProblem(what string, err error) error {
	hint := ""
	var own interface{ Hint() string }
	if errors.As(err, &own) {
		hint = own.Hint()
	}
	return problem(Setup, hint, "%s: %w", what, err)
}

// checkLanes wants each lane of the document to have the endpoints that the document demands, and no others.
func (h *home) checkLanes() error {
	have := map[string]int{}
	for _, l := range h.cfg.Lanes {
		if _, ok := h.genesis.LaneOf(l.Network); !ok {
			return &config.KeyError{Key: "lane", Why: fmt.Sprintf("%q is not a lane of network %s", l.Network, h.genesis.Name)}
		}
		have[l.Network] = len(l.Endpoints)
	}
	for _, l := range h.genesis.Lanes {
		if n := have[l.Network]; uint64(n) < l.MinEndpoints {
			return &config.KeyError{Key: "lane", Why: fmt.Sprintf("%q has %d endpoints, network %s demands %d", l.Network, n, h.genesis.Name, l.MinEndpoints)}
		}
	}
	return nil
}

// Development reports whether a document is of a development network, in which preparameters whose factors are published
// are accepted. The rule is the network's name: it begins with "devnet". The name is part of what operators sign, so no
// configuration of one node can turn a real network into a development one.
func Development(g quorum.Genesis) bool { return strings.HasPrefix(g.Name, "devnet") }
