package devnet

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/node"
)

func TestTroublesNeedTheOwnWorld(t *testing.T) {
	good := Options{Nodes: 4, Network: "devnet", Withdrawals: 4, Troubles: Troubles{Reorgs: true}}
	require.NoError(t, good.Validate())
	far := good
	far.Relays, far.RelayKeyFile = []string{"http://127.0.0.1:1"}, "key"
	require.ErrorContains(t, far.Validate(), "--reorgs")
	liar := good
	liar.Scenario = ScenarioLiar
	require.ErrorContains(t, liar.Validate(), "--reorgs")
	many := good
	many.Load = maxWithdrawals + 1
	require.ErrorContains(t, many.Validate(), "--withdrawals")
}

// TestATroubleThatNeverCameProvesNothing: each must be seen, or the run fails.
func TestATroubleThatNeverCameProvesNothing(t *testing.T) {
	var none *troubles
	said, err := none.came()
	require.NoError(t, err)
	require.Empty(t, said)
	for met, what := range map[string]Troubles{
		metReorg: {Reorgs: true}, metLostCall: {LostFulfils: true}, metSpike: {FeesTriple: true}, metLie: {LyingEndpoint: true},
	} {
		x := newTroubles(what, 1)
		_, err := x.came()
		require.ErrorIs(t, err, ErrNotPaid)
		require.ErrorContains(t, err, met)
		for _, m := range []string{metReorg, metGone, metLostCall, metLostAnswer, metSpike, metLie, metLag, metRefusal} {
			x.count(m, 2)
		}
		said, err := x.came()
		require.NoError(t, err)
		require.Contains(t, said, met+" 2")
	}
}

// TestFeesRiseAndComeBack: by the chain's rule of 12.5 % for a full block, tripled for longer than a transaction waits, and only once
// somebody withdraws.
func TestFeesRiseAndComeBack(t *testing.T) {
	base, now := float64(usualFee)/4, time.Unix(0, 0)
	f, spikes, high, back := feeWave{since: now}, 0, 0, false
	for i := range 400 {
		share, tripled := f.next(uint64(base), now, i > 60)
		if tripled {
			spikes++
		}
		if base >= 2.5*usualFee {
			high++
		}
		back = back || (spikes > 0 && base < 1.3*usualFee)
		require.LessOrEqual(t, share, uint64(95))
		require.True(t, i > 60 || base < 1.5*usualFee)
		base *= 1 + (float64(share)/100-0.5)/0.5*0.125
		now = now.Add(time.Second)
	}
	require.Greater(t, spikes, 2)
	require.Greater(t, high, 2*int(highFor/time.Second))
	require.True(t, back)
}

// TestOutcomesAreLost: of each three calls one never arrives, and one answer never comes back; nothing else is touched.
func TestOutcomesAreLost(t *testing.T) {
	x := newTroubles(Troubles{LostFulfils: true}, 1)
	arrived := 0
	server := httptest.NewServer(x.relay(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived++ })))
	defer server.Close()
	answered := 0
	const calls = 300
	for range calls {
		if res, err := http.Post(server.URL+"/v1/withdraw/7/fulfill", "application/json", strings.NewReader("{}")); err == nil {
			require.NoError(t, res.Body.Close())
			answered++
		}
	}
	require.Equal(t, calls, arrived+x.met[metLostCall])
	require.Equal(t, arrived, answered+x.met[metLostAnswer])
	for _, n := range []int{answered, x.met[metLostCall], x.met[metLostAnswer]} {
		require.Greater(t, n, calls/6)
	}
	res, err := http.Get(server.URL + "/v1/withdraw/list")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
}

// TestAnEndpointLies: about balances, nonces, contracts and receipts; what it says otherwise is the chain's.
func TestAnEndpointLies(t *testing.T) {
	for method, c := range map[string][2]string{
		"eth_getBalance":            {`"0x10"`, `"0x11"`},
		"eth_getTransactionCount":   {`"0x1"`, `"0x2"`},
		"eth_call":                  {`"0x00000abc"`, `"0x00000ab1"`},
		"eth_getTransactionReceipt": {`{"status":"0x1"}`, `{"status":"0x0"}`},
	} {
		raw, ok := lied([]byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`"}`), []byte(`{"jsonrpc":"2.0","id":1,"result":`+c[0]+`}`))
		require.True(t, ok, method)
		var a rpcCall
		require.NoError(t, json.Unmarshal(raw, &a))
		require.JSONEq(t, c[1], string(a.Result), method)
	}
	for _, honest := range [][2]string{{"eth_chainId", `"0x10"`}, {"eth_getTransactionReceipt", "null"}, {"eth_call", `"0x"`}} {
		_, ok := lied([]byte(`{"method":"`+honest[0]+`"}`), []byte(`{"id":1,"result":`+honest[1]+`}`))
		require.False(t, ok, honest[0])
	}
}

// TestAnEndpointLags: the newest block is an older one, and what is asked for by name is as it is.
func TestAnEndpointLags(t *testing.T) {
	var asked []string
	chain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		asked = append(asked, string(raw))
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x20"}`)
	}))
	defer chain.Close()
	b, err := openBadEndpoint(newTroubles(Troubles{LyingEndpoint: true}, 1), chain.URL)
	require.NoError(t, err)
	defer func() { _ = b.close() }()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	raw, ok := b.older(r, []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}`))
	require.True(t, ok)
	require.Contains(t, string(raw), `"0x1a"`)
	_, ok = b.older(r, []byte(`{"method":"eth_getBlockByNumber","params":["0x1",false]}`))
	require.False(t, ok)
	require.Len(t, asked, 1)

	moods := map[string]bool{}
	for i := range int64(40) {
		moods[b.mood(time.Unix(0, i*int64(moodLasts)))] = true
	}
	require.Equal(t, map[string]bool{"": true, metLie: true, metLag: true, metRefusal: true, metHang: true}, moods)
}

// TestWithdrawalsAreSpreadOverTheKills: none is held back once there are no more kills.
func TestWithdrawalsAreSpreadOverTheKills(t *testing.T) {
	k := &killer{n: &Network{o: Options{Kills: 20, Load: 1000}}}
	calm := make(chan struct{})
	require.Equal(t, 50, k.due(1000, calm))
	k.struck.Store(9)
	require.Equal(t, 500, k.due(1000, calm))
	k.struck.Store(20)
	require.Equal(t, 1000, k.due(1000, calm))
	k.struck.Store(3)
	close(calm)
	require.Equal(t, 1000, k.due(1000, calm))
}

// TestWhatIsReportedIsAskedForOnce: the front of the list, up to the first that is not.
func TestWhatIsReportedIsAskedForOnce(t *testing.T) {
	n := &Network{}
	paid := node.WithdrawalView{Outcome: "paid", Reported: true}
	n.remember([]node.WithdrawalView{paid, paid, {Outcome: "paid"}, paid})
	require.Len(t, n.done, 2)
	n.remember([]node.WithdrawalView{paid, paid, paid, paid, {}})
	require.Len(t, n.done, 4)
}

// TestAPayerMayBeginPoor: with less than it gets in the end, and no more.
func TestAPayerMayBeginPoor(t *testing.T) {
	poor := Options{Nodes: 4, Network: "devnet", Withdrawals: 4, Funds: 60}
	require.NoError(t, poor.Validate())
	require.EqualValues(t, 60, (&Network{o: poor}).atFirst())
	require.EqualValues(t, payerFunds, (&Network{}).atFirst())
	poor.Funds = payerFunds + 1
	require.ErrorContains(t, poor.Validate(), "--payer-funds")
	poor.Funds, poor.RPCs, poor.FundKeyFile = 60, []string{"http://127.0.0.1:1"}, "key"
	require.ErrorContains(t, poor.Validate(), "--payer-funds")
}
