// Package devkeys holds preparameters for development: primes that a real custodian finds in half a minute and keeps secret,
// made ahead so that a local network starts at once.
//
// DEVELOPMENT ONLY. Their factors are published here. A key made with them protects nothing, and the product refuses their
// moduli (package tss, devlist.go) on every network that is not a devnet.
//
// One set serves one member for one key: committee of n and a member change need n sets each, all different.
package devkeys

import (
	"embed"
	"fmt"
)

//go:generate go run ./gen

//go:embed sets/*.rlp
var sets embed.FS

// Count is how many sets there are.
const Count = 24

// Set returns the i-th set as tss.UnmarshalPreParams reads it, 0 ≤ i < Count. It panics when there is no such set.
func Set(i int) []byte {
	b, err := sets.ReadFile(fmt.Sprintf("sets/%02d.rlp", i))
	if err != nil {
		panic(fmt.Sprintf("devkeys: %v", err))
	}
	return b
}
