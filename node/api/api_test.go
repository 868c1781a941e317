package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"conclave/ledger"
	"conclave/node"
)

// A logger that libraries bring along starts one goroutine when it is linked in.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

var someone = common.HexToAddress("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")

// custodianInMemory answers from fields, so that a test says what a node would.
type custodianInMemory struct {
	status node.Status
	health node.Health
	err    error // of every call that can fail
	halts  []string
	resume error
	query  node.WithdrawalQuery
	before uint64
	alert  atomic.Uint64 // how often it came again
}

func (c *custodianInMemory) Status(context.Context) (node.Status, error) { return c.status, c.err }
func (c *custodianInMemory) Health(context.Context) (node.Health, error) { return c.health, c.err }
func (c *custodianInMemory) Withdrawal(_ context.Context, id uint64) (node.WithdrawalView, error) {
	if id == 404 {
		return node.WithdrawalView{}, fmt.Errorf("withdrawal %d: %w", id, node.ErrUnknown)
	}
	return node.WithdrawalView{ID: id, To: someone}, c.err
}
func (c *custodianInMemory) Withdrawals(_ context.Context, q node.WithdrawalQuery) ([]node.WithdrawalView, error) {
	c.query = q
	return []node.WithdrawalView{{ID: 1}}, c.err
}
func (c *custodianInMemory) Batch(height uint64) (node.BatchView, error) {
	return node.BatchView{Height: height}, c.err
}
func (c *custodianInMemory) Batches(limit int, before uint64) ([]node.BatchView, error) {
	c.before = before
	tx := common.HexToHash("0x1234")
	return []node.BatchView{{Height: 7, Kind: "PAYOUT", Value: "1500000000000000000", Items: []uint64{3, 4}, Tx: &tx}}[:min(1, limit+1)], c.err
}
func (c *custodianInMemory) Account(a common.Address) (node.AccountView, error) {
	return node.AccountView{Address: a}, c.err
}
func (c *custodianInMemory) Certificate(id uint64) (node.Proof, error) {
	return node.Proof{Kind: "withdrawal", ID: id}, c.err
}
func (c *custodianInMemory) Decision(h uint64) (node.Proof, error) {
	return node.Proof{Kind: "decision", Height: h}, c.err
}
func (c *custodianInMemory) Payment(id uint64) (node.Proof, error) {
	return node.Proof{Kind: "payment", ID: id}, c.err
}
func (c *custodianInMemory) Audit(q node.AuditQuery) ([]node.AuditView, error) {
	return []node.AuditView{{Index: q.From, What: "decided"}}, c.err
}
func (c *custodianInMemory) Evidence(id string) ([]node.EvidenceView, error) {
	if id == "404" {
		return nil, fmt.Errorf("evidence %s: %w", id, node.ErrUnknown)
	}
	return []node.EvidenceView{{Kind: "two-votes", Member: &someone, First: []node.Exhibit{{What: "statement", RLP: "0x01" + id}}}}, c.err
}
func (c *custodianInMemory) Peers() []node.Peer { return []node.Peer{{Address: someone}} }
func (c *custodianInMemory) Alerts() []node.Alert {
	return []node.Alert{{Code: "fuse", Severity: ledger.Critical, Count: 2 + c.alert.Load()}}
}
func (c *custodianInMemory) HaltOn(_ context.Context, on node.HaltTarget, reason string) error {
	c.halts = append(c.halts, reason)
	return c.err
}
func (c *custodianInMemory) Resume(context.Context, string) error { return c.resume }

type door struct {
	*Server
	node   *custodianInMemory
	logs   *observer.ObservedLogs
	socket string
}

// open runs a server until the test ends.
func open(t *testing.T) door {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	d := door{node: &custodianInMemory{}, logs: logs, socket: filepath.Join(t.TempDir(), "s")}
	d.node.status = node.Status{
		Node: node.NodeStatus{Name: "alice", Address: someone, Time: time.Unix(100, 0)}, Version: node.Version, Quorum: 3, Height: 7,
		Members: []node.MemberStatus{{Name: "<script>alert(1)</script>", Address: someone}}, Lanes: []node.LaneStatus{{Network: "devnet", Balance: "1", Gas: "0"}},
		Books: node.BooksStatus{Liabilities: "0", Uncovered: "0"}, Reasons: []node.Reason{{Code: "no-key", Text: "a & b"}},
	}
	d.node.health = node.Health{Ready: true, Reasons: []node.Reason{}}
	var err error
	d.Server, err = New(Config{
		Listen: "127.0.0.1:0", Socket: d.socket, Hosts: []string{"custodian.example"}, Backend: d.node, Orders: d.node,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metric 1\n") }), Log: zap.New(core), feedEvery: time.Millisecond,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		http.DefaultClient.CloseIdleConnections()
		_, err := os.Lstat(d.socket)
		require.ErrorIs(t, err, os.ErrNotExist, "the socket is gone with the server")
	})
	return d
}

func (d door) request(t *testing.T, method, path, body string, change func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, d.URL()+path, strings.NewReader(body))
	require.NoError(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, string(b)
}

func (d door) dial(t *testing.T, where string) *rpc.Client {
	t.Helper()
	c, err := rpc.Dial(where)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestEveryMethodOverBothDoors(t *testing.T) {
	d := open(t)
	for _, where := range []string{d.URL(), d.socket} {
		c := d.dial(t, where)
		for method, args := range map[string][]any{
			"custodian_status": nil, "custodian_health": nil, "custodian_withdrawal": {5}, "custodian_withdrawals": nil, "custodian_batch": {7},
			"custodian_batches": nil, "custodian_account": {someone}, "custodian_certificate": {5}, "custodian_decision": {7}, "custodian_payment": {5}, "custodian_audit": nil,
			"custodian_peers": nil, "custodian_alerts": nil, "rpc.discover": nil,
		} {
			var raw json.RawMessage
			require.NoError(t, c.Call(&raw, method, args...), "%s at %s", method, where)
			require.NotEqual(t, "null", string(raw), method)
		}
	}
}

func TestResultsDecodeIntoTheNodesTypes(t *testing.T) {
	d := open(t)
	c := d.dial(t, d.URL())
	var s node.Status
	require.NoError(t, c.Call(&s, "custodian_status"))
	require.Equal(t, d.node.status.Node.Address, s.Node.Address)
	var raw json.RawMessage
	require.NoError(t, c.Call(&raw, "custodian_withdrawal", 5))
	require.Contains(t, string(raw), `"to":"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"`, "addresses carry their checksum")
	require.Contains(t, string(raw), `"id":5`)

	var alerts []Alert
	require.NoError(t, c.Call(&alerts, "custodian_alerts"))
	require.Equal(t, "critical", alerts[0].Severity)

	account := someone
	require.NoError(t, c.Call(&raw, "custodian_withdrawals", node.WithdrawalQuery{Stage: "seen", Account: &account, Limit: 3, After: 2}))
	require.Equal(t, node.WithdrawalQuery{Stage: "seen", Account: &account, Limit: 3, After: 2}, d.node.query)
	require.NoError(t, c.Call(&raw, "custodian_batches", BatchQuery{Limit: 1, After: 9}))
	require.EqualValues(t, 9, d.node.before)
}

func TestOrdersComeOverTheSocketAlone(t *testing.T) {
	d := open(t)
	for _, method := range []string{"admin_halt", "admin_resume"} {
		wantError(t, d.dial(t, d.URL()).Call(nil, method, "why"), CodeMethod)
	}
	require.Empty(t, d.node.halts)
	info, err := os.Stat(d.socket)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	c := d.dial(t, d.socket)
	var ack Ack
	require.NoError(t, c.Call(&ack, "admin_halt", "strange debits"))
	require.True(t, ack.Done)
	require.Equal(t, []string{"strange debits"}, d.node.halts)
	for _, bad := range []string{"", strings.Repeat("x", maxReason+1), "a\nb"} {
		wantError(t, c.Call(nil, "admin_halt", bad), CodeReason)
	}
	require.Len(t, d.node.halts, 1)

	require.NoError(t, c.Call(&ack, "admin_resume", "found it"))
	d.node.resume = fmt.Errorf("clear halt: %w", ledger.ErrNotFound)
	wantError(t, c.Call(nil, "admin_resume", "found it"), CodeNothingHalted)
	d.node.resume = ledger.ErrNetworkHalted
	wantError(t, c.Call(nil, "admin_resume", "found it"), CodeNetworkHalted)
}

func wantError(t *testing.T, err error, code int) {
	t.Helper()
	var own rpc.Error
	require.ErrorAs(t, err, &own)
	require.Equal(t, code, own.ErrorCode(), "%v", err)
}

func TestErrorsAreOfTheTable(t *testing.T) {
	d := open(t)
	c := d.dial(t, d.URL())
	err := c.Call(nil, "custodian_withdrawal", 404)
	wantError(t, err, CodeUnknown)
	var more rpc.DataError
	require.ErrorAs(t, err, &more)
	require.Equal(t, map[string]any{"name": "unknown", "hint": "a node that catches up may know it later"}, more.ErrorData())

	wantError(t, c.Call(nil, "custodian_balance"), CodeMethod)
	wantError(t, c.Call(nil, "custodian_account", "0x12"), CodeParams)
	wantError(t, c.Call(nil, "custodian_withdrawal"), CodeParams)

	d.node.err = errors.New("read /secret/path: input/output error")
	err = c.Call(nil, "custodian_status")
	wantError(t, err, CodeInternal)
	require.NotContains(t, err.Error(), "secret", "a cause is for the log")
	require.Equal(t, 1, d.logs.FilterMessage("api call").Len())
	d.node.err = context.DeadlineExceeded
	wantError(t, c.Call(nil, "custodian_status"), CodeBusy)
	d.node.err = context.Canceled
	wantError(t, c.Call(nil, "custodian_health"), CodeStopping)
}

func TestRawRequests(t *testing.T) {
	d := open(t)
	for _, c := range []struct{ body, want string }{
		{"{", fmt.Sprint(CodeParse)},
		{`{"jsonrpc":"2.0","id":1}`, fmt.Sprint(CodeRequest)},
		{`{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`, `"openrpc":"1.3.2"`},
		{`[{"jsonrpc":"2.0","id":1,"method":"rpc.discover"},{"jsonrpc":"2.0","id":2,"method":"custodian_health"}]`, `"ready":true`},
		{`{"jsonrpc":"2.0","id":1,"method":"custodian_account","params":["rpc.discover"]}`, fmt.Sprint(CodeParams)},
		{"[" + strings.TrimSuffix(strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"custodian_health"},`, maxBatch+1), ",") + "]", fmt.Sprint(CodeRequest)},
	} {
		code, _, body := d.request(t, "POST", "/", c.body, nil)
		require.Equal(t, 200, code)
		require.Contains(t, body, c.want)
	}
	code, _, _ := d.request(t, "POST", "/", strings.Repeat(" ", MaxBody+1), nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, code)
	code, _, _ = d.request(t, "POST", "/", "{}", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	require.Equal(t, http.StatusUnsupportedMediaType, code)
	for _, c := range []struct {
		method, path string
		code         int
	}{{"GET", "/nothing", 404}, {"PUT", "/", 405}, {"OPTIONS", "/", 405}, {"POST", "/metrics", 405}} {
		code, _, _ := d.request(t, c.method, c.path, "", nil)
		require.Equal(t, c.code, code, "%s %s", c.method, c.path)
	}
}

func TestForeignPagesGetNothing(t *testing.T) {
	d := open(t)
	const call = `{"jsonrpc":"2.0","id":1,"method":"custodian_health"}`
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:9371": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:9371": 200, "custodian.example": 200,
		"evil.example": 403, "evil.example:9371": 403, "localhost.evil.example": 403, "203.0.113.7": 403,
	} {
		for _, method := range []string{"GET", "POST"} {
			code, _, _ := d.request(t, method, "/", call, func(r *http.Request) { r.Host = host })
			require.Equal(t, want, code, "%s with Host %s", method, host)
		}
	}
	code, head, _ := d.request(t, "POST", "/", call, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") })
	require.Equal(t, 403, code)
	require.Empty(t, head.Get("Access-Control-Allow-Origin"))
	code, head, _ = d.request(t, "GET", "/", "", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") })
	require.Equal(t, 200, code)
	require.Empty(t, head.Get("Access-Control-Allow-Origin"), "no CORS: the browser keeps the answer to itself")
}

func TestHealthReadinessMetrics(t *testing.T) {
	d := open(t)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": `{"ready":true,"reasons":[]}` + "\n", "/metrics": "metric 1\n"} {
		code, _, body := d.request(t, "GET", path, "", nil)
		require.Equal(t, 200, code)
		require.Equal(t, want, body)
	}
	d.node.health = node.Health{Reasons: []node.Reason{{Code: "no-quorum", Text: "2 of 4"}}}
	code, _, body := d.request(t, "GET", "/readyz", "", nil)
	require.Equal(t, 503, code)
	require.Contains(t, body, `"code":"no-quorum"`)
	code, _, _ = d.request(t, "GET", "/healthz", "", nil)
	require.Equal(t, 200, code, "a node that waits for others lives")
	d.node.err = context.DeadlineExceeded
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		code, _, _ = d.request(t, "GET", path, "", nil)
		require.Equal(t, 503, code, path)
	}
}

func TestThePageEscapesWhatItShows(t *testing.T) {
	d := open(t)
	code, head, body := d.request(t, "GET", "/", "", nil)
	require.Equal(t, 200, code)
	require.Contains(t, head.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, body, "<script")
	require.Contains(t, body, "&lt;script&gt;")
	require.Contains(t, body, "a &amp; b")
	require.Contains(t, body, `http-equiv="refresh"`)
	require.Contains(t, body, "1.5")
	require.NotContains(t, body, "ZgotmplZ", "the style is let through")
}

// The page tells the making of the key from its handing on.
func TestThePageShowsWhichCeremonyRuns(t *testing.T) {
	d := open(t)
	page := func(k *node.KeygenStatus) string {
		d.node.status.Keygen = k
		_, _, body := d.request(t, "GET", "/", "", nil)
		return body
	}
	require.NotContains(t, page(nil), "round 2 of 5")
	require.Contains(t, page(&node.KeygenStatus{Epoch: 1, Round: 2, Rounds: 5}), "<h2>Key generation</h2>\n<p>attempt 0, round 2 of 5</p>")
	require.Contains(t, page(&node.KeygenStatus{Epoch: 7, Change: &common.Hash{1}}), "<h2>Change of members: epoch 7</h2>")
}

func TestCoins(t *testing.T) {
	for wei, want := range map[string]string{
		"0": "0", "1": "0.000000000000000001", "1000000000000000000": "1", "1500000000000000000": "1.5", "123000000000000000000": "123",
	} {
		require.Equal(t, want, coins(wei))
	}
}

func TestSocketOfTheDeadAndOfTheLiving(t *testing.T) {
	d := open(t)
	_, err := New(Config{Listen: "127.0.0.1:0", Socket: d.socket, Backend: d.node, Orders: d.node, Log: zap.NewNop()})
	require.ErrorIs(t, err, ErrSocketInUse)

	stale := filepath.Join(t.TempDir(), "stale")
	l, err := net.Listen("unix", stale)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	s, err := New(Config{Listen: "127.0.0.1:0", Socket: stale, Backend: d.node, Orders: d.node, Log: zap.NewNop()})
	require.NoError(t, err, "what a dead process left is replaced")
	require.NoError(t, s.Close())

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	_, err = New(Config{Listen: "127.0.0.1:0", Socket: file, Backend: d.node, Orders: d.node, Log: zap.NewNop()})
	require.ErrorContains(t, err, "is no socket")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))

	_, err = New(Config{Listen: d.tcp.Addr().String(), Socket: stale, Backend: d.node, Orders: d.node, Log: zap.NewNop()})
	require.ErrorContains(t, err, "address already in use")
}

func TestSocketBoundsARequest(t *testing.T) {
	d := open(t)
	c, err := net.Dial("unix", d.socket)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	go func() { _, _ = c.Write(bytes.Repeat([]byte("["), 4*MaxBody)) }()
	answer, _ := io.ReadAll(c) // a reset is as good as an end
	require.NotContains(t, string(answer), `"result"`)

	// Many small requests on one connection are no long one.
	many := d.dial(t, d.socket)
	for range 3 * MaxBody / 60 / 10 {
		require.NoError(t, many.Call(nil, "custodian_health"))
	}
	for range 20 {
		require.Error(t, many.Call(nil, "custodian_account", strings.Repeat("x", MaxBody/10)))
	}
}

func FuzzDiscoverable(f *testing.F) {
	for _, s := range []string{`{"method":"rpc.discover"}`, `[{"method":"rpc.discover"},1,null]`, `"rpc.discover"`, `[`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := discoverable(bytes.Clone(in))
		if json.Valid(in) {
			require.True(t, json.Valid(out))
		} else {
			require.Equal(t, in, out)
		}
	})
}
