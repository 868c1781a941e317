package simnet

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/p2p/memnet"
	"conclave/quorum"
)

// HearCheckpoints makes the world remember what custodians say of the log's ranges. Call it before they say it.
func (w *World) HearCheckpoints() {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.ranges = map[uint64]quorum.Checkpoint{}
	w.wire.ears = append(w.wire.ears, func(h Heard) {
		if h.Says != quorum.KindCheckpoint || h.Kind != memnet.Gossip {
			return
		}
		if s, err := quorum.Open[quorum.Checkpoint](w.network, w.roster(), h.Statement); err == nil && !w.faulty[h.FromIndex] {
			w.wire.ranges[s.Body().Range] = s.Body()
		}
	})
}

// Checkpoint makes the puppet gossip its word on a range: what the custodians said last of it, or something else.
func (p *Puppet) Checkpoint(r uint64, odd bool) error {
	p.w.wire.mu.Lock()
	body, ok := p.w.wire.ranges[r]
	p.w.wire.mu.Unlock()
	if !ok {
		return fmt.Errorf("nobody has said anything of range %d", r)
	}
	p.mu.Lock()
	p.counter++
	body.Counter = p.counter
	p.mu.Unlock()
	if odd {
		body.Count, body.Hash = body.Count+1, common.BytesToHash(crypto.Keccak256([]byte("a row that nobody was shown")))
	}
	s, err := quorum.Sign(p.key, p.w.network, body)
	if err != nil {
		return err
	}
	return p.net.Publish("facts", s.Bytes())
}
