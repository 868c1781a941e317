package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func weiOf(n uint64) uint256.Int { return *uint256.NewInt(n) }

// A purse with a naive account of its own: whatever happens to it, the flow adds up, and calls lost what was taken while
// nothing came in.
func TestFlowAgainstAPurse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Uint64Range(0, 1000)
		purse := amount.Draw(t, "initial")
		f := Begin(AssetKey{ChainID: 1}, Sighting{Block: 10, Nonce: 3, Wallet: weiOf(purse)})
		initial, inflow, paid, fees, lost := purse, uint64(0), uint64(0), uint64(0), uint64(0)
		for block := uint64(11); block < 30; block++ {
			pays, burns, comes, goes := amount.Draw(t, "paid"), amount.Draw(t, "fee"), uint64(0), uint64(0)
			if rapid.Bool().Draw(t, "thief") {
				goes = amount.Draw(t, "taken")
			} else {
				comes = amount.Draw(t, "top-up")
			}
			// The purse must afford it.
			purse += comes
			pays = min(pays, purse)
			purse -= pays
			burns = min(burns, purse)
			purse -= burns
			goes = min(goes, purse)
			purse -= goes
			paid, fees, inflow, lost = paid+pays, fees+burns, inflow+comes, lost+goes

			next, missing, err := f.Next(Sighting{Block: block, Nonce: f.Nonce + 1, Wallet: weiOf(purse), Paid: weiOf(pays), Fees: weiOf(burns)})
			require.NoError(t, err)
			require.Equal(t, weiOf(goes), missing)
			f = next
		}
		require.Equal(t, Flow{Key: f.Key, Initial: weiOf(initial), Inflow: weiOf(inflow), Paid: weiOf(paid), Fees: weiOf(fees), Lost: weiOf(lost),
			Wallet: weiOf(purse), FromNonce: 3, FromBlock: 10, Nonce: 22, Block: 29}, f)
		require.Equal(t, initial+inflow, purse+paid+fees+lost)
	})
}

// What the decisions allowed for gas is a fee even where the receipt says less; one wei more is lost.
func TestFeesThatNoReceiptSays(t *testing.T) {
	f := Begin(AssetKey{ChainID: 1}, Sighting{Block: 10, Nonce: 3, Wallet: weiOf(100)})
	seen := Sighting{Block: 11, Nonce: 4, Wallet: weiOf(70), Paid: weiOf(10), Fees: weiOf(5), FeesMost: weiOf(20)}
	next, lost, err := f.Next(seen)
	require.NoError(t, err)
	require.Zero(t, lost)
	require.Equal(t, weiOf(20), next.Fees)
	seen.Wallet = weiOf(69)
	next, lost, err = f.Next(seen)
	require.NoError(t, err)
	require.Equal(t, weiOf(16), lost)
	require.Equal(t, weiOf(5), next.Fees)
}

func TestFlowRefuses(t *testing.T) {
	f := Begin(AssetKey{ChainID: 1}, Sighting{Block: 10, Nonce: 3, Wallet: weiOf(100)})
	_, _, err := f.Next(Sighting{Block: 9, Nonce: 3, Wallet: weiOf(100)})
	require.ErrorIs(t, err, ErrFlow)
	_, _, err = f.Next(Sighting{Block: 11, Nonce: 2, Wallet: weiOf(100)})
	require.ErrorIs(t, err, ErrFlow)
	var most uint256.Int
	most.SetAllOne()
	_, _, err = f.Next(Sighting{Block: 11, Nonce: 4, Wallet: most, Paid: weiOf(1)})
	require.ErrorIs(t, err, ErrFlow)
	f.Wallet = weiOf(99)
	require.ErrorIs(t, f.Balanced(), ErrFlow)
}

func (p *protoNet) asset() AssetKey { return AssetKey{ChainID: protoChain, Payer: addressOf(p.payer)} }

// The stored account outlives a restart, never goes back, and never stands when it does not add up.
func TestFlowIsDurable(t *testing.T) {
	p := newProtoNet(t, 4)
	f := Begin(p.asset(), Sighting{Block: 10, Wallet: weiOf(100)})
	p.update(func(tx *Tx) error { return tx.PutFlow(f) })
	next, lost, err := f.Next(Sighting{Block: 12, Wallet: weiOf(90)})
	require.NoError(t, err)
	require.Equal(t, weiOf(10), lost)
	p.update(func(tx *Tx) error { return tx.PutFlow(next) })
	p.reopen()
	p.view(func(tx *Tx) error {
		again, ok, err := tx.Flow(f.Key)
		require.True(t, ok)
		require.Equal(t, next, again)
		var all []Flow
		require.NoError(t, tx.Flows(func(f Flow) error { all = append(all, f); return nil }))
		require.Equal(t, []Flow{next}, all)
		return err
	})
	p.refused(ErrFlow, func(tx *Tx) error { return tx.PutFlow(f) })
	odd := next
	odd.Paid = weiOf(1)
	p.refused(ErrFlow, func(tx *Tx) error { return tx.PutFlow(odd) })
	require.Equal(t, "the coin of chain 1337", f.Key.String())
	f.Key.Token = common.Address{1}
	require.Contains(t, f.Key.String(), "on chain 1337")
}

// What decisions pay is added up once, with fees, and judged only when the books hold what was decided.
func TestOutflow(t *testing.T) {
	p := newProtoNet(t, 4)
	read := func() (o Outflow) {
		p.view(func(tx *Tx) (err error) { o, err = tx.Outflow(); return err })
		return o
	}
	require.True(t, read().Stale)
	p.pay(0, 1)
	p.update(func(tx *Tx) error { return tx.BookOutflow() })
	require.Equal(t, weiOf(1001+1), read().Sum)
	p.pay(1, 2)
	require.True(t, read().Stale)
	p.update(func(tx *Tx) error { return tx.BookOutflow() })
	p.update(func(tx *Tx) error { return tx.BookOutflow() })
	p.reopen()
	o := read()
	require.Equal(t, weiOf(1001+1+1002+2), o.Sum)
	require.False(t, o.Stale)
	require.True(t, o.Behind, "the books hold no row of either")
	require.True(t, o.Exceeds())
	o.Counted, o.Pending = weiOf(2005), weiOf(1)
	require.False(t, o.Exceeds())
	o.Pending = weiOf(0)
	require.True(t, o.Exceeds())
	p.check()
}

// The check names an account that does not add up, a payment that no slot made, one that a slot made and the account
// lacks, and a sum that the decisions do not give.
func TestCheckConservation(t *testing.T) {
	p := newProtoNet(t, 4)
	first := p.pay(0, 1)
	p.pay(1, 2)
	p.sign(first, 0)
	p.settle(0, first, 1)
	paid := func(n uint64) Flow {
		f := Begin(p.asset(), Sighting{Block: 10, Wallet: weiOf(100)})
		f, _, err := f.Next(Sighting{Block: 12, Nonce: 2, Wallet: weiOf(100 - n), Paid: weiOf(n)})
		require.NoError(t, err)
		return f
	}
	p.update(func(tx *Tx) error { return tx.PutFlow(paid(2)) })
	p.update(func(tx *Tx) error { return tx.BookOutflow() })
	p.check()
	store := func(f Flow) func(*Tx) error {
		return func(tx *Tx) error { return tx.put(bucketFlows, f.Key.bytes(), f) }
	}
	uneven := paid(2)
	uneven.Wallet = weiOf(97)
	p.broken("I9", store(uneven))
	p.broken("I9", store(paid(3)))
	p.broken("I9", store(paid(0)))
	p.broken("I9", func(tx *Tx) error { return tx.put(bucketOutflow, keyOutflow, outflow{3, weiOf(1)}) })
}
