package batch_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sample has every field set, releases and action too, so that the golden bytes show each.
func sample(t tb) (*world, batch.Batch) {
	w := founded(t, 4)
	b := w.build(t, w.views(t, 0), w.pay(t, w.content(1, "tokens")), w.refuse(t, w.content(2, "native")))
	b.Action = []byte{0xac}
	b.Releases = []quorum.UncheckedOutcome{{
		Outcome: quorum.Outcome{Epoch: 1, Lane: b.Lane, Nonce: 5, Batch: common.Hash{0x1d}, TxHash: common.Hash{0x77}, Status: 0},
		Votes:   []quorum.Ballot{{Counter: 3}},
	}}
	return w, b
}

// The encoding is what is voted on and what nodes store: other bytes are another protocol version.
func TestGoldenBatch(t *testing.T) {
	w, b := sample(t)
	id := b.ID(w.network)
	require.Equal(t, quorum.ValueID(w.network, b.Encode()), id)
	golden.Fields(t, filepath.Join("testdata", "golden", "payout.txt"),
		golden.Field{Name: "batch", Bytes: b.Encode()}, golden.Field{Name: "id", Bytes: id[:]})

	fresh := newWorld(t, 4)
	m, err := fresh.s.BuildMembers(fresh.action(t), fresh.views(t, 0))
	require.NoError(t, err)
	id = m.ID(fresh.network)
	golden.Fields(t, filepath.Join("testdata", "golden", "members.txt"),
		golden.Field{Name: "batch", Bytes: m.Encode()}, golden.Field{Name: "id", Bytes: id[:]})
}

func TestDecode(t *testing.T) {
	_, b := sample(t)
	raw := b.Encode()
	again, err := batch.Decode(raw)
	require.NoError(t, err)
	require.Equal(t, b, again)
	for name, bad := range map[string][]byte{
		"empty":             nil,
		"shorter":           raw[:len(raw)-1],
		"longer":            append(append([]byte(nil), raw...), 0),
		"not a list":        {0x80},
		"above the bound":   make([]byte, batch.MaxBytes+1),
		"fields of no kind": {0xc0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := batch.Decode(bad)
			require.ErrorIs(t, err, batch.ErrInvalid)
		})
	}
	t.Run("a true encoding above the bound", func(t *testing.T) {
		big := b
		big.Action = make([]byte, batch.MaxBytes)
		_, err := batch.Decode(big.Encode())
		require.ErrorContains(t, err, "at most")
	})
	t.Run("a number with a leading zero", func(t *testing.T) {
		var fields []rlp.RawValue
		require.NoError(t, rlp.DecodeBytes(raw, &fields))
		fields[1] = rlp.RawValue{0x82, 0x00, 0x02} // height 2
		_, err := batch.Decode(encode(t, fields))
		require.ErrorIs(t, err, batch.ErrInvalid)
	})
}

// The fullest batch of the largest committee fits its frame.
func TestFullestBatchFits(t *testing.T) {
	w := founded(t, quorum.MaxMembers)
	var all []batch.Candidate
	for wid := range uint64(batch.MaxRejects + 6) {
		all = append(all, w.refuse(t, w.content(wid+10, "native")))
	}
	all = append(all, w.pay(t, w.content(1, "tokens")))
	b := w.build(t, w.views(t, 0), all...)
	require.Len(t, b.Rejects, batch.MaxRejects)
	require.Len(t, b.Items, 1)
	require.Less(t, len(b.Encode()), batch.MaxBytes/2)
}

func TestKindNames(t *testing.T) {
	require.Equal(t, "PAYOUT", batch.Payout.String())
	require.Equal(t, "kind(77)", batch.Kind(77).String())
}

func TestValueOverflows(t *testing.T) {
	var most quorum.Content
	most.Amount.SetAllOne()
	sum, ok := batch.Batch{Items: []batch.Item{{Content: most}}}.Value()
	require.True(t, ok)
	require.Equal(t, most.Amount, sum)
	_, ok = batch.Batch{Items: []batch.Item{{Content: most}, {Content: quorum.Content{Amount: *uint256.NewInt(1)}}}}.Value()
	require.False(t, ok)
}

func TestFounding(t *testing.T) {
	w := newWorld(t, 4)
	require.False(t, w.s.Founded())
	require.Empty(t, w.s.LaneKeys())
	_, ok := w.s.LaneOf(w.lane("native"))
	require.False(t, ok)
	_, ok = w.s.Build([]batch.Candidate{w.pay(t, w.content(1, "native"))}, w.views(t, 0))
	require.False(t, ok)
	require.ErrorContains(t, w.s.WhyNot(w.pay(t, w.content(1, "native")), w.views(t, 0)), "no key yet")
	_, err := w.s.BuildMembers(w.action(t), w.views(t, 2))
	require.ErrorContains(t, err, "fewer than 3 views")

	b, err := w.s.BuildMembers(w.action(t), w.views(t, 0))
	require.NoError(t, err)
	c := w.commit(t, b.Encode())
	fx, err := w.s.Apply(c)
	require.NoError(t, err)
	require.NotNil(t, fx.Members)
	require.Nil(t, fx.Slot)
	require.Equal(t, crypto.PubkeyToAddress(w.payer.PublicKey), w.s.Payer)
	require.EqualValues(t, 1, w.s.Roster.Epoch)
	require.EqualValues(t, 1, w.s.Height)
	require.Equal(t, c.ID(), w.s.Previous)
	require.EqualValues(t, now, w.s.Time)
	require.Len(t, w.s.LaneKeys(), 3)
	require.EqualValues(t, 5, w.s.NextNonce(w.lane("tokens").Nonces()))
	require.EqualValues(t, 5, w.s.FirstNonce(w.lane("native").Nonces()))
	require.EqualValues(t, 0, w.s.NextNonce(w.lane("elsewhere").Nonces()))
}

func TestSlotOfAPayout(t *testing.T) {
	w := founded(t, 4)
	fx := w.decide(t, w.pay(t, w.content(1, "tokens")))
	require.NotNil(t, fx.Slot)
	require.Equal(t, w.lane("tokens"), fx.Slot.Lane)
	require.EqualValues(t, 5, fx.Slot.Nonce)
	require.Equal(t, batch.Cost{Token: token, Value: coins(2), Gas: *uint256.NewInt(120_000 * 60 * gwei)}, fx.Slot.Cost)
	require.EqualValues(t, 6, w.s.NextNonce(w.lane("native").Nonces()))
	require.EqualValues(t, 0, w.s.NextNonce(w.lane("elsewhere").Nonces()))
	require.True(t, w.s.Decided(1))
	require.False(t, w.s.Decided(2))
}

// What q members committed is judged again: forged or misplaced decisions change nothing.
func TestCommittedForgeriesAreRefused(t *testing.T) {
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	good := w.build(t, w.views(t, 0), w.pay(t, w.content(2, "native")))
	twice := good
	c := w.content(1, "native")
	twice.Items = []batch.Item{{Content: c, Cert: w.pay(t, c).Pay.Unchecked()}}
	other := good
	other.Height = 9

	before := fmt.Sprintf("%+v", w.s)
	for name, forged := range map[string]quorum.Committed{
		"bytes of nothing":        w.commit(t, []byte("not a batch")),
		"a withdrawal paid twice": w.commit(t, twice.Encode()),
		"a height ahead":          w.commitAt(t, good.Encode(), 4),
		"a height behind":         w.commitAt(t, good.Encode(), 2),
		"the batch says another":  w.commit(t, other.Encode()),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.s.Apply(forged)
			require.Error(t, err)
			require.Equal(t, before, fmt.Sprintf("%+v", w.s), "a refused decision changes nothing")
		})
	}
	_, err := w.s.Apply(w.commit(t, good.Encode()))
	require.NoError(t, err)
	_, err = w.s.Apply(w.commitAt(t, good.Encode(), 3))
	require.Error(t, err, "one decision per height")
}

func TestWhyNot(t *testing.T) {
	w := founded(t, 4)
	pay := w.pay(t, w.content(1, "native"))
	require.NoError(t, w.s.WhyNot(pay, w.views(t, 0)))
	require.NoError(t, w.s.WhyNot(w.refuse(t, w.content(2, "native")), nil))
	require.ErrorContains(t, w.s.WhyNot(pay, w.views(t, 2)), "fewer than 3 members show a view")
	poor := func(i int, v *quorum.View) { v.Lanes[0].Gas.Clear() }
	require.ErrorContains(t, w.s.WhyNot(pay, w.views(t, 0, poor)), "does not cover")
	stray := w.content(3, "native")
	stray.Network = "nowhere"
	require.ErrorContains(t, w.s.WhyNot(w.pay(t, stray), w.views(t, 0)), "no lane pays")
}

func TestBuildTakesTheOldestThatCanBePaid(t *testing.T) {
	w := founded(t, 4)
	at := func(wid uint64, network string, ms uint64) batch.Candidate {
		return w.pay(t, w.content(wid, network), func(a *quorum.Approve) { a.Time = ms })
	}
	late, early, same := at(1, "native", now-1), at(3, "native", now-5), at(2, "native", now-1)
	require.EqualValues(t, 3, w.build(t, w.views(t, 0), late, same, early).Items[0].Content.WID)
	require.EqualValues(t, 1, w.build(t, w.views(t, 0), same, late).Items[0].Content.WID)

	t.Run("a lane without data does not stop the others", func(t *testing.T) {
		blind := func(i int, v *quorum.View) {
			if i < 2 {
				v.Lanes = v.Lanes[2:]
			}
		}
		b := w.build(t, w.views(t, 0, blind), early, at(4, "elsewhere", now))
		require.EqualValues(t, 4, b.Items[0].Content.WID)
	})
	t.Run("the freshest views stand in it", func(t *testing.T) {
		b := w.build(t, append(w.views(t, 0, func(i int, v *quorum.View) { v.Time -= 60_000 }), w.views(t, 1)...), early)
		require.Equal(t, raws(w.views(t, 1)), b.Views)
	})
	t.Run("views of another epoch and of strangers are no views", func(t *testing.T) {
		old := w.views(t, 0, func(i int, v *quorum.View) { v.Epoch = 0 })
		_, ok := w.s.Build([]batch.Candidate{early}, append(old, w.views(t, 2)...))
		require.False(t, ok)
	})
}

// arbitrary draws candidates and views as the world may show them to a proposer.
func arbitrary(rt *rapid.T, w *world) ([]batch.Candidate, []quorum.Signed[quorum.View]) {
	var all []batch.Candidate
	for range rapid.IntRange(0, 5).Draw(rt, "candidates") {
		c := w.content(rapid.Uint64Range(1, 12).Draw(rt, "wid"), rapid.SampledFrom([]string{"native", "tokens", "elsewhere"}).Draw(rt, "network"))
		c.Amount = coins(rapid.Uint64Range(0, 60).Draw(rt, "coins"))
		if rapid.Bool().Draw(rt, "one event") {
			c.EventID = 10_001
		}
		ms := rapid.Uint64Range(now-20_000, now+20_000).Draw(rt, "certified")
		if rapid.Bool().Draw(rt, "refuse") {
			all = append(all, w.refuse(rt, c, func(r *quorum.Refuse) { r.Time = ms }))
		} else {
			all = append(all, w.pay(rt, c, func(a *quorum.Approve) { a.Time = ms }))
		}
	}
	views := w.views(rt, rapid.IntRange(0, len(w.keys)-w.q()+1).Draw(rt, "silent"), func(i int, v *quorum.View) {
		v.Time = rapid.Uint64Range(now-20_000, now+20_000).Draw(rt, "time")
		v.Lanes = v.Lanes[:rapid.IntRange(0, len(v.Lanes)).Draw(rt, "lanes")]
		for j := range v.Lanes {
			v.Lanes[j].Nonce += rapid.Uint64Range(0, 2).Draw(rt, "final")
			v.Lanes[j].Gas = coins(rapid.Uint64Range(0, 100).Draw(rt, "gas"))
			v.Lanes[j].BaseFee = *uint256.NewInt(rapid.Uint64Range(0, 300*gwei).Draw(rt, "base fee"))
		}
	})
	return all, views
}

// What Build makes is valid, for everyone who applied the same decisions, and the bytes say all of it. Two nodes that
// agree on the decisions agree on every batch, mangled ones too.
func TestBuildIsValidAndNodesAgree(t *testing.T) {
	_, ok := founded(t, 4).s.Build(nil, nil)
	require.False(t, ok, "nothing to decide")
	rapid.Check(t, func(rt *rapid.T) {
		w := founded(rt, 4)
		other := w.state(rt)
		founding := newWorld(rt, 4)
		b, err := other.BuildMembers(w.action(rt), founding.views(rt, 0))
		require.NoError(rt, err)
		_, err = other.Apply(founding.commit(rt, b.Encode()))
		require.NoError(rt, err)

		for range rapid.IntRange(1, 4).Draw(rt, "heights") {
			b, ok := w.s.Build(arbitrary(rt, w))
			if !ok {
				continue
			}
			again, err := batch.Decode(b.Encode())
			require.NoError(rt, err)
			require.Equal(rt, b.Encode(), again.Encode())
			require.NoError(rt, w.s.Valid(again))
			require.NoError(rt, other.Valid(again))

			bent := mangle(rt, again)
			mine, theirs := w.s.Valid(bent), other.Valid(bent)
			require.Equal(rt, fmt.Sprint(mine), fmt.Sprint(theirs))

			c := w.commit(rt, b.Encode())
			_, err = w.s.Apply(c)
			require.NoError(rt, err)
			_, err = other.Apply(c)
			require.NoError(rt, err)
			require.Equal(rt, fmt.Sprintf("%+v", w.s), fmt.Sprintf("%+v", other))
			require.Error(rt, w.s.Valid(again), "no batch is valid twice")
		}
	})
}

// mangle changes some field or other; the result may even be valid.
func mangle(rt *rapid.T, b batch.Batch) batch.Batch {
	n := rapid.Uint64Range(0, 3).Draw(rt, "by")
	switch rapid.IntRange(0, 6).Draw(rt, "what") {
	case 0:
		b.Height += n
	case 1:
		b.Time += n
	case 2:
		b.Nonce += n
	case 3:
		b.GasLimit += n
	case 4:
		b.Views = b.Views[:len(b.Views)-int(n)]
	case 5:
		b.Items = append(b.Items, b.Items...)
	case 6:
		b.Rejects = append(b.Rejects, b.Rejects...)
	}
	return b
}

// Whatever bytes come, Decode and Valid answer, and what decodes has one encoding.
func FuzzDecodeValid(f *testing.F) {
	w, b := sample(f)
	f.Add(b.Encode())
	f.Add(w.build(f, w.views(f, 0), w.pay(f, w.content(1, "native"))).Encode())
	fresh := newWorld(f, 4)
	m, err := fresh.s.BuildMembers(fresh.action(f), fresh.views(f, 0))
	require.NoError(f, err)
	f.Add(m.Encode())
	tokens := tokenBatches(f)
	a, err := tokens.s.BuildAllow(tokens.views(f, 0))
	require.NoError(f, err)
	f.Add(a.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := batch.Decode(raw)
		if err != nil {
			require.ErrorIs(t, err, batch.ErrInvalid)
			return
		}
		require.Equal(t, raw, b.Encode())
		for _, s := range []*batch.State{w.s, fresh.s, tokens.s} {
			if err := s.Valid(b); err != nil {
				require.ErrorIs(t, err, batch.ErrInvalid)
			}
		}
	})
}
