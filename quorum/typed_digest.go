package quorum

import "github.com/ethereum/go-ethereum/common"

// TypedDigest is the EIP-712 hash of a message in this project's domain, for who signs something else than governance does.
func TypedDigest(network common.Hash, message TypedStruct) common.Hash {
	return typedDigest(network, message)
}
