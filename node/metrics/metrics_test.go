package metrics

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"conclave/internal/golden"
	"conclave/ledger"
	"conclave/node"
)

type source struct {
	asked int
	err   error
	s     node.Status
}

func (s *source) Status(context.Context) (node.Status, error) { s.asked++; return s.s, s.err }
func (s *source) Peers() []node.Peer {
	return []node.Peer{{Address: common.Address{1}, Refused: 3, Throttled: 2, Dropped: 1}}
}
func (s *source) Alerts() []node.Alert {
	return []node.Alert{
		{Code: "fuse", Severity: ledger.Critical, Count: 2}, {Code: "fuse", Severity: ledger.Critical, Count: 5, Over: true},
	}
}

func (s *source) AlertsRaised() []node.AlertCount {
	return []node.AlertCount{{Code: "fuse", Severity: ledger.Critical, Count: 7}}
}

func full() *source {
	seen := time.UnixMilli(1500)
	return &source{s: node.Status{
		Version: "v", Node: node.NodeStatus{Name: "alice", Uptime: "1m0s"}, Network: node.NetworkStatus{Name: "devnet"}, Epoch: 1, Quorum: 3, Height: 9, Halted: true,
		Members: []node.MemberStatus{{Address: common.Address{1}, Connected: true, LastSeen: &seen, Height: 8}},
		Books:   node.BooksStatus{LastID: 12, SettledID: 10, Gaps: 2, Liabilities: "1500000000000000000", Uncovered: "0"},
		Lanes: []node.LaneStatus{{Network: "devnet", Balance: "7", Gas: "7", Queue: 4, InFlight: 2, Flows: []node.FlowStatus{
			{Initial: "9", Inflow: "3", Wallet: "7", Paid: "4", Fees: "1", Lost: "0"},
		}}},
		Signing: &node.SigningStatus{Attempt: 1, Ready: []common.Address{{1}, {2}}},
		Reasons: []node.Reason{{Code: "halted"}, {Code: "fuse"}, {Code: "fuse"}},
	}}
}

func TestDocsAreOfThisCode(t *testing.T) {
	golden.Text(t, filepath.Join("..", "..", "docs", "metrics.md"), Markdown())
}

func TestEveryMetricOfTheCatalogueIsExported(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, Register(reg, full()))
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
		require.True(t, strings.HasPrefix(f.GetName(), prefix), f.GetName())
	}
	for _, m := range catalogue() {
		require.True(t, got[prefix+m.name], m.name)
	}
	require.True(t, got["conclave_process_cpu_seconds_total"])
	require.True(t, got["conclave_go_goroutines"])
}

// A committee whose key is handed on has one all the while.
func TestAChangeOfMembersIsNoFounding(t *testing.T) {
	src := full()
	src.s.Keygen = &node.KeygenStatus{Change: &common.Hash{1}}
	require.Contains(t, scrape(t, src), "conclave_founded 1")
	src.s.Keygen.Change = nil
	require.Contains(t, scrape(t, src), "conclave_founded 0")
}

func scrape(t *testing.T, src Source) string {
	t.Helper()
	h, err := Handler(src)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func TestValues(t *testing.T) {
	text := scrape(t, full())
	for _, want := range []string{
		`conclave_up 1`,
		`conclave_info{address="0x0000000000000000000000000000000000000000",name="alice",network="devnet",network_id="0x0000000000000000000000000000000000000000000000000000000000000000",version="v"} 1`,
		`# TYPE conclave_alerts gauge`,
		`conclave_alerts{code="fuse",severity="critical"} 1`,
		`conclave_alerts_open{severity="critical"} 1`,
		`conclave_alerts_open{severity="warning"} 0`,
		`conclave_alerts_open{severity="info"} 0`,
		`# TYPE conclave_alerts_raised_total counter`,
		`conclave_alerts_raised_total{code="fuse",severity="critical"} 7`,
		`conclave_books_gaps 2`,
		`conclave_books_liabilities_wei 1.5e+18`,
		`conclave_halted 1`,
		`conclave_founded 1`,
		`conclave_signing_ready 2`,
		`conclave_lane_queue{lane="devnet"} 4`,
		`conclave_flow_paid_wei{lane="devnet",token="0x0000000000000000000000000000000000000000"} 4`,
		`conclave_member_connected{member="0x0100000000000000000000000000000000000000"} 1`,
		`conclave_member_last_seen_timestamp_seconds{member="0x0100000000000000000000000000000000000000"} 1.5`,
		`conclave_peer_refused_total{member="0x0100000000000000000000000000000000000000"} 3`,
		`conclave_reasons{code="fuse"} 2`,
		`conclave_reasons{code="halted"} 1`,
		`conclave_uptime_seconds 60`,
	} {
		require.Contains(t, text, want+"\n")
	}
}

func TestADeadCoreIsDownAndNoError(t *testing.T) {
	text := scrape(t, &source{err: errors.New("no answer")})
	require.Contains(t, text, "conclave_up 0\n")
	require.Contains(t, text, "conclave_peer_dropped_total")
	require.NotContains(t, text, "conclave_height")
}

func TestTheNodeIsAskedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, reg := full(), prometheus.NewRegistry()
		require.NoError(t, Register(reg, src))
		scrape := func() {
			_, err := reg.Gather()
			require.NoError(t, err)
		}
		scrape()
		scrape()
		require.Equal(t, 1, src.asked)
		time.Sleep(freshFor)
		scrape()
		require.Equal(t, 2, src.asked)
	})
}
