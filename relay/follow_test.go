package relay

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"conclave/ledger"
	"conclave/relay/relaysim"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

// testBooks keeps rows as the ledger does: by id, known ones compared.
type testBooks struct {
	state    []byte
	events   map[uint64]string
	order    []uint64 // first hand-overs
	full     bool
	requests map[uint64]ledger.Withdrawal
	puts     int
}

func newTestBooks() *testBooks {
	return &testBooks{events: map[uint64]string{}, requests: map[uint64]ledger.Withdrawal{}}
}

var errChanged = errors.New("changed")

func (b *testBooks) Record(_ context.Context, events []ledger.Event, state []byte) error {
	if b.full {
		return errors.New("books are full")
	}
	for _, e := range events {
		raw, err := rlp.EncodeToBytes(e)
		if err != nil {
			return err
		}
		switch was, ok := b.events[e.ID]; {
		case !ok:
			b.events[e.ID] = string(raw)
			b.order = append(b.order, e.ID)
		case was != string(raw):
			return errChanged
		}
	}
	b.state = state
	return nil
}

func (b *testBooks) Compare(_ context.Context, after, upTo uint64, rows []ledger.Event) (same bool, gone []uint64, err error) {
	shown := map[uint64]bool{}
	same = true
	for _, e := range rows {
		shown[e.ID] = true
		raw, err := rlp.EncodeToBytes(e)
		if err != nil {
			return false, nil, err
		}
		same = same && b.events[e.ID] == string(raw)
	}
	for id := range b.events {
		if id > after && id <= upTo && !shown[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return same, gone, nil
}

func (b *testBooks) PutWithdrawals(_ context.Context, rows []ledger.Withdrawal) error {
	b.puts++
	for _, w := range rows {
		if was, ok := b.requests[w.ID]; ok {
			same := w
			same.Status = was.Status
			if digest(same) != digest(was) {
				return errChanged
			}
		}
		b.requests[w.ID] = w
	}
	return nil
}

// stand is a simulated Relay with a client of view 0. It lives in a synctest bubble.
type stand struct {
	*relaysim.Sim
	*testBooks
	client *Client
	t      *testing.T
}

var (
	node  = common.HexToAddress("0x74179B36B642C6459C313D1306DCEa6c626D949a")
	other = common.HexToAddress("0x36e18A34F9433D994F534c25c8891F53B8f81f97")
)

func newStand(t *testing.T) *stand {
	sim, err := relaysim.New(relaysim.Config{
		APIKey: recordedAPIKey, FeeAddress: other, ProjectorDelay: 100 * time.Millisecond, Compact: true,
		Networks: []relaysim.Network{{Name: "labnet", TokenType: "native", Fee: 1, Min: 4, Tiers: []relaysim.Tier{{Ratio: 0.01}}, MaxPerDay: 1000}},
	})
	require.NoError(t, err)
	return &stand{sim, newTestBooks(), testClient(t, relaysim.Transport(sim)), t}
}

func (s *stand) follower(cfg FollowConfig) *Follower {
	cfg.State = s.state
	f, err := NewFollower(s.client, s.testBooks, cfg)
	require.NoError(s.t, err)
	return f
}

// credit makes n rows and waits until they can be read.
func (s *stand) credit(n int) {
	for range n {
		s.CreditTask(node, big.NewInt(1))
	}
	time.Sleep(100 * time.Millisecond) // virtual: the bubble's clock
}

// pollFor polls every half second for a virtual while; the last poll's error is returned.
func (s *stand) pollFor(d time.Duration, poll func(context.Context) (bool, error)) (err error) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(DefaultPoll) {
		_, err = poll(s.t.Context())
	}
	return err
}

func upTo(n uint64) (ids []uint64) {
	for id := uint64(1); id <= n; id++ {
		ids = append(ids, id)
	}
	return ids
}

func TestFollowerReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(700)
		f := s.follower(FollowConfig{Page: 7})
		more, err := f.Poll(t.Context())
		require.NoError(t, err)
		require.True(t, more) // 64 pages of 7
		more, err = f.Poll(t.Context())
		require.NoError(t, err)
		require.False(t, more)
		require.Equal(t, upTo(700), s.order)
		require.Equal(t, FollowStatus{Settled: 700, Cursor: 700, CaughtUp: true, LastAnswer: time.Now()}, f.Status())

		// A new one goes on where the stored state ends.
		s.credit(1)
		require.NoError(t, s.pollFor(time.Second, s.follower(FollowConfig{}).Poll))
		require.Equal(t, upTo(701), s.order)
	})
}

func TestLateRowWithinGraceKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(1)
		s.HoldNext()
		late := s.CreditTask(node, big.NewInt(5))
		s.credit(3)
		f := s.follower(FollowConfig{})
		require.NoError(t, s.pollFor(50*time.Second, f.Poll))
		require.Equal(t, upTo(1), s.order)
		require.Equal(t, late, f.Status().LowestGap)
		require.NoError(t, s.Release(late))
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Equal(t, upTo(5), s.order)
	})
}

func TestLateRowAfterGraceIsFoundByLookingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.HoldNext()
		late := s.CreditTask(node, big.NewInt(5))
		s.Burn(3)
		s.credit(3)
		f := s.follower(FollowConfig{})
		require.NoError(t, s.pollFor(61*time.Second, f.Poll))
		require.Equal(t, []uint64{5, 6, 7}, s.order)
		s.credit(2000) // far away by now
		require.NoError(t, s.pollFor(time.Hour, s.follower(FollowConfig{}).Poll))
		require.NoError(t, s.Release(late))
		time.Sleep(time.Second)
		require.NoError(t, s.pollFor(10*time.Second, s.follower(FollowConfig{}).Poll))
		require.Equal(t, late, s.order[len(s.order)-1])
		require.Len(t, s.order, 2004)
	})
}

// The grace is time in which the Relay answers: neither an outage nor a pause of our own counts, and the re-read that
// succeeds right after it proves nothing.
func TestOutageDoesNotAgeGaps(t *testing.T) {
	for name, o := range map[string]relaysim.Outage{"refuse": relaysim.Refuse, "fail": relaysim.Fail, "empty": relaysim.Empty, "silence": relaysim.Silence} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				s.HoldNext()
				late := s.CreditTask(node, big.NewInt(5))
				s.credit(3)
				f := s.follower(FollowConfig{})
				require.NoError(t, s.pollFor(20*time.Second, f.Poll))
				s.Outage(o)
				var transient *Transient
				require.ErrorAs(t, s.pollFor(10*time.Minute, f.Poll), &transient)
				require.False(t, f.Status().CaughtUp)
				s.Outage(relaysim.Up)
				require.NoError(t, s.pollFor(38*time.Second, f.Poll))
				require.Empty(t, s.order)

				// A pause of our own, as when the machine sleeps, and a restart.
				time.Sleep(time.Hour)
				_, err := f.Poll(t.Context())
				require.NoError(t, err)
				f = s.follower(FollowConfig{})
				_, err = f.Poll(t.Context())
				require.NoError(t, err)
				require.Empty(t, s.order)

				require.NoError(t, s.Release(late))
				require.NoError(t, s.pollFor(time.Second, f.Poll))
				require.Equal(t, upTo(4), s.order)
			})
		})
	}
}

func TestGapsOfHistoryExpireAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.Burn(50)
		s.credit(3) // 51 to 53
		s.Burn(50)
		s.credit(1) // 104
		f := s.follower(FollowConfig{CutOver: 100})
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Equal(t, []uint64{51, 52, 53}, s.order)
		require.Equal(t, uint64(101), f.Status().LowestGap)
		require.NoError(t, s.pollFor(61*time.Second, f.Poll))
		require.Equal(t, uint64(104), f.Status().Settled)
		state, err := DecodeFollowState(s.state)
		require.NoError(t, err)
		require.Equal(t, []Span{{101, 103}}, state.Expired)
	})
}

// Behind a gap far below the end, new rows are still noticed, and all is settled soon after the grace.
func TestWideStretchBehindAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.Burn(1)
		s.credit(500)
		f := s.follower(FollowConfig{Page: 10})
		require.NoError(t, s.pollFor(55*time.Second, f.Poll))
		require.Empty(t, s.order)
		s.credit(5)
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Equal(t, uint64(506), f.Status().Cursor)
		require.NoError(t, s.pollFor(8*time.Second, f.Poll))
		require.Len(t, s.order, 505)
	})
}

// A lie about what is settled reaches the books, which compare; the state does not move.
func TestChangedHistoryIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.Burn(1)
		s.credit(3)
		f := s.follower(FollowConfig{})
		require.NoError(t, s.pollFor(62*time.Second, f.Poll))
		require.Len(t, s.order, 3)
		s.View(0).Lie(relaysim.Alter(3, func(r *relaysim.EventRow) { r.Amount = "1000000" }))
		state := s.state
		require.ErrorIs(t, s.pollFor(7*time.Second, f.Poll), errChanged)
		require.Equal(t, state, s.state)
	})
}

func TestBrokenPagesStopIntake(t *testing.T) {
	for name, c := range map[string]struct {
		lie  relaysim.EventLie
		rule Rule
	}{
		"unknown kind": {relaysim.Alter(2, func(r *relaysim.EventRow) { r.Type = 99 }), RuleUnknownKind},
		"repeated":     {relaysim.Alter(2, func(r *relaysim.EventRow) { r.ID = 1 }), RuleIDRepeated},
		"goes back":    {relaysim.Alter(3, func(r *relaysim.EventRow) { r.ID = 1 }), RuleIDGoesBack},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				s.credit(3)
				s.View(0).Lie(c.lie)
				f := s.follower(FollowConfig{})
				err := s.pollFor(time.Second, f.Poll)
				require.True(t, IsHostile(err))
				require.True(t, IsHostile(f.Status().Err))
				require.Empty(t, s.order)
				s.View(0).Repent()
				require.NoError(t, s.pollFor(time.Second, f.Poll))
				require.Equal(t, upTo(3), s.order)
			})
		})
	}
}

// Nothing is lost when the books do not take a page.
func TestFullBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(20)
		s.full = true
		f := s.follower(FollowConfig{Page: 3})
		require.ErrorContains(t, s.pollFor(5*time.Second, f.Poll), "books are full")
		require.Zero(t, f.Status().Settled)
		s.full = false
		require.NoError(t, s.pollFor(time.Second, f.Poll))
		require.Equal(t, upTo(20), s.order)
	})
}

func TestFollowerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.credit(100)
		var failed []error
		f := s.follower(FollowConfig{Page: 1, Failed: func(err error) { failed = append(failed, err) }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, uint64(100), f.Status().Settled) // without any pause, as there was more
		s.Outage(relaysim.Fail)
		time.Sleep(2 * DefaultPoll)
		s.Outage(relaysim.Up)
		s.credit(1)
		time.Sleep(DefaultPoll)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NotEmpty(t, failed)
		require.Len(t, s.order, 101)
	})
}

func TestFollowerRefusesWrongConfig(t *testing.T) {
	for _, cfg := range []FollowConfig{{Page: -1}, {Page: MaxPage + 1}, {Grace: -1}, {Poll: -1}, {State: []byte{1}}, {State: FollowState{Settled: 2}.Encode()}} {
		_, err := NewFollower(nil, nil, cfg)
		require.Error(t, err)
	}
	_, err := NewListFollower(nil, nil, ListConfig{Page: -1})
	require.Error(t, err)
	_, err = NewReporter(nil, nil, ReporterConfig{})
	require.Error(t, err)
}

// user makes a wallet with coins. Throw-away key.
func (s *stand) user(text string) *relaysim.User {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(text)))
	require.NoError(s.t, err)
	u := relaysim.NewUser(key, "http://relay.test", relaysim.Transport(s.Sim), nil)
	s.CreditTask(u.Address, coins(1e6))
	return u
}

func coins(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(1e18), big.NewInt(n)) }

// withdraw makes n requests and waits until they can be read.
func (s *stand) withdraw(u *relaysim.User, n int) {
	for range n {
		_, err := u.Withdraw(s.t.Context(), "labnet", coins(5), u.Address.Hex())
		require.NoError(s.t, err)
	}
	time.Sleep(100 * time.Millisecond)
}

func (s *stand) lister(alert func(Alert)) *ListFollower {
	f, err := NewListFollower(s.client, s.testBooks, ListConfig{Page: 10, Alert: alert})
	require.NoError(s.t, err)
	return f
}

func TestListFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		alice := s.user("relaylab-alice")
		s.withdraw(alice, 25)
		s.View(0).LieAboutRequests(relaysim.HideRequest(7)) // commits late
		var alerts []Alert
		s.View(0).LieAboutRequests(relaysim.AlterRequest(9, func(r *relaysim.RequestRow) { r.Amount = "-5" }))
		f := s.lister(func(a Alert) { alerts = append(alerts, a) })
		require.NoError(t, s.pollFor(3*time.Second, f.Poll))
		require.Len(t, s.requests, 23)
		require.Len(t, alerts, 1)
		require.Equal(t, AlertAside, alerts[0].Code)
		require.Equal(t, uint64(9), alerts[0].ID)
		puts := s.puts
		require.NoError(t, s.pollFor(30*time.Second, f.Poll))
		require.Equal(t, puts, s.puts) // nothing new: nothing written

		// Statuses of passed ids, and a lower id that appears.
		require.NoError(t, s.client.Fulfil(t.Context(), 3, common.HexToHash("0x1")))
		require.NoError(t, s.client.Reject(t.Context(), 20))
		s.View(0).Repent()
		require.NoError(t, s.pollFor(10*time.Second, f.Poll))
		require.Equal(t, ledger.StatusSuccess, s.requests[3].Status)
		require.Equal(t, ledger.StatusFailed, s.requests[20].Status)
		require.Contains(t, s.requests, uint64(7))
		require.Contains(t, s.requests, uint64(9))
		puts = s.puts
		require.NoError(t, s.pollFor(30*time.Second, f.Poll))
		require.Equal(t, puts, s.puts)

		// Another content of a pending row.
		s.View(0).LieAboutRequests(relaysim.AlterRequest(5, func(r *relaysim.RequestRow) { r.Fee = "0" }))
		require.ErrorIs(t, s.pollFor(5*time.Second, f.Poll), errChanged)

		// A new start reads everything and finds the change of a decided one, too.
		s.View(0).Repent()
		s.View(0).LieAboutRequests(relaysim.AlterRequest(3, func(r *relaysim.RequestRow) { r.BenefitAddress = other.Hex() }))
		require.ErrorIs(t, s.pollFor(time.Second, s.lister(nil).Poll), errChanged)
	})
}
