package ledger

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// plainVesting is one schedule in the plainest way: rows, a calendar, and sums from scratch.
type plainVesting struct {
	account  common.Address
	total    *big.Int // nil until its row counts
	start    time.Time
	days     int64
	released map[common.Address]*big.Int
	counted  *big.Int
}

// due counts midnights of UTC on a calendar.
func (v *plainVesting) due(now time.Time) *big.Int {
	if now.Before(v.start) {
		return new(big.Int)
	}
	days := int64(now.UTC().Truncate(24*time.Hour).Sub(v.start.UTC().Truncate(24*time.Hour)) / (24 * time.Hour))
	share := new(big.Int).Mul(v.total, big.NewInt(min(days, v.days)))
	return share.Quo(share, big.NewInt(v.days))
}

func least(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// vestingMachine drives a ledger and the plain schedules through one history.
type vestingMachine struct {
	l      *Ledger
	in     Intake
	nextID uint64
	taken  map[string]bool // type, account and start, once
	plain  map[uint64]*plainVesting
}

func (s *vestingMachine) now() time.Time { return time.UnixMilli(int64(s.in.Now)) }

func (s *vestingMachine) of(id uint64) *plainVesting {
	if s.plain[id] == nil {
		s.plain[id] = &plainVesting{released: map[common.Address]*big.Int{}, counted: new(big.Int)}
	}
	return s.plain[id]
}

func (s *vestingMachine) row(t *rapid.T, kind EventKind, amount string) Event {
	s.nextID++
	return Event{ID: s.nextID, Account: testAccount(rapid.IntRange(1, 2).Draw(t, "account")), Kind: kind, Amount: amount}
}

// create shows a type-9 row: of a new id or an old one, signed by the admin or by somebody else.
func (s *vestingMachine) create(t *rapid.T) {
	e := s.row(t, VestingCreated, "0")
	total := rapid.SampledFrom([]string{"1", "100", "7", "99999999999999999999999999", "-3", "0", "08"}).Draw(t, "total")
	e.Vesting = VestingRef{
		ID: rapid.Uint64Range(1, 4).Draw(t, "vesting"), Account: e.Account, Spelling: e.Account.Hex(), Total: total, Released: "0",
		Start:        rapid.Uint64Range(0, 3).Draw(t, "start day")*daySec + rapid.SampledFrom([]uint64{0, 1, daySec - 1}).Draw(t, "second"),
		DurationDays: rapid.Uint64Range(0, 4).Draw(t, "days"), Type: rapid.SampledFrom([]string{"node", "team"}).Draw(t, "type"),
	}
	who := rapid.SampledFrom([]string{"test vesting admin", "test vesting admin", "test stranger"}).Draw(t, "signer")
	sig, err := crypto.Sign(quorum.PersonalDigest(VestingText(e.Vesting)).Bytes(), crypto.ToECDSAUnsafe(crypto.Keccak256([]byte(who))))
	require.NoError(t, err)
	e.Vesting.Signature = sig
	appendAll(t, s.l, s.in, e)

	v, amount := s.of(e.Vesting.ID), plainAmount(total)
	key := fmt.Sprint(e.Vesting.Type, e.Account, e.Vesting.Start)
	if who == "test vesting admin" && amount != nil && amount.Sign() > 0 && e.Vesting.DurationDays > 0 && !s.taken[key] && v.total == nil {
		s.taken[key] = true
		v.account, v.total, v.start, v.days = e.Account, amount, time.Unix(int64(e.Vesting.Start), 0), int64(e.Vesting.DurationDays)
	}
}

func (s *vestingMachine) release(t *rapid.T) {
	e := s.row(t, VestingRelease, rapid.SampledFrom([]string{"1", "30", "33333333333333333333333333", "-1", ""}).Draw(t, "amount"))
	e.Vesting.ID = rapid.Uint64Range(1, 4).Draw(t, "vesting")
	appendAll(t, s.l, s.in, e)
	if amount := plainAmount(e.Amount); amount != nil {
		v := s.of(e.Vesting.ID)
		if v.released[e.Account] == nil {
			v.released[e.Account] = new(big.Int)
		}
		v.released[e.Account].Add(v.released[e.Account], amount)
	}
}

// clock moves the node's clock, now and then back.
func (s *vestingMachine) clock(t *rapid.T) {
	step := rapid.SampledFrom([]int64{1, 59_000, 60_000, 60_001, int64(dayMS) - 60_000, int64(dayMS), -int64(dayMS)}).Draw(t, "step")
	s.in.Now = uint64(max(0, int64(s.in.Now)+step))
	update(t, s.l, func(tx *Tx) error { return tx.Tick(s.in.Now) })
}

func (s *vestingMachine) compare(t *rapid.T) {
	want := map[common.Address][2]*big.Int{}
	for i := 1; i <= 2; i++ {
		want[testAccount(i)] = [2]*big.Int{new(big.Int), new(big.Int)}
	}
	for _, v := range s.plain {
		released := v.released[v.account]
		if v.total == nil || released == nil {
			continue
		}
		if now := least(released, v.due(s.now())); now.Cmp(v.counted) > 0 {
			v.counted.Set(now)
		}
		sums := want[v.account]
		sums[0].Add(sums[0], v.counted)
		addPositive(sums[1], least(released, v.due(s.now().Add(time.Minute))), v.counted)
	}
	for a, sums := range want {
		got := accountOf(t, s.l, a)
		require.Equal(t, fmt.Sprintf("%s counted, %s pending", sums[0], sums[1]), fmt.Sprintf("%s counted, %s pending", got.Counted.Dec(), got.Pending.Dec()))
	}
	checked(t, s.l)
}

// TestVestingAgreesWithThePlainModel: schedules of any kind, releases before and after them, and a clock that goes back.
func TestVestingAgreesWithThePlainModel(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := fmt.Sprintf("%s/%d", base, runs)
		makeDir(t, dir)
		s := &vestingMachine{l: booksAt(t, dir), in: plenty(), taken: map[string]bool{}, plain: map[uint64]*plainVesting{}}
		s.in.VestingAdmins = []common.Address{addressOf(crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test vesting admin"))))}
		defer func() { require.NoError(t, s.l.Close()) }()
		t.Repeat(map[string]func(*rapid.T){"create": s.create, "release": s.release, "release again": s.release, "clock": s.clock, "": s.compare})
	})
}
