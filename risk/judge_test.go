package risk

import (
	"crypto/ecdsa"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
)

// Keys of these tests only.
var (
	ownerKey    = testKey("risk owner")
	strangerKey = testKey("risk stranger")
	owner       = crypto.PubkeyToAddress(ownerKey.PublicKey)
	benefit     = common.HexToAddress("0xbe")
	feeAddress  = common.HexToAddress("0xfe")
	daoAddress  = common.HexToAddress("0xda")
)

func testKey(name string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(name)))
	if err != nil {
		panic(err)
	}
	return key
}

func coins(n uint64) uint256.Int {
	return *new(uint256.Int).Mul(uint256.NewInt(n), uint256.NewInt(1e18))
}

func dec(t require.TestingT, s string) uint256.Int {
	v, ok := quorum.ParseWei(s)
	require.True(t, ok)
	return v
}

func examplePolicy(t require.TestingT) quorum.Policy {
	raw, err := os.ReadFile("../configs/policy.toml")
	require.NoError(t, err)
	p, err := quorum.ParsePolicy(raw)
	require.NoError(t, err)
	return p
}

// books is a view that says what it was told.
type books struct {
	s   ledger.Standing
	r   ledger.RiskFacts
	err error
}

func (b books) RiskFacts(ledger.Withdrawal) (ledger.RiskFacts, error) { return b.r, b.err }

func (b books) Standing(ledger.Withdrawal) (ledger.Standing, error) { return b.s, b.err }

// scene is one request and all that is known about it.
type scene struct {
	key *ecdsa.PrivateKey
	w   ledger.Withdrawal
	s   ledger.Standing
	r   ledger.RiskFacts
	f   Facts
}

// rightScene is a request with which nothing is wrong: 10 coins, fee as the Relay computes it.
func rightScene(t require.TestingT) *scene {
	debit := dec(t, "11100000000000000002")
	return &scene{
		key: ownerKey,
		w: ledger.Withdrawal{ID: 7, Account: owner, To: benefit, Spelling: "0x00000000000000000000000000000000000000bE", Network: "devnet",
			Amount: coins(10), Fee: dec(t, "1100000000000000002"), EventID: 50, Timestamp: 1795206500},
		s: ledger.Standing{Binding: ledger.Bound, Seq: 3, Head: common.HexToHash("0x33"), Counted: coins(100), Debits: debit},
		f: Facts{Policy: examplePolicy(t), LaneKnown: true, Destination: Destination{Known, benefit}, FeeAddress: feeAddress,
			DaoAddress: daoAddress, InForce: true},
	}
}

func (c *scene) judge(t require.TestingT) Verdict {
	sig, err := crypto.Sign(c.w.Message().Bytes(), c.key)
	require.NoError(t, err)
	if c.w.Signature == nil {
		c.w.Signature = sig
	}
	v, err := Judge(books{s: c.s, r: c.r}, c.w, c.f)
	require.NoError(t, err)
	full, err := Explain(books{s: c.s, r: c.r}, c.w, c.f)
	require.NoError(t, err)
	require.Equal(t, v.Explanations, full.Explanations[:len(v.Explanations)])
	require.Len(t, full.Explanations, len(gates())+len(merits()), "every rule appears")
	full.Explanations = v.Explanations
	require.Equal(t, v, full, "explaining changes no verdict")
	return v
}

func TestEachRule(t *testing.T) {
	frozen := func(code ledger.FreezeCode, ref uint64) []ledger.Freeze {
		return []ledger.Freeze{{Code: code, Ref: ref, Text: "frozen for a test"}}
	}
	cases := map[string]struct {
		change func(c *scene)
		kind   Kind
		code   Code
		reason quorum.Reason
	}{
		"nothing is wrong":               {func(*scene) {}, Approve, "", ""},
		"decided":                        {func(c *scene) { c.s.Fate = ledger.SpentItem }, Wait, WaitDecided, ""},
		"halted":                         {func(c *scene) { c.f.Halted = "fuse" }, Wait, WaitHalted, ""},
		"decisions missing":              {func(c *scene) { c.f.InForce = false }, Wait, WaitDecisions, ""},
		"history":                        {func(c *scene) { c.f.Cutover = 50 }, Wait, WaitHistory, ""},
		"history, carried":               {func(c *scene) { c.f.Cutover, c.f.Carried = 50, []uint64{7} }, Approve, "", ""},
		"no lane":                        {func(c *scene) { c.f.LaneKnown = false }, Wait, WaitLane, ""},
		"event not settled":              {func(c *scene) { c.s.Binding = ledger.EventMissing }, Wait, WaitEvent, ""},
		"event of another amount":        {func(c *scene) { c.s.Binding = ledger.EventAmount }, Wait, WaitEvent, ""},
		"event named twice":              {func(c *scene) { c.s.Binding = ledger.EventShared }, Wait, WaitEvent, ""},
		"decided one not booked":         {func(c *scene) { c.s.SpentMissing = 3 }, Wait, WaitSpent, ""},
		"frozen":                         {func(c *scene) { c.s.Freezes = frozen(ledger.FreezeMalformedDebit, 0) }, Wait, WaitFrozen, ""},
		"frozen by another's overdraft":  {func(c *scene) { c.s.Freezes = frozen(ledger.FreezeOverdraft, 8) }, Wait, WaitFrozen, ""},
		"own overdraft, now covered":     {func(c *scene) { c.s.Freezes = frozen(ledger.FreezeOverdraft, 7) }, Approve, "", ""},
		"short":                          {func(c *scene) { c.s.Counted = coins(11) }, Wait, WaitOverdraft, ""},
		"short by one decided beyond":    {func(c *scene) { c.s.Reserved = coins(89) }, Wait, WaitOverdraft, ""},
		"short, pending covers":          {func(c *scene) { c.s.Counted, c.s.Pending = coins(11), coins(1) }, Wait, WaitPending, ""},
		"signed by a stranger":           {func(c *scene) { c.key = strangerKey }, Refuse, "", quorum.ReasonSignature},
		"not signed":                     {func(c *scene) { c.w.Signature = []byte{} }, Refuse, "", quorum.ReasonSignature},
		"message used":                   {func(c *scene) { c.s.MessageOwner = 6 }, Refuse, "", quorum.ReasonMessageUsed},
		"earlier event without request":  {func(c *scene) { c.s.Unbound = 40 }, Wait, WaitRequests, ""},
		"wrong destination":              {func(c *scene) { c.f.Destination.Address = owner }, Refuse, "", quorum.ReasonDestination},
		"destination not final":          {func(c *scene) { c.f.Destination = Destination{State: NotFinal} }, Wait, WaitDestination, ""},
		"destination unavailable":        {func(c *scene) { c.f.Destination = Destination{State: Unavailable} }, Wait, WaitDestination, ""},
		"destination disagreed":          {func(c *scene) { c.f.Destination = Destination{State: Disagreeing} }, Wait, WaitDestination, ""},
		"below the minimum":              {func(c *scene) { c.w.Amount = dec(t, "3999999999999999999") }, Refuse, "", quorum.ReasonMinimum},
		"no tariff":                      {func(c *scene) { c.w.Network = "nonet" }, Wait, WaitLane, ""},
		"fee one wei less":               {func(c *scene) { c.w.Fee = dec(t, "1100000000000000001") }, Wait, WaitFee, ""},
		"fee address pays none":          {func(c *scene) { c.f.FeeAddress, c.w.Fee = owner, uint256.Int{} }, Approve, "", ""},
		"DAO address charged":            {func(c *scene) { c.f.DaoAddress = owner }, Wait, WaitFee, ""},
		"higher tier":                    {func(c *scene) { c.w.Amount, c.w.Fee = coins(1000), dec(t, "6000000000000000104") }, Approve, "", ""},
		"refusal outweighs pending":      {func(c *scene) { c.s.Counted, c.s.Pending, c.key = coins(11), coins(1), strangerKey }, Refuse, "", quorum.ReasonSignature},
		"refusal outweighs destination":  {func(c *scene) { c.f.Destination.State, c.s.MessageOwner = NotFinal, 6 }, Refuse, "", quorum.ReasonMessageUsed},
		"no refusal while not bound":     {func(c *scene) { c.s.Binding, c.key = ledger.EventMissing, strangerKey }, Wait, WaitEvent, ""},
		"no refusal while frozen":        {func(c *scene) { c.s.Freezes, c.key = frozen(ledger.FreezeLateDebit, 0), strangerKey }, Wait, WaitFrozen, ""},
		"no refusal while short":         {func(c *scene) { c.s.Counted, c.key = coins(1), strangerKey }, Wait, WaitOverdraft, ""},
		"no refusal while halted":        {func(c *scene) { c.f.Halted, c.key = "fuse", strangerKey }, Wait, WaitHalted, ""},
		"first reason of several counts": {func(c *scene) { c.s.MessageOwner, c.key = 6, strangerKey }, Refuse, "", quorum.ReasonSignature},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := rightScene(t)
			tc.change(c)
			v := c.judge(t)
			require.Equal(t, tc.kind.String(), v.Kind.String(), "%+v", v.Explanations)
			require.Equal(t, tc.code, v.Code)
			require.Equal(t, tc.reason, v.Reason)
			why, ok := v.Why()
			require.Equal(t, tc.kind != Approve, ok)
			require.Equal(t, tc.kind != Approve, why.Do != "", "a person is told what to do")
			require.Equal(t, c.w.Content(common.Address{}), v.Content)
			require.Equal(t, uint64(3), v.Seq)
		})
	}
}

func TestTariffIsTheRelaysToTheWei(t *testing.T) {
	p := examplePolicy(t)
	for amount, fee := range map[string]string{
		"10000000000000000000": "1100000000000000002", "5000000000000000000": "1050000000000000001", "4000000000000000000": "1040000000000000000",
	} {
		got, ok := p.Tariffs["devnet"].Fee(dec(t, amount))
		require.True(t, ok)
		require.Equal(t, fee, got.Dec())
	}
}

func TestOverdraftFreezesOnceAndThaws(t *testing.T) {
	c := rightScene(t)
	c.s.Counted = coins(1)
	v := c.judge(t)
	require.NotNil(t, v.Freeze)
	require.Nil(t, v.Thaw)
	require.Equal(t, []uint64{50}, v.Freeze.Evidence)
	require.Len(t, v.Alerts, 1)
	require.Equal(t, AlertOverdraft, v.Alerts[0].Code)

	c.s.Freezes = []ledger.Freeze{*v.Freeze}
	again := c.judge(t)
	require.Nil(t, again.Freeze, "it stands already")
	require.Nil(t, again.Thaw)

	c.s.Counted = coins(100)
	covered := c.judge(t)
	require.Equal(t, Approve, covered.Kind)
	require.Equal(t, v.Freeze.Ref, covered.Thaw.Ref)
	require.Equal(t, ledger.FreezeOverdraft, covered.Thaw.Code)
}

func TestAlertsAreForWhatPeopleMustSee(t *testing.T) {
	c := rightScene(t)
	c.s.Binding = ledger.EventMissing
	require.Empty(t, c.judge(t).Alerts, "the list runs ahead of the log")
	c.s.Binding = ledger.EventAccount
	require.Equal(t, AlertBinding, c.judge(t).Alerts[0].Code)
	c.s.Binding, c.w.Fee = ledger.Bound, uint256.Int{}
	require.Equal(t, AlertFee, c.judge(t).Alerts[0].Code)
}

func TestBooksErrorIsNoVerdict(t *testing.T) {
	broken := errors.New("broken")
	v, err := Judge(books{err: broken}, ledger.Withdrawal{}, Facts{})
	require.ErrorIs(t, err, broken)
	require.Equal(t, Wait, v.Kind)
}

// reference is the verdict in the plainest words: what must be so for a refusal and for an approval.
func reference(c *scene) (approve, refuse bool) {
	covered := func(credit uint256.Int) bool {
		var debits uint256.Int
		debits.Add(&c.s.Debits, &c.s.Reserved)
		return !credit.Lt(&debits)
	}
	var prospect uint256.Int
	prospect.Add(&c.s.Counted, &c.s.Pending)
	frozen := slices.ContainsFunc(c.s.Freezes, func(f ledger.Freeze) bool { return f.Code != ledger.FreezeOverdraft || f.Ref != c.w.ID })
	speaks := c.s.Binding == ledger.Bound && c.s.Fate == 0 && c.f.Halted == "" && c.f.InForce && c.w.EventID > c.f.Cutover &&
		c.f.LaneKnown && c.s.SpentMissing == 0 && !frozen && covered(prospect)
	signer, err := quorum.RecoverAny(c.w.Message(), c.w.Signature)
	tariff, known := c.f.Policy.Tariffs[c.w.Network]
	small := known && c.w.Amount.Lt(&tariff.Minimum)
	wrong := err != nil || signer != c.w.Account || c.s.MessageOwner != 0 || small ||
		(c.f.Destination.State == Known && c.f.Destination.Address != c.w.To)
	fee, _ := tariff.Fee(c.w.Amount)
	right := known && fee == c.w.Fee && c.f.Destination.State == Known && c.s.Unbound == 0 && covered(c.s.Counted)
	return speaks && !wrong && right, speaks && wrong
}

func drawScene(t *rapid.T) *scene {
	c := rightScene(t)
	maybe := func(name string) bool { return rapid.IntRange(0, 9).Draw(t, name) == 9 }
	if maybe("stranger") {
		c.key = strangerKey
	}
	if maybe("amount") {
		c.w.Amount = coins(rapid.Uint64Range(0, 20).Draw(t, "coins"))
	}
	if maybe("network") {
		c.w.Network = "nonet"
	}
	c.s.Counted = coins(rapid.Uint64Range(0, 30).Draw(t, "counted"))
	c.s.Pending = coins(rapid.Uint64Range(0, 10).Draw(t, "pending"))
	if maybe("beyond") {
		c.s.Reserved = coins(rapid.Uint64Range(0, 10).Draw(t, "reserved"))
	}
	c.s.Binding = rapid.SampledFrom([]ledger.Binding{ledger.Bound, ledger.Bound, ledger.Bound, ledger.EventMissing, ledger.EventShared}).Draw(t, "binding")
	if maybe("frozen") {
		c.s.Freezes = []ledger.Freeze{{Code: rapid.SampledFrom([]ledger.FreezeCode{ledger.FreezeOverdraft, ledger.FreezeHead}).Draw(t, "code"), Ref: rapid.Uint64Range(7, 8).Draw(t, "ref")}}
	}
	for _, p := range []*uint64{&c.s.MessageOwner, &c.s.Unbound, &c.s.SpentMissing} {
		if maybe("in the way") {
			*p = 1
		}
	}
	if maybe("fate") {
		c.s.Fate = ledger.SpentReject
	}
	c.f.LaneKnown, c.f.InForce = !maybe("no lane"), !maybe("not in force")
	if maybe("halted") {
		c.f.Halted = "x"
	}
	if maybe("history") {
		c.f.Cutover = 60
	}
	c.f.Destination.State = DestinationState(rapid.SampledFrom([]int{0, 1, 2, 3, 3, 3, 3, 3}).Draw(t, "destination"))
	if maybe("elsewhere") {
		c.f.Destination.Address = owner
	}
	return c
}

func TestJudgeAgreesWithTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawScene(t)
		v := c.judge(t)
		approve, refuse := reference(c)
		require.Equal(t, approve, v.Kind == Approve, "%+v", v)
		require.Equal(t, refuse, v.Kind == Refuse, "%+v", v)
		require.Equal(t, v.Kind == Wait, v.Code != "")
		require.Equal(t, v.Kind == Refuse, v.Reason != "")
	})
}

// TestMoreKnowledgeNeverTurnsAVerdict is A3: credits, proofs, requests and final blocks turn Wait into a verdict, never
// one verdict into the other.
func TestMoreKnowledgeNeverTurnsAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawScene(t)
		before := c.judge(t)
		more := coins(rapid.Uint64Range(0, 50).Draw(t, "more"))
		c.s.Counted.Add(&c.s.Counted, &more)
		if rapid.Bool().Draw(t, "proven") {
			c.s.Counted.Add(&c.s.Counted, &c.s.Pending)
			c.s.Pending.Clear()
		}
		c.s.Unbound, c.s.SpentMissing = 0, 0
		if c.s.Binding == ledger.EventMissing {
			c.s.Binding = ledger.Bound
		}
		if c.f.Destination.State != Known {
			c.f.Destination.State = Known
		}
		after := c.judge(t)
		switch before.Kind {
		case Approve:
			require.Equal(t, Approve, after.Kind)
		case Refuse:
			require.Equal(t, Refuse, after.Kind)
		}
	})
}
