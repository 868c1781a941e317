package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/zap"
)

const (
	// frameTime is how long one frame may take on the wire once begun: a slower peer is as good as gone, and its queue would fill anyway.
	frameTime = 30 * time.Second
	// openTime bounds the opening of a stream on a connection that stands.
	openTime = 10 * time.Second
	// frameTries: a frame whose stream breaks is written once more on a fresh one. A write that failed was not received whole, so
	// this cannot deliver it twice.
	frameTries = 2
)

type streamKey struct {
	peer     common.Address
	protocol string
}

// sender owns the outbound stream of one peer and protocol; its goroutine alone touches the stream.
type sender struct {
	host   *Host
	key    streamKey
	id     *member
	queue  chan []byte
	stream network.Stream
}

// Send queues one frame. See Network.
func (h *Host) Send(to common.Address, protocol string, frame []byte) error {
	spec, err := h.cfg.Protocol(protocol)
	if err != nil {
		return err
	}
	if len(frame) > spec.MaxFrame {
		return fmt.Errorf("frame of %d bytes for %q, at most %d: %w", len(frame), protocol, spec.MaxFrame, ErrFrameTooLarge)
	}
	s, err := h.sender(to, spec)
	if err != nil {
		return err
	}
	select {
	case s.queue <- slices.Clone(frame):
		return nil
	default:
		h.door.Drop(to)
		return ErrQueueFull
	}
}

// sender finds or starts the sender of a connected peer.
func (h *Host) sender(to common.Address, spec ProtocolSpec) (*sender, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != running {
		return nil, ErrNotRunning
	}
	if err := h.door.Connected(to); err != nil {
		return nil, err
	}
	key := streamKey{to, spec.Name}
	s := h.senders[key]
	if s == nil {
		m := h.peers[to]
		s = &sender{host: h, key: key, id: m, queue: make(chan []byte, spec.Queue)}
		h.senders[key] = s
		h.work.Add(1)
		go func() {
			defer h.work.Done()
			s.run(m.ctx)
		}()
	}
	return s, nil
}

func (s *sender) run(ctx context.Context) {
	defer s.drop()
	for {
		select {
		case <-ctx.Done():
			return
		case frame := <-s.queue:
			if err := s.write(ctx, frame); err != nil {
				s.host.door.Drop(s.key.peer)
				s.host.log.Debug("frame lost", zap.Stringer("peer", s.key.peer), zap.String("protocol", s.key.protocol), zap.Error(err))
			}
		}
	}
}

func (s *sender) write(ctx context.Context, frame []byte) (err error) {
	wire := appendFrame(make([]byte, 0, frameHead+len(frame)), frame)
	for range frameTries {
		if err = s.open(ctx); err != nil {
			return err
		}
		if err = s.stream.SetWriteDeadline(time.Now().Add(frameTime)); err == nil {
			_, err = s.stream.Write(wire)
		}
		if err == nil {
			return nil
		}
		s.drop()
	}
	return err
}

// open reuses the standing stream; a new one never dials, that is the dialler's work.
func (s *sender) open(ctx context.Context) (err error) {
	if s.stream != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "frames"), openTime)
	defer cancel()
	s.stream, err = s.host.host.NewStream(ctx, s.id.id, s.host.ids.frame(s.key.protocol))
	if err != nil {
		s.stream = nil
		return fmt.Errorf("open stream: %w", err)
	}
	return nil
}

func (s *sender) drop() {
	if s.stream != nil {
		_ = s.stream.Reset()
		s.stream = nil
	}
}

// receiver is the inbound stream of one peer and protocol that is being read.
type receiver struct {
	stream network.Stream
	done   chan struct{}
}

// onFrames reads the frames of one inbound stream in its own goroutine: a slow handler holds back this peer's stream and no other.
func (h *Host) onFrames(spec ProtocolSpec) network.StreamHandler {
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
		key := streamKey{from, spec.Name}
		r := &receiver{stream: s, done: make(chan struct{})}
		defer close(r.done)
		defer h.leave(key, r)
		if !h.replace(ctx, key, r) {
			_ = s.Reset()
			return
		}
		if err := h.readFrames(ctx, s, from, spec); err != nil {
			h.log.Debug("stream ended", zap.Stringer("peer", from), zap.String("protocol", spec.Name), zap.Error(err))
			_ = s.Reset()
			return
		}
		_ = s.Close()
	}
}

// replace makes r the only stream of its key: a peer that opens a new one has given the old one up. The old handler must have ended
// before the new one reads, or frames could overtake each other.
func (h *Host) replace(ctx context.Context, key streamKey, r *receiver) bool {
	h.mu.Lock()
	old := h.receives[key]
	h.receives[key] = r
	h.mu.Unlock()
	if old == nil {
		return true
	}
	_ = old.stream.Reset()
	select {
	case <-old.done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *Host) leave(key streamKey, r *receiver) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.receives[key] == r {
		delete(h.receives, key)
	}
}

// readFrames ends with nil when the peer closed the stream between frames.
func (h *Host) readFrames(ctx context.Context, s network.Stream, from common.Address, spec ProtocolSpec) error {
	for ctx.Err() == nil {
		n, err := readHead(s, spec.MaxFrame)
		if errors.Is(err, ErrFrameTooLarge) {
			h.door.Refuse(from)
		}
		if err != nil {
			return err
		}
		if err := s.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
			return err
		}
		frame, err := readBody(s, n)
		if err != nil {
			return err
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		switch err := h.door.Admit(from, n); {
		case errors.Is(err, ErrThrottled):
		case err != nil:
			return err
		default:
			h.handlers.Frame(spec.Name, from, frame)
		}
	}
	return ctx.Err()
}
