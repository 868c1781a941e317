package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// MemberChange names the committee of the next epoch, whole: who joins, who leaves and who stays follows from comparing it with
// the one in force. The members in force again, unchanged, is a rotation: fresh shares for the same people.
//
// Unlike the other actions it is never decided by itself. Its signatures let the old and the new committee reshare the key;
// the MEMBERS decision then carries it together with the proofs ([MembersAction.Change]).
type MemberChange struct {
	Members []Member // ascending by address
	Reason  string
	// Sweep orders what a removal for cause needs: once the change is decided, its members make a new key and move everything to it.
	Sweep bool `rlp:"optional"`
}

// NewMemberChange puts the members in their one order.
func NewMemberChange(members []Member, reason string) MemberChange {
	sorted := slices.SortedFunc(slices.Values(members), func(a, b Member) int { return a.Address.Cmp(b.Address) })
	return MemberChange{Members: sorted, Reason: reason}
}

// Action implements ActionBody.
func (MemberChange) Action() ActionKind { return ActionMembers }

// Check implements ActionBody.
func (m MemberChange) Check() error {
	if m.Reason == "" || len(m.Reason) > MaxText || !printable(m.Reason) {
		return fmt.Errorf("a reason of 1 to %d bytes of printable text", MaxText)
	}
	if !slices.IsSortedFunc(m.Members, func(a, b Member) int { return a.Address.Cmp(b.Address) }) {
		return errors.New("members must ascend")
	}
	_, err := NewRoster(0, m.Members)
	return err
}

// Roster is the committee that the change makes, in the epoch behind one.
func (m MemberChange) Roster(epoch uint64) (Roster, error) { return NewRoster(epoch+1, m.Members) }

// Differs tells what a change does to the committee in force: who comes, who goes, and whose record changes, by address.
func (m MemberChange) Differs(now Roster) (joins, leaves, changed Members) {
	after := Roster{Members: m.Members}
	for _, n := range m.Members {
		switch was, ok := now.Find(n.Address); {
		case !ok:
			joins = append(joins, n.Address)
		case MemberDigest(was) != MemberDigest(n):
			changed = append(changed, n.Address)
		}
	}
	for _, was := range now.Members {
		if _, stays := after.Find(was.Address); !stays {
			leaves = append(leaves, was.Address)
		}
	}
	return joins, leaves, changed
}

// typed shows the new committee whole: an operator must see every name and address that rules after its signature.
func (m MemberChange) typed(t *TypedStruct) {
	t.Name = "Members"
	list := TypedList{Of: typedMember(Member{})}
	for _, n := range m.Members {
		list.Items = append(list.Items, typedMember(n))
	}
	t.Fields = append(t.Fields, TypedField{"members", list}, TypedField{"quorum", uint64(Size(len(m.Members)))},
		TypedField{"reason", m.Reason})
	m.typedSweep(t)
}

func typedMember(n Member) TypedStruct {
	return TypedStruct{"Member", []TypedField{{"name", n.Name}, {"node", n.Address}, {"operator", n.Operator}}}
}

// DecodeMembersAction reads the action of a MEMBERS decision strictly; nothing in it is verified.
func DecodeMembersAction(raw []byte) (MembersAction, error) {
	var a MembersAction
	if err := rlp.DecodeBytes(raw, &a); err != nil {
		return MembersAction{}, badAction("%w", err)
	}
	// An absent optional field and an empty one would be two encodings of one action.
	if a.Change != nil && len(a.Change) == 0 || !bytes.Equal(mustEncode(a), raw) {
		return MembersAction{}, badAction("not the canonical encoding")
	}
	return a, nil
}

// Proposal reads the signed action that a MEMBERS decision carries. ok is false for the founding one, which carries none.
func (a MembersAction) Proposal() (s SignedAction, ok bool, err error) {
	if len(a.Change) == 0 {
		return s, false, nil
	}
	s, err = DecodeSignedAction(a.Change)
	return s, true, err
}

// CoveringSets counts the canary signatures that suffice for n members: each set has q, and together they must hold everyone.
func CoveringSets(n int) int {
	if Size(n) == n {
		return 1
	}
	return 2
}

// CanarySet is who signs the canary of a try: q members in a row, the next try f further on. Any two tries in a row hold
// everyone, so that each share has signed once before the key is trusted.
func CanarySet(ids Members, try uint64) Members {
	n := uint64(len(ids))
	first := try % n * uint64(max(ids.F(), 1)) % n
	set := make(Members, 0, ids.Q())
	for i := range uint64(ids.Q()) {
		set = append(set, ids[(first+i)%n])
	}
	slices.SortFunc(set, common.Address.Cmp)
	return set
}

// Covered reports whether every member stands in the set of one of the canaries.
func Covered(ids Members, canaries []Canary) bool {
	for _, id := range ids {
		if !slices.ContainsFunc(canaries, func(c Canary) bool { return c.Set.Has(id) }) {
			return false
		}
	}
	return true
}
