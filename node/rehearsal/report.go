package rehearsal

import (
	"cmp"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Report is what a policy would have done.
type Report struct {
	Version     uint64      `json:"version"`
	Hash        common.Hash `json:"hash"`
	Events      uint64      `json:"events"`
	Withdrawals uint64      `json:"withdrawals"`
	Payouts     uint64      `json:"payouts"` // decided batches with items
	From        time.Time   `json:"from"`    // log time
	To          time.Time   `json:"to"`
	Rules       []Finding   `json:"rules"`
	Drift       *Drift      `json:"drift,omitempty"`
}

// Effects of a rule.
const (
	Refused = "refused"
	Waiting = "waiting"
	Queued  = "queued"
	Frozen  = "frozen"
	Tripped = "tripped"
	Alerted = "alerted"
)

// Finding is what one rule would have done.
type Finding struct {
	Rule     string    `json:"rule"`
	Effect   string    `json:"effect"`
	Count    uint64    `json:"count"`
	Examples []Example `json:"examples"`
}

// Example is one case: the first ones are kept.
type Example struct {
	Of       string `json:"of"` // withdrawal, event or height
	ID       uint64 `json:"id"`
	Observed string `json:"observed"`
	Wanted   string `json:"wanted"`
}

// Drift is how long an injected inflation would have gone on.
type Drift struct {
	Percent uint64     `json:"percent"`
	From    *time.Time `json:"from"`    // null: the log is too short for the watch to learn what is usual
	Alerted *Delay     `json:"alerted"` // null: never
	Tripped *Delay     `json:"tripped"`
}

// Delay is when something was noticed.
type Delay struct {
	Hours uint64 `json:"hours"` // of log time since the drift began
	Lost  string `json:"lost"`  // wei that had been credited too much
}

// examples is how many cases of a rule are named.
const examples = 5

// tally counts findings by rule and effect.
type tally map[[2]string]*Finding

func (t tally) add(rule, effect string, x Example) {
	key := [2]string{rule, effect}
	if t[key] == nil {
		t[key] = &Finding{Rule: rule, Effect: effect, Examples: []Example{}}
	}
	f := t[key]
	if f.Count++; len(f.Examples) < examples {
		f.Examples = append(f.Examples, x)
	}
}

// list is by how much a rule does, then by name.
func (t tally) list() []Finding {
	out := []Finding{}
	for _, f := range t {
		out = append(out, *f)
	}
	order := []string{Refused, Tripped, Frozen, Queued, Waiting, Alerted}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(slices.Index(order, a.Effect)-slices.Index(order, b.Effect), cmp.Compare(a.Rule, b.Rule))
	})
	return out
}
