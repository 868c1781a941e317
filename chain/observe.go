package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Sighting is the slot's nonce in a block.
type Sighting struct {
	Outcome
	Ours bool   // the payload is one of the slot's
	Of   int    // which of the slot's payments it is, when ours
	K    uint64 // its step, when ours
}

// Look is what the chain shows at the slot's nonce.
type Look struct {
	Final uint64    // number of the final block
	Seen  *Sighting // nil: no block holds the nonce
}

// Observe reads the chain at a slot's nonce: a receipt of one of the hashes of its signed transactions, the likeliest first, else, when the nonce is used at the final
// block, whatever used it. The payments are what was decided for the nonce, one after the other: all have its payer and chain. Errors
// are the endpoints'; look again later.
func Observe(ctx context.Context, e Endpoint, hashes []common.Hash, payments ...Payment) (Look, error) {
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
		out, err = outcomeAt(ctx, e, final, p.Payer, p.Nonce, hashes)
	} else if out, err = minedAt(ctx, e, hashes); errors.Is(err, ErrNotFound) {
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
