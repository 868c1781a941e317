package tss

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// quietSession is a live session of members[0] with members[1] and [2], without a library behind it.
func quietSession(t testing.TB) (*session, quorum.Members) {
	h, members := newHub(t, 4)
	e := h.engines[members[0]]
	s := e.newSession(sessionOf("quiet"), signPlan(), members[:3], DefaultSignTimeout)
	s.held, s.round = map[slot]Envelope{}, 1
	s.timer = time.NewTimer(time.Hour) // nothing here waits for it
	return s, members
}

func sealed(t testing.TB, signer common.Address, h Header, payload []byte) Envelope {
	_, keys := testMembers(4)
	env, err := seal(keys[signer], testNetwork, h, payload)
	require.NoError(t, err)
	return env
}

func TestFramesThatChangeNothing(t *testing.T) {
	s, m := quietSession(t)
	good := Header{Session: s.id, Round: 1, Type: typeSign1}
	with := func(change func(*Header)) Header { h := good; change(&h); return h }
	for name, c := range map[string]struct {
		drop Drop
		from common.Address
		env  Envelope
		size int
	}{
		"too large":              {DropOversized, m[1], sealed(t, m[1], good, nil), MaxSignFrame + 1},
		"a member outside":       {DropNotParticipant, m[3], sealed(t, m[3], good, nil), 1},
		"our own":                {DropNotParticipant, m[0], sealed(t, m[0], good, nil), 1},
		"signed by another":      {DropSignature, m[1], sealed(t, m[2], good, nil), 1},
		"unknown type":           {DropUnknownType, m[1], sealed(t, m[1], with(func(h *Header) { h.Type = 77 }), nil), 1},
		"of key generation":      {DropUnknownType, m[1], sealed(t, m[1], with(func(h *Header) { h.Type = typeKeygen1 }), nil), 1},
		"of another round":       {DropUnknownType, m[1], sealed(t, m[1], with(func(h *Header) { h.Round = 2 }), nil), 1},
		"echo without broadcast": {DropUnknownType, m[1], sealed(t, m[1], with(func(h *Header) { h.Type, h.Round = typeEcho, 2 }), nil), 1},
		"broadcast to one":       {DropClass, m[1], sealed(t, m[1], with(func(h *Header) { h.To = m[0] }), nil), 1},
		"direct to all":          {DropClass, m[1], sealed(t, m[1], with(func(h *Header) { h.Type = typeSign1Direct }), nil), 1},
		"direct to another":      {DropClass, m[1], sealed(t, m[1], with(func(h *Header) { h.Type, h.To = typeSign1Direct, m[2] }), nil), 1},
		"echo to one":            {DropClass, m[1], sealed(t, m[1], with(func(h *Header) { h.Type, h.To = typeEcho, m[0] }), nil), 1},
		"abort to one":           {DropClass, m[1], sealed(t, m[1], with(func(h *Header) { h.Type, h.To = typeAbort, m[0] }), nil), 1},
		"unreadable abort":       {DropBadAbort, m[1], sealed(t, m[1], with(func(h *Header) { h.Type = typeAbort }), []byte{1}), 1},
		"done without signature": {DropBadDone, m[1], sealed(t, m[1], with(func(h *Header) { h.Type = typeDone }), []byte{1}), 1},
	} {
		before := s.drops.snapshot()[c.drop]
		out, _ := s.accept(received{c.from, c.env, c.size})
		require.Nil(t, out, name)
		require.Equal(t, before+1, s.drops.snapshot()[c.drop], name)
		require.Empty(t, s.held, name)
	}
	out, _ := s.accept(received{m[1], sealed(t, m[1], good, nil), 1})
	require.Nil(t, out)
	require.Len(t, s.held, 1)
}

func TestAWrongDoneIsNotTakenOver(t *testing.T) {
	take := takeOverSigned(common.Address{1}, common.Hash{2})
	sig, err := quorum.SignDigest(testKey(0), common.Hash{2})
	require.NoError(t, err)
	require.Nil(t, take(sig[:]), "of another key")
	require.Nil(t, take(sig[:64]))
	payer := crypto.PubkeyToAddress(testKey(0).PublicKey)
	require.Nil(t, takeOverSigned(payer, common.Hash{3})(sig[:]), "over another digest")
	require.Equal(t, Signed, takeOverSigned(payer, common.Hash{2})(sig[:]).Ending)
}

func TestAbortsAreBelievedAsFarAsTheyProve(t *testing.T) {
	s, m := quietSession(t)
	a := sealed(t, m[2], Header{Session: s.id, Round: 1, Type: typeSign1}, []byte("a")).bare()
	b := sealed(t, m[2], Header{Session: s.id, Round: 1, Type: typeSign1}, []byte("b")).bare()
	other := sealed(t, m[2], Header{Session: common.Hash{1}, Round: 1, Type: typeSign1}, []byte("b")).bare()
	proof := func(culprit common.Address, envs ...Envelope) abortNotice {
		return abortNotice{Kind: uint8(Aborted), Named: []common.Address{m[2]}, Evidence: []Evidence{
			{Kind: Equivocation, Culprit: culprit, Envelopes: envs},
		}}
	}
	require.Equal(t, Aborted, s.believeAbort(m[1], proof(m[2], a, b)).Ending)
	for name, n := range map[string]abortNotice{
		"the same twice":       proof(m[2], a, a),
		"one only":             proof(m[2], a),
		"against another":      proof(m[1], a, b),
		"of different slots":   proof(m[2], a, other),
		"of another session":   proof(m[2], other, other),
		"none":                 {Kind: uint8(Aborted), Named: []common.Address{m[2]}},
		"of an unknown ending": {Kind: 99, Named: []common.Address{m[2]}},
	} {
		out := s.believeAbort(m[1], n)
		require.Equal(t, Unattributed, out.Ending, name)
		require.Equal(t, []common.Address{m[1], m[2]}, out.Suspects, name)
	}
	// Who says for whom it waits ends nothing at once: we say it too, and compare. TestWhoWaitsForASilentOneIsNotNamed is about what comes of it.
	late := abortNotice{Kind: uint8(TimedOut), Named: []common.Address{m[2], m[0], m[3]}}
	require.Nil(t, s.believeAbort(m[1], late))
	require.Equal(t, []common.Address{m[2]}, s.waiting[m[1]], "not us, and nobody who is not in the session")
}

func TestEchoesThatAreNoEchoes(t *testing.T) {
	s, m := quietSession(t)
	head := Header{Session: s.id, Round: 1, Type: typeEcho}
	entry := func(from common.Address, kind uint8) echoEntry {
		env := sealed(t, from, Header{Session: s.id, Round: 1, Type: kind}, []byte("x"))
		return echoEntry{From: from, Type: kind, Payload: env.Header.Payload, Sig: env.Sig}
	}
	for _, from := range m[:3] {
		s.held[slot{1, typeSign1, common.Address{}, from}] = sealed(t, from, Header{Session: s.id, Round: 1, Type: typeSign1}, []byte("x"))
	}
	require.Nil(t, s.compareEcho(m[1], sealed(t, m[1], head, encodeEcho([]echoEntry{entry(m[0], typeSign1), entry(m[2], typeSign1)}))))
	for name, entries := range map[string][]echoEntry{
		"too few":         {entry(m[0], typeSign1)},
		"about itself":    {entry(m[0], typeSign1), entry(m[1], typeSign1)},
		"about a visitor": {entry(m[0], typeSign1), entry(m[3], typeSign1)},
		"another type":    {entry(m[0], typeSign1), entry(m[2], typeSign3)},
	} {
		out := s.compareEcho(m[1], sealed(t, m[1], head, encodeEcho(entries)))
		require.NotNil(t, out, name)
		require.Equal(t, []common.Address{m[1]}, out.Culprits, name)
		require.Equal(t, "echo.shape", out.Reason, name)
	}
	// A twin of this node: the session ends, and no other member is blamed.
	s.held[slot{1, typeSign1, common.Address{}, m[0]}] = sealed(t, m[0], Header{Session: s.id, Round: 1, Type: typeSign1}, []byte("y"))
	out := s.compareEcho(m[1], sealed(t, m[1], head, encodeEcho([]echoEntry{entry(m[0], typeSign1), entry(m[2], typeSign1)})))
	require.Equal(t, Unattributed, out.Ending)
	require.Empty(t, out.Suspects)
}

func TestTheEngineAtItsDoor(t *testing.T) {
	h, m := newHub(t, 4)
	e := h.engines[m[0]]
	early := sealed(t, m[1], Header{Session: sessionOf("early"), Round: 1, Type: typeSign1}, nil).frame()

	e.Receive(m[1], make([]byte, MaxKeygenFrame+1))
	e.Receive(m[1], []byte{1, 2, 3})
	e.Receive(m[1], append(early, 0))
	bent, err := rlp.EncodeToBytes(&Envelope{Header: Header{Payload: common.Hash{1}}, Payload: []byte("not that")})
	require.NoError(t, err)
	e.Receive(m[1], bent)
	e.Receive(m[1], early)
	require.Equal(t, map[Drop]uint64{DropOversized: 1, DropMalformed: 3}, e.Drops())

	// One live and one ended session.
	s := e.newSession(sessionOf("live"), signPlan(), m[:3], DefaultSignTimeout)
	require.NoError(t, e.register(s, "key", nil))
	live := sealed(t, m[1], Header{Session: s.id, Round: 1, Type: typeSign1}, nil).frame()
	e.Receive(m[1], live)
	e.Receive(m[3], live)
	big := sealed(t, m[1], Header{Session: s.id, Round: 1, Type: typeSign1}, make([]byte, MaxSignFrame)).frame()
	e.Receive(m[1], big)
	require.Len(t, s.mail.take(), 1)
	require.EqualValues(t, 1, e.Drops()[DropNotParticipant])
	require.EqualValues(t, 2, e.Drops()[DropOversized])

	for range maxQueuedFrames + 1 {
		e.Receive(m[1], live)
	}
	e.Receive(m[2], live)
	require.Len(t, s.mail.take(), maxQueuedFrames+1, "one peer's flood takes no other's room")
	require.EqualValues(t, 1, e.Drops()[DropQueue])

	e.unregister(s, nil)
	e.Receive(m[1], live)
	require.EqualValues(t, 1, e.Drops()[DropLate])
}

func TestEndedSessionsAreForgottenInOrder(t *testing.T) {
	h, m := newHub(t, 4)
	e := h.engines[m[0]]
	for i := range maxEnded + 2 {
		s := e.newSession(common.BigToHash(newInt(i)), signPlan(), m[:3], DefaultSignTimeout)
		require.NoError(t, e.register(s, "key", nil))
		e.unregister(s, nil)
	}
	require.Len(t, e.ended, maxEnded)
	require.Len(t, e.queue, maxEnded)
	require.False(t, e.ended[common.BigToHash(newInt(1))])
	require.True(t, e.ended[common.BigToHash(newInt(2))])
}

// What waits for sessions that never start is bounded, per peer and over all, and a flood displaces only its sender's.
func TestEarlyMessagesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := early{peers: map[common.Address]*earlyPeer{}}
		calm := common.Address{0xca}
		_, kept := e.add(received{calm, Envelope{Header: Header{Session: common.Hash{0xca}}}, 100})
		require.True(t, kept)

		for range rapid.IntRange(1, 400).Draw(t, "frames") {
			from := common.Address{byte(rapid.IntRange(0, 3).Draw(t, "peer"))}
			id := common.Hash{byte(rapid.IntRange(0, 7).Draw(t, "session"))}
			size := rapid.IntRange(1, MaxKeygenFrame).Draw(t, "size")
			e.add(received{from, Envelope{Header: Header{Session: id}}, size})
		}
		for _, p := range e.peers {
			frames, bytes := 0, 0
			for _, held := range p.held {
				for _, r := range held {
					frames, bytes = frames+1, bytes+r.size
				}
			}
			require.Equal(t, load{frames, bytes}, p.load)
			require.LessOrEqual(t, frames, maxQueuedFrames)
			require.LessOrEqual(t, bytes, maxQueuedBytes)
			require.LessOrEqual(t, len(p.order), maxEarlySessions)
			require.Equal(t, len(p.order), len(p.held))
		}
		require.Len(t, e.take(common.Hash{0xca}), 1)
		require.Empty(t, e.take(common.Hash{0xca}))
	})
	e := early{peers: map[common.Address]*earlyPeer{}}
	for i := range maxPeers + 1 {
		_, kept := e.add(received{common.BigToAddress(newInt(i + 1)), Envelope{}, 1})
		require.Equal(t, i < maxPeers, kept)
	}
}
