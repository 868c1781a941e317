package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// What is simulated. Nothing of it is fitted to one network's data, for there is none to publish: it is meant to be
// harder to watch than an honest network, with noise that lasts for days and tasks as large as a third of an hour.
const (
	simSeed      = 20260804
	simHours     = 365 * 24
	simBase      = 1000.0 // coins in a usual hour at the start
	simGrowth    = 0.006  // a week: 36 % a year
	simDaily     = 0.35   // amplitude of the day
	simWeekend   = 0.20   // less on Saturday and Sunday
	simDayNoise  = 0.04   // sigma of the logarithm of a day's level
	simDayStays  = 0.6    // how much of a day's level the next one keeps
	simHourNoise = 0.25   // sigma of the logarithm of one cohort's hour
	simLarge     = 0.04   // large tasks an hour
	simLargeMin  = 150.0  // coins
	simLargeTail = 1.7    // exponent of the tail: no variance
	simLargeMax  = 20_000 // what max_per_event lets pass
	simYoung     = 0.08   // share of young accounts
)

// drift measures what the CUSUM of package risk does in simulated years with the policy's values: false alarms, and delay
// and loss until an inflation of every credit is seen.
func drift(ctx context.Context) error {
	raw, err := os.ReadFile("configs/policy.toml")
	if err != nil {
		return err
	}
	p, err := quorum.ParsePolicy(raw)
	if err != nil {
		return err
	}
	return driftTable(ctx, os.Stdout, p.Watch, 100)
}

// simWatch is one simulated year under watch.
type simWatch struct {
	w      quorum.Watch
	d      *risk.Drift
	random *rand.Rand
	id     uint64
	day    float64 // logarithm of the day's level
	young  float64 // logarithm of the young accounts' part of it
}

// simStart is a Monday, after the hours that the watch needs to exist at all.
const simStart = 1_767_571_200

// hour feeds one hour with everything inflated by a factor, and returns what was found.
func (s *simWatch) hour(h int, inflation float64) []risk.Finding {
	if h%24 == 0 {
		s.day = simDayStays*s.day + simDayNoise*s.random.NormFloat64()
		s.young = 0.9*s.young + 0.1*s.random.NormFloat64()
	}
	level := simBase * math.Exp(simGrowth*float64(h)/168+s.day) * (1 + simDaily*math.Sin(2*math.Pi*float64(h%24)/24))
	if day := h / 24 % 7; day >= 5 {
		level *= 1 - simWeekend
	}
	at := uint64(simStart + h*3600 + 1800)
	var found []risk.Finding
	for c := range 4 {
		part := level / 4 * math.Exp(simHourNoise*s.random.NormFloat64())
		if s.random.Float64() < simLarge/4 {
			part += min(simLargeMax, simLargeMin*math.Pow(1-s.random.Float64(), -1/simLargeTail))
		}
		part *= inflation
		young := part * min(0.9, simYoung*math.Exp(s.young))
		found = append(found, s.credit(at, c, part-young, false)...)
		found = append(found, s.credit(at, c, young, true)...)
	}
	return found
}

func (s *simWatch) credit(at uint64, cohort int, coins float64, young bool) []risk.Finding {
	s.id++
	var account common.Address
	account[common.AddressLength-1] = byte(cohort)
	wei := new(uint256.Int).Mul(uint256.NewInt(uint64(coins*1e6)), uint256.NewInt(1e12))
	return s.d.Credit(s.w, ledger.Event{ID: s.id, Account: account, Kind: ledger.TaskIncome, Amount: wei.Dec()}, at, young)
}

func newSimWatch(w quorum.Watch, seed uint64) *simWatch {
	return &simWatch{w: w, d: risk.NewDrift(), random: rand.New(rand.NewPCG(simSeed, seed))}
}

// driftCounts is what a policy does in honest years.
type driftCounts struct{ alarms, whole, fuses, hours int }

func honest(w quorum.Watch, seed uint64) (c driftCounts) {
	s := newSimWatch(w, seed)
	for h := range simHours {
		for _, f := range s.hour(h, 1) {
			if f.Alert.Code == risk.AlertHour {
				c.hours++
				continue
			}
			if f.Fuse {
				c.fuses++
				continue
			}
			c.alarms++
			if f.Subject == risk.DriftAll.String() {
				c.whole++
			}
		}
	}
	return c
}

// driftFrom is when an inflation begins: the watch has learnt.
const driftFrom = 16 * 168

// driftSeen is how one inflation was found; hours are negative when it was not within the year.
type driftSeen struct{ alert, fuse int }

// inflated plays a year in which every credit is higher from some hour on; ok is false when an alarm of the whole network
// stands at that hour already, which then says nothing.
func inflated(w quorum.Watch, seed uint64, percent float64) (seen driftSeen, ok bool) {
	s := newSimWatch(w, seed)
	from := driftFrom + int(seed*31%168)
	seen = driftSeen{-1, -1}
	for h := 0; h < simHours && seen.fuse < 0; h++ {
		factor := 1.0
		if h >= from {
			factor += percent / 100
		}
		if _, since := s.d.Sum(risk.DriftAll); h == from && since != 0 {
			return seen, false
		}
		for _, f := range s.hour(h, factor) {
			switch {
			case h < from || f.Alert.Code == risk.AlertHour:
			case f.Fuse:
				seen.fuse = h - from
			case seen.alert < 0:
				seen.alert = h - from
			}
		}
	}
	return seen, true
}

// driftTable prints the figures of a policy.
func driftTable(ctx context.Context, out io.Writer, w quorum.Watch, years int) error {
	fmt.Fprintf(out, "allowance %d %%, alarm %d %% of a usual hour, sustained %s; %d simulated years\n", w.DriftAllowance, w.DriftAlarm, w.DriftSustained, years)
	var sum driftCounts
	for i := range years {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := honest(w, uint64(i))
		sum = driftCounts{sum.alarms + c.alarms, sum.whole + c.whole, sum.fuses + c.fuses, sum.hours + c.hours}
	}
	per := func(n int) float64 { return float64(n) / float64(years) }
	fmt.Fprintf(out, "false alarms per year %.2f (of the whole network %.2f), false fuses per year %.2f, great hours per year %.2f\n", per(sum.alarms), per(sum.whole), per(sum.fuses), per(sum.hours))
	for _, percent := range []float64{0, 1, 2, 5, 10, 20, 50} {
		var alerts, fuses []int
		of := 0
		for i := range years {
			if err := ctx.Err(); err != nil {
				return err
			}
			seen, ok := inflated(w, uint64(i), percent)
			if !ok {
				continue
			}
			of++
			if seen.alert >= 0 {
				alerts = append(alerts, seen.alert)
			}
			if seen.fuse >= 0 {
				fuses = append(fuses, seen.fuse)
			}
		}
		fmt.Fprintf(out, "%3.0f %%  alert: %s   fuse: %s\n", percent, delays(alerts, of, percent), delays(fuses, of, percent))
	}
	return nil
}

func delays(hours []int, of int, percent float64) string {
	if len(hours) == 0 {
		return "never"
	}
	slices.Sort(hours)
	median, late := hours[(len(hours)-1)/2], hours[(len(hours)-1)*9/10]
	lost := float64(median) * percent
	return fmt.Sprintf("%3d %% seen, median %4d h (lost %.0f %% of a usual hour, %.0f %% of a usual day), 9 of 10 within %4d h",
		100*len(hours)/of, median, lost, lost/24, late)
}
