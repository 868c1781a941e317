package p2p

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/zap"
)

// The bounds of the wire. Whoever changes one reads why it is what it is.
const (
	// MaxGossip bounds one gossip message: a verdict is about 300 bytes, a batch of 450 items with certificates a few 100 KiB.
	MaxGossip = 1 << 20
	// MaxFrameBound is the most that Config may ask for a frame, a body or a reply: a keygen message is about 550 KiB, a page
	// of 4,096 events about 2 MiB.
	MaxFrameBound = 16 << 20
	// MaxQueue is the most frames that Config may ask to hold for one peer and protocol.
	MaxQueue = 1 << 16
	// MaxMembers bounds the membership: agreement is quadratic in it and nobody runs a hundred custodians.
	MaxMembers = 128
	// MaxFanout bounds the gossip degree; above the membership it has no effect.
	MaxFanout = 64
	// RequestsPerPeer is how many requests to one peer may be under way; further ones get ErrQueueFull.
	RequestsPerPeer = 16
	// RequestTimeout ends a request whose context has no earlier deadline, on both sides.
	RequestTimeout = 10 * time.Second
	// RepublishAfter is the slot in which identical gossip is sent once. Below the 10 s at which members gossip their open
	// verdicts again, so that each repetition reaches a peer that restarted meanwhile.
	RepublishAfter = 4 * time.Second
	// maxReason bounds the text of a refused request.
	maxReason = 256
	// minFanout: gossipsub cannot keep a mesh of degree one.
	minFanout = 2
)

// Peer is one member as the wire knows it.
type Peer struct {
	Address    common.Address // member id: the address of PublicKey
	PublicKey  [33]byte       // compressed secp256k1
	Multiaddrs []string       // where it listens; none: it must dial us
}

// NewPeer makes the Peer of a public key.
func NewPeer(key *ecdsa.PublicKey, multiaddrs ...string) Peer {
	p := Peer{Address: crypto.PubkeyToAddress(*key), Multiaddrs: multiaddrs}
	copy(p.PublicKey[:], crypto.CompressPubkey(key))
	return p
}

// ProtocolSpec is one kind of frame stream.
type ProtocolSpec struct {
	Name     string
	MaxFrame int // bytes
	Queue    int // frames waiting for one peer
}

// RequestSpec is one kind of question.
type RequestSpec struct {
	Name     string
	MaxBody  int // bytes
	MaxReply int // bytes
}

// Config is everything a Network is built from.
type Config struct {
	Key       *ecdsa.PrivateKey // the member's key, also its libp2p identity
	NetworkID common.Hash       // part of every protocol id: another network cannot talk to us
	Listen    []string          // multiaddrs; port 0 picks a free one; none: dial only
	Members   []Peer            // this member may be among them or not
	Topics    []string
	Protocols []ProtocolSpec
	Requests  []RequestSpec

	// ThrottleMax is the most that one peer may send within ThrottleDuration: gossip, frames and requests alike, forwarded
	// gossip included. A message counts once, and once more for each full 64 KiB; a refused one counts ten times.
	ThrottleDuration time.Duration
	ThrottleMax      int
	Fanout           int // gossip degree
	Log              *zap.Logger
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Validate names the first thing that is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Key == nil:
		return errors.New("p2p: key is missing")
	case c.NetworkID == (common.Hash{}):
		return errors.New("p2p: network id is missing")
	case c.Log == nil:
		return errors.New("p2p: log is missing (zap.NewNop for silence)")
	case c.ThrottleDuration <= 0 || c.ThrottleMax < 1:
		return fmt.Errorf("p2p: throttle_duration %v and throttle_max %d must be positive", c.ThrottleDuration, c.ThrottleMax)
	case c.Fanout < minFanout || c.Fanout > MaxFanout:
		return fmt.Errorf("p2p: fanout %d is not between %d and %d", c.Fanout, minFanout, MaxFanout)
	}
	if err := c.validateNames(); err != nil {
		return err
	}
	return ValidateMembers(c.Members)
}

func (c *Config) validateNames() error {
	seen := make(map[string]bool)
	use := func(kind, name string, bounds ...int) error {
		if !validName.MatchString(name) || seen[kind+name] {
			return fmt.Errorf("p2p: %s name %q is malformed or used twice", kind, name)
		}
		seen[kind+name] = true
		for _, b := range bounds {
			if b < 1 || b > MaxFrameBound {
				return fmt.Errorf("p2p: %s %q: bound %d is not between 1 and %d", kind, name, b, MaxFrameBound)
			}
		}
		return nil
	}
	var errs []error
	for _, t := range c.Topics {
		errs = append(errs, use("topic", t))
	}
	for _, p := range c.Protocols {
		errs = append(errs, use("protocol", p.Name, p.MaxFrame))
		if p.Queue < 1 || p.Queue > MaxQueue {
			errs = append(errs, fmt.Errorf("p2p: protocol %q: queue %d is not between 1 and %d", p.Name, p.Queue, MaxQueue))
		}
	}
	for _, r := range c.Requests {
		errs = append(errs, use("request", r.Name, r.MaxBody, r.MaxReply))
	}
	return errors.Join(errs...)
}

// ValidateMembers checks that each member's address is the address of its key, and that none stands twice.
func ValidateMembers(members []Peer) error {
	if len(members) > MaxMembers {
		return fmt.Errorf("p2p: %d members exceed %d", len(members), MaxMembers)
	}
	seen := make(map[common.Address]bool, len(members))
	for _, m := range members {
		key, err := crypto.DecompressPubkey(m.PublicKey[:])
		if err != nil {
			return fmt.Errorf("p2p: public key of member %s: %w", m.Address, err)
		}
		if crypto.PubkeyToAddress(*key) != m.Address {
			return fmt.Errorf("p2p: member %s is not the address of its public key", m.Address)
		}
		if seen[m.Address] {
			return fmt.Errorf("p2p: member %s stands twice", m.Address)
		}
		seen[m.Address] = true
	}
	return nil
}

// Dialable checks that an address is one that a member can be dialled at, in form: a Host takes no other.
func Dialable(addr string) error {
	if _, err := ma.NewMultiaddr(addr); err != nil {
		return fmt.Errorf("p2p: multiaddr %q: %w", addr, err)
	}
	return nil
}

// Validate checks that every configured way of speaking has somebody who listens.
func (h *Handlers) Validate(c *Config) error {
	switch {
	case len(c.Topics) > 0 && (h.Check == nil || h.Gossip == nil):
		return errors.New("p2p: topics need the handlers Check and Gossip")
	case len(c.Protocols) > 0 && h.Frame == nil:
		return errors.New("p2p: protocols need the handler Frame")
	case len(c.Requests) > 0 && h.Request == nil:
		return errors.New("p2p: requests need the handler Request")
	}
	return nil
}

// Protocol finds a configured frame protocol; ErrUnknownProtocol otherwise.
func (c *Config) Protocol(name string) (ProtocolSpec, error) {
	for _, p := range c.Protocols {
		if p.Name == name {
			return p, nil
		}
	}
	return ProtocolSpec{}, fmt.Errorf("protocol %q: %w", name, ErrUnknownProtocol)
}

// RequestProtocol finds a configured request protocol; ErrUnknownProtocol otherwise.
func (c *Config) RequestProtocol(name string) (RequestSpec, error) {
	for _, r := range c.Requests {
		if r.Name == name {
			return r, nil
		}
	}
	return RequestSpec{}, fmt.Errorf("request protocol %q: %w", name, ErrUnknownProtocol)
}
