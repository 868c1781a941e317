package batch_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// acts is an action for the state as it stands, signed by the operators of the first n members of the roster.
func (w *world) acts(t tb, n int, body quorum.ActionBody, change ...func(*quorum.Action)) quorum.SignedAction {
	t.Helper()
	return w.actsAt(t, n, now+3_600_000, body, change...)
}

func (w *world) actsAt(t tb, n int, at uint64, body quorum.ActionBody, change ...func(*quorum.Action)) quorum.SignedAction {
	t.Helper()
	a, err := quorum.NewAction(w.s.Roster.Epoch, w.s.Policy.Version, w.s.Serial+1, body)
	require.NoError(t, err)
	for _, c := range change {
		c(&a)
	}
	type signed struct {
		by common.Address
		e  quorum.Endorsed
	}
	var all []signed
	for i := range n {
		key := testKey("operator", i)
		e, err := quorum.SignAction(key, w.network, a, at)
		require.NoError(t, err)
		all = append(all, signed{crypto.PubkeyToAddress(key.PublicKey), e})
	}
	slices.SortFunc(all, func(x, y signed) int { return bytes.Compare(x.by[:], y.by[:]) })
	out := quorum.SignedAction{Action: a}
	for _, s := range all {
		out.Signatures = append(out.Signatures, s.e)
	}
	return out
}

// action is a batch that carries an action as it is.
func (w *world) actionBatch(t tb, s quorum.SignedAction) batch.Batch {
	t.Helper()
	views := w.views(t, 0)[:w.q()]
	b := batch.Batch{Epoch: w.s.Roster.Epoch, Height: w.s.Height + 1, Previous: w.s.Previous, Kind: batch.Kind(s.Action.Kind),
		Action: s.Encode(), Time: max(w.s.Time, now)}
	for _, v := range views {
		b.Views = append(b.Views, v.Bytes())
	}
	return b
}

// decree decides an action.
func (w *world) decree(t tb, body quorum.ActionBody) batch.Effects {
	t.Helper()
	v, err := w.acts(t, w.q(), body).Open(w.network, w.s.Roster)
	require.NoError(t, err)
	b, err := w.s.BuildAction(v, w.views(t, 0))
	require.NoError(t, err)
	fx, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	w.policy = w.s.Policy.Ref()
	return fx
}

// policyFile is the test policy with another version.
func policyFile(version string) []byte {
	return []byte(strings.Replace(testPolicy, "version = 1", "version = "+version, 1))
}

func (w *world) halts(t tb, members ...int) []quorum.Signed[quorum.Halt] {
	t.Helper()
	var out []quorum.Signed[quorum.Halt]
	for _, i := range members {
		out = append(out, sign(t, w, i, quorum.Halt{Epoch: 1, Counter: 5, Code: "operator", Reason: "r", Time: now + uint64(i)}))
	}
	return out
}

func word(w *world, pay bool, c quorum.Content, spent ...uint64) quorum.Resolve {
	return quorum.Resolve{File: policyFile("2"), Reason: "r", Contents: []quorum.Fate{{Content: c, Pay: pay, Spent: spent}}}
}

func TestGoldenActions(t *testing.T) {
	w := founded(t, 4)
	for name, body := range map[string]quorum.ActionBody{
		"resume": quorum.NewResume(w.network, w.halts(t, 0, 1), "r"), "policy": quorum.PolicyChange{File: policyFile("2")},
		"resolve": word(w, true, w.content(1, "native")),
	} {
		b := w.actionBatch(t, w.acts(t, 3, body))
		require.NoError(t, w.s.Valid(b), name)
		id := b.ID(w.network)
		golden.Fields(t, "testdata/golden/"+name+".txt", golden.Field{Name: "batch", Bytes: b.Encode()}, golden.Field{Name: "id", Bytes: id[:]})
	}
}

func TestActionsThatCannotBeDecided(t *testing.T) {
	w := founded(t, 4)
	policy := quorum.PolicyChange{File: policyFile("2")}
	other := founded(t, 7) // another network
	for name, s := range map[string]quorum.SignedAction{
		"too few operators":      w.acts(t, 2, policy),
		"more than exactly q":    w.acts(t, 4, policy),
		"another epoch":          w.acts(t, 3, policy, func(a *quorum.Action) { a.Epoch++ }),
		"another policy version": w.acts(t, 3, policy, func(a *quorum.Action) { a.Policy++ }),
		"a serial gone by":       w.acts(t, 3, policy, func(a *quorum.Action) { a.Serial = 0 }),
		"a serial far ahead":     w.acts(t, 3, policy, func(a *quorum.Action) { a.Serial += quorum.MaxSerialStep }),
		"another network":        other.acts(t, 3, policy),
		"the version in force":   w.acts(t, 3, quorum.PolicyChange{File: policyFile("1")}),
		"a lane without tariff":  w.acts(t, 3, quorum.PolicyChange{File: []byte(strings.Replace(string(policyFile("2")), `"elsewhere"`, `"nowhere"`, 1))}),
		"a stranger's halt": w.acts(t, 3, quorum.NewResume(w.network, []quorum.Signed[quorum.Halt]{
			func() quorum.Signed[quorum.Halt] {
				s, err := quorum.Sign(testKey("stranger", 0), w.network, quorum.Halt{Code: "x", Time: 1})
				require.NoError(t, err)
				return s
			}()}, "r")),
	} {
		require.ErrorIs(t, w.s.Valid(w.actionBatch(t, s)), batch.ErrInvalid, name)
	}
	ordered := quorum.NewResume(w.network, w.halts(t, 0, 1), "r")
	for name, halts := range map[string][][]byte{
		"out of order": {ordered.Halts[1], ordered.Halts[0]}, "one twice": {ordered.Halts[0], ordered.Halts[0]}, "no halt": {{1}},
	} {
		a, err := quorum.NewAction(1, 1, 1, quorum.Resume{Halts: halts, Reason: "r"})
		require.NoError(t, err)
		_, err = a.Digest(w.network, now)
		require.ErrorIs(t, err, quorum.ErrAction, "nobody can even sign it: %s", name)
	}
	good := w.actionBatch(t, w.acts(t, 3, policy))
	require.NoError(t, w.s.Valid(good))
	for name, change := range map[string]func(*batch.Batch){
		"another kind":   func(b *batch.Batch) { b.Kind = batch.Resume },
		"with an item":   func(b *batch.Batch) { b.Items = []batch.Item{{Content: w.content(1, "native")}} },
		"with a nonce":   func(b *batch.Batch) { b.Nonce = 5 },
		"without action": func(b *batch.Batch) { b.Action = nil },
		"more bytes":     func(b *batch.Batch) { b.Action = append(slices.Clone(b.Action), 0) },
	} {
		b := good
		change(&b)
		require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid, name)
	}
	fresh := newWorld(t, 4)
	require.ErrorIs(t, fresh.s.Valid(fresh.actionBatch(t, fresh.acts(t, 3, policy))), batch.ErrInvalid, "before the committee has a key")
}

func TestResumeWaitsForTheDelay(t *testing.T) {
	w := founded(t, 4)
	body := quorum.NewResume(w.network, w.halts(t, 0, 1, 2), "r")
	delay := uint64(w.s.Policy.ResumeDelay.Milliseconds())
	require.Equal(t, uint64(600_000), delay, "a policy that names none has ten minutes")
	ripe := now + 1 + delay // the lower median of three halts
	require.ErrorIs(t, w.s.Valid(w.actionBatch(t, w.actsAt(t, 3, ripe-1, body))), batch.ErrInvalid)
	require.NoError(t, w.s.Valid(w.actionBatch(t, w.actsAt(t, 3, ripe, body))))

	v, err := w.actsAt(t, 4, ripe-1, body).Open(w.network, w.s.Roster)
	require.NoError(t, err)
	require.NoError(t, w.s.CheckAction(v), "it may be signed again, later")
	require.Equal(t, ripe, w.s.RipeAt(v))
	_, err = w.s.BuildAction(v, w.views(t, 0))
	require.ErrorIs(t, err, batch.ErrInvalid)

	fx := w.decree(t, body)
	require.Len(t, fx.Acted.Halts, 3)
	require.Nil(t, fx.Acted.File)
	require.Equal(t, uint64(1), w.s.Serial)
}

// A halt whose time is nowhere near cannot be used to make an early signature late.
func TestResumeOfAHaltFromTheEndOfTime(t *testing.T) {
	w := founded(t, 4)
	h := sign(t, w, 0, quorum.Halt{Epoch: 1, Counter: 5, Code: "x", Time: math.MaxUint64 - 5})
	b := w.actionBatch(t, w.acts(t, 3, quorum.NewResume(w.network, []quorum.Signed[quorum.Halt]{h}, "r")))
	require.ErrorIs(t, w.s.Valid(b), batch.ErrInvalid)
}

func TestAPolicyVoidsCertificates(t *testing.T) {
	w := founded(t, 4)
	old := w.pay(t, w.content(1, "native"))
	certified := w.build(t, w.views(t, 0), old)
	fx := w.decree(t, quorum.PolicyChange{File: policyFile("2")})
	require.Equal(t, policyFile("2"), fx.Acted.File)
	require.Equal(t, uint64(2), w.s.Policy.Version)
	_, ok := w.s.Build([]batch.Candidate{old}, w.views(t, 0))
	require.False(t, ok, "nothing of the old policy is carried")
	certified.Height, certified.Previous = w.s.Height+1, w.s.Previous
	require.ErrorIs(t, w.s.Valid(certified), batch.ErrInvalid)
	w.decide(t, w.pay(t, w.content(1, "native"))) // signed anew
	require.True(t, w.s.Decided(1))
}

// Whatever is shown again, at whatever serial: one decision each.
func TestAnActionIsDecidedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := founded(rapidly{t}, 4)
		var past []quorum.SignedAction
		last := uint64(0)
		for range rapid.IntRange(1, 4).Draw(t, "actions") {
			step := rapid.Uint64Range(1, 3).Draw(t, "step")
			s := w.acts(rapidly{t}, 3, quorum.PolicyChange{File: policyFile(uint256.NewInt(w.s.Policy.Version + 1).Dec())},
				func(a *quorum.Action) { a.Serial = w.s.Serial + step })
			_, err := w.s.Apply(w.commit(rapidly{t}, w.actionBatch(rapidly{t}, s).Encode()))
			require.NoError(t, err)
			require.Greater(t, w.s.Serial, last)
			last, past = w.s.Serial, append(past, s)
			for _, p := range past {
				require.ErrorIs(t, w.s.Valid(w.actionBatch(rapidly{t}, p)), batch.ErrInvalid)
				p.Action.Serial = w.s.Serial + 1
				require.ErrorIs(t, w.s.Valid(w.actionBatch(rapidly{t}, p)), batch.ErrInvalid, "another serial")
				p.Action.Policy = w.s.Policy.Version
				require.ErrorIs(t, w.s.Valid(w.actionBatch(rapidly{t}, p)), batch.ErrInvalid, "another policy")
			}
		}
	})
}

type rapidly struct{ *rapid.T }

func TestTheOperatorsWordPaysAndRejects(t *testing.T) {
	for _, pay := range []bool{true, false} {
		w := founded(t, 4)
		c := w.content(1, "native")
		w.decree(t, word(w, pay, c))
		require.Equal(t, []uint64{1}, w.s.Resolved())
		// Certificates of the contrary count for nothing.
		contrary := w.pay(t, c)
		if pay {
			contrary = w.refuse(t, c)
		}
		b := w.build(t, w.views(t, 0), contrary)
		require.Equal(t, pay, len(b.Items) == 1)
		require.Equal(t, !pay, len(b.Rejects) == 1)
		_, err := w.s.Apply(w.commit(t, b.Encode()))
		require.NoError(t, err)
		require.Empty(t, w.s.Resolved())
		_, ok := w.s.Build(nil, w.views(t, 0))
		require.False(t, ok, "once")
	}
}

func TestTheOperatorsWordOutranksCertificates(t *testing.T) {
	w := founded(t, 4)
	c := w.content(1, "native")
	w.decree(t, word(w, true, c))
	b := w.build(t, w.views(t, 0))
	bad := func(name string, change func(*batch.Batch)) {
		v := b
		v.Items = slices.Clone(b.Items)
		change(&v)
		require.ErrorIs(t, w.s.Valid(v), batch.ErrInvalid, name)
	}
	bad("a certificate all the same", func(b *batch.Batch) { b.Items[0].Cert = w.pay(t, c).Pay.Unchecked() })
	bad("another content", func(b *batch.Batch) { b.Items[0].Content.To = common.Address{0x66} })
	bad("another withdrawal", func(b *batch.Batch) { b.Items[0].Content.WID = 2 })
	bad("a reject", func(b *batch.Batch) {
		*b = batch.Batch{Epoch: b.Epoch, Height: b.Height, Previous: b.Previous, Kind: b.Kind, Views: b.Views, Time: b.Time,
			Rejects: []batch.Reject{{Content: c}}}
	})
	// A word on one withdrawal is none on another: no certificate, no payment.
	other := w.content(2, "native")
	bad("no word and no certificate", func(b *batch.Batch) { b.Items[0].Content = other })
}

func TestTheWordIsVoidOnceAnotherIsSpent(t *testing.T) {
	w := founded(t, 4)
	c, other := w.content(1, "native"), w.content(2, "native")
	other.Account = c.Account
	w.decree(t, word(w, true, c))
	w.decide(t, w.pay(t, other)) // the word goes first, by its age
	require.True(t, w.s.Decided(1))

	w = founded(t, 4)
	w.decree(t, word(w, true, c))
	b := w.build(t, w.views(t, 0), w.refuse(t, other))
	b = batch.Batch{Epoch: b.Epoch, Height: b.Height, Previous: b.Previous, Kind: b.Kind, Views: b.Views, Time: b.Time,
		Rejects: []batch.Reject{{Content: other, Cert: w.refuse(t, other).Refuse.Unchecked()}}}
	_, err := w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	require.Empty(t, w.s.Resolved(), "void: another withdrawal of the account was decided")
	_, ok := w.s.Build(nil, w.views(t, 0))
	require.False(t, ok)
	w.decide(t, w.pay(t, c)) // a certificate counts again
	require.True(t, w.s.Decided(1))
}

func TestTheLatestWordHolds(t *testing.T) {
	w := founded(t, 4)
	c := w.content(1, "native")
	w.decree(t, word(w, true, c))
	later := word(w, false, c)
	later.File = policyFile("3")
	w.decree(t, later)
	require.Len(t, w.build(t, w.views(t, 0)).Rejects, 1)
}

func TestWordsOfOneListFollowEachOther(t *testing.T) {
	w := founded(t, 4)
	a, b := w.content(1, "native"), w.content(2, "native")
	b.Account = a.Account
	r := word(w, true, a)
	r.Contents = append(r.Contents, quorum.Fate{Content: b, Pay: true, Spent: []uint64{1}})
	w.decree(t, r)
	require.Equal(t, []uint64{1}, w.s.Resolved())
	w.decide(t)
	require.Equal(t, []uint64{2}, w.s.Resolved())
	w.decide(t)
	require.True(t, w.s.Decided(2))
}

func TestResolvesThatCannotBeDecided(t *testing.T) {
	w := founded(t, 4)
	spent, open := w.content(1, "native"), w.content(2, "native")
	open.Account = spent.Account
	w.decide(t, w.pay(t, spent))
	total := new(uint256.Int).Add(&spent.Amount, &spent.Fee).Dec()
	account := func(debits ...quorum.Debit) quorum.Resolve {
		return quorum.Resolve{File: policyFile("2"), Reason: "r", Accounts: []quorum.Rewrite{{Account: spent.Account, UpTo: 20_000, Debits: debits}}}
	}
	held := quorum.Debit{ID: spent.EventID, Kind: 6, Amount: total}
	about := func(c quorum.Content, debits ...quorum.Debit) quorum.Resolve {
		r := word(w, true, c, 1)
		r.Accounts = account(debits...).Accounts
		return r
	}
	reserved := quorum.Debit{ID: open.EventID, Kind: 6, Amount: new(uint256.Int).Add(&open.Amount, &open.Fee).Dec()}
	unpayable := open
	unpayable.To = common.Address{}
	used := open
	used.Message = spent.Message
	for name, r := range map[string]quorum.Resolve{
		"what was spent is not known":    word(w, true, open),
		"more is spent than was":         word(w, true, open, 1, 9),
		"a decided withdrawal":           word(w, true, spent, 1),
		"no lane":                        word(w, true, func() quorum.Content { c := open; c.Network = "nowhere"; return c }(), 1),
		"to nobody":                      word(w, true, unpayable, 1),
		"a message that was paid":        word(w, true, used, 1),
		"the policy does not advance":    func() quorum.Resolve { r := word(w, true, open, 1); r.File = policyFile("1"); return r }(),
		"a spent debit is missing":       account(),
		"a spent debit is less":          account(quorum.Debit{ID: spent.EventID, Kind: 6, Amount: "1"}),
		"a spent debit is of a task":     account(quorum.Debit{ID: spent.EventID, Kind: 4, Amount: total}),
		"a spent debit stands elsewhere": account(quorum.Debit{ID: spent.EventID + 1, Kind: 6, Amount: total}),
		"paid without its debit":         about(open, held),
		"paid against a smaller debit":   about(open, held, quorum.Debit{ID: open.EventID, Kind: 6, Amount: "1"}),
	} {
		require.ErrorIs(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, r))), batch.ErrInvalid, name)
	}
	for name, r := range map[string]quorum.Resolve{
		"right content": word(w, true, open, 1), "right debits": account(held), "right content and debits": about(open, held, reserved), "a rejected message may be a paid one": word(w, false, used, 1),
	} {
		require.NoError(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, r))), name)
	}

	// The word of a list before this one counts as long as it stands.
	w.decree(t, word(w, true, open, 1))
	later := account(held)
	later.File = policyFile("3")
	require.ErrorIs(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, later))), batch.ErrInvalid)
	later.Accounts[0].Debits = []quorum.Debit{held, reserved}
	require.NoError(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, later))))
}

// What another wallet answered for before the cut-over is paid or rejected by nobody's word and no certificate; what the
// document carries is.
func TestHistoryIsNotPaidAgain(t *testing.T) {
	past, carried := founded(t, 4).content(1, "native"), founded(t, 4).content(2, "native")
	w := foundedWith(t, 4, quorum.Cutover{Event: max(past.EventID, carried.EventID), Root: common.Hash{1}, Carried: []uint64{2}})
	for _, pay := range []bool{true, false} {
		require.ErrorIs(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, word(w, pay, past)))), batch.ErrInvalid)
		require.NoError(t, w.s.Valid(w.actionBatch(t, w.acts(t, 3, word(w, pay, carried)))))
	}
	for _, c := range []batch.Candidate{w.pay(t, past), w.refuse(t, past)} {
		_, ok := w.s.Build([]batch.Candidate{c}, w.views(t, 0))
		require.False(t, ok)
	}
	w.decide(t, w.pay(t, carried))
	require.True(t, w.s.Decided(2))
}

// Signatures that lay about for more than a week end nothing, whoever adds the last one; nor do those that would never age.
func TestSignaturesAge(t *testing.T) {
	const week, day = 7 * 24 * 3_600_000, 24 * 3_600_000
	w := founded(t, 4)
	policy := quorum.PolicyChange{File: policyFile("2")}
	for at, good := range map[uint64]bool{now - week: true, now - week - 1: false, now + day: true, now + day + 1: false, 0: false, math.MaxUint64: false} {
		s := w.acts(t, 3, policy)
		stale := w.actsAt(t, 3, at, policy)
		s.Signatures[1] = stale.Signatures[1]
		err := w.s.Valid(w.actionBatch(t, s))
		if good {
			require.NoError(t, err, at)
			continue
		}
		require.ErrorIs(t, err, batch.ErrInvalid, at)
		v, err := s.Open(w.network, w.s.Roster)
		require.NoError(t, err)
		require.NoError(t, w.s.CheckAction(v), "whoever signs again makes it whole")
		_, err = w.s.BuildAction(v, w.views(t, 0))
		require.ErrorIs(t, err, batch.ErrInvalid)

		// One signature that does not count keeps no others from counting.
		all := w.acts(t, 4, policy)
		all.Signatures[1] = w.actsAt(t, 4, at, policy).Signatures[1]
		v, err = all.Open(w.network, w.s.Roster)
		require.NoError(t, err)
		_, err = w.s.BuildAction(v, w.views(t, 0))
		require.NoError(t, err)
	}
}

// Whatever operators sign and however decisions arrive, twice or too early: each applies once, nodes that hold the same
// decisions hold the same state, and no withdrawal has two fates.
func TestActionsApplyOnceInAnyInterleaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rapidly{t}
		one, two := founded(r, 4), founded(r, 4)
		var log []quorum.Committed
		fates := map[uint64]int{}
		for range rapid.IntRange(1, 8).Draw(t, "decisions") {
			b, ok := one.anyBatch(r)
			if !ok || one.s.Valid(b) != nil {
				continue
			}
			c := one.commit(r, b.Encode())
			_, err := one.s.Apply(c)
			require.NoError(t, err)
			one.policy = one.s.Policy.Ref()
			log = append(log, c)
			for _, it := range b.Items {
				fates[it.Content.WID]++
			}
			for _, it := range b.Rejects {
				fates[it.Content.WID]++
			}
		}
		for wid, n := range fates {
			require.Equal(t, 1, n, wid)
		}
		for done := 0; done < len(log); {
			at := rapid.IntRange(0, len(log)-1).Draw(t, "arrives")
			if rapid.Bool().Draw(t, "in turn") {
				at = done
			}
			before := two.sum()
			_, err := two.s.Apply(log[at])
			if at == done {
				require.NoError(t, err)
				done++
				continue
			}
			require.Error(t, err)
			require.Equal(t, before, two.sum(), "what is refused changes nothing")
		}
		require.Equal(t, one.sum(), two.sum())
	})
}

// anyBatch is a payment, a reject or one of the operators' decisions about a few withdrawals of one account.
func (w *world) anyBatch(r rapidly) (batch.Batch, bool) {
	c := w.content(rapid.Uint64Range(1, 3).Draw(r.T, "wid"), "native")
	c.Account = common.Address{0xac}
	var body quorum.ActionBody
	file := policyFile(uint256.NewInt(w.s.Policy.Version + 1).Dec())
	switch rapid.IntRange(0, 5).Draw(r.T, "kind") {
	case 0:
		return w.s.Build([]batch.Candidate{w.pay(r, c)}, w.views(r, 0))
	case 1:
		return w.s.Build([]batch.Candidate{w.refuse(r, c)}, w.views(r, 0))
	case 2:
		return w.s.Build(nil, w.views(r, 0))
	case 3:
		body = quorum.PolicyChange{File: file}
	case 4:
		body = quorum.NewResume(w.network, w.halts(r, 0, 1), "r")
	case 5:
		var spent []uint64
		for wid := uint64(1); wid <= 3; wid++ {
			if w.s.Decided(wid) {
				spent = append(spent, wid)
			}
		}
		body = quorum.Resolve{File: file, Reason: "r", Contents: []quorum.Fate{{Content: c, Pay: rapid.Bool().Draw(r.T, "pay"), Spent: spent}}}
	}
	step := rapid.Uint64Range(0, 2).Draw(r.T, "serial")
	return w.actionBatch(r, w.acts(r, 3, body, func(a *quorum.Action) { a.Serial = w.s.Serial + step })), true
}

// sum is what a state shows of itself.
func (w *world) sum() string {
	s := fmt.Sprint(w.s.Height, w.s.Previous, w.s.Time, w.s.Serial, w.s.Policy.Ref(), w.s.Resolved())
	for _, k := range w.s.LaneKeys() {
		s += fmt.Sprint(" ", w.s.NextNonce(k.Nonces()))
	}
	for wid := uint64(1); wid <= 3; wid++ {
		f, ok := w.s.Fate(wid)
		s += fmt.Sprint(" ", w.s.Decided(wid), ok, f)
	}
	return s
}

// What a halt covers is not proposed, also when the operators resolved it.
func TestBuildLeavesOutWhatIsStopped(t *testing.T) {
	w := founded(t, 4)
	w.decree(t, word(w, true, w.content(1, "native")))
	second := w.pay(t, w.content(2, "tokens"))
	b, ok := w.s.Build([]batch.Candidate{second}, w.views(t, 0), func(c quorum.Content) bool { return c.Network == "native" })
	require.True(t, ok)
	require.Equal(t, uint64(2), b.Items[0].Content.WID)
	_, ok = w.s.Build([]batch.Candidate{second}, w.views(t, 0), func(quorum.Content) bool { return true })
	require.False(t, ok)
}
