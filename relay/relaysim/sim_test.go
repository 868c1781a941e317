package relaysim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world is a Relay with one rich user, alice of the recording.
type world struct {
	*Sim
	*clock
	alice *User
	t     *testing.T
}

func newWorld(t *testing.T, change func(*Config)) *world {
	w := &world{clock: &clock{time.Unix(1795206465, 0)}, t: t}
	cfg := Config{Seed: 1, Now: w.now, APIKey: apiKey, FeeAddress: feeTo, DaoAddress: common.HexToAddress("0xda0"), Networks: []Network{labnet}}
	if change != nil {
		change(&cfg)
	}
	sim, err := New(cfg)
	require.NoError(t, err)
	w.Sim = sim
	w.alice = w.user("relaylab-alice")
	w.CreditTask(w.alice.Address, coins(1000))
	return w
}

func (w *world) user(keyText string) *User {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(keyText))) // throw-away keys
	require.NoError(w.t, err)
	return NewUser(key, "http://relay.test", Transport(w.Sim), w.now)
}

// ids reads what a view's log shows now.
func (w *world) ids(view int) (ids []uint64) {
	rows := w.View(view).readEvents(0, -1)
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func (w *world) outcome(id, verb string, timestamp int64) (status int, answer string) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(apiKeyText)))
	require.NoError(w.t, err)
	input := map[string]any{"id": json.Number(id)}
	if verb == "fulfill" {
		input["tx_hash"] = "0x11"
	}
	text, err := json.Marshal(input)
	require.NoError(w.t, err)
	sig, err := crypto.Sign(crypto.Keccak256(text, []byte(json.Number(big.NewInt(timestamp).String()))), key)
	require.NoError(w.t, err)
	input["timestamp"], input["signature"] = timestamp, "0x"+common.Bytes2Hex(sig)
	body, err := json.Marshal(input)
	require.NoError(w.t, err)
	status, _, answer = send(w.t, w.Sim, "POST", "/v1/withdraw/"+id+"/"+verb, string(body), "")
	return status, answer
}

func TestWithdrawal(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ProjectorDelay = time.Second })
	id, err := w.alice.Withdraw(t.Context(), "labnet", coins(10), strings.ToLower(w.alice.Address.Hex()))
	require.NoError(t, err)
	row, _, ok := w.Withdrawal(id)
	require.True(t, ok)
	require.Equal(t, "1100000000000000002", row.Fee)
	require.Equal(t, strings.ToLower(w.alice.Address.Hex()), row.BenefitAddress)
	require.Equal(t, "988899999999999999998", w.Balance(w.alice.Address).String())

	// The text is the one that custodians will rebuild.
	text := quorum.WithdrawText(w.alice.Address, row.BenefitAddress, "labnet", *uint256.MustFromDecimal(row.Amount), uint64(row.Timestamp))
	signer, err := quorum.RecoverAny(quorum.PersonalDigest(text), common.FromHex(row.Signature))
	require.NoError(t, err)
	require.Equal(t, w.alice.Address, signer)

	require.Empty(t, w.View(0).readRequests(0, 9))
	status, answer := w.outcome("1", "fulfill", w.t0())
	require.Equal(t, 400, status)
	require.Contains(t, answer, "has not been processed locally")
	w.clock.t = w.clock.t.Add(time.Second)
	require.Len(t, w.View(0).readRequests(0, 9), 1)

	status, _ = w.outcome("1", "reject", w.t0())
	require.Equal(t, 200, status)
	require.Equal(t, coins(1000), w.Balance(w.alice.Address))
	events := w.Events()
	require.Equal(t, 7, events[len(events)-1].Type)
	require.Equal(t, "11100000000000000002", events[len(events)-1].Amount)
}

func (w *world) t0() int64 { return w.now().Unix() }

func TestUserErrors(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Networks = []Network{{Name: "labnet", Min: 4, Tiers: []Tier{{0, 0}}, MaxPerDay: 2}}
		c.BenefitOf = func(_ context.Context, _ string, a common.Address) (common.Address, error) {
			if a == bob {
				return common.Address{}, errors.New("chain is down")
			}
			return common.Address{}, nil
		}
	})
	self := w.alice.Address.Hex()
	for i := range 3 {
		_, err := w.alice.Withdraw(t.Context(), "labnet", coins(4), self)
		if i < 2 {
			require.NoError(t, err)
			continue
		}
		requireNo(t, err, 400, "amount", "Daily withdrawal limit exceeded")
	}
	w.clock.t = w.clock.t.Add(24 * time.Hour)
	_, err := w.alice.Withdraw(t.Context(), "labnet", big.NewInt(-5), self)
	requireNo(t, err, 400, "amount", "Amount is too small")
	_, err = w.user("relaylab-bob").Withdraw(t.Context(), "labnet", coins(4), bob.Hex())
	requireNo(t, err, 500, "", "")

	// A body that another user signed, one that is too old, one whose amount was changed, and no session at all.
	body, err := w.alice.Sign("labnet", coins(4), self)
	require.NoError(t, err)
	_, err = w.user("relaylab-carol").Post(t.Context(), body)
	requireNo(t, err, 400, "address", "Signature address mismatch")
	_, err = w.alice.Post(t.Context(), []byte(strings.Replace(string(body), "4000", "5000", 1)))
	requireNo(t, err, 400, "address", "Signature address mismatch")
	w.clock.t = w.clock.t.Add(121 * time.Second)
	_, err = w.alice.Post(t.Context(), body)
	requireNo(t, err, 400, "signature", "Invalid signature")
	path := "/v1/relay_account/" + self + "/withdraw"
	for _, token := range []string{"", "x", "a.b.c"} {
		status, _, _ := send(t, w.Sim, "POST", path, string(body), token)
		require.Equal(t, 401, status)
	}
	token, _ := w.issue(self, w.t0())
	status, _, _ := send(t, w.Sim, "POST", "/v1/relay_account/"+bob.Hex()+"/withdraw", string(body), token)
	require.Equal(t, 400, status)
	w.clock.t = w.clock.t.Add(time.Hour)
	status, _, answer := send(t, w.Sim, "POST", path, string(body), token)
	require.Equal(t, 401, status)
	require.Contains(t, answer, "expired")
}

func requireNo(t *testing.T, err error, status int, field, text string) {
	t.Helper()
	var no *RelayError
	require.ErrorAs(t, err, &no)
	require.Equal(t, status, no.Status)
	require.Equal(t, field, no.Field)
	if text != "" {
		require.Equal(t, text, no.Message)
	}
}

// The fee account and the DAO pay no fee.
func TestFeeFree(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		key, _ := crypto.ToECDSA(crypto.Keccak256([]byte("relaylab-alice")))
		c.FeeAddress = crypto.PubkeyToAddress(key.PublicKey)
	})
	id, err := w.alice.Withdraw(t.Context(), "labnet", coins(10), w.alice.Address.Hex())
	require.NoError(t, err)
	row, _, _ := w.Withdrawal(id)
	require.Equal(t, "0", row.Fee)
	before := len(w.Events())
	status, _ := w.outcome("1", "fulfill", w.t0())
	require.Equal(t, 200, status)
	require.Len(t, w.Events(), before) // no fee, no row
}

// A row whose transaction commits late appears below rows that were already served; a pending row hides what follows.
func TestLateAndPending(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ProjectorDelay = time.Second })
	w.HoldNext()
	late := w.CreditTask(bob, big.NewInt(7))
	w.CreditTask(bob, big.NewInt(8))
	require.Empty(t, w.ids(0))
	w.clock.t = w.clock.t.Add(time.Second)
	require.Equal(t, []uint64{1, 3}, w.ids(0))
	require.NoError(t, w.Release(late))
	require.Error(t, w.Release(late))
	require.Equal(t, []uint64{1}, w.ids(0)) // pending now, at the head of the line
	w.clock.t = w.clock.t.Add(time.Second)
	require.Equal(t, []uint64{1, 2, 3}, w.ids(0))
	w.Burn(5)
	require.Equal(t, uint64(9), w.CreditTask(bob, big.NewInt(1)))
}

func TestViewsLieOnTheirOwn(t *testing.T) {
	w := newWorld(t, nil)
	w.CreditTask(bob, big.NewInt(7))
	w.CreditTask(bob, big.NewInt(8))
	w.View(1).Lie(Hide(2), Alter(3, func(r *EventRow) { r.Amount = "9" }), Insert(EventRow{ID: 10, Amount: "1"}))
	require.Equal(t, []uint64{1, 2, 3}, w.ids(0))
	require.Equal(t, []uint64{1, 3, 10}, w.ids(1))
	require.Equal(t, "9", w.View(1).readEvents(1, 1)[0].Amount)
	require.Equal(t, "8", w.View(0).readEvents(2, 1)[0].Amount)
	require.Empty(t, w.View(1).readEvents(10, 5))

	_, err := w.alice.Withdraw(t.Context(), "labnet", coins(5), w.alice.Address.Hex())
	require.NoError(t, err)
	w.View(1).LieAboutRequests(AlterRequest(1, func(r *RequestRow) { r.BenefitAddress = bob.Hex() }))
	w.View(2).LieAboutRequests(HideRequest(1))
	require.Equal(t, bob.Hex(), w.View(1).readRequests(0, 9)[0].BenefitAddress)
	require.Empty(t, w.View(2).readRequests(0, 9))
	require.Equal(t, w.alice.Address.Hex(), w.View(0).readRequests(0, 9)[0].BenefitAddress)

	// One listener serves all views.
	_, _, one := send(t, w.Sim, "GET", "/view/1"+signedList(t, eventLogs, 2, 1, w.t0(), apiKeyText), "", "")
	require.Contains(t, one, `"amount": "9"`)
	status, _, _ := send(t, w.Sim, "GET", "/view/9999/v1/now", "", "")
	require.Equal(t, 404, status)
	w.View(1).Repent()
	require.Equal(t, w.ids(0), w.ids(1))
}

func TestOutages(t *testing.T) {
	w := newWorld(t, nil)
	get := func(view int) (int, string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", "http://relay.test/v1/now", nil)
		require.NoError(t, err)
		res, err := Transport(w.View(view)).RoundTrip(req)
		if err != nil {
			return 0, "", err
		}
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	w.View(1).Outage(Refuse)
	_, _, err := get(1)
	require.ErrorContains(t, err, "connection reset")
	status, _, err := get(0)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	w.View(1).Outage(Silence)
	_, _, err = get(1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w.View(1).Outage(Up)
	w.Outage(Fail)
	status, body, _ := get(1)
	require.Equal(t, 500, status)
	require.Contains(t, body, "message")
	w.Outage(Empty)
	status, body, _ = get(0)
	require.Equal(t, 500, status)
	require.Empty(t, body)
	w.Outage(Up)
	status, _, _ = get(0)
	require.Equal(t, 200, status)
}

// The hole of the real one: a negative fee credits the task's creator, and what he then spends is honest in form.
func TestNegativeFee(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.DaoPercent = 10 })
	mallory, node := common.HexToAddress("0x666"), common.HexToAddress("0x667")
	_, err := w.PayTask(mallory, "1")
	require.ErrorIs(t, err, ErrBalance)
	_, err = w.PayTask(mallory, "five")
	require.Error(t, err)
	id, err := w.PayTask(mallory, "-5000")
	require.NoError(t, err)
	require.Equal(t, "-5000", w.Events()[id-1].Amount)
	require.Equal(t, "5000", w.Balance(mallory).String())
	ids, err := w.RunTask(mallory, node, "4000")
	require.NoError(t, err)
	require.Equal(t, "3600", w.Balance(node).String())
	require.Equal(t, "3600", w.Events()[ids[2]-1].Amount)
	require.Equal(t, "1000", w.Balance(mallory).String())
}

func TestDepositOnce(t *testing.T) {
	w := newWorld(t, nil)
	tx := common.HexToHash("0x1")
	require.NotZero(t, w.Deposit("labnet", tx, bob, coins(1)))
	require.Zero(t, w.Deposit("labnet", tx, bob, coins(1)))
	require.NotZero(t, w.Deposit("othernet", tx, bob, coins(1)))
	require.Equal(t, coins(2), w.Balance(bob))
}

func TestConfigRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no key":     {},
		"percent":    {APIKey: apiKey, DaoPercent: 101},
		"no tier":    {APIKey: apiKey, Networks: []Network{{Name: "n"}}},
		"tier order": {APIKey: apiKey, Networks: []Network{{Name: "n", Tiers: []Tier{{0, 0}, {0, 0}}}}},
		"twice":      {APIKey: apiKey, Networks: []Network{labnet, labnet}},
		"no name":    {APIKey: apiKey, Networks: []Network{{Tiers: []Tier{{0, 0}}}}},
	} {
		_, err := New(cfg)
		require.Error(t, err, name)
	}
}

// The fee never differs from exact arithmetic over the float's own value, and the recorded ones hold.
func TestFeeIsExact(t *testing.T) {
	for amount, fee := range map[uint64]string{4: "1040000000000000000", 5: "1050000000000000001", 6: "1060000000000000001", 10: "1100000000000000002"} {
		require.Equal(t, fee, labnet.FeeOf(coins(amount)).String())
	}
	require.Equal(t, "6000000000000000104", Network{Tiers: []Tier{{0, 0.01}, {1000, 0.005}}, Fee: 1}.FeeOf(coins(1000)).String())
	rapid.Check(t, func(t *rapid.T) {
		ratio := rapid.Float64Range(0, 1).Draw(t, "ratio")
		amount := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "amount"))
		fee := Network{Tiers: []Tier{{0, ratio}}}.FeeOf(amount)
		exact := new(big.Float).SetPrec(2000).SetFloat64(ratio)
		exact.Mul(exact, new(big.Float).SetPrec(2000).SetInt(amount))
		want, _ := exact.Int(nil)
		if want.Cmp(fee) != 0 {
			t.Fatalf("fee %s, exactly %s", fee, want)
		}
	})
}

// Equal seeds make equal worlds.
func TestSeed(t *testing.T) {
	token := func(seed uint64) string {
		token, _ := newWorld(t, func(c *Config) { c.Seed = seed }).issue("0x1", 5)
		return token
	}
	require.Equal(t, token(1), token(1))
	require.NotEqual(t, token(1), token(2))
}
