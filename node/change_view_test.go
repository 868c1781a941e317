package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// changeTo is a change of members that operators signed.
func (l *lab) changeTo(members []quorum.Member, serial uint64, operators ...int) quorum.SignedAction {
	a, err := quorum.NewAction(l.state.Roster.Epoch, l.state.Policy.Version, serial, quorum.NewMemberChange(members, "the last one leaves"))
	require.NoError(l.t, err)
	s := quorum.SignedAction{Action: a}
	slices.SortFunc(operators, func(x, y int) int { return operatorAddress(x).Cmp(operatorAddress(y)) })
	for _, i := range operators {
		e, err := quorum.SignAction(testKey("operator", i), l.network, a, signedAt())
		require.NoError(l.t, err)
		s.Signatures = append(s.Signatures, e)
	}
	return s
}

// newcomer is a member that the lab's committee does not have.
func newcomer(i int) quorum.Member {
	key := testKey("member", i)
	return quorum.Member{Name: fmt.Sprint(i), Address: crypto.PubkeyToAddress(key.PublicKey), PublicKey: compressed(key),
		Operator: operatorAddress(i), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7000"}}
}

// What is shown of a change follows from its bytes and from who signed which.
func TestChangeOfMembersIsShown(t *testing.T) {
	l := newLab(t)
	was := l.state.Roster
	members := append(slices.Clone(was.Members[:3]), newcomer(9))
	members[0].Multiaddrs = []string{"/ip4/127.0.0.1/tcp/7001"}
	show := func(s quorum.SignedAction) ProposalView {
		p, err := l.core.propose(s)
		require.NoError(t, err)
		return l.viewProposal(p)
	}
	v := show(l.changeTo(members, 1, 0))
	require.Equal(t, "waiting", v.Change.State)
	require.Equal(t, "1 of 3 operators signed", v.Waits)
	require.Equal(t, []OperatorView{{"9", members[3].Address, members[3].Operator}}, v.Change.Joins)
	require.Equal(t, []OperatorView{{was.Members[3].Name, was.Members[3].Address, was.Members[3].Operator}}, v.Change.Leaves)
	require.Equal(t, []OperatorView{{was.Members[0].Name, was.Members[0].Address, was.Members[0].Operator}}, v.Change.Changed)
	require.Equal(t, 4, v.Change.Members)
	require.Equal(t, 3, v.Change.Quorum)
	require.Nil(t, v.Change.Ceremony)

	v = show(l.changeTo(members, 1, 1, 2))
	require.Equal(t, "active", v.Change.State)
	require.Equal(t, v.Hash, *v.Change.Ceremony.Change)
	require.Contains(t, v.Change.Ceremony.Missing, members[3].Address)
	require.Contains(t, v.Waits, "members are missing")

	rotation := show(l.changeTo(was.Members, 2, 0, 1))
	require.Equal(t, "waiting", rotation.Change.State, "a later one that too few signed changes nothing")
	rotation = show(l.changeTo(was.Members, 2, 2))
	require.Equal(t, "active", rotation.Change.State)
	require.Empty(t, rotation.Change.Joins)
	v = l.viewProposal(l.proposals[v.Hash])
	require.Equal(t, "given up", v.Change.State)
	require.Nil(t, v.Change.Ceremony)
	require.Contains(t, v.Waits, "given up")

	require.Nil(t, show(l.policyAction(400, 3, 0)).Change)
}

// What `member reject` signs ends a change that q operators signed: the rules in force once more, under a higher serial.
func TestARejectionEndsTheChange(t *testing.T) {
	l := newLab(t)
	l.onPolicy = func(quorum.Policy) {}
	p, err := l.core.propose(l.changeTo(append(slices.Clone(l.state.Roster.Members), newcomer(9)), 1, 0, 1, 2))
	require.NoError(t, err)
	require.NotNil(t, l.ceremony)
	_, err = l.core.propose(l.policyAction(400, 2, 0, 1, 2))
	require.NoError(t, err)
	l.tickMembership(l.now().Add(time.Minute))
	require.NotNil(t, l.ceremony, "it goes on until the other is decided")
	for _, v := range l.views(l.state.Height, uint64(time.Now().UnixMilli())) {
		l.pool.addView(v)
	}
	for _, open := range l.proposals {
		open.tried = time.Time{}
	}
	b, ok := l.build()
	require.True(t, ok)
	require.Equal(t, batch.Policy, b.Kind)
	ended := l.ceremony.ctx
	require.NoError(t, l.hearDecision(l.decision(b)))
	require.NotContains(t, l.proposals, p.hash)
	l.tickMembership(l.now().Add(2 * time.Minute))
	require.Nil(t, l.ceremony)
	require.Error(t, ended.Err(), "what ran for it has ended")
}

// Who said that its old share is gone is listed beside who did not.
func TestDeletionsAreShown(t *testing.T) {
	l := newLab(t)
	was := l.state.Roster
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		none, err := deletionsOf(tx, 1)
		require.Empty(t, none, "nothing was handed on")
		return err
	}))
	l.succeed(l.changeTo(was.Members, 1, 0, 1, 2), was.Members)
	require.Equal(t, uint64(2), l.state.Roster.Epoch)
	l.sayDeleted(2)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		list, err := deletionsOf(tx, 2)
		require.Len(t, list, 4)
		for _, d := range list {
			require.Equal(t, d.Member == l.self, d.Done, d.Name)
		}
		return err
	}))
}

// succeed decides the change of members: the ordinary key that is the threshold key here stays.
func (l *lab) succeed(change quorum.SignedAction, members []quorum.Member) {
	epoch, payer := l.state.Roster.Epoch+1, testKey("payer", 0)
	ids := quorum.Roster{Members: members}.IDs()
	a := quorum.MembersAction{Epoch: epoch, Members: members, Change: change.Encode(), Transcript: quorum.Transcript{
		Epoch: epoch, Session: common.Hash{byte(epoch)}, PublicKey: compressed(payer), Members: ids, Threshold: uint64(ids.Q()),
	}}
	l.prove(&a)
	b, err := l.state.BuildMembers(a, l.views(0, signedAt()))
	require.NoError(l.t, err)
	require.NoError(l.t, l.hearDecision(l.decision(b)))
}

// TestAnAddressThatNobodyCanDialStopsNobody: operators may sign any text. It is refused where it is handed in, and a committee that
// decided it all the same goes on without it.
func TestAnAddressThatNobodyCanDialStopsNobody(t *testing.T) {
	l := newLab(t)
	members := slices.Clone(l.state.Roster.Members)
	members[1].Multiaddrs = []string{"the third house on the left", "/ip4/127.0.0.1/tcp/7001"}
	change := l.changeTo(members, 1, 0, 1, 2)
	_, err := l.core.propose(change)
	require.ErrorIs(t, err, errProposal)
	require.ErrorContains(t, err, "the third house")
	l.succeed(change, members)
	require.NoError(t, l.fatal)
	require.EqualValues(t, 2, l.state.Roster.Epoch)
	for _, p := range l.links() {
		require.NotContains(t, l.dialable(p), members[1].Multiaddrs[0])
	}
}

// A node says whether it is a member, and what it waits for.
func TestReasonsOfAChange(t *testing.T) {
	change := common.Hash{1}
	for name, c := range map[string]struct {
		s         Status
		connected int
		code      string
		text      string
	}{
		"member, nothing to say": {Status{Member: true}, 3, "", ""},
		"no key":                 {Status{Member: true, Keygen: &KeygenStatus{Confirmed: true}}, 3, "no-key", "needs every member"},
		"nobody confirmed":       {Status{Member: true, Keygen: &KeygenStatus{}}, 3, "no-key", "takes no part"},
		"key made":               {Status{Member: true, Keygen: &KeygenStatus{Done: true}}, 3, "no-key", "being decided"},
		"change":                 {Status{Member: true, Keygen: &KeygenStatus{Change: &change, Attempt: 3, Round: 1, Rounds: 5}}, 3, "member-change", "attempt 3, round 1 of 5; payouts go on"},
		"change waits":           {Status{Member: true, Keygen: &KeygenStatus{Change: &change, Missing: quorum.Members{{1}}}}, 3, "member-change", "1 members are missing"},
		"removed":                {Status{Removed: true}, 0, "", ""}, // an alert says it
		"newcomer, alone":        {Status{Keygen: &KeygenStatus{}}, 0, "invited", "once q operators have signed"},
		"newcomer, reads":        {Status{Keygen: &KeygenStatus{}, Height: 7}, 2, "invited", "at height 7"},
		"newcomer, takes part":   {Status{Keygen: &KeygenStatus{Change: &change, Shares: true, Tried: quorum.Members{{1}, {2}}}}, 2, "invited", "tried, 2 have signed"},
		"newcomer, voted on":     {Status{Keygen: &KeygenStatus{Change: &change, Done: true}}, 2, "invited", "put to the vote"},
	} {
		got := c.s.changeReasons(c.connected)
		if c.code == "" {
			require.Empty(t, got, name)
			continue
		}
		require.Len(t, got, 1, name)
		require.Equal(t, c.code, got[0].Code, name)
		require.Contains(t, got[0].Text, c.text, name)
		require.Equal(t, c.code != "member-change", notReady[c.code], "a change of members keeps nobody from paying")
	}
}

func TestRecordsAreShownWhole(t *testing.T) {
	m := newcomer(9)
	got, err := ViewRecord(m).Record()
	require.NoError(t, err)
	require.Equal(t, m, got)
	for _, spoil := range []func(*RecordView){
		func(v *RecordView) { v.PublicKey = "0x02" },
		func(v *RecordView) { v.Member[3]++ },
		func(v *RecordView) { v.Multiaddrs = nil },
	} {
		v := ViewRecord(m)
		spoil(&v)
		_, err := v.Record()
		require.Error(t, err)
	}
}
