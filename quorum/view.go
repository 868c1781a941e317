package quorum

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// LaneKey names one payout stream: a chain, a token (zero for the native coin) and the payer on it. Payers with one
// chain share one sequence of nonces, whatever the token.
type LaneKey struct {
	ChainID uint64
	Token   common.Address
	Payer   common.Address
}

// NonceKey names the sequence of nonces that a lane draws from.
type NonceKey struct {
	ChainID uint64
	Payer   common.Address
}

// Nonces returns the lane's sequence of nonces.
func (l LaneKey) Nonces() NonceKey { return NonceKey{l.ChainID, l.Payer} }

// LaneView is what a member's own endpoints say of a lane at their final block.
type LaneView struct {
	Lane    LaneKey
	Block   uint64      // number of the final block
	Nonce   uint64      // the payer's nonce there: how many of its transactions are final
	Balance uint256.Int // of the lane's token, smallest unit
	Gas     uint256.Int // of the native coin, wei; equals Balance on a native lane
	BaseFee uint256.Int // wei per gas

	// Allowance is what the contract of a lane that pays batches of a token may take of the payer's tokens; zero on other lanes.
	Allowance uint256.Int `rlp:"optional"`
}

// MaxLanes bounds the lanes of a network.
const MaxLanes = 16

// View is a member's signed word on liveness, clock and funds: how facts of the outside world enter agreement.
type View struct {
	Epoch   uint64
	Time    uint64 // unix ms by the signer's clock
	Height  uint64 // last decided height that the signer holds
	Settled uint64 // last settled event id in the signer's books
	Lanes   []LaneView
}

// Kind implements Body.
func (View) Kind() Kind { return KindView }

// Check implements Body.
func (v View) Check() error {
	if len(v.Lanes) > MaxViewed {
		return fmt.Errorf("%d lanes, at most %d", len(v.Lanes), MaxViewed)
	}
	seen := map[LaneKey]bool{}
	for _, l := range v.Lanes {
		if seen[l.Lane] {
			return errors.New("a lane stands twice")
		}
		seen[l.Lane] = true
	}
	return nil
}

// Lane returns the view of one lane. ok is false when the signer had no data for it.
func (v View) Lane(k LaneKey) (LaneView, bool) {
	for _, l := range v.Lanes {
		if l.Lane == k {
			return l, true
		}
	}
	return LaneView{}, false
}

// Outcome is a member's signed word that the transaction at a payer's nonce is final, and which of the fee steps of
// which batch it was. Batch and K are found by comparing the unsigned payload.
type Outcome struct {
	Epoch     uint64
	Counter   uint64
	Lane      LaneKey
	Nonce     uint64
	Batch     common.Hash
	K         uint64
	TxHash    common.Hash
	BlockHash common.Hash
	Status    uint64 // 1 succeeded, 0 reverted
}

// Kind implements Body.
func (Outcome) Kind() Kind { return KindOutcome }

// Check implements Body.
func (o Outcome) Check() error {
	if o.Status > 1 {
		return fmt.Errorf("status %d is neither 0 nor 1", o.Status)
	}
	return nil
}

// UncheckedOutcome is an outcome certificate as it travels: exactly q OUTCOMEs equal in all but counter and signer.
type UncheckedOutcome struct {
	Outcome Outcome // with counter zero
	Votes   []Ballot
}

// OutcomeCertificate is the proof of payment.
type OutcomeCertificate struct {
	u       UncheckedOutcome
	signers Members
}

// Unchecked returns the plain fields, for encoding.
func (c OutcomeCertificate) Unchecked() UncheckedOutcome { return c.u }

// Outcome returns what is certified; its counter is zero.
func (c OutcomeCertificate) Outcome() Outcome { return c.u.Outcome }

// Signers returns who saw it, ascending.
func (c OutcomeCertificate) Signers() Members { return slices.Clone(c.signers) }

// Verify checks the votes against the roster in force.
func (u UncheckedOutcome) Verify(network common.Hash, r Roster) (OutcomeCertificate, error) {
	if u.Outcome.Epoch != r.Epoch || u.Outcome.Counter != 0 {
		return OutcomeCertificate{}, fmt.Errorf("%w: outcome of epoch %d, in force is %d", ErrCertificate, u.Outcome.Epoch, r.Epoch)
	}
	if err := u.Outcome.Check(); err != nil {
		return OutcomeCertificate{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	signers, err := verifyVotes(r.IDs(), len(u.Votes), func(i int) (common.Hash, Signature) {
		o := u.Outcome
		o.Counter = u.Votes[i].Counter
		return Digest(KindOutcome, network, o), u.Votes[i].Sig
	})
	if err != nil {
		return OutcomeCertificate{}, err
	}
	return OutcomeCertificate{u: u, signers: signers}, nil
}

// CertifyOutcome adds outcomes up to a certificate, as [Certify] does.
func CertifyOutcome(r Roster, outcomes []Signed[Outcome]) (OutcomeCertificate, bool) {
	groups := map[Outcome][]Signed[Outcome]{}
	for _, o := range outcomes {
		key := o.body
		key.Counter = 0
		if key.Epoch == r.Epoch && r.IDs().Has(o.signer) {
			groups[key] = append(groups[key], o)
		}
	}
	for key, group := range groups {
		group = distinctSigners(group)
		if len(group) < r.Q() {
			continue
		}
		c := OutcomeCertificate{u: UncheckedOutcome{Outcome: key}}
		for _, o := range group[:r.Q()] {
			c.u.Votes = append(c.u.Votes, Ballot{o.body.Counter, o.sig})
			c.signers = append(c.signers, o.signer)
		}
		return c, true
	}
	return OutcomeCertificate{}, false
}
