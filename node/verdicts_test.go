package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
)

// approves is member i's word on a withdrawal of the content that its id names.
func (l *lab) approves(i int, wid, epoch uint64) []byte {
	return by(l, i, quorum.Approve{Epoch: epoch, Policy: l.state.Policy.Ref(), Counter: 100 + wid, WID: wid, Content: common.BigToHash(common.Big1),
		Account: common.BigToAddress(common.Big2), Seq: wid, Time: 1}).Bytes()
}

func (l *lab) commits() uint64 {
	n, err := l.led.Commits()
	require.NoError(l.t, err)
	return n
}

// TestVerdictsThatComeTogetherCostOneCommit: what arrives while the core is busy waits for it in one place, is asked for once, and
// is written down together.
func TestVerdictsThatComeTogetherCostOneCommit(t *testing.T) {
	l := newLab(t)
	n := &Node{core: l.core, genesis: l.genesis, network: l.network, refusals: newRefusals(zap.NewNop())}
	const many = 100
	for wid := range uint64(many) {
		for i := 1; i < 4; i++ {
			require.True(t, n.verdict(l.genesis.Members[i].Address, l.approves(i, wid+1, 1)))
		}
	}
	require.Len(t, l.tasks, 1, "the core is asked to come once")
	before := l.commits()
	(<-l.tasks)()
	require.EqualValues(t, (3*many+keptTogether-1)/keptTogether, l.commits()-before)
	require.Len(t, l.pool.pay, many)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.OpenWithdrawals(func(wid uint64) error {
			as, _, err := tx.VerdictsInForce(wid, l.state.Policy.Ref())
			require.Len(t, as, 3)
			return err
		})
	}))

	before = l.commits()
	require.True(t, n.verdict(common.Address{}, l.approves(1, many+1, 1)))
	require.Len(t, l.tasks, 1, "and again for the next")
	(<-l.tasks)()
	l.hearFacts([][]byte{l.approves(1, 1, 1), l.approves(2, 1, 1)})
	require.EqualValues(t, 1, l.commits()-before, "what is held costs none")
	require.False(t, n.verdict(common.Address{}, by(l, 1, quorum.View{Epoch: 1, Time: 1}).Bytes()), "no verdict")
}

// TestAFullInboxIsCounted: the sender tells it again; a core that could not be asked is asked with the next.
func TestAFullInboxIsCounted(t *testing.T) {
	l := newLab(t)
	n := &Node{core: l.core, refusals: newRefusals(zap.NewNop())}
	from := l.genesis.Members[1].Address
	for range taskQueue {
		require.True(t, l.offer(func() {}))
	}
	raw := l.approves(1, 7, 1)
	require.True(t, n.verdict(from, raw))
	require.EqualValues(t, 1, n.refusals.list()[0].Count)
	for len(l.tasks) > 0 {
		<-l.tasks
	}
	require.True(t, n.verdict(from, l.approves(2, 7, 1)))
	require.Len(t, l.tasks, 1)
	(<-l.tasks)()
	require.Len(t, l.pool.approvals[7], 2)
	for range taskQueue + 1 {
		n.verdict(from, raw)
	}
	require.NoError(t, quorum.Exceeded([]quorum.Bound{l.inbox.bound()}))
	require.EqualValues(t, 2, n.refusals.list()[0].Count)
}

// TestOneRefusedVerdictTakesNoOtherWithIt: a rule of the ledger fails the commit of all; each is tried alone then.
func TestOneRefusedVerdictTakesNoOtherWithIt(t *testing.T) {
	l := newLab(t)
	l.hearFacts([][]byte{l.approves(1, 7, 1), l.approves(2, 7, 9), l.approves(3, 7, 1)})
	require.NoError(t, l.fatal)
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		as, _, err := tx.VerdictsInForce(7, l.state.Policy.Ref())
		require.Len(t, as, 2)
		return err
	}))
	require.Len(t, l.pool.approvals[7], 2)
}

// TestTheBooksAreAskedOnceForEachWithdrawal: a batch is built with every tick while a thousand wait.
func TestTheBooksAreAskedOnceForEachWithdrawal(t *testing.T) {
	l := newLab(t)
	const many = 20
	for wid := range uint64(many) {
		for i := 1; i < 4; i++ {
			l.hearFact(l.approves(i, wid+1, 1))
		}
	}
	asked, behind := 0, true
	books := func(wid uint64) (quorum.Content, bool) {
		asked++
		return quorum.Content{WID: wid}, !behind
	}
	for range 2 {
		require.Empty(t, l.pool.candidates(l.network, books))
	}
	require.Equal(t, 2*many, asked, "books that are behind are asked again")
	asked, behind = 0, false
	for range 10 {
		l.pool.candidates(l.network, books)
	}
	require.Equal(t, many, asked)
	l.pool.drop(1)
	require.Len(t, l.pool.books, many-1)
	require.Len(t, l.pool.raws, 3*(many-1))
}

// TestASignatureIsVerifiedOnce: bytes that passed the door lately pass it again without; whose they are must still be a member.
// Another network's id shows it: no signature would stand under that.
func TestASignatureIsVerifiedOnce(t *testing.T) {
	l := newLab(t)
	raw, members := l.approves(1, 7, 1), l.state.Roster.IDs()
	var k known
	_, _, err := k.authenticate(common.Hash{1}, members, raw)
	require.Error(t, err)
	kind, signer, err := k.authenticate(l.network, members, raw)
	require.NoError(t, err)
	again, same, err := k.authenticate(common.Hash{1}, members, raw)
	require.NoError(t, err)
	require.Equal(t, []any{kind, signer}, []any{again, same})
	_, _, err = k.authenticate(l.network, quorum.Members{l.self}, raw)
	require.ErrorIs(t, err, quorum.ErrNotMember)
	for i := range uint64(3 * maxKnownFacts) {
		k.add(crypto.Keccak256Hash(common.BigToHash(common.Big1).Bytes(), common.Hash{byte(i >> 8), byte(i), byte(i >> 16)}.Bytes()), author{})
	}
	require.NoError(t, quorum.Exceeded(k.bounds()))
	_, _, err = k.authenticate(common.Hash{1}, members, raw)
	require.Error(t, err, "forgotten after two generations")
}
