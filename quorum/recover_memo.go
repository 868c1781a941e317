//go:build memo

package quorum

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// With the build tag memo, which only campaigns of simulated custodians use, recovered signers are remembered: four members
// in one process look at each signature many times, which was half of a schedule's cost. Recovering is a function of
// digest and signature, so nothing else can differ; what stands here is the whole difference.
var memo struct {
	sync.Mutex
	signers map[memoKey]common.Address
}

type memoKey struct {
	digest common.Hash
	sig    Signature
}

// memoEntries bounds what is remembered, some 10 MB; then it begins anew.
const memoEntries = 1 << 16

func recoverAddress(digest common.Hash, sig Signature) (common.Address, error) {
	key := memoKey{digest, sig}
	memo.Lock()
	signer, ok := memo.signers[key]
	memo.Unlock()
	if ok {
		return signer, nil
	}
	pub, err := crypto.SigToPub(digest[:], sig[:])
	if err != nil {
		return common.Address{}, err
	}
	signer = crypto.PubkeyToAddress(*pub)
	memo.Lock()
	defer memo.Unlock()
	if memo.signers == nil || len(memo.signers) >= memoEntries {
		memo.signers = make(map[memoKey]common.Address)
	}
	memo.signers[key] = signer
	return signer, nil
}
