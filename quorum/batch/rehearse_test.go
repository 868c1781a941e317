package batch_test

import (
	"testing"
	"time"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestRehearsalQueuesWhatAGovernorWould(t *testing.T) {
	p := quorum.Policy{
		Governors: []quorum.Bucket{{Scope: quorum.BucketAccount, Capacity: coins(4), Refill: coins(4), Per: time.Minute}},
		Shares:    quorum.Shares{MinItems: 2, NewPercent: 50},
	}
	item := func(wid uint64, account byte, amount uint64) batch.Item {
		return batch.Item{Content: quorum.Content{WID: wid, Account: common.Address{account}, To: common.Address{account}, Network: "native", Amount: coins(amount)}}
	}
	r := batch.NewRehearsal(p)
	var queued []uint64
	pay := func(ms uint64, items ...batch.Item) error {
		return r.Batch(batch.Batch{Time: ms, Items: items}, func(i int, q *batch.Queued) {
			require.Equal(t, p.Governors[0], q.Governor)
			queued = append(queued, items[i].Content.WID)
		})
	}
	require.NoError(t, pay(1000, item(1, 1, 4)))
	require.Error(t, pay(2000, item(2, 2, 1), item(3, 3, 1)), "both are new")
	require.NoError(t, pay(3000, item(4, 1, 1)), "one item is no share")
	require.NoError(t, pay(3000, item(5, 2, 1), item(6, 3, 1)), "both were paid before")
	require.Equal(t, []uint64{4}, queued)
	require.NoError(t, pay(64_000, item(7, 1, 4)), "it has refilled since the one that waited was paid")
	require.Equal(t, []uint64{4}, queued)
}
