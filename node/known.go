package node

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// maxKnownFacts bounds each of two generations of statements whose signatures were verified. A batch of 150 shows 450 verdicts to every
// member, from every member that begins its height: nearly all of them were heard before, and a signature costs what a
// hundred digests cost.
const maxKnownFacts = 4096

// known remembers who signed what, by the digest of a statement's bytes. Whether the signer is a member is not remembered.
type known struct {
	mu       sync.Mutex // guards what follows
	now, old map[common.Hash]author
}

type author struct {
	kind   quorum.Kind
	signer common.Address
}

// authenticate is [quorum.Authenticate], without its signature for bytes that passed it lately.
func (k *known) authenticate(network common.Hash, members quorum.Members, raw []byte) (quorum.Kind, common.Address, error) {
	id := crypto.Keccak256Hash(raw)
	if a, ok := k.author(id); ok && members.Has(a.signer) {
		return a.kind, a.signer, nil
	}
	kind, signer, err := quorum.Authenticate(network, members, raw)
	if err == nil {
		k.add(id, author{kind, signer})
	}
	return kind, signer, err
}

func (k *known) author(id common.Hash) (a author, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a, ok = k.now[id]; !ok {
		a, ok = k.old[id]
	}
	return a, ok
}

func (k *known) add(id common.Hash, a author) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.now) >= maxKnownFacts || k.now == nil {
		k.old, k.now = k.now, map[common.Hash]author{}
	}
	k.now[id] = a
}

func (k *known) bounds() []quorum.Bound {
	k.mu.Lock()
	defer k.mu.Unlock()
	return []quorum.Bound{{Name: "known.now", Held: len(k.now), Most: maxKnownFacts}, {Name: "known.old", Held: len(k.old), Most: maxKnownFacts}}
}
