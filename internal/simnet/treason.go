package simnet

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// Treason is how a member lies in the sessions of threshold signing.
type Treason string

// The ways, with the evidence that each leaves.
const (
	TwoMessages Treason = "two-tss-envelopes"   // it signs two messages for one place, and shows some members another one than the rest
	FalseShow   Treason = "bad-tss-message"     // it shows a message of another member that this one never signed
	BadMessage  Treason = "refused-tss-message" // it sends what breaks the rules of the session
)

// Types of a session's messages: the first broadcast of signing, and what participants show each other of a round.
const (
	tssFirst = 18
	tssEcho  = 240
)

// treason is what a custodian does to its own messages on their way out.
type treason struct {
	how Treason
	to  []common.Address
}

// Betray makes a custodian lie in sessions from now on, to the given members. It counts as faulty.
func (w *World) Betray(index int, how Treason, to []int) error {
	c, err := w.Custodian(index)
	if err != nil {
		return err
	}
	if !slices.Contains([]Treason{TwoMessages, FalseShow, BadMessage}, how) {
		return fmt.Errorf("nobody lies by %q", how)
	}
	t := &treason{how: how}
	for _, i := range to {
		victim, err := w.Custodian(i)
		if err != nil {
			return err
		}
		t.to = append(t.to, victim.Address)
	}
	w.faulty[index] = true
	c.treason.Store(t)
	return nil
}

// traitorDoor is a custodian's way out to the others, on which its treason happens.
type traitorDoor struct {
	netDoor
	of *Custodian
}

func (d traitorDoor) Send(to common.Address, protocol string, frame []byte) error {
	t := d.of.treason.Load()
	if t == nil || protocol != "tss" || !slices.Contains(t.to, to) {
		return d.netDoor.Send(to, protocol, frame)
	}
	return d.netDoor.Send(to, protocol, d.of.twist(t.how, frame))
}

// twist gives what is sent in place of a frame.
func (c *Custodian) twist(how Treason, frame []byte) []byte {
	env, err := tss.ReadEnvelope(frame)
	if err != nil {
		return frame
	}
	payload := slices.Clone(env.Payload)
	switch {
	case how == TwoMessages && env.Header.Type == tssFirst:
		payload[len(payload)-1] ^= 1
	case how == BadMessage && env.Header.Type == tssFirst:
		payload = []byte("nonsense")
	case how == FalseShow && env.Header.Type == tssEcho:
		payload = falsify(payload)
	default:
		return frame
	}
	env.Payload, env.Header.Payload = payload, crypto.Keccak256Hash(payload)
	if env.Sig, err = quorum.SignDigest(c.key, quorum.Digest(quorum.KindTSS, c.w.network, env.Header)); err != nil {
		return frame
	}
	return env.Encode()
}

// falsify changes what an echo says that the first other member signed.
func falsify(echo []byte) []byte {
	var shown []struct {
		From    common.Address
		Type    uint8
		Payload common.Hash
		Sig     quorum.Signature
	}
	if rlp.DecodeBytes(echo, &shown) != nil || len(shown) == 0 {
		return echo
	}
	shown[0].Payload[0] ^= 1
	return encode(shown)
}

// Embezzle lets somebody who has the whole key pay a thief with the payer's next nonce. What is left must still be accounted
// for in the end.
func (w *World) Embezzle(wei *big.Int) error {
	key, err := tsstest.PayerKey()
	if err != nil {
		return err
	}
	hash, err := w.Chain.Transfer(key, place("thief"), *uint256.MustFromBig(wei))
	if err == nil {
		w.embezzled = append(w.embezzled, hash)
	}
	return err
}

// Embezzled are the transactions by which the payer was robbed.
func (w *World) Embezzled() []common.Hash { return slices.Clone(w.embezzled) }
