package quorum

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// Limits are the hard rules that each node applies before a verdict. A zero value switches its rule off.
type Limits struct {
	FreezeAboveMax []uint8 // event kinds for which a row above its maximum freezes the account instead of tripping the fuse

	AccrualWindow  time.Duration // log time; zero: no ceiling
	AccrualCeiling uint256.Int   // wei that one account may be credited within the window

	Deny     []common.Address // accounts or destinations that are refused; ascending
	Allow    []common.Address // when not empty, the only destinations that do not wait; ascending
	CoolDown time.Duration    // how long a request waits after its row settled here, to a destination where its account was never paid

	LargeAbove uint256.Int // wei; zero: off
	LargeDelay time.Duration

	Hours []Hours // UTC; when not empty, verdicts on payments are given inside one of them only
}

// Hours is a time of day in UTC, minutes after midnight, the end exclusive. From > To runs over midnight.
type Hours struct{ From, To uint16 }

// Holds reports whether the minute of the day lies within.
func (h Hours) Holds(minute uint16) bool {
	if h.From <= h.To {
		return h.From <= minute && minute < h.To
	}
	return minute >= h.From || minute < h.To
}

// BucketScope says what shares one token bucket.
type BucketScope string

// The scopes.
const (
	BucketAccount BucketScope = "account" // each account and asset of a network by itself
	BucketLane    BucketScope = "lane"    // a payout network's lane
	BucketAsset   BucketScope = "asset"   // one token on one chain, whatever lanes pay it
)

// Bucket is a governor: a token bucket over payouts in the order of decisions and the batches' own time. It starts full.
type Bucket struct {
	Scope    BucketScope
	Network  string // the lane's name; empty: each network
	Capacity uint256.Int
	Refill   uint256.Int // wei per Per
	Per      time.Duration
}

// Shares are governors over one batch's items. Batches of fewer than MinItems are not judged: a share of one means nothing.
type Shares struct {
	MinItems           uint64
	NewPercent         uint64 // items to destinations that were never paid; zero: off
	DestinationPercent uint64 // items to one destination; zero: off
}

// Watch holds the ceilings of the rules that look at rates. They never withhold a verdict: they alert, or trip the node's
// own fuse. A zero switches its rule off.
type Watch struct {
	Window             time.Duration // of arrival and of log time
	LogsMax            uint64        // rows within the window: fuse
	NewAccountsMax     uint64        // addresses never seen before within the window: fuse
	AccountLogsMax     uint64        // rows of one address within the window
	AccountLogsFuse    bool          // trip the fuse instead of an alert
	DestinationSources uint64        // accounts that are paid to one destination within a day: alert

	DriftAllowance Percent       // CUSUM: growth over the usual hourly credits that is not counted
	DriftAlarm     Percent       // CUSUM: summed excess, in percent of a usual hour, that alerts; zero: off
	DriftSustained time.Duration // how long above the alarm trips the fuse; zero: never
	YoungAge       time.Duration // accounts younger than this by log time are young
	YoungPercent   uint64        // of a day's credits that young accounts may earn: alert; zero: off

	LagMax  time.Duration // the Relay's newest row older than this: alert; zero: off
	SkewMax time.Duration // between the Relay's clock and ours
}

// Percent is a whole number of hundredths.
type Percent uint64

// Settlement is how signed snapshots of an upstream authority are compared with the books' totals.
type Settlement struct {
	Authority common.Address // signs the snapshots; zero: off
	Tolerance uint256.Int    // wei by which a total may differ
	Delay     time.Duration  // a snapshot is judged when it is this old: rows may be on their way
	Sustained time.Duration  // a deviation that lasts this long trips the fuse
}

// limitsFile is the TOML shape of the rules of risk; every section is optional.
type limitsFile struct {
	Limits struct {
		FreezeAboveMax []uint8  `toml:"freeze_above_max"`
		AccrualWindow  string   `toml:"accrual_window"`
		AccrualCeiling string   `toml:"accrual_ceiling"`
		Deny           []string `toml:"deny"`
		Allow          []string `toml:"allow"`
		CoolDown       string   `toml:"cool_down"`
		LargeAbove     string   `toml:"large_above"`
		LargeDelay     string   `toml:"large_delay"`
		Hours          []string `toml:"hours"`
	} `toml:"limits"`
	Governor []struct {
		Scope    string `toml:"scope"`
		Network  string `toml:"network"`
		Capacity string `toml:"capacity"`
		Refill   string `toml:"refill"`
		Per      string `toml:"per"`
	} `toml:"governor"`
	Shares struct {
		MinItems           uint64 `toml:"min_items"`
		NewPercent         uint64 `toml:"new_percent"`
		DestinationPercent uint64 `toml:"destination_percent"`
	} `toml:"shares"`
	Watch struct {
		Window             string `toml:"window"`
		LogsMax            uint64 `toml:"logs_max"`
		NewAccountsMax     uint64 `toml:"new_accounts_max"`
		AccountLogsMax     uint64 `toml:"account_logs_max"`
		AccountLogsFuse    bool   `toml:"account_logs_fuse"`
		DestinationSources uint64 `toml:"destination_sources"`
		DriftAllowance     uint64 `toml:"drift_allowance_percent"`
		DriftAlarm         uint64 `toml:"drift_alarm_percent"`
		DriftSustained     string `toml:"drift_sustained"`
		YoungAge           string `toml:"young_age"`
		YoungPercent       uint64 `toml:"young_percent"`
		LagMax             string `toml:"lag_max"`
		SkewMax            string `toml:"skew_max"`
	} `toml:"watch"`
	Settlement struct {
		Authority string `toml:"authority"`
		Tolerance string `toml:"tolerance"`
		Delay     string `toml:"delay"`
		Sustained string `toml:"sustained"`
	} `toml:"settlement"`
}

// Bounds of the rules of risk.
const (
	maxListed  = 512 // addresses in a list, hours, governors: the whole file stays below MaxPolicyFile
	maxDelay   = 90 * 24 * time.Hour
	dayMinutes = 24 * 60
	maxEvent   = 10        // the Relay's highest event kind
	maxDrift   = 1_000_000 // percent of a usual hour: beyond it a drift watch watches nothing
)

// limits reads the rules of risk into p.
func (r *reader) limits(f limitsFile, p *Policy) {
	l := f.Limits
	p.Limits = Limits{
		FreezeAboveMax: l.FreezeAboveMax,
		AccrualWindow:  r.delay("limits.accrual_window", l.AccrualWindow),
		AccrualCeiling: r.optional("limits.accrual_ceiling", l.AccrualCeiling),
		Deny:           r.addresses("limits.deny", l.Deny),
		Allow:          r.addresses("limits.allow", l.Allow),
		CoolDown:       r.delay("limits.cool_down", l.CoolDown),
		LargeAbove:     r.optional("limits.large_above", l.LargeAbove),
		LargeDelay:     r.delay("limits.large_delay", l.LargeDelay),
		Hours:          r.hours("limits.hours", l.Hours),
	}
	for _, kind := range l.FreezeAboveMax {
		if _, ok := p.MaxPerEvent[kind]; !ok || kind > maxEvent {
			r.fail("limits.freeze_above_max", fmt.Sprintf("names kind %d, which has no maximum", kind))
		}
	}
	if (p.Limits.AccrualWindow == 0) != (p.Limits.AccrualCeiling.IsZero()) {
		r.fail("limits.accrual_window", "and limits.accrual_ceiling go together")
	}
	if (p.Limits.LargeDelay == 0) != (p.Limits.LargeAbove.IsZero()) {
		r.fail("limits.large_delay", "and limits.large_above go together")
	}
	r.governors(f, p)
	r.watch(f, p)
}

func (r *reader) governors(f limitsFile, p *Policy) {
	if len(f.Governor) > maxListed {
		r.fail("governor", "has too many entries")
		return
	}
	for i, g := range f.Governor {
		at := fmt.Sprintf("governor[%d]", i)
		b := Bucket{Scope: BucketScope(g.Scope), Network: g.Network, Capacity: r.amount(at+".capacity", g.Capacity),
			Refill: r.amount(at+".refill", g.Refill), Per: r.delay(at+".per", g.Per)}
		if !slices.Contains([]BucketScope{BucketAccount, BucketLane, BucketAsset}, b.Scope) {
			r.fail(at+".scope", "is account, lane or asset")
		}
		// A bucket that never refills would hold its payouts for ever.
		if b.Capacity.IsZero() || b.Refill.IsZero() || b.Per < time.Second {
			r.fail(at, "needs a capacity, a refill and a time of at least 1s")
		}
		p.Governors = append(p.Governors, b)
	}
	s := f.Shares
	p.Shares = Shares{s.MinItems, s.NewPercent, s.DestinationPercent}
	if s.NewPercent > 100 || s.DestinationPercent > 100 {
		r.fail("shares", "are percents, at most 100")
	}
	if (s.NewPercent > 0 || s.DestinationPercent > 0) && s.MinItems < 2 {
		r.fail("shares.min_items", "must be at least 2: a share of one item means nothing")
	}
}

func (r *reader) watch(f limitsFile, p *Policy) {
	w := f.Watch
	p.Watch = Watch{
		Window: r.delay("watch.window", w.Window), LogsMax: w.LogsMax, NewAccountsMax: w.NewAccountsMax,
		AccountLogsMax: w.AccountLogsMax, AccountLogsFuse: w.AccountLogsFuse, DestinationSources: w.DestinationSources,
		DriftAllowance: Percent(w.DriftAllowance), DriftAlarm: Percent(w.DriftAlarm),
		DriftSustained: r.delay("watch.drift_sustained", w.DriftSustained),
		YoungAge:       r.delay("watch.young_age", w.YoungAge), YoungPercent: w.YoungPercent,
		LagMax: r.delay("watch.lag_max", w.LagMax), SkewMax: r.delay("watch.skew_max", w.SkewMax),
	}
	if (w.LogsMax > 0 || w.NewAccountsMax > 0 || w.AccountLogsMax > 0) && p.Watch.Window < time.Second {
		r.fail("watch.window", "must be at least 1s for ceilings within it")
	}
	r.atMost("watch.drift_allowance_percent", w.DriftAllowance, maxDrift)
	r.atMost("watch.drift_alarm_percent", w.DriftAlarm, maxDrift)
	r.atMost("watch.young_percent", w.YoungPercent, 100)
	s := f.Settlement
	p.Settlement = Settlement{Tolerance: r.optional("settlement.tolerance", s.Tolerance),
		Delay: r.delay("settlement.delay", s.Delay), Sustained: r.delay("settlement.sustained", s.Sustained)}
	if s.Authority != "" {
		p.Settlement.Authority = r.address("settlement.authority", s.Authority)
	}
}

func (r *reader) atMost(key string, v, most uint64) {
	if v > most {
		r.fail(key, fmt.Sprintf("must be at most %d, not %d", most, v))
	}
}

// delay is an optional duration; empty is zero.
func (r *reader) delay(key, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDelay {
		r.fail(key, fmt.Sprintf("must be a duration between 0 and %s, not %q", maxDelay, s))
	}
	return d
}

// optional is an amount; empty is zero.
func (r *reader) optional(key, s string) uint256.Int {
	if s == "" {
		return uint256.Int{}
	}
	return r.amount(key, s)
}

func (r *reader) address(key, s string) common.Address {
	if !common.IsHexAddress(s) || !strings.HasPrefix(s, "0x") || common.HexToAddress(s) == (common.Address{}) {
		r.fail(key, fmt.Sprintf("must be an address, not %q", s))
	}
	return common.HexToAddress(s)
}

// addresses reads a list in any order; one address twice is a slip.
func (r *reader) addresses(key string, in []string) (out []common.Address) {
	if len(in) > maxListed {
		r.fail(key, fmt.Sprintf("has more than %d entries", maxListed))
		return nil
	}
	for _, s := range in {
		out = append(out, r.address(key, s))
	}
	slices.SortFunc(out, common.Address.Cmp)
	if len(slices.Compact(slices.Clone(out))) != len(out) {
		r.fail(key, "names an address twice")
	}
	return out
}

// hours reads "08:00-20:00".
func (r *reader) hours(key string, in []string) (out []Hours) {
	if len(in) > maxListed {
		r.fail(key, fmt.Sprintf("has more than %d entries", maxListed))
		return nil
	}
	for _, s := range in {
		from, to, ok := strings.Cut(s, "-")
		a, errA := time.Parse("15:04", from)
		b, errB := time.Parse("15:04", to)
		if !ok || errA != nil || errB != nil || len(s) != len("00:00-00:00") || a.Equal(b) {
			r.fail(key, fmt.Sprintf("must be times of day in UTC like 08:00-20:00, not %q", s))
			continue
		}
		out = append(out, Hours{minuteOf(a), minuteOf(b)})
	}
	return out
}

func minuteOf(t time.Time) uint16 { return uint16((t.Hour()*60 + t.Minute()) % dayMinutes) }

// MinuteOfDay is the minute of the day in UTC of unix milliseconds.
func MinuteOfDay(ms uint64) uint16 { return uint16(ms / 60_000 % dayMinutes) }
