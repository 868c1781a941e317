package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Stage is how far the payment of one slot has come. Each stage is durable before its effect.
//
//	stage      what an operator would ask                       leaves when
//	Decided    Who has to sign?                                 signed bytes are stored
//	Signed     Has anyone sent it?                              an endpoint took it
//	Broadcast  Why is it in no block yet?                       a block holds the slot's nonce
//	Mined      Is it safe yet?                                  that block is final; back to Broadcast when it is gone
//	Final      Who is told?                                     the books have settled it
//	Settled    —
type Stage uint8

// The stages in their order.
const (
	StageDecided Stage = iota
	StageSigned
	StageBroadcast
	StageMined
	StageFinal
	StageSettled
)

// String names the stage as logs and the API spell it.
func (s Stage) String() string {
	names := [...]string{"decided", "signed", "broadcast", "mined", "final", "settled"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("Stage(%d)", uint8(s))
}

// MaxHashes bounds the signed transactions that a slot remembers: a step each, and as many doubles from sessions that
// were given up.
const MaxHashes = 2 * (MaxBumps + 1)

// SignedRef names one signed transaction of a slot, whose bytes the books hold.
type SignedRef struct {
	K    uint64
	Hash common.Hash
}

// Sighting is the slot's nonce in a block.
type Sighting struct {
	Outcome
	Ours bool   // the payload is one of the slot's
	Of   int    // which of the slot's payments it is, when ours
	K    uint64 // its step, when ours
}

// Track is the state of one slot. The zero value is decided and unsigned. It is a value: Step returns a new one.
type Track struct {
	Stage  Stage
	Signed []SignedRef // in the order in which they were stored
	Seen   Sighting    // from StageMined on
}

// Hashes are the hashes of all signed transactions of the slot, the highest step first, because that is the one most
// likely mined.
func (t Track) Hashes() []common.Hash {
	refs := slices.Clone(t.Signed)
	slices.SortStableFunc(refs, func(a, b SignedRef) int { return int(b.K) - int(a.K) })
	out := make([]common.Hash, len(refs))
	for i, r := range refs {
		out[i] = r.Hash
	}
	return out
}

// Top is the first stored transaction of the highest step: the one to broadcast.
func (t Track) Top() (SignedRef, bool) {
	var top SignedRef
	for i, r := range t.Signed {
		if i == 0 || r.K > top.K {
			top = r
		}
	}
	return top, len(t.Signed) > 0
}

// Observation is one thing that happened to a slot. Exactly one field is set.
type Observation struct {
	Stored  *SignedRef  // signed bytes of the slot are on disk, own or a peer's
	Sent    *SendResult // an endpoint answered a broadcast
	Looked  *Look       // the chain was read
	Settled bool        // the books have booked the outcome
}

// SendResult is the answer to one broadcast.
type SendResult struct {
	Hash common.Hash
	Err  error // nil, or as Endpoint.SendRaw documents
}

// Look is what the chain shows at the slot's nonce.
type Look struct {
	Final uint64    // number of the final block
	Seen  *Sighting // nil: no block holds the nonce
}

// ActionKind says what is to be done, after the new Track is stored.
type ActionKind uint8

// The actions.
const (
	// Send: broadcast the stored bytes of Hash again. Never sign again what is signed.
	Send ActionKind = iota + 1

	// State: sign and gossip the OUTCOME of Track.Seen.
	State

	// Alarm: halt the lane, for the Reason.
	Alarm

	// Notice: tell the operator the Reason; nothing stops.
	Notice
)

// Action is one effect that Step asks for.
type Action struct {
	Kind   ActionKind
	Hash   common.Hash // of Send
	Reason string      // of Alarm and Notice
}

// Step is the slot's state machine: pure, so that a table can test it. It returns the state to store and then what to
// do. Observations may repeat and come late; none of them ever loses a stored hash.
func Step(t Track, o Observation) (Track, []Action) {
	t.Signed = slices.Clone(t.Signed)
	switch {
	case o.Stored != nil:
		return stored(t, *o.Stored)
	case o.Sent != nil:
		return sent(t, *o.Sent)
	case o.Looked != nil && o.Looked.Seen == nil:
		return unseen(t, *o.Looked)
	case o.Looked != nil:
		return seen(t, *o.Looked)
	case o.Settled && t.Stage == StageFinal:
		t.Stage = StageSettled
	}
	return t, nil
}

func stored(t Track, ref SignedRef) (Track, []Action) {
	known := slices.ContainsFunc(t.Signed, func(r SignedRef) bool { return r.Hash == ref.Hash })
	if known || len(t.Signed) >= MaxHashes {
		return t, nil
	}
	t.Signed = append(t.Signed, ref)
	if t.Stage == StageDecided {
		t.Stage = StageSigned
	}

	// A double of the same step is remembered, for it may be what is mined, but the first one keeps being sent.
	top, _ := t.Top()
	if top == ref && t.Stage <= StageBroadcast {
		return t, []Action{{Kind: Send, Hash: ref.Hash}}
	}
	return t, nil
}

func sent(t Track, r SendResult) (Track, []Action) {
	took := r.Err == nil || errors.Is(r.Err, ErrKnown) || errors.Is(r.Err, ErrNonceUsed)
	switch {
	case took && t.Stage == StageSigned:
		// "Nonce too low" is success too if it is ours that used the nonce: the next look tells.
		t.Stage = StageBroadcast
	case errors.Is(r.Err, ErrFunds):
		return t, []Action{{Kind: Notice, Reason: "the payer cannot afford the transaction at its fee cap"}}
	}
	return t, nil
}

// unseen handles a look that found the nonce unused.
func unseen(t Track, l Look) (Track, []Action) {
	switch t.Stage {
	case StageFinal, StageSettled:
		// A look at an older final block, from an endpoint that lags, says nothing about a newer one.
		if l.Final < t.Seen.Block {
			return t, nil
		}
		return t, []Action{{Kind: Alarm, Reason: "a final transaction is gone from the chain"}}
	case StageMined:
		t.Stage, t.Seen = StageBroadcast, Sighting{}
	}
	return t, resend(t)
}

func resend(t Track) []Action {
	if top, ok := t.Top(); ok {
		return []Action{{Kind: Send, Hash: top.Hash}}
	}
	return nil
}

// seen handles a look that found the nonce in a block.
func seen(t Track, l Look) (Track, []Action) {
	s := *l.Seen
	final := s.Block <= l.Final
	if t.Stage >= StageFinal {
		if !final || (s.BlockHash == t.Seen.BlockHash && s.TxHash == t.Seen.TxHash) {
			return t, nil
		}
		return t, []Action{{Kind: Alarm, Reason: "a final transaction was replaced on the chain"}}
	}

	t.Stage, t.Seen = StageMined, s
	if !final {
		return t, nil
	}
	if !s.Ours {
		// Whatever it is, the key made it without a decision. The slot stays mined: nothing of it is settled.
		return t, []Action{{Kind: Alarm, Reason: "a transaction that this network did not render used the payer's nonce"}}
	}
	t.Stage = StageFinal
	actions := []Action{{Kind: State}}
	if s.Status == 0 {
		actions = append(actions, Action{Kind: Notice, Reason: "the transaction is final and reverted: its items are released by certificate"})
	}
	return t, actions
}

// Observe reads the chain at a slot's nonce: a receipt of one of its hashes, else, when the nonce is used at the final
// block, whatever used it. The payments are what was decided for the nonce, one after the other: all have its payer and chain. Errors
// are the endpoints'; look again later.
func Observe(ctx context.Context, e Endpoint, t Track, payments ...Payment) (Look, error) {
	if len(payments) == 0 {
		return Look{}, errors.New("observe: no payment")
	}
	p := payments[0]
	final, err := e.Final(ctx)
	if err != nil {
		return Look{}, fmt.Errorf("observe nonce %d: %w", p.Nonce, err)
	}
	look := Look{Final: final.Number}

	count, err := e.NonceAt(ctx, p.Payer, final)
	if err != nil {
		return Look{}, fmt.Errorf("observe nonce %d: %w", p.Nonce, err)
	}

	var out Outcome
	if count > p.Nonce {
		// Used for good: not to find by what is an error here, never "unused".
		out, err = outcomeAt(ctx, e, final, p.Payer, p.Nonce, t.Hashes())
	} else if out, err = minedAt(ctx, e, t.Hashes()); errors.Is(err, ErrNotFound) {
		return look, nil
	}
	if err != nil {
		return Look{}, fmt.Errorf("observe nonce %d: %w", p.Nonce, err)
	}
	look.Seen = &Sighting{Outcome: out}
	for i, p := range payments {
		if k, ours := Match(out.Payload, p); ours {
			look.Seen.Ours, look.Seen.Of, look.Seen.K = true, i, uint64(k)
		}
	}
	return look, nil
}

// minedAt is the first of the hashes that has a receipt, final or not.
func minedAt(ctx context.Context, e Endpoint, hashes []common.Hash) (Outcome, error) {
	for _, hash := range hashes {
		tx, r, err := mined(ctx, e, hash)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Outcome{}, err
		}
		return outcomeOf(tx, r), nil
	}
	return Outcome{}, ErrNotFound
}
