package node

import (
	"bytes"
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/rlp"

	"conclave/ledger"
)

// Compare implements [relay.Compared]: what the books hold of a stretch of settled log against what the Relay shows of it
// now. It writes nothing, so that reading history again costs no commit.
func (in *intake) Compare(_ context.Context, after, upTo uint64, rows []ledger.Event) (same bool, gone []uint64, err error) {
	if after >= upTo {
		return true, nil, nil
	}
	same = true
	err = in.n.led.View(func(tx *ledger.Tx) error {
		i := 0
		err := tx.Events(after+1, func(e ledger.Event) error {
			if e.ID > upTo {
				return errEnough
			}
			for ; i < len(rows) && rows[i].ID < e.ID; i++ {
				same = false // the books hold it back, or never saw it
			}
			if i == len(rows) || rows[i].ID > e.ID {
				gone = append(gone, e.ID)
				return nil
			}
			equal, err := sameEvent(e, rows[i])
			same = same && equal
			i++
			return err
		})
		same = same && i == len(rows)
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return same, gone, err
}

// sameEvent compares what would be stored.
func sameEvent(a, b ledger.Event) (bool, error) {
	x, err := rlp.EncodeToBytes(a)
	if err != nil {
		return false, err
	}
	y, err := rlp.EncodeToBytes(b)
	return bytes.Equal(x, y), err
}
