package node

import (
	"fmt"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// rules is the policy in force under this node's overlay: what the rules read that no verdict names.
func (n *Node) rules() quorum.Policy { return n.cfg.Overlay.Over(n.policy()) }

// explain asks every rule about a withdrawal as things are now, without asking the chain again.
func (j *judge) explain(tx *ledger.Tx, w ledger.Withdrawal) ([]ExplanationView, error) {
	f, _ := j.plainFacts(w, j.n.policy())
	f.Halted = halted(tx, w)
	j.mu.Lock()
	known, ok := j.dests[w.ID]
	if !ok {
		known = j.heard[w.ID]
	}
	j.mu.Unlock()
	f.Destination = known
	v, err := risk.Explain(tx, w, f)
	if err != nil {
		return nil, err
	}
	out := []ExplanationView{}
	for _, e := range v.Explanations {
		out = append(out, ExplanationView{Rule: e.Rule, Outcome: string(e.Outcome), Threshold: e.Threshold, Observed: e.Observed,
			Evidence: e.Evidence, Do: e.Do, Local: e.Local})
	}
	return out, nil
}

// waitReason says why this node's own verdict waits.
func waitReason(v risk.Verdict) []Reason {
	if v.Kind != risk.Wait {
		return nil
	}
	out := []Reason{}
	for _, e := range v.Explanations {
		if e.Outcome == risk.Passed || e.Outcome == risk.Unasked {
			continue
		}
		code := e.Code()
		if code == "" {
			code = v.Code
		}
		out = append(out, Reason{Code: string(code), Text: fmt.Sprintf("%s: %s", e.Rule, e.Observed), Hint: e.Do})
	}
	return out
}
