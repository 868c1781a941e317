package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// heardApproval offers a member's approval, with a fresh counter unless it has one.
func (p *protoNet) heardApproval(member int, a quorum.Approve) (added bool, ev *Evidence) {
	p.t.Helper()
	if a.Counter == 0 {
		a.Counter = p.next()
	}
	p.update(func(tx *Tx) (err error) { added, ev, err = tx.PutApproval(theirs(p, member, a)); return })
	return added, ev
}

func (p *protoNet) held(wid uint64) (n int) {
	p.view(func(tx *Tx) error { return tx.Verdicts(wid, func(Verdict) error { n++; return nil }) })
	return n
}

func (p *protoNet) evidence() (kinds []EvidenceKind) {
	p.view(func(tx *Tx) error {
		return tx.Evidences(func(e Evidence) error { kinds = append(kinds, e.Kind); require.NotZero(p.t, e.Found); return nil })
	})
	return kinds
}

func TestVerdictsAddUpToACertificate(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	for member := 1; member < 3; member++ {
		added, ev := p.heardApproval(member, p.approval(1))
		require.True(t, added)
		require.Nil(t, ev)
	}
	p.update(func(tx *Tx) error {
		r := p.refusal(1)
		r.Counter = p.next()
		added, ev, err := tx.PutRefusal(theirs(p, 3, r))
		require.True(t, added)
		require.Nil(t, ev)
		return err
	})
	p.view(func(tx *Tx) error {
		approvals, refusals, err := tx.VerdictsInForce(1, protoPolicy)
		require.NoError(t, err)
		require.Len(t, refusals, 1)
		_, ok := quorum.Certify(p.roster, approvals)
		require.True(t, ok, "the own approval counts too")
		other, none, err := tx.VerdictsInForce(1, quorum.PolicyRef{Version: 2})
		require.Empty(t, other)
		require.Empty(t, none)
		return err
	})
}

func TestTheSameVerdictAgainIsNothing(t *testing.T) {
	p := newProtoNet(t, 4)
	a := p.approval(1)
	a.Counter = 5
	added, _ := p.heardApproval(1, a)
	require.True(t, added)
	added, ev := p.heardApproval(1, a)
	require.False(t, added)
	require.Nil(t, ev)
	require.Empty(t, p.evidence())
}

func TestContradictionsAreEvidence(t *testing.T) {
	first := func(p *protoNet) quorum.Approve { a := p.approval(1); a.Counter = 5; return a }
	for name, c := range map[string]struct {
		second func(p *protoNet) quorum.Approve
		want   EvidenceKind
	}{
		"two verdicts": {func(p *protoNet) quorum.Approve {
			a := p.approval(1)
			a.Content = common.HexToHash("0x66")
			return a
		}, EvidenceVerdicts},
		"two verdicts that differ in time": {func(p *protoNet) quorum.Approve { a := p.approval(1); a.Time = 99; return a }, EvidenceVerdicts},
		"two heads": {func(p *protoNet) quorum.Approve {
			a := p.approval(2)
			a.Account, a.Head = p.content(1).Account, common.HexToHash("0x66")
			return a
		}, EvidenceHeads},
		"two statements with one counter": {func(p *protoNet) quorum.Approve { a := p.approval(2); a.Counter = 5; return a }, EvidenceCounter},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProtoNet(t, 4)
			p.heardApproval(1, first(p))
			_, ev := p.heardApproval(1, c.second(p))
			require.NotNil(t, ev)
			require.Equal(t, c.want, ev.Kind)
			require.Equal(t, addressOf(p.keys[1]), ev.Member)
			require.Equal(t, []EvidenceKind{c.want}, p.evidence())

			// The bytes prove it to anyone who knows the members.
			one, err := quorum.Open[quorum.Approve](p.network, p.roster.IDs(), ev.First)
			require.NoError(t, err)
			two, err := quorum.Open[quorum.Approve](p.network, p.roster.IDs(), ev.Second)
			require.NoError(t, err)
			require.Equal(t, one.Signer(), two.Signer())
			require.NotEqual(t, one.Body(), two.Body())

			// Another member may say what it likes.
			_, ev = p.heardApproval(2, c.second(p))
			require.Nil(t, ev)
		})
	}
	t.Run("approve and refuse", func(t *testing.T) {
		p := newProtoNet(t, 4)
		p.heardApproval(1, first(p))
		p.update(func(tx *Tx) error {
			r := p.refusal(1)
			r.Counter = 6
			added, ev, err := tx.PutRefusal(theirs(p, 1, r))
			require.False(t, added, "the first is kept")
			require.Equal(t, EvidenceVerdicts, ev.Kind)
			return err
		})
	})
	t.Run("another policy is no contradiction", func(t *testing.T) {
		p := newProtoNet(t, 4)
		p.heardApproval(1, first(p))
		a := p.approval(1)
		a.Policy, a.Head = quorum.PolicyRef{Version: 2}, common.HexToHash("0x66")
		added, ev := p.heardApproval(1, a)
		require.True(t, added)
		require.Nil(t, ev)
	})
}

func TestVerdictsOfOneWithdrawalAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	for version := uint64(1); version <= 6; version++ {
		a := p.approval(1)
		a.Policy = quorum.PolicyRef{Version: version}
		added, _ := p.heardApproval(1, a)
		require.True(t, added)
	}
	require.Equal(t, verdictsPerMember, p.held(1))
	old := p.approval(1)
	old.Policy = quorum.PolicyRef{Version: 2}
	added, _ := p.heardApproval(1, old)
	require.False(t, added, "an older policy does not push out a newer one")
	claims := 0
	p.view(func(tx *Tx) error {
		return tx.each(bucketVerdictClaim, nil, func(_, _ []byte) error { claims++; return nil })
	})
	require.Equal(t, verdictsPerMember, claims, "heads are forgotten with their verdicts")
}

func TestVerdictsOfOneMemberAreBounded(t *testing.T) {
	p := newProtoNet(t, 4)
	liar := addressOf(p.keys[1])
	p.update(func(tx *Tx) error { return tx.addCount(bucketVerdictCount, liar[:], MaxOpenVerdicts-1) })
	p.heardApproval(1, p.approval(1))
	p.refused(ErrFull, func(tx *Tx) error {
		a := p.approval(2)
		a.Counter = p.next()
		_, _, err := tx.PutApproval(theirs(p, 1, a))
		return err
	})
	added, _ := p.heardApproval(2, p.approval(2))
	require.True(t, added, "it costs the liar alone")

	// A decision gives the share back.
	p.pay(0, 1)
	added, _ = p.heardApproval(1, p.approval(2))
	require.True(t, added)
}

func TestVerdictsOfDecidedWithdrawals(t *testing.T) {
	p := newProtoNet(t, 4)
	first := p.approval(1)
	first.Counter = 5
	p.heardApproval(1, first)
	p.heardApproval(2, p.approval(3))
	p.pay(0, 1)
	require.Equal(t, 1, p.held(1), "kept for auditors")
	var open []uint64
	p.view(func(tx *Tx) error {
		return tx.OpenWithdrawals(func(wid uint64) error { open = append(open, wid); return nil })
	})
	require.Equal(t, []uint64{3}, open)

	added, _ := p.heardApproval(2, p.approval(1))
	require.False(t, added)
	second := p.approval(1)
	second.Time = 77
	_, ev := p.heardApproval(1, second)
	require.NotNil(t, ev, "a contradiction is evidence for ever")
}

func TestVerdictsOfAnotherEpochAreRefused(t *testing.T) {
	p := newProtoNet(t, 4)
	a := p.approval(1)
	a.Epoch, a.Counter = 2, 9
	p.refused(ErrNotInForce, func(tx *Tx) error { _, _, err := tx.PutApproval(theirs(p, 1, a)); return err })
}
