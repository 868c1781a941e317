package node

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// RiskView is what custodian_risk answers: the policy in force, and every rule with its threshold and where it stands.
type RiskView struct {
	Policy     PolicyView      `json:"policy"`
	Overlay    *OverlayView    `json:"overlay"` // null: this node runs the committee's rules and no others
	Rules      []RuleView      `json:"rules"`
	Objections []ObjectionView `json:"objections"`
}

// PolicyView names a policy.
type PolicyView struct {
	Version uint64      `json:"version"`
	Hash    common.Hash `json:"hash"`
}

// OverlayView names this operator's stricter rules. They spend fault budget: what they hold back lacks this node's word.
type OverlayView struct {
	Hash  common.Hash `json:"hash"`
	Rules []string    `json:"rules"` // that are stricter than the policy's
}

// Classes of rules, by what they may read.
const (
	classHard     = "hard"     // each node, before a verdict
	classGovernor = "governor" // inside a batch, equal on every node
	classWatch    = "watch"    // each node, by its own clock; never withholds a verdict
)

// States of a rule.
const (
	ruleOn       = "on"
	ruleOff      = "off"
	ruleCounting = "counting" // what it reads is being counted for the policy in force
	ruleBreached = "breached"
)

// RuleView is one rule.
type RuleView struct {
	Rule      string     `json:"rule"`
	Class     string     `json:"class"`
	State     string     `json:"state"`
	Effect    string     `json:"effect"` // at worst: refuse, fuse, freeze, wait, queue or alert
	Subject   string     `json:"subject,omitempty"`
	Threshold string     `json:"threshold"`
	Observed  string     `json:"observed,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	Local     bool       `json:"local,omitempty"` // stricter than the policy by this node's overlay
}

// Risk describes the rules in force here.
func (n *Node) Risk() (RiskView, error) {
	p, o := n.policy(), n.cfg.Overlay
	out := RiskView{Policy: PolicyView{p.Version, p.Hash}, Rules: []RuleView{}}
	var counting bool
	err := n.led.View(func(tx *ledger.Tx) error {
		kept, err := tx.RiskKept(o.Over(p).Limits, n.genesis.Cutover.Event)
		counting = !kept
		return err
	})
	if err != nil {
		return out, err
	}
	local := []string{}
	for _, r := range risk.Rules(p, o) {
		v := RuleView{Rule: r.Name, Class: classHard, State: ruleOff, Effect: r.Effect, Threshold: r.Threshold, Local: r.Local}
		switch {
		case r.On && counting && r.Name == "accrual":
			v.State = ruleCounting
		case r.On:
			v.State = ruleOn
		}
		if r.Local {
			local = append(local, r.Name)
		}
		out.Rules = append(out.Rules, v)
	}
	if !o.Empty() {
		out.Overlay = &OverlayView{o.Hash, local}
	}
	out.Rules = append(out.Rules, governorViews(p)...)
	out.Rules = append(out.Rules, n.watchViews()...)
	out.Objections, err = n.Objections()
	return out, err
}

// governorViews lists the rules that queue.
func governorViews(p quorum.Policy) (out []RuleView) {
	add := func(rule, subject, threshold string) {
		out = append(out, RuleView{Rule: rule, Class: classGovernor, State: ruleOn, Effect: "queue", Subject: subject, Threshold: threshold})
	}
	for _, g := range p.Governors {
		subject := string(g.Scope)
		if g.Network != "" {
			subject += " on " + g.Network
		}
		add("bucket", subject, fmt.Sprintf("at most %s wei at once, refilled by %s wei per %s", g.Capacity.Dec(), g.Refill.Dec(), g.Per))
	}
	if p.Shares.NewPercent > 0 {
		add("share-new", "", fmt.Sprintf("at most %d %% of a batch of %d or more go where nothing was ever paid", p.Shares.NewPercent, p.Shares.MinItems))
	}
	if p.Shares.DestinationPercent > 0 {
		add("share-destination", "", fmt.Sprintf("at most %d %% of a batch of %d or more go to one destination", p.Shares.DestinationPercent, p.Shares.MinItems))
	}
	return out
}

// watchViews lists the rules that look at rates, as they stand.
func (n *Node) watchViews() (out []RuleView) {
	for _, s := range n.watchStates() {
		v := RuleView{Rule: s.Rule, Class: classWatch, State: ruleOn, Effect: "alert or fuse", Subject: s.Subject, Threshold: s.Threshold, Observed: s.Observed}
		if s.Breached {
			at := time.Unix(int64(s.Since), 0).UTC()
			v.State, v.Since = ruleBreached, &at
		}
		out = append(out, v)
	}
	return out
}
