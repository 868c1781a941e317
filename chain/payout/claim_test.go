package payout_test

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func (w *world) claim(token, to common.Address) *types.Receipt {
	w.t.Helper()
	return w.send(other, &w.contract, nil, 10_000_000, w.b.PackClaim(token, to))
}

func TestClaimsAreForTheirRecipient(t *testing.T) {
	w := newWorld(t, nil)
	coin := common.Address{}
	late, never, bomber := w.hostile("Reverter"), w.hostile("Reverter"), w.hostile("Bomber", true)
	for n := range 2 {
		r := w.pay(batch{id: id(n), to: []common.Address{late, never, bomber, late}, amounts: weis(10, 20, 30, 1)})
		require.Len(t, w.failures(r), 4)
	}
	require.Equal(t, wei(22), w.owed(coin, late), "credits add up")

	require.EqualValues(t, 0, w.claim(coin, late).Status, "still refuses")
	require.EqualValues(t, 0, w.claim(coin, holder(0)).Status, "owed nothing")
	require.Equal(t, wei(22), w.owed(coin, late), "nothing is lost by trying")

	w.tell("Reverter", late, "accept")
	before := w.balance(addressOf(other))
	r := w.claim(coin, late)
	require.EqualValues(t, 1, r.Status)
	e, err := w.b.UnpackClaimedEvent(r.Logs[0])
	require.NoError(t, err)
	require.Equal(t, []any{coin, late, wei(22)}, []any{e.Token, e.To, e.Amount})
	require.Equal(t, wei(22), w.balance(late), "whoever asks, the recipient is paid")
	require.Negative(t, w.balance(addressOf(other)).Cmp(before))
	require.EqualValues(t, 0, w.claim(coin, late).Status, "once")

	require.EqualValues(t, 0, w.claim(coin, bomber).Status)
	require.Equal(t, wei(60), w.owed(coin, bomber))
	require.Equal(t, wei(100), w.balance(w.contract))
}

// A recipient whose needs are above an item's limit gets all that the claim gives.
func TestAClaimHasMoreGasThanAnItem(t *testing.T) {
	w := newWorld(t, nil)
	needy := w.hostile("Needy", wei(500_000))
	require.Len(t, w.failures(w.pay(batch{id: id(1), to: []common.Address{needy}, amounts: weis(7)})), 1)
	require.EqualValues(t, 1, w.claim(common.Address{}, needy).Status)
	require.Equal(t, wei(7), w.balance(needy))
}

func TestClaimsOfATokenWaitForTheToken(t *testing.T) {
	w := newWorld(t, nil)
	token, second := w.trickster(), w.trickster()
	to := holder(0)
	for _, x := range []common.Address{token, second} {
		w.tell("Trickster", x, "tell", to, refuses)
	}
	require.Len(t, w.failures(w.pay(batch{id: id(1), token: token, to: []common.Address{to}, amounts: weis(9)})), 1)
	require.Len(t, w.failures(w.pay(batch{id: id(2), token: second, to: []common.Address{to}, amounts: weis(4)})), 1)

	for _, way := range []uint8{refuses, no, noButMoves, two} {
		w.tell("Trickster", token, "tell", to, way)
		require.EqualValues(t, 0, w.claim(token, to).Status)
		require.Equal(t, wei(9), w.owed(token, to))
		require.Equal(t, wei(9), w.tokens(token, w.contract))
	}
	w.tell("Trickster", token, "tell", to, silent)
	require.EqualValues(t, 1, w.claim(token, to).Status)
	require.Equal(t, wei(9), w.tokens(token, to))
	require.Equal(t, wei(4), w.owed(second, to), "claims of two tokens are two")
	require.EqualValues(t, 0, w.claim(token, to).Status, "once")
	require.EqualValues(t, 0, w.claim(common.Address{}, to).Status, "and no coins")
}

// Whatever comes in whatever order: what payers spent is with the recipients or owed to them, and the contract holds
// exactly what it owes.
func TestNothingIsLostOrMade(t *testing.T) {
	w := newWorld(t, nil)
	coin, token := common.Address{}, w.trickster()
	places := []common.Address{holder(0), holder(1), w.hostile("Reverter"), w.hostile("Burner"), w.hostile("Bomber", true), holder(2)}
	w.tell("Trickster", token, "tell", holder(1), refuses)
	w.tell("Trickster", token, "tell", holder(2), no)
	spent, n := map[common.Address]*big.Int{coin: wei(0), token: wei(0)}, 0
	rapid.Check(t, func(t *rapid.T) {
		asset := rapid.SampledFrom([]common.Address{coin, token}).Draw(t, "asset")
		if rapid.IntRange(0, 3).Draw(t, "claim") == 0 {
			w.claim(asset, rapid.SampledFrom(places).Draw(t, "of"))
		} else {
			n++
			b := batch{id: id(n), token: asset, to: rapid.SliceOfN(rapid.SampledFrom(places), 1, 8).Draw(t, "to")}
			for range b.to {
				b.amounts = append(b.amounts, wei(rapid.Int64Range(0, 1000).Draw(t, "amount")))
			}
			if b.gas = rapid.Uint64Range(50_000, 1_200_000).Draw(t, "gas"); w.pay(b).Status == 1 {
				spent[asset].Add(spent[asset], b.sum())
			}
		}
		owed, have := wei(0), wei(0)
		for _, to := range places {
			owed.Add(owed, w.owed(asset, to))
			if asset == coin {
				have.Add(have, w.balance(to))
			} else {
				have.Add(have, w.tokens(token, to))
			}
		}
		held := w.balance(w.contract)
		if asset == token {
			held = w.tokens(token, w.contract)
		}
		require.Zero(t, owed.Cmp(held))
		require.Zero(t, spent[asset].Cmp(have.Add(have, owed)))
	})
	require.Greater(t, n, 20)
	require.Positive(t, spent[coin].Sign()*spent[token].Sign())
}
