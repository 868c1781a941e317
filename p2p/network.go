package p2p

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

var (
	// ErrUnknownPeer: the address is not another member. Nothing was sent.
	ErrUnknownPeer = errors.New("peer is not a member")
	// ErrNotConnected: the member is known but no connection to it stands now. Nothing was sent.
	ErrNotConnected = errors.New("peer is not connected")
	// ErrQueueFull: the peer takes less than it is sent; the frame or request was not queued.
	ErrQueueFull = errors.New("queue to peer is full")
	// ErrFrameTooLarge: a frame, body, reply or gossip message is over its bound.
	ErrFrameTooLarge = errors.New("frame exceeds its bound")
	// ErrUnknownProtocol: the topic or protocol was not named in Config.
	ErrUnknownProtocol = errors.New("topic or protocol is not configured")
	// ErrNotRunning: Run has not begun, or has ended.
	ErrNotRunning = errors.New("network is not running")
	// ErrThrottled: the peer sent more than ThrottleMax within ThrottleDuration; what came on top was dropped and counted.
	ErrThrottled = errors.New("peer is throttled")
	// ErrIgnore is what Handlers.Check returns for gossip that is known already: dropped silently, not forwarded, nobody blamed.
	ErrIgnore = errors.New("gossip is known already")
)

// RemoteError is the peer's own refusal of a request: it was heard, judged and answered with a reason.
type RemoteError struct {
	Peer   common.Address
	Reason string // at most maxReason bytes, as the peer wrote it: foreign text
}

func (e *RemoteError) Error() string { return "peer " + e.Peer.Hex() + " refused: " + e.Reason }

// Network is what the daemon needs of the wire. Implementations: [Host] and memnet.Node.
type Network interface {
	// Self is the member id of Config.Key.
	Self() common.Address
	// Publish gossips data to all members, never back to this endpoint. No member need be connected for it to succeed.
	// Errors: ErrNotRunning, ErrUnknownProtocol, ErrFrameTooLarge (over MaxGossip).
	Publish(topic string, data []byte) error
	// Send queues one frame on the stream of that peer and protocol and returns at once. Frames arrive in order, each at
	// most once. Errors: ErrNotRunning, ErrUnknownPeer, ErrNotConnected, ErrUnknownProtocol, ErrFrameTooLarge, ErrQueueFull.
	Send(to common.Address, protocol string, frame []byte) error
	// Request asks one peer and waits for its answer, until ctx or RequestTimeout ends. Errors: those of Send,
	// *RemoteError when the peer's handler refused, and whatever broke the connection meanwhile.
	Request(ctx context.Context, to common.Address, protocol string, body []byte) ([]byte, error)
	// Peers lists every other member, sorted by address.
	Peers() []PeerStatus
	// SetMembers replaces the membership; connections of removed members close, new members are dialled.
	SetMembers(members []Peer) error
	// Run connects and serves until ctx ends, then closes everything and waits for handlers under way. It returns an error
	// only for what kept it from running. Call it once.
	Run(ctx context.Context) error
}

// Handlers receive what the wire delivers. Data slices belong to the handler.
type Handlers struct {
	// Check runs before gossip is delivered or forwarded. It returns the author whose signature the bytes carry (a member,
	// who need not be the peer that forwarded them). ErrIgnore drops silently; any other error is a refusal: counted
	// and charged to the forwarding peer, for an honest peer checks before it forwards.
	Check func(topic string, data []byte) (author common.Address, err error)
	// Gossip receives what Check accepted; via is the peer that handed it over.
	Gossip func(topic string, author, via common.Address, data []byte)
	// Frame receives one frame; from is the authenticated peer.
	Frame func(protocol string, from common.Address, frame []byte)
	// Request answers one request; an error reaches the asker as RemoteError with its text, so it must not hold secrets.
	Request func(ctx context.Context, protocol string, from common.Address, body []byte) ([]byte, error)
	// Connected is told when a peer comes and goes, in order for each peer. May be nil.
	Connected func(peer common.Address, up bool)
}

// PeerStatus is what this node knows of one other member's connection. Counters start at zero when the member is added.
type PeerStatus struct {
	Address    common.Address
	Multiaddrs []string
	Connected  bool
	Since      time.Time // of the present state
	LastSeen   time.Time // of the last bytes admitted from it; zero if none
	Refused    uint64    // messages that broke their contract
	Throttled  uint64    // messages beyond ThrottleMax
	Dropped    uint64    // frames to it or gossip from it lost to a full queue or a broken stream
}
