package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// vestingSoon is how far ahead a release is pending: the Relay's clock may run a little before ours.
const vestingSoon = uint64(time.Minute / time.Millisecond)

const (
	dayMS  = uint64(24 * time.Hour / time.Millisecond)
	daySec = uint64(24 * time.Hour / time.Second)
)

// Schedule is a vesting that an admin signed. It releases by whole days of UTC.
type Schedule struct {
	ID      uint64 // the Relay's; not signed, so it proves nothing by itself
	Account common.Address
	Total   uint256.Int // wei
	Start   uint64      // unix seconds
	Days    uint64
	Type    string
	Event   uint64 // the type-9 row
}

// Released is what the schedule has released at a time, unix ms: ⌊total × days / duration⌋ over whole UTC days since the
// start's day, nothing before the start.
func (s Schedule) Released(now uint64) (out uint256.Int) {
	if s.Days == 0 || now/1000 < s.Start {
		return out
	}
	days := now/dayMS - s.Start/daySec
	if days >= s.Days {
		return s.Total
	}
	out.MulDivOverflow(&s.Total, uint256.NewInt(days), uint256.NewInt(s.Days))
	return out
}

// VestingText is what an admin signs (EIP-191), over the address and the total as they are spelled.
func VestingText(v VestingRef) string {
	return fmt.Sprintf("Crynux Relay Vesting\nAddress: %s\nTotalAmount: %s\nStartTime: %d\nDurationDays: %d\nType: %s",
		v.Spelling, v.Total, v.Start, v.DurationDays, v.Type)
}

// release is what the Relay released of one vesting to one account, and how much of it counts.
type release struct {
	Released uint256.Int // sum of the type-10 rows
	Standing standingCredit
}

func releaseKey(id uint64, account common.Address) []byte { return join(be64(id), account[:]) }

// postSchedule records a schedule once its signature verifies. The signature does not cover the Relay's id, so one signature
// under two ids must not vest twice: (type, address, start) is unique, as in the Relay's own table.
func (b *book) postSchedule(e Event) error {
	s, why := b.schedule(e)
	key := join(s.Account[:], be64(s.Start), []byte(s.Type))
	if why == "" && b.tx.b.Bucket(bucketVestingKey).Get(key) != nil {
		why = "its address, type and start are of an earlier vesting"
	}
	if why == "" && b.tx.b.Bucket(bucketVesting).Get(be64(s.ID)) != nil {
		why = "its id is of an earlier vesting"
	}
	if why != "" {
		b.alert(AlertVesting, Critical, e, "its releases will count nothing; ask the Relay's operator for the signed record",
			"vesting %d of event %d is not recorded: %s", e.Vesting.ID, e.ID, why)
		return nil
	}
	if err := b.tx.b.Bucket(bucketVestingKey).Put(key, be64(s.ID)); err != nil {
		return err
	}
	if err := b.tx.put(bucketVesting, be64(s.ID), s); err != nil {
		return err
	}
	return b.vest(s, uint256.Int{})
}

// schedule reads and verifies a type-9 row; why says what is wrong with it.
func (b *book) schedule(e Event) (s Schedule, why string) {
	v := e.Vesting
	total, ok := Event{Amount: v.Total}.wei()
	s = Schedule{v.ID, v.Account, total, v.Start, v.DurationDays, v.Type, e.ID}
	switch {
	case v.Account != e.Account:
		return s, "it names another account than its event"
	case !ok || total.IsZero():
		return s, fmt.Sprintf("its total is %.40q", v.Total)
	case v.DurationDays == 0:
		return s, "it lasts no day"
	}
	signer, err := quorum.RecoverAny(quorum.PersonalDigest(VestingText(v)), v.Signature)
	if (err != nil || !quorum.MayVest(b.in.VestingAdmins, b.in.VestingTerms, signer, e.ID)) && !b.listedVesting(e) {
		return s, "no admin of the genesis document signed it, or none whose term holds"
	}
	return s, ""
}

// postRelease takes a type-10 row.
func (b *book) postRelease(e Event, amount uint256.Int) error {
	var s Schedule
	known, err := b.tx.get(bucketVesting, be64(e.Vesting.ID), &s)
	if err != nil {
		return err
	}
	if known && s.Account == e.Account {
		if err := b.vest(s, amount); err != nil {
			return err
		}
		var r release
		_, err := b.tx.get(bucketReleases, releaseKey(s.ID, s.Account), &r)
		if soon := s.Released(b.in.Now + vestingSoon); err == nil && r.Released.Gt(&soon) {
			b.alert(AlertVesting, Warning, e, "check this node's clock; the rest counts when the schedule reaches it",
				"vesting %d released %s wei, by this clock's schedule %s", s.ID, r.Released.Dec(), soon.Dec())
		}
		return err
	}
	b.alert(AlertVesting, Critical, e, "it counts nothing unless a signed schedule for this account appears",
		"release %d names vesting %d, which is not recorded for %s", e.ID, e.Vesting.ID, e.Account)
	return b.released(e.Vesting.ID, e.Account, amount)
}

// released adds to what the Relay says it released.
func (b *book) released(id uint64, account common.Address, amount uint256.Int) error {
	var r release
	key := releaseKey(id, account)
	if _, err := b.tx.get(bucketReleases, key, &r); err != nil {
		return err
	}
	r.Released.Add(&r.Released, &amount)
	return b.tx.put(bucketReleases, key, r)
}

// vest adds a release and credits the smaller of what was released and what is due by the own clock. Counted credits only
// grow, also when the clock goes back.
func (b *book) vest(s Schedule, amount uint256.Int) error {
	var r release
	key := releaseKey(s.ID, s.Account)
	if _, err := b.tx.get(bucketReleases, key, &r); err != nil {
		return err
	}
	stored, was := r, r.Standing
	r.Released.Add(&r.Released, &amount)
	counted := smaller(r.Released, s.Released(b.in.Now))
	if counted.Lt(&was.Counted) {
		counted = was.Counted
	}
	soon := smaller(r.Released, s.Released(b.in.Now+vestingSoon))
	r.Standing = standingCredit{Counted: counted}
	if soon.Gt(&counted) {
		r.Standing.Pending.Sub(&soon, &counted)
	}
	if r == stored && b.tx.b.Bucket(bucketReleasesDue).Get(be64(s.ID)) != nil {
		return nil // most ticks change nothing
	}
	return errors.Join(b.shift(s.Account, was, r.Standing), b.keepRelease(s, r))
}

// keepRelease stores a release, and that the clock has something left to do while not all of it counts.
func (b *book) keepRelease(s Schedule, r release) error {
	due := b.tx.b.Bucket(bucketReleasesDue)
	if err := b.tx.put(bucketReleases, releaseKey(s.ID, s.Account), r); err != nil {
		return err
	}
	if r.Standing.Counted.Lt(&r.Released) {
		return due.Put(be64(s.ID), []byte{1})
	}
	return due.Delete(be64(s.ID))
}

func smaller(a, b uint256.Int) uint256.Int {
	if b.Lt(&a) {
		return b
	}
	return a
}

// Waiting reports whether anything is left that the passing of time alone will make due: ask before [Tx.Tick], for a commit
// of nothing costs two syncs.
func (tx *Tx) Waiting() bool {
	k, _ := tx.b.Bucket(bucketReleasesDue).Cursor().First()
	return k != nil
}

// Tick books what the passing of time alone makes due. [Tx.Append] does it too; call it when no events come.
func (tx *Tx) Tick(now uint64) error {
	if k, _ := tx.b.Bucket(bucketReleasesDue).Cursor().First(); k == nil {
		return nil
	}
	b, err := tx.openBook(Intake{Now: now})
	if err != nil {
		return err
	}
	if err := b.tick(); err != nil {
		return err
	}
	return b.close()
}

func (b *book) tick() error {
	return b.tx.each(bucketReleasesDue, nil, func(k, _ []byte) error {
		var s Schedule
		if ok, err := b.tx.get(bucketVesting, k, &s); err != nil || !ok {
			return err
		}
		return b.vest(s, uint256.Int{})
	})
}
