package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of values: outside them a number is a slip, not a choice.
const (
	minPoll         = 100 * time.Millisecond // faster only loads the Relay, whose rows settle after seconds
	maxPoll         = time.Minute            // slower delays every payout by as much
	minThrottle     = 100 * time.Millisecond
	maxThrottle     = time.Minute
	minFanout       = 2 // a mesh of degree one falls apart
	maxFanout       = 64
	minRound        = time.Second // a signing round computes for most of a second
	maxRound        = 5 * time.Minute
	maxEndpoints    = 16
	maxListen       = 8
	maxSocketPath   = 104 // bytes of a unix socket's path that every system takes
	maxNodeName     = 64
	maxThrottleMax  = 10_000_000
	networkNameSize = 64

	minHeartbeat = 10 * time.Second // parts end a pass every few seconds
	maxHeartbeat = 24 * time.Hour
	minRemind    = time.Minute
	maxRemind    = 7 * 24 * time.Hour
	minLate      = time.Minute // a payment waits for its final block
	maxLate      = 7 * 24 * time.Hour
	maxPerMinute = 1000
	maxWebhook   = 2048 // bytes of its URL
)

// KeyError says which key of the file has a value that cannot be.
type KeyError struct {
	Key string // dotted
	Why string
}

func (e *KeyError) Error() string { return e.Key + " " + e.Why }

// Hint says where to look.
func (e *KeyError) Hint() string { return "`conclave config default` explains every key" }

// checker collects the first error, so that Validate reads as a list of rules.
type checker struct{ err error }

func (c *checker) want(ok bool, key, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = &KeyError{key, fmt.Sprintf(format, args...)}
	}
}

func (c *checker) between(key string, d Duration, low, high time.Duration) {
	c.want(time.Duration(d) >= low && time.Duration(d) <= high, key, "must be between %s and %s, not %s", low, high, time.Duration(d))
}

func (c *checker) number(key string, v, low, high int) {
	c.want(v >= low && v <= high, key, "must be between %d and %d, not %d", low, high, v)
}

// Validate looks at every value. It touches no file and no network; it fails with a [*KeyError].
func (c Config) Validate() error {
	var k checker
	k.node(c.Node)
	k.relay(c.Relay)
	k.p2p(c.P2P)
	k.between("tss.round_timeout", c.TSS.RoundTimeout, minRound, maxRound)
	k.want(c.Vault.Dir != "", "vault.dir", "must not be empty")
	k.api(c.API)
	k.alerts(c.Alerts)
	k.settlement(c.Risk.Settlement)
	k.lanes(c.Lanes)
	return k.err
}

func (c *checker) node(n Node) {
	c.want(n.Name != "" && len(n.Name) <= maxNodeName, "node.name", "must have 1 to %d bytes", maxNodeName)
	c.want(n.KeyFile != "", "node.key_file", "must not be empty")
	c.want(n.GenesisFile != "", "node.genesis_file", "must not be empty")
	c.want(n.DataDir != "", "node.data_dir", "must not be empty")
	levels := []LogLevel{"debug", "info", "warn", "error"}
	c.want(slices.Contains(levels, n.LogLevel), "node.log_level", "must be debug, info, warn or error, not %q", n.LogLevel)
}

func (c *checker) relay(r Relay) {
	c.want(r.URL != "", "relay.url", "is required")
	c.want(httpURL(r.URL), "relay.url", "must be http://… or https://… without query, fragment or user")
	c.want(r.KeyFile != "", "relay.key_file", "must not be empty")
	c.between("relay.poll", r.Poll, minPoll, maxPoll)
	c.want(r.Auth == AuthKey, "relay.auth", "must be %q, not %q", AuthKey, r.Auth)
}

func (c *checker) p2p(p P2P) {
	c.want(len(p.Listen) > 0 && len(p.Listen) <= maxListen, "p2p.listen", "must have 1 to %d multiaddrs", maxListen)
	for _, a := range p.Listen {
		_, _, ok := SplitMultiaddr(a)
		c.want(ok, "p2p.listen", "must be like /ip4/0.0.0.0/tcp/%d, not %q", DefaultP2PPort, a)
	}
	c.between("p2p.throttle_duration", p.ThrottleDuration, minThrottle, maxThrottle)
	c.number("p2p.throttle_max", p.ThrottleMax, 1, maxThrottleMax)
	c.number("p2p.fanout", p.Fanout, minFanout, maxFanout)
}

func (c *checker) api(a API) {
	host, port, err := net.SplitHostPort(a.Listen)
	_, portErr := strconv.ParseUint(port, 10, 16)
	c.want(err == nil && portErr == nil, "api.listen", "must be host:port, not %q", a.Listen)
	c.want(a.AllowRemote || loopback(host), "api.listen",
		"%q is not loopback: the API asks no password; set api.allow_remote = true if a proxy guards it", a.Listen)
	c.want(a.Socket != "" && len(a.Socket) <= maxSocketPath, "api.socket", "must have 1 to %d bytes", maxSocketPath)
}

func (c *checker) alerts(a Alerts) {
	// The URL may hold a service's token: it is never shown.
	c.want(a.Webhook == "" || webhookURL(a.Webhook), "alerts.webhook", "must be https://…, or http://… on loopback: messages name accounts and amounts")
	c.want(a.Webhook != "" || a.WebhookSecretFile == "", "alerts.webhook_secret_file", "signs nothing without alerts.webhook")
	if a.Heartbeat != 0 {
		c.between("alerts.heartbeat", a.Heartbeat, minHeartbeat, maxHeartbeat)
	}
	c.between("alerts.remind_critical", a.RemindCritical, minRemind, maxRemind)
	c.between("alerts.remind_most", a.RemindMost, time.Duration(a.RemindCritical), maxRemind)
	c.between("alerts.remind_warning", a.RemindWarning, minRemind, maxRemind)
	c.number("alerts.per_minute", a.PerMinute, 1, maxPerMinute)
	c.between("alerts.withdrawal_late", a.WithdrawalLate, minLate, maxLate)
}

func webhookURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxWebhook && u.Fragment == "" && endpointURL(s) && (u.Scheme == "https" || loopback(u.Hostname()))
}

func (c *checker) lanes(lanes []Lane) {
	c.want(len(lanes) > 0, "lane", "is required: one [[lane]] for each lane of the genesis document")
	seen := map[string]bool{}
	for i, l := range lanes {
		at := fmt.Sprintf("lane[%d].", i)
		c.want(l.Network != "" && len(l.Network) <= networkNameSize, at+"network", "is required, 1 to %d bytes", networkNameSize)
		c.want(!seen[l.Network], at+"network", "%q stands twice", l.Network)
		seen[l.Network] = true
		c.want(len(l.Endpoints) > 0 && len(l.Endpoints) <= maxEndpoints, at+"endpoints", "is required: 1 to %d URLs", maxEndpoints)
		urls := map[string]bool{}
		for j, e := range l.Endpoints {
			// The URL may hold a provider's key: it is named by its place, never shown.
			c.want(endpointURL(e), at+"endpoints", "[%d] must be http://… or https://…", j)
			c.want(!urls[e], at+"endpoints", "[%d] stands twice: one server cannot confirm itself", j)
			urls[e] = true
		}
	}
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && endpointURL(s) && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// endpointURL allows a query and a user: providers put their keys there.
func endpointURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// SplitMultiaddr reads /ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT, the one shape that the wire speaks.
func SplitMultiaddr(s string) (host string, port uint16, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[0] != "" || parts[3] != "tcp" || parts[2] == "" {
		return "", 0, false
	}
	p, err := strconv.ParseUint(parts[4], 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != parts[4] {
		return "", 0, false
	}
	ip := net.ParseIP(parts[2])
	switch parts[1] {
	case "ip4":
		ok = ip != nil && ip.To4() != nil && !strings.Contains(parts[2], ":")
	case "ip6":
		ok = ip != nil && strings.Contains(parts[2], ":")
	case "dns", "dns4", "dns6":
		ok = ip == nil && !strings.ContainsAny(parts[2], " \t\n:")
	}
	return parts[2], uint16(p), ok
}
