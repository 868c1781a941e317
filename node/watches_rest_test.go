package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// What the watches say of a past that others answer for, of what they cannot read, and what they keep of it.

func TestASpikeInTheHistoryIsNobodysAlert(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{Window: time.Minute, LogsMax: 2} })
	g.n.genesis.Cutover.Event = 10
	g.page(t, nil, g.rows(1, 2, 3, 4, 5)...)
	require.NoError(t, g.tick(t.Context()))
	require.False(t, g.open(string(risk.AlertRows)), "the clock finds nothing in it either")
	g.restart(t)
	require.NoError(t, g.tick(t.Context()))
	require.False(t, g.open(string(risk.AlertRows)), "nor does a restart")
	g.page(t, nil, g.rows(11, 12, 13)...)
	require.True(t, g.fused(), "and it holds down nothing that comes after it")
}

func TestCertifiedRowsTripNothing(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{Window: time.Minute, LogsMax: 2} })
	found, err := g.count(g.rows(1, 2, 3, 4, 5), true)
	require.NoError(t, err)
	require.Empty(t, found, "q members were shown them, each in its time")
}

// What a page counted and did not book yet must not be stored by the clock's work: it is counted again when the page comes
// again, and sums that are wrong once are wrong for ever.
func TestTheClockStoresNoHalfPage(t *testing.T) {
	key := testKey("authority", 0)
	g := newGuard(t, func(p *quorum.Policy) {
		p.Settlement = quorum.Settlement{Authority: crypto.PubkeyToAddress(key.PublicKey), Delay: time.Minute}
	})
	rows := g.rows(1, 2, 3)
	_, err := g.count(rows, false)
	require.NoError(t, err)
	require.NoError(t, g.keep())
	g.stored(errors.New("disk"))
	g.page(t, nil, rows...)
	var ours risk.Settled
	require.NoError(t, g.n.led.View(func(tx *ledger.Tx) (err error) {
		ours, err = risk.SettledUpTo(4096, tx.WatchValues, tx.Events)
		return err
	}))
	require.Equal(t, uint64(300), ours.Credits.Uint64())

	// A page that is under way holds the clock's work up.
	free, done := g.onePage(), make(chan error)
	go func() { done <- g.keep() }()
	select {
	case <-done:
		t.Fatal("it did not wait for the page")
	case <-time.After(20 * time.Millisecond):
	}
	free()
	require.NoError(t, <-done)
}

// An agreement is nothing to tell, and all the same to be kept: a restart must not go on counting the deviation's time.
func TestAnAgreementSurvivesARestart(t *testing.T) {
	key := testKey("authority", 0)
	g := newGuard(t, func(p *quorum.Policy) {
		p.Settlement = quorum.Settlement{Authority: crypto.PubkeyToAddress(key.PublicKey), Delay: time.Minute, Sustained: 3 * time.Hour}
	})
	g.page(t, nil, g.rows(1)...)
	judge := func(credits uint64) {
		g.at = g.at.Add(time.Hour)
		_, err := g.settle.Offer(risk.Snapshot{Network: g.n.network, Asset: "x", Event: 1, Credits: *uint256.NewInt(credits), Taken: uint64(g.at.Unix())}, uint64(g.at.Unix()))
		require.NoError(t, err)
		g.at = g.at.Add(2 * time.Minute)
		require.NoError(t, g.tick(t.Context()))
	}
	judge(7)
	require.True(t, g.open(string(risk.AlertSettlement)))
	judge(100)
	require.False(t, g.open(string(risk.AlertSettlement)))
	g.restart(t)
	g.at = g.at.Add(5 * time.Hour)
	require.NoError(t, g.tick(t.Context()))
	require.False(t, g.fused())
	require.False(t, g.open(string(risk.AlertSettlement)))
}

// The alert that a Relay's log is old does not end because the Relay falls silent, nor one about its clock by a restart.
func TestSilenceEndsNoAlert(t *testing.T) {
	g := newGuard(t, func(p *quorum.Policy) { p.Watch = quorum.Watch{LagMax: time.Hour, SkewMax: time.Second} })
	for _, code := range []ledger.AlertCode{risk.AlertLag, risk.AlertSkew, risk.AlertTariff} {
		g.n.alerts.raise(Alert{Key: watchKey(code, ""), Code: string(code)})
		require.NoError(t, g.tick(t.Context()))
		require.True(t, g.open(string(code)), code)
	}
	g.stats.Skew(uint64(g.at.Unix()), g.at, g.at)
	g.stats.Tariff(nil, nil, uint64(g.at.Unix()))
	require.NoError(t, g.tick(t.Context()))
	require.False(t, g.open(string(risk.AlertSkew)))
	require.False(t, g.open(string(risk.AlertTariff)))
}

// settling is a guard with an authority and a source of snapshots.
func settling(t *testing.T, source string) *guard {
	g := newGuard(t, func(p *quorum.Policy) {
		p.Settlement = quorum.Settlement{Authority: crypto.PubkeyToAddress(testKey("authority", 0).PublicKey), Delay: time.Minute}
	})
	g.n.cfg.Settlement, g.n.started = source, g.at
	return g
}

func TestSettlementsAlertsEndWithTheirCause(t *testing.T) {
	g := settling(t, filepath.Join(t.TempDir(), "none.json"))
	g.n.alerts.ensure(Alert{Code: codeSnapshotStale})
	g.askSettlement(t.Context())
	require.True(t, g.open(codeSnapshot))
	require.True(t, g.open(codeSnapshotStale), "a node that has just started knows no better")
	g.at = g.at.Add(time.Hour)
	g.askSettlement(t.Context())
	require.True(t, g.open(codeSnapshotStale))

	policy := g.n.policy()
	policy.Settlement.Authority = common.Address{}
	g.n.inForce.Store(&policy)
	g.askSettlement(t.Context())
	require.False(t, g.open(codeSnapshot) || g.open(codeSnapshotStale), "a policy without authority has nothing to read")

	g = settling(t, "")
	g.askSettlement(t.Context())
	require.True(t, g.open(codeSnapshotStale), "who names no source compares nothing")
}

func TestASnapshotOfTheFutureIsCalledSo(t *testing.T) {
	g := settling(t, "")
	signed := risk.SignedSnapshot{Snapshot: risk.Snapshot{Network: g.n.network, Asset: "x", Taken: uint64(g.at.UnixMilli())}}
	sig, err := crypto.Sign(signed.Snapshot.Digest().Bytes(), testKey("authority", 0))
	require.NoError(t, err)
	copy(signed.Signature[:], sig)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(signed.Encode()) }))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	g.n.cfg.Settlement = server.URL
	g.askSettlement(t.Context())
	require.True(t, g.open(codeSnapshot))
	require.Contains(t, g.n.alerts.list()[0].Text, "still to come")
}

// A source that answers nothing, or is a pipe that nobody writes, is given up; it never holds up the end of the node.
func TestASourceThatHangsIsGivenUp(t *testing.T) {
	let := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-let }))
	defer server.Close()
	defer close(let)
	defer http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := readSnapshot(ctx, server.URL+"/secret", common.Hash{}, common.Address{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "secret")

	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = readSnapshot(t.Context(), pipe, common.Hash{}, common.Address{})
	require.ErrorContains(t, err, "no file")
	_, err = readSnapshot(t.Context(), t.TempDir(), common.Hash{}, common.Address{})
	require.ErrorContains(t, err, "no file")
}
