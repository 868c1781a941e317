package tss

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// maxDraws bounds the search for a set that is not struck. There are at most C(16,11) = 4368 sets, and each draw is as
// good as random, so a free set among them is found long before.
const maxDraws = 1 << 16

// Draw picks the signers of an attempt: the first q of shuffle(ready, seed ‖ i) with seed = H(batch, k, attempt), for the
// least i whose set is not struck, ascending. ok is false when fewer than q are ready or every set is struck. Every node
// draws the same set from the same READYs, so nobody chooses who signs.
func Draw(ready quorum.Members, q int, batch common.Hash, k, attempt uint64, struck func(quorum.Members) bool) (quorum.Members, bool) {
	if len(ready) < q {
		return nil, false
	}
	seed := crypto.Keccak256(batch[:], be64(k), be64(attempt))
	out := map[string]bool{}
	for i := range uint64(maxDraws) {
		set := shuffle(ready, crypto.Keccak256(seed, be64(i)))[:q]
		slices.SortFunc(set, func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
		if !struck(set) {
			return set, true
		}
		// When every set was seen, drawing on finds none.
		if out[setKey(set)] = true; len(out) == subsets(len(ready), q) {
			return nil, false
		}
	}
	return nil, false
}

// subsets is how many sets of q there are among n, for n up to [quorum.MaxMembers].
func subsets(n, q int) int {
	c := 1
	for i := 1; i <= q; i++ {
		c = c * (n - q + i) / i
	}
	return c
}

// shuffle is Fisher-Yates over the ascending members, its choices from keccak256(seed ‖ position). The modulo bias of a
// 256-bit hash over at most sixteen choices is below 2^-250.
func shuffle(in quorum.Members, seed []byte) quorum.Members {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b common.Address) int { return bytes.Compare(a[:], b[:]) })
	for i := len(out) - 1; i > 0; i-- {
		h := crypto.Keccak256(seed, be64(uint64(i)))
		j := binary.BigEndian.Uint64(h[24:]) % uint64(i+1)
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// setKey is a set of signers as a map key.
func setKey(set quorum.Members) string {
	var b []byte
	for _, m := range set {
		b = append(b, m[:]...)
	}
	return string(b)
}
