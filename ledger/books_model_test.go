package ledger

import (
	"fmt"
	"math/big"
	"slices"
	"sort"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

var (
	testNetwork = common.HexToHash("0x01")
	feeAccount  = common.HexToAddress("0xfee")
)

func testAccount(n int) common.Address { return common.BigToAddress(big.NewInt(int64(n) + 1)) }

// booksAt opens a ledger whose commits are not forced to disk: these tests are about sums.
func booksAt(t require.TestingT, dir string) *Ledger {
	l, err := Open(dir, testNetwork)
	require.NoError(t, err)
	l.db.NoSync = true
	return l
}

func newBooks(t *testing.T) *Ledger {
	l := booksAt(t, t.TempDir())
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func wei(v uint64) uint256.Int { return *uint256.NewInt(v) }

func plenty() Intake {
	return Intake{Now: 1, FeeAddress: feeAccount, Policy: quorum.Policy{UncoveredMax: wei(1 << 62)}}
}

func update(t require.TestingT, l *Ledger, fn func(*Tx) error) { require.NoError(t, l.Update(fn)) }

func appendAll(t require.TestingT, l *Ledger, in Intake, events ...Event) (out Appended) {
	update(t, l, func(tx *Tx) (err error) {
		out, err = tx.Append(events, in)
		return err
	})
	return out
}

func checked(t require.TestingT, l *Ledger) BooksReport {
	report, err := l.CheckBooks(nil)
	require.NoError(t, err)
	return report
}

func accountOf(t require.TestingT, l *Ledger, a common.Address) (out Account) {
	require.NoError(t, l.View(func(tx *Tx) (err error) {
		out, _, err = tx.Account(a, maxRecent)
		return err
	}))
	return out
}

func stateOf(t require.TestingT, l *Ledger) (h common.Hash) {
	require.NoError(t, l.View(func(tx *Tx) (err error) {
		h, err = tx.StateHash()
		return err
	}))
	return h
}

// model is the books in the plainest way: what came, what was proven and decided, and every sum from scratch.
type model struct {
	booked   []Event // by id
	excluded map[uint64]bool
	proofs   map[uint64]Proof
	used     map[DepositRef]uint64
	spent    []Spent
	paid     map[uint64]bool
	approved map[common.Address]uint64
	max      int64
}

func newModel(limit int64) *model {
	return &model{excluded: map[uint64]bool{}, proofs: map[uint64]Proof{}, used: map[DepositRef]uint64{}, paid: map[uint64]bool{},
		approved: map[common.Address]uint64{}, max: limit}
}

func plainAmount(s string) *big.Int {
	v, ok := new(big.Int).SetString(s, 10)
	if !ok || v.Sign() < 0 || v.String() != s || v.BitLen() > maxAmountBits {
		return nil
	}
	return v
}

// sums derives one account.
func (m *model) sums(a common.Address) (counted, pending, debits *big.Int) {
	counted, pending, debits = new(big.Int), new(big.Int), new(big.Int)
	fees, refunds := map[string]int{}, map[string]int{}
	for _, e := range m.booked {
		v := plainAmount(e.Amount)
		if e.Account != a || v == nil || m.excluded[e.ID] {
			continue
		}
		switch e.Kind {
		case TaskIncome, DaoTaskShare, TaskRefund, UserDelegation:
			counted.Add(counted, v)
		case TaskPayment, Withdraw:
			debits.Add(debits, v)
		case Deposit:
			if m.proofs[e.ID] == Counted {
				counted.Add(counted, v)
			} else if m.proofs[e.ID] == Pending {
				pending.Add(pending, v)
			}
		case WithdrawalFeeIncome:
			if a == feeAccount {
				fees[e.Amount]++
			}
		case WithdrawRefund:
			refunds[e.Amount]++
		}
	}
	for _, s := range m.spent {
		fee, total := s.Content.Fee.Dec(), new(big.Int).Add(s.Content.Amount.ToBig(), s.Content.Fee.ToBig())
		switch {
		case s.Kind == SpentItem && fees[fee] > 0 && m.paid[s.Content.WID]:
			fees[fee]--
			counted.Add(counted, s.Content.Fee.ToBig())
		case s.Kind == SpentReject && s.Content.Account == a && refunds[total.String()] > 0 && m.debited(s.Content, total):
			refunds[total.String()]--
			counted.Add(counted, total)
		}
	}
	for _, s := range m.spent {
		if fee := s.Content.Fee.Dec(); s.Kind == SpentItem && fees[fee] > 0 && !m.paid[s.Content.WID] {
			fees[fee]--
			pending.Add(pending, s.Content.Fee.ToBig())
		}
	}
	return counted, pending, debits
}

func (m *model) debited(c quorum.Content, total *big.Int) bool {
	return slices.ContainsFunc(m.booked, func(e Event) bool {
		v := plainAmount(e.Amount)
		return e.ID == c.EventID && e.Kind == Withdraw && e.Account == c.Account && !m.excluded[e.ID] && v != nil && v.Cmp(total) == 0
	})
}

func (m *model) uncovered() *big.Int {
	sum := new(big.Int)
	for n := range modelAccounts {
		counted, pending, debits := m.sums(modelAccount(n))
		addPositive(sum, debits, counted.Add(counted, pending))
	}
	return sum
}

// book takes an event unless it would leave too much uncovered.
func (m *model) book(e Event) bool {
	if m.approved[e.Account] > e.ID && e.Kind.Debit() {
		m.excluded[e.ID] = true
	}
	m.booked = append(m.booked, e)
	sort.Slice(m.booked, func(i, j int) bool { return m.booked[i].ID < m.booked[j].ID })
	if m.uncovered().Cmp(big.NewInt(m.max)) <= 0 {
		return true
	}
	m.booked = slices.DeleteFunc(m.booked, func(o Event) bool { return o.ID == e.ID })
	delete(m.excluded, e.ID)
	return false
}

func (m *model) chain(a common.Address) (seq uint64, head common.Hash) {
	head = quorum.AccountHead(a)
	for _, e := range m.booked {
		if e.Account == a && e.Kind.Debit() && !m.excluded[e.ID] {
			seq++
			head = quorum.NextHead(head, quorum.Debit{ID: e.ID, Kind: uint8(e.Kind), Amount: e.Amount})
		}
	}
	return seq, head
}

const modelAccounts = 4

func modelAccount(n int) common.Address {
	if n == 0 {
		return feeAccount
	}
	return testAccount(n)
}

// booksMachine drives a ledger and the model through one history.
type booksMachine struct {
	l      *Ledger
	dir    string
	m      *model
	nextID uint64
	lost   []Event // rows that come late
	queue  []Event // held, in the model
	nextW  uint64
}

func (s *booksMachine) event(t *rapid.T) Event {
	kinds := []EventKind{TaskIncome, DaoTaskShare, WithdrawalFeeIncome, Deposit, TaskPayment, TaskRefund, Withdraw, Withdraw, WithdrawRefund, UserDelegation}
	s.nextID += uint64(rapid.SampledFrom([]int{1, 1, 1, 2, 900}).Draw(t, "gap"))
	e := Event{
		ID:      s.nextID,
		Account: modelAccount(rapid.IntRange(0, modelAccounts-1).Draw(t, "account")),
		Kind:    rapid.SampledFrom(kinds).Draw(t, "kind"),
		Amount:  rapid.SampledFrom([]string{"0", "1", "5", "5", "8", "13", "40", "-5", "+1", "", "007"}).Draw(t, "amount"),
	}
	if e.Kind == Deposit {
		e.Deposit = DepositRef{"devnet", common.BigToHash(big.NewInt(int64(rapid.IntRange(1, 6).Draw(t, "tx"))))}
	}
	return e
}

func (s *booksMachine) page(t *rapid.T) {
	var page []Event
	for range rapid.SampledFrom([]int{0, 1, 4, 8, 12}).Draw(t, "rows") {
		e := s.event(t)
		if rapid.SampledFrom([]bool{true, false, false, false}).Draw(t, "late") {
			s.lost = append(s.lost, e)
			continue
		}
		page = append(page, e)
	}
	s.take(t, page)
}

func (s *booksMachine) late(t *rapid.T) {
	s.take(t, s.lost)
	s.lost = nil
}

func (s *booksMachine) take(t *rapid.T, page []Event) {
	in := plenty()
	in.Policy.UncoveredMax = wei(uint64(s.m.max))
	out := appendAll(t, s.l, in, page...)
	s.queue = append(s.queue, page...)
	sort.Slice(s.queue, func(i, j int) bool { return s.queue[i].ID < s.queue[j].ID })
	for len(s.queue) > 0 && s.m.uncovered().Cmp(big.NewInt(s.m.max)) <= 0 && s.m.book(s.queue[0]) {
		s.queue = s.queue[1:]
	}
	require.Equal(t, len(s.queue), out.Held)
	require.Equal(t, out.Held > 0 || s.m.uncovered().Cmp(big.NewInt(s.m.max)) > 0, out.Hold != nil)
}

func (s *booksMachine) prove(t *rapid.T) {
	var open []Event
	require.NoError(t, s.l.View(func(tx *Tx) (err error) {
		open, err = tx.OpenDeposits(0, 100)
		return err
	}))
	if len(open) == 0 {
		return
	}
	e := rapid.SampledFrom(open).Draw(t, "deposit")
	p := rapid.SampledFrom([]Proof{Unproven, Pending, Counted, Contradicted}).Draw(t, "proof")
	update(t, s.l, func(tx *Tx) error {
		_, err := tx.SetProof(e.ID, p, 7)
		return err
	})
	if by := s.m.used[e.Deposit]; by != 0 && by != e.ID {
		return // somebody else's transfer: nothing changes, whatever the endpoints say
	}
	s.m.proofs[e.ID] = p
	delete(s.m.used, e.Deposit)
	if p == Pending || p == Counted {
		s.m.used[e.Deposit] = e.ID
	}
}

// decide makes a request of a booked or future type-6 row and decides it.
func (s *booksMachine) decide(t *rapid.T) {
	event := s.nextID + 1
	for _, e := range append(slices.Clone(s.m.booked), s.lost...) {
		if e.Kind == Withdraw && rapid.SampledFrom([]bool{true, false, false}).Draw(t, "event") {
			event = e.ID
		}
	}
	account, total := modelAccount(1), uint64(13)
	for _, e := range append(slices.Clone(s.m.booked), s.lost...) {
		if v := plainAmount(e.Amount); e.ID == event && v != nil {
			account, total = e.Account, v.Uint64()
		}
	}
	for _, old := range s.m.spent {
		if old.Content.EventID == event {
			return
		}
	}
	fee := min(total, uint64(rapid.SampledFrom([]int{0, 1, 5, 8}).Draw(t, "fee")))
	s.nextW++
	w := Withdrawal{ID: s.nextW, Account: account, To: account, Network: "devnet", Amount: wei(total - fee), Fee: wei(fee), EventID: event, Timestamp: s.nextW}
	content := w.Content(common.Address{})
	spent := Spent{Content: content, Hash: content.Hash(testNetwork), Kind: rapid.SampledFrom([]SpentKind{SpentItem, SpentReject}).Draw(t, "fate"), Height: 1}
	update(t, s.l, func(tx *Tx) error {
		if rapid.Bool().Draw(t, "known") {
			if _, err := tx.PutWithdrawal(w); err != nil {
				return err
			}
		}
		return tx.putSpent(spent)
	})
	s.m.spent = append(s.m.spent, spent)
}

func (s *booksMachine) pay(t *rapid.T) {
	for _, old := range s.m.spent {
		if old.Kind == SpentItem && rapid.Bool().Draw(t, "final") {
			update(t, s.l, func(tx *Tx) error { return tx.BookPaid(old.Content.WID) })
			s.m.paid[old.Content.WID] = true
		}
	}
}

func (s *booksMachine) approve(t *rapid.T) {
	a := modelAccount(rapid.IntRange(0, modelAccounts-1).Draw(t, "account"))
	for _, e := range slices.Backward(s.m.booked) {
		if e.Account == a && e.Kind == Withdraw && !s.m.excluded[e.ID] {
			update(t, s.l, func(tx *Tx) error { return tx.raiseApproved(a, e.ID) })
			s.m.approved[a] = max(s.m.approved[a], e.ID)
			return
		}
	}
}

func (s *booksMachine) reopen(t *rapid.T) {
	before := stateOf(t, s.l)
	require.NoError(t, s.l.Close())
	s.l = booksAt(t, s.dir)
	require.Equal(t, before, stateOf(t, s.l))
}

func (s *booksMachine) compare(t *rapid.T) {
	for n := range modelAccounts {
		a := modelAccount(n)
		counted, pending, debits := s.m.sums(a)
		seq, head := s.m.chain(a)
		got := accountOf(t, s.l, a)
		if got.Address == (common.Address{}) {
			got.Head = quorum.AccountHead(a)
		}
		want := fmt.Sprintf("%s %s %s %d %s", counted, pending, debits, seq, head)
		require.Equal(t, want, fmt.Sprintf("%s %s %s %d %s", got.Counted.Dec(), got.Pending.Dec(), got.Debits.Dec(), got.Seq, got.Head), "account %d", n)
	}
	require.NoError(t, s.l.View(func(tx *Tx) error {
		totals, err := tx.Totals()
		require.Equal(t, s.m.uncovered().String(), totals.Uncovered.Dec())
		require.Equal(t, uint64(len(s.m.booked)), totals.Events)
		return err
	}))
	checked(t, s.l)
}

func TestBooksAgreeWithThePlainModel(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := fmt.Sprintf("%s/%d", base, runs)
		makeDir(t, dir)
		s := &booksMachine{dir: dir, l: booksAt(t, dir), m: newModel(int64(rapid.SampledFrom([]int{20, 100, 1 << 40}).Draw(t, "max")))}
		defer func() { require.NoError(t, s.l.Close()) }()
		t.Repeat(map[string]func(*rapid.T){
			"page": s.page, "page again": s.page, "late": s.late, "prove": s.prove, "decide": s.decide, "pay": s.pay,
			"approve": s.approve, "reopen": s.reopen, "": s.compare,
		})
	})
}
