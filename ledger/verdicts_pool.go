package ledger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// MaxOpenVerdicts bounds the undecided withdrawals that one member's verdicts are kept of. It is far above what a network
// that pays has open; a member that speaks of more withdrawals than that invents them.
const MaxOpenVerdicts = 1 << 16

// verdictsPerMember is how many verdicts of one member on one withdrawal are kept: that of the policy in force and, while
// a new one spreads, that of the one before. So a withdrawal holds twice the number of members at most.
const verdictsPerMember = 2

// Buckets: everyone's verdicts by wid ‖ member ‖ epoch ‖ policy version; heads that members claimed, by member ‖ account ‖
// seq ‖ epoch ‖ policy version; how many open withdrawals each member speaks of; the open withdrawals.
var (
	bucketVerdicts     = []byte("verdicts")
	bucketVerdictClaim = []byte("verdict-claim")
	bucketVerdictCount = []byte("verdict-count")
	bucketVerdictWID   = []byte("verdict-wid")
)

// Verdict is a member's word on a withdrawal, as it is kept.
type Verdict struct {
	WID     uint64
	Signer  common.Address
	Epoch   uint64
	Policy  quorum.PolicyRef
	Content common.Hash
	Account common.Address // this and the next two of an approval only
	Seq     uint64
	Head    common.Hash
	Reason  quorum.Reason // empty for an approval
	Time    uint64        // unix ms by the signer's clock
	Raw     []byte
}

// Approves reports whether the verdict is an APPROVE.
func (v Verdict) Approves() bool { return v.Reason == "" }

func (v Verdict) key() []byte {
	return join(be64(v.WID), v.Signer[:], be64(v.Epoch), be64(v.Policy.Version))
}

// PutApproval keeps a member's APPROVE: the first per withdrawal, epoch and policy version. It returns evidence when the
// member contradicts itself: another verdict for those, another head for an account's debit, or another statement with
// one counter. added is false when nothing is new, and for a decided withdrawal. It fails with [ErrFull] and
// [ErrNotInForce]; such a verdict changes nothing.
func (tx *Tx) PutApproval(s quorum.Signed[quorum.Approve]) (added bool, ev *Evidence, err error) {
	a := s.Body()
	v := Verdict{WID: a.WID, Signer: s.Signer(), Epoch: a.Epoch, Policy: a.Policy, Content: a.Content,
		Account: a.Account, Seq: a.Seq, Head: a.Head, Time: a.Time, Raw: s.Bytes()}
	if added, ev, err = tx.putVerdict(v, a.Counter); err != nil {
		return false, nil, err
	}
	twoHeads, err := tx.claimHead(v, added)
	if ev == nil {
		ev = twoHeads
	}
	return added, ev, err
}

// PutRefusal keeps a member's REFUSE as [Tx.PutApproval] does an APPROVE.
func (tx *Tx) PutRefusal(s quorum.Signed[quorum.Refuse]) (added bool, ev *Evidence, err error) {
	r := s.Body()
	v := Verdict{WID: r.WID, Signer: s.Signer(), Epoch: r.Epoch, Policy: r.Policy, Content: r.Content,
		Reason: r.Reason, Time: r.Time, Raw: s.Bytes()}
	return tx.putVerdict(v, r.Counter)
}

func (tx *Tx) putVerdict(v Verdict, counter uint64) (added bool, ev *Evidence, err error) {
	if now := tx.epoch(); v.Epoch != now {
		return false, nil, fmt.Errorf("verdict of epoch %d: %w: in force is %d", v.Epoch, ErrNotInForce, now)
	}
	if ev, err = tx.Hear(v.Signer, counter, v.Raw); err != nil {
		return false, nil, err
	}
	var was Verdict
	if ok, err := tx.get(bucketVerdicts, v.key(), &was); err != nil {
		return false, nil, err
	} else if ok {
		if ev == nil && !bytes.Equal(was.Raw, v.Raw) {
			ev, err = tx.caught(v.Signer, was.Raw, v.Raw)
		}
		return false, ev, err
	}
	if _, decided, err := tx.DecidedWID(v.WID); err != nil || decided {
		return false, ev, err
	}
	if ok, err := tx.roomForVerdict(v); err != nil || !ok {
		return false, ev, err
	}
	return true, ev, errors.Join(
		tx.put(bucketVerdicts, v.key(), v),
		tx.b.Bucket(bucketVerdictWID).Put(be64(v.WID), nil))
}

// roomForVerdict makes room for one more verdict of a member on a withdrawal. ok is false when the member's two are of
// later epochs or policies, so that this one means nothing any more.
func (tx *Tx) roomForVerdict(v Verdict) (ok bool, err error) {
	var held []Verdict
	err = tx.each(bucketVerdicts, join(be64(v.WID), v.Signer[:]), func(_, raw []byte) error {
		var h Verdict
		err := decode(raw, &h)
		held = append(held, h)
		return err
	})
	switch {
	case err != nil:
		return false, err
	case len(held) >= verdictsPerMember:
		if bytes.Compare(v.key(), held[0].key()) < 0 {
			return false, nil
		}
		return true, errors.Join(tx.b.Bucket(bucketVerdicts).Delete(held[0].key()), tx.unclaimHead(held[0]))
	case len(held) > 0:
		return true, nil
	case tx.count(bucketVerdictCount, v.Signer[:]) >= MaxOpenVerdicts:
		return false, fmt.Errorf("verdict of %s on withdrawal %d: %w", v.Signer, v.WID, ErrFull)
	}
	return true, tx.addCount(bucketVerdictCount, v.Signer[:], 1)
}

// headClaim is a head that a member signed for a debit of an account, and where.
type headClaim struct {
	Head common.Hash
	Raw  []byte
}

func (v Verdict) headKey() []byte {
	return join(v.Signer[:], v.Account[:], be64(v.Seq), be64(v.Epoch), be64(v.Policy.Version))
}

// unclaimHead forgets a claim together with the verdict that made it, so that claims are bounded as verdicts are.
func (tx *Tx) unclaimHead(v Verdict) error {
	var was headClaim
	if ok, err := tx.get(bucketVerdictClaim, v.headKey(), &was); err != nil || !ok || !bytes.Equal(was.Raw, v.Raw) {
		return err
	}
	return tx.b.Bucket(bucketVerdictClaim).Delete(v.headKey())
}

// claimHead catches two heads of one member for one debit of an account under one policy.
func (tx *Tx) claimHead(v Verdict, added bool) (*Evidence, error) {
	var was headClaim
	if ok, err := tx.get(bucketVerdictClaim, v.headKey(), &was); err != nil {
		return nil, err
	} else if ok {
		if was.Head == v.Head {
			return nil, nil
		}
		return tx.caught(v.Signer, was.Raw, v.Raw)
	}
	if !added {
		return nil, nil
	}
	return nil, tx.put(bucketVerdictClaim, v.headKey(), headClaim{v.Head, v.Raw})
}

// Verdicts calls fn for every verdict that is held on a withdrawal, own ones included, by member. Those of decided
// withdrawals are kept.
func (tx *Tx) Verdicts(wid uint64, fn func(Verdict) error) error {
	return tx.each(bucketVerdicts, be64(wid), func(_, raw []byte) error {
		var v Verdict
		if err := decode(raw, &v); err != nil {
			return err
		}
		return fn(v)
	})
}

// VerdictsInForce returns the verdicts on a withdrawal of the epoch in force under one policy, own ones included, for
// [quorum.Certify] and [quorum.CertifyRefusal].
func (tx *Tx) VerdictsInForce(wid uint64, policy quorum.PolicyRef) (as []quorum.Signed[quorum.Approve], rs []quorum.Signed[quorum.Refuse], err error) {
	epoch := tx.epoch()
	err = tx.Verdicts(wid, func(v Verdict) error {
		if v.Epoch != epoch || v.Policy != policy {
			return nil
		}
		if v.Approves() {
			a, err := reopen[quorum.Approve](tx, v.Signer, v.Raw)
			as = append(as, a)
			return err
		}
		r, err := reopen[quorum.Refuse](tx, v.Signer, v.Raw)
		rs = append(rs, r)
		return err
	})
	return as, rs, err
}

// OpenWithdrawals calls fn for every undecided withdrawal that verdicts are held of, by id.
func (tx *Tx) OpenWithdrawals(fn func(wid uint64) error) error {
	return tx.each(bucketVerdictWID, nil, func(k, _ []byte) error { return fn(readBE64(k)) })
}

// closeVerdicts ends the repetition of the own verdict on a withdrawal that is decided now, and gives back its share of
// every member's bound. The verdicts themselves stay, for auditors.
func (tx *Tx) closeVerdicts(wid uint64) error {
	signers := map[common.Address]bool{}
	err := tx.Verdicts(wid, func(v Verdict) error { signers[v.Signer] = true; return nil })
	if err != nil {
		return err
	}
	for signer := range signers {
		err = errors.Join(err, tx.addCount(bucketVerdictCount, signer[:], -1))
	}
	return errors.Join(err,
		tx.b.Bucket(bucketVerdictOpen).Delete(be64(wid)),
		tx.b.Bucket(bucketVerdictWID).Delete(be64(wid)))
}
