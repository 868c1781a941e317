package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/common"
	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/zap"
)

// The first byte of a reply.
const (
	replyDone    = 0 // a frame with the answer follows
	replyRefused = 1 // a frame with the reason follows
)

// errReply: the peer's reply has no known form.
var errReply = errors.New("reply is malformed")

// Request asks one peer. See Network. Each request has a stream of its own: questions are rare, and one that waits must not hold
// back the next.
func (h *Host) Request(ctx context.Context, to common.Address, protocol string, body []byte) ([]byte, error) {
	spec, err := h.cfg.RequestProtocol(protocol)
	if err != nil {
		return nil, err
	}
	if len(body) > spec.MaxBody {
		return nil, fmt.Errorf("request of %d bytes to %q, at most %d: %w", len(body), protocol, spec.MaxBody, ErrFrameTooLarge)
	}
	running, ok := h.enter()
	if !ok {
		return nil, ErrNotRunning
	}
	defer h.work.Done()
	if err := h.door.Connected(to); err != nil {
		return nil, err
	}
	done, err := h.door.Ask(to)
	if err != nil {
		return nil, err
	}
	defer done()

	ctx, cancel := context.WithDeadline(ctx, deadline(ctx, RequestTimeout))
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	reply, err := h.ask(ctx, to, spec, body)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	if errors.Is(err, ErrFrameTooLarge) || errors.Is(err, errReply) {
		h.door.Refuse(to)
	}
	return reply, err
}

func (h *Host) ask(ctx context.Context, to common.Address, spec RequestSpec, body []byte) ([]byte, error) {
	h.mu.Lock()
	m := h.peers[to]
	h.mu.Unlock()
	if m == nil {
		return nil, ErrUnknownPeer
	}
	s, err := h.host.NewStream(network.WithNoDial(ctx, "request"), m.id, h.ids.request(spec.Name))
	if err != nil {
		return nil, fmt.Errorf("ask %q: open stream: %w", spec.Name, err)
	}
	// Reset is harmless after a complete exchange, and ends reads and writes when ctx does.
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()

	if _, err := s.Write(appendFrame(nil, body)); err != nil {
		return nil, fmt.Errorf("ask %q: write: %w", spec.Name, err)
	}
	if err := s.CloseWrite(); err != nil {
		return nil, fmt.Errorf("ask %q: write: %w", spec.Name, err)
	}
	reply, err := readReply(s, to, spec.MaxReply)
	if err != nil {
		return nil, fmt.Errorf("ask %q: %w", spec.Name, err)
	}
	return reply, nil
}

// readReply reads one reply and nothing after it.
func readReply(r io.Reader, from common.Address, max int) ([]byte, error) {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return nil, unexpected(err)
	}
	switch kind[0] {
	case replyDone:
		reply, err := readFrame(r, max)
		return reply, unexpected(err)
	case replyRefused:
		reason, err := readFrame(r, maxReason)
		if err != nil {
			return nil, unexpected(err)
		}
		return nil, &RemoteError{Peer: from, Reason: string(reason)}
	default:
		return nil, fmt.Errorf("kind %d: %w", kind[0], errReply)
	}
}

func (h *Host) onRequest(spec RequestSpec) network.StreamHandler {
	return func(s network.Stream) {
		from, ok := h.gater.member(s.Conn().RemotePeer())
		ctx, up := h.enter()
		if !up {
			_ = s.Reset()
			return
		}
		defer h.work.Done()
		if !ok {
			_ = s.Reset()
			return
		}
		if err := h.answer(ctx, s, from, spec); err != nil {
			h.log.Debug("request not answered", zap.Stringer("peer", from), zap.String("protocol", spec.Name), zap.Error(err))
			_ = s.Reset()
			return
		}
		_ = s.Close()
	}
}

func (h *Host) answer(ctx context.Context, s network.Stream, from common.Address, spec RequestSpec) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	if err := s.SetDeadline(deadline(ctx, RequestTimeout)); err != nil {
		return err
	}
	n, err := readHead(s, spec.MaxBody)
	if errors.Is(err, ErrFrameTooLarge) {
		h.door.Refuse(from)
	}
	if err != nil {
		return err
	}
	body, err := readBody(s, n)
	if err != nil {
		return err
	}
	if err := h.door.Admit(from, n); err != nil {
		_, werr := s.Write(refusal(err))
		return werr
	}
	_, err = s.Write(h.reply(ctx, from, spec, body))
	return err
}

// reply is what goes back: the handler's answer or its refusal.
func (h *Host) reply(ctx context.Context, from common.Address, spec RequestSpec, body []byte) []byte {
	reply, err := h.handlers.Request(ctx, spec.Name, from, body)
	switch {
	case err != nil:
		return refusal(err)
	case len(reply) > spec.MaxReply:
		h.log.Error("reply exceeds its bound", zap.String("protocol", spec.Name), zap.Int("bytes", len(reply)), zap.Int("bound", spec.MaxReply))
		return refusal(ErrFrameTooLarge)
	}
	return appendFrame([]byte{replyDone}, reply)
}

// refusal is the wire form of a refused request.
func refusal(err error) []byte { return appendFrame([]byte{replyRefused}, []byte(Reason(err))) }

// Reason is an error's text as the asker will see it, cut to its bound.
func Reason(err error) string {
	text := err.Error()
	return text[:min(len(text), maxReason)]
}
