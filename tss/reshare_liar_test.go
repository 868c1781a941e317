package tss

import (
	"context"
	"errors"
	"flag"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

var everyReshare = flag.Bool("reshare", false, "run every kind of member change, and every liar of a resharing; some minutes")

func TestReshareRequests(t *testing.T) {
	old := testShares(t)
	hd := handoverOf(t, nil, old, []int{0, 1, 2}, []int{1, 4}, 2)
	stays, joins, leaves, stranger := addressOf(1), addressOf(4), addressOf(0), addressOf(6)
	fresh := devPreParams(t, 4)
	of := func(m common.Address) ReshareRequest {
		r := hd.request
		r.Share = hd.shares[m]
		if slices.Contains(r.Members, m) {
			r.PreParams = fresh
		}
		return r
	}
	for _, m := range []common.Address{stays, joins, leaves} {
		r := of(m)
		require.NoError(t, r.check(m))
	}
	other := old[slices.IndexFunc(old, func(s *KeyShare) bool { return s.self == leaves })]
	for name, c := range map[string]struct {
		who    common.Address
		change func(*ReshareRequest)
		want   string
	}{
		"no part":                {stranger, func(*ReshareRequest) {}, "takes no part"},
		"same epoch":             {joins, func(r *ReshareRequest) { r.Epoch = r.OldEpoch }, "does not follow"},
		"an earlier epoch":       {joins, func(r *ReshareRequest) { r.OldEpoch = 9 }, "does not follow"},
		"too few dealers":        {joins, func(r *ReshareRequest) { r.Dealers = r.Dealers[:2] }, "2 dealers"},
		"one dealer twice":       {joins, func(r *ReshareRequest) { r.Dealers = append(r.Dealers[:2:2], r.Dealers[1]) }, "3 dealers"},
		"dealers out of order":   {joins, func(r *ReshareRequest) { r.Dealers = []common.Address{r.Dealers[1], r.Dealers[0], r.Dealers[2]} }, "ascending"},
		"a dealer from outside":  {joins, func(r *ReshareRequest) { r.Dealers = distinctAscending(r.Dealers, []common.Address{stranger}) }, "is not an old member"},
		"old members unsorted":   {joins, func(r *ReshareRequest) { r.OldMembers = append(r.OldMembers[1:2:2], r.OldMembers[0]) }, "old committee"},
		"old threshold":          {joins, func(r *ReshareRequest) { r.OldThreshold = 5 }, "old committee"},
		"new threshold":          {joins, func(r *ReshareRequest) { r.Threshold = 3 }, "new committee"},
		"one new member":         {joins, func(r *ReshareRequest) { r.Members = r.Members[:1] }, "new committee"},
		"no key":                 {joins, func(r *ReshareRequest) { r.Public[0] = 9 }, "no point"},
		"a dealer without share": {leaves, func(r *ReshareRequest) { r.Share = nil }, "without one"},
		"another's share":        {stays, func(r *ReshareRequest) { r.Share = other }, "not this member's"},
		"share of another epoch": {leaves, func(r *ReshareRequest) { r.OldEpoch = 0 }, "not this member's"},
		"share of another key":   {leaves, func(r *ReshareRequest) { r.Public = other.parties[0].x.compress() }, "not this member's"},
		"no preparameters":       {joins, func(r *ReshareRequest) { r.PreParams = nil }, "none given"},
		"needless ones":          {leaves, func(r *ReshareRequest) { r.PreParams = fresh }, "that leaves"},
		"those of the old epoch": {stays, func(r *ReshareRequest) { r.PreParams = devPreParams(t, 1) }, ErrStale.Error()},
	} {
		r := of(c.who)
		c.change(&r)
		require.ErrorContains(t, r.check(c.who), c.want, name)
		e, err := New(Config{Key: testKey(0), Transport: link{}, Development: true})
		require.NoError(t, err)
		e.self = c.who
		key, out := e.Reshare(t.Context(), r)
		require.Nil(t, key)
		require.Equal(t, NotStarted, out.Ending, name)
	}
	e, err := New(Config{Key: testKey(4), Transport: link{}})
	require.NoError(t, err)
	_, out := e.Reshare(t.Context(), of(joins))
	require.ErrorIs(t, out.Err, ErrDevelopment)
}

// Whoever asks for something else is in another session: its messages are nobody's, and it is silent, not a liar.
func TestEverythingAgreedIsInTheSessionsName(t *testing.T) {
	base := handoverOf(t, nil, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2).request
	seen := map[common.Hash]bool{base.ID(): true}
	for name, change := range map[string]func(*ReshareRequest){
		"session":       func(r *ReshareRequest) { r.Session[0] ^= 1 },
		"key":           func(r *ReshareRequest) { r.Public[5] ^= 1 },
		"old epoch":     func(r *ReshareRequest) { r.OldEpoch++ },
		"old members":   func(r *ReshareRequest) { r.OldMembers = r.OldMembers[1:] },
		"old threshold": func(r *ReshareRequest) { r.OldThreshold-- },
		"dealers":       func(r *ReshareRequest) { r.Dealers = r.Dealers[1:] },
		"all deal":      func(r *ReshareRequest) { r.Dealers = nil },
		"epoch":         func(r *ReshareRequest) { r.Epoch++ },
		"members":       func(r *ReshareRequest) { r.Members = r.Members[1:] },
		"threshold":     func(r *ReshareRequest) { r.Threshold++ },
	} {
		r := base
		change(&r)
		require.False(t, seen[r.ID()], name)
		seen[r.ID()] = true
	}
	own := base
	own.RoundTimeout, own.PreParams = time.Second, &PreParams{}
	require.True(t, seen[own.ID()])
	all := base
	all.Dealers = all.OldMembers
	require.True(t, seen[all.ID()], "nil dealers are all of them")
}

// One that joins and was told of another key never gets a share, and one that is away blocks, but is named by all.
func TestWhoIsNotThereIsNamed(t *testing.T) {
	for _, absent := range []int{2, 4} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := newHub(t, 5)
			hd := handoverOf(t, h, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
			who := addressOf(absent)
			hd.change[who] = func(r *ReshareRequest) {
				if absent == 4 {
					r.Public = testShares(t)[0].parties[0].x.compress()
					return
				}
				r.Share = nil // it does not start
			}
			for m, r := range hd.run(t) {
				require.Nil(t, r.key)
				if m != who {
					require.Equal(t, TimedOut, r.out.Ending, r.out.String())
					require.Equal(t, []common.Address{who}, r.out.Silent)
				}
			}
			require.Empty(t, hd.saved)
		})
	}
}

// A dealer that tells two members different commitments is convicted by its signatures before the round is used.
func TestADealerThatEquivocates(t *testing.T) {
	h, _ := newHub(t, 5)
	hd := handoverOf(t, h, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
	liar, victim := addressOf(2), addressOf(4)
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		switch kind := typeOf(t, frame); {
		case f == liar && kind == typeAbort:
			return nil
		case f == liar && to == victim && kind == typeReshare1:
			return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte { p[len(p)-1] ^= 1; return p })}
		}
		return [][]byte{frame}
	}
	for m, r := range hd.run(t) {
		require.Nil(t, r.key)
		if m == liar {
			continue
		}
		require.Equal(t, Aborted, r.out.Ending, r.out.String())
		require.Equal(t, []common.Address{liar}, r.out.Culprits)
		require.EqualValues(t, 1, r.out.Round)
		require.NoError(t, r.out.Evidence[0].Verify(testNetwork))
	}
}

// Nobody speaks in another's role, and direct messages are for new members only.
func TestRolesAreNotConfused(t *testing.T) {
	h, _ := newHub(t, 5)
	stays, joins, leaves := addressOf(1), addressOf(4), addressOf(2)
	hd := handoverOf(t, h, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
	_, keys := testMembers(5)
	for _, c := range []struct {
		name     string
		at, from common.Address
		kind     uint8
		direct   bool
		taken    bool
	}{
		{"a dealer that stays", joins, stays, typeReshare1, false, true},
		{"a new member that stays", joins, stays, typeReshare2, false, true},
		{"one that joins deals nothing", stays, joins, typeReshare1, false, false},
		{"nor decommits", stays, joins, typeReshare3, false, false},
		{"one that leaves brings no moduli", stays, leaves, typeReshare2, false, false},
		{"nor signs the transcript", stays, leaves, typeTranscript, false, false},
		{"a share for one that stays", stays, leaves, typeReshare3Direct, true, true},
		{"a share for one that leaves", leaves, stays, typeReshare3Direct, true, false},
		{"a proof for one that leaves", leaves, joins, typeReshare4Direct, true, false},
	} {
		s := h.engines[c.at].newSession(hd.request.ID(), resharePlan(), hd.everyone(), time.Minute)
		s.cast, s.held = &cast{dealers: hd.request.Dealers, listeners: hd.request.Members}, map[slot]Envelope{}
		sp, _ := s.plan.find(c.kind)
		head := Header{Session: s.id, Round: sp.round, Type: c.kind}
		if c.direct {
			head.To = c.at
		}
		env, err := seal(keys[c.from], testNetwork, head, []byte("x"))
		require.NoError(t, err)
		before := s.drops.snapshot()[DropClass]
		out, _ := s.accept(received{c.from, env, 1})
		require.Nil(t, out)
		require.Equal(t, c.taken, len(s.held) == 1, c.name)
		require.Equal(t, c.taken, s.drops.snapshot()[DropClass] == before, c.name)
	}
}

// Ceremonies of a node exclude each other, and payments go on meanwhile.
func TestOneCeremonyAtATime(t *testing.T) {
	h, members := newHub(t, 5)
	hd := handoverOf(t, h, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
	ctx, cancel := context.WithCancel(t.Context())
	stays := addressOf(1)
	begun := make(chan struct{}, 64)
	h.tamper = func(_, _ common.Address, frame []byte) [][]byte {
		if typeOf(t, frame) == typeReshare1 {
			begun <- struct{}{}
		}
		return [][]byte{frame}
	}
	r := hd.request
	r.Share, r.PreParams = hd.shares[stays], devPreParams(t, 4)
	ended := make(chan Outcome)
	go func() {
		_, out := h.engines[stays].Reshare(ctx, r)
		ended <- out
	}()
	<-begun
	again := r
	again.Session[0] ^= 1
	_, out := h.engines[stays].Reshare(ctx, again)
	require.ErrorIs(t, out.Err, ErrBusy)
	_, out = h.engines[stays].Keygen(ctx, KeygenRequest{
		Session: sessionOf("busy"), Epoch: 5, Members: members, Threshold: 4, PreParams: devPreParams(t, 9),
	})
	require.ErrorIs(t, out.Err, ErrBusy)
	gone, leave := context.WithCancel(ctx)
	leave()
	out = h.engines[stays].sign(gone, signRequest{session: sessionOf("meanwhile"), participants: hd.request.OldMembers[:3], share: r.Share})
	require.Equal(t, Cancelled, out.Ending, "it began")
	cancel()
	require.Equal(t, Cancelled, (<-ended).Ending)
}

// The last round: a key that is not the expected one is neither saved nor signed for, and a member that leaves reads all
// signatures before it believes that the key has moved.
func TestTheClosingRoundOfResharing(t *testing.T) {
	inner, raw := endOf(t)
	share := testShares(t)[0]
	c := &reshareClosing{*inner, share.public}
	saves := 0
	c.req.Save = func(*KeyShare) error { saves++; return nil }

	c.public = share.parties[1].x.compress()
	_, out := c.conclude(raw)
	require.Equal(t, Unattributed, out.Ending)
	for _, result := range []any{nil, "no key", &rawShare{public: point{zero, zero}}} {
		_, out := c.conclude(result)
		require.Equal(t, Unattributed, out.Ending)
	}
	require.Zero(t, saves)

	// The library leaves the sum of the dealers' shares unreduced.
	c.public = share.public
	raw.xi = new(big.Int).Add(raw.xi, order())
	own, out := c.conclude(raw)
	require.Nil(t, out)
	require.NotEmpty(t, own)
	require.Equal(t, 1, saves)

	leaver := &reshareClosing{*inner, share.public}
	leaver.share, leaver.transcript.Epoch = nil, 0
	payload, out := leaver.conclude(handedOver{})
	require.Nil(t, payload)
	require.Nil(t, out)
	require.Equal(t, share.Transcript(), leaver.transcript)
	c.req.Save = func(*KeyShare) error { return errors.New("disk full") }
	_, out = c.conclude(raw)
	require.Equal(t, Unattributed, out.Ending)
	require.Contains(t, out.Reason, "disk full")

	delete(leaver.session.guard.known, share.members[2])
	_, out = leaver.conclude(handedOver{})
	require.Equal(t, Unattributed, out.Ending)
}
