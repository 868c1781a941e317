package simnet

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// deals are the shares that ideal resharings left, by session: whoever asks first has them dealt by a trusted dealer.
type deals struct {
	mu   sync.Mutex // guards what follows
	of   map[common.Hash]map[common.Address]*tss.KeyShare
	made map[quorum.PublicKey]*ecdsa.PrivateKey // keys that ideal ceremonies made, whole
}

// idealDealt is how many sets of preparameters a deal has to draw from: a committee of more members is refused.
const idealDealt = devkeys.Count

var errDeal = errors.New("simnet: no deal for this request")

func (w *World) deal(req tss.ReshareRequest) (map[common.Address]*tss.KeyShare, error) {
	w.deals.mu.Lock()
	defer w.deals.mu.Unlock()
	if known, ok := w.deals.of[req.Session]; ok {
		return known, nil
	}
	if len(req.Members) > idealDealt {
		return nil, errDeal
	}
	key, err := w.wholeOf(req)
	if err != nil {
		return nil, err
	}
	made, err := tsstest.DealIn(req.Session, numberOf(key), req.Epoch, req.Members, req.Threshold, devkeys.Set)
	if err != nil {
		return nil, err
	}
	if w.deals.of == nil {
		w.deals.of = map[common.Hash]map[common.Address]*tss.KeyShare{}
	}
	w.deals.of[req.Session] = made
	return made, nil
}

// Reshare implements [node.Signer]: all who take part hear each other in every round, each new member saves its share and
// only then signs the transcript, and whoever holds all signatures is done.
func (s *idealSigner) Reshare(ctx context.Context, req tss.ReshareRequest) (*tss.Key, tss.Outcome) {
	out := tss.Outcome{Ending: tss.NotStarted, Session: req.Session}
	if slices.Contains(req.Dealers, s.self) && req.Share == nil {
		out.Err = tss.ErrShare
		return nil, out
	}
	shares, err := s.deal(req)
	if err != nil {
		out.Err = err
		return nil, out
	}
	l, err := s.begin(req.Session, handover)
	if err != nil {
		out.Err = err
		return nil, out
	}
	defer s.end(l, handover)
	all := slices.Concat(req.Dealers, req.Members)
	slices.SortFunc(all, common.Address.Cmp)
	others := slices.DeleteFunc(slices.Compact(all), func(a common.Address) bool { return a == s.self })
	timeout := req.RoundTimeout
	if timeout == 0 {
		timeout = tss.DefaultReshareTimeout
	}
	for round := uint64(1); round <= idealRounds; round++ {
		out.Round = uint8(round)
		if ending, silent := s.round(ctx, l, idealFrame{Session: l.id, Round: round}, others, others, timeout); ending != tss.Signed {
			out.Ending, out.Silent, out.Err = ending, silent, ctx.Err()
			return nil, out
		}
	}
	share := shares[s.self] // nil for who leaves
	transcript := shares[req.Members[0]].Transcript()
	last, err := s.closing(l, req, share, transcript)
	if err != nil {
		out.Err = err
		return nil, out
	}
	signers := slices.DeleteFunc(slices.Clone(req.Members), func(a common.Address) bool { return a == s.self })
	if ending, silent := s.round(ctx, l, last, others, signers, timeout); ending != tss.Signed {
		out.Ending, out.Silent, out.Err = ending, silent, ctx.Err()
		return nil, out
	}
	key := &tss.Key{Share: share, Transcript: transcript}
	for _, m := range req.Members {
		key.Signatures = append(key.Signatures, s.noted(l, m))
	}
	out.Ending = tss.Generated
	return key, out
}

// closing is a member's last word: whoever has a share saves it, and then signs the transcript.
func (s *idealSigner) closing(l *idealSession, req tss.ReshareRequest, share *tss.KeyShare, t quorum.Transcript) (idealFrame, error) {
	last := idealFrame{Session: l.id, Round: idealRounds + 1}
	if share == nil {
		return last, nil
	}
	if req.Save != nil {
		if err := req.Save(share); err != nil {
			return last, err
		}
	}
	sig, err := quorum.SignDigest(s.identity, quorum.Digest(quorum.KindTranscript, s.network, t))
	if err != nil {
		return last, err
	}
	last.Sig = sig[:]
	s.note(l, s.self, sig)
	return last, nil
}

func (s *idealSigner) note(l *idealSession, of common.Address, sig quorum.Signature) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.signed[of] = sig
}

func (s *idealSigner) noted(l *idealSession, of common.Address) quorum.Signature {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.signed[of]
}
