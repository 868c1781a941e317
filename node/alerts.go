package node

import (
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// maxAlerts bounds the alerts that are held. Beyond it the oldest that recovered go first, then the oldest.
const maxAlerts = 512

// Alert is something that a person should know. Alerts with one key are one alert that happened several times.
type Alert struct {
	Key      string // code and subject
	Code     string // closed set, see docs/api.md
	Severity ledger.Severity
	Text     string // what happened
	Hint     string // what to do
	First    time.Time
	Last     time.Time
	Count    uint64
	Over     bool // the cause has gone
}

// alerts is the one path on which the node calls for people: deduplicated, logged once each time it begins.
type alerts struct {
	log *zap.Logger
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[string]*Alert
}

func newAlerts(log *zap.Logger, now func() time.Time) *alerts {
	return &alerts{log: log, now: now, all: map[string]*Alert{}}
}

// raise begins or repeats an alert.
func (a *alerts) raise(in Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if in.Key == "" {
		in.Key = in.Code
	}
	known := a.all[in.Key]
	if known != nil && !known.Over {
		known.Last, known.Text = now, in.Text
		known.Count++
		return
	}
	in.First, in.Last, in.Count = now, now, 1
	if known != nil {
		in.Count += known.Count
	}
	a.all[in.Key] = &in
	a.trim()
	fields := []zap.Field{zap.String("code", in.Code), zap.String("text", in.Text), zap.String("hint", in.Hint)}
	if in.Severity == ledger.Critical {
		a.log.Error("alert", fields...)
		return
	}
	a.log.Warn("alert", fields...)
}

// recover ends the alert of a key; unknown keys change nothing.
func (a *alerts) recover(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.all[key]; known != nil && !known.Over {
		known.Over, known.Last = true, a.now()
		a.log.Info("alert over", zap.String("code", known.Code), zap.String("text", known.Text))
	}
}

// list returns the alerts, the newest first.
func (a *alerts) list() []Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Alert, 0, len(a.all))
	for _, v := range a.all {
		out = append(out, *v)
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].Last.Equal(out[j].Last) {
			return out[i].Last.After(out[j].Last)
		}
		return out[i].Key < out[j].Key
	})
	return out
}

func (a *alerts) trim() {
	for len(a.all) > maxAlerts {
		var worst *Alert
		for _, v := range a.all {
			if worst == nil || (v.Over && !worst.Over) || (v.Over == worst.Over && v.Last.Before(worst.Last)) {
				worst = v
			}
		}
		delete(a.all, worst.Key)
	}
}

func alertFuse(code, reason string) Alert {
	return Alert{Code: codeFuse, Severity: ledger.Critical, Text: "this node halted itself: " + code + ": " + reason,
		Hint: "find the cause, then: conclave resume --local"}
}

func alertHalt(by common.Address, h quorum.Halt) Alert {
	return Alert{Key: codeHalt + by.Hex(), Code: codeHalt, Severity: ledger.Critical,
		Text: fmt.Sprintf("member %s halted %s: %s: %s", by, h.Scope, h.Code, h.Reason),
		Hint: "ask its operator; f+1 halts stop everyone"}
}

func alertEvidence(kind ledger.EvidenceKind, member common.Address) Alert {
	return Alert{Key: codeEvidence + string(kind) + member.Hex(), Code: codeEvidence, Severity: ledger.Critical,
		Text: fmt.Sprintf("proof of misbehaviour: %s by %s", kind, member),
		Hint: "talk to the other operators about removing the member"}
}

func alertClock(member common.Address, at uint64) Alert {
	return Alert{Key: codeClock + member.Hex(), Code: codeClock, Severity: ledger.Warning,
		Text: fmt.Sprintf("the clock of %s is ahead: it says %s", member, time.UnixMilli(int64(at)).UTC().Format(time.RFC3339)),
		Hint: "compare this machine's clock and the member's with a time server"}
}

func alertNoShare(payer common.Address) Alert {
	return Alert{Code: codeNoShare, Severity: ledger.Critical,
		Text: fmt.Sprintf("the vault holds no share of the key of %s: this node verifies and does not sign", payer),
		Hint: "restore the vault of this node from its backup"}
}

func alertStuck(why string) Alert {
	return Alert{Code: codeStuck, Severity: ledger.Critical, Text: why, Hint: "talk to the other operators: the key must be refreshed"}
}

func alertCeremony(o tss.Outcome) Alert {
	return Alert{Code: codeCeremony, Severity: ledger.Warning,
		Text: fmt.Sprintf("key generation %s in round %d: %v, silent: %v", o.Ending, o.Round, o.Err, o.Silent),
		Hint: "it is tried again while all members are online"}
}

func alertLane(code, network string, err error) Alert {
	return Alert{Key: code + network, Code: code, Severity: ledger.Warning, Text: fmt.Sprintf("%s: %v", network, err),
		Hint: "check the lane's endpoints; payouts on it wait until they answer alike"}
}
