package tss

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Transcript is what all members of a key generation sign before the key is used: one key, one committee, one set of moduli.
type Transcript struct {
	Epoch     uint64
	Members   []common.Address // ascending
	Threshold uint64           // how many sign
	PublicKey quorum.PublicKey // the payer's key, compressed
	Moduli    common.Hash      // the committee's public material
	Session   common.Hash      // the session that made the key
}

// Kind makes a Transcript a statement.
func (t Transcript) Kind() quorum.Kind { return quorum.KindTranscript }

// Check looks at the transcript alone.
func (t Transcript) Check() error {
	if _, err := t.PublicKey.Address(); err != nil {
		return err
	}
	if t.Threshold > quorum.MaxMembers {
		return fmt.Errorf("transcript: a threshold of %d", t.Threshold)
	}
	if err := checkMembers(t.Members, int(t.Threshold), t.Epoch); err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	return nil
}

// Digest is what members sign.
func (t Transcript) Digest(network common.Hash) common.Hash {
	return quorum.Digest(quorum.KindTranscript, network, t)
}

// CanaryDigest is the message of a canary signature: it shows that a subset can sign, and no chain takes it for a
// transaction, because its domain stands inside the hash.
func CanaryDigest(network common.Hash, t Transcript) common.Hash {
	return quorum.Digest(quorum.KindCanary, network, t)
}
