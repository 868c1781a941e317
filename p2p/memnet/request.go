package memnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"conclave/p2p"
)

// call is one request under way.
type call struct {
	seq      uint64 // of the request
	from, to *Node
	once     sync.Once
	free     func()        // gives the place among RequestsPerPeer back
	done     chan struct{} // closed when reply and err are set
	reply    []byte
	err      error
}

func (c *call) end(reply []byte, err error) {
	c.once.Do(func() {
		c.reply, c.err = reply, err
		close(c.done)
	})
}

// Request asks the first linked node of an address.
func (n *Node) Request(ctx context.Context, to common.Address, protocol string, body []byte) ([]byte, error) {
	spec, err := n.cfg.RequestProtocol(protocol)
	if err != nil {
		return nil, err
	}
	if len(body) > spec.MaxBody {
		return nil, fmt.Errorf("request of %d bytes to %q: %w", len(body), protocol, p2p.ErrFrameTooLarge)
	}
	c, running, err := n.call(to, protocol, body)
	if err != nil {
		return nil, err
	}
	defer n.hangUp(c)

	ctx, cancel := context.WithTimeout(ctx, p2p.RequestTimeout)
	defer cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %q: %w", protocol, ctx.Err())
	case <-running.Done():
		return nil, fmt.Errorf("ask %q: %w", protocol, running.Err())
	}
	switch {
	case c.err != nil:
		return nil, fmt.Errorf("ask %q: %w", protocol, c.err)
	case len(c.reply) > spec.MaxReply:
		n.door.Refuse(to)
		return nil, fmt.Errorf("ask %q: reply of %d bytes: %w", protocol, len(c.reply), p2p.ErrFrameTooLarge)
	}
	return c.reply, nil
}

// call puts a request on its way; hangUp ends it in any case.
func (n *Node) call(to common.Address, protocol string, body []byte) (*call, context.Context, error) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	targets, err := n.targets(to)
	if err != nil {
		return nil, nil, err
	}
	free, err := n.door.Ask(to)
	if err != nil {
		return nil, nil, err
	}
	c := &call{from: n, to: targets[0], free: free, done: make(chan struct{})}
	it := &item{Message: Message{Kind: Request, Name: protocol, Data: slices.Clone(body)}, from: n, to: c.to, call: c}
	if err := n.hub.submit(it); err != nil {
		free()
		return nil, nil, err
	}
	c.seq = it.Seq
	n.hub.calls[c] = true
	n.work.Add(1)
	return c, n.ctx, nil
}

func (n *Node) hangUp(c *call) {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	delete(n.hub.calls, c)
	c.free()
	n.work.Done()
}

// judgeRequest lets the handler run beside the lane: a question that waits must not hold back the next.
func (n *Node) judgeRequest(it *item) (Fate, func(context.Context)) {
	spec, err := n.cfg.RequestProtocol(it.Name)
	switch {
	case err != nil:
		n.answer(it, nil, err)
		return Cut, nil
	case len(it.Data) > spec.MaxBody:
		n.door.Refuse(it.From)
		n.answer(it, nil, p2p.ErrFrameTooLarge)
		return Refused, nil
	}
	return Delivered, func(ctx context.Context) {
		n.work.Add(1) // the lane that calls is itself part of work
		go func() {
			defer n.work.Done()
			ctx, cancel := context.WithTimeout(ctx, p2p.RequestTimeout)
			defer cancel()
			reply, err := n.handlers.Request(ctx, it.Name, it.From, it.Data)
			if err == nil && len(reply) > spec.MaxReply {
				err = p2p.ErrFrameTooLarge
			}
			n.answer(it, reply, err)
		}()
	}
}

// answer sends a reply or a refusal on its way back.
func (n *Node) answer(it *item, reply []byte, err error) {
	if err != nil {
		reply, err = nil, &p2p.RemoteError{Peer: n.self, Reason: p2p.Reason(err)}
	}
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	if !n.hub.linked(n, it.from) {
		return // relink has ended the call
	}
	back := &item{Message: Message{Kind: Reply, Name: it.Name, Data: slices.Clone(reply)}, from: n, to: it.from, call: it.call, err: err}
	if errors.Is(n.hub.submit(back), p2p.ErrQueueFull) {
		it.call.end(nil, p2p.ErrQueueFull)
	}
}
