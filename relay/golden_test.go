package relay

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

// exchange is one line of testdata/recorded.jsonl: what a real Relay was asked on loopback and what it answered.
type exchange struct {
	Label, Method, Target, Body string
	Status                      int
	Answer                      string
}

func recorded(t testing.TB) []exchange {
	f, err := os.Open("testdata/recorded.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var all []exchange
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e exchange
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		all = append(all, e)
	}
	require.Equal(t, 36, len(all))
	return all
}

// testKeyText is a throw-away key that was made for the recording.
const testKeyText = "relaylab-relaywallet"

var recordedAPIKey = common.HexToAddress("0x929683c29e1BB8cFEac84559f5cbA196a0351f7c")

// signedCall takes a recorded request of the API key apart into what was signed, when, and the signature.
func signedCall(t *testing.T, e exchange) (input any, timestamp int64, signature string) {
	u, err := url.Parse(e.Target)
	require.NoError(t, err)
	if e.Method == "GET" {
		q := u.Query()
		limit, err := strconv.Atoi(q.Get("limit"))
		require.NoError(t, err)
		after, err := strconv.ParseUint(q.Get("start_id"), 10, 64)
		require.NoError(t, err)
		timestamp, err = strconv.ParseInt(q.Get("timestamp"), 10, 64)
		require.NoError(t, err)
		return listInput{Limit: limit, StartID: after}, timestamp, q.Get("signature")
	}
	var body struct {
		ID        uint64
		TxHash    string `json:"tx_hash"`
		Timestamp int64
		Signature string
	}
	require.NoError(t, json.Unmarshal([]byte(e.Body), &body))
	if path.Base(u.Path) == "reject" {
		return rejectInput{ID: body.ID}, body.Timestamp, body.Signature
	}
	return fulfilInput{ID: body.ID, TxHash: body.TxHash}, body.Timestamp, body.Signature
}

// Every signature that the recorded Relay accepted recovers to the API key over our digest of the same input, and ours over
// the same input and time is the same bytes.
func TestRecordedRequestSignatures(t *testing.T) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(testKeyText)))
	require.NoError(t, err)
	require.Equal(t, recordedAPIKey, crypto.PubkeyToAddress(key.PublicKey))

	checked := 0
	for _, e := range recorded(t) {
		if strings.Contains(e.Target, "/client/") || strings.HasSuffix(e.Target, "/withdraw") {
			continue // the users' calls
		}
		input, timestamp, signature := signedCall(t, e)
		digest, err := requestDigest(input, timestamp)
		require.NoError(t, err)
		sig, err := hex.DecodeString(signature[2:])
		require.NoError(t, err)
		pub, err := crypto.SigToPub(digest[:], sig)
		require.NoError(t, err)
		signer := crypto.PubkeyToAddress(*pub)
		if strings.HasPrefix(e.Label, "wrong key") {
			require.NotEqual(t, recordedAPIKey, signer)
			continue
		}
		require.Equal(t, recordedAPIKey, signer, e.Target)

		ours, err := signRequest(key, input, timestamp)
		require.NoError(t, err)
		require.Equal(t, signature, ours, e.Target)
		checked++
	}
	require.Equal(t, 19, checked)
}

func TestCanonicalJSON(t *testing.T) {
	for want, input := range map[string]any{
		`{"limit":500,"start_id":0}`:                               listInput{Limit: 500},
		`{"id":9007199254740992,"tx_hash":"0x00"}`:                 fulfilInput{ID: 1<<53 + 1, TxHash: "0x00"}, // float64 on the way
		`{"id":1,"tx_hash":"not a \u003chash\u003e \u0026 stuff"}`: fulfilInput{ID: 1, TxHash: "not a <hash> & stuff"},
		`{"id":2,"tx_hash":"\u2028\u2029"}`:                        fulfilInput{ID: 2, TxHash: "\u2028\u2029"},
		`{"id":18446744073709552000}`:                              rejectInput{ID: 1<<64 - 1},
		`{"limit":1,"start_id":1000000000000000000}`:               listInput{Limit: 1, StartID: 1e18},
	} {
		got, err := canonicalJSON(input)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// Every page that was recorded passes the door and says what it said.
func TestRecordedPages(t *testing.T) {
	var events []ledger.Event
	lists := 0
	for _, e := range recorded(t) {
		if e.Method != "GET" {
			continue
		}
		input, _, _ := signedCall(t, e)
		in := input.(listInput)
		if strings.Contains(e.Target, "withdraw/list") {
			rows, aside, err := decodeWithdrawals([]byte(e.Answer), in.StartID, in.Limit)
			require.NoError(t, err)
			require.Empty(t, aside)
			if lists++; len(rows) == 0 {
				continue
			}
			w := rows[3]
			require.Equal(t, uint64(4), w.ID)
			require.Equal(t, w.Account, w.To)
			require.Equal(t, "0x74179b36b642c6459c313d1306dcea6c626d949a", w.Spelling)
			require.Equal(t, "6000000000000000000", w.Amount.Dec())
			require.Equal(t, "1060000000000000001", w.Fee.Dec())
			require.Equal(t, "labnet", w.Network)
			require.Equal(t, uint64(6), w.EventID)
			require.Equal(t, uint64(1795206500), w.Timestamp)
			require.Len(t, w.Signature, 65)
			require.Equal(t, ledger.StatusPending, w.Status)
			continue
		}
		rows, err := decodeEvents([]byte(e.Answer), in.StartID, in.Limit)
		require.NoError(t, err)
		events = append(events, rows...)
	}
	require.Equal(t, 3, lists)

	kinds := map[uint64]ledger.EventKind{}
	for _, e := range events {
		kinds[e.ID] = e.Kind
	}
	require.Equal(t, map[uint64]ledger.EventKind{1: 3, 2: 3, 3: 6, 4: 6, 5: 6, 6: 6, 7: 2, 8: 7, 9: 2, 10: 6, 61: 10}, kinds)
	require.Equal(t, ledger.Event{
		ID: 1, CreatedAt: 1795206465, Account: common.HexToAddress("0x74179B36B642C6459C313D1306DCEa6c626D949a"),
		Kind: ledger.Deposit, Amount: "100000000000000000000",
		Deposit: ledger.DepositRef{Network: "labnet", TxHash: common.HexToHash("0x8ea01e406ada777919fcb86fe25ff8c96b486a0abab0a2e6dd86d5478f7b5698")},
	}, events[0])
	last := events[len(events)-1]
	require.Equal(t, ledger.VestingRef{ID: 1}, last.Vesting)
}

const recordedVesting = `{"message":"success","data":[{"id":60,"created_at":1795206647,"address":"0x36e18A34F9433D994F534c25c8891F53B8f81f97","amount":"0","type":9,"payload":"{\"vesting_id\":1,\"address\":\"0x36e18A34F9433D994F534c25c8891F53B8f81f97\",\"total_amount\":\"300000000000000000000\",\"released_amount\":\"0\",\"start_time\":1794342647,\"duration_days\":30,\"type\":\"node\",\"admin_signature\":\"0xf696216cf073af0917461b9fd57633e6a689ac253fb59000afa54c1a1ad75e972b51c713dfafda198018775086af22447fdd36469c379530d4239c8d0600ec561c\"}"}]}`

// The wallet that this replaces halts on this very row.
func TestRecordedVestingPayload(t *testing.T) {
	rows, err := decodeEvents([]byte(recordedVesting), 59, 10)
	require.NoError(t, err)
	v := rows[0].Vesting
	require.Equal(t, uint64(1), v.ID)
	require.Equal(t, "0x36e18A34F9433D994F534c25c8891F53B8f81f97", v.Spelling)
	require.Equal(t, common.HexToAddress(v.Spelling), v.Account)
	require.Equal(t, "300000000000000000000", v.Total)
	require.Equal(t, "0", v.Released)
	require.Equal(t, uint64(1794342647), v.Start)
	require.Equal(t, uint64(30), v.DurationDays)
	require.Equal(t, "node", v.Type)
	require.Len(t, v.Signature, 65)
}

const recordedTariff = `{"message":"success","data":[{"network":"labnet","token_type":"native","withdrawal_fee":1,"withdrawal_min":4,"withdrawal_fee_tiers":[{"min_amount":0,"fee_ratio":0.01},{"min_amount":1000,"fee_ratio":0.005}],"max_withdrawals_per_day":1000}]}`

func TestRecordedTariff(t *testing.T) {
	tariff, err := decodeTariff([]byte(recordedTariff))
	require.NoError(t, err)
	require.Equal(t, Tariff{{
		Network: "labnet", TokenType: "native", Fee: 1, Min: 4, MaxPerDay: 1000,
		Tiers: []Tier{{Min: 0, Ratio: "0.01"}, {Min: 1000, Ratio: "0.005"}},
	}}, tariff)
}
