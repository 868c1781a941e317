package payout_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/evm/contracts"
)

// What one payout of a full batch may cost towards recipients that exist, or hold the token already.
const (
	maxNative = 11_000
	maxToken  = 13_000
)

// sum like those of withdrawals: not round, 18 decimals.
func usual(i int) *big.Int {
	v, _ := new(big.Int).SetString("12345678901234567890", 10)
	return v.Add(v, big.NewInt(int64(i)*98_765_432_101))
}

// items are n payouts to the ordinary recipients from `from` on.
func items(from, n int) (to []common.Address, amounts []*big.Int) {
	for i := range n {
		to, amounts = append(to, holder(from+i)), append(amounts, usual(i))
	}
	return to, amounts
}

// holders are accounts that exist.
func holders(n int) types.GenesisAlloc {
	out := types.GenesisAlloc{}
	for i := range n {
		out[holder(i)] = types.Account{Balance: big.NewInt(1)}
	}
	return out
}

// plainToken deploys a token without tricks, held by the payer and by the first n holders, the contract allowed to take it.
func (w *world) plainToken(n int) common.Address {
	supply := uint256.NewInt(0).Lsh(uint256.NewInt(1), 120)
	token := w.create(contracts.DevTokenCode(*supply))
	for i := range n {
		w.send(payer, &token, nil, 100_000, chain.TransferData(holder(i), *uint256.NewInt(1)))
	}
	w.allow(token, new(big.Int).Lsh(big.NewInt(1), 100))
	return token
}

func (w *world) allow(token common.Address, amount *big.Int) {
	w.t.Helper()
	data, err := w.abi("Trickster").Pack("approve", w.contract, amount)
	require.NoError(w.t, err)
	require.EqualValues(w.t, 1, w.send(payer, &token, nil, 100_000, data).Status)
}

func (w *world) tokens(token, of common.Address) *big.Int {
	w.t.Helper()
	return new(big.Int).SetBytes(w.call(token, chain.BalanceOfData(of)))
}

// dataGas is what a transaction's call data costs: 16 a byte, 4 a zero byte.
func dataGas(data []byte) uint64 {
	var gas uint64
	for _, b := range data {
		if gas += 4; b != 0 {
			gas += 12
		}
	}
	return gas
}

// TestGas prints what payouts cost (`make gas`) and holds the contract to its figures.
func TestGas(t *testing.T) {
	const most = 150
	w := newWorld(t, holders(most))
	token := w.plainToken(most)
	var table strings.Builder
	fmt.Fprintf(&table, "\n| items | coins | coins, new account | token | token, new holder |\n|---|---|---|---|---|\n")
	fresh, full := 10_000, map[string]uint64{}
	for n, size := range []int{1, 2, 10, 50, 149, 150} {
		row := []uint64{}
		for i, c := range []struct {
			token common.Address
			from  int
		}{{common.Address{}, 0}, {common.Address{}, fresh}, {token, 0}, {token, fresh + 1000}} {
			to, amounts := items(c.from, size)
			r := w.pay(batch{id: id(10*n + i), token: c.token, to: to, amounts: amounts})
			require.EqualValues(t, 1, r.Status)
			require.Empty(t, w.failures(r))
			row = append(row, r.GasUsed)
		}
		fresh += 2000
		fmt.Fprintf(&table, "| %d |", size)
		for _, gas := range row {
			fmt.Fprintf(&table, " %d |", gas/uint64(size))
		}
		table.WriteByte('\n')
		full["native"], full["token"] = row[0], row[2]
	}
	t.Log(table.String())

	w.explain(full["native"], full["token"])
	require.LessOrEqual(t, full["native"]/most, uint64(maxNative))
	require.LessOrEqual(t, full["token"]/most, uint64(maxToken))
}

// explain prints what the gas of one payout in a full batch is made of; the protocol's part is from its constants.
func (w *world) explain(native, token uint64) {
	const most = 150
	to, amounts := items(0, most)
	alone := w.send(payer, &to[0], amounts[0], 21_000, nil).GasUsed
	held := w.plainToken(1)
	direct := w.send(payer, &held, nil, 200_000, chain.TransferData(to[0], *uint256.NewInt(5))).GasUsed

	data := dataGas(w.b.PackPay(id(1), to, amounts)) / most
	const fixed = (21_000 + 22_100 + 2_300 + 2_268) / most // the transaction, the slot of done, the lock, the event
	const send = 2_600 + 9_000 - 2_300                     // a cold account, value, and the part that an account without code gives back
	const move = 100 + 2_100 + 2_900 + 3*100 + 1_756       // the call, the recipient's balance, payer's balance, allowance, event
	w.t.Logf("\n| of one payout in a full batch | coins | token |\n|---|---|---|\n"+
		"| call data | %d | %d |\n| transaction, done, lock, event: a 150th | %d | %d |\n| transfer, by the protocol's prices | %d | %d |\n| the loop, and the token's own code | %d | %d |\n| **all** | **%d** | **%d** |\n| one transaction each, to compare | %d | %d |\n",
		data, data, fixed, fixed, send, move, native/most-data-fixed-send, token/most-data-fixed-move, native/most, token/most, alone, direct)
}
