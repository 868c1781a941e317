package batch_test

import (
	"crypto/ecdsa"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
	"conclave/quorum/batch"
)

// purse is what a payer holds of one lane's chain, as every member sees it.
type purse struct {
	nonce       uint64
	token, coin uint256.Int
}

// swept is a world in which a member is removed for cause, and what its old payer holds.
type swept struct {
	*world
	old    common.Address
	purses map[uint64]*purse // by chain; the token is that of lane "tokens"
}

// ordered has decided a payout, and then the removal of the last member with a sweep behind it.
func ordered(t tb) *swept {
	t.Helper()
	w := founded(t, 4)
	w.decide(t, w.pay(t, w.content(1, "native")))
	s := &swept{world: w, old: w.s.Payer, purses: map[uint64]*purse{
		1337: {nonce: 6, token: coins(1000), coin: coins(98)}, 1338: {coin: coins(7)},
	}}
	s.remove(t, quorum.NewMemberChange(w.s.Roster.Members[:3], "it leaked").Sweeping())
	return s
}

// remove carries out a change in which nobody joins.
func (s *swept) remove(t tb, change quorum.MemberChange) {
	t.Helper()
	b, err := s.s.BuildMembers(s.reshared(t, change.Members, s.acts(t, s.q(), change)), s.views(t, 0))
	require.NoError(t, err)
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	s.keys = slices.DeleteFunc(s.keys, func(k *ecdsa.PrivateKey) bool { return !s.members().Has(crypto.PubkeyToAddress(k.PublicKey)) })
}

// proofs are those of a ceremony of the committee in force that made a key.
func (s *swept) proofs(t tb, key *ecdsa.PrivateKey) quorum.MembersAction {
	t.Helper()
	paid := s.payer
	s.payer = key
	a := s.reshared(t, s.s.Roster.Members, quorum.SignedAction{})
	a.Change = nil
	s.payer = paid
	return a
}

// rekeyed has decided the new key too.
func rekeyed(t tb) *swept {
	t.Helper()
	s := ordered(t)
	key := testKey("payer", 1)
	b, err := s.s.BuildMembers(s.proofs(t, key), s.views(t, 0))
	require.NoError(t, err)
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	s.payer = key
	return s
}

func (s *swept) oldLane(network string) quorum.LaneKey {
	l, _ := s.genesis.LaneOf(network)
	return l.Key(s.old)
}

// seen are VIEWs of both payers; the new one holds nothing yet.
func (s *swept) seen(t tb, change ...func(i int, v *quorum.View)) []quorum.Signed[quorum.View] {
	t.Helper()
	both := func(_ int, v *quorum.View) {
		v.Lanes = nil
		for _, l := range s.genesis.Lanes {
			p := s.purses[l.ChainID]
			lv := quorum.LaneView{Lane: l.Key(s.old), Block: 200, Nonce: p.nonce, Gas: p.coin, Balance: p.coin, BaseFee: *uint256.NewInt(7 * gwei)}
			if l.Token != (common.Address{}) {
				lv.Balance = p.token
			}
			v.Lanes = append(v.Lanes, lv, quorum.LaneView{Lane: l.Key(s.s.Payer), Block: 200, BaseFee: lv.BaseFee})
		}
	}
	return s.views(t, 0, append([]func(int, *quorum.View){both}, change...)...)
}

// sweep builds and decides the next SWEEP.
func (s *swept) sweep(t tb) batch.Batch {
	t.Helper()
	b, err := s.s.BuildSweep(s.seen(t))
	require.NoError(t, err)
	fx, err := s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Equal(t, len(b.Action) == 0, fx.Slot == nil)
	return b
}

func moved(t tb, b batch.Batch) quorum.SweepAction {
	t.Helper()
	a, err := quorum.DecodeSweepAction(b.Action)
	require.NoError(t, err)
	return a
}

// mine makes a sweep's transaction final; it costs the whole gas limit at the offer.
func (s *swept) mine(t tb, b batch.Batch, reverts bool) {
	t.Helper()
	p, a := s.purses[b.Lane.ChainID], moved(t, b)
	require.Equal(t, p.nonce, b.Nonce)
	p.nonce++
	var gas uint256.Int
	gas.Mul(&b.Offer, uint256.NewInt(b.GasLimit))
	pay(t, &p.coin, gas)
	switch {
	case reverts:
	case b.Lane.Token == (common.Address{}):
		pay(t, &p.coin, a.Value)
	default:
		pay(t, &p.token, a.Value)
	}
}

// pay fails when a chain would refuse it.
func pay(t tb, from *uint256.Int, v uint256.Int) {
	_, under := from.SubOverflow(from, &v)
	require.False(t, under, "the old payer has less than it is to pay")
}

// TestASweepFromEndToEnd is the whole way: each step a decision, tokens before the coin, and the new payer from the first moment on.
func TestASweepFromEndToEnd(t *testing.T) {
	s := ordered(t)
	require.NotZero(t, s.s.Ordered)
	require.Equal(t, s.old, s.s.Payer, "the old payer goes on until there is another")
	s.purses[1337].nonce = 5 // the payout is not final yet
	s.decide(t, s.world.pay(t, s.content(2, "native")))

	key := testKey("payer", 1)
	b, err := s.s.BuildMembers(s.proofs(t, key), s.views(t, 0))
	require.NoError(t, err)
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	s.payer = key
	require.EqualValues(t, 3, s.s.Roster.Epoch)
	require.Equal(t, crypto.PubkeyToAddress(key.PublicKey), s.s.Payer)
	require.Zero(t, s.s.Ordered)
	require.Equal(t, s.old, s.s.Old.Payer)
	require.Zero(t, s.s.NextNonce(s.lane("native").Nonces()), "a payer of its own, with nonces of its own")
	require.EqualValues(t, 7, s.s.NextNonce(s.oldLane("native").Nonces()))
	_, ok := s.s.LaneOf(s.oldLane("native"))
	require.False(t, ok, "nobody is paid from there any more")

	s.purses[1337].nonce = 6 // one payout is still in flight: two coins and its gas stay for it
	token := s.sweep(t)
	require.Equal(t, s.oldLane("tokens"), token.Lane)
	require.Equal(t, quorum.SweepAction{To: s.s.Payer, Value: coins(1000)}, moved(t, token))
	require.EqualValues(t, 7, token.Nonce)

	other := s.sweep(t)
	require.Equal(t, s.oldLane("elsewhere"), other.Lane, "the coin of this chain waits for what is open on it")
	_, err = s.s.BuildSweep(s.seen(t))
	require.ErrorContains(t, err, "2 slots of the old payer are not final: its coin goes last")

	s.purses[1337].nonce, s.purses[1337].token, s.purses[1337].coin = 8, uint256.Int{}, coins(95)
	coin := s.sweep(t)
	require.Equal(t, s.oldLane("native"), coin.Lane)
	var gas uint256.Int
	gas.Mul(&coin.FeeCap, uint256.NewInt(coin.GasLimit))
	left := coins(95)
	left.Sub(&left, &gas)
	require.Equal(t, left, moved(t, coin).Value, "all but its own worst cost")

	s.mine(t, other, false)
	_, err = s.s.BuildSweep(s.seen(t))
	require.ErrorContains(t, err, "1 slots of the old payer are not final", "the old payer ends when its last transaction is final")
	s.mine(t, coin, false)
	end := s.sweep(t)
	require.Empty(t, end.Action)
	require.Nil(t, s.s.Old)
	_, err = s.s.BuildSweep(s.seen(t))
	require.ErrorContains(t, err, "no old payer is to be swept")

	// Members may change again, and what the new payer has it pays.
	b, err = s.s.BuildMembers(s.reshared(t, s.s.Roster.Members, s.acts(t, 3, quorum.NewMemberChange(s.s.Roster.Members, "fresh shares"))), s.views(t, 0))
	require.NoError(t, err)
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	s.decide(t, s.world.pay(t, s.content(3, "elsewhere")))
}

// end is the decision that would end the old payer now, whoever proposes it.
func (s *swept) end(t tb) batch.Batch {
	t.Helper()
	return batch.Batch{Epoch: s.s.Roster.Epoch, Height: s.s.Height + 1, Previous: s.s.Previous, Kind: batch.Sweep, Views: raws(s.seen(t)), Time: max(s.s.Time, now)}
}

// TestTheOldPayerEndsLast: not while one of its transactions is open, for that may revert and leave its money behind.
func TestTheOldPayerEndsLast(t *testing.T) {
	s := rekeyed(t)
	s.purses = map[uint64]*purse{1337: {nonce: 6, token: coins(5), coin: coins(1)}, 1338: {}}
	for range 2 { // the token's transaction reverts first
		require.ErrorContains(t, s.s.Valid(s.end(t)), "not swept")
		b := s.sweep(t)
		require.Equal(t, token, b.Lane.Token)
		require.ErrorContains(t, s.s.Valid(s.end(t)), "not swept")
		s.mine(t, b, s.s.NextNonce(b.Lane.Nonces()) == 7)
	}
	b := s.sweep(t)
	s.purses[1337].coin = uint256.Int{} // whatever they hold
	require.ErrorContains(t, s.s.Valid(s.end(t)), "not swept")
	s.purses[1337].coin = coins(1)
	s.mine(t, b, false)
	require.NoError(t, s.s.Valid(s.end(t)))
}

// TestCoinsDoNotKeepAnOldPayer: money that comes late is swept too, and who goes on sending it holds nobody up.
func TestCoinsDoNotKeepAnOldPayer(t *testing.T) {
	s := rekeyed(t)
	s.purses = map[uint64]*purse{1337: {nonce: 6, coin: coins(1)}, 1338: {}}
	for range 3 {
		require.ErrorContains(t, s.s.Valid(s.end(t)), "not swept")
		s.mine(t, s.sweep(t), false)
		s.purses[1337].coin = coins(1)
	}
	require.Empty(t, s.sweep(t).Action)
	require.Nil(t, s.s.Old)
}

func TestANewKeyRules(t *testing.T) {
	s := ordered(t)
	fresh := testKey("payer", 1)
	with := func(do func(a *quorum.MembersAction)) quorum.MembersAction { a := s.proofs(t, fresh); do(&a); return a }
	fifth, _ := newcomer(0)
	for name, c := range map[string]struct {
		a    quorum.MembersAction
		want string
	}{
		"the key that pays": {s.proofs(t, s.payer), "has paid before"},
		"other members": {with(func(a *quorum.MembersAction) {
			a.Members = quorum.NewMemberChange(append(slices.Clone(a.Members), fifth), "r").Members
			r, err := quorum.NewRoster(a.Epoch, a.Members)
			require.NoError(t, err)
			a.Transcript.Members, a.Transcript.Threshold = r.IDs(), uint64(r.Q())
			paid := s.payer
			s.payer = fresh
			s.prove(t, a)
			s.payer = paid
		}), "not so many"},
		"the epoch in force": {with(func(a *quorum.MembersAction) {
			a.Epoch, a.Transcript.Epoch = 2, 2
			p := s.payer
			s.payer = fresh
			s.prove(t, a)
			s.payer = p
		}), "does not follow"},
		"a change in it": {with(func(a *quorum.MembersAction) {
			a.Change = s.acts(t, 3, quorum.NewMemberChange(a.Members, "r")).Encode()
		}), "another key than the one that pays"},
	} {
		_, err := s.s.BuildMembers(c.a, s.views(t, 0))
		require.ErrorIs(t, err, batch.ErrInvalid, name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := s.s.BuildMembers(s.proofs(t, fresh), s.views(t, 0))
	require.NoError(t, err)

	// Nobody makes a new key that operators did not order, and a change without a sweep takes an order back.
	s.remove(t, quorum.NewMemberChange(s.s.Roster.Members, "no sweep after all"))
	require.Zero(t, s.s.Ordered)
	_, err = s.s.BuildMembers(s.proofs(t, fresh), s.views(t, 0))
	require.ErrorContains(t, err, "without the operators' proposal")
}

// TestNobodyLosesAKey: while there are two keys, no change of members is valid; it would hand on one of them.
func TestNobodyLosesAKey(t *testing.T) {
	s := rekeyed(t)
	change := s.acts(t, 3, quorum.NewMemberChange(s.s.Roster.Members, "fresh shares"))
	_, err := s.s.BuildMembers(s.reshared(t, s.s.Roster.Members, change), s.views(t, 0))
	require.ErrorContains(t, err, "would lose its key")
	v, err := change.Open(s.network, s.s.Roster)
	require.NoError(t, err)
	_, ok := s.s.ActiveChange([]quorum.VerifiedAction{v}, now)
	require.False(t, ok, "and none is begun")
}

func TestSweepRules(t *testing.T) {
	s := rekeyed(t)
	good, err := s.s.BuildSweep(s.seen(t))
	require.NoError(t, err)
	end := good
	end.Lane, end.Nonce, end.Action, end.GasLimit = quorum.LaneKey{}, 0, nil, 0
	end.Offer, end.Tip, end.FeeCap = uint256.Int{}, uint256.Int{}, uint256.Int{}
	value := moved(t, good).Value
	more, less := value, value
	more.AddUint64(&more, 1)
	less.SubUint64(&less, 1)
	for name, c := range map[string]struct {
		from batch.Batch
		do   func(b *batch.Batch)
		want string
	}{
		"an item":           {good, func(b *batch.Batch) { b.Items = []batch.Item{{}} }, "pays nobody"},
		"a reject":          {good, func(b *batch.Batch) { b.Rejects = []batch.Reject{{}} }, "pays nobody"},
		"more than left":    {good, func(b *batch.Batch) { b.Action = quorum.SweepAction{To: s.s.Payer, Value: more}.Encode() }, "something else than is left"},
		"less than left":    {good, func(b *batch.Batch) { b.Action = quorum.SweepAction{To: s.s.Payer, Value: less}.Encode() }, "something else than is left"},
		"to somebody":       {good, func(b *batch.Batch) { b.Action = quorum.SweepAction{To: common.Address{1}, Value: value}.Encode() }, "or elsewhere"},
		"back to itself":    {good, func(b *batch.Batch) { b.Action = quorum.SweepAction{To: s.old, Value: value}.Encode() }, "or elsewhere"},
		"no action":         {good, func(b *batch.Batch) { b.Action = nil }, "something else than is left"},
		"another nonce":     {good, func(b *batch.Batch) { b.Nonce++ }, "next is 6"},
		"another fee":       {good, func(b *batch.Batch) { b.Offer.AddUint64(&b.Offer, 1) }, "policy's formula"},
		"another cap":       {good, func(b *batch.Batch) { b.FeeCap.AddUint64(&b.FeeCap, 1) }, "policy's formula"},
		"another gas":       {good, func(b *batch.Batch) { b.GasLimit++ }, "policy's formula"},
		"the new payer's":   {good, func(b *batch.Batch) { b.Lane = s.lane("tokens") }, "no such asset"},
		"the coin first":    {good, func(b *batch.Batch) { b.Lane = s.oldLane("native") }, "goes before the coin"},
		"another token":     {good, func(b *batch.Batch) { b.Lane.Token[0] ^= 1 }, "no such asset"},
		"the end, too soon": {end, func(*batch.Batch) {}, "is not swept"},
		"an end that acts":  {end, func(b *batch.Batch) { b.Action = good.Action }, "no such asset"},
	} {
		b := c.from
		c.do(&b)
		require.ErrorContains(t, s.s.Valid(b), c.want, name)
		require.ErrorIs(t, s.s.Valid(b), batch.ErrInvalid, name)
	}
	require.NoError(t, s.s.Valid(good))

	blind := s.seen(t, func(i int, v *quorum.View) {
		if i == 1 {
			v.Lanes = slices.DeleteFunc(v.Lanes, func(l quorum.LaneView) bool { return l.Lane == s.oldLane("tokens") })
		}
	})
	around, err := s.s.BuildSweep(blind)
	require.NoError(t, err)
	require.Equal(t, s.oldLane("elsewhere"), around.Lane, "fewer than q members see the token: it waits, and the coin of its chain with it")

	poor := s.seen(t, func(_ int, v *quorum.View) {
		for i := range v.Lanes {
			v.Lanes[i].Gas = uint256.Int{}
		}
	})
	_, err = s.s.BuildSweep(poor)
	require.ErrorContains(t, err, "top it up", "tokens that nobody can move hold the old payer")
}

// A chain that nobody sees keeps its own money and no other chain's, and the old payer does not end without it.
func TestAChainThatHangsKeepsNoOtherOnesCoin(t *testing.T) {
	s := rekeyed(t)
	hangs := func(_ int, v *quorum.View) {
		v.Lanes = slices.DeleteFunc(v.Lanes, func(l quorum.LaneView) bool { return l.Lane.ChainID == 1337 })
	}
	b, err := s.s.BuildSweep(s.seen(t, hangs))
	require.NoError(t, err)
	require.Equal(t, s.oldLane("elsewhere"), b.Lane)
	_, err = s.s.Apply(s.commit(t, b.Encode()))
	require.NoError(t, err)
	s.mine(t, b, false)
	_, err = s.s.BuildSweep(s.seen(t, hangs))
	require.ErrorContains(t, err, `members show a view of the old payer on "tokens"`)
	require.ErrorContains(t, err, `members show a view of the old payer on "native"`)
	require.NotNil(t, s.s.Old)
	require.Equal(t, s.oldLane("tokens"), s.sweep(t).Lane, "it answers again")
}

// TestStaleViewsSweepNothing: VIEWs from before the last decision could show an old payer that held less.
func TestStaleViewsSweepNothing(t *testing.T) {
	s := rekeyed(t)
	b, err := s.s.BuildSweep(s.seen(t))
	require.NoError(t, err)
	s.s.Time += 10_001
	b.Time = s.s.Time
	require.ErrorContains(t, s.s.Valid(b), "older than the last decision")
	s.s.Time--
	b.Time--
	require.NoError(t, s.s.Valid(b))
}

// TestNobodyIsPaidAtAPayer: neither at the new one nor at the old one, whose money is on its way.
func TestNobodyIsPaidAtAPayer(t *testing.T) {
	s := rekeyed(t)
	for _, to := range []common.Address{s.old, s.s.Payer} {
		c := s.content(5, "elsewhere")
		c.To = to
		_, ok := s.s.Build([]batch.Candidate{s.world.pay(t, c)}, s.views(t, 0))
		require.False(t, ok)
	}
	_, ok := s.s.Build([]batch.Candidate{s.world.pay(t, s.content(5, "elsewhere"))}, s.views(t, 0))
	require.True(t, ok)
}

// TestSweepsEnd: whatever the old payer holds, whatever reverts, and whoever goes on sending it money, it is empty after a bounded number of
// decisions; no transaction asks for more than is there, and nothing is lost on the way.
func TestSweepsEnd(t *testing.T) {
	founding := rekeyed(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := rekeyed(quietly{rt})
		require.Equal(rt, founding.s.Previous, s.s.Previous)
		amount := func(name string) uint256.Int {
			v := coins(rapid.Uint64Range(0, 3).Draw(rt, name))
			return *v.AddUint64(&v, rapid.Uint64Range(0, 1<<54).Draw(rt, name+" more"))
		}
		for _, chain := range []uint64{1337, 1338} {
			s.purses[chain].coin = amount("coin")
		}
		s.purses[1337].token = amount("token")
		var arrived uint256.Int
		for step := range 64 {
			if rapid.IntRange(0, 3).Draw(rt, "gift") == 0 {
				p := s.purses[rapid.SampledFrom([]uint64{1337, 1338}).Draw(rt, "where")]
				p.coin.AddUint64(&p.coin, rapid.Uint64Range(1, 1<<60).Draw(rt, "sent"))
				p.token.AddUint64(&p.token, 1)
			}
			b, err := s.s.BuildSweep(s.seen(quietly{rt}))
			if err != nil {
				require.ErrorContains(rt, err, "top it up")
				p := s.purses[1337]
				p.coin.Add(&p.coin, new(uint256.Int).SetUint64(1e18))
				continue
			}
			_, err = s.s.Apply(s.commit(quietly{rt}, b.Encode()))
			require.NoError(rt, err)
			if s.s.Old == nil {
				return
			}
			require.Less(rt, step, 40, "at most three sweeps of each of three assets, and who tops it up")
			reverts := b.Lane.Token != (common.Address{}) && rapid.Bool().Draw(rt, "reverts")
			s.mine(quietly{rt}, b, reverts)
			if v := moved(quietly{rt}, b).Value; !reverts {
				arrived.Add(&arrived, &v)
			}
		}
		rt.Fatalf("the old payer is not empty; %s arrived", arrived.Dec())
	})
}

type quietly struct{ *rapid.T }
