package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

var claimContract = common.Address{0xc0}

// Many withdrawals in one slot: each is paid by it, each is owed its own call to the Relay, each once.
func TestABatchSettlesEachOfItsItems(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 4, 5, 9)
	p.view(func(tx *Tx) error {
		slot, ok, err := tx.SlotOfBatch(c.ID())
		require.True(t, ok)
		require.Equal(t, []uint64{4, 5, 9}, slot.Items)
		return err
	})
	p.sign(c, 0)
	p.settle(0, c, 1)
	p.view(func(tx *Tx) error {
		var told []uint64
		require.NoError(t, tx.PendingReports(func(r Report) error {
			require.Equal(t, ReportFulfil, r.Outcome)
			told = append(told, r.WID)
			return nil
		}))
		require.Equal(t, []uint64{4, 5, 9}, told)
		for _, wid := range told {
			paid, ok, err := tx.PaidBy(wid)
			require.True(t, ok)
			require.NoError(t, err)
			require.Equal(t, p.slotKey(0), paid.Slot)
		}
		return nil
	})
	p.check()
}

func TestABatchThatFailedPaysNobody(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 4, 5)
	p.sign(c, 0)
	p.settle(0, c, 0)
	p.view(func(tx *Tx) error {
		for _, wid := range []uint64{4, 5} {
			_, ok, err := tx.PaidBy(wid)
			require.False(t, ok)
			require.NoError(t, err)
		}
		return tx.PendingReports(func(r Report) error { require.Fail(t, "told", r); return nil })
	})
	p.broken("I9", func(tx *Tx) error { return tx.PutClaims(p.slotKey(0), claimContract, common.Hash{1}, []int{0}) })
}

func TestClaims(t *testing.T) {
	p := newProtoNet(t, 4)
	c := p.pay(0, 4, 5, 9)
	p.sign(c, 0)
	asset := p.asset()
	put := func(items ...int) func(*Tx) error {
		return func(tx *Tx) error { return tx.PutClaims(p.slotKey(0), claimContract, common.Hash{0x77}, items) }
	}
	p.update(put(1))
	p.settle(0, c, 1)
	for range 2 { // seen again, after a crash or by another lane's watcher
		p.update(put(1, 2))
	}
	p.view(func(tx *Tx) error {
		_, ok, err := tx.ClaimOf(4)
		require.False(t, ok)
		require.NoError(t, err)
		claim, ok, err := tx.ClaimOf(9)
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, Claim{9, p.slotKey(0), 2, claimContract, common.Hash{0x77}, *uint256.NewInt(1009)}, claim)
		sum, err := tx.Claimable(asset)
		require.Equal(t, *uint256.NewInt(1005 + 1009), sum, "each once")
		paid, err2 := tx.IsPaid(9)
		require.True(t, paid, "for the books it is paid")
		require.NoError(t, err2)
		return err
	})
	p.check()
	require.Error(t, p.l.Update(put(3)), "there is no fourth")
	require.Error(t, p.l.Update(put(-1)))
	require.ErrorIs(t, p.l.Update(func(tx *Tx) error { return tx.PutClaims(p.slotKey(7), claimContract, common.Hash{}, []int{0}) }), ErrNotFound)

	p.broken("I9", func(tx *Tx) error { return tx.put(bucketClaimable, asset.bytes(), *uint256.NewInt(1)) })
	p.broken("I9", func(tx *Tx) error {
		return tx.put(bucketClaims, be64(4), Claim{4, p.slotKey(0), 1, claimContract, common.Hash{}, *uint256.NewInt(1004)})
	})
	p.broken("I9", func(tx *Tx) error {
		return tx.put(bucketClaims, be64(9), Claim{9, p.slotKey(0), 2, claimContract, common.Hash{}, *uint256.NewInt(1)})
	})
}
