package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/relay"
	"conclave/risk"
)

// guard is watches over a lab's ledger, whose core runs on the test's goroutine.
type guard struct {
	*watches
	lab *lab
	at  time.Time
}

func newGuard(t *testing.T, change func(*quorum.Policy)) *guard {
	g := &guard{lab: newLab(t), at: time.Unix(1_800_000_000, 0)}
	policy := g.lab.state.Policy
	change(&policy)
	n := &Node{led: g.lab.led, core: g.lab.core, genesis: g.lab.genesis, network: g.lab.network, log: g.lab.log, alerts: g.lab.alerts,
		now: func() time.Time { return g.at }}
	n.inForce.Store(&policy)
	g.watches = &watches{n: n}
	g.restart(t)
	return g
}

func (g *guard) restart(t *testing.T) {
	w, err := newWatches(g.watches.n)
	require.NoError(t, err)
	g.watches, w.n.watches = w, w
}

// page is what intake does with one: count, act, book and store; fail keeps it from being booked.
func (g *guard) page(t *testing.T, fail error, events ...ledger.Event) {
	defer g.onePage()()
	found, err := g.count(events, false)
	require.NoError(t, err)
	require.NoError(t, g.act(found, func(trip func()) error { trip(); return nil }))
	err = g.n.led.Update(func(tx *ledger.Tx) error {
		if _, err := tx.Append(events, ledger.Intake{Now: uint64(g.at.UnixMilli()), Policy: g.n.policy()}); err != nil {
			return err
		}
		return errors.Join(g.store(tx), fail)
	})
	g.stored(err)
	require.ErrorIs(t, err, fail)
}

func (g *guard) rows(ids ...uint64) (out []ledger.Event) {
	for _, id := range ids {
		out = append(out, ledger.Event{ID: id, CreatedAt: uint64(g.at.Unix()), Account: common.BigToAddress(uint256.NewInt(id + 1).ToBig()), Amount: "100"})
	}
	return out
}

func (g *guard) fused() bool { return g.lab.halted() }

func TestAPageThatIsNotBookedIsCountedOnce(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{Window: time.Minute, LogsMax: 5} })
	disk := errors.New("disk")
	for range 4 {
		g.page(t, disk, g.rows(1, 2, 3)...)
		require.False(t, g.fused(), "three rows that come four times are three rows")
	}
	g.page(t, nil, g.rows(1, 2, 3)...)
	g.page(t, nil, g.rows(1, 2, 3)...)
	require.False(t, g.fused(), "and rows that are booked already are none")
	g.page(t, nil, g.rows(4, 5, 6)...)
	require.True(t, g.fused())
}

func TestARestartKeepsTheWindowAndTheAlert(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{Window: time.Minute, NewAccountsMax: 5} })
	g.page(t, nil, g.rows(1, 2, 3)...)
	g.restart(t)
	require.False(t, g.fused())
	g.page(t, nil, g.rows(4, 5, 6)...)
	require.True(t, g.fused(), "three before the restart and three after it")

	require.NoError(t, g.lab.clear("seen"))
	g.restart(t)
	standing := g.n.watchStates()
	g.recover(standing, nil)
	require.False(t, g.fused(), "what was told before the restart trips nothing again")
	require.True(t, g.open(string(risk.AlertNew)), "but it stands")
	g.at = g.at.Add(5 * time.Minute)
	require.NoError(t, g.tick(t.Context()))
	require.True(t, g.open(string(risk.AlertNew)), "a node that lags knows no end of it by log time")
	g.page(t, nil, g.rows(9)...)
	require.NoError(t, g.tick(t.Context()))
	require.False(t, g.open(string(risk.AlertNew)))
}

func (g *guard) open(code string) bool {
	for _, a := range g.n.alerts.list() {
		if a.Code == code && !a.Over {
			return true
		}
	}
	return false
}

func TestHistoryTripsNothing(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{Window: time.Minute, LogsMax: 2} })
	g.n.genesis.Cutover.Event = 10
	g.page(t, nil, g.rows(1, 2, 3, 4, 5)...)
	require.False(t, g.fused(), "q operators signed it")
	require.False(t, g.open(string(risk.AlertRows)))
}

// TestSettlementCountsALogThatWasThereBefore: a database of before this rule has no sums.
func TestSettlementCountsALogThatWasThereBefore(t *testing.T) {
	key := testKey("authority", 0)
	g := newGuard(t, func(p *quorum.Policy) {
		p.Settlement = quorum.Settlement{Authority: crypto.PubkeyToAddress(key.PublicKey), Delay: time.Minute}
	})
	require.NoError(t, g.n.led.Update(func(tx *ledger.Tx) error {
		_, err := tx.Append(g.rows(1, 2, 5000), ledger.Intake{Now: 1, Policy: g.n.policy()})
		require.NoError(t, tx.PutWatch([]byte("settlement/state"), nil))
		return err
	}))
	g.restart(t)
	g.page(t, nil, g.rows(3, 5001)...)

	judge := func(event, credits uint64) bool {
		g.at = g.at.Add(time.Hour)
		_, err := g.settle.Offer(risk.Snapshot{Network: g.n.network, Asset: "x", Event: event, Credits: *uint256.NewInt(credits), Taken: uint64(g.at.Unix())}, uint64(g.at.Unix()))
		require.NoError(t, err)
		g.at = g.at.Add(2 * time.Minute)
		require.NoError(t, g.tick(t.Context()))
		return g.open(string(risk.AlertSettlement))
	}
	require.False(t, judge(5000, 400), "rows 1, 2, 3 and 5000")
	require.False(t, judge(5001, 500))
	require.True(t, judge(5001, 499))
	require.False(t, judge(5001, 500), "a snapshot that agrees ends it")
	require.False(t, judge(6000, 1), "rows that are not here are not judged")
	what, late := g.settle.Late()
	require.True(t, late, what)
}

func signedFile(t *testing.T, network common.Hash) []byte {
	signed := risk.SignedSnapshot{Snapshot: risk.Snapshot{Network: network, Asset: "x", Event: 1, Taken: 1}}
	sig, err := crypto.Sign(signed.Snapshot.Digest().Bytes(), testKey("authority", 0))
	require.NoError(t, err)
	copy(signed.Signature[:], sig)
	return signed.Encode()
}

func TestReadSnapshot(t *testing.T) {
	network, authority := common.Hash{7}, crypto.PubkeyToAddress(testKey("authority", 0).PublicKey)
	good := signedFile(t, network)
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < 1<<20; i += 64 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 64))); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()

	file := filepath.Join(t.TempDir(), "s.json")
	require.NoError(t, os.WriteFile(file, good, 0o600))
	for _, source := range []string{file, server.URL + "/good"} {
		snap, err := readSnapshot(t.Context(), source, network, authority)
		require.NoError(t, err, source)
		require.Equal(t, uint64(1), snap.Event)
	}
	for source, want := range map[string]string{
		server.URL + "/away": "status 302", server.URL + "/huge": "more than 4096 bytes", server.URL + "/none": "status 404",
		file + ".none": "no such file", "http://127.0.0.1:1/secret": "refused",
	} {
		_, err := readSnapshot(t.Context(), source, network, authority)
		require.ErrorContains(t, err, want, source)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := readSnapshot(t.Context(), file, common.Hash{8}, authority)
	require.ErrorIs(t, err, risk.ErrSnapshot)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = readSnapshot(ctx, server.URL+"/good", network, authority)
	require.Error(t, err)
}

func TestPublishedTariffInThePolicysTerms(t *testing.T) {
	got := published(relay.Tariff{{Network: "a", Fee: 1, Min: 4, Tiers: []relay.Tier{{Min: 0, Ratio: "0.01"}, {Min: 1000, Ratio: "5e-3"}}}})
	policy, err := quorum.ParsePolicy([]byte(strings.Replace(strings.Replace(testPolicy, `"devnet"`, `"a"`, 1), "fixed = \"1\"\nminimum = \"1\"",
		"fixed = \"1000000000000000000\"\nminimum = \"4000000000000000000\"", 1) + "[[tariff.tiers]]\nfrom = \"1000000000000000000000\"\nratio = \"0.005\"\n"))
	require.NoError(t, err)
	require.Equal(t, policy.Tariffs, got)
	require.Zero(t, ratioOf("x").Sign())
}

func TestRequestsAreCountedOnce(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{DestinationSources: 1} })
	put := func(rows ...ledger.Withdrawal) {
		require.NoError(t, g.n.led.Update(func(tx *ledger.Tx) error {
			for _, r := range rows {
				if _, err := tx.PutWithdrawal(r); err != nil {
					return err
				}
			}
			return g.watches.requests(tx, rows)
		}))
	}
	ask := func(id uint64) ledger.Withdrawal {
		return ledger.Withdrawal{ID: id, CreatedAt: uint64(g.at.Unix()), Account: common.Address{byte(id)}, To: common.Address{0xee}, Network: "devnet", EventID: id,
			Spelling: common.Address{0xee}.Hex()}
	}
	put(ask(1))
	g.restart(t)
	put(ask(1))
	require.False(t, g.open(string(risk.AlertDestinations)))
	put(ask(2))
	require.True(t, g.open(string(risk.AlertDestinations)), "one before the restart, one after it")
}
