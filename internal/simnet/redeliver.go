package simnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/p2p"
	"conclave/p2p/memnet"
	"conclave/quorum"
)

// maxDecreed bounds what is remembered of what operators and members signed to govern: a story's is a few dozen frames.
const maxDecreed = 4096

// decreed is one frame that carried something that was signed to govern, as it can be sent again.
type decreed struct {
	protocol string
	frame    []byte
}

// HearDecrees makes the world remember everything that is signed to govern, from now on: halts and their ends, actions,
// decisions, and the votes on them.
func (w *World) HearDecrees() {
	seen := map[common.Hash]bool{}
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	w.wire.ears = append(w.wire.ears, func(h Heard) {
		d, ok := decreeOf(h)
		id := crypto.Keccak256Hash([]byte(d.protocol), d.frame)
		if !ok || seen[id] || len(w.wire.decreed) == maxDecreed {
			return
		}
		seen[id] = true
		w.wire.decreed = append(w.wire.decreed, d)
	})
}

func decreeOf(h Heard) (decreed, bool) {
	switch {
	case h.Says == quorum.KindHalt || h.Says == quorum.KindClear:
		return decreed{"facts", encode(factsMsg{[][]byte{h.Statement}})}, true
	case h.Says == quorum.KindProposal || h.Says == quorum.KindPrevote || h.Says == quorum.KindPrecommit:
		return decreed{"votes", slices.Clone(h.Data)}, true
	case h.Kind == memnet.Frame && (h.Name == "governance" || h.Decision()):
		return decreed{h.Name, slices.Clone(h.Data)}, true
	}
	return decreed{}, false
}

// Decision reports whether a message shows a decision without being asked for it.
func (h Heard) Decision() bool {
	var m signMsg
	return h.Name == "signing" && rlp.DecodeBytes(h.Data, &m) == nil && m.Kind == signDecision
}

// Redeliver sends everything that was signed to govern again, to every honest custodian that runs, the newest first when
// backwards. It returns how many frames each was sent.
func (w *World) Redeliver(backwards bool) (int, error) {
	w.wire.mu.Lock()
	all := slices.Clone(w.wire.decreed)
	w.wire.mu.Unlock()
	if backwards {
		slices.Reverse(all)
	}
	run := w.Honest()
	for _, to := range run {
		from := run[0]
		if to == from {
			from = run[len(run)-1]
		}
		for _, d := range all {
			if err := from.Net.Send(to.Address, d.protocol, d.frame); err != nil && !errors.Is(err, p2p.ErrNotConnected) {
				return 0, fmt.Errorf("%s to %s: %w", d.protocol, to.Name, err)
			}
		}
	}
	return len(all), nil
}

// Ruled is what a custodian holds of all that was decided or said to govern, as text to compare: serial, policy, halts that
// stand, and every decision's height and root.
func (c *Custodian) Ruled(ctx context.Context) (string, error) {
	v, err := c.Node.Committee(ctx)
	if err != nil {
		return "", err
	}
	s, err := c.Node.Status(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "height %d serial %d policy %d %s halted %t", v.Height, v.Serial, v.PolicyVersion, v.PolicyHash, s.Halted)
	for _, h := range v.Halts {
		fmt.Fprintf(&b, "; %s of %s %s", h.Member, h.Scope, h.Target)
	}
	for _, d := range v.Decided {
		fmt.Fprintf(&b, "; %s %d at %d", d.Kind, d.Serial, d.Height)
	}
	fmt.Fprintf(&b, "; log %s, %s owed, %s uncovered, %d frozen", s.Books.Root, s.Books.Liabilities, s.Books.Uncovered, s.Books.Frozen)
	return b.String(), nil
}
