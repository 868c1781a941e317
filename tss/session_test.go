package tss

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// resealed gives the frame another payload, signed by its sender.
func resealed(t *testing.T, from common.Address, frame []byte, change func(h *Header, payload []byte) []byte) []byte {
	_, keys := testMembers(8)
	env, err := parseFrame(frame)
	require.NoError(t, err)
	payload := change(&env.Header, slices.Clone(env.Payload))
	env, err = seal(keys[from], testNetwork, env.Header, payload)
	require.NoError(t, err)
	return env.frame()
}

func typeOf(t *testing.T, frame []byte) uint8 {
	env, err := parseFrame(frame)
	require.NoError(t, err)
	return env.Header.Type
}

func sessionOf(name string) common.Hash { return crypto.Keccak256Hash([]byte(name)) }

// Every frame thrice, out of step, and one participant that starts when the first round of the others is all there.
func TestDuplicatesAndALateStart(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	late := shares[0].self
	waiting := make(chan struct{})
	seen := 0
	h.tamper = func(_, to common.Address, frame []byte) [][]byte {
		if to == late && typeOf(t, frame) <= typeSign1 {
			if seen++; seen == 4 {
				close(waiting) // two peers, two messages each
			}
		}
		return [][]byte{frame, frame, frame}
	}
	var members []common.Address
	for _, s := range shares {
		members = append(members, s.self)
	}
	outs := all(members, func(i int, m common.Address) Outcome {
		if m == late {
			<-waiting
		}
		return h.engines[m].sign(context.Background(), signRequest{
			session: sessionOf("late"), digest: sessionOf("late digest"), participants: members, share: shares[i],
		})
	})
	for _, o := range outs {
		require.Equal(t, Signed, o.Ending, o.String())
		require.Equal(t, outs[0].Signature, o.Signature)
		require.Equal(t, sessionOf("late"), o.Session)
	}
	drops := h.engines[late].Drops()
	require.NotZero(t, drops[DropDuplicate])
	require.Zero(t, drops[DropQueue])
	require.Zero(t, drops[DropUnknownSession])
}

// A leading zero in the digest, and a digest above the group's order, are signed as Ethereum verifies them.
func TestDigestsAtTheEdges(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[1:]
	var members []common.Address
	for _, s := range shares {
		members = append(members, s.self)
	}
	for name, digest := range map[string]common.Hash{
		"small": {30: 1, 31: 7},
		"large": common.BytesToHash(new(big.Int).Sub(new(big.Int).Lsh(one, 256), one).Bytes()),
	} {
		outs := all(members, func(i int, m common.Address) Outcome {
			return h.engines[m].sign(context.Background(), signRequest{
				session: sessionOf(name), digest: digest, participants: members, share: shares[i],
			})
		})
		for _, o := range outs {
			require.Equal(t, Signed, o.Ending, "%s: %s", name, o)
			signer, err := o.Signature.Recover(digest)
			require.NoError(t, err)
			require.Equal(t, shares[0].Payer(), signer)
		}
	}
}

func TestASilentParticipantIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, from := range []uint8{typeSign1Direct, typeSign2, typeEcho} {
			h, _ := newHub(t, 4)
			shares := testShares(t)[:3]
			silent := shares[1].self
			h.tamper = func(f, _ common.Address, frame []byte) [][]byte {
				if f == silent && typeOf(t, frame) >= from {
					return nil
				}
				return [][]byte{frame}
			}
			start := time.Now()
			outs := h.signAll(shares, "silent", 0)
			require.Equal(t, DefaultSignTimeout, time.Since(start), "one deadline, not one per waiting participant")
			for _, i := range []int{0, 2} {
				require.Equal(t, TimedOut, outs[i].Ending, outs[i].String())
				require.Equal(t, []common.Address{silent}, outs[i].Silent)
			}
			require.Equal(t, TimedOut, outs[1].Ending)
		}
	})
}

func TestAnAbsentParticipantIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, members := newHub(t, 4)
		shares := testShares(t)[:3]
		outs := all(members[:2], func(i int, m common.Address) Outcome {
			return h.engines[m].sign(t.Context(), signRequest{
				session: sessionOf("absent"), participants: members[:3], share: shares[i], roundTimeout: 3 * time.Second,
			})
		})
		for _, o := range outs {
			require.Equal(t, TimedOut, o.Ending)
			require.Equal(t, []common.Address{members[2]}, o.Silent)
			require.EqualValues(t, 1, o.Round)
		}
	})
}

// The equivocator sends one of two peers another broadcast, well signed. The echo shows it before the round is used.
func TestAnEquivocatorIsConvictedByItsSignatures(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	liar, victim := shares[2].self, shares[0].self
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		if f == liar && typeOf(t, frame) == typeAbort {
			return nil // this liar waits; one that aborts first leaves no proof, only a struck set
		}
		if f != liar || to != victim || typeOf(t, frame) != typeSign1 {
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte { p[len(p)-1] ^= 1; return p })}
	}
	outs := h.signAll(shares, "equivocation", time.Minute)
	for _, o := range outs[:2] {
		require.Equal(t, Aborted, o.Ending, o.String())
		require.Equal(t, []common.Address{liar}, o.Culprits)
		require.EqualValues(t, 1, o.Round, "nothing of the round was used")
		require.Len(t, o.Evidence, 1)
		require.Equal(t, Equivocation, o.Evidence[0].Kind)
		require.NoError(t, o.Evidence[0].Verify(testNetwork))
		require.ErrorIs(t, o.Evidence[0].Verify(common.Hash{1}), ErrNoProof, "another network's signatures prove nothing")
	}
	require.NotEqual(t, Aborted, outs[2].Ending, "the liar has nobody to convict")
}

// Two different messages to one peer in one slot need no echo.
func TestASecondMessageInASlotIsAnEquivocation(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	liar, victim := shares[2].self, shares[0].self
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		if f != liar || to != victim || typeOf(t, frame) != typeSign1Direct {
			return [][]byte{frame}
		}
		return [][]byte{frame, resealed(t, f, frame, func(_ *Header, p []byte) []byte { p[len(p)-1] ^= 1; return p })}
	}
	for _, o := range h.signAll(shares, "twice", time.Minute)[:2] {
		require.Equal(t, Aborted, o.Ending, o.String())
		require.Equal(t, []common.Address{liar}, o.Culprits)
		require.NoError(t, o.Evidence[0].Verify(testNetwork))
	}
}

func TestAFalseEchoConvictsItsSender(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	liar, victim := shares[2].self, shares[0].self
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		if f != liar || to != victim || typeOf(t, frame) != typeEcho {
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte {
			entries, err := parseEcho(p)
			require.NoError(t, err)
			entries[1].Payload[0] ^= 1
			return encodeEcho(entries)
		})}
	}
	for _, o := range h.signAll(shares, "false echo", time.Minute)[:2] {
		require.Equal(t, Aborted, o.Ending, o.String())
		require.Equal(t, []common.Address{liar}, o.Culprits)
		require.Equal(t, FalseEcho, o.Evidence[0].Kind)
		require.NoError(t, o.Evidence[0].Verify(testNetwork))
	}
}

// A participant whose secret is not the one behind its public point fails the proof that ties them.
func TestACorruptedShareIsAttributed(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	bad := *shares[1]
	bad.xi = new(big.Int).Add(bad.xi, one)
	shares[1] = &bad
	outs := h.signAll(shares, "corrupted", time.Minute)
	convicted := 0
	for _, i := range []int{0, 2} {
		require.Contains(t, []Ending{Aborted, Unattributed}, outs[i].Ending, outs[i].String())
		if outs[i].Ending == Aborted {
			convicted++
			require.Equal(t, []common.Address{bad.self}, outs[i].Culprits)
			require.Equal(t, BadProof, outs[i].Evidence[0].Kind)
			require.NotEmpty(t, outs[i].Evidence[0].Envelopes)
			require.False(t, outs[i].Evidence[0].Portable())
		}
	}
	require.NotZero(t, convicted, "whoever fails first names the culprit; the other may only hear of it")
}

// A wrong share of the signature, in range and consistently sent, convicts nobody.
func TestAWrongSignatureShareIsUnattributed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHub(t, 4)
		shares := testShares(t)[:3]
		liar := shares[2].self
		h.tamper = func(f, to common.Address, frame []byte) [][]byte {
			env, err := parseFrame(frame)
			require.NoError(t, err)
			switch {
			case f == liar && env.Header.Type == typeSign9:
				return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte { p[len(p)-1] ^= 1; return p })}
			case to == liar && env.Header.Round == 9 && env.Header.Type == typeEcho:
				return nil // it would see its own message, and this test's liar is an honest engine
			}
			return [][]byte{frame}
		}
		outs := h.signAll(shares, "wrong s", time.Minute)
		for _, o := range outs[:2] {
			require.Equal(t, Unattributed, o.Ending, o.String())
			require.Empty(t, o.Culprits)
			require.Zero(t, o.Signature)
		}
		require.True(t, slices.ContainsFunc(outs[:2], func(o Outcome) bool {
			return strings.Contains(o.Reason, "signature verification failed")
		}), outs)
	})
}

// The guard's refusal names the rule, and the message is the evidence.
func TestARefusedMessageNamesItsRule(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	liar := shares[2].self
	h.tamper = func(f, _ common.Address, frame []byte) [][]byte {
		switch kind := typeOf(t, frame); {
		case f == liar && kind == typeAbort:
			return nil // it sees its own message in the echoes; a liar would not complain
		case f != liar || kind != typeSign1:
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte { return p[:len(p)-1] })}
	}
	outside := testShares(t)[3]
	for _, o := range h.signAll(shares, "refused", time.Minute)[:2] {
		// Whoever fails first shows the message, and the other reads it again.
		require.Equal(t, Aborted, o.Ending, o.String())
		require.Equal(t, []common.Address{liar}, o.Culprits)
		require.Equal(t, "message.encoding", o.Reason)
		require.Equal(t, Refused, o.Evidence[0].Kind)
		require.ErrorIs(t, o.Evidence[0].Verify(testNetwork), ErrNoProof)
		require.NoError(t, outside.Convicts(testNetwork, o.Evidence[0]), "who holds the key reads it again")
	}
}

// A refused direct message was seen by one only; its evidence convicts before the others.
func TestARefusedDirectMessageConvictsEverywhere(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	liar, victim := shares[2].self, shares[0].self
	h.tamper = func(f, to common.Address, frame []byte) [][]byte {
		if f != liar || to != victim || typeOf(t, frame) != typeSign2 {
			return [][]byte{frame}
		}
		return [][]byte{resealed(t, f, frame, func(_ *Header, p []byte) []byte { return append(p, 0x98, 0x06, 0x01) })}
	}
	for _, o := range h.signAll(shares, "refused direct", time.Minute)[:2] {
		require.Equal(t, Aborted, o.Ending, o.String())
		require.Equal(t, []common.Address{liar}, o.Culprits)
	}
}

// Evidence of a refused message convicts before key holders only when the message does break that rule.
func TestConvictions(t *testing.T) {
	shares := testShares(t)
	judge, culprit, receiver := shares[3], shares[1].self, shares[0].self
	payloads, _ := recorded(t, "sign")
	_, keys := testMembers(4)
	evidence := func(h Header, payload []byte) Evidence {
		env, err := seal(keys[culprit], testNetwork, h, payload)
		require.NoError(t, err)
		return Evidence{Kind: Refused, Culprit: culprit, Rule: "message.encoding", Envelopes: []Envelope{env}}
	}
	direct := Header{Round: 1, Type: typeSign1Direct, To: receiver}
	good := payloads[typeSign1Direct]
	require.NoError(t, judge.Convicts(testNetwork, evidence(direct, good[1:])))

	// A ciphertext for one receiver is out of range for another: the guard judges as the receiver.
	for name, ev := range map[string]Evidence{
		"an honest message": evidence(direct, good),
		"to itself":         evidence(Header{Round: 1, Type: typeSign1Direct, To: culprit}, good[1:]),
		"to nobody":         evidence(Header{Round: 1, Type: typeSign1Direct}, good[1:]),
		"to a stranger":     evidence(Header{Round: 1, Type: typeSign1Direct, To: common.Address{1}}, good[1:]),
		"of another round":  evidence(Header{Round: 2, Type: typeSign1Direct, To: receiver}, good[1:]),
		"of key generation": evidence(Header{Round: 1, Type: typeKeygen1}, good[1:]),
		"an empty list":     {Kind: Refused, Culprit: culprit},
		"of a non-member":   {Kind: Refused, Culprit: common.Address{1}, Envelopes: []Envelope{{}}},
		"of another's":      {Kind: Refused, Culprit: shares[2].self, Envelopes: evidence(direct, good[1:]).Envelopes},
		"a proof's failure": {Kind: BadProof, Culprit: culprit},
	} {
		require.ErrorIs(t, judge.Convicts(testNetwork, ev), ErrNoProof, name)
	}
	other := evidence(direct, good[1:])
	other.Rule = "commitment"
	require.ErrorIs(t, judge.Convicts(testNetwork, other), ErrNoProof)
	require.ErrorIs(t, judge.Convicts(common.Hash{1}, evidence(direct, good[1:])), ErrNoProof)
}

// A done signature is taken over by whoever is still waiting.
func TestTheFinalSignatureIsTakenOver(t *testing.T) {
	h, _ := newHub(t, 4)
	shares := testShares(t)[:3]
	cut := shares[1].self
	h.tamper = func(_, to common.Address, frame []byte) [][]byte {
		if env, _ := parseFrame(frame); to == cut && env.Header.Round == 9 && env.Header.Type == typeEcho {
			return nil
		}
		return [][]byte{frame}
	}
	for _, o := range h.signAll(shares, "taken over", time.Minute) {
		require.Equal(t, Signed, o.Ending, o.String())
		require.True(t, shares[0].verify(crypto.Keccak256Hash([]byte("digest of taken over")), o.Signature))
	}
}

func TestCancelTellsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, members := newHub(t, 4)
		shares := testShares(t)[:3]
		gone := errors.New("the fuse tripped")
		start := time.Now()
		outs := all(members[:2], func(i int, m common.Address) Outcome {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if i == 0 {
				time.AfterFunc(time.Second, func() { cancel(gone) })
			}
			return h.engines[m].sign(ctx, signRequest{session: sessionOf("cancel"), participants: members[:3], share: shares[i]})
		})
		require.Equal(t, Cancelled, outs[0].Ending)
		require.ErrorIs(t, outs[0].Err, gone)
		require.Equal(t, TimedOut, outs[1].Ending)
		require.Equal(t, []common.Address{members[0]}, outs[1].Silent)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestOneSessionPerKeyAndNoIdTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, members := newHub(t, 4)
		share := testShares(t)[0]
		e := h.engines[share.self]
		ask := func(name string) Outcome {
			return e.sign(t.Context(), signRequest{
				session: sessionOf(name), participants: members[:3], share: share, roundTimeout: time.Second,
			})
		}
		done := make(chan Outcome)
		go func() { done <- ask("first") }()
		synctest.Wait()

		second := ask("second")
		require.Equal(t, NotStarted, second.Ending)
		require.ErrorIs(t, second.Err, ErrBusy)
		require.ErrorIs(t, ask("first").Err, ErrSessionUsed)
		require.Equal(t, TimedOut, (<-done).Ending)
		require.ErrorIs(t, ask("first").Err, ErrSessionUsed)
		require.Equal(t, TimedOut, ask("second").Ending, "a session that never started may start")
	})
}

// TestACanaryKeepsNoPaymentWaiting: shares of the next epoch are tried while the old ones sign. Two payments of one key, of
// whichever epochs, and two sessions of the same shares still exclude each other, whichever comes first.
func TestACanaryKeepsNoPaymentWaiting(t *testing.T) {
	old := testShares(t)[0]
	next := *old
	next.epoch++
	next.parties = slices.Clone(old.parties)
	for i, m := range next.members {
		next.parties[i].key = partyKey(m, next.epoch)
	}
	for name, c := range map[string]struct {
		first, second       *KeyShare
		canary, canaryAfter bool
		want                error
	}{
		"a payment, then new shares are tried":    {first: old, second: &next, canaryAfter: true},
		"new shares are tried, then a payment":    {first: &next, canary: true, second: old},
		"two payments of one epoch":               {first: old, second: old, want: ErrBusy},
		"payments of two epochs":                  {first: old, second: &next, want: ErrBusy},
		"a payment, then its shares are tried":    {first: old, second: old, canaryAfter: true, want: ErrBusy},
		"shares are tried, then pay":              {first: &next, canary: true, second: &next, want: ErrBusy},
		"the same shares are tried twice at once": {first: &next, canary: true, second: &next, canaryAfter: true, want: ErrBusy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, members := newHub(t, 4)
				ask := func(session string, share *KeyShare, canary bool) Outcome {
					w := Warrant{session: sessionOf(session), digest: sessionOf(session + " digest"), set: members[:3], canary: canary}
					return h.engines[share.self].Sign(t.Context(), w, share, time.Second)
				}
				done := make(chan Outcome, 1)
				go func() { done <- ask("first", c.first, c.canary) }()
				synctest.Wait()
				second := ask("second", c.second, c.canaryAfter)
				require.ErrorIs(t, second.Err, c.want)
				require.Equal(t, c.want == nil, second.Ending == TimedOut, "%s: nobody else is there", second)
				require.Equal(t, TimedOut, (<-done).Ending)
				require.Equal(t, TimedOut, ask("third", c.second, c.canaryAfter).Ending, "nothing stays taken")
			})
		})
	}
}

func TestSignRefusesBadRequests(t *testing.T) {
	h, members := newHub(t, 4)
	shares := testShares(t)
	e := h.engines[members[0]]
	outsider := crypto.PubkeyToAddress(testKey(9).PublicKey)
	for name, req := range map[string]signRequest{
		"no share":          {participants: members[:3]},
		"another's share":   {participants: members[:3], share: shares[1]},
		"too few":           {participants: members[:2], share: shares[0]},
		"too many":          {participants: members, share: shares[0]},
		"one twice":         {participants: []common.Address{members[0], members[1], members[1]}, share: shares[0]},
		"without this node": {participants: members[1:], share: shares[0]},
		"with a non-member": {participants: []common.Address{members[0], members[1], outsider}, share: shares[0]},
	} {
		out := e.sign(t.Context(), req)
		require.Equal(t, NotStarted, out.Ending, name)
		require.Error(t, out.Err, name)
	}
}

func TestKeygenRefusesBadRequests(t *testing.T) {
	h, members := newHub(t, 4)
	pre := devPreParams(t, 0)
	good := KeygenRequest{Epoch: 1, Members: members, Threshold: 3, PreParams: pre}
	for name, change := range map[string]func(*KeygenRequest){
		"no preparameters":  func(r *KeygenRequest) { r.PreParams = nil },
		"threshold of one":  func(r *KeygenRequest) { r.Threshold = 1 },
		"threshold above n": func(r *KeygenRequest) { r.Threshold = 5 },
		"one member":        func(r *KeygenRequest) { r.Members = members[:1] },
		"not a member":      func(r *KeygenRequest) { r.Members = members[1:] },
		"not ascending":     func(r *KeygenRequest) { r.Members = quorum.Members{members[1], members[0], members[2], members[3]} },
		"one twice":         func(r *KeygenRequest) { r.Members = quorum.Members{members[0], members[0], members[2], members[3]} },
	} {
		req := good
		change(&req)
		key, out := h.engines[members[0]].Keygen(t.Context(), req)
		require.Nil(t, key, name)
		require.Equal(t, NotStarted, out.Ending, name)
	}
	h.engines[members[0]].development = false
	_, out := h.engines[members[0]].Keygen(t.Context(), good)
	require.ErrorIs(t, out.Err, ErrDevelopment)
}
