package quorum_test

import (
	"strings"
	"testing"

	"conclave/quorum"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const sampleBatch = `
[batch]
max_items = 120
base_gas = 100000
item_gas = 110000
token_item_gas = 150000
`

// withBatch is the sample policy with a section for batches.
func withBatch(t *testing.T, section string) []byte {
	t.Helper()
	return []byte(strings.Replace(string(samplePolicy(t)), "[[tariff]]", section+"\n[[tariff]]", 1))
}

func TestPolicyReadsTheBatchRule(t *testing.T) {
	p, err := quorum.ParsePolicy(samplePolicy(t))
	require.NoError(t, err)
	require.Equal(t, quorum.DefaultBatchRule(), p.Batches, "a file that has none")
	require.EqualValues(t, 150, p.Batches.Items(false))
	require.EqualValues(t, 150, p.Batches.Items(true))

	p, err = quorum.ParsePolicy(withBatch(t, sampleBatch))
	require.NoError(t, err)
	require.Equal(t, quorum.BatchRule{MaxItems: 120, BaseGas: 100_000, ItemGas: 110_000, TokenItemGas: 150_000}, p.Batches)
	require.EqualValues(t, 111, p.Batches.Items(true), "no more fit one transaction")
	require.EqualValues(t, 100_000+2*110_000, p.Batches.Gas(false, 2))
	require.EqualValues(t, 100_000+3*150_000, p.Batches.Gas(true, 3))
}

func TestPolicyRefusesBatchesThatCannotBePaid(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"max_items = 120", "max_items = 1", "batch.max_items"},
		{"max_items = 120", "max_items = 151", "batch.max_items"},
		{"max_items = 120", "", "batch.max_items"},
		{"base_gas = 100000", "base_gas = 49999", "batch.base_gas"},
		{"base_gas = 100000", "base_gas = 1000001", "batch.base_gas"},
		{"item_gas = 110000\n", "item_gas = 94999\n", "batch.item_gas"},
		{"\nitem_gas = 110000", "\nitem_gas = 1000001", "batch.item_gas"},
		{"token_item_gas = 150000", "token_item_gas = 109999", "batch.token_item_gas"},
		{"token_item_gas = 150000", "token_item_gas = 1000001", "batch.token_item_gas"},
		{"max_items = 120", "max_items = 120\nspeed = 1", "unknown key batch.speed"},
	} {
		bent := strings.Replace(sampleBatch, c.from, c.to, 1)
		require.NotEqual(t, sampleBatch, bent)
		_, err := quorum.ParsePolicy(withBatch(t, bent))
		require.ErrorContains(t, err, c.want)
	}
}

// Whatever a policy says, the fullest batch of it fits one transaction, and one of two items does.
func TestABatchFitsOneTransaction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := quorum.BatchRule{
			MaxItems: rapid.Uint64Range(2, quorum.MaxItems).Draw(t, "items"), BaseGas: rapid.Uint64Range(50_000, 1_000_000).Draw(t, "base"),
			ItemGas: rapid.Uint64Range(95_000, 1_000_000).Draw(t, "item"), TokenItemGas: rapid.Uint64Range(110_000, 1_000_000).Draw(t, "token"),
		}
		for _, token := range []bool{false, true} {
			n := r.Items(token)
			require.GreaterOrEqual(t, n, uint64(2))
			require.LessOrEqual(t, n, r.MaxItems)
			require.LessOrEqual(t, r.Gas(token, n), uint64(quorum.MaxTransactionGas))
			if n < r.MaxItems {
				require.Greater(t, r.Gas(token, n+1), uint64(quorum.MaxTransactionGas), "one more would have fitted")
			}
		}
	})
}
