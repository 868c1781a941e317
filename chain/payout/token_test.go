package payout_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// What Trickster does with a recipient: its enum Way.
const (
	plain uint8 = iota
	silent
	no
	noButMoves
	refuses
	fee
	surcharge
	burns
	bombs
	two
	short
	reenters
	lies
	wantsAll
)

// trickster deploys the token, with the payer's allowance.
func (w *world) trickster() common.Address {
	token := w.hostile("Trickster", w.contract, new(big.Int).Lsh(wei(1), 100))
	w.allow(token, new(big.Int).Lsh(wei(1), 90))
	return token
}

// What becomes of three items of a token, the one in the middle a trick: all are paid, the one is credited, or nothing
// happened.
func TestTokensThatAreOdd(t *testing.T) {
	const paid, credited, nothing = "paid", "credited", "nothing"
	for _, c := range []struct {
		name     string
		way      uint8
		contract uint8 // what happens when it is pulled in
		want     string
	}{
		{"returns true", plain, plain, paid},
		{"returns nothing", silent, plain, paid},
		{"returns false", no, plain, credited},
		{"black-lists", refuses, plain, credited},
		{"burns all gas", burns, plain, credited},
		{"returns megabytes", bombs, plain, paid},
		{"enters again", reenters, plain, paid},
		{"enters again as it is pulled in", refuses, reenters, credited},
		{"pulled in in silence", refuses, silent, credited},
		{"pulled in with megabytes", refuses, bombs, credited},
		{"black-lists the contract, too", refuses, refuses, nothing},
		{"takes a fee as it is pulled in", refuses, fee, nothing},
		{"says that it was pulled in", refuses, lies, nothing},
		{"answers false as it is pulled in", refuses, no, nothing},
		{"answers false as it is pulled in, and moves", refuses, noButMoves, nothing},
		{"takes more than it was asked for", surcharge, plain, nothing},
		{"takes more as it is pulled in", refuses, surcharge, nothing},
		{"answers false and moves", noButMoves, plain, nothing},
		{"answers two and moves", two, plain, nothing},
		{"answers a byte and moves", short, plain, nothing},
		{"black-lists the contract, which need not be asked", plain, refuses, paid},
		// What arrives is nobody's to see but the recipient's: tokens like these must have no lane.
		{"takes a fee", fee, plain, paid},
		{"lies", lies, plain, paid},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			token := w.trickster()
			w.tell("Trickster", token, "tell", holder(1), c.way)
			w.tell("Trickster", token, "tell", w.contract, c.contract)
			w.oddBatch(token, c.want == credited, c.want == nothing, c.way == fee || c.way == lies)
		})
	}
}

func (w *world) oddBatch(token common.Address, credited, nothing, arrivesLess bool) {
	t := w.t
	before := w.tokens(token, addressOf(payer))
	b := batch{id: id(1), token: token, amounts: weis(1000, 2000, 3000)}
	b.to, _ = items(0, 3)
	if nothing {
		w.reverts(b, "nothing happens")
		require.Equal(t, before, w.tokens(token, addressOf(payer)))
		require.Zero(t, w.tokens(token, w.contract).Sign())
		return
	}
	r := w.pay(b)
	require.EqualValues(t, 1, r.Status)
	require.Equal(t, wei(1000), w.tokens(token, b.to[0]))
	require.Equal(t, wei(3000), w.tokens(token, b.to[2]))
	require.Zero(t, w.ask("Trickster", token, "entries").Sign(), "nobody enters again")
	require.False(t, w.done(token, common.BigToHash(wei(2000))))
	owed := w.owed(token, b.to[1])
	require.Equal(t, owed, w.tokens(token, w.contract), "holds what is owed, and nothing else")
	require.Equal(t, owed, w.paid(r).Failed)
	lost := new(big.Int).Sub(before, w.tokens(token, addressOf(payer)))
	if credited {
		require.Equal(t, []uint64{1}, w.failures(r))
		require.Equal(t, wei(2000), owed)
		require.Equal(t, wei(6000), lost)
		return
	}
	require.Empty(t, w.failures(r))
	require.Zero(t, owed.Sign())
	require.False(t, lost.Cmp(wei(6000)) > 0)
	if !arrivesLess {
		require.Equal(t, wei(2000), w.tokens(token, b.to[1]))
		require.Equal(t, wei(6000), lost)
	}
}

func TestATokenThatCannotBePaidRevertsTheWholeBatch(t *testing.T) {
	w := newWorld(t, nil)
	token := w.trickster()
	b := batch{id: id(1), token: token, amounts: weis(10, 20)}
	b.to, _ = items(0, 2)

	w.tell("Trickster", token, "pause", true)
	w.reverts(b, "paused")
	w.tell("Trickster", token, "pause", false)

	// The allowance covers one item and not the other: neither is paid.
	w.allow(token, wei(29))
	w.reverts(b, "allowance")
	require.Zero(t, w.tokens(token, b.to[0]).Sign())
	w.allow(token, wei(30))
	b.amounts[1] = new(big.Int).Lsh(wei(1), 101)
	w.reverts(b, "funds")
	b.amounts[1] = wei(20)

	b.token = holder(5)
	w.reverts(b, "no code at the token's address")
	b.token = w.hostile("Reverter")
	w.reverts(b, "no token")

	b.token = token
	require.EqualValues(t, 1, w.pay(b).Status)
	require.Equal(t, weis(10, 20), []*big.Int{w.tokens(token, b.to[0]), w.tokens(token, b.to[1])})
}

func TestTooLittleGasRevertsTheWholeBatchOfATokenToo(t *testing.T) {
	w := newWorld(t, nil)
	token := w.trickster()
	b := batch{token: token, amounts: weis(1, 2, 3, 4, 5)}
	b.to, _ = items(0, 5)
	for i, way := range []uint8{wantsAll, burns, wantsAll, refuses, wantsAll} {
		w.tell("Trickster", token, "tell", b.to[i], way)
	}
	w.sweep(b, []uint64{1, 3}, 80_000, gasLimit(true, len(b.to)))
}

// 150 transfers that burn what they get, and must be credited and pulled in, fit one transaction (EIP-7825).
func TestTheWorstBatchOfATokenFits(t *testing.T) {
	w := newWorld(t, nil)
	token := w.trickster()
	b := batch{id: id(1), token: token, gas: gasLimit(true, quorum.MaxItems)}
	b.to, b.amounts = items(0, quorum.MaxItems)
	for _, to := range b.to {
		w.tell("Trickster", token, "tell", to, burns)
	}
	r := w.pay(b)
	require.EqualValues(t, 1, r.Status)
	require.Len(t, w.failures(r), quorum.MaxItems)
	require.Equal(t, b.sum(), w.tokens(token, w.contract))
	t.Logf("%d items that burn their limit: %d gas, %d an item, of %d", quorum.MaxItems, r.GasUsed, r.GasUsed/quorum.MaxItems, b.gas)
}
