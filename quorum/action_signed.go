package quorum

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// SignAction signs an action at a time with an operator's key.
func SignAction(key *ecdsa.PrivateKey, network common.Hash, a Action, time uint64) (Endorsed, error) {
	digest, err := a.Digest(network, time)
	if err != nil {
		return Endorsed{}, err
	}
	sig, err := SignDigest(key, digest)
	return Endorsed{time, sig}, err
}

// Operator returns whose signature e is under an action. A signature of anything else gives an address that nobody has.
func (a Action) Operator(network common.Hash, e Endorsed) (common.Address, error) {
	digest, err := a.Digest(network, e.Time)
	if err != nil {
		return common.Address{}, err
	}
	return e.Sig.Recover(digest)
}

// VerifiedAction is an action under which at least one operator of a roster signed, each counted once. Only
// [SignedAction.Open] makes one.
type VerifiedAction struct {
	action Action
	body   ActionBody
	by     []common.Address // ascending
	sigs   []Endorsed       // in the same order
}

// Action returns what was signed.
func (v VerifiedAction) Action() Action { return v.action }

// Body returns what it does.
func (v VerifiedAction) Body() ActionBody { return v.body }

// Operators returns who signed, ascending.
func (v VerifiedAction) Operators() []common.Address { return slices.Clone(v.by) }

// Signed returns the action with all its signatures, for encoding.
func (v VerifiedAction) Signed() SignedAction { return SignedAction{v.action, slices.Clone(v.sigs)} }

// Time is the lower median of the times of the signatures, unix ms.
func (v VerifiedAction) Time() uint64 {
	times := make([]uint64, len(v.sigs))
	for i, s := range v.sigs {
		times[i] = s.Time
	}
	return LowerMedian(times)
}

// Within is the action with those of its signatures that were given from one time to another, both included.
func (v VerifiedAction) Within(from, to uint64) VerifiedAction {
	out := VerifiedAction{action: v.action, body: v.body}
	for i, e := range v.sigs {
		if e.Time >= from && e.Time <= to {
			out.by, out.sigs = append(out.by, v.by[i]), append(out.sigs, e)
		}
	}
	return out
}

// SignedAt is when an operator signed, unix ms; ok is false when it did not.
func (v VerifiedAction) SignedAt(operator common.Address) (at uint64, ok bool) {
	for i, by := range v.by {
		if by == operator {
			return v.sigs[i].Time, true
		}
	}
	return 0, false
}

// Quorum is the action with exactly q signatures, those that were given last: so many can be decided. ok is false while
// there are fewer.
func (v VerifiedAction) Quorum(q int) (SignedAction, bool) {
	if len(v.sigs) < q {
		return SignedAction{}, false
	}
	order := make([]int, len(v.sigs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := v.sigs[a].Time, v.sigs[b].Time; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	order = order[:q]
	slices.Sort(order)
	out := SignedAction{Action: v.action}
	for _, i := range order {
		out.Signatures = append(out.Signatures, v.sigs[i])
	}
	return out, true
}

// Join adds the signatures of another copy of the same action; an operator that signed twice counts once, by the later
// time. added is false when nothing is new.
func (v VerifiedAction) Join(other VerifiedAction) (joined VerifiedAction, added bool) {
	joined = VerifiedAction{action: v.action, body: v.body}
	i, j := 0, 0
	for i < len(v.by) || j < len(other.by) {
		order := 1
		switch {
		case j == len(other.by):
			order = -1
		case i < len(v.by):
			order = bytes.Compare(v.by[i][:], other.by[j][:])
		}
		from, at := v, i
		if order > 0 || (order == 0 && other.sigs[j].Time > v.sigs[i].Time) {
			from, at, added = other, j, true
		}
		joined.by, joined.sigs = append(joined.by, from.by[at]), append(joined.sigs, from.sigs[at])
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	return joined, added
}

// Open checks every signature: each of an operator of the roster, ascending and distinct. One that is not makes the whole
// [ErrAction], so that nobody can fill copies with what does not count.
func (s SignedAction) Open(network common.Hash, r Roster) (VerifiedAction, error) {
	body, err := s.Action.Open()
	if err != nil {
		return VerifiedAction{}, err
	}
	if s.Action.Epoch != r.Epoch {
		return VerifiedAction{}, badAction("of epoch %d, in force is %d", s.Action.Epoch, r.Epoch)
	}
	if len(s.Signatures) == 0 || len(s.Signatures) > len(r.Members) {
		return VerifiedAction{}, badAction("%d signatures of %d operators", len(s.Signatures), len(r.Members))
	}
	v := VerifiedAction{action: s.Action, body: body}
	operators := r.Operators()
	for i, e := range s.Signatures {
		by, err := s.Action.Operator(network, e)
		if err != nil {
			return VerifiedAction{}, badAction("signature %d: %w", i, err)
		}
		if !operators.Has(by) {
			return VerifiedAction{}, badAction("signature %d: %s is not an operator", i, by)
		}
		if i > 0 && bytes.Compare(v.by[i-1][:], by[:]) >= 0 {
			return VerifiedAction{}, badAction("signature %d: operators are not ascending", i)
		}
		v.by, v.sigs = append(v.by, by), append(v.sigs, e)
	}
	return v, nil
}

// Verify is Open for a decision: exactly q signatures.
func (s SignedAction) Verify(network common.Hash, r Roster) (VerifiedAction, error) {
	if len(s.Signatures) != r.Q() {
		return VerifiedAction{}, badAction("%d signatures, want exactly %d", len(s.Signatures), r.Q())
	}
	return s.Open(network, r)
}

// Serialised checks that an action may be decided after serial last, under a policy version.
func (a Action) Serialised(policy, last uint64) error {
	switch {
	case a.Policy != policy:
		return badAction("signed under policy version %d, in force is %d", a.Policy, policy)
	case a.Serial <= last:
		return badAction("serial %d was decided or passed: the last is %d", a.Serial, last)
	case a.Serial-last > MaxSerialStep:
		return badAction("serial %d leaps from %d by more than %d", a.Serial, last, MaxSerialStep)
	}
	return nil
}

// String names the action for people.
func (a Action) String() string {
	return fmt.Sprintf("%s %d (epoch %d, policy %d)", a.Kind, a.Serial, a.Epoch, a.Policy)
}
