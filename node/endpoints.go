package node

import (
	"fmt"
	"time"

	"conclave/chain"
	"conclave/ledger"
)

// codeEndpoint is the alert about one endpoint of several.
const codeEndpoint = "endpoint-down"

// endpointGrace is how long an endpoint may fail before people hear of it: every server restarts now and then.
const endpointGrace = time.Minute

// EndpointStatus is one of a lane's endpoints, as this node's reads found it.
type EndpointStatus struct {
	Name          string     `json:"name"`
	Answered      *time.Time `json:"answered"`          // last; null: never
	Block         uint64     `json:"final_block"`       // the newest that it showed
	Behind        uint64     `json:"behind"`            // blocks by which that is behind what enough others show
	Failing       *time.Time `json:"failing,omitempty"` // since when it is left out while the others are enough
	Error         string     `json:"error,omitempty"`   // why
	Failures      uint64     `json:"failures"`
	Disagreed     *time.Time `json:"disagreed,omitempty"` // when it last said something else than others
	Disagreements uint64     `json:"disagreements"`
}

// health is what several endpoints know of each other.
type health interface{ Health() []chain.Health }

// endpoints lists a lane's endpoints; empty when there is only one way to the chain.
func (w *watcher) endpoints() []EndpointStatus {
	out := []EndpointStatus{}
	many, ok := w.end.(health)
	if !ok {
		return out
	}
	for _, h := range many.Health() {
		out = append(out, EndpointStatus{Name: h.Name, Answered: moment(h.Answered), Block: h.Final, Behind: h.Behind, Failing: moment(h.Failing),
			Error: h.Err, Failures: h.Failures, Disagreed: moment(h.Disagreed), Disagreements: h.Disagreements})
	}
	return out
}

// moment is a time for people; nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// sick calls people for endpoints that fail for long, one by one: the lane may go on without them, until one more fails.
func (w *watcher) sick() {
	all := w.endpoints()
	if len(all) < 2 {
		return // of the only one there is the lane's own alert
	}
	for i, e := range all {
		key := fmt.Sprintf("%s%s/%d", codeEndpoint, w.lane.Network, i)
		if e.Failing == nil {
			w.n.alerts.recover(key)
			continue
		}
		if w.n.now().Sub(*e.Failing) < endpointGrace {
			continue
		}
		w.n.alerts.ensure(Alert{Key: key, Code: codeEndpoint, Severity: ledger.Warning,
			Text: fmt.Sprintf("%s: endpoint %s, number %d of %d, is left out since %s: %s", w.lane.Network, e.Name, i+1, len(all),
				e.Failing.Format(time.RFC3339), e.Error)})
	}
}
