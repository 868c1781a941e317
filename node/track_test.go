package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/ledger"
)

// Every stage that a slot may be in, against everything that a look may show.
func TestFollow(t *testing.T) {
	const final = 10
	block := func(n uint64, fork byte, ours bool) chain.Look {
		return chain.Look{Final: final, Seen: &chain.Sighting{Ours: ours, K: 2, Outcome: chain.Outcome{
			TxHash: common.Hash{7}, Block: n, BlockHash: common.Hash{fork}, Status: 1,
		}}}
	}
	mined := ledger.Payout{Stage: ledger.StageMined, K: 2, TxHash: common.Hash{7}, Block: 11, BlockHash: common.Hash{1}, Status: 1}
	sent := ledger.Payout{Stage: ledger.StageBroadcast, K: 2, TxHash: common.Hash{7}}
	looks := []struct {
		name string
		chain.Look
	}{
		{"nowhere", chain.Look{Final: final}},
		{"not final", block(11, 1, true)},
		{"not final, in another block", block(12, 2, true)},
		{"final", block(10, 1, true)},
		{"foreign, not final", block(11, 1, false)},
		{"foreign", block(10, 1, false)},
	}
	elsewhere := mined
	elsewhere.Block, elsewhere.BlockHash = 12, common.Hash{2}
	type then struct {
		next  ledger.Payout
		means sight
	}
	// Of what is in no block yet, stage after stage: a block tells all that is known of it.
	open := func(was ledger.Payout) []then {
		return []then{{was, sightNowhere}, {mined, sightMined}, {elsewhere, sightMined}, {was, sightFinal}, {was, sightKnown}, {was, sightForeign}}
	}
	decided, signed := ledger.Payout{Stage: ledger.StageDecided}, ledger.Payout{Stage: ledger.StageSigned}
	done := mined
	done.Stage, done.Block = ledger.StageFinal, 10
	for _, row := range []struct {
		was  ledger.Payout
		then []then
	}{
		{decided, open(decided)},
		{signed, open(signed)},
		{sent, open(sent)},
		{mined, []then{{sent, sightNowhere}, {mined, sightKnown}, {elsewhere, sightMined}, {mined, sightFinal}, {mined, sightKnown}, {mined, sightForeign}}},
		{done, []then{{done, sightNowhere}, {done, sightKnown}, {done, sightKnown}, {done, sightFinal}, {done, sightKnown}, {done, sightForeign}}},
	} {
		require.Len(t, row.then, len(looks))
		for i, look := range looks {
			next, means := follow(row.was, look.Look)
			require.Equal(t, row.then[i], then{next, means}, "%s, and the chain shows it %s", row.was.Stage, look.name)
			require.True(t, next == row.was || row.was.Stage.Leads(next.Stage), "the books refuse no step: %s to %s", row.was.Stage, next.Stage)
		}
	}
}
