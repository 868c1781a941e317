package simnet

import (
	"slices"
	"sync"

	"conclave/internal/devnet/devkeys"
	"conclave/node"
	"conclave/quorum"
	"conclave/tss"
)

// safe stands for a custodian's vault: it outlives the process, and whatever it took is on disk. What a real vault does to
// get there has tests of its own.
type safe struct {
	w *World

	mu     sync.Mutex // guards shares
	shares []*tss.KeyShare
}

var _ node.KeyStore = (*safe)(nil)

// store is the custodian's vault: the fixture's share, for whoever has one.
func (c *Custodian) store() *safe {
	if c.vault == nil {
		c.vault = &safe{w: c.w}
		if s := c.w.cfg.Key.shares[c.Address]; s != nil {
			c.vault.shares = []*tss.KeyShare{s}
		}
	}
	return c.vault
}

// PreParams implements [node.KeyStore]. Ideal resharing does not look at them.
func (*safe) PreParams() (*tss.PreParams, error) { return tss.UnmarshalPreParams(devkeys.Set(0)) }

// SaveShare implements [node.KeyStore].
func (s *safe) SaveShare(share *tss.KeyShare) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares = append(s.shares, share)
	return nil
}

// ShareOf implements [node.KeyStore].
func (s *safe) ShareOf(t quorum.Transcript) (*tss.KeyShare, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(t); i >= 0 {
		return s.shares[i], nil
	}
	return nil, node.ErrNoShare
}

func (s *safe) find(t quorum.Transcript) int {
	return slices.IndexFunc(s.shares, func(k *tss.KeyShare) bool {
		is := k.Transcript()
		return is.PublicKey == t.PublicKey && is.Epoch == t.Epoch && is.Session == t.Session
	})
}

// Shares implements [node.KeyStore].
func (s *safe) Shares() ([]*tss.KeyShare, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shares), nil
}

// DeleteShare implements [node.KeyStore].
func (s *safe) DeleteShare(old, successor quorum.Transcript) error {
	if _, err := s.ShareOf(successor); err != nil {
		return err
	}
	return s.DropShare(old)
}

// DropShare implements [node.KeyStore].
func (s *safe) DropShare(t quorum.Transcript) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(t); i >= 0 {
		s.shares = slices.Delete(s.shares, i, i+1)
	}
	return nil
}

// epochs are those of the shares that a custodian holds, ascending.
func (s *safe) epochs() (out []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.shares {
		out = append(out, k.Epoch())
	}
	slices.Sort(out)
	return out
}
