package batch_test

import (
	"testing"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// rule is a way to break one rule of a batch that was valid, and the words by which it is refused. Each stands for a line
// of Valid: without that line its test fails.
type rule struct {
	name   string
	breaks func(t tb, w *world, b *batch.Batch)
	want   string
}

// raws are the bytes of views, for a batch.
func raws(views []quorum.Signed[quorum.View]) (out [][]byte) {
	for _, v := range views {
		out = append(out, v.Bytes())
	}
	return out
}

// reseen replaces the views by the last q members', changed.
func reseen(t tb, w *world, b *batch.Batch, change func(i int, v *quorum.View)) {
	b.Views = raws(w.views(t, len(w.keys)-w.q(), change))
}

// reitem replaces the item by another content's, certified.
func reitem(t tb, w *world, b *batch.Batch, change func(c *quorum.Content)) {
	c := b.Items[0].Content
	change(&c)
	b.Items[0] = batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()}
}

func onlyFirst(i int, v *quorum.View) { v.Lanes = v.Lanes[:1] }

func frameRules() []rule {
	return []rule{
		{"epoch", func(_ tb, _ *world, b *batch.Batch) { b.Epoch = 2 }, "epoch 2"},
		{"height", func(_ tb, _ *world, b *batch.Batch) { b.Height++ }, "height"},
		{"previous", func(_ tb, _ *world, b *batch.Batch) { b.Previous[0] ^= 1 }, "previous"},
		{"a release of nothing", func(_ tb, _ *world, b *batch.Batch) { b.Releases = make([]quorum.UncheckedOutcome, 1) }, "holds no items"},
		{"nothing to sweep", func(_ tb, _ *world, b *batch.Batch) { b.Kind = batch.Sweep }, "no old payer is to be swept"},
		{"unknown kind", func(_ tb, _ *world, b *batch.Batch) { b.Kind = 10 }, "unknown kind(10)"},
		{"a view too few", func(_ tb, _ *world, b *batch.Batch) { b.Views = b.Views[1:] }, "views, want exactly"},
		{"a view too many", func(t tb, w *world, b *batch.Batch) { b.Views = raws(w.views(t, 0)) }, "views, want exactly"},
		{"a view twice", func(_ tb, _ *world, b *batch.Batch) { b.Views[1] = b.Views[0] }, "not ascending"},
		{"views out of order", func(_ tb, _ *world, b *batch.Batch) {
			b.Views[0], b.Views[1] = b.Views[1], b.Views[0]
		}, "not ascending"},
		{"a stranger's view", func(t tb, w *world, b *batch.Batch) {
			s, err := quorum.Sign(testKey("stranger", 0), w.network, w.view())
			require.NoError(t, err)
			b.Views[0] = s.Bytes()
		}, "not a member"},
		{"a view of another network", func(t tb, w *world, b *batch.Batch) {
			s, err := quorum.Sign(w.keys[0], common.Hash{1}, w.view())
			require.NoError(t, err)
			b.Views[0] = s.Bytes()
		}, "view 0"},
		{"a view of another epoch", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) { v.Epoch = 0 })
		}, "of epoch 0"},
		{"time", func(_ tb, _ *world, b *batch.Batch) { b.Time++ }, "time"},
		{"time before the median", func(_ tb, _ *world, b *batch.Batch) { b.Time-- }, "time"},
		{"time below the previous one", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) { v.Time = now - 1 })
			b.Time = now - 1
		}, "time"},
	}
}

func itemRules() []rule {
	return []rule{
		{"an action", func(_ tb, _ *world, b *batch.Batch) { b.Action = []byte{1} }, "with an action"},
		{"nothing", func(_ tb, _ *world, b *batch.Batch) { b.Items, b.Rejects = nil, nil }, "PAYOUT of nothing"},
		{"two items", func(t tb, w *world, b *batch.Batch) {
			c := w.content(99, "native")
			b.Items = append(b.Items, batch.Item{Content: c, Cert: w.pay(t, c).Pay.Unchecked()})
		}, "pays at most 1"},
		{"certificate of another wid", func(t tb, w *world, b *batch.Batch) {
			c := b.Items[0].Content
			b.Items[0].Cert = w.pay(t, c, func(a *quorum.Approve) { a.WID = 99 }).Pay.Unchecked()
		}, "of another content"},
		{"certificate of another account", func(t tb, w *world, b *batch.Batch) {
			c := b.Items[0].Content
			b.Items[0].Cert = w.pay(t, c, func(a *quorum.Approve) { a.Account = common.Address{9} }).Pay.Unchecked()
		}, "of another content"},
		{"content changed", func(_ tb, _ *world, b *batch.Batch) { b.Items[0].Content.To[19] ^= 1 }, "of another content"},
		{"certificate of another policy", func(t tb, w *world, b *batch.Batch) {
			c := b.Items[0].Content
			b.Items[0].Cert = w.pay(t, c, func(a *quorum.Approve) { a.Policy.Version++ }).Pay.Unchecked()
		}, "another policy or epoch"},
		{"certificate of another epoch", func(t tb, w *world, b *batch.Batch) {
			c := b.Items[0].Content
			b.Items[0].Cert = w.pay(t, c, func(a *quorum.Approve) { a.Epoch = 0 }).Pay.Unchecked()
		}, "another policy or epoch"},
		{"certificate with a broken signature", func(_ tb, _ *world, b *batch.Batch) {
			b.Items[0].Cert.Votes[0].Time++
		}, "not a certificate"},
		{"certificate of too few", func(_ tb, _ *world, b *batch.Batch) {
			b.Items[0].Cert.Votes = b.Items[0].Cert.Votes[1:]
		}, "votes, want exactly"},
		{"an account that is nobody", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.Account = common.Address{} })
		}, "account is zero"},
		{"stale views", func(t tb, w *world, b *batch.Batch) {
			c := b.Items[0].Content
			b.Items[0].Cert = w.pay(t, c, func(a *quorum.Approve) { a.Time = now + 10_001 }).Pay.Unchecked()
		}, "10 s older"},
		{"paid to nobody", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.To = common.Address{} })
		}, "no payable destination"},
		{"paid to the payer", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.To = crypto.PubkeyToAddress(w.payer.PublicKey) })
		}, "no payable destination"},
		{"nothing paid", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.Amount.Clear() })
		}, "no payable destination"},
		{"another network's item", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.Network = "elsewhere" })
		}, "of another lane"},
		{"another token's item", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.Token = token })
		}, "of another lane"},
	}
}

func transactionRules() []rule {
	return []rule{
		{"unknown lane", func(_ tb, _ *world, b *batch.Batch) { b.Lane.ChainID = 7 }, "no lane"},
		{"another payer", func(_ tb, _ *world, b *batch.Batch) { b.Lane.Payer = common.Address{1} }, "no lane"},
		{"nonce above", func(_ tb, _ *world, b *batch.Batch) { b.Nonce++ }, "nonce 7, next is 6"},
		{"nonce used", func(_ tb, _ *world, b *batch.Batch) { b.Nonce-- }, "nonce 5, next is 6"},
		{"a view without the lane", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) {
				if i == len(w.keys)-1 {
					v.Lanes = v.Lanes[1:]
				}
			})
		}, "no data for the lane"},
		{"offer", func(_ tb, _ *world, b *batch.Batch) { b.Offer.AddUint64(&b.Offer, 1) }, "not what the policy's formula"},
		{"tip", func(_ tb, _ *world, b *batch.Batch) { b.Tip.AddUint64(&b.Tip, 1) }, "not what the policy's formula"},
		{"fee cap", func(_ tb, _ *world, b *batch.Batch) { b.FeeCap.AddUint64(&b.FeeCap, 1) }, "not what the policy's formula"},
		{"gas limit", func(_ tb, _ *world, b *batch.Batch) { b.GasLimit = 120_000 }, "not what the policy's formula"},
		{"fees above the ceiling", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) { v.Lanes[0].BaseFee = *uint256.NewInt(250 * gwei) })
		}, "ceiling"},
		{"a foreign transaction", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) { v.Lanes[0].Nonce = 7 })
		}, "which no decision took"},
		{"too many in flight", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) { v.Lanes[0].Nonce = 4 })
		}, "in flight"},
		// One slot of 2 coins and 60,000 gas of 60 gwei is open; the next needs as much again.
		{"funds", func(t tb, w *world, b *batch.Batch) {
			reseen(t, w, b, func(i int, v *quorum.View) {
				v.Lanes[0].Gas = coins(4)
				v.Lanes[0].Gas.AddUint64(&v.Lanes[0].Gas, 2*60_000*60*gwei-1)
			})
		}, "does not cover"},
		{"overflow", func(t tb, w *world, b *batch.Batch) {
			reitem(t, w, b, func(c *quorum.Content) { c.Amount.SetAllOne() })
		}, "overflow"},
	}
}

// breakOne checks that the batch is valid, and not once broken.
func breakOne(t *testing.T, w *world, b batch.Batch, r rule) {
	t.Helper()
	require.NoError(t, w.s.Valid(b))
	// Through the encoding, so that nothing is shared with another test.
	own, err := batch.Decode(b.Encode())
	require.NoError(t, err)
	r.breaks(t, w, &own)
	err = w.s.Valid(own)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, r.want)
	require.Error(t, w.applyProven(t, own.Encode()), "a rule that holds only where nothing was proven before")
}

// Every rule of a PAYOUT with an item. One slot, nonce 5, is decided and not final.
func TestPayoutRules(t *testing.T) {
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	b := w.build(t, w.views(t, 0), w.pay(t, w.content(2, "native")))
	for _, rules := range [][]rule{frameRules(), itemRules(), transactionRules()} {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) { breakOne(t, w, b, r) })
		}
	}
}

// What a decision used cannot be used again, in items and in rejects.
func TestUsedOnce(t *testing.T) {
	w := founded(t, 4)
	paid, refused := w.content(1, "native"), w.content(2, "native")
	w.decide(t, w.pay(t, paid), w.refuse(t, refused))
	b := w.build(t, w.views(t, 0), w.pay(t, w.content(3, "native")), w.refuse(t, w.content(4, "native")))
	item := func(change func(*quorum.Content)) func(tb, *world, *batch.Batch) {
		return func(t tb, w *world, b *batch.Batch) { reitem(t, w, b, change) }
	}
	reject := func(change func(*quorum.Content)) func(tb, *world, *batch.Batch) {
		return func(t tb, w *world, b *batch.Batch) {
			c := b.Rejects[0].Content
			change(&c)
			b.Rejects[0] = batch.Reject{Content: c, Cert: w.refuse(t, c).Refuse.Unchecked()}
		}
	}
	for _, r := range []rule{
		{"a paid wid again", item(func(c *quorum.Content) { c.WID = 1 }), "withdrawal 1 was decided before"},
		{"a refused wid paid", item(func(c *quorum.Content) { c.WID = 2 }), "withdrawal 2 was decided before"},
		{"a paid wid refused", reject(func(c *quorum.Content) { c.WID = 1 }), "withdrawal 1 was decided before"},
		{"a paid event again", item(func(c *quorum.Content) { c.EventID = paid.EventID }), "event 10001"},
		{"a refused event paid", item(func(c *quorum.Content) { c.EventID = refused.EventID }), "event 10002"},
		{"a paid event refused", reject(func(c *quorum.Content) { c.EventID = paid.EventID }), "event 10001"},
		{"a paid message again", item(func(c *quorum.Content) { c.Message = paid.Message }), "message of withdrawal 3"},
		{"paid and refused at once", reject(func(c *quorum.Content) { c.WID = 3 }), "withdrawal 3 was decided before"},
		{"one event twice at once", reject(func(c *quorum.Content) { c.EventID = 10_003 }), "event 10003"},
	} {
		t.Run(r.name, func(t *testing.T) { breakOne(t, w, b, r) })
	}
	t.Run("a refused message paid by another withdrawal", func(t *testing.T) {
		own, err := batch.Decode(b.Encode())
		require.NoError(t, err)
		reitem(t, w, &own, func(c *quorum.Content) { c.Message = refused.Message })
		require.NoError(t, w.s.Valid(own), "a refusal uses up no message: whose it was is paid")
	})
}

func TestRejectRules(t *testing.T) {
	w := founded(t, 4)
	b := w.build(t, w.views(t, 0, onlyFirst), w.refuse(t, w.content(7, "native")), w.refuse(t, w.content(8, "native")))
	require.Len(t, b.Rejects, 2)
	recert := func(change func(*quorum.Refuse)) func(tb, *world, *batch.Batch) {
		return func(t tb, w *world, b *batch.Batch) {
			b.Rejects[0].Cert = w.refuse(t, b.Rejects[0].Content, change).Refuse.Unchecked()
		}
	}
	rules := []rule{
		{"out of order", func(_ tb, _ *world, b *batch.Batch) {
			b.Rejects[0], b.Rejects[1] = b.Rejects[1], b.Rejects[0]
		}, "rejects are not ascending"},
		{"twice", func(_ tb, _ *world, b *batch.Batch) { b.Rejects[1] = b.Rejects[0] }, "rejects are not ascending"},
		{"too many", func(_ tb, _ *world, b *batch.Batch) {
			b.Rejects = make([]batch.Reject, batch.MaxRejects+1)
		}, "rejects, at most"},
		{"of another wid", recert(func(r *quorum.Refuse) { r.WID = 99 }), "of another content"},
		{"of another content", recert(func(r *quorum.Refuse) { r.Content[0] ^= 1 }), "of another content"},
		{"of another policy", recert(func(r *quorum.Refuse) { r.Policy.Hash[0] ^= 1 }), "another policy or epoch"},
		{"of another epoch", recert(func(r *quorum.Refuse) { r.Epoch = 0 }), "another policy or epoch"},
		{"broken signature", func(_ tb, _ *world, b *batch.Batch) { b.Rejects[0].Cert.Votes[0].Time++ }, "not a certificate"},
		{"stale views", recert(func(r *quorum.Refuse) { r.Time = now + 10_001 }), "10 s older"},
		{"a nonce", func(_ tb, _ *world, b *batch.Batch) { b.Nonce = 1 }, "takes no nonce"},
		{"a lane", func(_ tb, w *world, b *batch.Batch) { b.Lane = w.lane("native") }, "takes no nonce"},
		{"a gas limit", func(_ tb, _ *world, b *batch.Batch) { b.GasLimit = 1 }, "takes no nonce"},
		{"an offer", func(_ tb, _ *world, b *batch.Batch) { b.Offer.SetOne() }, "takes no nonce"},
		{"a tip", func(_ tb, _ *world, b *batch.Batch) { b.Tip.SetOne() }, "takes no nonce"},
		{"a fee cap", func(_ tb, _ *world, b *batch.Batch) { b.FeeCap.SetOne() }, "takes no nonce"},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { breakOne(t, w, b, r) })
	}
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.True(t, w.s.Decided(7) && w.s.Decided(8))
	require.EqualValues(t, 5, w.s.NextNonce(w.lane("native").Nonces()), "rejects take no nonce")
}

func TestMembersRules(t *testing.T) {
	w := newWorld(t, 4)
	good := w.action(t)
	b, err := w.s.BuildMembers(good, w.views(t, 0))
	require.NoError(t, err)
	with := func(change func(t tb, w *world, a *quorum.MembersAction)) func(tb, *world, *batch.Batch) {
		return func(t tb, w *world, b *batch.Batch) {
			a := good
			a.Members = append([]quorum.Member(nil), good.Members...)
			change(t, w, &a)
			b.Action = encode(t, a)
		}
	}
	for _, r := range []rule{
		{"no action", func(_ tb, _ *world, b *batch.Batch) { b.Action = nil }, "action"},
		{"a nonce", func(_ tb, _ *world, b *batch.Batch) { b.Nonce = 1 }, "pays nothing"},
		{"a reject", func(_ tb, _ *world, b *batch.Batch) { b.Rejects = make([]batch.Reject, 1) }, "pays nothing"},
		{"an item", func(_ tb, _ *world, b *batch.Batch) { b.Items = make([]batch.Item, 1) }, "pays nothing"},
		{"unsigned", with(func(_ tb, _ *world, a *quorum.MembersAction) { a.Signatures = nil }), "transcript"},
		{"no canary", with(func(_ tb, _ *world, a *quorum.MembersAction) { a.Canaries = nil }), "not every member"},
		{"a later epoch", with(func(t tb, w *world, a *quorum.MembersAction) {
			a.Epoch, a.Transcript.Epoch = 2, 2
			w.prove(t, a)
		}), "does not follow"},
		{"another record of a member", with(func(_ tb, _ *world, a *quorum.MembersAction) {
			a.Members[0].Name = "someone else"
		}), "another's record"},
	} {
		t.Run(r.name, func(t *testing.T) { breakOne(t, w, b, r) })
	}
	t.Run("a PAYOUT before", func(t *testing.T) {
		own := b
		own.Kind, own.Action = batch.Payout, nil
		require.ErrorContains(t, w.s.Valid(own), "before the committee has a key")
	})
	t.Run("fewer members", func(t *testing.T) {
		small := newWorld(t, 3)
		a := small.action(t)
		for _, key := range small.keys {
			require.Contains(t, w.members(), crypto.PubkeyToAddress(key.PublicKey))
		}
		small.network = w.network
		small.prove(t, &a)
		_, err := w.s.BuildMembers(a, w.views(t, 0))
		require.ErrorContains(t, err, "not so many")
	})
	t.Run("twice", func(t *testing.T) {
		founded := founded(t, 4)
		_, err := founded.s.BuildMembers(good, founded.views(t, 0))
		require.ErrorContains(t, err, "does not follow")
	})
}

// Token lanes: value is counted in tokens, gas in coins, and slots of the native lane on the same nonces count too.
func TestTokenFunds(t *testing.T) {
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	pay := w.pay(t, w.content(2, "tokens"))
	b := w.build(t, w.views(t, 0), pay)
	require.EqualValues(t, 120_000, b.GasLimit)
	require.EqualValues(t, 6, b.Nonce, "one sequence for both lanes")
	const step = 60 * gwei
	native := coins(2)
	native.AddUint64(&native, (60_000+120_000)*step) // the open slot's value and gas, and the own gas
	for _, c := range []struct {
		name     string
		tokens   uint256.Int
		native   uint256.Int
		refusals string
	}{
		{"exactly", coins(2), native, ""},
		{"a token too few", *new(uint256.Int).SubUint64(new(uint256.Int).Set(&pay.Content.Amount), 1), native, "tokens do not cover"},
		{"a wei too few", coins(2), *new(uint256.Int).SubUint64(&native, 1), "balance does not cover"},
		{"nothing at all", uint256.Int{}, uint256.Int{}, "cover"},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := b
			reseen(t, w, &own, func(i int, v *quorum.View) { v.Lanes[1].Balance, v.Lanes[1].Gas = c.tokens, c.native })
			if c.refusals == "" {
				require.NoError(t, w.s.Valid(own))
				return
			}
			require.ErrorContains(t, w.s.Valid(own), c.refusals)
		})
	}
	t.Run("an open token slot counts", func(t *testing.T) {
		w := founded(t, 4)
		w.decide(t, pay)
		own := w.build(t, w.views(t, 0), w.pay(t, w.content(3, "tokens")))
		reseen(t, w, &own, func(i int, v *quorum.View) { v.Lanes[1].Balance = coins(3) })
		require.ErrorContains(t, w.s.Valid(own), "tokens do not cover")
		reseen(t, w, &own, func(i int, v *quorum.View) { v.Lanes[1].Balance, v.Lanes[1].Nonce = coins(3), 6 })
		require.NoError(t, w.s.Valid(own), "what is final stands in the balance already")
	})
}

// The lower median: f members who lie in either direction move nothing that matters.
func TestMediansWithstandLiars(t *testing.T) {
	for _, n := range []int{4, 7, 10} {
		w := founded(t, n)
		liars := quorum.Faults(n)
		lie := func(rich bool) func(i int, v *quorum.View) {
			return func(i int, v *quorum.View) {
				if i < n-liars {
					return
				}
				for j := range v.Lanes {
					l := &v.Lanes[j]
					l.Balance, l.Gas, l.BaseFee = uint256.Int{}, uint256.Int{}, uint256.Int{}
					if rich {
						l.Balance.SetAllOne()
						l.Gas.SetAllOne()
						l.BaseFee.SetAllOne()
						l.Nonce += 1 << 40
					}
				}
				v.Time = now + 50_000
			}
		}
		honest := w.build(t, w.views(t, 0), w.pay(t, w.content(1, "native")))
		for _, rich := range []bool{false, true} {
			b := w.build(t, w.views(t, 0, lie(rich)), w.pay(t, w.content(1, "native")))
			require.Equal(t, honest.FeeCap, b.FeeCap, "n = %d", n)
			require.Equal(t, honest.Time, b.Time, "n = %d", n)
			poor := w.content(2, "native")
			poor.Amount = coins(101)
			_, ok := w.s.Build([]batch.Candidate{w.pay(t, poor)}, w.views(t, 0, lie(rich)))
			require.False(t, ok, "n = %d", n)
		}
	}
}
