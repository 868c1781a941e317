package ledger

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// keyCanary holds the last try of a new key's canary signature that this node took part in.
var keyCanary = []byte("canary")

type canaryTry struct {
	Transcript common.Hash
	Try        uint64
}

// NextCanary is the lowest try of the canary signature of a transcript's key that this node may still join: it joins none
// twice, because a session is a session even when the process that was in it has died.
func (tx *Tx) NextCanary(transcript common.Hash) uint64 {
	var was canaryTry
	if ok, err := tx.get(bucketSelf, keyCanary, &was); err != nil || !ok || was.Transcript != transcript {
		return 0
	}
	return was.Try + 1
}

// RecordCanary records a try before it is joined. It fails with [ErrOrder] for one that was recorded before.
func (tx *Tx) RecordCanary(transcript common.Hash, try uint64) error {
	if next := tx.NextCanary(transcript); try < next {
		return fmt.Errorf("canary try %d: %w: the next is %d", try, ErrOrder, next)
	}
	return tx.put(bucketSelf, keyCanary, canaryTry{transcript, try})
}
