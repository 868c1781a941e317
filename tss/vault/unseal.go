package vault

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hpke"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// OfferLasts is how long a one-time key opens what was sealed for it.
const OfferLasts = 2 * time.Minute

const (
	// MaxRequest bounds a sealed request in bytes: two passwords, the encapsulated key and the tag.
	MaxRequest = 2*MaxPassword + 256
	// offerInfo separates these messages from any other use of HPKE.
	offerInfo = "conclave/vault/request/1\x00"
	keySize   = 32
)

// What a request may be for. It is inside what is sealed, so that a password that was given for one is not used for another.
const (
	ForUnseal   = "unseal"
	ForPassword = "password"
)

var (
	// ErrOffer means that there is no one-time key: it was used, it expired, or another took its place. Ask for a new one.
	ErrOffer = errors.New("no one-time key")
	// ErrRequest means that a request was not sealed for the one-time key. The key is spent.
	ErrRequest = errors.New("not sealed for the one-time key")
	// ErrOfferForged means that an offer was not signed by the node that the operator asked.
	ErrOfferForged = errors.New("the one-time key is not signed by this home's node")
)

// Offer is a one-time key that a node gives its operator, to seal a password for it. X25519.
type Offer struct {
	Node    common.Address
	Key     [keySize]byte
	Expires uint64 // unix ms
}

// digest is what the node's key signs.
func (o Offer) digest(network common.Hash) common.Hash {
	return quorum.Digest(quorum.KindUnseal, network, o)
}

// Verify fails with [ErrOfferForged] unless node signed the offer, and with [ErrOffer] when it expired.
func (o Offer) Verify(network common.Hash, node common.Address, sig quorum.Signature, now time.Time) error {
	signer, err := sig.Recover(o.digest(network))
	if err != nil || signer != node || o.Node != node {
		return ErrOfferForged
	}
	if uint64(now.UnixMilli()) >= o.Expires {
		return fmt.Errorf("%w: it expired", ErrOffer)
	}
	return nil
}

// Request is what an operator seals for an offer.
type Request struct {
	For      string
	Password []byte
	Next     []byte // the new password, of a request for [ForPassword]
}

// Clear wipes the passwords.
func (r Request) Clear() {
	clear(r.Password)
	clear(r.Next)
}

// The suite: X25519, HKDF-SHA256, ChaCha20-Poly1305.
func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305()
}

// Seal seals a request for the offer. [Offer.Verify] comes first.
func (o Offer) Seal(network common.Hash, r Request) ([]byte, error) {
	if err := checkPassword(r.Password); err != nil {
		return nil, err
	}
	if len(r.Next) > MaxPassword {
		return nil, checkPassword(r.Next)
	}
	kem, kdf, aead := suite()
	key, err := kem.NewPublicKey(o.Key[:])
	if err != nil {
		return nil, fmt.Errorf("one-time key: %w", err)
	}
	plain := encode(r)
	defer clear(plain)
	return hpke.Seal(key, kdf, aead, o.info(network), plain)
}

func (o Offer) info(network common.Hash) []byte {
	d := o.digest(network)
	return append([]byte(offerInfo), d[:]...)
}

// oneTime is the secret half of an offer, in locked memory.
type oneTime struct {
	offer Offer
	timer *time.Timer // ends it at its time

	mu   sync.Mutex // guards page: the timer wipes it on a goroutine of its own
	page *page      // nil once it was used or expired
}

// end wipes the key. It is nil safe, and may be called twice.
func (o *oneTime) end() {
	if o == nil {
		return
	}
	o.timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.page != nil {
		o.page.wipe()
		o.page = nil
	}
}

// Offer makes a one-time key and signs it with the node's key. An earlier offer that is not used yet ends.
func (d *Door) Offer(network common.Hash, node *ecdsa.PrivateKey) (Offer, quorum.Signature, error) {
	o, err := d.env.offer(d.node)
	if err != nil {
		return Offer{}, quorum.Signature{}, fmt.Errorf("make a one-time key: %w", err)
	}
	sig, err := quorum.SignDigest(node, o.offer.digest(network))
	if err != nil {
		o.end()
		return Offer{}, quorum.Signature{}, fmt.Errorf("sign a one-time key: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends {
		o.end()
		return Offer{}, quorum.Signature{}, ErrClosed
	}
	d.once.end()
	d.once = o
	return o.offer, sig, nil
}

func (e env) offer(node common.Address) (*oneTime, error) {
	kem, _, _ := suite()
	key, err := kem.GenerateKey()
	if err != nil {
		return nil, err
	}
	secret, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	o := &oneTime{offer: Offer{Node: node, Key: [keySize]byte(key.PublicKey().Bytes()), Expires: uint64(e.time().Add(OfferLasts).UnixMilli())}}
	if o.page, err = newPage(); err != nil {
		return nil, err
	}
	copy(o.page.root(), secret)
	o.timer = time.AfterFunc(OfferLasts, o.end)
	return o, nil
}

// Receive opens a request with the one-time key, which is spent by it whatever comes out. It fails with [ErrOffer] or
// [ErrRequest]. The caller clears the request.
func (d *Door) Receive(network common.Hash, purpose string, sealed []byte) (Request, error) {
	d.mu.Lock()
	once := d.once
	d.once = nil
	d.mu.Unlock()
	defer once.end()
	if once == nil || uint64(d.env.time().UnixMilli()) >= once.offer.Expires {
		return Request{}, ErrOffer
	}
	return once.open(network, purpose, sealed)
}

func (o *oneTime) open(network common.Hash, purpose string, sealed []byte) (Request, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.page == nil {
		return Request{}, ErrOffer
	}
	kem, kdf, aead := suite()
	key, err := kem.NewPrivateKey(o.page.root())
	if err != nil {
		return Request{}, fmt.Errorf("one-time key: %w", err)
	}
	encapsulated := len(o.offer.Key)
	if len(sealed) <= encapsulated || len(sealed) > MaxRequest {
		return Request{}, fmt.Errorf("%w: %d bytes", ErrRequest, len(sealed))
	}
	plain, err := hpke.Open(key, kdf, aead, o.offer.info(network), sealed)
	if err != nil {
		return Request{}, ErrRequest
	}
	defer clear(plain)
	var r Request
	if err := rlp.DecodeBytes(plain, &r); err != nil || r.For != purpose {
		r.Clear()
		return Request{}, fmt.Errorf("%w: not a request for %s", ErrRequest, purpose)
	}
	return r, nil
}
