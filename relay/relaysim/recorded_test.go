package relaysim

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

var (
	alice  = common.HexToAddress("0x74179B36B642C6459C313D1306DCEa6c626D949a")
	bob    = common.HexToAddress("0x36e18A34F9433D994F534c25c8891F53B8f81f97")
	bobs   = common.HexToAddress("0x427ae863d059eA82ecdC36eD96DbE0AE768405CE") // what bob has bound on the chain
	feeTo  = common.HexToAddress("0xCbDFcba0cD7851483fe4c7AfBfc61639260CA6F0")
	apiKey = common.HexToAddress("0x929683c29e1BB8cFEac84559f5cbA196a0351f7c")
	labnet = Network{Name: "labnet", TokenType: "native", Fee: 1, Min: 4, Tiers: []Tier{{0, 0.01}, {1000, 0.005}}, MaxPerDay: 1000}
)

// clock is a time that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }
func (c *clock) unix(s int64)   { c.t = time.Unix(s, 0) }

// send makes one call without a socket.
func send(t *testing.T, h http.Handler, method, target, body, token string) (int, string, string) {
	req, err := http.NewRequest(method, "http://relay.test"+target, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := Transport(h).RoundTrip(req)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header.Get("Content-Type"), string(b)
}

// The requests that a real Relay was sent, sent to this one in the same order at the same times, get the same answers byte
// for byte; a token's signature alone differs.
func TestRecordedExchanges(t *testing.T) {
	now := &clock{}
	sim, err := New(Config{
		Now: now.now, APIKey: apiKey, FeeAddress: feeTo, Networks: []Network{labnet}, ProjectorDelay: 1500 * time.Millisecond,
		BenefitOf: func(_ context.Context, _ string, account common.Address) (common.Address, error) {
			if account == bob {
				return bobs, nil
			}
			return common.Address{}, nil
		},
	})
	require.NoError(t, err)
	now.unix(1795206465)
	sim.Deposit("labnet", common.HexToHash("0x8ea01e406ada777919fcb86fe25ff8c96b486a0abab0a2e6dd86d5478f7b5698"), alice, coins(100))
	sim.Deposit("labnet", common.HexToHash("0x899e3feebd8dd87b663bd51adb7dde7e060f85665c8cb636b3b352bcee59263b"), bob, coins(50))

	f, err := os.Open("../testdata/recorded.jsonl")
	require.NoError(t, err)
	defer f.Close()
	token, played := "", 0
	for lines := bufio.NewScanner(f); lines.Scan(); played++ {
		var e struct {
			Label, Method, Target, Body string
			Status                      int
			Answer                      string
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		now.unix(timeOf(t, e.Target, e.Body))
		switch {
		case strings.HasSuffix(e.Target, "/5/reject"):
			// Before this call the recording made request 6, whose signature its list shows.
			status, _, _ := send(t, sim, "POST", "/v1/relay_account/"+alice.Hex()+"/withdraw", `{"amount":"4000000000000000000","benefit_address":"`+alice.Hex()+
				`","network":"labnet","timestamp":1795206528,"signature":"0x8a048cd2561a859a607660e30f3a0234ae1dd78b592ea05d60892f2f9e105b3b655a8d3aa5c9c7325629484f3b1818dbe4a1b5d486b6081f0125029926f711e01b"}`, token)
			require.Equal(t, 200, status)
		case strings.HasPrefix(e.Label, "3.7"):
			sim.View(0).Lie(Insert(EventRow{ID: 61, CreatedAt: 1795207730, Address: bob.Hex(), Amount: "100000000000000000000", Type: 10, Payload: `{"vesting_id":1}`}))
		}
		status, kind, answer := send(t, sim, e.Method, e.Target, e.Body, token)
		require.Equal(t, e.Status, status, "%s: %s", e.Label, answer)
		require.Equal(t, "application/json; charset=utf-8", kind)
		if strings.HasSuffix(e.Target, "connect_wallet") {
			var session struct{ Data struct{ Token string } }
			require.NoError(t, json.Unmarshal([]byte(answer), &session))
			token = session.Data.Token
			e.Answer, answer = withoutMAC(e.Answer), withoutMAC(answer)
		}
		require.Equal(t, e.Answer, answer, e.Label)
	}
	require.Equal(t, 36, played)

	_, tx, _ := sim.Withdrawal(1)
	require.Equal(t, "0x1111111111111111111111111111111111111111111111111111111111111111", tx) // the first one is kept
	_, tx, _ = sim.Withdrawal(3)
	require.Equal(t, "not a <hash> & stuff", tx)

	status, _, answer := send(t, sim, "GET", "/v1/network/withdraw_config", "", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"message":"success","data":[{"network":"labnet","token_type":"native","withdrawal_fee":1,"withdrawal_min":4,"withdrawal_fee_tiers":[{"min_amount":0,"fee_ratio":0.01},{"min_amount":1000,"fee_ratio":0.005}],"max_withdrawals_per_day":1000}]}`, answer)
}

// withoutMAC cuts a token's signature out of an answer.
func withoutMAC(answer string) string {
	at := strings.LastIndexByte(answer, '.')
	return answer[:at] + answer[at+1+43:]
}

func timeOf(t *testing.T, target, body string) int64 {
	u, err := url.Parse(target)
	require.NoError(t, err)
	if text := u.Query().Get("timestamp"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	var b struct{ Timestamp int64 }
	require.NoError(t, json.Unmarshal([]byte(body), &b))
	return b.Timestamp
}

// signedList is a list call of the API key.
func signedList(t *testing.T, path string, start, limit, timestamp int64, keyText string) string {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(keyText))) // throw-away keys of the recording
	require.NoError(t, err)
	text := `{"limit":` + strconv.FormatInt(limit, 10) + `,"start_id":` + strconv.FormatInt(start, 10) + `}` + strconv.FormatInt(timestamp, 10)
	sig, err := crypto.Sign(crypto.Keccak256([]byte(text)), key)
	require.NoError(t, err)
	return path + "?" + url.Values{
		"start_id": {strconv.FormatInt(start, 10)}, "limit": {strconv.FormatInt(limit, 10)},
		"timestamp": {strconv.FormatInt(timestamp, 10)}, "signature": {"0x" + common.Bytes2Hex(sig)},
	}.Encode()
}

const eventLogs, withdrawList, apiKeyText = "/v1/relay_account/event_logs", "/v1/withdraw/list", "relaylab-relaywallet"

// What was observed at the edges of the recorded list call.
func TestListEdges(t *testing.T) {
	now := &clock{}
	sim, err := New(Config{Now: now.now, APIKey: apiKey})
	require.NoError(t, err)
	now.unix(1000)
	sim.CreditTask(alice, big.NewInt(1))
	sim.CreditTask(bob, big.NewInt(2))
	count := func(target string) (int, int) {
		status, _, answer := send(t, sim, "GET", target, "", "")
		var rows struct{ Data []EventRow }
		if status == 200 {
			require.NoError(t, json.Unmarshal([]byte(answer), &rows))
			require.NotContains(t, answer, "null")
		}
		return status, len(rows.Data)
	}
	for name, c := range map[string]struct {
		target       string
		status, rows int
	}{
		"limit 0":    {signedList(t, eventLogs, 0, 0, 1000, apiKeyText), 200, 0},
		"limit -1":   {signedList(t, eventLogs, 0, -1, 1000, apiKeyText), 200, 2},
		"exclusive":  {signedList(t, eventLogs, 1, 9, 1000, apiKeyText), 200, 1},
		"beyond":     {signedList(t, eventLogs, 2, 9, 1000, apiKeyText), 200, 0},
		"58 s old":   {signedList(t, eventLogs, 0, 9, 942, apiKeyText), 200, 2},
		"61 s old":   {signedList(t, eventLogs, 0, 9, 939, apiKeyText), 400, 0},
		"62 s ahead": {signedList(t, eventLogs, 0, 9, 1062, apiKeyText), 400, 0},
		"wrong key":  {signedList(t, eventLogs, 0, 9, 1000, "relaylab-alice"), 400, 0},
	} {
		status, rows := count(c.target)
		require.Equal(t, c.status, status, name)
		require.Equal(t, c.rows, rows, name)
	}

	no := func(target string) string {
		_, _, answer := send(t, sim, "GET", target, "", "")
		return strings.Join(strings.Fields(answer), "")
	}
	require.Equal(t, `{"message":"validation_error","data":{"field_name":"timestamp","message":"required"}}`, no(eventLogs))
	require.Contains(t, no(eventLogs+"?start_id=-1&timestamp=1000&signature=0x"), `"field_name":"StartID"`)
	require.Contains(t, no(signedList(t, eventLogs, 0, 9, 900, apiKeyText)), `{"field_name":"signature","message":"Invalidsignature"}`)
	require.Contains(t, no(signedList(t, eventLogs, 0, 9, 1000, "relaylab-bob")), `{"field_name":"address","message":"Invalidaddress"}`)
	status, _, answer := send(t, sim, "GET", eventLogs+"?timestamp=1000&signature=0", "", "")
	require.Equal(t, 500, status)
	require.Empty(t, answer)

	// One signature serves both lists.
	both := strings.TrimPrefix(signedList(t, eventLogs, 0, 9, 1000, apiKeyText), eventLogs)
	status, _, _ = send(t, sim, "GET", withdrawList+both, "", "")
	require.Equal(t, 200, status)
	status, kind, answer := send(t, sim, "GET", "/v1/client/x/withdraw", "", "")
	require.Equal(t, 404, status)
	require.Equal(t, "text/plain", kind)
	require.Equal(t, "404 page not found", answer)
}
