package node

import (
	"bytes"
	"crypto/ecdsa"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// door is a node around the lab's core: enough to hear evidence.
func (l *lab) door() *Node {
	return &Node{core: l.core, genesis: l.genesis, network: l.network, led: l.led, refusals: newRefusals(zap.NewNop()), log: zap.NewNop()}
}

// outbox is a wire that keeps what is sent.
type outbox struct {
	wire
	sent []sentFrame
}

type sentFrame struct {
	to       common.Address
	protocol string
	data     []byte
}

func (o *outbox) Send(to common.Address, protocol string, data []byte) error {
	o.sent = append(o.sent, sentFrame{to, protocol, data})
	return nil
}

// pieces are those that were shown to a member.
func (o *outbox) pieces(t *testing.T, to common.Address) (out []evidencePiece) {
	for _, f := range o.sent {
		if f.to == to && f.protocol == protoEvidence {
			var m evidenceMsg
			require.NoError(t, unmarshal(f.data, &m))
			out = append(out, m.Pieces...)
		}
	}
	return out
}

func (l *lab) kept(t *testing.T) (out []ledger.Evidence) {
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.Evidences(func(e ledger.Evidence) error { out = append(out, e); return nil })
	}))
	return out
}

func (l *lab) address(i int) common.Address { return crypto.PubkeyToAddress(l.keys[i].PublicKey) }

// header signs a message of a session for a member.
func (l *lab) header(t require.TestingT, key *ecdsa.PrivateKey, network common.Hash, h tss.Header, payload []byte) tss.Envelope {
	h.Payload = crypto.Keccak256Hash(payload)
	sig, err := quorum.SignDigest(key, quorum.Digest(quorum.KindTSS, network, h))
	require.NoError(t, err)
	return tss.Envelope{Header: h, Sig: sig, Payload: payload}
}

// guilt is evidence of every kind that members tell each other, against member 3.
func (l *lab) guilt(t *testing.T) map[string]ledger.Evidence {
	who := l.address(3)
	approve := quorum.Approve{Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 7, WID: 7, Content: common.Hash{7}, Account: common.Address{1}, Seq: 1, Head: common.Hash{1}, Time: 1}
	other, head := approve, approve
	other.Counter, other.Content = 8, common.Hash{8}
	head.Counter, head.WID, head.Head = 9, 9, common.Hash{9}
	halt := quorum.Halt{Epoch: 1, Counter: 7, Code: "x", Time: 1}
	h := tss.Header{Session: common.Hash{5}, Round: 1, Type: 18}
	stolen, decision := l.stolen(t)
	return map[string]ledger.Evidence{
		"two-votes":           {Kind: ledger.EvidenceVotes, Member: who, First: l.vote(3, 1), Second: l.vote(3, 2)},
		"two-verdicts":        {Kind: ledger.EvidenceVerdicts, Member: who, First: by(l, 3, approve).Bytes(), Second: by(l, 3, other).Bytes()},
		"two-heads":           {Kind: ledger.EvidenceHeads, Member: who, First: by(l, 3, approve).Bytes(), Second: by(l, 3, head).Bytes()},
		"two-under-one-count": {Kind: ledger.EvidenceCounter, Member: who, First: by(l, 3, approve).Bytes(), Second: by(l, 3, halt).Bytes()},
		"two-tss-envelopes": {Kind: ledger.EvidenceEnvelopes, Member: who,
			First:  l.header(t, l.keys[3], l.network, h, []byte("a")).Bare().Encode(),
			Second: l.header(t, l.keys[3], l.network, h, []byte("b")).Bare().Encode()},
		"bad-tss-message":    {Kind: ledger.EvidenceTSS, Member: who, First: l.echo(t, 3, false).Encode()},
		"unrendered-payment": {Kind: ledger.EvidencePayment, First: stolen.Raw(), Second: decision},
	}
}

// echo is member i's word on what member 1 broadcast in a session: as it was, or not.
func (l *lab) echo(t require.TestingT, i int, genuine bool) tss.Envelope {
	said := l.header(t, l.keys[1], l.network, tss.Header{Session: common.Hash{5}, Round: 1, Type: 18}, []byte("m"))
	if !genuine {
		said.Header.Payload[0] ^= 1
	}
	entries, err := rlp.EncodeToBytes([]any{[]any{l.address(1), said.Header.Type, said.Header.Payload, said.Sig}})
	require.NoError(t, err)
	return l.header(t, l.keys[i], l.network, tss.Header{Session: common.Hash{5}, Round: 1, Type: 240}, entries)
}

// stolen is a transaction of the payer at a nonce for which another was decided, with that decision.
func (l *lab) stolen(t *testing.T) (chain.Tx, []byte) {
	b := l.payout(1, uint64(l.now().UnixMilli()))
	tx := chain.Tx{ChainID: b.Lane.ChainID, Nonce: b.Nonce, Gas: 21_000, To: common.Address{0xba, 0xd0}, Value: *uint256.NewInt(1)}
	return signedBy(t, testKey("payer", 0), tx), marshal(l.decision(b))
}

func signedBy(t require.TestingT, key *ecdsa.PrivateKey, tx chain.Tx) chain.Tx {
	sig, err := crypto.Sign(crypto.Keccak256(tx.Payload()), key)
	require.NoError(t, err)
	copy(tx.Signature[:], sig)
	return tx
}

// Each kind that members tell each other proves itself: to the one who is told, who keeps it and tells all once, and to
// whoever has the genesis document and what the API shows.
func TestEvidenceIsToldOnce(t *testing.T) {
	l := newLab(t)
	net := &outbox{}
	l.net = net
	n := l.door()
	for kind, e := range l.guilt(t) {
		net.sent = nil
		frame := marshal(evidenceMsg{Pieces: []evidencePiece{{string(e.Kind), e.Member, e.First, e.Second}}})
		before := len(l.kept(t))
		for range 2 {
			require.NoError(t, n.hearEvidence(l.address(1), frame), kind)
			l.drain()
		}
		require.Len(t, l.kept(t), before+1, kind)
		for i := 1; i < 4; i++ {
			require.Len(t, net.pieces(t, l.address(i)), 1, kind)
		}
		view := n.viewEvidence(e)
		view.Network = l.network
		require.Equal(t, kind, view.Kind)
		verdict, err := VerifyEvidence(l.genesis, view)
		require.NoError(t, err, kind)
		require.Equal(t, EvidenceProves, verdict)
	}
	require.False(t, l.halted(), "nothing of it is against this node")
	require.NoError(t, l.fatal)
}

// drain runs what waits for the core.
func (l *lab) drain() {
	for {
		select {
		case task := <-l.tasks:
			task()
		default:
			return
		}
	}
}

// What does not prove itself, or is nobody's business, is refused and changes nothing.
func TestFalseEvidenceIsRefused(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	n := l.door()
	votes := l.guilt(t)["two-votes"]
	framed, swapped, thin := votes, votes, votes
	framed.Member, swapped.Kind, thin.Second = l.address(2), ledger.EvidenceHeads, nil
	relay := ledger.Evidence{Kind: ledger.EvidenceHistory, First: marshal(row(1, 1, "5")), Second: marshal(row(1, 1, "6"))}
	word := ledger.Evidence{Kind: ledger.EvidenceReadTSS, Member: l.address(3), First: marshal([]tss.Envelope{l.echo(t, 3, true)}), Second: []byte("theta")}
	payment := l.guilt(t)["unrendered-payment"]
	payment.Second = nil
	for name, e := range map[string]ledger.Evidence{
		"another member": framed, "another kind": swapped, "one side": thin, "of the Relay": relay, "the word of one": word,
		"a payment without the decision": payment, "unknown": {Kind: "x"},
	} {
		require.Error(t, n.hearEvidence(l.address(1), marshal(evidenceMsg{Pieces: []evidencePiece{{string(e.Kind), e.Member, e.First, e.Second}}})), name)
	}
	two := marshal(evidenceMsg{Pieces: []evidencePiece{{"two-votes", votes.Member, votes.First, votes.Second}, {"two-votes", votes.Member, votes.First, votes.Second}}})
	require.ErrorIs(t, n.hearEvidence(l.address(1), two), errEvidenceFrame)
	require.Error(t, n.hearEvidence(l.address(1), []byte("rubbish")))
	l.drain()
	require.Empty(t, l.kept(t))
}

// A liar's own misdeeds fill its own share, and no more.
func TestEvidenceIsBoundedForEach(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	n := l.door()
	for i := range byte(4 * ledger.MaxEvidence) {
		require.NoError(t, n.hearEvidence(l.address(1), marshal(evidenceMsg{Pieces: []evidencePiece{{"two-votes", l.address(3), l.vote(3, 1), l.vote(3, 2+i)}}})))
		l.drain()
	}
	require.Len(t, l.kept(t), ledger.MaxEvidence)
	require.NoError(t, n.hearEvidence(l.address(1), marshal(evidenceMsg{Pieces: []evidencePiece{{"two-votes", l.address(2), l.vote(2, 1), l.vote(2, 2)}}})))
	l.drain()
	require.Len(t, l.kept(t), ledger.MaxEvidence+1)
}

// Who connects says what it holds, and is shown what it lacks: once, not what it holds, and not what it has no room for.
func TestEvidenceReachesWhoWasAway(t *testing.T) {
	l, late := newLab(t), newLab(t)
	net := &outbox{}
	l.net, late.net = net, &outbox{}
	for _, e := range l.guilt(t) {
		l.keepEvidence(e.Kind, e.Member, e.First, e.Second)
	}
	all := len(l.kept(t))
	net.sent = nil
	asks, err := late.heldEvidence()
	require.NoError(t, err)
	require.NoError(t, l.door().hearEvidence(l.address(2), asks))
	shown := net.pieces(t, l.address(2))
	require.Len(t, shown, all)
	for _, p := range shown {
		require.NoError(t, late.door().hearEvidence(l.address(0), marshal(evidenceMsg{Pieces: []evidencePiece{p}})))
		late.drain()
	}
	require.Len(t, late.kept(t), all)

	net.sent = nil
	require.NoError(t, l.door().hearEvidence(l.address(2), asks))
	require.Empty(t, net.sent, "asked again at once")
	asks, err = late.heldEvidence()
	require.NoError(t, err)
	require.NoError(t, l.door().hearEvidence(l.address(3), asks))
	require.Empty(t, net.sent, "it lacks nothing")
}

// Evidence of a signing session bars its culprit from the key's sessions, after a restart too.
func TestConvictionsSurvive(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	l.takeEvidence(l.guilt(t)["two-tss-envelopes"])
	require.Len(t, l.signer.attempts.Convictions(), 1)
	l.signer = nil
	require.NoError(t, l.openKey())
	require.Equal(t, l.address(3), l.signer.attempts.Convictions()[0].Culprit)

	other := newLab(t)
	other.net = &outbox{}
	guilt := other.guilt(t)["bad-tss-message"]
	ev, err := tss.ReadEvidence(other.network, guilt.Member, guilt.First, guilt.Second)
	require.NoError(t, err)
	require.True(t, other.signer.attempts.Convict(ev)) // by a coordinator's start
	other.signer.run(other.core, tss.Effects{})
	require.Len(t, other.kept(t), 1)
}

// What the payer's key signed beside a decision is kept with the decision, and convinces others.
func TestForeignPaymentsAreKept(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	b := l.payout(1, uint64(l.now().UnixMilli()))
	require.NoError(t, l.hearDecision(l.decision(b)))
	tx := chain.Tx{ChainID: b.Lane.ChainID, Nonce: b.Nonce, Gas: 21_000, To: common.Address{0xba, 0xd0}, Value: *uint256.NewInt(1)}
	tx = signedBy(t, testKey("payer", 0), tx)
	for range 2 {
		l.keepForeign(tx.Raw(), tx.Hash(), 2)
		l.keepForeign(nil, common.Hash{9}, 2)
	}
	kept := l.kept(t)
	require.Len(t, kept, 2)
	told := 0
	for _, e := range kept {
		if isTold(e) {
			told++
			require.NoError(t, l.judgeAgain(e))
		}
	}
	require.Equal(t, 1, told)
	require.Len(t, l.net.(*outbox).pieces(t, l.address(1)), 1)
}

// A payment that nobody decided is named by the halt and kept. It is the word of the node that shows it, so it is told nobody.
func TestUndecidedPaymentsAreNamed(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	tx, _ := l.stolen(t)
	l.tripUndecided("net", 3, 2, undecided{nonce: 1, hash: common.Hash{7}}) // found at another nonce: a decision came in since
	require.True(t, l.halted())
	require.Empty(t, l.kept(t))
	for range 2 {
		l.tripUndecided("net", 3, 2, undecided{nonce: 2, hash: tx.Hash(), raw: tx.Raw()})
	}
	require.Contains(t, l.fuseText(), tx.Hash().Hex())
	l.tripUndecided("net", 4, 3, undecided{nonce: 3, hash: common.Hash{9}})
	kept := l.kept(t)
	require.Len(t, kept, 2)
	for _, e := range kept {
		require.False(t, isTold(e))
		view := l.door().viewEvidence(e)
		view.Network = l.network
		verdict, err := VerifyEvidence(l.genesis, view)
		require.NoError(t, err)
		require.Equal(t, EvidenceRecord, verdict)
	}
	require.Empty(t, l.net.(*outbox).pieces(t, l.address(1)))
}

// fuseText is what people are told of this node's fuse.
func (l *lab) fuseText() (text string) {
	for _, a := range l.alerts.list() {
		if a.Code == codeFuse {
			text = a.Text
		}
	}
	return text
}

// Somebody else speaks with this node's key: it says nothing more.
func TestEvidenceAgainstOneself(t *testing.T) {
	for _, kind := range []string{"two-votes", "two-tss-envelopes"} {
		l := newLab(t)
		l.net = &outbox{}
		e := l.guilt(t)[kind]
		l.keys[0], l.keys[3] = l.keys[3], l.keys[0]
		l.self = e.Member
		l.takeEvidence(e)
		require.True(t, l.halted(), kind)
	}
}

// Two statements of which a member may sign one are caught wherever they meet, whatever height the votes are of.
func TestOverheard(t *testing.T) {
	for name, say := range map[string]func(l *lab){
		"two-votes": func(l *lab) {
			for i := range byte(2) {
				v := by(l, 3, quorum.Vote{Epoch: 1, Height: 900, Phase: quorum.Precommit, ID: common.Hash{i + 1}, Counter: uint64(50 + i)})
				l.hearVote(voteMsg{Statement: v.Bytes()})
			}
		},
		"two-under-one-count": func(l *lab) {
			l.hearVote(voteMsg{Statement: by(l, 3, quorum.Vote{Epoch: 1, Height: 2, Phase: quorum.Prevote, ID: common.Hash{1}, Counter: 50}).Bytes()})
			ready := by(l, 3, quorum.Ready{Epoch: 1, Counter: 50, Height: 1, Batch: common.Hash{1}})
			require.NoError(l.t, l.hearSigning(l.address(3), signMsg{signStatement, ready.Bytes()}))
		},
		"two-verdicts": func(l *lab) { // the second one comes when the withdrawal is decided
			b := l.payout(7, uint64(l.now().UnixMilli()))
			a := quorum.Approve{Epoch: 1, Policy: l.state.Policy.Ref(), Counter: 70, WID: 7, Content: common.Hash{7}, Account: common.Address{1}, Seq: 1, Time: 1}
			l.hearFact(by(l, 3, a).Bytes())
			require.NoError(l.t, l.hearDecision(l.decision(b)))
			a.Counter, a.Content = 71, common.Hash{8}
			l.hearFact(by(l, 3, a).Bytes())
		},
	} {
		l := newLab(t)
		l.net = &outbox{}
		say(l)
		require.Len(t, l.kept(t), 1, name)
		e := l.kept(t)[0]
		require.Equal(t, name, string(e.Kind))
		require.Equal(t, l.address(3), e.Member)
		require.NoError(t, l.judgeAgain(e), name)
	}
}

// judgeAgain judges a piece that is kept here as a node that does not hold it would.
func (l *lab) judgeAgain(e ledger.Evidence) error {
	other := newLab(l.t)
	return other.judgeEvidence(e)
}

// What is remembered of a member is bounded, and what it repeats is nothing.
func TestOverheardIsBounded(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	for i := range uint64(maxOverheard + 100) {
		raw := marshal(i)
		l.overhear(l.address(3), i, quorum.VotePlace{Kind: quorum.KindPrevote, Height: i}, raw)
		l.overhear(l.address(3), i, quorum.VotePlace{Kind: quorum.KindPrevote, Height: i}, raw)
	}
	w := l.overheard[l.address(3)]
	require.Len(t, w.order, maxOverheard)
	require.Len(t, w.seen, maxOverheard)
	require.Len(t, w.byCounter, maxOverheard)
	require.Len(t, w.byPlace, maxOverheard)
	require.Empty(t, l.kept(t))
}

// honestWords are what honest members 1 and 2 sign in two networks, each counter and place once; what member 3 signs, who
// lies as it likes; and what people sign.
func (l *lab) honestWords(t *testing.T) (words [][]byte) {
	other := common.Hash{0x07}
	for i := 1; i < 3; i++ {
		for net, network := range []common.Hash{l.network, other} {
			n := byte(net)
			counter := uint64(100)
			add := func(raw []byte, err error) {
				require.NoError(t, err)
				words = append(words, raw)
				counter++
			}
			for epoch := range uint64(2) {
				h := 3 + epoch // an epoch ends with a height
				add(signIn(l, i, network, quorum.Proposal{Epoch: 1 + epoch, Height: h, ID: common.Hash{n + 1}, Counter: counter}))
				for _, phase := range []quorum.Phase{quorum.Prevote, quorum.Precommit} {
					add(signIn(l, i, network, quorum.Vote{Epoch: 1 + epoch, Height: h, Phase: phase, ID: common.Hash{n + 1}, Counter: counter}))
					add(signIn(l, i, network, quorum.Vote{Epoch: 1 + epoch, Height: h, Round: 1, Phase: phase, Counter: counter}))
				}
				for version := range uint64(2) { // a new policy is a new question
					p := quorum.PolicyRef{Version: 1 + version}
					a := quorum.Approve{Epoch: 1 + epoch, Policy: p, Counter: counter, WID: 7, Content: common.Hash{n + 7}, Account: common.Address{1}, Seq: 1, Head: common.Hash{n + 1, byte(version)}, Time: 5 + version}
					add(signIn(l, i, network, a))
					a.WID, a.Seq, a.Head, a.Counter = 8, 2, common.Hash{n + 2}, counter
					add(signIn(l, i, network, a))
					add(signIn(l, i, network, quorum.Refuse{Epoch: 1 + epoch, Policy: p, Counter: counter, WID: 9, Content: common.Hash{n + 9}, Reason: quorum.ReasonMinimum, Time: 5}))
				}
				add(signIn(l, i, network, quorum.Ready{Epoch: 1 + epoch, Counter: counter, Height: h, Batch: common.Hash{n + 1}}))
				add(signIn(l, i, network, quorum.Halt{Epoch: 1 + epoch, Counter: counter, Code: "x", Time: 1}))
				add(signIn(l, i, network, quorum.View{Epoch: 1 + epoch, Time: 1 + h}))
			}
			for round := range uint8(2) {
				h := tss.Header{Session: common.Hash{n + 5}, Round: round + 1, Type: 18}
				add(l.header(t, l.keys[i], network, h, []byte{n}).Bare().Encode(), nil)
				h.To = l.address(3)
				add(l.header(t, l.keys[i], network, h, []byte{n}).Encode(), nil)
			}
		}
		words = append(words, l.echo(t, i, true).Encode())
	}
	stolen, decision := l.stolen(t)
	words = append(words, l.vote(3, 1), l.vote(3, 2), l.echo(t, 3, false).Encode(), decision, decision)
	_ = stolen // the payer's key is no honest member's: what it signs beside a decision is evidence, and against nobody
	return words
}

func signIn[T quorum.Body](l *lab, i int, network common.Hash, body T) ([]byte, error) {
	s, err := quorum.Sign(l.keys[i], network, body)
	return s.Bytes(), err
}

// bend changes bytes as somebody would who has no key: bits, signatures in their second form, parts of two statements.
func bend(r *rapid.T, words [][]byte, raw []byte) []byte {
	raw = bytes.Clone(raw)
	switch rapid.IntRange(0, 6).Draw(r, "how") {
	case 0, 1:
	case 2:
		raw[rapid.IntRange(0, len(raw)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
	case 3: // (r, n−s, v⊕1) is the second signature that the curve accepts
		if at := len(raw) - 65; at > 0 {
			var s, order uint256.Int
			order.SetFromBig(crypto.S256().Params().N)
			s.SetBytes(raw[at+32 : at+64])
			s.Sub(&order, &s)
			s.WriteToSlice(raw[at+32 : at+64])
			raw[len(raw)-1] ^= 1
		}
	case 4: // one statement's signature under another's words
		with := rapid.SampledFrom(words).Draw(r, "with")
		if len(raw) > 65 && len(with) > 65 {
			copy(raw[len(raw)-65:], with[len(with)-65:])
		}
	case 5:
		raw = append(raw, rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(r, "tail")...)
	case 6: // one kind's words as another's
		for _, swap := range [][2]string{{"prevote", "precommit"}, {"approve", "refuse"}, {"proposal", "prevote"}} {
			raw = bytes.Replace(raw, []byte(swap[0]), []byte(swap[1]), 1)
		}
	}
	return raw
}

// Nobody can be framed: from everything that honest members ever signed, in this network and another, bent and put together
// in any way, no judge makes evidence against one of them, nor a fork, nor a payment that was not decided.
func TestNobodyIsFramedByEvidence(t *testing.T) {
	l := newLab(t)
	words := l.honestWords(t)
	kinds := append([]ledger.EvidenceKind{ledger.EvidenceReadTSS, ledger.EvidenceHistory, "nonsense"}, told...)
	rapid.Check(t, func(r *rapid.T) {
		side := func() []byte { return bend(r, words, rapid.SampledFrom(words).Draw(r, "word")) }
		e := ledger.Evidence{Kind: rapid.SampledFrom(kinds).Draw(r, "kind"), First: side()}
		if rapid.IntRange(0, 3).Draw(r, "sides") > 0 {
			e.Second = side()
		}
		if rapid.IntRange(0, 4).Draw(r, "who") > 0 {
			e.Member = l.address(rapid.IntRange(1, 2).Draw(r, "victim"))
		}
		require.Error(r, l.judgeEvidence(e), "a member was told of it")

		view := l.convicts(e.Kind, e.Member, e.First, e.Second)
		if rapid.Bool().Draw(r, "elsewhere") {
			view.Network = common.Hash{0x07}
		}
		view.First[0].What, view.First[0].Says = "statement", "whatever"
		verdict, err := VerifyEvidence(l.genesis, view)
		require.NotEqual(r, EvidenceProves, verdict)
		require.Equal(r, verdict == EvidenceFalse, err != nil)
		if verdict == EvidenceRecord {
			require.Contains(r, []ledger.EvidenceKind{ledger.EvidenceReadTSS, ledger.EvidenceHistory, ledger.EvidencePayment}, e.Kind)
		}
		if _, who, err := quorum.Conflict(l.network, l.state.Roster.IDs().InEveryEpoch(), e.First, e.Second); err == nil {
			require.Equal(r, l.address(3), who)
		}
	})
}

// What honest members say is never evidence, however often and in whatever order it comes.
func TestHonestWordsAreNoEvidence(t *testing.T) {
	l := newLab(t)
	l.net = &outbox{}
	l.state.Roster.Epoch = 1
	var words [][]byte
	for _, raw := range l.honestWords(t) {
		if _, who, err := quorum.CounterOf(l.network, l.state.Roster.IDs(), raw); err == nil && who != l.address(3) {
			words = append(words, raw)
		}
	}
	require.Greater(t, len(words), 40)
	for range 3 {
		for _, raw := range words {
			if kind, _ := quorum.PeekKind(raw); voteKinds[kind] {
				l.hearVote(voteMsg{Statement: raw})
			} else {
				l.hearFact(raw)
			}
		}
	}
	require.Empty(t, l.kept(t))
}

// Whatever comes as a frame about evidence is answered by name, and keeps nothing that proves nothing.
func FuzzEvidenceFrame(f *testing.F) {
	l := newLab(f)
	l.net = &outbox{}
	n := l.door()
	f.Add(marshal(evidenceMsg{Asks: true, Held: []common.Hash{{1}}}))
	f.Add(marshal(evidenceMsg{Pieces: []evidencePiece{{"two-votes", l.address(3), l.vote(3, 1), l.vote(2, 2)}}}))
	f.Add(hexutil.MustDecode("0xc0"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		_ = n.hearEvidence(l.address(1), frame)
		l.drain()
		for _, e := range l.kept(t) {
			require.NoError(t, l.judgeAgain(e))
		}
	})
}
