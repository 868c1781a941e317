package liar

import (
	"crypto/ecdsa"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
	"conclave/tss"
)

// Types of the session messages that the lies are about; they are part of the protocol.
const (
	typeShare   = 26  // the member's share of the signature, broadcast in the last round
	typeCommit  = 18  // the first broadcast
	typeAbort   = 241 // a complaint: this member has none
	silentRound = 3   // from here on it says nothing
)

// Lie is one way to misbehave in a session.
type Lie int

// Lies, in the order in which they are told. The last one is told again and again.
const (
	Honest     Lie = iota
	WrongShare     // all get a share of the signature that is none: nobody can tell whose is wrong
	Silence        // nothing from the third round on
	TwoFaces       // one member gets another broadcast than the others: its own signatures convict it
)

// String says what others see of it.
func (l Lie) String() string {
	switch l {
	case WrongShare:
		return "a wrong share of the signature"
	case Silence:
		return "silence"
	case TwoFaces:
		return "two faces"
	}
	return "honest"
}

// lieOf is what is told in the n-th session, from 0.
func lieOf(n int) Lie { return min(WrongShare+Lie(n), TwoFaces) }

// link is a transport that lies in one session.
type link struct {
	to      tss.Transport
	key     *ecdsa.PrivateKey
	network common.Hash

	mu      sync.Mutex // guards what follows
	session common.Hash
	lie     Lie
	set     quorum.Members
}

// begin says in which session, to whom, and how to lie.
func (l *link) begin(session common.Hash, set quorum.Members, lie Lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.set, l.lie = session, set, lie
}

// victim is the one that is told something else: the first of the others.
func (l *link) victim() common.Address {
	self := crypto.PubkeyToAddress(l.key.PublicKey)
	for _, m := range l.set {
		if m != self {
			return m
		}
	}
	return common.Address{}
}

// Send implements tss.Transport.
func (l *link) Send(to common.Address, frame []byte) error {
	env, err := tss.ReadEnvelope(frame)
	if err != nil {
		return fmt.Errorf("read own frame: %w", err)
	}
	l.mu.Lock()
	lie, victim := l.lie, l.victim()
	mine := env.Header.Session == l.session
	l.mu.Unlock()

	h := env.Header
	switch {
	case !mine || lie == Honest:
	case h.Type == typeAbort:
		return nil
	case lie == Silence && h.Round >= silentRound:
		return nil
	case lie == WrongShare && h.Type == typeShare, lie == TwoFaces && h.Type == typeCommit && to == victim:
		if frame, err = l.other(env); err != nil {
			return err
		}
	}
	return l.to.Send(to, frame)
}

// other is the same message with another last byte, well signed.
func (l *link) other(env tss.Envelope) ([]byte, error) {
	payload := append([]byte(nil), env.Payload...)
	payload[len(payload)-1] ^= 1
	h := env.Header
	h.Payload = crypto.Keccak256Hash(payload)
	sig, err := quorum.SignDigest(l.key, quorum.Digest(quorum.KindTSS, l.network, h))
	if err != nil {
		return nil, fmt.Errorf("sign a lie: %w", err)
	}
	return tss.Envelope{Header: h, Sig: sig, Payload: payload}.Encode(), nil
}
