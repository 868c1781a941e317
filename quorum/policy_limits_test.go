package quorum

import (
	"os"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// withRules is the example policy's head with other rules of risk.
func withRules(t *testing.T, rules string) (Policy, error) {
	raw, err := os.ReadFile("testdata/policy-plain.toml")
	require.NoError(t, err)
	return ParsePolicy(append(raw, "\n"+rules...))
}

func TestNoRulesOfRiskSwitchThemOff(t *testing.T) {
	p, err := withRules(t, "")
	require.NoError(t, err)
	require.Equal(t, Limits{}, p.Limits)
	require.Empty(t, p.Governors)
	require.Equal(t, Watch{}, p.Watch)
	require.Equal(t, Settlement{}, p.Settlement)
}

func TestRulesOfRisk(t *testing.T) {
	p, err := withRules(t, `
[limits]
freeze_above_max = [8]
accrual_window = "24h"
accrual_ceiling = "5000"
deny = ["0x00000000000000000000000000000000000000ff", "0x0000000000000000000000000000000000000001"]
cool_down = "48h"
large_above = "900"
large_delay = "6h"
hours = ["08:00-20:00", "23:30-00:30"]

[[governor]]
scope = "account"
capacity = "100"
refill = "10"
per = "1h"

[shares]
min_items = 4
new_percent = 50

[watch]
window = "10m"
logs_max = 1000
drift_alarm_percent = 300
skew_max = "30s"

[settlement]
authority = "0x00000000000000000000000000000000000000aa"
tolerance = "7"
delay = "1h"
sustained = "24h"
`)
	require.NoError(t, err)
	require.Equal(t, Limits{FreezeAboveMax: []uint8{8}, AccrualWindow: 24 * time.Hour, AccrualCeiling: *uint256.NewInt(5000),
		Deny: []common.Address{common.HexToAddress("0x01"), common.HexToAddress("0xff")}, CoolDown: 48 * time.Hour,
		LargeAbove: *uint256.NewInt(900), LargeDelay: 6 * time.Hour, Hours: []Hours{{480, 1200}, {1410, 30}}}, p.Limits)
	require.Equal(t, []Bucket{{BucketAccount, "", *uint256.NewInt(100), *uint256.NewInt(10), time.Hour}}, p.Governors)
	require.Equal(t, Shares{4, 50, 0}, p.Shares)
	require.Equal(t, Watch{Window: 10 * time.Minute, LogsMax: 1000, DriftAlarm: 300, SkewMax: 30 * time.Second}, p.Watch)
	require.Equal(t, Settlement{common.HexToAddress("0xaa"), *uint256.NewInt(7), time.Hour, 24 * time.Hour}, p.Settlement)
}

func TestWrongRulesOfRiskNameTheirKey(t *testing.T) {
	for rules, key := range map[string]string{
		"[limits]\nunknown = 1":             "unknown",
		"[limits]\nfreeze_above_max = [9]":  "limits.freeze_above_max",
		"[limits]\naccrual_window = \"1h\"": "limits.accrual_window",
		"[limits]\nlarge_above = \"1\"":     "limits.large_delay",
		"[limits]\ndeny = [\"me\"]":         "limits.deny",
		"[limits]\nallow = [\"0x0000000000000000000000000000000000000001\",\"0x0000000000000000000000000000000000000001\"]": "limits.allow",
		"[limits]\nhours = [\"8-20\"]":                                                    "limits.hours",
		"[limits]\nhours = [\"08:00-08:00\"]":                                             "limits.hours",
		"[limits]\ncool_down = \"9000h\"":                                                 "limits.cool_down",
		"[[governor]]\nscope = \"all\"\ncapacity = \"1\"\nrefill = \"1\"\nper = \"1h\"":   "governor[0].scope",
		"[[governor]]\nscope = \"lane\"\ncapacity = \"1\"\nrefill = \"0\"\nper = \"1h\"":  "governor[0]",
		"[[governor]]\nscope = \"lane\"\ncapacity = \"-1\"\nrefill = \"1\"\nper = \"1h\"": "governor[0].capacity",
		"[shares]\nnew_percent = 101\nmin_items = 4":                                      "shares",
		"[shares]\nnew_percent = 10":                                                      "shares.min_items",
		"[watch]\nyoung_percent = 101":                                                    "watch.young_percent",
		"[watch]\ndrift_alarm_percent = 92233720368547758":                                "watch.drift_alarm_percent",
		"[watch]\ndrift_allowance_percent = 1000001":                                      "watch.drift_allowance_percent",
		"[watch]\nlogs_max = 5":                                                           "watch.window",
		"[settlement]\nauthority = \"0x00\"":                                              "settlement.authority",
	} {
		_, err := withRules(t, rules)
		require.ErrorContains(t, err, key, rules)
	}
}

func TestHours(t *testing.T) {
	day, night := Hours{480, 1200}, Hours{1410, 30}
	for minute, want := range map[uint16][2]bool{0: {false, true}, 29: {false, true}, 30: {false, false}, 480: {true, false}, 1199: {true, false}, 1200: {false, false}, 1439: {false, true}} {
		require.Equal(t, want, [2]bool{day.Holds(minute), night.Holds(minute)}, minute)
	}
	require.Equal(t, uint16(61), MinuteOfDay(uint64((25*time.Hour + time.Minute).Milliseconds())))
}
