package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
)

// mark is a member's checkpoint of range 0 with these rows.
func (l *lab) mark(member int, counter uint64, rows ...ledger.Event) quorum.Signed[quorum.Checkpoint] {
	sum := ledger.SumRows(rows)
	s, err := quorum.Sign(l.keys[member], l.network, quorum.Checkpoint{Epoch: 1, Counter: counter, Count: sum.Count, Hash: sum.Hash})
	require.NoError(l.t, err)
	return s
}

func (l *lab) certified(rows ...ledger.Event) quorum.UncheckedCheckpoint {
	l.t.Helper()
	roster, err := l.genesis.Roster()
	require.NoError(l.t, err)
	roster.Epoch = 1
	cert, ok := quorum.CertifyCheckpoint(roster, []quorum.Signed[quorum.Checkpoint]{l.mark(1, 7, rows...), l.mark(2, 7, rows...), l.mark(3, 7, rows...)})
	require.True(l.t, ok)
	return cert.Unchecked()
}

func row(id uint64, account byte, amount string) ledger.Event {
	return ledger.Event{ID: id, Account: common.Address{account}, Amount: amount}
}

// view is a dispute as the API shows it.
func (l *lab) view(d ledger.RangeDispute) EvidenceView {
	n := &Node{genesis: l.genesis, network: l.network}
	v := n.viewDispute(d)
	v.Network = l.network
	return v
}

func (l *lab) convicts(kind ledger.EvidenceKind, member common.Address, first, second []byte) EvidenceView {
	n := &Node{genesis: l.genesis, network: l.network}
	v := n.viewEvidence(ledger.Evidence{Kind: kind, Member: member, First: first, Second: second})
	v.Network = l.network
	return v
}

func (l *lab) vote(member int, id byte) []byte {
	s, err := quorum.Sign(l.keys[member], l.network, quorum.Vote{Epoch: 1, Height: 3, Phase: quorum.Prevote, ID: common.Hash{id}, Counter: uint64(id)})
	require.NoError(l.t, err)
	return s.Bytes()
}

func TestEvidenceVerifiesByTheGenesisAlone(t *testing.T) {
	l := newLab(t)
	member := func(i int) common.Address { return crypto.PubkeyToAddress(l.keys[i].PublicKey) }
	mine, theirs := []ledger.Event{row(1, 1, "5")}, []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}
	cert := marshal(l.certified(theirs...))
	own := l.mark(0, 3, mine...).Bytes()
	dispute := ledger.RangeDispute{Level: ledger.DisputeCertified, Own: own, Certified: cert, Diffs: ledger.DiffRows(mine, theirs)}
	split := ledger.RangeDispute{Level: ledger.DisputeSplit, Own: own, Said: [][]byte{l.mark(1, 4, theirs...).Bytes(), l.mark(2, 4, theirs...).Bytes()}}
	thin := split
	thin.Said = split.Said[:1]
	twice := split
	twice.Said = [][]byte{split.Said[0], split.Said[0]}
	same := split
	same.Said = [][]byte{l.mark(1, 4, mine...).Bytes(), l.mark(2, 4, mine...).Bytes()}
	one := thin
	one.Level = ledger.DisputeOne
	elsewhere := l.view(dispute)
	elsewhere.Network = common.Hash{9}
	other := l.view(dispute)
	other.Range.Range = 1
	framed, rows := l.view(dispute), l.convicts(ledger.EvidenceVotes, member(1), l.vote(1, 1), l.vote(1, 2))
	victim := member(2)
	framed.Member, rows.Range = &victim, other.Range

	for name, k := range map[string]struct {
		e    EvidenceView
		want EvidenceVerdict
	}{
		"two votes":              {l.convicts(ledger.EvidenceVotes, member(1), l.vote(1, 1), l.vote(1, 2)), EvidenceProves},
		"another member":         {l.convicts(ledger.EvidenceVotes, member(2), l.vote(1, 1), l.vote(1, 2)), EvidenceFalse},
		"of two members":         {l.convicts(ledger.EvidenceVotes, member(1), l.vote(1, 1), l.vote(2, 2)), EvidenceFalse},
		"another rule":           {l.convicts(ledger.EvidenceHeads, member(1), l.vote(1, 1), l.vote(1, 2)), EvidenceFalse},
		"nobody's votes":         {l.convicts(ledger.EvidenceVotes, common.Address{}, l.vote(1, 1), l.vote(1, 2)), EvidenceFalse},
		"a row of the Relay":     {l.convicts(ledger.EvidenceHistory, common.Address{}, marshal(mine[0]), marshal(theirs[1])), EvidenceRecord},
		"a certified range":      {l.view(dispute), EvidenceProves},
		"another range":          {other, EvidenceFalse},
		"another network":        {elsewhere, EvidenceFalse},
		"a range names a member": {framed, EvidenceFalse},
		"votes with rows":        {rows, EvidenceFalse},
		"f+1 members":            {l.view(split), EvidenceProves},
		"one member as f+1":      {l.view(thin), EvidenceFalse},
		"one member twice":       {l.view(twice), EvidenceFalse},
		"one member":             {l.view(one), EvidenceProves},
		"they say the same":      {l.view(same), EvidenceFalse},
		"a certificate is short": {l.view(ledger.RangeDispute{Level: ledger.DisputeCertified, Own: own, Certified: shortened(l.certified(theirs...))}), EvidenceFalse},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := VerifyEvidence(l.genesis, k.e)
			require.Equal(t, k.want, got, "%v", err)
			require.Equal(t, got == EvidenceFalse, err != nil)
		})
	}
}

func shortened(u quorum.UncheckedCheckpoint) []byte {
	u.Votes = u.Votes[1:]
	return marshal(u)
}

// Whatever bytes somebody puts together, no evidence convicts a member that signed nothing wrong.
func TestEvidenceFramesNobody(t *testing.T) {
	l := newLab(t)
	victim := crypto.PubkeyToAddress(l.keys[2].PublicKey)
	said := [][]byte{l.vote(2, 1), l.mark(2, 9, row(1, 1, "5")).Bytes(), l.vote(1, 1), l.vote(1, 2), marshal(l.certified(row(1, 1, "5")))}
	kinds := []string{"two-votes", "two-verdicts", "two-heads", "two-under-one-count", "range-certified", "range-split", "range-one", "nonsense"}
	rapid.Check(t, func(r *rapid.T) {
		exhibit := func(label string) []Exhibit {
			raw := append([]byte(nil), rapid.SampledFrom(said).Draw(r, label)...)
			if rapid.Bool().Draw(r, label+" bent") {
				raw[rapid.IntRange(0, len(raw)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
			}
			return []Exhibit{{What: "statement", RLP: hexutil.Encode(raw)}}
		}
		e := EvidenceView{Network: l.network, Kind: rapid.SampledFrom(kinds).Draw(r, "kind"), Member: &victim, First: exhibit("first"), Second: exhibit("second"),
			Range: &RangeEvidence{}}
		if rapid.Bool().Draw(r, "without rows") {
			e.Range = nil
		}
		got, err := VerifyEvidence(l.genesis, e)
		require.Equal(r, EvidenceFalse, got, "it names one who signed nothing wrong")
		require.Error(r, err)
	})
}

// A decision twice in one height, each under a whole certificate.
func TestAForkVerifies(t *testing.T) {
	l := newLab(t)
	decision := func(value string) []byte {
		id := quorum.ValueID(l.network, []byte(value))
		roster, err := l.genesis.Roster()
		require.NoError(t, err)
		roster.Epoch = 1
		var votes []quorum.Signed[quorum.Vote]
		for i := range 3 {
			v, err := quorum.Sign(l.keys[i], l.network, quorum.Vote{Epoch: 1, Height: 4, Phase: quorum.Precommit, ID: id, Counter: 1})
			require.NoError(t, err)
			votes = append(votes, v)
		}
		qc, ok := quorum.NewQC(roster, 4, 0, quorum.Precommit, id, votes)
		require.True(t, ok)
		return marshal(quorum.UncheckedDecision{Commit: qc.Unchecked(), Value: []byte(value)})
	}
	got, err := VerifyEvidence(l.genesis, l.convicts(ledger.EvidenceVotes, common.Address{}, decision("a"), decision("b")))
	require.NoError(t, err)
	require.Equal(t, EvidenceProves, got)
	got, err = VerifyEvidence(l.genesis, l.convicts(ledger.EvidenceVotes, common.Address{}, decision("a"), decision("a")))
	require.Error(t, err)
	require.Equal(t, EvidenceFalse, got)
}

// An exhibit is described by what it is, never trusted for it.
func FuzzExhibit(f *testing.F) {
	key := testKey("member", 0)
	members := quorum.Members{crypto.PubkeyToAddress(key.PublicKey)}
	s, err := quorum.Sign(key, common.Hash{1}, quorum.Checkpoint{Epoch: 1, Counter: 1, Count: 1, Hash: common.Hash{1}})
	require.NoError(f, err)
	f.Add(s.Bytes())
	f.Add(marshal(row(1, 2, "5")))
	f.Add(marshal(quorum.UncheckedCheckpoint{Votes: []quorum.Ballot{{}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x := describeExhibit(common.Hash{1}, members, raw)
		require.Equal(t, hexutil.Encode(raw), x.RLP)
		require.True(t, x.What != exhibitStatement || x.Signer != nil)
	})
}
