package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
)

// rangeNet is a wire on which members answer questions as a test wants.
type rangeNet struct {
	*wire
	up      []common.Address
	answers map[common.Address]func([]byte) ([]byte, error)

	mu    sync.Mutex // guards what follows
	asked []common.Address
	said  [][]byte
}

func (n *rangeNet) Request(_ context.Context, to common.Address, _ string, body []byte) ([]byte, error) {
	n.mu.Lock()
	n.asked = append(n.asked, to)
	n.mu.Unlock()
	if answer := n.answers[to]; answer != nil {
		return answer(body)
	}
	return nil, errors.New("no answer")
}

func (n *rangeNet) Publish(_ string, data []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, data)
	return nil
}

func (n *rangeNet) Peers() (out []p2p.PeerStatus) {
	for _, a := range n.up {
		out = append(out, p2p.PeerStatus{Address: a, Connected: true})
	}
	return out
}

// rangeLab is a lab whose books and peers hold logs.
type rangeLab struct {
	*lab
	net     *rangeNet
	wrong   []common.Address // members that were refused
	refusal sync.Mutex       // guards wrong
}

func newRangeLab(t *testing.T, rows ...ledger.Event) *rangeLab {
	l := &rangeLab{lab: newLab(t)}
	l.net = &rangeNet{wire: l.wire, answers: map[common.Address]func([]byte) ([]byte, error){}}
	for i := range 3 {
		l.net.up = append(l.net.up, l.member(i+1))
	}
	l.core.net, l.core.marks = l.net, newMarks()
	l.core.refused = func(peer common.Address, _ error) {
		l.refusal.Lock()
		defer l.refusal.Unlock()
		l.wrong = append(l.wrong, peer)
	}
	l.core.repair = func(_ context.Context, rows []ledger.Event) error { return l.led.Update(l.append(rows)) }
	l.book(rows...)
	return l
}

func (l *rangeLab) member(i int) common.Address { return crypto.PubkeyToAddress(l.keys[i].PublicKey) }

func (l *rangeLab) append(rows []ledger.Event) func(*ledger.Tx) error {
	return func(tx *ledger.Tx) error {
		_, err := tx.Append(rows, ledger.Intake{Now: uint64(time.Now().UnixMilli()), Policy: l.state.Policy})
		return err
	}
}

// book books rows and one of the next range, so that range 0 is settled.
func (l *rangeLab) book(rows ...ledger.Event) {
	l.t.Helper()
	require.NoError(l.t, l.led.Update(l.append(append(slices.Clone(rows), row(5000, 9, "1")))))
}

// serves makes a member answer from a log of its own.
func (l *rangeLab) serves(i int, rows ...ledger.Event) {
	l.t.Helper()
	led, err := ledger.Open(l.t.TempDir(), l.network)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { require.NoError(l.t, led.Close()) })
	require.NoError(l.t, led.Update(l.append(append(slices.Clone(rows), row(5000, 9, "1")))))
	peer := &core{led: led}
	l.net.answers[l.member(i)] = func(raw []byte) ([]byte, error) { return peer.answer(context.Background(), raw) }
}

// hears takes members' words on range 0.
func (l *rangeLab) hears(counter uint64, rows []ledger.Event, members ...int) {
	for _, i := range members {
		l.hearCheckpoint(l.mark(i, counter, rows...))
	}
	require.NoError(l.t, l.fatal)
}

// ticks lets time pass, does what is due, and runs what peers' answers lead to.
func (l *rangeLab) ticks(now time.Time, times int) {
	for i := range times {
		l.marks.tick(l.core, now.Add(time.Duration(i)*time.Second))
		for l.marks.busy || l.marks.asking {
			(<-l.tasks)()
		}
	}
	require.NoError(l.t, l.fatal)
}

// grace is how long nothing happens about a difference, by the lab's policy.
const grace = 61 * time.Second

func (l *rangeLab) range0() (s ledger.RangeState) {
	require.NoError(l.t, l.led.View(func(tx *ledger.Tx) (err error) { s, err = tx.RangeState(0); return err }))
	return s
}

func (l *rangeLab) disputes() (out []ledger.RangeDispute) {
	require.NoError(l.t, l.led.View(func(tx *ledger.Tx) error {
		return tx.RangeDisputes(func(d ledger.RangeDispute) error { out = append(out, d); return nil })
	}))
	return out
}

func (l *rangeLab) frozen(account byte) (codes []ledger.FreezeCode) {
	require.NoError(l.t, l.led.View(func(tx *ledger.Tx) error {
		all, err := tx.Freezes(common.Address{account})
		for _, f := range all {
			codes = append(codes, f.Code)
		}
		return err
	}))
	return codes
}

func (l *rangeLab) alert(code string) (a Alert, stands bool) {
	for _, a := range l.alerts.list() {
		if a.Code == code {
			return a, !a.Over
		}
	}
	return a, false
}

// A certified row that is missing here is fetched from a member that shows it, past those that lie or keep silent, and
// booked; the evidence holds both sides.
func TestACertifiedRangeRepairs(t *testing.T) {
	mine := []ledger.Event{row(1, 1, "5"), row(300, 2, "7")}
	theirs := []ledger.Event{row(1, 1, "5"), row(200, 3, "6"), row(300, 2, "7")}
	l := newRangeLab(t, mine...)
	l.serves(1, row(1, 1, "5"), row(200, 4, "666"), row(300, 2, "7")) // not what it signed
	l.serves(3, theirs...)
	now := time.Now()
	l.hears(7, theirs, 1, 2, 3)
	l.ticks(now, 1)
	require.Empty(t, l.disputes(), "a late row reaches members one after the other")
	require.True(t, l.range0().Differs())
	for i := range 3 { // whoever is asked first
		l.ticks(now.Add(grace+time.Duration(i)*2*time.Minute), 3)
	}
	require.False(t, l.range0().Differs())
	require.Len(t, l.disputes(), 1)
	d := l.disputes()[0]
	require.Equal(t, ledger.DisputeCertified, d.Level)
	require.Equal(t, marshal(ledger.DiffRows(mine, theirs)), marshal(d.Diffs))
	require.Equal(t, l.member(3), d.From)
	require.EqualValues(t, 1, d.Booked)
	require.Empty(t, d.Frozen)
	require.NotZero(t, d.Over)
	for account := range byte(5) {
		require.Empty(t, l.frozen(account))
	}
	require.Subset(t, []common.Address{l.member(1)}, l.wrong, "only who lied is refused")
	a, stands := l.alert(codeRange)
	require.False(t, stands)
	require.Contains(t, a.Text, "Event 200: here no row, there")
	got, err := VerifyEvidence(l.genesis, l.view(d))
	require.NoError(t, err)
	require.Equal(t, EvidenceProves, got)
	// The Relay shows the same row at last: nothing new. Another under its id trips the fuse.
	require.NoError(t, l.led.Update(l.append([]ledger.Event{row(200, 3, "6")})))
	require.ErrorIs(t, l.led.Update(l.append([]ledger.Event{row(200, 3, "60")})), ledger.ErrHostile)
}

// Nobody shows rows that hash to the certificate: nothing is booked, and people are told.
func TestNoHonestPeerNoRepair(t *testing.T) {
	mine, theirs := []ledger.Event{row(1, 1, "5")}, []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}
	l := newRangeLab(t, mine...)
	for i := range 3 {
		l.serves(i+1, mine...)
	}
	l.net.answers[l.member(2)] = func([]byte) ([]byte, error) { return []byte{0xc1, 0x01}, nil }
	now := time.Now()
	l.hears(7, theirs, 1, 2, 3)
	l.ticks(now, 1)
	l.ticks(now.Add(grace), 30)
	require.Empty(t, l.disputes())
	require.EqualValues(t, 1, l.range0().Own.Count)
	require.ElementsMatch(t, []common.Address{l.member(1), l.member(3)}, l.wrong, "each once a minute, however often it ticks")
	_, stands := l.alert(codeRange)
	require.True(t, stands)
}

// Rows that others lack, and rows that are others', are kept and freeze their accounts until the range agrees; what is
// missing is booked beside them.
func TestOnlyTheAccountsThatDifferAreFrozen(t *testing.T) {
	mine := []ledger.Event{row(1, 1, "5"), row(2, 2, "7"), row(3, 3, "9")}
	theirs := []ledger.Event{row(1, 1, "5"), row(3, 4, "9"), row(4, 5, "1")}
	l := newRangeLab(t, mine...)
	for i := range 3 {
		l.serves(i+1, theirs...)
	}
	now := time.Now()
	l.hears(7, theirs, 1, 2, 3)
	l.ticks(now, 1)
	l.ticks(now.Add(grace), 3)
	require.Empty(t, l.frozen(1))
	require.Empty(t, l.frozen(5), "its row was booked")
	for _, account := range []byte{2, 3, 4} {
		require.Equal(t, []ledger.FreezeCode{ledger.FreezeRange}, l.frozen(account))
	}
	require.EqualValues(t, 4, l.range0().Own.Count)
	require.Len(t, l.disputes(), 1)
	_, stands := l.alert(codeRange)
	require.True(t, stands)

	// A row that the others get late: the range agrees but for the one that was changed, so the accounts still wait.
	l2 := newRangeLab(t, row(1, 1, "5"), row(2, 2, "7"))
	less := []ledger.Event{row(1, 1, "5")}
	for i := range 3 {
		l2.serves(i+1, less...)
	}
	l2.hears(7, less, 1, 2, 3)
	l2.ticks(now, 1)
	l2.ticks(now.Add(grace), 2)
	require.Equal(t, []ledger.FreezeCode{ledger.FreezeRange}, l2.frozen(2))
	l2.hears(8, []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}, 1, 2, 3)
	l2.ticks(now.Add(2*grace), 3)
	require.Empty(t, l2.frozen(2), "the others were shown the row too")
	_, stands = l2.alert(codeRange)
	require.False(t, stands)
}

// f+1 members without a certificate freeze and book nothing; one member alone only alerts, whatever rows it shows.
func TestWeightOfWords(t *testing.T) {
	mine, theirs := []ledger.Event{row(1, 1, "5")}, []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}
	now := time.Now()

	split := newRangeLab(t, mine...)
	split.serves(1, theirs...)
	split.serves(2, theirs...)
	split.hears(7, theirs, 1, 2)
	split.ticks(now, 1)
	split.ticks(now.Add(grace), 3)
	require.Equal(t, []ledger.FreezeCode{ledger.FreezeRange}, split.frozen(2))
	require.EqualValues(t, 1, split.range0().Own.Count)
	require.Equal(t, ledger.DisputeSplit, split.disputes()[0].Level)
	_, stands := split.alert(codeRange)
	require.True(t, stands)

	one := newRangeLab(t, mine...)
	one.serves(1, theirs...)
	one.hears(7, theirs, 1)
	one.ticks(now, 1)
	one.ticks(now.Add(grace), 3)
	require.Empty(t, one.frozen(2))
	require.Equal(t, ledger.DisputeOne, one.disputes()[0].Level)
	_, stands = one.alert(codeRange)
	require.False(t, stands)
	a, stands := one.alert(codeOdd)
	require.True(t, stands)
	require.Contains(t, a.Text, "Event 2: here no row")
	one.hears(8, mine, 1, 2)
	one.ticks(now.Add(2*grace), 3)
	_, stands = one.alert(codeOdd)
	require.False(t, stands, "it agrees again")
}

// Operators who resolved an account have judged the row that the members quarrel about: it does not freeze the account again,
// however long the range differs. A row beyond their list does.
func TestAResolvedAccountStaysFree(t *testing.T) {
	mine := []ledger.Event{row(1, 1, "5")}
	theirs := []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}
	l := newRangeLab(t, mine...)
	l.onPolicy = func(quorum.Policy) {}
	l.serves(1, theirs...)
	l.serves(2, theirs...)
	now := time.Now()
	l.hears(7, theirs, 1, 2)
	l.ticks(now, 1)
	l.ticks(now.Add(grace), 3)
	require.Equal(t, []ledger.FreezeCode{ledger.FreezeRange}, l.frozen(2))

	l.decree(quorum.Resolve{File: nextPolicy(2, 300), Reason: "r", Accounts: []quorum.Rewrite{{Account: common.Address{2}, UpTo: 2}}})
	require.Empty(t, l.frozen(2))
	l.ticks(now.Add(2*grace), 3)
	require.Empty(t, l.frozen(2))
	_, stands := l.alert(codeRange)
	require.True(t, stands, "the range still differs")

	more := append(slices.Clone(theirs), row(3, 2, "1"))
	l.serves(1, more...)
	l.serves(2, more...)
	l.hears(8, more, 1, 2)
	l.ticks(now.Add(3*grace), 1)
	l.ticks(now.Add(4*grace), 3)
	require.Equal(t, []ledger.FreezeCode{ledger.FreezeRange}, l.frozen(2))
}

// A replay signs every range and gossips the newest alone.
func TestAReplayDoesNotFlood(t *testing.T) {
	l := newRangeLab(t)
	var rows []ledger.Event
	for r := range uint64(50) {
		rows = append(rows, row(r*ledger.RangeSize+6000, 1, "1"))
	}
	require.NoError(t, l.led.Update(l.append(rows)))
	l.ticks(time.Now(), 1)
	var ranges []uint64
	for _, raw := range l.net.said {
		s, err := quorum.Open[quorum.Checkpoint](l.network, l.state.Roster.IDs(), raw)
		require.NoError(t, err)
		ranges = append(ranges, s.Body().Range)
	}
	require.LessOrEqual(t, len(ranges), 2*gossipAtOnce, "the newest, and one round of telling again")
	require.Contains(t, ranges, uint64(49))
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error { require.False(t, tx.CheckpointsDue()); return nil }))
	said := len(l.net.said)
	l.ticks(time.Now().Add(2*time.Second), 5)
	require.Len(t, l.net.said, said, "nothing new is nothing said")
}

// One member's flood of words costs it its share of a second, nobody else's.
func TestWordsOfOneMemberAreRationed(t *testing.T) {
	l := newRangeLab(t, row(1, 1, "5"))
	for i := range uint64(3 * heardPerSecond) {
		l.hears(i+1, []ledger.Event{row(1, 1, "5"), row(i+2, 1, "1")}, 1)
	}
	l.hears(1, []ledger.Event{row(1, 1, "6")}, 2)
	said := map[common.Address]uint64{}
	for _, w := range l.range0().Said {
		said[w.Signer()] = w.Body().Counter
	}
	require.Equal(t, map[common.Address]uint64{l.member(1): heardPerSecond, l.member(2): 1}, said)
}

// Words under the own key that the database does not hold trip the fuse.
func TestATwinsCheckpointTripsTheFuse(t *testing.T) {
	l := newRangeLab(t, row(1, 1, "5"))
	l.ticks(time.Now(), 1)
	own := l.range0().Said[0]
	l.hearCheckpoint(own)
	require.False(t, l.halted())
	l.hearCheckpoint(l.mark(0, 999, row(1, 1, "6")))
	require.True(t, l.halted())
}

// A joiner that hears no old gossip asks for everything once, page by page, and then only for what is open.
func TestASweepAsksForEveryRange(t *testing.T) {
	l := newRangeLab(t, row(1, 1, "5"))
	peer := newRangeLab(t, row(1, 1, "5"), row(2, 2, "7"))
	full := []ledger.Event{row(1, 1, "5"), row(2, 2, "7")}
	peer.hears(7, full, 1, 2, 3)
	for i := range 3 {
		l.net.answers[l.member(i+1)] = func(raw []byte) ([]byte, error) { return peer.answer(context.Background(), raw) }
	}
	now := time.Now()
	l.ticks(now, 1)
	require.True(t, l.range0().Differs(), "the certificate came in the answer")
	require.True(t, l.marks.swept)
	asked := len(l.net.asked)
	l.ticks(now.Add(20*time.Second), 1)
	require.Len(t, l.net.asked, asked, "nothing is uncertified here")
}

func TestWrongAnswersAboutRanges(t *testing.T) {
	l := newLab(t)
	cert := l.certified(row(1, 1, "5"))
	bent := cert
	bent.Checkpoint.Count++
	old := cert
	old.Checkpoint.Epoch = 0
	word := l.mark(1, 1, row(1, 1, "5")).Bytes()
	for name, k := range map[string]struct {
		m  rangesMsg
		ok bool
	}{
		"whole":                  {rangesMsg{Certificates: []quorum.UncheckedCheckpoint{cert}, Words: [][]byte{word}, Next: 9}, true},
		"of another epoch":       {rangesMsg{Certificates: []quorum.UncheckedCheckpoint{old}}, true},
		"a bent certificate":     {rangesMsg{Certificates: []quorum.UncheckedCheckpoint{cert, bent}}, false},
		"a word of another kind": {rangesMsg{Words: [][]byte{l.vote(1, 1)}}, false},
		"bytes":                  {rangesMsg{Words: [][]byte{{1}}}, false},
		"it goes back":           {rangesMsg{Next: 3}, false},
		"too many certificates":  {rangesMsg{Certificates: slices.Repeat([]quorum.UncheckedCheckpoint{cert}, maxRanges+1)}, false},
		"too many words":         {rangesMsg{Words: slices.Repeat([][]byte{word}, maxRanges*quorum.MaxMembers+1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := openRanges(l.network, l.state.Roster, k.m, 3)
			require.Equal(t, k.ok, err == nil, "%v", err)
		})
	}
	long := row(1, 1, string(make([]byte, maxRow)))
	unknown := row(1, 1, "5")
	unknown.Kind = ledger.MaxEventKind + 1
	for name, rows := range map[string][]ledger.Event{
		"before": {row(255, 1, "1")}, "behind": {row(512, 1, "1")}, "twice": {row(256, 1, "1"), row(256, 1, "1")},
		"backwards": {row(257, 1, "1"), row(256, 1, "1")},
	} {
		require.ErrorIs(t, checkRows(rows, 256), errRanges, name)
	}
	require.ErrorIs(t, checkRows([]ledger.Event{long}, 0), errRanges)
	require.ErrorIs(t, checkRows([]ledger.Event{unknown}, 0), errRanges)
	require.NoError(t, checkRows([]ledger.Event{row(256, 1, "1"), row(511, 1, "1")}, 256))
}

// Questions of a member are answered or refused by name, whatever they hold.
func TestQuestionsOutOfBounds(t *testing.T) {
	l := newRangeLab(t, row(1, 1, "5"))
	for _, bad := range []syncReq{{What: syncSections, Height: quorum.MaxRange + 1}, {What: syncRows, Height: 7}, {What: 99}} {
		_, err := l.answer(context.Background(), marshal(bad))
		require.ErrorIs(t, err, errUnknownRequest)
	}
	for _, good := range []syncReq{{What: syncSections, Height: quorum.MaxRange}, {What: syncRows, Height: 1<<64 - ledger.SectionSize}, {What: syncRanges, Height: 1 << 60}} {
		_, err := l.answer(context.Background(), marshal(good))
		require.NoError(t, err)
	}
}

func FuzzRangesAnswer(f *testing.F) {
	key := testKey("member", 0)
	members := []quorum.Member{{Address: crypto.PubkeyToAddress(key.PublicKey)}}
	roster := quorum.Roster{Epoch: 1, Members: members}
	s, err := quorum.Sign(key, common.Hash{1}, quorum.Checkpoint{Epoch: 1, Counter: 1, Count: 1, Hash: common.Hash{1}})
	require.NoError(f, err)
	cert, ok := quorum.CertifyCheckpoint(roster, []quorum.Signed[quorum.Checkpoint]{s})
	require.True(f, ok)
	f.Add(marshal(rangesMsg{Certificates: []quorum.UncheckedCheckpoint{cert.Unchecked()}, Words: [][]byte{s.Bytes()}, Next: 1}))
	f.Add(marshal(rangesMsg{}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m rangesMsg
		if unmarshal(raw, &m) != nil {
			return
		}
		require.Equal(t, raw, marshal(m), "one encoding")
		out, _, err := openRanges(common.Hash{1}, roster, m, 0)
		for _, c := range out.certs {
			require.NoError(t, err)
			require.Len(t, c.Signers(), 1)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(marshal([]ledger.Event{row(1, 1, "5"), row(2, 2, "-7")}))
	f.Add(marshal([]ledger.SectionSum{{Count: 1}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var rows []ledger.Event
		if unmarshal(raw, &rows) == nil && checkRows(rows, 0) == nil {
			require.Equal(t, rows, append([]ledger.Event{}, ledger.SectionsOf(0, rows)[0]...))
			_, err := rlp.EncodeToBytes(ledger.DiffRows(nil, rows))
			require.NoError(t, err)
		}
		var sums []ledger.SectionSum
		_ = unmarshal(raw, &sums) // foreign bytes of any shape
	})
}

// What was asked for is not rationed: a page of ranges that nobody certified yet is taken whole, and the next is asked for soon.
func TestAPageOfWordsIsTakenWhole(t *testing.T) {
	l := newRangeLab(t)
	var rows []ledger.Event
	for r := range uint64(maxRanges) {
		rows = append(rows, row(r*ledger.RangeSize+6000, 1, "1"))
	}
	require.NoError(t, l.led.Update(l.append(append(rows, row(1<<30, 1, "1")))))
	var m rangesMsg
	for _, e := range rows[:maxRanges-1] {
		sum := ledger.SumRows([]ledger.Event{e})
		m.Words = append(m.Words, by(l.lab, 1, quorum.Checkpoint{Epoch: 1, Counter: e.ID, Range: e.ID / ledger.RangeSize, Count: sum.Count, Hash: sum.Hash}).Bytes())
	}
	shown, _, err := openRanges(l.network, l.state.Roster, m, 0)
	require.NoError(t, err)
	require.Equal(t, maxRanges-1, l.takeRanges(shown))
	require.Zero(t, l.takeRanges(shown), "the same again is nothing new")
}
