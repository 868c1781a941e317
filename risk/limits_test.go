package risk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
)

const (
	noon   = 1_800_014_400_000 // unix ms, 12:00 UTC
	minute = 60_000
)

// limited is a right request that settled at noon, five minutes ago.
func limited(t require.TestingT, limits quorum.Limits) *scene {
	c := rightScene(t)
	c.f.Policy.Limits, c.f.Now, c.r.Settled = limits, noon+5*minute, noon
	return c
}

func TestLimits(t *testing.T) {
	other := common.HexToAddress("0x77")
	for name, tc := range map[string]struct {
		limits quorum.Limits
		change func(c *scene)
		kind   Kind
		code   Code
		reason quorum.Reason
	}{
		"account denied":      {quorum.Limits{Deny: []common.Address{owner}}, nil, Refuse, "", quorum.ReasonDenied},
		"destination denied":  {quorum.Limits{Deny: []common.Address{benefit, other}}, nil, Refuse, "", quorum.ReasonDenied},
		"another denied":      {quorum.Limits{Deny: []common.Address{other}}, nil, Approve, "", ""},
		"allowed":             {quorum.Limits{Allow: []common.Address{benefit}}, nil, Approve, "", ""},
		"another allowed":     {quorum.Limits{Allow: []common.Address{other}}, nil, Wait, WaitAllow, ""},
		"cool-down":           {quorum.Limits{CoolDown: 10 * time.Minute}, nil, Wait, WaitCoolDown, ""},
		"cool-down over":      {quorum.Limits{CoolDown: 5 * time.Minute}, nil, Approve, "", ""},
		"paid before":         {quorum.Limits{CoolDown: time.Hour}, func(c *scene) { c.r.PaidBefore = 3 }, Approve, "", ""},
		"not noted":           {quorum.Limits{CoolDown: time.Second}, func(c *scene) { c.r.Settled = 0 }, Wait, WaitCoolDown, ""},
		"the clock went back": {quorum.Limits{CoolDown: time.Second}, func(c *scene) { c.f.Now = noon - 1 }, Wait, WaitCoolDown, ""},
		"large":               {quorum.Limits{LargeAbove: coins(9), LargeDelay: time.Hour}, nil, Wait, WaitLarge, ""},
		"large, paid before":  {quorum.Limits{LargeAbove: coins(9), LargeDelay: time.Hour}, func(c *scene) { c.r.PaidBefore = 3 }, Wait, WaitLarge, ""},
		"large, after delay":  {quorum.Limits{LargeAbove: coins(9), LargeDelay: time.Minute}, nil, Approve, "", ""},
		"not large":           {quorum.Limits{LargeAbove: coins(10), LargeDelay: time.Hour}, nil, Approve, "", ""},
		"within hours":        {quorum.Limits{Hours: []quorum.Hours{{From: 720, To: 726}}}, nil, Approve, "", ""},
		"outside hours":       {quorum.Limits{Hours: []quorum.Hours{{From: 0, To: 725}, {From: 726, To: 800}}}, nil, Wait, WaitHours, ""},
		"objection":           {quorum.Limits{}, func(c *scene) { c.r.Objection = &ledger.Objection{WID: 7, Reason: "odd"} }, Wait, WaitObjection, ""},
		"objection holds back a refusal too": {quorum.Limits{Deny: []common.Address{owner}},
			func(c *scene) { c.r.Objection = &ledger.Objection{WID: 7, Reason: "odd"} }, Wait, WaitObjection, ""},
		"refusal outweighs waits": {quorum.Limits{Deny: []common.Address{owner}, CoolDown: time.Hour}, nil, Refuse, "", quorum.ReasonDenied},
		"accrual not counted":     {quorum.Limits{AccrualWindow: time.Hour, AccrualCeiling: coins(5)}, nil, Wait, WaitAccrual, ""},
		"accrual, freed by operators": {quorum.Limits{AccrualWindow: time.Hour, AccrualCeiling: coins(5)}, func(c *scene) {
			c.r.Accrual = ledger.AccrualState{Generation: 1, Window: 3600, Ceiling: coins(5), Next: 1<<64 - 1}
			c.r.Accrued = coins(6)
		}, Approve, "", ""},
		"accrual froze": {quorum.Limits{AccrualWindow: time.Hour, AccrualCeiling: coins(5)}, func(c *scene) {
			c.s.Freezes = []ledger.Freeze{{Code: ledger.FreezeAccrual, Text: "credits"}}
		}, Wait, WaitFrozen, ""},
		"maximum froze": {quorum.Limits{}, func(c *scene) { c.s.Freezes = []ledger.Freeze{{Code: ledger.FreezeMaximum, Ref: 4}} }, Wait, WaitFrozen, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := limited(t, tc.limits)
			if tc.change != nil {
				tc.change(c)
			}
			v := c.judge(t)
			require.Equal(t, tc.kind.String(), v.Kind.String(), "%+v", v.Explanations)
			require.Equal(t, tc.code, v.Code)
			require.Equal(t, tc.reason, v.Reason)
			why, ok := v.Why()
			require.Equal(t, tc.kind != Approve, ok)
			require.Equal(t, tc.kind != Approve, why.Do != "", "a person is told what to do")
			for _, e := range v.Explanations {
				require.NotEmpty(t, e.Threshold, e.Rule)
				require.NotEmpty(t, e.Observed, e.Rule)
			}
		})
	}
}

func TestOverlayWaitsAndNeverRefuses(t *testing.T) {
	c := limited(t, quorum.Limits{CoolDown: time.Minute})
	c.f.Overlay = quorum.Overlay{Hash: common.HexToHash("0x1"), Limits: quorum.Limits{Deny: []common.Address{owner}, CoolDown: time.Hour}}
	v := c.judge(t)
	require.Equal(t, Wait, v.Kind)
	require.Equal(t, WaitDenied, v.Code)
	local := map[string]bool{}
	for _, e := range v.Explanations {
		if e.Local {
			local[e.Rule] = true
		}
	}
	require.Equal(t, map[string]bool{"deny-list": true, "cool-down": true}, local)
}

func TestExplanationNamesTimes(t *testing.T) {
	v := limited(t, quorum.Limits{CoolDown: 10 * time.Minute}).judge(t)
	why, _ := v.Why()
	require.Equal(t, []uint64{50}, why.Evidence)
	require.Contains(t, why.Observed, "settled here at 2027-01-15T12:00:00Z, due 2027-01-15T12:10:00Z")
	require.True(t, strings.HasPrefix(why.Threshold, "a destination where the account was paid before, or 10m0s"))
}

// drawLimited is any request under any limits and overlay.
func drawLimited(t *rapid.T) *scene {
	c := drawScene(t)
	c.f.Policy.Limits = drawLimits(t, "policy ")
	if rapid.Bool().Draw(t, "overlay") {
		c.f.Overlay = quorum.Overlay{Hash: common.HexToHash("0x1"), Limits: drawLimits(t, "overlay ")}
	}
	c.f.Now = noon + rapid.Uint64Range(0, 20).Draw(t, "now")*minute
	if rapid.Bool().Draw(t, "settled") {
		c.r.Settled = noon
	}
	c.r.PaidBefore = rapid.SampledFrom([]uint64{0, 3}).Draw(t, "paid before")
	if rapid.IntRange(0, 9).Draw(t, "objects") == 9 {
		c.r.Objection = &ledger.Objection{WID: c.w.ID, Reason: "odd", Since: noon}
	}
	l := c.f.Overlay.Over(c.f.Policy).Limits
	if l.AccrualWindow > 0 && rapid.IntRange(0, 9).Draw(t, "counted") > 0 {
		c.r.Accrual = ledger.AccrualState{Generation: 1, Window: 3600, Ceiling: l.AccrualCeiling, From: c.f.Cutover, Next: 1<<64 - 1}
	}
	return c
}

func drawLimits(t *rapid.T, name string) (l quorum.Limits) {
	on := func(what string) bool { return rapid.IntRange(0, 3).Draw(t, name+what) == 3 }
	if on("deny") {
		l.Deny = []common.Address{rapid.SampledFrom([]common.Address{owner, benefit, daoAddress}).Draw(t, name+"denied")}
	}
	if on("allow") {
		l.Allow = []common.Address{rapid.SampledFrom([]common.Address{benefit, daoAddress}).Draw(t, name+"allowed")}
	}
	if on("cool") {
		l.CoolDown = time.Duration(rapid.IntRange(1, 15).Draw(t, name+"cool-down")) * time.Minute
	}
	if on("large") {
		l.LargeAbove, l.LargeDelay = coins(rapid.Uint64Range(1, 15).Draw(t, name+"above")), time.Duration(rapid.IntRange(1, 15).Draw(t, name+"delay"))*time.Minute
	}
	if on("hours") {
		l.Hours = []quorum.Hours{{From: 715, To: rapid.Uint16Range(716, 745).Draw(t, name+"until")}}
	}
	if on("accrual") {
		l.AccrualWindow, l.AccrualCeiling = time.Hour, coins(rapid.Uint64Range(1, 9).Draw(t, name+"ceiling"))
	}
	return l
}

// holdsBack is every limit of one set of rules in the plainest words: refuse is for the policy's own list only.
func holdsBack(c *scene, l quorum.Limits) (denied, waits bool) {
	has := func(list []common.Address, a common.Address) bool { return slices.Contains(list, a) }
	denied = has(l.Deny, c.w.Account) || has(l.Deny, c.w.To)
	age := int64(c.f.Now) - int64(c.r.Settled)
	young := func(d time.Duration) bool { return c.r.Settled == 0 || age < d.Milliseconds() }
	var threshold uint256.Int
	threshold.Set(&l.LargeAbove)
	minuteNow := uint16(c.f.Now / minute % 1440)
	awake := len(l.Hours) == 0
	for _, h := range l.Hours {
		awake = awake || (minuteNow >= h.From && minuteNow < h.To)
	}
	counted := l.AccrualWindow == 0 || c.r.Accrual.Window == 3600
	return denied, (len(l.Allow) > 0 && !has(l.Allow, c.w.To)) ||
		(l.CoolDown > 0 && c.r.PaidBefore == 0 && young(l.CoolDown)) ||
		(l.LargeDelay > 0 && c.w.Amount.Gt(&threshold) && young(l.LargeDelay)) || !awake || !counted
}

func TestLimitsAgreeWithTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawLimited(t)
		v := c.judge(t)
		approve, refuse := reference(c)
		denied, waits := holdsBack(c, c.f.Policy.Limits)
		deniedHere, waitsHere := holdsBack(c, c.f.Overlay.Limits)
		objects := c.r.Objection != nil
		switch v.Kind {
		case Approve:
			require.True(t, approve && !denied && !deniedHere && !waits && !waitsHere && !objects, "%+v", v)
		case Refuse:
			require.True(t, !objects && (refuse || (denied && (approve || v.Reason == quorum.ReasonDenied))), "%+v", v)
		case Wait:
			require.False(t, refuse && !objects, "%+v", v)
			require.True(t, !approve || deniedHere || waits || waitsHere || objects || c.f.Overlay.Limits.LargeDelay > 0, "%+v", v)
		}
	})
}

// TestMoreTimeNeverTurnsAVerdict is A3 for what the rules of risk know: later, noted, paid, counted and no longer objected to
// end a wait; nothing turns a verdict.
func TestMoreTimeNeverTurnsAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawLimited(t)
		before := c.judge(t)
		c.f.Now += rapid.Uint64Range(0, 20).Draw(t, "later") * minute
		if c.r.Settled == 0 && rapid.Bool().Draw(t, "noted") {
			c.r.Settled = c.f.Now
		}
		if rapid.Bool().Draw(t, "paid") {
			c.r.PaidBefore = 3
		}
		if rapid.Bool().Draw(t, "no objection") {
			c.r.Objection = nil
		}
		more := coins(rapid.Uint64Range(0, 50).Draw(t, "more"))
		c.s.Counted.Add(&c.s.Counted, &more)
		c.s.Unbound, c.s.SpentMissing, c.f.Destination.State = 0, 0, Known
		after := c.judge(t)
		require.False(t, before.Kind == Approve && after.Kind == Refuse, "%+v\n%+v", before, after)
		require.False(t, before.Kind == Refuse && after.Kind != Refuse, "%+v\n%+v", before, after)
	})
}

func TestRulesAreThoseThatJudge(t *testing.T) {
	c := limited(t, quorum.Limits{CoolDown: time.Minute})
	c.f.Overlay = quorum.Overlay{Hash: common.HexToHash("0x1"), Limits: quorum.Limits{CoolDown: time.Hour}}
	rules := Rules(c.f.Policy, c.f.Overlay)
	v := c.judge(t)
	require.Len(t, rules, len(v.Explanations))
	for i, e := range v.Explanations {
		require.Equal(t, e.Rule, rules[i].Name)
		require.Equal(t, e.Local, rules[i].Local)
		require.NotEmpty(t, rules[i].Threshold)
	}
	on, effect := map[string]bool{}, map[string]string{}
	for _, r := range rules {
		on[r.Name], effect[r.Name] = r.On, r.Effect
	}
	require.Equal(t, "fuse", effect["event-maximum"], "the example freezes for no kind")
	require.Equal(t, "freeze", effect["accrual"])
	require.Equal(t, "wait", effect["hours"])
	require.True(t, on["cool-down"] && on["signature"] && on["deny-list"])
	require.False(t, on["hours"] || on["accrual"] || on["large-withdrawal"] || on["allow-list"])
}
