package metrics

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"conclave/ledger"
	"conclave/node"
)

const (
	// freshFor is how long an answer of the node serves scrapes.
	freshFor = time.Second
	// patience is how long the node may take to answer: less than a scraper's usual ten seconds.
	patience = 5 * time.Second
	// maxScrapes bounds scrapes under way: a handful of scrapers.
	maxScrapes = 8
	// scrapeTimeout bounds one scrape, the node's patience included.
	scrapeTimeout = 8 * time.Second
)

// Source is what the metrics are read from. *node.Node is one.
type Source interface {
	Status(ctx context.Context) (node.Status, error)
	Peers() []node.Peer
	Alerts() []node.Alert
	AlertsRaised() []node.AlertCount
}

// Metrics is the collector of everything in the catalogue.
type Metrics struct {
	src   Source
	descs map[string]*prometheus.Desc
	kinds map[string]prometheus.ValueType

	mu sync.Mutex // guards last and at, and makes concurrent scrapes wait for one answer
	at time.Time
	last
}

// last is what one look at the node gave.
type last struct {
	status node.Status
	err    error
	peers  []node.Peer
	alerts []node.Alert
	raised []node.AlertCount
}

// Handler serves a registry of its own with everything in it: GET /metrics.
func Handler(src Source) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	if err := Register(reg, src); err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout}), nil
}

// Register adds the node's metrics and the process's own to a registry.
func Register(reg prometheus.Registerer, src Source) error {
	m := &Metrics{src: src, descs: map[string]*prometheus.Desc{}, kinds: map[string]prometheus.ValueType{}}
	for _, row := range catalogue() {
		m.descs[row.name] = prometheus.NewDesc(prefix+row.name, row.help, row.labels, nil)
		m.kinds[row.name] = row.kind
	}
	own := prometheus.WrapRegistererWithPrefix(prefix, reg)
	for _, c := range []struct {
		to prometheus.Registerer
		c  prometheus.Collector
	}{
		{reg, m},
		{own, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})},
		{own, collectors.NewGoCollector()},
	} {
		if err := c.to.Register(c.c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	l := m.look()
	e := emit{m, out}
	e.alerts(l.alerts)
	for _, r := range l.raised {
		e.put("alerts_raised_total", float64(r.Count), r.Code, r.Severity.String())
	}
	for _, p := range l.peers {
		id := p.Address.Hex()
		e.put("peer_refused_total", float64(p.Refused), id)
		e.put("peer_throttled_total", float64(p.Throttled), id)
		e.put("peer_dropped_total", float64(p.Dropped), id)
	}
	e.flag("up", l.err == nil)
	if l.err != nil {
		return
	}
	e.node(l.status)
	e.members(l.status.Members)
	e.books(l.status.Books)
	e.lanes(l.status.Lanes)
}

// look asks the node, or repeats a fresh answer.
func (m *Metrics) look() last {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.at.IsZero() && time.Since(m.at) < freshFor {
		return m.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m.status, m.err = m.src.Status(ctx)
	m.peers, m.alerts, m.raised = m.src.Peers(), m.src.Alerts(), m.src.AlertsRaised()
	m.at = time.Now()
	return m.last
}

// emit writes samples by the catalogue's names.
type emit struct {
	m   *Metrics
	out chan<- prometheus.Metric
}

func (e emit) put(name string, v float64, labels ...string) {
	d, ok := e.m.descs[name]
	if !ok {
		panic("metrics: " + name + " is not in the catalogue")
	}
	e.out <- prometheus.MustNewConstMetric(d, e.m.kinds[name], v, labels...)
}

func (e emit) flag(name string, v bool, labels ...string) {
	n := 0.0
	if v {
		n = 1
	}
	e.put(name, n, labels...)
}

// wei puts a decimal amount; what the node writes always parses.
func (e emit) wei(name, amount string, labels ...string) {
	v, err := strconv.ParseFloat(amount, 64)
	if err != nil {
		panic("metrics: " + name + ": " + err.Error())
	}
	e.put(name, v, labels...)
}

func (e emit) node(s node.Status) {
	e.put("info", 1, s.Version, s.Network.Name, s.Network.ID.Hex(), s.Node.Address.Hex(), s.Node.Name)
	if up, err := time.ParseDuration(s.Node.Uptime); err == nil {
		e.put("uptime_seconds", up.Seconds())
	}
	e.put("epoch", float64(s.Epoch))
	e.put("quorum", float64(s.Quorum))
	e.put("height", float64(s.Height))
	e.put("agreement_round", float64(s.Round.Round))
	e.flag("halted", s.Halted)
	e.flag("founded", s.Keygen == nil || s.Keygen.Change != nil)
	if s.Signing != nil {
		e.put("signing_attempt", float64(s.Signing.Attempt))
		e.put("signing_ready", float64(len(s.Signing.Ready)))
	}
	reasons := map[string]int{}
	for _, r := range s.Reasons {
		reasons[r.Code]++
	}
	for code, n := range reasons {
		e.put("reasons", float64(n), code)
	}
}

func (e emit) alerts(all []node.Alert) {
	type key struct{ code, severity string }
	standing := map[key]float64{}
	open := map[string]float64{}
	for _, s := range []ledger.Severity{ledger.Info, ledger.Warning, ledger.Critical} {
		open[s.String()] = 0 // a series that is absent cannot be compared with a bound
	}
	for _, a := range all {
		k := key{a.Code, a.Severity.String()}
		standing[k] += 0 // one that is over is shown as such
		if !a.Over {
			standing[k]++
			open[k.severity]++
		}
	}
	for severity, n := range open {
		e.put("alerts_open", n, severity)
	}
	for k, n := range standing {
		e.put("alerts", n, k.code, k.severity)
	}
}

func (e emit) members(all []node.MemberStatus) {
	for _, m := range all {
		id := m.Address.Hex()
		e.flag("member_connected", m.Connected, id)
		e.put("member_height", float64(m.Height), id)
		e.put("member_settled_id", float64(m.Settled), id)
		e.flag("member_halted", m.Halted, id)
		if m.LastSeen != nil {
			e.put("member_last_seen_timestamp_seconds", float64(m.LastSeen.UnixMilli())/1000, id)
		}
	}
}

func (e emit) books(b node.BooksStatus) {
	e.put("books_last_id", float64(b.LastID))
	e.put("books_settled_id", float64(b.SettledID))
	e.put("books_gaps", float64(b.Gaps))
	e.put("books_events_total", float64(b.Events))
	e.put("books_accounts", float64(b.Accounts))
	e.put("books_frozen_accounts", float64(b.Frozen))
	e.wei("books_liabilities_wei", b.Liabilities)
	e.wei("books_uncovered_wei", b.Uncovered)
	e.flag("books_intake_held", b.Held)
}

func (e emit) lanes(all []node.LaneStatus) {
	for _, l := range all {
		e.wei("lane_balance_wei", l.Balance, l.Network)
		e.wei("lane_gas_wei", l.Gas, l.Network)
		e.put("lane_nonce", float64(l.Nonce), l.Network)
		e.put("lane_next_nonce", float64(l.Next), l.Network)
		e.put("lane_in_flight", float64(l.InFlight), l.Network)
		e.put("lane_queue", float64(l.Queue), l.Network)
		e.put("lane_final_block", float64(l.Block), l.Network)
		for _, f := range l.Flows {
			token := f.Token.Hex()
			e.wei("flow_initial_wei", f.Initial, l.Network, token)
			e.wei("flow_inflow_wei", f.Inflow, l.Network, token)
			e.wei("flow_wallet_wei", f.Wallet, l.Network, token)
			e.wei("flow_paid_wei", f.Paid, l.Network, token)
			e.wei("flow_fees_wei", f.Fees, l.Network, token)
			e.wei("flow_lost_wei", f.Lost, l.Network, token)
		}
	}
}
