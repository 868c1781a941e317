package simnet

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
	"conclave/tss"
)

// Shape of an ideal session.
const (
	// idealRounds is how often every signer must have heard every other: enough for sessions to be cut in the middle.
	idealRounds = 4
	// idealEarly bounds the frames that are kept for sessions which have not begun here.
	idealEarly = 1 << 10
)

// handover is what ceremonies have for themselves: they exclude each other, and no signing.
const handover = "handover"

// idealSigner signs as threshold signing should: for a warrant and nothing else, once all of its set have joined with
// warrants of that very session and have heard each other in every round. The mathematics is left out: it takes a second of computing,
// and package tss has tests of its own. What a member does before, around and after a session is the custodians' own code.
type idealSigner struct {
	self common.Address
	key  func(quorum.PublicKey) *ecdsa.PrivateKey // of a payer, whole: what exists in no real network
	to   tss.Transport

	identity *ecdsa.PrivateKey // of the member
	network  common.Hash
	deal     func(tss.ReshareRequest) (map[common.Address]*tss.KeyShare, error)

	mu    sync.Mutex // guards what follows
	used  map[common.Hash]bool
	live  map[common.Hash]*idealSession
	taken map[string]bool // what the live ones have for themselves
	early []idealFrame
}

// idealFrame is one member's word in one round.
type idealFrame struct {
	Session common.Hash
	Round   uint64
	from    common.Address `rlp:"-"`        // the stream says it
	Sig     []byte         `rlp:"optional"` // a new member's under the transcript of a resharing
}

type idealSession struct {
	id    common.Hash
	heard map[common.Address]uint64 // rounds
	moved chan struct{}             // has room for one

	signed map[common.Address]quorum.Signature
}

// Receive implements [node.Signer].
func (s *idealSigner) Receive(from common.Address, frame []byte) {
	f := idealFrame{from: from}
	if rlp.DecodeBytes(frame, &f) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l := s.live[f.Session]; {
	case l != nil:
		l.hear(f)
	case !s.used[f.Session] && len(s.early) < idealEarly:
		s.early = append(s.early, f)
	}
}

// hear takes frames of a stream, which come in order or not at all.
func (l *idealSession) hear(f idealFrame) {
	if f.Round != l.heard[f.from]+1 {
		return
	}
	l.heard[f.from] = f.Round
	if len(f.Sig) == len(quorum.Signature{}) {
		l.signed[f.from] = quorum.Signature(f.Sig)
	}
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// Sign implements [node.Signer].
func (s *idealSigner) Sign(ctx context.Context, w tss.Warrant, share *tss.KeyShare, roundTimeout time.Duration) tss.Outcome {
	out := tss.Outcome{Ending: tss.NotStarted, Session: w.Session()}
	others := slices.DeleteFunc(slices.Clone(w.Set()), func(a common.Address) bool { return a == s.self })
	if w.Session() == (common.Hash{}) || share == nil || len(others)+1 != len(w.Set()) {
		out.Err = tss.ErrWarrant
		return out
	}
	claims := w.Claims(share)
	l, err := s.begin(w.Session(), claims...)
	if err != nil {
		out.Err = err
		return out
	}
	defer s.end(l, claims...)
	if roundTimeout == 0 {
		roundTimeout = tss.DefaultSignTimeout
	}
	for round := uint64(1); round <= idealRounds; round++ {
		out.Round = uint8(round)
		if ending, silent := s.round(ctx, l, idealFrame{Session: l.id, Round: round}, others, others, roundTimeout); ending != tss.Signed {
			out.Ending, out.Silent, out.Err = ending, silent, ctx.Err()
			return out
		}
	}
	if out.Signature, err = quorum.SignDigest(s.key(share.PublicKey()), w.Digest()); err != nil {
		out.Err = err
		return out
	}
	out.Ending = tss.Signed
	return out
}

func (s *idealSigner) begin(id common.Hash, claims ...string) (*idealSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.used[id]:
		return nil, tss.ErrSessionUsed
	case slices.ContainsFunc(claims, func(c string) bool { return s.taken[c] }):
		return nil, tss.ErrBusy
	}
	s.used[id] = true
	l := &idealSession{id: id, heard: map[common.Address]uint64{}, moved: make(chan struct{}, 1), signed: map[common.Address]quorum.Signature{}}
	s.live[id] = l
	for _, c := range claims {
		s.taken[c] = true
	}
	for _, f := range s.early {
		if f.Session == id {
			l.hear(f)
		}
	}
	s.early = slices.DeleteFunc(s.early, func(f idealFrame) bool { return f.Session == id })
	return l, nil
}

func (s *idealSigner) end(l *idealSession, claims ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, l.id)
	for _, c := range claims {
		delete(s.taken, c)
	}
}

// round speaks to the others, and waits until everybody of speakers has spoken in the round.
func (s *idealSigner) round(ctx context.Context, l *idealSession, word idealFrame, others, speakers quorum.Members, timeout time.Duration) (tss.Ending, []common.Address) {
	frame, err := rlp.EncodeToBytes(word)
	if err != nil {
		return tss.Unattributed, nil
	}
	for _, to := range others {
		// A frame that is not sent is silence.
		_ = s.to.Send(to, frame)
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		silent := s.silent(l, word.Round, speakers)
		if len(silent) == 0 {
			return tss.Signed, nil
		}
		select {
		case <-l.moved:
		case <-deadline.C:
			return tss.TimedOut, silent
		case <-ctx.Done():
			return tss.Cancelled, nil
		}
	}
}

func (s *idealSigner) silent(l *idealSession, round uint64, others quorum.Members) []common.Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(others), func(a common.Address) bool { return l.heard[a] >= round })
}
