package node

import (
	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
	"conclave/ledger"
)

// sight is what a look at a slot's nonce means.
type sight uint8

const (
	sightKnown   sight = iota // nothing that is not recorded, or nothing that counts yet
	sightNowhere              // no block holds the nonce: what is signed is sent, and stepped when it has been out for long
	sightMined                // a block that is not final holds one of ours
	sightFinal                // a final block holds one of ours: it is stated, and nothing of it is taken back
	sightForeign              // a final block holds what this network did not render: everything halts
)

// follow is the life of a slot's transaction as the chain tells it: what was recorded of it and what a look shows give what is to be recorded
// now and what the look means. It is a function of the two, so that a table can show it all; what is sent, signed, stated and halted stands with
// those who do it. next is what was, unless something is to be recorded here: what is final is recorded with the statement about it.
//
//	recorded   nowhere               ours, not final       ours, final   not ours, not final   not ours, final
//	decided    decided · nowhere     mined · mined         final         decided               foreign
//	signed     signed · nowhere      mined · mined         final         signed                foreign
//	broadcast  broadcast · nowhere   mined · mined         final         broadcast             foreign
//	mined      broadcast · nowhere   mined, where it is    final         mined                 foreign
//	final      final · nowhere       final                 final         final                 foreign
//
// An endpoint that lags shows what is final as nowhere or as not final; the ledger takes nothing back for it, and what really is gone is the
// matter of those who watch finality (finality.go).
func follow(was ledger.Payout, look chain.Look) (next ledger.Payout, means sight) {
	seen := look.Seen
	switch {
	case seen == nil && was.Stage == ledger.StageMined:
		// After a reorganisation the same bytes go out again.
		return ledger.Payout{Stage: ledger.StageBroadcast, K: was.K, TxHash: was.TxHash}, sightNowhere
	case seen == nil:
		return was, sightNowhere
	case seen.Block <= look.Final && !seen.Ours:
		return was, sightForeign
	case seen.Block <= look.Final:
		return was, sightFinal
	case !seen.Ours || was.Stage == ledger.StageFinal || was.Stage == ledger.StageMined && was.BlockHash == seen.BlockHash:
		return was, sightKnown
	}
	return ledger.Payout{Stage: ledger.StageMined, K: seen.K, TxHash: seen.TxHash, Block: seen.Block, BlockHash: seen.BlockHash, Status: seen.Status}, sightMined
}

// signedHashes are the hashes of every signed transaction of a slot, whatever was decided for it since, the last one first: it is the one most
// likely mined.
func signedHashes(tx *ledger.Tx, slot ledger.Slot) (out []common.Hash, err error) {
	err = tx.SignedFor(slot, func(s ledger.Signed) error {
		out = append([]common.Hash{s.Hash}, out...)
		return nil
	})
	return out, err
}
