package p2p

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// gossipHead is the publisher's time slot, eight bytes big-endian, in front of the data on the wire. Identical data of a later slot is a
	// new message to gossipsub. A peer that makes slots up gains nothing: each message counts against its throttle and meets Check.
	gossipHead = 8
	// maxGossipRPC bounds one gossipsub envelope: a message of MaxGossip, and control messages beside it.
	maxGossipRPC = MaxGossip + 64<<10
	// seenFor is how long a message id is remembered at least; gossipsub sweeps once a minute, so at most a minute longer.
	seenFor = 2 * time.Minute
	// checkQueue is how many messages of all peers may wait for Check; beyond, they are dropped before they count as seen.
	checkQueue = 512
	// gossipQueue is how many checked messages of a topic may wait for the Gossip handler.
	gossipQueue = 1024
	// peerGossipQueue is how many gossipsub envelopes may wait for one slow peer.
	peerGossipQueue = 256
	// maxSubscriptions bounds what one peer may subscribe to in one envelope; the allow list keeps what is configured.
	maxSubscriptions = 64
	// mendEvery is how often members that are connected but that gossipsub has given up are brought back to it.
	mendEvery = 2 * time.Second
)

// gossip is the running gossipsub.
type gossip struct {
	host   *Host
	topics map[string]*pubsub.Topic
}

func (h *Host) startGossip(ctx context.Context) (*gossip, error) {
	g := &gossip{host: h, topics: make(map[string]*pubsub.Topic)}
	id := h.ids.gossip()
	features := func(f pubsub.GossipSubFeature, _ protocol.ID) bool {
		// No peer exchange: members are known, and nobody may send us elsewhere. No extensions: nothing uses them.
		return f == pubsub.GossipSubFeatureMesh || f == pubsub.GossipSubFeatureIdontwant
	}
	ps, err := pubsub.NewGossipSub(ctx, h.host,
		pubsub.WithGossipSubProtocols([]protocol.ID{id}, features),
		pubsub.WithGossipSubParams(meshParams(h.cfg.Fanout)),
		// The bytes carry their author's own signature, which Check verifies; libp2p's would prove only who published again.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID), pubsub.WithSeenMessagesTTL(seenFor), pubsub.WithMaxMessageSize(maxGossipRPC),
		pubsub.WithFloodPublish(true), pubsub.WithPeerExchange(false), pubsub.WithPeerOutboundQueueSize(peerGossipQueue),
		pubsub.WithValidateQueueSize(checkQueue), pubsub.WithAppSpecificRpcInspector(g.inspect), pubsub.WithRawTracer(tracer{g}),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(
			pubsub.NewAllowlistSubscriptionFilter(h.cfg.Topics...), maxSubscriptions)),
	)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	for _, name := range h.cfg.Topics {
		if err := g.join(ctx, ps, name); err != nil {
			return nil, fmt.Errorf("topic %q: %w", name, err)
		}
	}
	renewed, err := h.host.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		defer renewed.Close()
		g.mend(ctx, ps, renewed)
	}()
	return g, nil
}

// mend closes a hole of gossipsub: a peer whose stream could not be opened once, or broke a few times, is forgotten until it connects
// anew, and would hear nothing of us while its connection stands. Telling gossipsub that the peer speaks gossip makes it try again.
func (g *gossip) mend(ctx context.Context, ps *pubsub.PubSub, renewed event.Emitter) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		known := ps.ListPeers("")
		for _, id := range g.host.host.Network().Peers() {
			if slices.Contains(known, id) {
				continue
			}
			// The error says only that the bus is closing.
			_ = renewed.Emit(event.EvtPeerProtocolsUpdated{Peer: id, Added: []protocol.ID{g.host.ids.gossip()}})
		}
	}
}

// join is called with h.mu held, before anybody is let in.
func (g *gossip) join(ctx context.Context, ps *pubsub.PubSub, name string) error {
	// Inline: a validator in its own goroutine is dropped when too many run, after the message counts as seen.
	if err := ps.RegisterTopicValidator(name, g.validate, pubsub.WithValidatorInline(true)); err != nil {
		return err
	}
	topic, err := ps.Join(name)
	if err != nil {
		return err
	}
	notOurs := func(m *pubsub.Message) bool { return m.ReceivedFrom != g.host.host.ID() }
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipQueue), pubsub.WithMessageFilter(notOurs))
	if err != nil {
		return err
	}
	g.topics[name] = topic
	g.host.work.Add(1)
	go func() {
		defer g.host.work.Done()
		g.deliver(ctx, sub)
	}()
	return nil
}

func (g *gossip) deliver(ctx context.Context, sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return // the context has ended
		}
		via, ok := g.host.gater.member(m.ReceivedFrom)
		author, judged := m.ValidatorData.(common.Address)
		if ok && judged {
			g.host.handlers.Gossip(m.GetTopic(), author, via, m.Data[gossipHead:])
		}
	}
}

// inspect counts every incoming message against its forwarder before gossipsub marks it as seen, and takes out what is too much:
// the same message may then still come from another peer.
func (g *gossip) inspect(from peer.ID, rpc *pubsub.RPC) error {
	addr, ok := g.host.gater.member(from)
	if !ok {
		return ErrUnknownPeer
	}
	kept := rpc.Publish[:0]
	for _, m := range rpc.Publish {
		if g.host.door.Admit(addr, len(m.GetData())) != nil {
			continue
		}
		if n := len(m.GetData()); g.topics[m.GetTopic()] == nil || n < gossipHead || n > gossipHead+MaxGossip {
			g.host.door.Refuse(addr)
			continue
		}
		kept = append(kept, m)
	}
	rpc.Publish = kept
	return nil
}

func (g *gossip) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == g.host.host.ID() {
		return pubsub.ValidationAccept
	}
	via, ok := g.host.gater.member(from)
	if !ok {
		return pubsub.ValidationIgnore
	}
	author, err := g.host.door.Judge(g.host.handlers.Check, m.GetTopic(), via, m.Data[gossipHead:])
	switch {
	case errors.Is(err, ErrIgnore):
		return pubsub.ValidationIgnore
	case err != nil:
		return pubsub.ValidationReject
	}
	m.ValidatorData = author
	return pubsub.ValidationAccept
}

// Publish gossips data to all members. See Network.
func (h *Host) Publish(topic string, data []byte) error {
	h.mu.Lock()
	g, ctx, up := h.gossip, h.ctx, h.state == running
	h.mu.Unlock()
	if !up {
		return ErrNotRunning
	}
	t := g.topics[topic]
	switch {
	case t == nil:
		return fmt.Errorf("topic %q: %w", topic, ErrUnknownProtocol)
	case len(data) > MaxGossip:
		return fmt.Errorf("gossip of %d bytes, at most %d: %w", len(data), MaxGossip, ErrFrameTooLarge)
	}
	slot := uint64(time.Now().UnixNano() / int64(RepublishAfter))
	wire := append(binary.BigEndian.AppendUint64(make([]byte, 0, gossipHead+len(data)), slot), data...)
	if err := t.Publish(ctx, wire); err != nil {
		return fmt.Errorf("publish to %q: %w", topic, err)
	}
	return nil
}

// messageID covers the topic too, or bytes refused in one topic would hide the same bytes in another.
func messageID(m *pb.Message) string {
	return string(ethcrypto.Keccak256([]byte(m.GetTopic()), []byte{0}, m.GetData()))
}

// meshParams keeps each member in a mesh of about fanout others; own messages go to all by flood publish.
func meshParams(fanout int) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi = fanout, fanout-1, 2*fanout
	p.Dscore = fanout / 2
	p.Dout = max(0, min(fanout/2-1, fanout-2))
	p.Dlazy = fanout
	return p
}

// tracer counts what gossipsub drops between its door and our handler.
type tracer struct{ g *gossip }

func (t tracer) drop(m *pubsub.Message) {
	if a, ok := t.g.host.gater.member(m.ReceivedFrom); ok {
		t.g.host.door.Drop(a)
	}
}

func (t tracer) RejectMessage(m *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull {
		t.drop(m)
	}
}
func (t tracer) UndeliverableMessage(m *pubsub.Message) { t.drop(m) }

func (t tracer) DropRPC(_ *pubsub.RPC, id peer.ID) {
	if a, ok := t.g.host.gater.member(id); ok {
		t.g.host.door.Drop(a)
	}
}

// The rest of pubsub.RawTracer says nothing that we count.
func (tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (tracer) OnClosedOutboundStream(peer.ID)           {}
func (tracer) Join(string)                              {}
func (tracer) Leave(string)                             {}
func (tracer) Graft(peer.ID, string)                    {}
func (tracer) Prune(peer.ID, string)                    {}
func (tracer) ValidateMessage(*pubsub.Message)          {}
func (tracer) DeliverMessage(*pubsub.Message)           {}
func (tracer) DuplicateMessage(*pubsub.Message)         {}
func (tracer) ThrottlePeer(peer.ID)                     {}
func (tracer) RecvRPC(*pubsub.RPC)                      {}
func (tracer) SendRPC(*pubsub.RPC, peer.ID)             {}
