package batch

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Proven is a batch every signature of which was verified, by one committee. It costs nearly all the time that judging a
// batch takes, and it needs no state: a node that catches up does it beside the state's owner, many batches at once.
type Proven struct {
	b     Batch
	id    common.Hash
	epoch uint64 // whose members signed
	views []quorum.View
}

// Prove reads a value and verifies what its members signed: VIEWs and certificates. It fails with [ErrInvalid]. Nothing
// else of the batch is judged; [State.ApplyProven] does that. The empty certificate of an entry that the operators
// resolved proves nothing and passes: the rules accept it there and nowhere else.
func Prove(network common.Hash, roster quorum.Roster, value []byte) (Proven, error) {
	b, err := Decode(value)
	if err != nil {
		return Proven{}, err
	}
	views, err := openViews(network, roster, b)
	if err != nil {
		return Proven{}, err
	}
	for _, it := range b.Items {
		if empty(it.Cert, quorum.UncheckedCertificate{}) {
			continue
		}
		if _, err := it.Cert.Verify(network, roster); err != nil {
			return Proven{}, invalid("withdrawal %d: %v", it.Content.WID, err)
		}
	}
	for _, r := range b.Rejects {
		if empty(r.Cert, quorum.UncheckedRefusal{}) {
			continue
		}
		if _, err := r.Cert.Verify(network, roster); err != nil {
			return Proven{}, invalid("withdrawal %d: %v", r.Content.WID, err)
		}
	}
	for _, u := range b.Releases {
		if _, err := u.Verify(network, roster); err != nil {
			return Proven{}, invalid("release of nonce %d: %v", u.Outcome.Nonce, err)
		}
	}
	return Proven{b, quorum.ValueID(network, value), roster.Epoch, views}, nil
}

// Kind is what the batch does.
func (p Proven) Kind() Kind { return p.b.Kind }

// Batch is what was proven.
func (p Proven) Batch() Batch { return p.b }

// ValidProven is [State.Valid] of what was proven, by the committee in force now.
func (s *State) ValidProven(p Proven) error {
	if p.epoch != s.Roster.Epoch {
		return invalid("proven by the committee of epoch %d, in force is %d", p.epoch, s.Roster.Epoch)
	}
	if err := s.inTurn(p.b); err != nil {
		return err
	}
	return s.rules(p.b, p.views, false)
}

// ApplyProven is [State.Apply] of a decision whose value was proven beforehand, by the committee in force now.
func (s *State) ApplyProven(c quorum.Committed, p Proven) (Effects, error) {
	if c.Zero() || p.id != c.ID() || p.epoch != s.Roster.Epoch {
		return Effects{}, fmt.Errorf("decision %d: another value was proven, or by another committee", c.Height())
	}
	return s.apply(c, p.b, func() error { return s.ValidProven(p) })
}
