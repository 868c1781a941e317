package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// RecordView is one member's whole record, as its node signed it once.
type RecordView struct {
	Name       string         `json:"name"`
	Member     common.Address `json:"member"`
	PublicKey  string         `json:"public_key"` // 0x-hex, compressed
	Operator   common.Address `json:"operator"`
	Multiaddrs []string       `json:"multiaddrs"`
}

// ViewRecord is the view of a record.
func ViewRecord(m quorum.Member) RecordView {
	return RecordView{m.Name, m.Address, hexBytes(m.PublicKey[:]), m.Operator, m.Multiaddrs}
}

// Record is the record that a view shows. It fails when it could be nobody's.
func (v RecordView) Record() (quorum.Member, error) {
	m := quorum.Member{Name: v.Name, Address: v.Member, Operator: v.Operator, Multiaddrs: v.Multiaddrs}
	if err := m.PublicKey.UnmarshalText([]byte(v.PublicKey)); err != nil {
		return m, fmt.Errorf("public key of %s: %w", v.Member, err)
	}
	return m, m.Check()
}

// DeletionView says whether a member of the epoch before said that it destroyed its share of it.
type DeletionView struct {
	Name   string         `json:"name"`
	Member common.Address `json:"member"`
	Done   bool           `json:"done"`
}

// What becomes of a change of members.
const (
	changeWaits  = "waiting"  // for operators' signatures
	changeActive = "active"   // it is carried out
	changeOver   = "given up" // q operators signed another one with a higher serial
)

// ChangeView is what a proposed change of members does, and how far it is.
type ChangeView struct {
	State    string         `json:"state"` // "waiting" for signatures, "active", or "given up": a later one took its place
	Joins    []OperatorView `json:"joins"`
	Leaves   []OperatorView `json:"leaves"`
	Changed  []OperatorView `json:"changed"` // whose record becomes another, as it will be
	Members  int            `json:"members"` // of the committee to come
	Quorum   int            `json:"quorum"`  // of the committee to come: so many decide, and so many shares sign
	Reason   string         `json:"reason"`
	Sweep    bool           `json:"sweep"`              // a new key is made behind it, and everything moved to its address
	Ceremony *KeygenStatus  `json:"ceremony,omitempty"` // of an active change, with a node that takes part
}

// viewChange describes a proposed change of members; nil for other actions.
func (c *core) viewChange(p *proposal) *ChangeView {
	change, ok := p.v.Body().(quorum.MemberChange)
	if !ok {
		return nil
	}
	joins, leaves, changed := change.Differs(c.state.Roster)
	after := quorum.Roster{Members: change.Members}
	out := &ChangeView{Joins: whoAre(joins, after), Leaves: whoAre(leaves, c.state.Roster), Changed: whoAre(changed, after),
		Members: len(change.Members), Quorum: after.Q(), Reason: change.Reason, Sweep: change.Sweep, State: changeWaits}
	active, ok := c.state.ActiveChange(c.openActions(), uint64(c.now().UnixMilli()))
	switch {
	case !ok:
	case active.Action().Hash(c.network) == p.hash:
		out.State = changeActive
		if f := c.ceremony; f != nil && f.hash == p.hash {
			out.Ceremony = f.describe(c)
		}
	case active.Action().Serial >= p.v.Action().Serial:
		out.State = changeOver
	}
	return out
}

// openActions are the actions that are not decided yet, in their one order.
func (c *core) openActions() []quorum.VerifiedAction {
	var open []quorum.VerifiedAction
	for _, p := range c.proposals.sorted() {
		open = append(open, p.v)
	}
	return open
}

// waits says what a change of members waits for, "" when this node does not know.
func (v *ChangeView) waits() string {
	switch {
	case v.State == changeOver:
		return "given up: operators signed a later change"
	case v.State != changeActive:
		return "" // the signatures are counted elsewhere
	case v.Ceremony == nil:
		return "the ceremony of the members"
	}
	return v.Ceremony.step()
}

func whoAre(ids quorum.Members, of quorum.Roster) []OperatorView {
	out := []OperatorView{}
	for _, id := range ids {
		if m, ok := of.Find(id); ok {
			out = append(out, OperatorView{m.Name, m.Address, m.Operator})
		}
	}
	return out
}

// deletionsOf lists the members of the epoch before, and which of them said that their shares of it are gone.
func deletionsOf(tx *ledger.Tx, epoch uint64) ([]DeletionView, error) {
	out := []DeletionView{}
	if epoch < 2 { // nothing was handed on yet
		return out, nil
	}
	was, _, _, ok, err := tx.EpochRecord(epoch - 1)
	if err != nil || !ok {
		return out, err
	}
	for _, m := range was.Members {
		out = append(out, DeletionView{Name: m.Name, Member: m.Address})
	}
	return out, tx.Deletions(epoch, func(member common.Address, _ []byte) error {
		i := slices.IndexFunc(out, func(d DeletionView) bool { return d.Member == member })
		if i < 0 {
			return errors.New("a deletion of who held no share")
		}
		out[i].Done = true
		return nil
	})
}

// changeReasons says why a node that is no member, or whose committee has no key or changes, is as it is. connected counts the
// others that it talks with.
func (s Status) changeReasons(connected int) (out []Reason) {
	k := s.Keygen
	switch {
	case k != nil && k.Change == nil && k.Done:
		out = append(out, Reason{Code: "no-key", Text: "the key is made; its members are being decided"})
	case k != nil && k.Change == nil && s.Member && !k.Confirmed:
		out = append(out, Reason{Code: "no-key", Text: "the committee has no key yet, and nobody confirmed its fingerprint here: this node takes no part in making one",
			Hint: "conclave keygen --home DIR; or conclave run --fingerprint CODE"})
	case k != nil && k.Change == nil && s.Member:
		out = append(out, Reason{Code: "no-key", Text: "the committee has no key yet: the ceremony needs every member online"})
	case k != nil && k.Change != nil && s.Member:
		out = append(out, Reason{Code: "member-change", Text: fmt.Sprintf("a change of members is carried out: %s; payouts go on", k.step()),
			Hint: "conclave member status"})
	}
	if s.Member || s.Removed {
		return out
	}
	r := Reason{Code: reasonInvited, Text: "this node is no member yet: "}
	switch {
	case connected == 0:
		r.Text += "no member is connected; they connect once q operators have signed a change of members that lists this node"
		r.Hint = "send member.json to an operator of a member: conclave member propose add; it is signed? see [p2p], and ask for a newer invitation"
	case k != nil && k.Change != nil:
		r.Text += "it takes part in the change that makes it one: " + k.step()
	default:
		r.Text += fmt.Sprintf("it reads what was decided, and is at height %d", s.Height)
	}
	return append(out, r)
}

// step says in words how far a ceremony is.
func (k *KeygenStatus) step() string {
	switch {
	case k.Done:
		return "put to the vote of the members in force"
	case k.Shares:
		return fmt.Sprintf("the new shares are tried, %d have signed", len(k.Tried))
	case len(k.Missing) > 0:
		return fmt.Sprintf("attempt %d, %d members are missing", k.Attempt, len(k.Missing))
	default:
		return fmt.Sprintf("attempt %d, round %d of %d", k.Attempt, k.Round, k.Rounds)
	}
}

// reasonInvited is why a node that was asked to join is not ready.
const reasonInvited = "invited"

// connected counts the others that this node talks with.
func (n *Node) connected() (count int) {
	for _, p := range n.net.Peers() {
		if p.Connected && p.Address != n.self {
			count++
		}
	}
	return count
}
