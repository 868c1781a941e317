package quorum_test

import (
	"strings"
	"testing"
	"time"

	"conclave/quorum"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPolicyReadsEveryKey(t *testing.T) {
	file := samplePolicy(t)
	p, err := quorum.ParsePolicy(file)
	require.NoError(t, err)
	require.Equal(t, quorum.PolicyRef{Version: 3, Hash: keccak(file)}, p.Ref())
	require.Equal(t, time.Minute, p.GapGrace)
	require.Equal(t, 10*time.Minute, p.HoldMax)
	require.Equal(t, 300*time.Millisecond, p.BatchWait)
	require.Equal(t, 30*time.Second, p.BumpAfter)
	require.Equal(t, quorum.DefaultResumeDelay, p.ResumeDelay, "a file that names none")
	changed, err := quorum.ParsePolicy(append([]byte("resume_delay = \"5s\"\n"), file...))
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, changed.ResumeDelay)
	require.Equal(t, uint64(4), p.InFlight)
	require.Equal(t, wei("1000000000000000000"), p.UncoveredMax)
	require.Equal(t, map[uint8]uint256.Int{0: wei("500000000000000000000"), 3: wei("1000000000000000000000")}, p.MaxPerEvent)
	require.Equal(t, quorum.FeeRule{
		TipFloor: wei("1000000000"), OfferPercent: 200, CapPercent: 400, FeeCeiling: wei("500000000000"),
		GasLimit: 60000, TokenGasLimit: 120000,
	}, p.Fees)
	require.Len(t, p.Tariffs["devnet"].Tiers, 2)
}

func TestPolicyRefusesAndNamesTheKey(t *testing.T) {
	text := string(samplePolicy(t))
	for what, c := range map[string]struct{ from, to, want string }{
		"unknown key":             {"version       = 3", "version = 3\nspeed = 1", "line 3: unknown key speed"},
		"unknown key in a table":  {"ceiling         =", "colour = 1\nceiling =", "line 18: unknown key fees.colour"},
		"unknown tariff key":      {"minimum =", "maximum = \"1\"\nminimum =", "unknown key tariff.maximum"},
		"a float amount":          {`tip_floor       = "1000000000"`, `tip_floor = 1.5`, "line 15"},
		"an integer amount":       {`tip_floor       = "1000000000"`, `tip_floor = 15`, "line 15"},
		"a float as text":         {`fixed   = "1000000000000000"`, `fixed = "0.001"`, "tariff[0].fixed"},
		"an exponent":             {`fixed   = "1000000000000000"`, `fixed = "1e15"`, "tariff[0].fixed"},
		"a negative amount":       {`fixed   = "1000000000000000"`, `fixed = "-1"`, "tariff[0].fixed"},
		"a leading zero":          {`fixed   = "1000000000000000"`, `fixed = "01"`, "tariff[0].fixed"},
		"a missing amount":        {`uncovered_max = "1000000000000000000"`, ``, "uncovered_max"},
		"a missing duration":      {`gap_grace     = "60s"`, ``, "gap_grace"},
		"a duration without unit": {`gap_grace     = "60s"`, `gap_grace = "60"`, "gap_grace"},
		"a negative duration":     {`hold_max      = "10m"`, `hold_max = "-10m"`, "hold_max"},
		"a duration of years":     {`hold_max      = "10m"`, `hold_max = "100000h"`, "hold_max"},
		"a kind by name":          {"0 = \"500", "income = \"500", "max_per_event"},
		"a kind above 255":        {"0 = \"500", "256 = \"500", "max_per_event"},
		"a kind in two ways":      {"0 = \"500", "03 = \"500", "max_per_event"},
		"a key twice":             {"in_flight     = 4", "in_flight = 4\nin_flight = 4", "line"},
		"version zero":            {"version       = 3", "version = 0", "version"},
		"nothing in flight":       {"in_flight     = 4", "in_flight = 0", "in_flight"},
		"too much in flight":      {"in_flight     = 4", "in_flight = 65", "in_flight"},
		"an offer below the fee":  {"offer_percent   = 200", "offer_percent = 99", "offer_percent"},
		"a cap below the offer":   {"cap_percent     = 400", "cap_percent = 99", "cap_percent"},
		"no tip":                  {`tip_floor       = "1000000000"`, `tip_floor = "0"`, "tip_floor"},
		"a ceiling below":         {`ceiling         = "500000000000"`, `ceiling = "1"`, "ceiling"},
		"gas of an empty send":    {"gas_limit       = 60000", "gas_limit = 21000", "gas_limit"},
		"gas of a block":          {"token_gas_limit = 120000", "token_gas_limit = 30000000", "token_gas_limit"},
		"a ratio of one":          {`ratio = "0.01"`, `ratio = "1"`, "ratio"},
		"a ratio below zero":      {`ratio = "0.01"`, `ratio = "-0.01"`, "ratio"},
		"a ratio of nothing":      {`ratio = "0.01"`, `ratio = "NaN"`, "ratio"},
		"a ratio in hex":          {`ratio = "0.01"`, `ratio = "0x1p-7"`, "ratio"},
		"a ratio as float":        {`ratio = "0.01"`, `ratio = 0.01`, "line"},
		"tiers from above zero":   {`from  = "0"`, `from = "1"`, "first tier"},
		"tiers that descend":      {`from  = "100000000000000000000"`, `from = "0"`, "ascend"},
		"a tariff for nobody":     {`network = "devnet"`, ``, "network"},
		"a tariff twice": {"[[tariff]]", "[[tariff]]\nnetwork = \"devnet\"\nfixed = \"0\"\nminimum = \"0\"\n[[tariff.tiers]]\n" +
			"from = \"0\"\nratio = \"0\"\n[[tariff]]", "twice"},
		"not toml": {"[fees]", "[fees", "line"},
	} {
		bent := strings.Replace(text, c.from, c.to, 1)
		require.NotEqual(t, text, bent, what)
		_, err := quorum.ParsePolicy([]byte(bent))
		require.ErrorContains(t, err, c.want, what)
		require.ErrorContains(t, err, "policy: ", what)
		require.NotContains(t, err.Error(), "\n", what)
	}
	_, err := quorum.ParsePolicy([]byte(text[:strings.Index(text, "[[tariff]]")]))
	require.ErrorContains(t, err, "no tariff")
	_, err = quorum.ParsePolicy(make([]byte, quorum.MaxPolicyFile+1))
	require.ErrorContains(t, err, "at most")
}

// The Relay computes with float64, so one percent of ten coins is two wei more than a tenth.
func TestTariffComputesAsTheRelayDoes(t *testing.T) {
	p, err := quorum.ParsePolicy(samplePolicy(t))
	require.NoError(t, err)
	tariff := p.Tariffs["devnet"]
	for _, c := range []struct{ amount, fee string }{
		{"0", "1000000000000000"},
		{"10000000000000000000", "101000000000000002"},  // 0.001 + 0.1 and the float's two wei
		{"99999999999999999999", "1001000000000000020"}, // the first tier still
		{"100000000000000000000", "501000000000000010"}, // the second one from here on
	} {
		fee, ok := tariff.Fee(wei(c.amount))
		require.True(t, ok)
		require.Equal(t, c.fee, fee.Dec(), c.amount)
	}
	tariff.Fixed.SetAllOne()
	_, ok := tariff.Fee(wei("10000000000000000000"))
	require.False(t, ok, "an overflow is no fee")
	_, ok = quorum.Tariff{}.Fee(wei("1"))
	require.False(t, ok)
}

func drawWei(t *rapid.T, label string) uint256.Int {
	b := rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, label)
	return *new(uint256.Int).SetBytes(b)
}

func TestFeeOfferKeepsItsBounds(t *testing.T) {
	p, err := quorum.ParsePolicy(samplePolicy(t))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		rule := p.Fees
		rule.OfferPercent = rapid.Uint64Range(100, 10_000).Draw(t, "offer")
		rule.CapPercent = rapid.Uint64Range(100, 10_000).Draw(t, "cap")
		base := drawWei(t, "base fee")
		tip, offer, feeCap, ok := rule.Offer(base)
		if !ok {
			return
		}
		require.False(t, base.Gt(&offer), "offer below the base fee")
		require.False(t, tip.IsZero())
		require.False(t, tip.Gt(&offer), "tip above the offer")
		require.False(t, offer.Gt(&feeCap), "offer above the cap")
		require.False(t, feeCap.Gt(&rule.FeeCeiling), "cap above the ceiling")
	})
	_, _, _, ok := p.Fees.Offer(p.Fees.FeeCeiling)
	require.False(t, ok, "an offer above the ceiling is no offer")
	tip, offer, feeCap, ok := p.Fees.Offer(wei("10000000000"))
	require.True(t, ok)
	require.Equal(t, []string{"1000000000", "21000000000", "84000000000"}, []string{tip.Dec(), offer.Dec(), feeCap.Dec()})
}

func TestParseWei(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawWei(t, "amount")
		again, ok := quorum.ParseWei(v.Dec())
		require.True(t, ok)
		require.Equal(t, v, again)
	})
	over := "115792089237316195423570985008687907853269984665640564039457584007913129639936"
	for _, bad := range []string{"", "-1", "+1", "01", "00", "1.0", "1e3", "0x1", " 1", "1 ", "1_000", "१", over, strings.Repeat("9", 79)} {
		_, ok := quorum.ParseWei(bad)
		require.False(t, ok, bad)
	}
}
