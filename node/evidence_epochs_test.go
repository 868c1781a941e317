package node

import (
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// replaceLast decides an epoch 2 in which member 3 gives way to somebody with another key, whose number is 4.
func (l *lab) replaceLast() quorum.UncheckedDecision {
	t := l.t
	key := testKey("member", 9)
	members := slices.Clone(l.genesis.Members[:3])
	members = append(members, quorum.Member{Name: "new", Address: crypto.PubkeyToAddress(key.PublicKey), PublicKey: compressed(key),
		Operator: operatorAddress(9), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7000"}})
	next, err := quorum.NewRoster(2, members)
	require.NoError(t, err)
	ids, payer := next.IDs(), testKey("payer", 0)
	a := quorum.MembersAction{Epoch: 2, Members: next.Members, Transcript: quorum.Transcript{
		Epoch: 2, Session: common.Hash{2}, PublicKey: compressed(payer), Members: ids, Threshold: uint64(ids.Q()),
	}}
	for _, id := range ids {
		signer := key
		if i := slices.Index(l.state.Roster.IDs(), id); i >= 0 {
			signer = l.keys[i]
		}
		sig, err := quorum.SignDigest(signer, quorum.Digest(quorum.KindTranscript, l.network, a.Transcript))
		require.NoError(t, err)
		a.Signatures = append(a.Signatures, sig)
	}
	for try := range quorum.CoveringSets(len(ids)) {
		set := quorum.CanarySet(ids, uint64(try))
		sig, err := quorum.SignDigest(payer, a.Transcript.CanaryDigest(l.network, set))
		require.NoError(t, err)
		a.Canaries = append(a.Canaries, quorum.Canary{Set: set, Sig: sig})
	}
	d := l.decision(batch.Batch{Epoch: 1, Height: 2, Previous: l.state.Previous, Kind: batch.Members, Action: marshal(a)})
	committed, err := d.Verify(l.network, l.state.Roster)
	require.NoError(t, err)
	require.NoError(t, l.led.Update(func(tx *ledger.Tx) error {
		return tx.Decide(committed, ledger.DecisionEffects{Members: &a})
	}))
	l.keys = append(l.keys, key)
	return d
}

// TestEvidenceIsOfTheEpochThatItNames: judged by a node that followed, and by whoever has the genesis document and what is shown.
func TestEvidenceIsOfTheEpochThatItNames(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	against := func(who int, epoch uint64) ledger.Evidence {
		say := func(id byte) []byte {
			return by(l, who, quorum.Vote{Epoch: epoch, Height: 3, Phase: quorum.Prevote, ID: common.Hash{id}, Counter: uint64(id)}).Bytes()
		}
		return ledger.Evidence{Kind: ledger.EvidenceVotes, Member: l.address(who), First: say(1), Second: say(2)}
	}
	d := l.replaceLast()
	for name, c := range map[string]struct {
		e     ledger.Evidence
		holds bool
	}{
		"who stayed":               {against(0, 2), true},
		"who left, before it left": {against(3, 1), true},
		"who left, since":          {against(3, 2), false},
		"who came":                 {against(4, 2), true},
		"who came, before it did":  {against(4, 1), false},
	} {
		err := l.judgeEvidence(c.e)
		view := l.door().viewEvidence(c.e)
		view.Network, view.Successions = l.network, []string{hexutil.Encode(marshal(d))}
		verdict, foreign := VerifyEvidence(l.genesis, view)
		if c.holds {
			require.NoError(t, err, name)
			require.NoError(t, foreign, name)
			require.Equal(t, EvidenceProves, verdict, name)
		} else {
			require.ErrorIs(t, err, ErrEvidence, name)
			require.ErrorIs(t, foreign, ErrEvidence, name)
		}
	}

	// An epoch that is not reached here accuses nobody, its sender neither.
	later := against(0, 3)
	require.ErrorIs(t, l.judgeEvidence(later), errEvidenceKnown)
	require.NoError(t, l.door().hearEvidence(l.address(1), marshal(evidenceMsg{Pieces: []evidencePiece{{string(later.Kind), later.Member, later.First, later.Second}}})))
	require.Empty(t, l.kept(t))
}

// TestSuccessionsProveThemselves: a committee is made by the one before it, or by nobody.
func TestSuccessionsProveThemselves(t *testing.T) {
	l := newLab(t)
	d := l.replaceLast()
	good := hexutil.Encode(marshal(d))
	rosters, err := successions(l.genesis, []string{good})
	require.NoError(t, err)
	require.Len(t, rosters, 3)
	require.True(t, rosters[2].IDs().Has(l.address(4)))
	require.False(t, rosters[2].IDs().Has(l.address(3)))

	other, thin := d, d
	other.Value = append([]byte{}, d.Value[:len(d.Value)-1]...)
	thin.Commit.Votes = d.Commit.Votes[1:]
	payout := l.decision(l.payout(1, uint64(l.now().UnixMilli())))
	for name, list := range map[string][]string{
		"twice": {good, good}, "no hex": {"0xzz"}, "no decision": {"0xc0"}, "another value": {hexutil.Encode(marshal(other))},
		"too few votes": {hexutil.Encode(marshal(thin))}, "a payment": {hexutil.Encode(marshal(payout))}, "too many": make([]string, maxSuccessions+1),
	} {
		_, err := successions(l.genesis, list)
		require.ErrorIs(t, err, ErrEvidence, name)
	}

	// The node shows what it followed.
	views := func() []EvidenceView {
		l.net = &outbox{}
		e := l.guilt(t)["two-votes"]
		l.keepEvidence(e.Kind, e.Member, e.First, e.Second)
		out, err := l.door().Evidence("")
		require.NoError(t, err)
		return out
	}()
	require.Equal(t, []string{good}, views[0].Successions)
}

// TestEvidenceIsAskedForInEachEpoch: what was shown of members unknown then is shown again.
func TestEvidenceIsAskedForInEachEpoch(t *testing.T) {
	l := newLab(t)
	net := &outbox{}
	l.net = net
	asked := func() (n int) {
		for _, f := range net.sent {
			if f.protocol == protoEvidence {
				n++
			}
		}
		return n
	}
	now := l.now()
	l.tickEvidence(now)
	l.tickEvidence(now.Add(2*evidenceAnswerEvery - 1))
	require.Zero(t, asked())
	l.tickEvidence(now.Add(2 * evidenceAnswerEvery))
	first := asked()
	require.NotZero(t, first)
	l.tickEvidence(now.Add(9 * evidenceAnswerEvery))
	require.Equal(t, first, asked(), "once")
	l.state.Roster.Epoch++
	l.tickEvidence(now.Add(10 * evidenceAnswerEvery))
	l.tickEvidence(now.Add(12 * evidenceAnswerEvery))
	require.Equal(t, 2*first, asked())
}
