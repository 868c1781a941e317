package quorum

import (
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOverlayIsRead(t *testing.T) {
	o, err := ParseOverlay([]byte(`
[max_per_event]
0 = "7"
[limits]
accrual_window = "1h"
accrual_ceiling = "5"
deny = ["0x0000000000000000000000000000000000000001"]
cool_down = "1h"
large_above = "9"
large_delay = "2h"
hours = ["08:00-20:00"]
`))
	require.NoError(t, err)
	require.False(t, o.Empty())
	require.Equal(t, *uint256.NewInt(7), o.MaxPerEvent[0])
	require.Equal(t, Limits{AccrualWindow: time.Hour, AccrualCeiling: *uint256.NewInt(5), Deny: []common.Address{common.HexToAddress("0x1")},
		CoolDown: time.Hour, LargeAbove: *uint256.NewInt(9), LargeDelay: 2 * time.Hour, Hours: []Hours{{480, 1200}}}, o.Limits)
	require.True(t, Overlay{}.Empty())
}

func TestOverlayTakesNothingElse(t *testing.T) {
	for text, want := range map[string]string{
		"version = 2":                          "line 1: unknown key version",
		"[limits]\nfreeze_above_max = [0]":     "unknown key limits.freeze_above_max",
		"[watch]\nlogs_max = 1":                "unknown key watch",
		"[limits]\ncool_down = \"-1h\"":        "limits.cool_down",
		"[limits]\nlarge_above = \"5\"":        "go together",
		"[limits]\nhours = [\"8-9\"]":          "limits.hours",
		"[max_per_event]\n00 = \"1\"":          "max_per_event",
		string(make([]byte, MaxPolicyFile+1)):  "at most",
		"[limits]\naccrual_window = \"1h\"":    "go together",
		"[limits]\ndeny = [\"0x01\"]":          "limits.deny",
		"[limits]\nlarge_delay = \"1000000h\"": "limits.large_delay",
	} {
		_, err := ParseOverlay([]byte(text))
		require.ErrorContains(t, err, want)
	}
}

func TestLooserOverlayIsRefused(t *testing.T) {
	a, b := common.HexToAddress("0xa"), common.HexToAddress("0xb")
	p := Policy{MaxPerEvent: map[uint8]uint256.Int{0: *uint256.NewInt(10)}, Limits: Limits{AccrualWindow: time.Hour, AccrualCeiling: *uint256.NewInt(10),
		Allow: []common.Address{a}, CoolDown: time.Hour, LargeAbove: *uint256.NewInt(10), LargeDelay: time.Hour, Hours: []Hours{{60, 120}}}}
	ten, eleven := *uint256.NewInt(10), *uint256.NewInt(11)
	for want, o := range map[string]Overlay{
		"accrual_window":  {Limits: Limits{AccrualWindow: 2 * time.Hour, AccrualCeiling: ten}},
		"accrual_ceiling": {Limits: Limits{AccrualWindow: time.Hour, AccrualCeiling: eleven}},
		"cool_down":       {Limits: Limits{CoolDown: time.Minute}},
		"large_above":     {Limits: Limits{LargeAbove: eleven, LargeDelay: time.Hour}},
		"large_delay":     {Limits: Limits{LargeAbove: ten, LargeDelay: time.Minute}},
		"allow":           {Limits: Limits{Allow: []common.Address{b}}},
		"max_per_event.0": {MaxPerEvent: map[uint8]uint256.Int{0: eleven}},
		"hours":           {Limits: Limits{Hours: []Hours{{180, 240}}}},
	} {
		require.ErrorContains(t, o.Stricter(p), want)
	}
	require.NoError(t, Overlay{}.Stricter(p))
	require.NoError(t, Overlay{Limits: p.Limits, MaxPerEvent: p.MaxPerEvent}.Stricter(p))
	require.NoError(t, Overlay{Limits: p.Limits, MaxPerEvent: p.MaxPerEvent}.Stricter(Policy{}), "what the policy leaves open may be closed")
}

func drawLimits(t *rapid.T, name string) Limits {
	addresses := func(what string) []common.Address {
		list := rapid.SliceOfNDistinct(rapid.IntRange(1, 4), 0, 3, rapid.ID).Draw(t, name+what)
		slices.Sort(list)
		var out []common.Address
		for _, i := range list {
			out = append(out, common.BigToAddress(uint256.NewInt(uint64(i)).ToBig()))
		}
		return out
	}
	l := Limits{Deny: addresses("deny"), Allow: addresses("allow")}
	if rapid.Bool().Draw(t, name+"accrual") {
		l.AccrualWindow, l.AccrualCeiling = time.Hour, *uint256.NewInt(rapid.Uint64Range(1, 5).Draw(t, name+"ceiling"))
	}
	if rapid.Bool().Draw(t, name+"large") {
		l.LargeAbove = *uint256.NewInt(rapid.Uint64Range(1, 5).Draw(t, name+"above"))
		l.LargeDelay = time.Duration(rapid.IntRange(1, 5).Draw(t, name+"delay"))
	}
	l.CoolDown = time.Duration(rapid.IntRange(0, 3).Draw(t, name+"cool"))
	for range rapid.IntRange(0, 2).Draw(t, name+"hours") {
		from, to := rapid.Uint16Range(0, 1439).Draw(t, name+"from"), rapid.Uint16Range(0, 1439).Draw(t, name+"to")
		if from != to {
			l.Hours = append(l.Hours, Hours{from, to})
		}
	}
	return l
}

// TestOverlayNeverLoosens asks both rule books one by one: whatever either holds back, the joined one holds back.
func TestOverlayNeverLoosens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Version: 3, Hash: common.HexToHash("0x3"), Limits: drawLimits(t, "policy ")}
		o := Overlay{Hash: common.HexToHash("0x1"), Limits: drawLimits(t, "overlay ")}
		both := o.Over(p)
		require.Equal(t, p.Ref(), both.Ref())
		minute := rapid.Uint16Range(0, 1439).Draw(t, "minute")
		require.Equal(t, Within(p.Limits.Hours, minute) && Within(o.Limits.Hours, minute), Within(both.Limits.Hours, minute))
		for i := range uint64(5) {
			a := common.BigToAddress(uint256.NewInt(i + 1).ToBig())
			allowed := func(l Limits) bool { return len(l.Allow) == 0 || slices.Contains(l.Allow, a) }
			require.Equal(t, allowed(p.Limits) && allowed(o.Limits), allowed(both.Limits))
			require.Equal(t, slices.Contains(p.Limits.Deny, a) || slices.Contains(o.Limits.Deny, a), slices.Contains(both.Limits.Deny, a))
			amount := *uint256.NewInt(i + 1)
			delay := func(l Limits) time.Duration {
				if l.LargeDelay == 0 || !amount.Gt(&l.LargeAbove) {
					return 0
				}
				return l.LargeDelay
			}
			require.GreaterOrEqual(t, delay(both.Limits), max(delay(p.Limits), delay(o.Limits)))
			over := func(l Limits) bool { return l.AccrualWindow > 0 && amount.Gt(&l.AccrualCeiling) }
			require.Equal(t, over(p.Limits) || over(o.Limits), over(both.Limits))
		}
		require.Equal(t, max(p.Limits.CoolDown, o.Limits.CoolDown), both.Limits.CoolDown)
		if o.Stricter(p) == nil {
			require.NoError(t, Overlay{Hash: o.Hash, Limits: both.Limits}.Stricter(p))
		}
	})
}

func FuzzOverlay(f *testing.F) {
	f.Add([]byte("[limits]\ncool_down = \"1h\"\nhours = [\"08:00-20:00\"]\n"))
	f.Add([]byte("[max_per_event]\n0 = \"5\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		o, err := ParseOverlay(file)
		if err != nil {
			return
		}
		p := o.Over(Policy{})
		require.NoError(t, Overlay{Hash: o.Hash, Limits: p.Limits, MaxPerEvent: p.MaxPerEvent}.Stricter(Policy{Limits: o.Limits, MaxPerEvent: o.MaxPerEvent}))
	})
}
