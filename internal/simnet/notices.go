package simnet

import (
	"context"
	"slices"
	"sync"

	"conclave/node"
)

// Notices is a custodian's webhook: it keeps what it is given and outlives the process.
type Notices struct {
	mu  sync.Mutex // guards got
	got []node.Notice
}

// Notify implements [node.Notifier].
func (n *Notices) Notify(_ context.Context, one node.Notice) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got = append(n.got, one)
	return nil
}

// About returns what came of a code, in its order.
func (n *Notices) About(code string) (out []node.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.got {
		if one.Code == code {
			out = append(out, one)
		}
	}
	return out
}

// all returns everything that was told, in its order.
func (n *Notices) all() []node.Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}
