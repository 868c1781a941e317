package quorum

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Ready says that its signer can take part in signing a decided batch: it holds the decision and its slot, rendered the
// transaction itself, and would sign every fee step up to KMax.
type Ready struct {
	Epoch   uint64
	Counter uint64
	Height  uint64 // the batch's height
	Batch   common.Hash
	KMax    uint64
	Attempt uint64
}

// Kind implements Body.
func (Ready) Kind() Kind { return KindReady }

// Check implements Body.
func (r Ready) Check() error {
	if r.Batch == (common.Hash{}) {
		return errors.New("ready for no batch")
	}
	return nil
}

// Abort says that a signing session ended without a signature and without a culprit. f+1 of them strike the session's
// set of signers for the key epoch.
type Abort struct {
	Epoch   uint64
	Counter uint64
	Session common.Hash
	Batch   common.Hash
	K       uint64
	Attempt uint64
	Set     Members // the session's signers, ascending
}

// Kind implements Body.
func (Abort) Kind() Kind { return KindAbort }

// Check implements Body.
func (a Abort) Check() error {
	if len(a.Set) < MinMembers || len(a.Set) > MaxMembers {
		return fmt.Errorf("set of %d signers", len(a.Set))
	}
	return nil
}

// Session is everything that one signing session is bound to; its hash is the session nonce, so that no proof of one
// session can be shown in another.
type Session struct {
	Network common.Hash
	Epoch   uint64
	Key     PublicKey
	Chain   uint64
	Nonce   uint64
	Batch   common.Hash
	K       uint64
	Attempt uint64
	Set     Members // ascending
	Digest  common.Hash
}

// Hash is the session's id.
func (s Session) Hash() common.Hash { return Digest(KindSession, s.Network, s) }

// Ceremony says that its signer is here for a key generation or a resharing. The nonces of all who take part make the
// session's id, so an id never serves twice, whatever a member forgot.
type Ceremony struct {
	Epoch   uint64 // that the shares are for
	Attempt uint64
	Nonce   common.Hash // random, fresh for each attempt
	Canary  uint64      // which try of the canary signature the signer is at, once it holds the key
	// Change is the hash of the operators' action that is carried out; zero in the key generation.
	Change common.Hash `rlp:"optional"`
}

// Kind implements Body.
func (Ceremony) Kind() Kind { return KindCeremony }

// Check implements Body.
func (c Ceremony) Check() error {
	if c.Epoch == 0 || c.Nonce == (common.Hash{}) {
		return errors.New("ceremony without epoch or nonce")
	}
	return nil
}

// Deletion says that its signer destroyed what it held of the key from before an epoch, once that epoch was decided. Nobody
// can prove it; it is an operator's word that the auditors keep.
type Deletion struct {
	Epoch uint64 // in force
}

// Kind implements Body.
func (Deletion) Kind() Kind { return KindDeletion }

// Check implements Body.
func (d Deletion) Check() error {
	if d.Epoch < 2 {
		return errors.New("nothing was reshared before epoch 2")
	}
	return nil
}

// Transcript is what every member of a ceremony signs after it: the key that came out, and for whom.
type Transcript struct {
	Epoch     uint64
	Session   common.Hash
	PublicKey PublicKey
	Members   Members
	Threshold uint64      // signers needed: q
	Moduli    common.Hash // hash over all members' Paillier and ring-Pedersen moduli, in members' order
}

// Kind implements Body.
func (Transcript) Kind() Kind { return KindTranscript }

// Check implements Body.
func (t Transcript) Check() error {
	if _, err := t.PublicKey.Address(); err != nil {
		return err
	}
	if int(t.Threshold) != t.Members.Q() {
		return fmt.Errorf("threshold %d is not the quorum of %d members", t.Threshold, len(t.Members))
	}
	return nil
}

// CanaryDigest is what the first signers of a new key sign to show that it works: no transaction can have this digest,
// because its preimage is not an RLP transaction.
func (t Transcript) CanaryDigest(network common.Hash, set Members) common.Hash {
	return Digest(KindCanary, network, struct {
		Transcript Transcript
		Set        Members
	}{t, set})
}

// Canary is a threshold signature by one subset over [Transcript.CanaryDigest].
type Canary struct {
	Set Members
	Sig Signature
}

// MembersAction is the action of a MEMBERS decision: who rules from the next height, and by which key.
type MembersAction struct {
	Epoch      uint64
	Members    []Member
	Transcript Transcript
	Signatures []Signature // of every member, in members' order
	Canaries   []Canary    // by different sets that together hold every member
	// Change is the operators' signed [MemberChange], encoded; empty in the founding decision, which the genesis document allows.
	Change []byte `rlp:"optional"`
}

// Verify checks the ceremony's proofs and returns the new roster. It does not check that the change was proposed.
func (a MembersAction) Verify(network common.Hash) (Roster, error) {
	r, err := NewRoster(a.Epoch, a.Members)
	if err != nil {
		return Roster{}, err
	}
	t := a.Transcript
	if err := t.Check(); err != nil {
		return Roster{}, fmt.Errorf("transcript: %w", err)
	}
	ids := r.IDs()
	if t.Epoch != a.Epoch || !t.Members.Equal(ids) || len(a.Signatures) != len(ids) {
		return Roster{}, errors.New("transcript is not of these members")
	}
	digest := Digest(KindTranscript, network, t)
	for i, sig := range a.Signatures {
		if signer, err := sig.Recover(digest); err != nil || signer != ids[i] {
			return Roster{}, fmt.Errorf("transcript: signature %d is not of %s", i, ids[i])
		}
	}
	return r, a.verifyCanaries(network, ids)
}

// verifyCanaries wants signatures of the new key by sets of exactly q members that together hold everyone: whose share does
// not sign is found before the key is trusted, not when money waits. No set may stand twice, so that a list cannot grow.
func (a MembersAction) verifyCanaries(network common.Hash, ids Members) error {
	for i, c := range a.Canaries {
		if slices.ContainsFunc(a.Canaries[:i], func(o Canary) bool { return o.Set.Equal(c.Set) }) {
			return errors.New("canary: a set stands twice")
		}
		if err := a.verifyCanary(network, ids, c); err != nil {
			return fmt.Errorf("canary: %w", err)
		}
	}
	if !Covered(ids, a.Canaries) {
		return errors.New("canary: not every member's share has signed")
	}
	return nil
}

func (a MembersAction) verifyCanary(network common.Hash, ids Members, c Canary) error {
	if len(c.Set) != ids.Q() {
		return errors.New("set is not a quorum")
	}
	for i, m := range c.Set {
		if !ids.Has(m) || (i > 0 && c.Set[i-1].Cmp(m) >= 0) {
			return errors.New("set is not of ascending members")
		}
	}
	payer := crypto.PubkeyToAddress(*mustPub(a.Transcript.PublicKey))
	if signer, err := c.Sig.Recover(a.Transcript.CanaryDigest(network, c.Set)); err != nil || signer != payer {
		return errors.New("not signed by the new key")
	}
	return nil
}

// Tried reports whether a canary is one of this transcript's key, whose members are in order.
func (a MembersAction) Tried(network common.Hash, c Canary) bool {
	return a.verifyCanary(network, a.Transcript.Members, c) == nil
}

// Equal reports whether two sets hold the same members in the same order.
func (m Members) Equal(o Members) bool { return slices.Equal(m, o) }
