package simnet

import (
	"crypto/ecdsa"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// Fixture is the published key, read once: proving its shares takes a second of computing. Worlds may share it.
type Fixture struct {
	shares map[common.Address]*tss.KeyShare
	payer  common.Address
	whole  *ecdsa.PrivateKey

	mu      sync.Mutex // guards what follows
	founded map[common.Hash]founding
	secret  *haystack // nil until somebody looks
}

// LoadFixture reads the key that every world pays with.
func LoadFixture() (*Fixture, error) {
	shares, err := tsstest.Shares()
	if err != nil {
		return nil, fmt.Errorf("simnet: %w", err)
	}
	key, err := tsstest.PayerKey()
	if err != nil {
		return nil, fmt.Errorf("simnet: %w", err)
	}
	return &Fixture{shares: shares, payer: crypto.PubkeyToAddress(key.PublicKey), whole: key, founded: map[common.Hash]founding{}}, nil
}

// found returns the decision of height 1 of a network, the same for every world that has it.
func (f *Fixture) found(g quorum.Genesis, keys []*ecdsa.PrivateKey) (founding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.founded[g.ID()]; ok {
		return known, nil
	}
	made, err := found(g, keys, f.shares[g.Members[0].Address].Transcript())
	if err == nil {
		f.founded[g.ID()] = made
	}
	return made, err
}

// canary looks for everything that custodians with this key hold and nobody else may see.
func (f *Fixture) canary(keys []*ecdsa.PrivateKey, api *ecdsa.PrivateKey) (*canary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.secret == nil {
		all, err := secrets(keys, api, f)
		if err != nil {
			return nil, err
		}
		f.secret = newHaystack(all)
	}
	return &canary{stacks: []*haystack{f.secret}, looked: map[string]int{}}, nil
}
