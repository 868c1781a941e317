package devnet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"golang.org/x/sync/errgroup"

	"conclave/internal/devnet/devkeys"
	"conclave/node/config"
	"conclave/quorum"
)

// custodian is one operator's home and process.
type custodian struct {
	home     string
	operator string // key file
	password string // file
	address  common.Address
	api      string // URL
	p2p      int

	mu   sync.Mutex // guards proc: who is killed is started again
	proc *process
}

// process is the present one, nil before the first.
func (c *custodian) process() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc
}

// Ports: the kernel chooses free ones, and they are given back before the custodians take them. Another program may be
// faster; the custodian then says so and ends.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// prepare makes homes as operators do: init, one document, join, sign, verify.
func (n *Network) prepare(ctx context.Context) error {
	relayKey := n.o.RelayKeyFile
	if relayKey == "" {
		relayKey = filepath.Join(n.dir, "relay.key")
		if err := config.WriteKey(relayKey, n.world.apiKey); err != nil {
			return err
		}
	}
	group, inner := errgroup.WithContext(ctx)
	for i := range n.o.Nodes {
		c, err := n.newCustodian(i)
		if err != nil {
			return err
		}
		n.custodians = append(n.custodians, c)
		group.Go(func() error { return n.initHome(inner, i, c, relayKey) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return n.found(ctx)
}

// newCustodian chooses where custodian i lives and listens.
func (n *Network) newCustodian(i int) (*custodian, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	return &custodian{
		home: filepath.Join(n.dir, fmt.Sprintf("custodian-%d", i)), operator: filepath.Join(n.dir, fmt.Sprintf("operator-%d.key", i)),
		password: filepath.Join(n.dir, fmt.Sprintf("password-%d", i)), p2p: ports[0], api: fmt.Sprintf("http://127.0.0.1:%d", ports[1]),
	}, nil
}

// initHome runs `conclave init` for one operator and fills in what init leaves to people.
func (n *Network) initHome(ctx context.Context, i int, c *custodian, relayKey string) error {
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	if err := os.WriteFile(c.password, []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return err
	}
	args := []string{"init", "--home", c.home, "--new-operator-key", c.operator, "--name", fmt.Sprintf("custodian-%d", i),
		"--password-file", c.password, "--relay-key-file", relayKey, "--multiaddr", fmt.Sprintf("/ip4/%s/tcp/%d", n.host(i), c.p2p),
		"--kdf-memory", "64"}
	for _, set := range n.preparams(i) {
		file := filepath.Join(n.dir, fmt.Sprintf("preparams-%d", set))
		if err := os.WriteFile(file, devkeys.Set(set), 0o600); err != nil {
			return err
		}
		defer func() { _ = os.Remove(file) }()
		args = append(args, "--preparams", file)
	}
	if _, err := call(ctx, n.bin, args...); err != nil {
		return err
	}
	cfg, err := config.Read(c.home)
	if err != nil {
		return err
	}
	cfg.Relay.URL = pick(n.o.Relays, i, n.world.relay)
	cfg.Relay.Poll = config.Duration(500 * time.Millisecond)
	cfg.API.Listen = strings.TrimPrefix(c.api, "http://")
	cfg.Lanes = n.endpoints(i)
	if err := config.Replace(filepath.Join(c.home, config.FileName), config.Write(cfg), 0o600); err != nil {
		return err
	}
	key, err := config.ReadKey(cfg.NodeKeyPath())
	if err != nil {
		return err
	}
	c.address = crypto.PubkeyToAddress(key.PublicKey)
	if n.o.Kills > 0 {
		return n.stock(i, cfg, c.address, []byte(hex.EncodeToString(secret)))
	}
	return nil
}

// quorum is how many custodians must agree.
func (n *Network) quorum() int { return len(n.genesis.Members)*2/3 + 1 }

// pick is the i-th of several, the one for all, or the own.
func pick(urls []string, i int, own string) string {
	switch len(urls) {
	case 0:
		return own
	case 1:
		return urls[0]
	}
	return urls[i]
}

// found makes the genesis document and lets every operator join and sign it.
func (n *Network) found(ctx context.Context) error {
	lanes, policy, genesis := filepath.Join(n.dir, "lanes.toml"), filepath.Join(n.dir, "policy.toml"), filepath.Join(n.dir, "genesis.json")
	if err := os.WriteFile(lanes, []byte(n.laneFile()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(policy, []byte(policyFile(n.o.networks(), defaultTariff())), 0o600); err != nil {
		return err
	}
	var records []string
	for _, c := range n.custodians {
		records = append(records, filepath.Join(c.home, "member.json"))
	}
	_, err := call(ctx, n.bin, "network", "new", "--name", "devnet", "--members", strings.Join(records, ","), "--lanes", lanes,
		"--policy", policy, "--fee-address", n.world.fee.Hex(), "--dao-address", n.world.dao.Hex(), "--out", genesis)
	if err != nil {
		return err
	}
	for _, c := range n.custodians {
		if _, err := call(ctx, n.bin, "network", "sign", "--key-file", c.operator, genesis); err != nil {
			return err
		}
	}
	if _, err := call(ctx, n.bin, "network", "verify", genesis); err != nil {
		return err
	}
	for _, c := range n.custodians {
		if _, err := call(ctx, n.bin, "network", "join", "--home", c.home, genesis); err != nil {
			return err
		}
	}
	file, err := os.ReadFile(genesis)
	if err != nil {
		return err
	}
	n.genesis, err = quorum.ParseGenesis(file)
	return err
}

// finalDepth is how many blocks on top make a block final on the development chain.
const finalDepth = 2

// host is where the others reach custodian i.
func (n *Network) host(i int) string {
	if n.o.Host == nil {
		return "127.0.0.1"
	}
	return n.o.Host(i)
}

// launch starts every custodian.
func (n *Network) launch() error {
	for i := range n.custodians {
		if err := n.launchOne(i); err != nil {
			return err
		}
	}
	return nil
}

// launchOne starts one custodian, or starts it again.
func (n *Network) launchOne(i int) error { return n.launchIt(i, n.all()[i]) }

func (n *Network) launchIt(i int, c *custodian) error {
	begin := func() error {
		bin, verb := n.program(i)
		args := append([]string{verb, "--home", c.home, "--password-file", c.password, "--fingerprint", n.genesis.Fingerprint().Code(), "--exit-with-parent"}, n.profiled(i)...)
		p, err := start(bin, n.logFile(i), args...)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.proc = p
		return nil
	}
	var err error
	if n.o.Launch == nil {
		err = begin()
	} else {
		err = n.o.Launch(n.seat(i, c), begin)
	}
	if err != nil {
		return fmt.Errorf("start custodian %d: %w", i, err)
	}
	return nil
}

// logFile is where custodian i's output goes.
func (n *Network) logFile(i int) string {
	return filepath.Join(n.dir, fmt.Sprintf("custodian-%d.log", i))
}

func (n *Network) seat(i int, c *custodian) Seat {
	s := Seat{Index: i, Answers: strings.TrimPrefix(c.api, "http://")}
	for _, url := range []string{pick(n.o.RPCs, i, n.chainURL), pick(n.o.Relays, i, n.world.relay)} {
		s.Reaches = append(s.Reaches, strings.TrimPrefix(url, "http://"))
	}
	return s
}
