package quorum

import "fmt"

// BatchRule is how many withdrawals one transaction of a lane of the way "batch" pays, and what gas it may use. The gas
// limit is the worst that its items can do to it, never what they usually use: a hostile recipient then spoils its own item.
type BatchRule struct {
	MaxItems     uint64
	BaseGas      uint64 // of the transaction itself
	ItemGas      uint64 // of each item in the chain's coin
	TokenItemGas uint64 // of each item in a token
}

// Bounds of a batch.
const (
	// MaxItems is what the payout contract takes in one call.
	MaxItems = 150
	// MaxTransactionGas is the most that one transaction may use, whatever the block's limit (EIP-7825).
	MaxTransactionGas = 1 << 24

	// The contract lets an item use 50,000 of gas, or 85,000 in a token; the rest is for the call, a claim that is written and
	// its log. With less it refuses the whole batch.
	minItemGas      = 95_000
	minTokenItemGas = 110_000
	minBaseGas      = 50_000
)

// DefaultBatchRule is the rule of a policy file that has no section for it.
func DefaultBatchRule() BatchRule {
	return BatchRule{MaxItems: MaxItems, BaseGas: 200_000, ItemGas: 100_000, TokenItemGas: 110_000}
}

// perItem is the gas of one item of a batch.
func (r BatchRule) perItem(token bool) uint64 {
	if token {
		return r.TokenItemGas
	}
	return r.ItemGas
}

// Items is the most that one transaction pays: the rule's number, or fewer where their gas would not fit one transaction.
func (r BatchRule) Items(token bool) uint64 {
	return min(r.MaxItems, (MaxTransactionGas-r.BaseGas)/r.perItem(token))
}

// Gas is the gas limit of a call that pays n items, two or more.
func (r BatchRule) Gas(token bool, n uint64) uint64 { return r.BaseGas + n*r.perItem(token) }

func (r BatchRule) check() error {
	switch {
	case r.MaxItems < 2 || r.MaxItems > MaxItems:
		return fmt.Errorf("batch.max_items: want 2 to %d", MaxItems)
	case r.BaseGas < minBaseGas || r.BaseGas > maxGasLimit:
		return fmt.Errorf("batch.base_gas: want %d to %d", minBaseGas, maxGasLimit)
	case r.ItemGas < minItemGas || r.ItemGas > maxGasLimit:
		return fmt.Errorf("batch.item_gas: want %d to %d", minItemGas, maxGasLimit)
	case r.TokenItemGas < minTokenItemGas || r.TokenItemGas > maxGasLimit:
		return fmt.Errorf("batch.token_item_gas: want %d to %d", minTokenItemGas, maxGasLimit)
	}
	return nil
}

// batchFile is the section's TOML shape.
type batchFile struct {
	MaxItems     uint64 `toml:"max_items"`
	BaseGas      uint64 `toml:"base_gas"`
	ItemGas      uint64 `toml:"item_gas"`
	TokenItemGas uint64 `toml:"token_item_gas"`
}

// rule is the section's, or the default where the file has none.
func (f *batchFile) rule() BatchRule {
	if f == nil {
		return DefaultBatchRule()
	}
	return BatchRule(*f)
}
