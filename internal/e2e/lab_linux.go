package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxNetworks bounds a lab: each network is one number in the third byte of its addresses.
const maxNetworks = 16

// rules is the router's only table: which network does not reach which, and how many packets of a hundred are lost.
const rules = `table inet wire {
	set cut { type ifname . ifname; }
	counter cut { }
	counter lost { }
	chain loss { }
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname . oifname @cut counter name cut drop
		jump loss
	}
}
`

// Lab is a router, which is this process's own namespace, and networks around it. Its methods are for one goroutine, except
// Within and Forward.
type Lab struct {
	networks []*os.File // each holds a namespace
	proxies  []*proxy
	cables   []*cable // of networks that are joined by slow ones
	delay    time.Duration
	how      string // what delays, empty when nothing does
}

// What can delay packets.
const (
	byNetem = "tc netem"
	byCable = "cables of the test's own, for the kernel has no netem"
)

// NewLab makes n networks that reach each other through this process's namespace, each packet to a network so much late
// where that is possible: [Lab.Delay] tells. It refuses to work in a namespace that [Again] did not make. The caller closes
// it, also after an error.
func NewLab(ctx context.Context, n int, delay time.Duration) (*Lab, error) {
	l := &Lab{delay: delay}
	switch {
	case !Inside():
		return l, errors.New("make networks: this process is not in a namespace of its own")
	case n < 1 || n > maxNetworks:
		return l, fmt.Errorf("make networks: want 1 to %d, not %d", maxNetworks, n)
	}
	if err := run(ctx, "", tool("ip"), "link", "set", "lo", "up"); err != nil {
		return l, err
	}
	if delay > 0 {
		l.how = delayer(ctx)
	}
	for i := range n {
		if err := l.join(ctx, i); err != nil {
			return l, fmt.Errorf("make network %d: %w", i, err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0o644); err != nil {
		return l, err
	}
	return l, nft(ctx, rules)
}

// delayer tries, on this namespace's own loopback device, what delays packets here.
func delayer(ctx context.Context) string {
	netem := []string{"qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"}
	if run(ctx, "", tool("tc"), netem...) == nil && run(ctx, "", tool("tc"), "qdisc", "del", "dev", "lo", "root") == nil {
		return byNetem
	}
	f, err := openTun("try0")
	if err != nil {
		return ""
	}
	_ = f.Close()
	return byCable
}

// join makes one namespace, and a cable between it and the router.
func (l *Lab) join(ctx context.Context, i int) error {
	plugged := &cable{}
	err := onThread(func(router *os.File) (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		l.networks = append(l.networks, ns)
		if l.how == byCable {
			plugged.network, err = openTun("eth0")
		} else {
			// By descriptor: a process's number stands for its first thread, and that may be this one.
			err = ip(ctx, fmt.Sprintf("link add eth0 type veth peer name %s netns /proc/%d/fd/%d", port(i), os.Getpid(), router.Fd()))
		}
		if err != nil {
			return err
		}
		return ip(ctx, "link set lo up", fmt.Sprintf("address add %s/24 dev eth0", l.Host(i)), "link set eth0 up",
			fmt.Sprintf("route add default via 10.77.%d.1", i))
	})
	if plugged.network != nil {
		if plugged.router, err = plug(err, i); err != nil {
			return errors.Join(err, plugged.network.Close())
		}
		plugged.serve(l.delay)
		l.cables = append(l.cables, plugged)
	}
	if err != nil {
		return err
	}
	if err := ip(ctx, fmt.Sprintf("address add 10.77.%d.1/24 dev %s", i, port(i)), fmt.Sprintf("link set %s up", port(i))); err != nil {
		return err
	}
	if l.how != byNetem {
		return nil
	}
	return run(ctx, "", tool("tc"), "qdisc", "add", "dev", port(i), "root", "netem", "delay", fmt.Sprintf("%dms", l.delay.Milliseconds()))
}

// plug makes the router's end of a slow cable, unless the other end is not well.
func plug(other error, i int) (*os.File, error) {
	if other != nil {
		return nil, other
	}
	return openTun(port(i))
}

// port is the router's end of a network's cable.
func port(i int) string { return fmt.Sprintf("net%d", i) }

// Host is the address of network i's only host.
func (l *Lab) Host(i int) string { return fmt.Sprintf("10.77.%d.2", i) }

// Within runs do on a thread in network i: sockets that it opens and processes that it starts belong there.
func (l *Lab) Within(i int, do func() error) error {
	return onThread(func(*os.File) error {
		if err := unix.Setns(int(l.networks[i].Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network %d: %w", i, err)
		}
		return do()
	})
}

// onThread runs do on a thread of its own and brings the thread home. One that does not come home ends with its goroutine.
func onThread(do func(home *os.File) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = home.Close() }()
		err = do(home)
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Loss makes the router lose so many packets of a hundred, 0 to 99, between networks, in each direction.
func (l *Lab) Loss(ctx context.Context, percent int) error {
	if percent == 0 { // nft takes no rule that never holds
		return nft(ctx, "flush chain inet wire loss\n")
	}
	return nft(ctx, fmt.Sprintf("flush chain inet wire loss\nadd rule inet wire loss numgen random mod 100 < %d counter name lost drop\n", percent))
}

// Delay says in words how late every packet to a network is, and by what; or that nothing is.
func (l *Lab) Delay() string {
	if l.how == "" {
		return "nothing is delayed"
	}
	return fmt.Sprintf("%s delay by %s", l.delay, l.how)
}

// Cut is one direction between two networks.
type Cut struct{ From, To int }

// Between is both directions between every network of one side and every network of the other.
func Between(one, other []int) []Cut {
	var all []Cut
	for _, a := range one {
		for _, b := range other {
			all = append(all, Cut{a, b}, Cut{b, a})
		}
	}
	return all
}

// Cut drops all packets in these directions, beside those that are cut already.
func (l *Lab) Cut(ctx context.Context, cuts ...Cut) error {
	elements := make([]string, len(cuts))
	for i, c := range cuts {
		elements[i] = fmt.Sprintf("%q . %q", port(c.From), port(c.To))
	}
	return nft(ctx, fmt.Sprintf("add element inet wire cut { %s }\n", strings.Join(elements, ", ")))
}

// Heal ends all cuts.
func (l *Lab) Heal(ctx context.Context) error { return nft(ctx, "flush set inet wire cut\n") }

// Dropped counts the packets that cuts dropped, and those that were lost by chance.
func (l *Lab) Dropped(ctx context.Context) (cut, lost uint64, err error) {
	for _, c := range []struct {
		name string
		into *uint64
	}{{"cut", &cut}, {"lost", &lost}} {
		out, err := exec.CommandContext(ctx, tool("nft"), "list", "counter", "inet", "wire", c.name).Output()
		if err != nil {
			return 0, 0, fmt.Errorf("read counter %s: %w", c.name, err)
		}
		m := packets.FindSubmatch(out)
		if m == nil {
			return 0, 0, fmt.Errorf("read counter %s: %q", c.name, out)
		}
		if *c.into, err = strconv.ParseUint(string(m[1]), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return cut, lost, nil
}

var packets = regexp.MustCompile(`packets (\d+)`)

// Forward lets programs at one end reach an address of the other end: what connects to addr there is connected to addr here.
// An end is a network, or [Router].
func (l *Lab) Forward(there, here int, addr string) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	p := &proxy{dial: func() (c *net.TCPConn, err error) {
		err = l.at(here, func() error { c, err = net.DialTCP("tcp", nil, tcp); return err })
		return c, err
	}}
	err = l.at(there, func() error { p.listener, err = net.ListenTCP("tcp", tcp); return err })
	if err != nil {
		return fmt.Errorf("pass %s on: %w", addr, err)
	}
	p.wait.Go(p.serve)
	l.proxies = append(l.proxies, p)
	return nil
}

// Router is the end that is this process's own namespace.
const Router = -1

func (l *Lab) at(end int, do func() error) error {
	if end == Router {
		return do()
	}
	return l.Within(end, do)
}

// Close ends what passes connections on, and lets go of the namespaces: they are gone when their last process is.
func (l *Lab) Close() error {
	var err error
	for _, p := range l.proxies {
		err = errors.Join(err, p.close())
	}
	for _, c := range l.cables {
		err = errors.Join(err, c.close())
	}
	for _, f := range l.networks {
		err = errors.Join(err, f.Close())
	}
	return err
}

// ip runs iproute2 once for each line.
func ip(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if err := run(ctx, "", tool("ip"), strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

func nft(ctx context.Context, script string) error { return run(ctx, script, tool("nft"), "-f", "-") }

// run runs a program to its end. On failure the error is its last words.
func run(ctx context.Context, input, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, firstLine(string(out), err))
	}
	return nil
}
