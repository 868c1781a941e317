package relaysim

import (
	"context"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

func TestModesAreATable(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Modes() {
		require.NotEmpty(t, m.Meaning(), m)
		require.False(t, seen[m.Meaning()] || seen[m.String()], m)
		seen[m.Meaning()], seen[m.String()] = true, true
		again, err := ParseMode(m.String())
		require.NoError(t, err)
		require.Equal(t, m, again)
	}
	require.Len(t, Modes(), 32)
	_, err := ParseMode("honest")
	require.ErrorContains(t, err, `"honest"`)
	require.Empty(t, Mode("honest").Meaning())
	require.Error(t, newWorld(t, nil).View(1).Misbehave(Lie{Mode: "honest"}))
}

// busy is a world with rows of alice and others: 1 to 8.
func busy(t *testing.T) *world {
	w := newWorld(t, nil)
	for i := range 3 {
		w.CreditTask(bob, coins(uint64(10+i)))
	}
	_, err := w.PayTask(bob, coins(1).String())
	require.NoError(t, err)
	_, err = w.PayTask(w.alice.Address, coins(2).String())
	require.NoError(t, err)
	w.CreditDelegation(bob, coins(4))
	w.CreditTask(w.alice.Address, coins(5))
	return w
}

func (w *world) rows(view int) []EventRow { return w.View(view).readEvents(0, 1000) }

// lie puts a view into a mode and returns what it shows.
func (w *world) lie(view int, l Lie) []EventRow {
	require.NoError(w.t, w.View(view).Misbehave(l))
	return w.rows(view)
}

// Two views with one lie show the same, another seed shows something else, views that are not asked to lie do not, and a view
// that repents is honest.
func TestLiesFollowFromTheirSeed(t *testing.T) {
	for _, m := range []Mode{Forked, Hidden, Late, Reordered, Duplicated, Spiking, NewAddresses, HugeLog, OddAmounts, OddSpellings, UnknownKinds} {
		t.Run(m.String(), func(t *testing.T) {
			w := busy(t)
			honest := w.rows(0)
			one, two := w.lie(1, Lie{Mode: m, Seed: 1}), w.lie(2, Lie{Mode: m, Seed: 1})
			require.Equal(t, one, two)
			differs := false
			for seed := uint64(2); seed < 12 && !differs; seed++ {
				differs = !slices.Equal(one, w.lie(int(seed)+1, Lie{Mode: m, Seed: seed}))
			}
			require.True(t, differs)
			require.Equal(t, honest, w.rows(0))
			w.View(1).Repent()
			require.Equal(t, honest, w.rows(1))
		})
	}
}

func TestLiesAboutOrder(t *testing.T) {
	w := busy(t)
	about := func(m Mode) Lie { return Lie{Mode: m, About: bob} }
	ids := func(rows []EventRow) (out []uint64) {
		for _, r := range rows {
			out = append(out, r.ID)
		}
		return out
	}
	require.Equal(t, []uint64{1, 6, 8}, ids(w.lie(1, about(Hidden))))

	forked := w.lie(2, about(Forked))
	for i, r := range w.rows(0) {
		require.Equal(t, r.Address == bob.Hex() && r.Type == kindTaskPayment, forked[i].Amount != r.Amount, r.ID)
	}

	require.Equal(t, []uint64{1, 6, 8}, ids(w.lie(3, about(Late))))
	require.Equal(t, w.rows(0), w.lie(4, about(Rewriting)))
	require.Len(t, w.lie(5, Lie{Mode: Shrinking}), 8)
	w.clock.t = w.clock.t.Add(3 * time.Second)
	require.Len(t, w.rows(5), 5)
	w.clock.t = w.clock.t.Add(latestBy * time.Second)
	require.Equal(t, w.rows(0), w.rows(3))
	require.NotEqual(t, w.rows(0), w.rows(4))
	require.Empty(t, w.rows(5))

	swapped := ids(w.lie(6, Lie{Mode: Reordered}))
	require.False(t, slices.IsSorted(swapped))
	require.Len(t, ids(w.lie(7, Lie{Mode: Duplicated})), 9)
	w.lie(8, Lie{Mode: IgnoresStart})
	require.Equal(t, []uint64{1, 2}, ids(w.View(8).readEvents(4, 2)))
	w.lie(9, Lie{Mode: IgnoresLimit})
	require.Equal(t, []uint64{5, 6, 7, 8}, ids(w.View(9).readEvents(4, 2)))
}

func TestLiesAboutRows(t *testing.T) {
	w := busy(t)
	inflated := w.lie(1, Lie{Mode: Inflating, Amount: 10})
	require.Equal(t, new(big.Int).Add(coins(1000), coins(100)).String(), inflated[0].Amount)
	require.Equal(t, w.rows(0)[4], inflated[4], "debits stay")

	spike := w.lie(2, Lie{Mode: Spiking, Amount: 50})
	require.Len(t, spike, 58)
	w.CreditTask(bob, coins(1)) // the next honest id lies beyond the invented ones
	require.Equal(t, uint64(59), w.rows(0)[8].ID)
	require.True(t, slices.IsSortedFunc(w.rows(2), func(a, b EventRow) int { return int(a.ID) - int(b.ID) }))

	addresses := map[string]bool{}
	for _, r := range w.lie(3, Lie{Mode: NewAddresses, Amount: 50}) {
		addresses[r.Address] = true
	}
	require.Len(t, addresses, 52)
	huge := w.lie(4, Lie{Mode: HugeLog, About: bob})
	require.Equal(t, bob.Hex(), huge[len(huge)-1].Address)
	require.Equal(t, coins(1e12).String(), huge[len(huge)-1].Amount)

	for i, r := range w.lie(5, Lie{Mode: OddAmounts, About: bob}) {
		require.Equal(t, w.rows(0)[i].Address == bob.Hex(), slices.Contains(oddAmounts(), r.Amount), r)
	}
	spelled := map[string]bool{}
	for i, r := range w.lie(6, Lie{Mode: OddSpellings}) {
		require.Equal(t, common.HexToAddress(w.rows(0)[i].Address), common.HexToAddress(r.Address))
		require.True(t, common.IsHexAddress(r.Address), r.Address)
		spelled[r.Address] = true
	}
	require.Greater(t, len(spelled), 3)
	require.False(t, common.IsHexAddress(w.lie(7, Lie{Mode: SQLAddresses, About: bob})[1].Address))
	require.Greater(t, w.lie(8, Lie{Mode: UnknownKinds, About: bob})[1].Type, 10)
}

func TestLiesAboutOutcomes(t *testing.T) {
	w := newWorld(t, nil)
	request := func() uint64 {
		id, err := w.alice.Withdraw(t.Context(), "labnet", coins(10), w.alice.Address.Hex())
		require.NoError(t, err)
		return id
	}
	first := request()
	require.NoError(t, w.View(0).Misbehave(Lie{Mode: FulfilNothing}))
	status, _ := w.outcome("1", "fulfill", w.t0())
	require.Equal(t, 200, status)
	row, _, _ := w.Withdrawal(first)
	require.Equal(t, pending, row.Status)
	w.View(0).Repent()

	require.NoError(t, w.View(0).Misbehave(Lie{Mode: BothOutcomes}))
	before := len(w.Events())
	for range 2 {
		w.outcome("1", "fulfill", w.t0())
	}
	kinds := []int{}
	for _, e := range w.Events()[before:] {
		kinds = append(kinds, e.Type)
	}
	require.Equal(t, []int{kindFeeIncome, kindWithdrawRefund}, kinds, "once each")
	w.View(0).Repent()

	second := request()
	require.NoError(t, w.View(1).Misbehave(Lie{Mode: StatusFlips}))
	require.NotEqual(t, pending, w.View(1).readRequests(first, 1)[0].Status)
	require.Equal(t, pending, w.View(0).readRequests(first, 1)[0].Status)
	require.NoError(t, w.View(2).Misbehave(Lie{Mode: Redirected}))
	require.NotEqual(t, w.alice.Address.Hex(), w.View(2).readRequests(first, 1)[0].BenefitAddress)
	require.NoError(t, w.View(3).Misbehave(Lie{Mode: StatusTurns}))
	turned := w.View(3).readRequests(0, 2)
	require.NotEqual(t, w.View(4).readRequests(0, 1)[0].Status, turned[0].Status)
	require.Equal(t, pending, turned[1].Status, "nobody decided it")
	require.NoError(t, w.View(0).Misbehave(Lie{Mode: Outcome500}))
	status, answer := w.outcome("2", "fulfill", w.t0())
	require.Equal(t, 500, status)
	require.Empty(t, answer)
	w.View(0).Repent()
	require.NoError(t, w.View(0).Misbehave(Lie{Mode: Outcome400}))
	status, answer = w.outcome("2", "fulfill", w.t0())
	require.Equal(t, 400, status)
	require.Contains(t, answer, "processed locally")
	row, _, _ = w.Withdrawal(second)
	require.Equal(t, pending, row.Status)
	require.Empty(t, w.Decide(second, true, ""))
	require.Equal(t, "withdraw request is not pending", w.Decide(second, false, "0x11"))
}

// The lies about answers are the same over a socket and without one.
func TestLiesAboutAnswers(t *testing.T) {
	for mode, look := range map[Mode]func(*testing.T, *http.Response, error){
		Page500: func(t *testing.T, res *http.Response, _ error) { require.Equal(t, 500, res.StatusCode) },
		ContentType: func(t *testing.T, res *http.Response, _ error) {
			require.Equal(t, "text/html", res.Header.Get("Content-Type"))
		},
		Redirect: func(t *testing.T, res *http.Response, _ error) { require.Equal(t, 307, res.StatusCode) },
		Gigabyte: func(t *testing.T, res *http.Response, _ error) {
			n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 5<<20))
			require.NoError(t, err)
			require.Equal(t, int64(5<<20), n)
		},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			w := busy(t)
			require.NoError(t, w.View(0).Misbehave(Lie{Mode: mode, About: bob}))
			server := httptest.NewServer(w.Sim)
			defer server.Close()
			for base, tr := range map[string]http.RoundTripper{"http://relay.test": Transport(w.Sim), server.URL: http.DefaultTransport} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", base+signedList(t, eventLogs, 0, 9, w.t0(), apiKeyText), nil)
				require.NoError(t, err)
				res, err := tr.RoundTrip(req)
				require.NoError(t, err)
				look(t, res, err)
				require.NoError(t, res.Body.Close())
			}
			if mode == Page500 {
				status, _, _ := send(t, w.Sim, "GET", signedList(t, eventLogs, 0, 1, w.t0(), apiKeyText), "", "")
				require.Equal(t, 200, status, "the page before the row")
			}
		})
	}
}

func TestEmpty500(t *testing.T) {
	w := busy(t)
	require.NoError(t, w.View(0).Misbehave(Lie{Mode: Empty500}))
	seen := map[int]int{}
	for range 40 {
		status, _, body := send(t, w.Sim, "GET", "/v1/now", "", "")
		require.Equal(t, status == 500, body == "")
		seen[status]++
	}
	require.Greater(t, seen[500], 8)
	require.Greater(t, seen[200], 8)
}

func TestSlowDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		require.NoError(t, w.View(0).Misbehave(Lie{Mode: SlowDrip}))
		began := time.Now()
		get := func(ctx context.Context) (string, error) {
			req, err := http.NewRequestWithContext(ctx, "GET", "http://relay.test/v1/now", nil)
			require.NoError(t, err)
			res, err := Transport(w.Sim).RoundTrip(req)
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			return string(b), err
		}
		body, err := get(t.Context())
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(body, "{"))
		require.GreaterOrEqual(t, time.Since(began), time.Duration(len(body))*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = get(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// What an admin signs is what the recorded row's signature says: text and payload are today's.
func TestVesting(t *testing.T) {
	w := newWorld(t, nil)
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("relaysim admin, for tests only")))
	require.NoError(t, err)
	v := Vesting{Account: bob, Total: coins(30), Start: 1, Days: 30, Type: "node"}
	require.NoError(t, v.Sign(key))
	signer, ok := userSigner(v.text(), common.Bytes2Hex(v.Signature))
	require.True(t, ok)
	require.Equal(t, crypto.PubkeyToAddress(key.PublicKey), signer)
	w.Vest(7, v)
	w.ReleaseVesting(7, bob, coins(2))
	rows := w.rows(0)
	require.Equal(t, []int{9, 10}, []int{rows[1].Type, rows[2].Type})
	require.Contains(t, rows[1].Payload, `"vesting_id":7,"address":"`+bob.Hex()+`","total_amount":"30000000000000000000","released_amount":"0","start_time":1`)
	require.Equal(t, `{"vesting_id":7}`, rows[2].Payload)
	require.Equal(t, coins(2), w.Balance(bob))
}

// A broken handshake is an error of the connection, of each kind that there is; over a plain socket the connection ends.
func TestTLSErrors(t *testing.T) {
	w := busy(t)
	require.NoError(t, w.View(0).Misbehave(Lie{Mode: TLSErrors}))
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://relay.test/v1/now", nil)
	require.NoError(t, err)
	kinds := map[string]bool{}
	for range 40 {
		_, err := Transport(w.Sim).RoundTrip(req)
		require.ErrorContains(t, err, "tls: ")
		kinds[err.Error()] = true
	}
	require.Len(t, kinds, 4)
	server := httptest.NewServer(w.Sim)
	defer server.Close()
	_, err = http.Get(server.URL + "/v1/now")
	require.ErrorIs(t, err, io.EOF)
	w.View(0).Repent()
	_, err = Transport(w.Sim).RoundTrip(req)
	require.NoError(t, err)
}

// Calls that are never answered end with their caller, and nothing was done.
func TestOutcomeSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busy(t)
		require.NoError(t, w.View(0).Misbehave(Lie{Mode: OutcomeSilence}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "http://relay.test/v1/withdraw/1/fulfill", strings.NewReader("{}"))
		require.NoError(t, err)
		_, err = Transport(w.Sim).RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
