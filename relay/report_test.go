package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conclave/ledger"
	"conclave/relay/relaysim"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// testBox is an outbox in memory whose statuses come from the list follower's rows.
type testBox struct {
	*testBooks
	owed  []Report
	tries map[uint64][]string
	wrote int // how often outcomes were marked done
}

func (b *testBox) Owed(context.Context) ([]Report, error) { return slices.Clone(b.owed), nil }

func (b *testBox) Listed(_ context.Context, wid uint64) (ledger.WithdrawalStatus, bool, error) {
	w, ok := b.requests[wid]
	return w.Status, ok, nil
}

func (b *testBox) Tried(_ context.Context, wid uint64, wrong string) error {
	b.tries[wid] = append(b.tries[wid], wrong)
	return nil
}

func (b *testBox) Done(_ context.Context, wids ...uint64) error {
	b.wrote++
	b.owed = slices.DeleteFunc(b.owed, func(r Report) bool { return slices.Contains(wids, r.WID) })
	return nil
}

var committee = []common.Address{{1}, {2}, {3}, {4}}

// desk is a reporter of one member over a stand's Relay.
type desk struct {
	*Reporter
	box    *testBox
	alerts []Alert
}

func (s *stand) desk(self common.Address, owed ...Report) *desk {
	d := &desk{box: &testBox{testBooks: s.testBooks, owed: owed, tries: map[uint64][]string{}}}
	var err error
	d.Reporter, err = NewReporter(s.client, d.box, ReporterConfig{
		Self: self, Members: func() []common.Address { return committee }, Alert: func(a Alert) { d.alerts = append(d.alerts, a) },
	})
	require.NoError(s.t, err)
	return d
}

func (d *desk) poll(ctx context.Context) (bool, error) { return false, d.Round(ctx) }

func nowMS() uint64 { return uint64(time.Now().UnixMilli()) }

func TestTurnsPassAllMembers(t *testing.T) {
	for turn, want := range map[uint64]int{0: 2, 1: 3, 2: 0, 5: 3, 1<<64 - 1: 1} {
		require.Equal(t, committee[want], ReporterOf(committee, 6, turn))
	}
	require.Equal(t, uint64(0), TurnAt(1000, 0))
	require.Equal(t, uint64(0), TurnAt(1000, 60_999))
	require.Equal(t, uint64(1), TurnAt(1000, 61_000))
}

func TestDuty(t *testing.T) {
	r := Report{WID: 1, Outcome: Fulfil, Height: 1}
	now := time.UnixMilli(1000)
	for name, c := range map[string]struct {
		outcome Outcome
		listed  ledger.WithdrawalStatus
		self    int
		last    time.Time
		want    Duty
	}{
		"mine":            {Fulfil, ledger.StatusPending, 1, time.Time{}, Call},
		"another's":       {Fulfil, ledger.StatusPending, 2, time.Time{}, Wait},
		"just called":     {Fulfil, ledger.StatusPending, 1, now, Wait},
		"called long ago": {Fulfil, ledger.StatusPending, 1, now.Add(-retryAfter), Call},
		"shown":           {Fulfil, ledger.StatusSuccess, 2, time.Time{}, Settled},
		"opposite":        {Fulfil, ledger.StatusFailed, 1, time.Time{}, Contrary},
		"reject shown":    {Reject, ledger.StatusFailed, 2, time.Time{}, Settled},
		"reject opposite": {Reject, ledger.StatusSuccess, 1, time.Time{}, Contrary},
	} {
		r.Outcome = c.outcome
		require.Equal(t, c.want, DutyOf(r, c.listed, committee, committee[c.self], 1000, c.last), name)
	}
	require.Equal(t, Wait, DutyOf(r, ledger.StatusPending, nil, common.Address{}, 0, time.Time{}))
}

func TestReporterTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.withdraw(s.user("relaylab-alice"), 3)
		tx := common.HexToHash("0x77")
		d := s.desk(committee[0],
			Report{1, Fulfil, tx, 4, nowMS()},
			Report{2, Reject, common.Hash{}, 8, nowMS()},
			Report{3, Fulfil, tx, 5, nowMS()}, // committee[1]'s
		)
		require.NoError(t, d.Round(t.Context()))
		require.Len(t, d.box.owed, 1)
		require.Empty(t, d.alerts)
		row, hash, _ := s.Withdrawal(1)
		require.Equal(t, 1, row.Status)
		require.Equal(t, tx.Hex(), hash)
		row, _, _ = s.Withdrawal(2)
		require.Equal(t, 2, row.Status)

		// Nobody did it in the first three minutes: with the fourth turn it is this one's.
		require.NoError(t, s.pollFor(179*time.Second, d.poll))
		require.Len(t, d.box.owed, 1)
		require.NoError(t, s.pollFor(2*time.Second, d.poll))
		require.Empty(t, d.box.owed)
	})
}

// TestARoundMarksOnce: what a whole batch of reports costs in writes is one for each round, also when the Relay falls silent in it.
func TestARoundMarksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		const many = 20
		s.withdraw(s.user("relaylab-alice"), many)
		var owed []Report
		for wid := range uint64(many) {
			owed = append(owed, Report{wid + 1, Fulfil, common.HexToHash("0x77"), 4, nowMS()})
		}
		d := s.desk(committee[0], owed...)
		require.NoError(t, d.Round(t.Context()))
		require.Empty(t, d.box.owed)
		require.Equal(t, 1, d.box.wrote)
		require.NoError(t, d.Round(t.Context()))
		require.Equal(t, 1, d.box.wrote, "nothing, and no write")

		seen := Report{1, Fulfil, common.HexToHash("0x77"), 5, nowMS()} // another's, and the list shows it
		s.withdraw(s.user("relaylab-bob"), 1)
		d = s.desk(committee[0], seen, Report{many + 1, Fulfil, common.HexToHash("0x78"), 4, nowMS()})
		d.box.requests[1] = ledger.Withdrawal{ID: 1, Status: ledger.StatusSuccess}
		s.View(0).Outage(relaysim.Refuse)
		require.Error(t, d.Round(t.Context()))
		require.Len(t, d.box.owed, 1)
		require.Equal(t, 1, d.box.wrote)
	})
}

// Whatever goes wrong with one call blocks no other, is tried again, and never becomes the other outcome.
func TestReporterThroughTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		alice := s.user("relaylab-alice")
		s.withdraw(alice, 2)
		lister := s.lister(nil)
		_, err := alice.Withdraw(t.Context(), "labnet", coins(5), alice.Address.Hex()) // 3, not processed locally yet
		require.NoError(t, err)
		d := s.desk(committee[0],
			Report{1, Fulfil, common.Hash{1}, 0, nowMS()},
			Report{3, Fulfil, common.Hash{3}, 0, nowMS()},
			Report{99, Reject, common.Hash{}, 0, nowMS()}, // the Relay does not know it
			Report{2, Reject, common.Hash{}, 0, nowMS()},
		)
		require.NoError(t, d.Round(t.Context()))
		require.Len(t, d.box.owed, 2)
		require.Len(t, d.alerts, 2)
		require.True(t, strings.Contains(d.box.tries[3][1], "not been processed"), d.box.tries[3])
		require.NoError(t, s.pollFor(11*time.Second, d.poll))
		require.Len(t, d.box.owed, 1)
		require.Equal(t, uint64(99), d.box.owed[0].WID)
		require.Len(t, d.box.tries[99], 4) // two calls in eleven seconds

		// Silence ends the round at once; errors with an answer do not.
		s.withdraw(alice, 2) // 4 and 5
		d = s.desk(committee[0], Report{4, Fulfil, common.Hash{4}, 0, nowMS()}, Report{5, Fulfil, common.Hash{5}, 0, nowMS()})
		for _, o := range []relaysim.Outage{relaysim.Refuse, relaysim.Silence, relaysim.Fail, relaysim.Empty} {
			s.Outage(o)
			err := d.Round(t.Context())
			var transient *Transient
			require.Equal(t, o == relaysim.Refuse || o == relaysim.Silence, errors.As(err, &transient), o)
			require.Len(t, d.box.owed, 2)
			time.Sleep(retryAfter)
		}
		require.Empty(t, d.alerts)
		s.Outage(relaysim.Up)
		require.NoError(t, s.pollFor(4*time.Minute, d.poll))
		require.Empty(t, d.box.owed)

		// Somebody with the same API key rejects what this network paid: an alert, and no call.
		s.withdraw(alice, 1) // 6
		require.NoError(t, s.client.Reject(t.Context(), 6))
		require.NoError(t, s.pollFor(time.Second, lister.Poll))
		d = s.desk(committee[0], Report{6, Fulfil, common.Hash{6}, 0, nowMS()})
		require.NoError(t, d.Round(t.Context()))
		require.NoError(t, d.Round(t.Context()))
		require.Len(t, d.alerts, 1, "once, in however many rounds")
		require.Equal(t, AlertContrary, d.alerts[0].Code)
		require.Empty(t, d.box.tries)
	})
}

// An answer that is lost after the Relay acted: the list shows it, and nothing is sent twice for nothing.
func TestReporterLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.withdraw(s.user("relaylab-alice"), 1)
		d := s.desk(committee[0], Report{1, Fulfil, common.Hash{1}, 0, nowMS()})
		d.relay = lossy{s.client}
		require.NoError(t, d.Round(t.Context()))
		require.Empty(t, d.box.owed)
		require.Empty(t, d.alerts)
		require.Equal(t, []string{""}, d.box.tries[1])
	})
}

// lossy fulfils, and loses the answer as a 500 without body.
type lossy struct{ *Client }

func (l lossy) Fulfil(ctx context.Context, id uint64, tx common.Hash) error {
	if err := l.Client.Fulfil(ctx, id, tx); err != nil {
		return err
	}
	return &Transient{Status: 500, Err: errors.New("empty body")}
}
