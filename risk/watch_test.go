package risk

import (
	"encoding/binary"
	"math/big"
	"sort"
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

const watchStart = 1_800_000_000 // unix seconds

func someone(n int) common.Address { return common.BigToAddress(big.NewInt(int64(n) + 100)) }

func income(id uint64, account common.Address, at uint64, amount string) ledger.Event {
	return ledger.Event{ID: id, CreatedAt: at, Account: account, Kind: ledger.TaskIncome, Amount: amount}
}

func codesOf(found []Finding) (out []string) {
	for _, f := range found {
		code := string(f.Alert.Code)
		if f.Subject != "" {
			code += " " + f.Subject
		}
		if f.Fuse {
			code += " FUSE"
		}
		out = append(out, code)
	}
	return out
}

// kept is what a ledger keeps for watches.
type kept map[string]string

func (k kept) put(key, value []byte) error {
	if delete(k, string(key)); len(value) > 0 {
		k[string(key)] = string(value)
	}
	return nil
}

func (k kept) get(key []byte) []byte {
	if v, ok := k[string(key)]; ok {
		return []byte(v)
	}
	return nil
}

func (k kept) each(prefix []byte, fn func(key, value []byte) error) error {
	var keys []string
	for key := range k {
		if strings.HasPrefix(key, string(prefix)) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		if err := fn([]byte(key), []byte(k[key])); err != nil {
			return err
		}
	}
	return nil
}

func TestRowsWithinAWindowTripTheFuseOnce(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3})
	var all []string
	for i := range uint64(6) {
		all = append(all, codesOf(w.Row(income(i+1, someone(0), watchStart+i, "1"), watchStart+i, false, true))...)
	}
	require.Equal(t, []string{"rows-spike by log time FUSE", "rows-spike by arrival FUSE"}, all, "the fourth row, once by each clock")
	require.Empty(t, w.Tick(watchStart+30, true))
	st := w.Standing(watchStart+30, true)
	require.True(t, st[0].Breached)
	require.Equal(t, "6 rows", st[0].Observed)

	require.Empty(t, w.Tick(watchStart+120, true), "it ended")
	require.False(t, w.Standing(watchStart+120, true)[0].Breached)
	all = nil
	for i := range uint64(4) {
		all = append(all, codesOf(w.Row(income(i+9, someone(0), watchStart+130, "1"), watchStart+130, false, true))...)
	}
	require.Len(t, all, 2, "and can begin again")
}

// While a node reads what it missed, a year arrives in a minute: only log time says how fast it was.
func TestArrivalsMeanNothingWhileCatchingUp(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3})
	for i := range uint64(100) {
		require.Empty(t, w.Row(income(i+1, someone(0), watchStart+60*i, "1"), watchStart+1_000_000, false, false), "a row a minute by log time")
	}
	found := []string{}
	for i := range uint64(4) {
		found = append(found, codesOf(w.Row(income(i+200, someone(0), watchStart+7000, "1"), watchStart+1_000_000, false, false))...)
	}
	require.Equal(t, []string{"rows-spike by log time FUSE"}, found)
}

// A Relay that dates its rows anywhere moves log time; a Relay that fails every other second is never quite caught up with.
// Neither hides a spike from the arrivals.
func TestASpikeCannotHideBehindDatesOrShortSilences(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3})
	w.Tick(watchStart, true)
	found := []string{}
	for i := range uint64(4) {
		found = append(found, codesOf(w.Row(income(i+1, someone(0), watchStart-10_000*i, "1"), watchStart+50, false, false))...)
	}
	require.Equal(t, []string{"rows-spike by log time FUSE", "rows-spike by arrival FUSE"}, found, "fifty seconds without an answer are no absence")

	w = NewWatches(quorum.Watch{Window: time.Minute, LogsMax: 3})
	for i := range uint64(4) {
		found = codesOf(w.Row(income(i+1, someone(0), 1<<40, "1"), watchStart, false, false))
	}
	require.Equal(t, []string{"rows-spike by log time FUSE"}, found, "a date in the future is now")
	require.Equal(t, uint64(watchStart), w.newest)
}

func TestNewAccountsWithinAWindow(t *testing.T) {
	w := NewWatches(quorum.Watch{Window: time.Minute, NewAccountsMax: 3})
	var found []string
	for i := range 4 {
		require.Empty(t, w.Row(income(uint64(2*i+1), someone(99), watchStart, "1"), watchStart, false, true), "an account that is known")
		found = codesOf(w.Row(income(uint64(2*i+2), someone(i), watchStart, "1"), watchStart, true, true))
	}
	require.Equal(t, []string{"new-accounts-spike by log time FUSE", "new-accounts-spike by arrival FUSE"}, found)
}

func TestRowsOfOneAccount(t *testing.T) {
	for _, fuse := range []bool{false, true} {
		w := NewWatches(quorum.Watch{Window: time.Minute, AccountLogsMax: 2, AccountLogsFuse: fuse})
		var found []Finding
		for i := range 12 {
			found = append(found, w.Row(income(uint64(i+1), someone(i%5), watchStart, "1"), watchStart, false, false)...)
		}
		require.Len(t, found, 2, "two accounts of five have three rows")
		for i, f := range found {
			require.Equal(t, fuse, f.Fuse)
			require.Equal(t, someone(i), f.Alert.Account)
			require.Equal(t, map[bool]ledger.Severity{true: ledger.Critical, false: ledger.Warning}[fuse], f.Alert.Severity)
		}
		require.Len(t, w.Standing(watchStart, false), 2)
		w.Tick(watchStart+200, true)
		require.Empty(t, w.Standing(watchStart+200, true))
	}
}

// TestWindowAgainstAList compares the window with a list of rows: it never counts fewer than the window holds, and never one
// that is older than a window and a slot.
func TestWindowAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := rapid.Uint64Range(1, 4000).Draw(t, "span")
		w := newWindow(span)
		var times []uint64
		now := uint64(watchStart)
		for range rapid.IntRange(1, 200).Draw(t, "rows") {
			now += rapid.Uint64Range(0, span/4).Draw(t, "later")
			at := now - rapid.Uint64Range(0, span*2).Draw(t, "late")
			account := someone(rapid.IntRange(0, 3).Draw(t, "account"))
			w.advance(now)
			w.add(at, account, at%2 == 0)
			times = append(times, at)
			var least, most, sum uint64
			for _, a := range times {
				if a+span > now {
					least++
				}
				if a+span+2*w.step >= now {
					most++
				}
			}
			for _, n := range w.by {
				sum += n
			}
			require.GreaterOrEqual(t, w.rows, least)
			require.LessOrEqual(t, w.rows, most)
			require.Equal(t, w.rows, sum)
			require.LessOrEqual(t, w.unseen, w.rows)
		}
	})
}

func TestWindowMemoryIsBounded(t *testing.T) {
	w := newWindow(600)
	for i := range windowAccounts + 1000 {
		var a common.Address
		binary.BigEndian.PutUint64(a[:], uint64(i))
		w.add(watchStart+uint64(i/2000), a, true)
	}
	require.LessOrEqual(t, w.pairs, windowAccounts)
	require.LessOrEqual(t, len(w.by), windowAccounts)
	require.Equal(t, uint64(windowAccounts+1000), w.rows, "the count of all rows stays exact")
	for i := range windowAccounts + 1 {
		var a common.Address
		binary.BigEndian.PutUint64(a[8:], uint64(i))
		w.add(watchStart+5000, a, true)
	}
	require.LessOrEqual(t, w.pairs, windowAccounts, "one slot alone is too many, too")
}

func TestYoungAccountsEarnMuchOfADay(t *testing.T) {
	w := NewWatches(quorum.Watch{YoungAge: 48 * time.Hour, YoungPercent: 30})
	id := uint64(0)
	row := func(hour uint64, who int, unseen bool, amount string) {
		id++
		at := watchStart + hour*hourSeconds
		require.Empty(t, w.Row(income(id, someone(who), at, amount), at, unseen, true))
	}
	row(0, 1, true, "100")
	for h := uint64(1); h < 100; h++ {
		row(h, 1, false, "100")
		require.Empty(t, w.Tick(watchStart+h*hourSeconds, true), "all are young in a young network")
	}
	row(100, 2, true, "50")
	for h := uint64(101); h < 112; h++ {
		row(h, 1, false, "100")
		row(h, 2, false, "50")
		require.Empty(t, w.Tick(watchStart+h*hourSeconds, true))
	}
	var found []string
	for h := uint64(112); h < 130; h++ {
		row(h, 1, false, "100")
		row(h, 2, false, "50")
		found = append(found, codesOf(w.Tick(watchStart+h*hourSeconds+60, true))...)
	}
	require.Equal(t, []string{"young-share"}, found)
	for h := uint64(130); h < 200; h++ {
		row(h, 1, false, "100")
		row(h, 2, false, "50")
		w.Tick(watchStart+h*hourSeconds+60, true)
	}
	require.False(t, w.youngShare().breached, "it has grown")
	require.Zero(t, w.Young())
}

func TestOneDestinationBehindManyAccounts(t *testing.T) {
	w := NewWatches(quorum.Watch{DestinationSources: 2})
	ask := func(account, to int, at uint64) []string {
		return codesOf(w.Request(ledger.Withdrawal{Account: someone(account), To: someone(to), CreatedAt: at}, at, false))
	}
	require.Empty(t, ask(1, 50, watchStart))
	require.Empty(t, ask(1, 50, watchStart+1), "the same account again")
	require.Empty(t, ask(50, 50, watchStart+1), "to itself")
	require.Empty(t, ask(2, 50, watchStart+daySeconds-1))
	require.Equal(t, []string{"destination-sources " + someone(50).Hex()}, ask(3, 50, watchStart+daySeconds-1))
	require.Empty(t, ask(4, 50, watchStart+daySeconds-1), "told once")
	w.Tick(watchStart+3*daySeconds, true)
	require.Empty(t, w.Standing(watchStart+3*daySeconds, true))
	require.Empty(t, w.dest.of, "nothing is kept beyond a day")
	require.Empty(t, w.dest.last)
}

func TestDestinationsMemoryIsBounded(t *testing.T) {
	d := newDestinations()
	for i := range maxPairs + 500 {
		d.add(watchStart, someone(i), someone(i+1))
	}
	require.Len(t, d.queue, maxPairs)
	require.Len(t, d.last, maxPairs)
	require.Len(t, d.of, maxPairs)
}

func TestRelayLag(t *testing.T) {
	w := NewWatches(quorum.Watch{LagMax: time.Hour})
	require.Empty(t, w.Tick(watchStart, true), "nothing was ever seen")
	w.Row(income(1, someone(1), watchStart, "1"), watchStart, false, true)
	require.Empty(t, w.Tick(watchStart+3600, true))
	require.Empty(t, w.Tick(watchStart+3601, false), "what is not read yet may be newer")
	require.Equal(t, []string{"relay-lag"}, codesOf(w.Tick(watchStart+3601, true)))
	w.Row(income(2, someone(1), watchStart+3602, "1"), watchStart+3602, false, true)
	w.Tick(watchStart+3602, true)
	require.Empty(t, w.begun)
}

func TestClockSkew(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }
	for name, c := range map[string]struct {
		said       uint64
		sent, came float64
		want       time.Duration
	}{
		"within the second":       {100, 100.1, 100.2, 0},
		"the answer was slow":     {100, 95, 105, 0},
		"ours is behind":          {100, 89, 90, 10 * time.Second},
		"ours is ahead":           {100, 111, 112, 10 * time.Second},
		"on the edge of a second": {100, 101, 101.5, 0},
	} {
		require.Equal(t, c.want, ClockSkew(c.said, at(c.sent), at(c.came)), name)
	}
	w := NewWatches(quorum.Watch{SkewMax: 5 * time.Second})
	require.Empty(t, w.Skew(100, at(105), at(105)))
	require.Equal(t, []string{"clock-skew"}, codesOf(w.Skew(100, at(107), at(107))))
	require.Empty(t, w.Skew(107, at(114), at(114)), "told once")
	require.Empty(t, w.Skew(114, at(114), at(114)))
	require.Empty(t, w.begun)
	require.Empty(t, NewWatches(quorum.Watch{}).Skew(0, at(100), at(100)), "off")
}

func TestPublishedTariff(t *testing.T) {
	tier := func(from uint64, ratio float64) quorum.Tier {
		return quorum.Tier{From: *uint256.NewInt(from), Ratio: new(big.Rat).SetFloat64(ratio)}
	}
	tariff := func(fixed, least uint64, tiers ...quorum.Tier) map[string]quorum.Tariff {
		return map[string]quorum.Tariff{"a": {Fixed: *uint256.NewInt(fixed), Minimum: *uint256.NewInt(least), Tiers: tiers}}
	}
	ours := tariff(1, 4, tier(0, 0.01), tier(1000, 0.005))
	for name, c := range map[string]struct {
		published map[string]quorum.Tariff
		want      string
	}{
		"the same":         {tariff(1, 4, tier(0, 0.01), tier(1000, 0.005)), ""},
		"another fee":      {tariff(2, 4, tier(0, 0.01), tier(1000, 0.005)), "fixed part"},
		"another minimum":  {tariff(1, 5, tier(0, 0.01), tier(1000, 0.005)), "minimum"},
		"another ratio":    {tariff(1, 4, tier(0, 0.02), tier(1000, 0.005)), "tiers"},
		"a tier elsewhere": {tariff(1, 4, tier(0, 0.01), tier(999, 0.005)), "tiers"},
		"a tier less":      {tariff(1, 4, tier(0, 0.01)), "tiers"},
		"nothing":          {nil, "not published"},
	} {
		w := NewWatches(quorum.Watch{})
		found := w.Tariff(ours, c.published, watchStart)
		if c.want == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Equal(t, []string{"tariff-differs"}, codesOf(found), name)
		require.Contains(t, found[0].Alert.Text, c.want, name)
		require.False(t, found[0].Fuse)
		require.Empty(t, w.Tariff(ours, c.published, watchStart+1), "told once")
		require.Empty(t, w.Tariff(ours, ours, watchStart+2))
		require.Empty(t, w.begun, "it ends")
	}
	both := tariff(1, 4, tier(0, 0.01), tier(1000, 0.005))
	both["b"] = quorum.Tariff{}
	require.Empty(t, NewWatches(quorum.Watch{}).Tariff(ours, both, 1), "a network that nobody pays is nobody's matter")
}

// TestWatchesOverARestart: what is stored and what the log still holds give the same standing.
func TestWatchesOverARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := quorum.Watch{Window: time.Hour, LogsMax: 1000, NewAccountsMax: 5, AccountLogsMax: 20, YoungAge: 48 * time.Hour, YoungPercent: 50,
			DriftAllowance: 5, DriftAlarm: 100, DriftSustained: 24 * time.Hour}
		w, disk := NewWatches(p), kept{}
		var log []ledger.Event
		seen := map[common.Address]bool{}
		at := uint64(watchStart)
		for i := range rapid.IntRange(1, 60).Draw(t, "rows") {
			at += rapid.Uint64Range(0, 4000).Draw(t, "later")
			e := income(uint64(i+1), someone(rapid.IntRange(0, 12).Draw(t, "who")), at, "1000")
			w.Row(e, at, !seen[e.Account], false)
			seen[e.Account] = true
			log = append(log, e)
			if rapid.Bool().Draw(t, "flush") {
				require.NoError(t, w.Flush(disk.put))
			}
		}
		require.NoError(t, w.Flush(disk.put))
		again := NewWatches(p)
		require.NoError(t, again.Load(disk.each))
		for _, e := range log {
			again.Remember(e, at)
		}
		again.Remembered(at)
		require.Equal(t, w.drift.m, again.drift.m)
		require.Equal(t, w.drift.level, again.drift.level)
		require.Equal(t, w.ages.first, again.ages.first)
		require.Equal(t, w.logTime.rows, again.logTime.rows)
		require.Equal(t, w.logTime.unseen, again.logTime.unseen)
		require.Equal(t, w.logTime.by, again.logTime.by)
		for i, s := range w.Standing(at, false) {
			o := again.Standing(at, false)[i]
			s.Since, o.Since = 0, 0
			require.Equal(t, s, o)
		}
		require.Empty(t, again.Tick(at, false), "what was told is not told again")
	})
}

func TestAgesAreBounded(t *testing.T) {
	a, disk := newAges(), kept{}
	for i := range maxYoung + 100 {
		a.see(watchStart+uint64(i), someone(i))
	}
	require.Len(t, a.first, maxYoung)
	require.NoError(t, a.flush(disk.put))
	require.Len(t, disk, maxYoung)
	b := newAges()
	require.NoError(t, b.load(disk.each))
	require.Equal(t, a.first, b.first)
	require.False(t, b.young(watchStart, 10, someone(0)), "the oldest counts as grown")
	b.expire(watchStart+1<<20, 10)
	require.Empty(t, b.first)
	require.Error(t, newAges().load(kept{keyAge + "x": "y"}.each))
}
