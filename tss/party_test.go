package tss

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// rogue is a state machine of the library that misbehaves on its n-th message.
type rogue struct {
	tsslib.Party
	at     int
	update func() (bool, *tsslib.Error)
}

func (r *rogue) Update(m tsslib.ParsedMessage) (bool, *tsslib.Error) {
	if r.at--; r.at == 0 {
		return r.update()
	}
	return r.Party.Update(m)
}

func withRogue(update func() (bool, *tsslib.Error)) func(machine) machine {
	return func(m machine) machine {
		p := m.(*libraryParty)
		p.lib = &rogue{Party: p.lib, at: 3, update: update}
		return p
	}
}

// Whatever the library does, the session ends, and convicts nobody by it.
func TestTheLibraryMisbehaves(t *testing.T) {
	for name, c := range map[string]struct {
		update func() (bool, *tsslib.Error)
		reason string
		blamed bool
	}{
		"panic":          {func() (bool, *tsslib.Error) { panic("index out of range") }, "panic in the library: index out of range", true},
		"wrapped nil":    {func() (bool, *tsslib.Error) { return false, tsslib.NewError(nil, "x", 5, nil) }, "Error is nil", false},
		"not accepted":   {func() (bool, *tsslib.Error) { return false, nil }, errStalled.Error(), false},
		"swallows":       {func() (bool, *tsslib.Error) { return true, nil }, "", false},
		"blame of a nil": {func() (bool, *tsslib.Error) { return false, tsslib.NewError(errors.New("bad"), "x", 5, nil, nil) }, "bad", false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHub(t, 4)
			shares := testShares(t)[:3]
			h.engines[shares[0].self].wrap = withRogue(c.update)
			outs := h.signAll(shares, "rogue "+name, time.Second)
			if c.reason == "" {
				// A message that vanished in the library looks like our own silence.
				require.Equal(t, TimedOut, outs[0].Ending, outs[0].String())
				return
			}
			require.Equal(t, Unattributed, outs[0].Ending, outs[0].String())
			require.Contains(t, outs[0].Reason, c.reason)
			require.Equal(t, c.blamed, len(outs[0].Suspects) == 1)
			for _, o := range outs[1:] {
				require.Equal(t, Unattributed, o.Ending, o.String())
				require.Contains(t, o.Suspects, shares[0].self)
			}
		})
	}
}

// forged is a state machine that changes what the library's calls come to.
type forged struct {
	machine
	change func(step) step
}

func (f forged) feed(batch []checked) step { return f.change(f.machine.feed(batch)) }

// Nothing that the library says is a signature before it was verified here.
func TestTheLibrarysResultIsNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		change func(step) step
		reason string
	}{
		"another signature": {func(s step) step {
			if sig, ok := s.result.(quorum.Signature); ok {
				sig[40] ^= 1
				s.result = sig
			}
			return s
		}, "the signature does not verify"},
		"no signature": {func(s step) step {
			if s.result != nil {
				s.result = &rawShare{}
			}
			return s
		}, "the signature does not verify"},
		"nothing": {func(s step) step { s.result = nil; return s }, "the library ended without a result"},
	} {
		h, _ := newHub(t, 4)
		h.tamper = func(_, _ common.Address, frame []byte) [][]byte {
			if env, _ := parseFrame(frame); env.Header.Type == typeDone {
				return nil
			}
			return [][]byte{frame}
		}
		shares := testShares(t)[:3]
		h.engines[shares[0].self].wrap = func(m machine) machine { return forged{m, c.change} }
		out := h.signAll(shares, "forged "+name, time.Minute)[0]
		require.Equal(t, Unattributed, out.Ending, "%s: %s", name, out)
		require.Equal(t, c.reason, out.Reason, name)
		require.Zero(t, out.Signature)
	}
}

// A step that takes longer than the deadline is our own slowness: the others' silence counts from its end.
func TestOwnComputingIsNotTheOthersSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHub(t, 4)
		for _, e := range h.engines {
			e.wrap = func(m machine) machine {
				return forged{m, func(s step) step { <-time.After(3 * DefaultSignTimeout); return s }}
			}
		}
		start := time.Now()
		for _, o := range h.signAll(testShares(t)[:3], "slow", 0) {
			require.Equal(t, Signed, o.Ending, o.String())
		}
		require.Equal(t, 9*3*DefaultSignTimeout, time.Since(start))
	})
}

func TestAPanicAtTheStart(t *testing.T) {
	p := &libraryParty{lib: &rogue{}} // no state machine inside: Start panics
	st := p.start()
	require.ErrorContains(t, st.err, "panic in the library")
	require.Zero(t, st.err.suspect)
}

func TestBlameOfTheLibrary(t *testing.T) {
	self, a, b := common.Address{1}, common.Address{2}, common.Address{3}
	s := &session{self: self, order: []common.Address{self, a, b}, plan: signPlan(), held: map[slot]Envelope{}}
	s.held[slot{1, typeSign1, common.Address{}, a}] = Envelope{Header: Header{Type: typeSign1}}
	s.held[slot{1, typeSign1Direct, self, a}] = Envelope{Header: Header{Type: typeSign1Direct, To: self}}
	bad := errors.New("proof failed")

	out := s.blame(&libraryError{cause: bad, culprits: []common.Address{b, a, a}})
	require.Equal(t, Aborted, out.Ending)
	require.Equal(t, []common.Address{a, b}, out.Culprits)
	require.Len(t, out.Evidence[0].Envelopes, 2)

	for name, err := range map[string]*libraryError{
		"itself, as round 9 does":       {cause: bad, culprits: []common.Address{self}},
		"nobody":                        {cause: bad},
		"itself among others":           {cause: bad, culprits: []common.Address{self, a}},
		"a panic while reading another": {cause: bad, culprits: []common.Address{a}, suspect: b},
	} {
		require.Equal(t, Unattributed, s.blame(err).Ending, name)
	}
}

// Our form and the library's hold the same numbers, in both directions, and share no memory that the library writes to.
func TestTheLibrarysForms(t *testing.T) {
	pre := devPreParams(t, 0)
	lib := pre.library()
	require.True(t, lib.ValidateWithProof())
	require.Equal(t, pre, fromLibrary(&lib))
	lib.H1i.SetInt64(0)
	require.NoError(t, pre.check())

	share := testShares(t)[0]
	save := share.library()
	save.Xi.SetInt64(0)
	save.PaillierSK.P.SetInt64(0)
	save.NTildej[2].SetInt64(0)
	_, err := share.checked()
	require.NoError(t, err)
}

func TestSignDataHasRoomForEverything(t *testing.T) {
	// The library writes to its channel under its mutex: a full channel is a deadlock.
	for n := 2; n <= 16; n++ {
		require.GreaterOrEqual(t, signPlan().messages(n), 2*(n-1)+8)
		require.GreaterOrEqual(t, keygenPlan().messages(n), (n-1)+3)
	}
}
