package simnet

import (
	"context"
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
	"conclave/tss"
)

// Keygen implements [node.Signer]: a resharing that nobody deals, of a key that nobody had before. The founding key of a world is a
// fixture's.
func (s *idealSigner) Keygen(ctx context.Context, req tss.KeygenRequest) (*tss.Key, tss.Outcome) {
	return s.Reshare(ctx, tss.ReshareRequest{
		Session: req.Session, Epoch: req.Epoch, Members: req.Members, Threshold: req.Threshold, PreParams: req.PreParams,
		RoundTimeout: req.RoundTimeout, Save: req.Save, Progress: req.Progress,
	})
}

// wholeOf is the key that a ceremony deals shares of: one that exists, or another one for each session. The caller holds the deals' mu.
func (w *World) wholeOf(req tss.ReshareRequest) (*ecdsa.PrivateKey, error) {
	if req.Public == publicOf(w.cfg.Key.whole) {
		return w.cfg.Key.whole, nil
	}
	if key, ok := w.deals.made[req.Public]; ok {
		return key, nil
	}
	if req.Public != (quorum.PublicKey{}) {
		return nil, errDeal
	}
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet payer, for tests only"), req.Session[:]))
	if err != nil {
		return nil, err
	}
	if w.deals.made == nil {
		w.deals.made = map[quorum.PublicKey]*ecdsa.PrivateKey{}
	}
	w.deals.made[publicOf(key)] = key
	w.canary.know(fmt.Sprintf("the payer's key of epoch %d", req.Epoch), numberOf(key))
	return key, nil
}

func publicOf(key *ecdsa.PrivateKey) (p quorum.PublicKey) {
	copy(p[:], crypto.CompressPubkey(&key.PublicKey))
	return p
}

// whole is the key of a payer; nil for one that was never made.
func (w *World) whole(public quorum.PublicKey) *ecdsa.PrivateKey {
	if public == publicOf(w.cfg.Key.whole) {
		return w.cfg.Key.whole
	}
	w.deals.mu.Lock()
	defer w.deals.mu.Unlock()
	return w.deals.made[public]
}

// payers are the addresses of all keys: the founding one, and those that ceremonies made, whether they were decided or not.
func (w *World) payers() []common.Address {
	w.deals.mu.Lock()
	defer w.deals.mu.Unlock()
	out := []common.Address{w.payer}
	for _, key := range w.deals.made {
		out = append(out, crypto.PubkeyToAddress(key.PublicKey))
	}
	return out
}
