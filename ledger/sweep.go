package ledger

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Founded reports whether a payer is the first one, whose key the founding made. The genesis document's first nonces are its own; a
// later payer's begin at zero.
func (tx *Tx) Founded(payer common.Address) (bool, error) {
	var rec epochRecord
	ok, err := tx.get(bucketEpochs, be64(1), &rec)
	return ok && rec.Payer == payer, err
}

// firstNonce is what a payer's first slot takes.
func (c *protocolCheck) firstNonce(k quorum.NonceKey) (uint64, error) {
	first, err := c.tx.Founded(k.Payer)
	if err != nil || !first {
		return 0, err
	}
	return c.by.FirstNonce[k.ChainID], nil
}
