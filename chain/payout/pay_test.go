package payout_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/stretchr/testify/require"

	"conclave/chain/payout"
	"conclave/quorum"
)

func wei(n int64) *big.Int { return big.NewInt(n) }

func weis(n ...int64) (out []*big.Int) {
	for _, v := range n {
		out = append(out, wei(v))
	}
	return out
}

// gasLimit is what a policy that says nothing else gives a batch: it must be enough whatever the recipients do.
func gasLimit(token bool, items int) uint64 {
	return quorum.DefaultBatchRule().Gas(token, uint64(items))
}

// reverts wants a batch that changes nothing at all but the payer's fees.
func (w *world) reverts(b batch, why string) {
	w.t.Helper()
	before, owed := w.balance(w.contract), []*big.Int{}
	for _, to := range b.to {
		owed = append(owed, w.owed(b.token, to))
	}
	by := payer
	if b.key != nil {
		by = b.key
	}
	was := w.done(addressOf(by), b.id)
	r := w.pay(b)
	require.EqualValues(w.t, 0, r.Status, why)
	require.Empty(w.t, r.Logs)
	require.Equal(w.t, was, w.done(addressOf(by), b.id), why)
	require.Equal(w.t, before, w.balance(w.contract))
	for i, to := range b.to {
		require.Equal(w.t, owed[i], w.owed(b.token, to))
	}
}

func TestConstants(t *testing.T) {
	w := newWorld(t, nil)
	for want, data := range map[int64][]byte{quorum.MaxItems: w.b.PackMAXITEMS(), 50_000: w.b.PackNATIVEGAS(), payout.TokenGas: w.b.PackTOKENGAS()} {
		require.Equal(t, wei(want), new(big.Int).SetBytes(w.call(w.contract, data)))
	}
	require.EqualValues(t, params.MaxTxGas, quorum.MaxTransactionGas)
	for _, token := range []bool{false, true} {
		require.EqualValues(t, quorum.MaxItems, quorum.DefaultBatchRule().Items(token), "a policy's default fits one transaction")
	}
}

func TestBatchesOfEverySize(t *testing.T) {
	w := newWorld(t, nil)
	token := w.plainToken(0)
	from := 0
	for _, n := range []int{1, 2, 149, 150} {
		for _, asset := range []common.Address{{}, token} {
			b := batch{id: id(from), token: asset, gas: gasLimit(asset != common.Address{}, n)}
			b.to, b.amounts = items(from, n)
			from += n
			r := w.pay(b)
			require.EqualValues(t, 1, r.Status)
			require.Empty(t, w.failures(r))
			for i, to := range b.to {
				have := w.balance(to)
				if asset == token {
					have = w.tokens(token, to)
				}
				require.Equal(t, b.amounts[i], have, "item %d of %d", i, n)
			}
			e := w.paid(r)
			require.Equal(t, addressOf(payer), e.Payer)
			require.Equal(t, b.id, common.Hash(e.BatchId))
			require.Equal(t, asset, e.Token)
			require.Equal(t, b.sum(), e.Total)
			require.Zero(t, e.Failed.Sign())
			require.True(t, w.done(addressOf(payer), b.id))
		}
	}
	require.Zero(t, w.balance(w.contract).Sign())
	require.Zero(t, w.tokens(token, w.contract).Sign())
}

func TestMalformedBatchesRevert(t *testing.T) {
	w := newWorld(t, nil)
	token := w.plainToken(0)
	many, sums := items(0, 151)
	for name, b := range map[string]batch{
		"none":             {},
		"151":              {to: many, amounts: sums},
		"an amount less":   {to: many[:3], amounts: sums[:2]},
		"an amount more":   {to: many[:2], amounts: sums[:3]},
		"zero first":       {to: []common.Address{{}, many[0]}, amounts: sums[:2]},
		"zero last":        {to: []common.Address{many[0], {}}, amounts: sums[:2]},
		"a wei short":      {to: many[:2], amounts: weis(5, 5), value: wei(9)},
		"a wei more":       {to: many[:2], amounts: weis(5, 5), value: wei(11)},
		"no value":         {to: many[:2], amounts: weis(5, 5), value: wei(0)},
		"sum wraps around": {to: many[:2], amounts: []*big.Int{new(big.Int).Lsh(wei(1), 255), new(big.Int).Lsh(wei(1), 255)}, value: wei(0)},
	} {
		b.id = id(1)
		w.reverts(b, name)
		if b.value == nil || name == "sum wraps around" {
			b.token, b.value = token, nil
			w.reverts(b, name+", token")
		}
	}
	require.EqualValues(t, 1, w.pay(batch{id: id(1), to: many[:2], amounts: weis(5, 5)}).Status, "the id is still free")
}

func TestAPayersBatchHappensOnce(t *testing.T) {
	w := newWorld(t, nil)
	token := w.plainToken(0)
	b := batch{id: id(1), to: []common.Address{holder(0)}, amounts: weis(5)}
	require.EqualValues(t, 1, w.pay(b).Status)
	w.reverts(b, "the same again")
	b.amounts = weis(6)
	w.reverts(b, "other amounts")
	b.token = token
	w.reverts(b, "the same id for a token")

	// Somebody else's batch of this id neither uses it up nor is kept out.
	b.token, b.key = common.Address{}, other
	require.EqualValues(t, 1, w.pay(b).Status)
	require.Equal(t, wei(11), w.balance(holder(0)))
	b.id, b.key = id(2), other
	require.EqualValues(t, 1, w.pay(b).Status)
	require.False(t, w.done(addressOf(payer), id(2)))
	b.key = payer
	require.EqualValues(t, 1, w.pay(b).Status)
}

// Nobody can move the payer's tokens but the payer: the contract takes from its caller alone.
func TestAnAllowanceServesItsOwnerAlone(t *testing.T) {
	w := newWorld(t, nil)
	token := w.plainToken(0)
	before := w.tokens(token, addressOf(payer))
	w.reverts(batch{id: id(1), token: token, to: []common.Address{holder(0)}, amounts: weis(5), key: other}, "another's allowance")
	require.Equal(t, before, w.tokens(token, addressOf(payer)))
}

func TestHostileRecipients(t *testing.T) {
	w := newWorld(t, nil)
	sloth, needy := w.hostile("Sloth"), w.hostile("Needy", wei(52_000))
	type item struct {
		to    common.Address
		fails bool
	}
	all := []item{
		{holder(0), false}, {w.hostile("Reverter"), true}, {w.hostile("Burner"), true}, {sloth, false}, {w.hostile("Bomber", false), false},
		{w.hostile("Bomber", true), true}, {w.hostile("Quitter"), false}, {needy, false}, {w.contract, true}, {holder(1), false},
		{common.HexToAddress("0x01"), false}, {w.hostile("Reverter"), true},
	}
	b, fails, credited := batch{id: id(1)}, []uint64{}, new(big.Int)
	for i, x := range all {
		b.to, b.amounts = append(b.to, x.to), append(b.amounts, usual(i))
		if x.fails {
			fails, credited = append(fails, uint64(i)), credited.Add(credited, usual(i))
		}
	}
	r := w.pay(b)
	require.EqualValues(t, 1, r.Status)
	require.Equal(t, fails, w.failures(r))
	require.Equal(t, credited, w.paid(r).Failed)
	for i, x := range all {
		owed, held := w.owed(common.Address{}, x.to), w.balance(x.to)
		switch {
		case x.fails:
			require.Equal(t, usual(i), owed, "item %d", i)
		case i == 6:
			require.Equal(t, usual(i), w.balance(common.HexToAddress("0xbeef")), "went on when its recipient went away")
			require.Zero(t, owed.Sign())
		default:
			require.Zero(t, owed.Sign())
			require.Equal(t, usual(i), held, "item %d", i)
		}
	}
	require.Equal(t, credited, w.balance(w.contract), "holds what is owed, and nothing else")
}

// A recipient with coins of its own that enters again, below and within the limit of an item, finds every door shut.
func TestTheContractCannotBeEnteredAgain(t *testing.T) {
	w := newWorld(t, nil)
	r := w.hostile("Reentrant", w.contract)
	w.send(other, &r, wei(0), 100_000, nil) // refused here too, harmlessly
	w.tell("Reentrant", r, "aim", id(7), true)
	b := batch{to: []common.Address{r, holder(0)}, amounts: weis(50, 5)}
	for n, insists := range []bool{true, false} {
		w.tell("Reentrant", r, "aim", id(7), insists)
		b.id = id(n)
		receipt := w.pay(b)
		require.EqualValues(t, 1, receipt.Status)
		require.Equal(t, n == 0, len(w.failures(receipt)) == 1, "an item fails only when its recipient insists")
		require.Equal(t, w.paid(receipt).Failed.Sign() > 0, insists)
	}
	require.Equal(t, wei(50), w.owed(common.Address{}, r))
	require.Equal(t, wei(50), w.balance(r))

	receipt := w.send(other, &w.contract, nil, 5_000_000, w.b.PackClaim(common.Address{}, r))
	require.EqualValues(t, 1, receipt.Status, "claimed with all the gas in the world")
	require.Len(t, receipt.Logs, 1)
	require.Zero(t, w.owed(common.Address{}, r).Sign())
	require.Equal(t, wei(100), w.balance(r))
	require.False(t, w.done(r, id(7)))
	require.Zero(t, w.balance(w.contract).Sign())
}

// At no gas limit is an item's failure the doing of whoever chose it: the batch is paid as with all the gas, or reverts.
func TestTooLittleGasRevertsTheWholeBatch(t *testing.T) {
	w := newWorld(t, nil)
	needy := w.hostile("Needy", wei(52_000)) // of the 52,300 that an item has
	b := batch{to: []common.Address{needy, w.hostile("Burner"), needy, w.hostile("Reverter"), needy}, amounts: weis(1, 2, 3, 4, 5)}
	w.sweep(b, []uint64{1, 3}, 60_000, gasLimit(false, len(b.to)))
}

// sweep pays a batch under every gas limit between two, in steps that meet no other rhythm, and near the one where the
// first succeeds in steps of 97.
func (w *world) sweep(b batch, failures []uint64, from, to uint64) {
	w.t.Helper()
	n, first, last := 0, uint64(0), uint64(0)
	try := func(gas uint64) {
		n++
		b.id, b.gas = id(n), gas
		r := w.pay(b)
		done := w.done(addressOf(payer), b.id)
		require.Equal(w.t, r.Status == 1, done, "gas %d", gas)
		if !done {
			require.Empty(w.t, r.Logs)
			last = max(last, gas)
			return
		}
		require.Equal(w.t, failures, w.failures(r), "gas %d", gas)
		if first == 0 {
			first = gas
		}
	}
	for gas := from; gas <= to; gas += 4_001 {
		try(gas)
	}
	require.NotZero(w.t, first, "some batch was paid")
	require.Greater(w.t, last, from, "some batch was not")
	for gas := first - 4_001 - 2_000; gas < first+2_000; gas += 97 {
		try(gas)
	}
	try(to)
	require.True(w.t, w.done(addressOf(payer), b.id), "the published limit is enough")
}

// 150 recipients that burn what they get, and must be credited, fit one transaction (EIP-7825).
func TestTheWorstBatchOfCoinsFits(t *testing.T) {
	alloc := types.GenesisAlloc{}
	b := batch{id: id(1), gas: gasLimit(false, quorum.MaxItems)}
	b.to, b.amounts = items(0, quorum.MaxItems)
	for _, to := range b.to {
		alloc[to] = types.Account{Code: []byte{0xfe}, Balance: wei(0)} // an invalid instruction burns everything
	}
	w := newWorld(t, alloc)
	r := w.pay(b)
	require.EqualValues(t, 1, r.Status)
	require.Len(t, w.failures(r), quorum.MaxItems)
	require.Equal(t, b.sum(), w.balance(w.contract))
	t.Logf("%d items that burn their limit: %d gas, %d an item, of %d", quorum.MaxItems, r.GasUsed, r.GasUsed/quorum.MaxItems, b.gas)
}
