package quorum

import "github.com/ethereum/go-ethereum/common"

// CounterOf opens a signed statement of any kind that carries a counter, its signature verified, and returns the counter and
// who signed it. It fails for bytes that do not open, and with [ErrNoConflict] for kinds without a counter.
func CounterOf(network common.Hash, members Members, raw []byte) (counter uint64, signer common.Address, err error) {
	s, err := listen(network, members.InEveryEpoch(), raw)
	return s.counter, s.signer, err
}
