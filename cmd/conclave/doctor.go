package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/relay"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// What doctor finds wrong.
const (
	diskLow   = 512 << 20        // bytes that are free where the books lie
	clockOff  = 10 * time.Second // between this machine's clock and the Relay's
	dialWait  = 5 * time.Second  // for a member's address
	doctorFor = time.Minute      // for everything but the lanes, whose endpoints have times of their own
)

func newDoctor(env *cli.Env) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use: "doctor --home DIR", Short: "Look at a home and at everything that it needs; ends with 3 if something is wrong", Args: cobra.NoArgs,
		Long: "Looks at a home and at everything that its node needs, whether the node runs or not: configuration and secrets, the disk, the Relay and the\n" +
			"clock, each endpoint of each lane, the addresses of the other members, and what the node says of itself. It changes nothing.",
		RunE: env.Run(func(cmd *cobra.Command, _ []string) error {
			if home == "" {
				return cli.Errorf(cli.Usage, "", "doctor: --home is required")
			}
			found, err := examine(cmd.Context(), home)
			if err != nil {
				return err
			}
			return printFindings(env, "PART", "OF", found)
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the home to look at (required)")
	return cmd
}

// doctor gathers findings.
type doctor struct {
	cfg config.Config
	g   *quorum.Genesis // nil before `network join`
	out []finding
}

func (d *doctor) add(part, of, check, state, format string, args ...any) {
	d.out = append(d.out, finding{Part: part, Of: of, Check: check, State: state, Text: fmt.Sprintf(format, args...)})
}

// judge adds what is wrong if there is an error, and good with the text otherwise.
func (d *doctor) judge(part, of, check string, err error, format string, args ...any) {
	if err != nil {
		d.add(part, of, check, stateWrong, "%v", err)
		return
	}
	d.add(part, of, check, stateGood, format, args...)
}

// examine looks at one thing after the other; without a configuration there is nothing to look at.
func examine(ctx context.Context, home string) ([]finding, error) {
	cfg, err := config.Load(home)
	if err != nil {
		return nil, err
	}
	d := &doctor{cfg: cfg}
	within, cancel := context.WithTimeout(ctx, doctorFor)
	defer cancel()
	checked, err := checkHome(home)
	d.judge("home", "", "settings", err, "configuration, secrets and genesis document are in order")
	if g, err := readGenesis(cfg.GenesisPath()); err == nil {
		d.g = &g
		d.network(checked, slices.ContainsFunc(g.Members, func(m quorum.Member) bool { return m.Address == checked.Address }))
	} else {
		d.add("home", "", "network", stateUnknown, "none yet: `conclave network join`")
	}
	d.disk()
	d.relay(within)
	if d.g != nil {
		d.lanes(ctx, home)
		d.members(within)
	}
	d.node(home)
	return d.out, nil
}

// network tells whether this home may take part from the start; who came later is told so by the running node.
func (d *doctor) network(checked checkedHome, founder bool) {
	switch {
	case !checked.Signed:
		d.add("home", "", "network", stateUnknown, "%s: fewer operators signed it than must", d.g.Name)
	case !founder:
		d.add("home", "", "network", stateUnknown, "%s: not a founder; the running node knows whether it is a member now", d.g.Name)
	default:
		d.add("home", "", "network", stateGood, "%s, %s", d.g.Name, d.g.ID())
	}
}

func (d *doctor) disk() {
	var s unix.Statfs_t
	path := d.cfg.DataPath()
	if err := unix.Statfs(path, &s); err != nil {
		path = d.cfg.Home() // the node makes the other when it runs for the first time
		if err = unix.Statfs(path, &s); err != nil {
			d.add("home", "", "disk", stateWrong, "%s: %v", path, err)
			return
		}
	}
	free := s.Bavail * uint64(s.Bsize)
	var err error
	if free < diskLow {
		err = fmt.Errorf("%d MB are free at %s; the books need %d MB to breathe", free>>20, path, diskLow>>20)
	}
	d.judge("home", "", "disk", err, "%d MB are free", free>>20)
}

// relay asks with the key of the home, and compares the clocks.
func (d *doctor) relay(ctx context.Context) {
	key, err := config.ReadKey(d.cfg.RelayKeyPath())
	if err != nil {
		d.add("relay", "", "key", stateWrong, "%v", err)
		return
	}
	client, err := relay.NewClient(relay.Config{URL: d.cfg.Relay.URL, Key: key})
	if err != nil {
		d.add("relay", "", "url", stateWrong, "%v", err)
		return
	}
	began := time.Now()
	now, err := client.Now(ctx)
	if err != nil {
		d.add("relay", "", "answer", stateWrong, "%v", err)
		return
	}
	off := now.Sub(began.Add(time.Since(began) / 2)).Abs().Round(time.Second)
	if off > clockOff {
		err = fmt.Errorf("this machine's clock and the Relay's are %s apart: set the time server right", off)
	}
	d.judge("relay", "", "clock", err, "%s apart", off)
	_, err = client.Events(ctx, 0, 1)
	d.judge("relay", "", "log", err, "it shows its log to %s", crypto.PubkeyToAddress(key.PublicKey))
}

func (d *doctor) lanes(ctx context.Context, home string) {
	found, err := checkLanes(ctx, laneSource{home: home}, "")
	if err != nil {
		d.add("lanes", "", "settings", stateWrong, "%v", err)
		return
	}
	d.out = append(d.out, found...)
}

// members dials the others' addresses, as the genesis document has them. One that is down is no fault of this home; too few to
// decide anything are.
func (d *doctor) members(ctx context.Context) {
	key, err := config.ReadKey(d.cfg.NodeKeyPath())
	if err != nil {
		return // said already
	}
	self, up, others := crypto.PubkeyToAddress(key.PublicKey), 0, 0
	for _, m := range d.g.Members {
		if m.Address == self {
			continue
		}
		others++
		if err := dialMember(ctx, m); err != nil {
			d.add("members", m.Name, "address", stateUnknown, "%v; if it moved, the running node knows where to", err)
			continue
		}
		up++
		d.add("members", m.Name, "address", stateGood, "%s takes connections", m.Multiaddrs[0])
	}
	r, err := d.g.Roster()
	if err != nil {
		return // said already
	}
	need := r.Q() - 1
	state := stateGood
	if up < need {
		state = stateUnknown
	}
	d.add("members", "", "quorum", state, "%d of %d others take connections, %d must for anything to be decided", up, others, need)
}

func dialMember(ctx context.Context, m quorum.Member) error {
	last := errors.New("no address that can be dialled")
	for _, a := range m.Multiaddrs {
		host, port, ok := config.SplitMultiaddr(a)
		if !ok {
			continue
		}
		dialer := net.Dialer{Timeout: dialWait}
		c, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return c.Close()
		}
		last = err
	}
	return last
}

// node asks the home's own node, which may not run.
func (d *doctor) node(home string) {
	h, _, err := ask[node.Health](target{home: home}, "custodian_health")
	if err != nil {
		d.add("node", "", "answer", stateUnknown, "it does not run, or does not answer at %s", d.cfg.SocketPath())
		return
	}
	state := stateWrong
	if h.Ready {
		d.add("node", "", "ready", stateGood, "it can do its part")
		state = stateUnknown
	}
	for _, r := range h.Reasons {
		d.add("node", "", r.Code, state, "%s", r.Text)
	}
}
