package risk

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/internal/golden"
	"conclave/ledger"
	"conclave/quorum"
)

var testNetwork = common.HexToHash("0x7e57")

// authorityKey is for tests only.
func authorityKey(t require.TestingT) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave settlement authority, for tests only")))
	require.NoError(t, err)
	return key
}

func signSnapshot(t require.TestingT, s Snapshot) SignedSnapshot {
	sig, err := crypto.Sign(s.Digest().Bytes(), authorityKey(t))
	require.NoError(t, err)
	sig[64] += 27 // as wallets write it
	out := SignedSnapshot{Snapshot: s}
	copy(out.Signature[:], sig)
	return out
}

func aSnapshot() Snapshot {
	return Snapshot{Network: testNetwork, Asset: "CNX", Event: 8191, Credits: *uint256.MustFromDecimal("123456789000000000000000000"),
		Debits: *uint256.MustFromDecimal("123400000000000000000000000"), Taken: watchStart}
}

// TestSnapshotVector is what an authority checks its own signer with.
func TestSnapshotVector(t *testing.T) {
	signed := signSnapshot(t, aSnapshot())
	digest := signed.Snapshot.Digest()
	golden.Fields(t, filepath.Join("testdata", "settlement.txt"),
		golden.Field{Name: "file", Bytes: signed.Encode()}, golden.Field{Name: "EIP-712 digest", Bytes: digest[:]},
		golden.Field{Name: "authority", Bytes: crypto.PubkeyToAddress(authorityKey(t).PublicKey).Bytes()})
	got, err := DecodeSnapshot(signed.Encode())
	require.NoError(t, err)
	require.Equal(t, signed, got)
}

func TestSnapshotIsOfTheAuthorityForThisNetwork(t *testing.T) {
	authority := crypto.PubkeyToAddress(authorityKey(t).PublicKey)
	signed := signSnapshot(t, aSnapshot())
	s, err := signed.Verify(testNetwork, authority)
	require.NoError(t, err)
	require.Equal(t, aSnapshot(), s)

	_, err = signed.Verify(common.Hash{1}, authority)
	require.ErrorIs(t, err, ErrSnapshot)
	_, err = signed.Verify(testNetwork, someone(1))
	require.ErrorContains(t, err, "the policy's authority")
	for name, change := range map[string]func(*Snapshot){
		"event": func(s *Snapshot) { s.Event++ }, "credits": func(s *Snapshot) { s.Credits.AddUint64(&s.Credits, 1) },
		"debits": func(s *Snapshot) { s.Debits.AddUint64(&s.Debits, 1) }, "taken": func(s *Snapshot) { s.Taken++ }, "asset": func(s *Snapshot) { s.Asset += "x" },
	} {
		other := signed
		change(&other.Snapshot)
		_, err := other.Verify(testNetwork, authority)
		require.ErrorIs(t, err, ErrSnapshot, name)
	}
	var none SignedSnapshot
	_, err = none.Verify(common.Hash{}, common.Address{})
	require.ErrorIs(t, err, ErrSnapshot, "no signature is nobody's")
}

func TestDecodeSnapshotIsStrict(t *testing.T) {
	good := string(signSnapshot(t, aSnapshot()).Encode())
	spaced := strings.ReplaceAll(strings.ReplaceAll(good, ",", " ,\n "), ":", " : ")
	_, err := DecodeSnapshot([]byte(spaced))
	require.NoError(t, err, "blanks are free")
	for name, c := range map[string][2]string{
		"an unknown field":       {`{"network"`, `{"more":"1","network"`},
		"a field twice":          {`"asset":"CNX"`, `"asset":"X","asset":"CNX"`},
		"another case":           {`"asset"`, `"Asset"`},
		"a number":               {`"event":"8191"`, `"event":8191`},
		"a leading zero":         {`"8191"`, `"08191"`},
		"a sign":                 {`"8191"`, `"+8191"`},
		"no asset":               {`"CNX"`, `""`},
		"a long asset":           {`"CNX"`, `"` + strings.Repeat("a", maxAsset+1) + `"`},
		"negative credits":       {`"credits":"`, `"credits":"-`},
		"credits in hex":         {`"credits":"`, `"credits":"0x`},
		"upper-case hex":         {"0x000", "0X000"},
		"a short network":        {"0x00", "0x"},
		"an escape":              {"CNX", `C\u004eX`},
		"a signature without 0x": {`"signature":"0x`, `"signature":"`},
		"something after it":     {"}\n", "} {}"},
		"half of it":             {`,"taken"`, `}`},
	} {
		bent := strings.Replace(good, c[0], c[1], 1)
		require.NotEqual(t, good, bent, name)
		_, err := DecodeSnapshot([]byte(bent))
		require.ErrorIs(t, err, ErrSnapshot, name)
	}
	_, err = DecodeSnapshot(bytes.Repeat([]byte{' '}, MaxSnapshotFile+1))
	require.ErrorContains(t, err, "at most")
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(signSnapshot(f, aSnapshot()).Encode())
	f.Add(SignedSnapshot{Snapshot: Snapshot{Asset: "ü\u2028<&>"}}.Encode())
	f.Add([]byte(`{"network":"0x","asset":"","event":"0"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := DecodeSnapshot(file)
		if err != nil {
			require.ErrorIs(t, err, ErrSnapshot)
			return
		}
		again, err := DecodeSnapshot(s.Encode())
		require.NoError(t, err)
		require.Equal(t, s, again)
		_, _ = s.Verify(testNetwork, common.Address{1})
	})
}

var settlePolicy = quorum.Settlement{Authority: common.Address{1}, Tolerance: *uint256.NewInt(10), Delay: time.Minute, Sustained: time.Hour}

func sums(credits, debits uint64) Settled {
	return Settled{*uint256.NewInt(credits), *uint256.NewInt(debits)}
}

func snapshotOf(taken, event, credits, debits uint64) Snapshot {
	return Snapshot{Network: testNetwork, Asset: "CNX", Event: event, Credits: *uint256.NewInt(credits), Debits: *uint256.NewInt(debits), Taken: taken}
}

// offer hands in a snapshot that is to be taken.
func offer(t *testing.T, s *Settlement, snap Snapshot) {
	t.Helper()
	taken, err := s.Offer(snap, snap.Taken+1)
	require.NoError(t, err)
	require.True(t, taken)
}

func TestSettlementWithinTheTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		ours Settled
		bad  bool
	}{
		"equal": {sums(1000, 500), false}, "at the edge": {sums(1010, 490), false}, "more credits": {sums(1011, 500), true},
		"fewer credits": {sums(989, 500), true}, "more debits": {sums(1000, 511), true}, "fewer debits": {sums(1000, 489), true},
	} {
		s := NewSettlement()
		offer(t, s, snapshotOf(watchStart, 7, 1000, 500))
		found := s.Judge(settlePolicy, s.m.Waiting[0], c.ours, true, watchStart+60)
		require.Equal(t, c.bad, len(found) == 1, name)
		st, ok := s.Standing(settlePolicy, watchStart+60)
		require.True(t, ok)
		require.Equal(t, c.bad, st.Breached, name)
		if c.bad {
			require.False(t, found[0].Fuse, "the first deviation is told")
		}
	}
}

func TestSettlementDeviationThatLastsTripsTheFuse(t *testing.T) {
	s := NewSettlement()
	judge := func(at uint64, snap Snapshot, ours Settled) []string {
		offer(t, s, snap)
		_, due := s.Due(settlePolicy, at)
		require.True(t, due)
		return codesOf(s.Judge(settlePolicy, snap, ours, true, at))
	}
	require.Equal(t, []string{"settlement-deviates"}, judge(watchStart+60, snapshotOf(watchStart, 1, 100, 0), sums(200, 0)))
	require.Empty(t, judge(watchStart+1800, snapshotOf(watchStart+1700, 2, 100, 0), sums(250, 0)), "told once")
	require.Empty(t, s.Tick(settlePolicy, watchStart+60+3599))
	require.Equal(t, []string{"settlement-deviates FUSE"}, codesOf(s.Tick(settlePolicy, watchStart+60+3600)), "silence of the authority ends nothing")
	require.Empty(t, s.Tick(settlePolicy, watchStart+60+9999), "once")

	require.Empty(t, judge(watchStart+20_000, snapshotOf(watchStart+19_000, 3, 250, 0), sums(250, 0)))
	st, _ := s.Standing(settlePolicy, watchStart+20_000)
	require.False(t, st.Breached)
	require.Equal(t, []string{"settlement-deviates"}, judge(watchStart+30_000, snapshotOf(watchStart+29_000, 4, 250, 0), sums(300, 0)), "and can begin again")

	never := settlePolicy
	never.Sustained = 0
	require.Empty(t, s.Tick(never, watchStart+10_000_000))
}

// An authority that signs a snapshot every minute must not keep all of them too young to be judged.
func TestASnapshotKeepsItsPlaceUntilItIsOldEnough(t *testing.T) {
	s := NewSettlement()
	p := settlePolicy
	p.Delay = time.Hour
	judged := 0
	for at := uint64(watchStart); at < watchStart+4*3600; at += 60 {
		_, err := s.Offer(snapshotOf(at, at-watchStart+1, 5, 0), at)
		require.NoError(t, err)
		if snap, due := s.Due(p, at); due {
			require.GreaterOrEqual(t, at, snap.Taken+3600)
			s.Judge(p, snap, sums(5, 0), true, at)
			judged++
		}
	}
	require.Equal(t, 3, judged)
}

func TestSnapshotsDoNotGoBack(t *testing.T) {
	s := NewSettlement()
	snap := snapshotOf(watchStart, 10, 5, 0)
	offer(t, s, snap)
	s.Judge(settlePolicy, snap, sums(5, 0), true, watchStart+60)
	for why, old := range map[string]Snapshot{
		"the same": snap, "an older one": snapshotOf(watchStart-1, 11, 5, 0), "of fewer rows": snapshotOf(watchStart+1, 9, 5, 0),
	} {
		taken, err := s.Offer(old, watchStart+60)
		require.NoError(t, err)
		require.False(t, taken, why)
	}
	offer(t, s, snapshotOf(watchStart+1, 10, 5, 0))
}

func TestSettlementWaitsForRowsAndSaysSo(t *testing.T) {
	s := NewSettlement()
	snap := snapshotOf(watchStart, 10, 5, 0)
	offer(t, s, snap)
	require.Empty(t, s.Judge(settlePolicy, snap, Settled{}, false, watchStart+60))
	what, late := s.Late()
	require.True(t, late)
	require.Contains(t, what, "event 10")
	next := snapshotOf(watchStart+1, 10, 5, 0)
	offer(t, s, next)
	s.Judge(settlePolicy, next, sums(5, 0), true, watchStart+120)
	_, late = s.Late()
	require.False(t, late)
	require.False(t, s.Stale(settlePolicy, watchStart+120))
	require.True(t, s.Stale(settlePolicy, watchStart+2*daySeconds))
}

// A slip of the authority, or a key that was stolen for an hour, must not keep every later snapshot out.
func TestAnAuthoritysSlipIsNotForEver(t *testing.T) {
	s := NewSettlement()
	_, err := s.Offer(snapshotOf(watchStart*1000, 7, 5, 0), watchStart) // milliseconds
	require.ErrorIs(t, err, ErrSnapshot)
	_, err = s.Offer(snapshotOf(1<<63-1, 7, 5, 0), watchStart)
	require.ErrorIs(t, err, ErrSnapshot)

	odd := snapshotOf(watchStart, 1<<63, 5, 0)
	offer(t, s, odd)
	require.Empty(t, s.Judge(settlePolicy, odd, Settled{}, false, watchStart+60))
	good := snapshotOf(watchStart+1, 10, 5, 0)
	offer(t, s, good)
	require.Len(t, s.Judge(settlePolicy, good, sums(500, 0), true, watchStart+120), 1, "the next one is compared")
}

// Another authority begins anew, but for the deviation that stands; without one nothing trips.
func TestAnotherAuthorityBeginsAnew(t *testing.T) {
	s := NewSettlement()
	s.Policy(settlePolicy)
	last := snapshotOf(watchStart, 100, 5, 0)
	offer(t, s, last)
	s.Judge(settlePolicy, last, sums(500, 0), true, watchStart+60)
	offer(t, s, snapshotOf(watchStart+50, 100, 5, 0))

	off := settlePolicy
	off.Authority = common.Address{}
	s.Policy(off)
	require.Empty(t, s.Tick(off, watchStart+9999), "a rule that is off trips nothing")
	other := settlePolicy
	other.Authority = someone(9)
	s.Policy(other)
	_, due := s.Due(other, watchStart+9999)
	require.False(t, due, "what waited was the other's")
	st, _ := s.Standing(other, watchStart+60)
	require.True(t, st.Breached)
	first := snapshotOf(watchStart-100, 50, 5, 0)
	offer(t, s, first)
	require.Empty(t, s.Judge(other, first, sums(5, 0), true, watchStart+70))
	st, _ = s.Standing(other, watchStart+70)
	require.False(t, st.Breached)
}

// What was stored by another version is counted anew, not once more.
func TestSettlementOfAnotherVersionIsCountedAnew(t *testing.T) {
	s, disk := NewSettlement(), kept{}
	row := ledger.Event{ID: 7, Kind: ledger.TaskIncome, Amount: "100"}
	s.Row(row)
	require.NoError(t, s.Flush(disk.get, disk.put))
	delete(disk, keySettlement)
	s, fresh, err := LoadSettlement(disk.each)
	require.NoError(t, err)
	require.True(t, fresh)
	s.Row(row)
	require.NoError(t, s.Flush(disk.get, disk.put))
	s.Row(ledger.Event{ID: 8, Kind: ledger.TaskIncome, Amount: "1"})
	require.NoError(t, s.Flush(disk.get, disk.put))
	got, err := SettledUpTo(ledger.RangeSize, disk.each, func(uint64, func(ledger.Event) error) error { return nil })
	require.NoError(t, err)
	require.Equal(t, sums(101, 0), got)
}

// TestSettledUpToAgainstTheLog: sums by range and the rows of one are the rows of all, for any id, order and restarts.
func TestSettledUpToAgainstTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, disk := NewSettlement(), kept{}
		var log []ledger.Event
		ids := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 5*ledger.RangeSize), 1, 60, rapid.ID).Draw(t, "ids")
		for _, id := range ids {
			e := ledger.Event{ID: id, Kind: ledger.EventKind(rapid.IntRange(0, 10).Draw(t, "kind")),
				Amount: rapid.SampledFrom([]string{"7", "-5", "0", "123456789123456789123", "x"}).Draw(t, "amount")}
			log = append(log, e)
			s.Row(e)
			if rapid.Bool().Draw(t, "restart") {
				require.NoError(t, s.Flush(disk.get, disk.put))
				var fresh bool
				var err error
				s, fresh, err = LoadSettlement(disk.each)
				require.NoError(t, err)
				require.False(t, fresh)
			}
		}
		require.NoError(t, s.Flush(disk.get, disk.put))
		upTo := rapid.Uint64Range(0, 5*ledger.RangeSize).Draw(t, "up to")
		var want Settled
		rows := map[uint64]ledger.Event{}
		for _, e := range log {
			rows[e.ID] = e
			if e.ID <= upTo {
				want.Add(e)
			}
		}
		got, err := SettledUpTo(upTo, disk.each, func(from uint64, fn func(ledger.Event) error) error {
			for id := from; id <= 5*ledger.RangeSize; id++ {
				if e, ok := rows[id]; ok {
					if err := fn(e); err != nil {
						return err
					}
				}
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestSettlementOverARestart(t *testing.T) {
	s, disk := NewSettlement(), kept{}
	_, fresh, err := LoadSettlement(disk.each)
	require.NoError(t, err)
	require.True(t, fresh, "nothing was stored: the log is to be counted")
	snap := snapshotOf(watchStart, 1, 100, 0)
	offer(t, s, snap)
	s.Judge(settlePolicy, snap, sums(200, 0), true, watchStart+60)
	offer(t, s, snapshotOf(watchStart+5, 1, 100, 0))
	require.NoError(t, s.Flush(disk.get, disk.put))
	again, fresh, err := LoadSettlement(disk.each)
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, s, again)
	require.Equal(t, []string{"settlement-deviates FUSE"}, codesOf(again.Tick(settlePolicy, watchStart+60+3600)), "a restart forgets no deviation")
	_, _, err = LoadSettlement(kept{keySettlement: "x"}.each)
	require.Error(t, err)
	_, err = SettledUpTo(2*ledger.RangeSize, kept{string(sumKey(0)): "x"}.each, func(uint64, func(ledger.Event) error) error { return nil })
	require.Error(t, err)
	_, err = SettledUpTo(1, disk.each, func(uint64, func(ledger.Event) error) error { return fmt.Errorf("disk") })
	require.ErrorContains(t, err, "disk")
}
