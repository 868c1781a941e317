package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// world is all that ever happens to a network's books: the Relay's rows, and what chain, decisions and payments make of them.
type world struct {
	in     Intake
	log    []Event
	proofs map[uint64]Proof
	asked  []Withdrawal
	fates  []Spent // in the order of their decisions
	end    uint64  // the clock at the end
}

func drawWorld(t *rapid.T, base string) world {
	key := crypto.ToECDSAUnsafe(crypto.Keccak256([]byte("test vesting admin")))
	w := world{in: plenty(), proofs: map[uint64]Proof{}, end: 20 * dayMS}
	w.in.VestingAdmins = []common.Address{addressOf(key)}
	s := &booksMachine{}
	for n := range rapid.IntRange(1, 60).Draw(t, "events") {
		e := s.event(t)
		switch rapid.IntRange(0, 11).Draw(t, "vesting") {
		case 0:
			e = testVesting(t, key, e.ID, uint64(n), e.Account, "1000")
			e.Vesting.Start += uint64(n) * daySec / 9 // unique
			sig, err := crypto.Sign(quorum.PersonalDigest(VestingText(e.Vesting)).Bytes(), key)
			require.NoError(t, err)
			e.Vesting.Signature = sig
		case 1:
			e = event(e.ID, e.Account, VestingRelease, "150")
			e.Vesting.ID = uint64(rapid.IntRange(0, n).Draw(t, "of"))
		}
		if e.Kind == Deposit {
			e.Deposit.TxHash = common.BigToHash(big.NewInt(int64(e.ID)))
			w.proofs[e.ID] = rapid.SampledFrom([]Proof{Unproven, Pending, Counted, Contradicted}).Draw(t, "proof")
		}
		w.log = append(w.log, e)
	}
	w.drawFates(t)
	if at := rapid.IntRange(-len(w.log), len(w.log)-1).Draw(t, "cut-over"); at >= 0 {
		l := booksAt(t, base)
		appendAll(t, l, w.in, w.log...)
		w.in.History = quorum.Cutover{Event: w.log[at].ID, Root: logRoot(t, l, w.log[at].ID)}
		require.NoError(t, l.Close())
	}
	return w
}

// drawFates asks for some of the debited withdrawals, and decides some of those.
func (w *world) drawFates(t *rapid.T) {
	for _, e := range w.log {
		v := plainAmount(e.Amount)
		if e.Kind != Withdraw || v == nil || !rapid.Bool().Draw(t, "asked") {
			continue
		}
		fee := min(v.Uint64(), uint64(rapid.SampledFrom([]int{0, 1, 5}).Draw(t, "fee")))
		r := Withdrawal{ID: e.ID, Account: e.Account, To: e.Account, Network: "devnet", Amount: wei(v.Uint64() - fee), Fee: wei(fee), EventID: e.ID, Timestamp: e.ID}
		w.asked = append(w.asked, r)
		if fate := rapid.SampledFrom([]SpentKind{0, SpentItem, SpentReject}).Draw(t, "fate"); fate != 0 {
			c := r.Content(common.Address{})
			w.fates = append(w.fates, Spent{Content: c, Hash: c.Hash(testNetwork), Kind: fate, Height: 1})
		}
	}
}

// node is one custodian's books while the world reaches them.
type worldNode struct {
	w     *world
	dir   string
	l     *Ledger
	rest  []Event // of the log
	late  []Event
	asked []Withdrawal
	fates []Spent
	paid  []uint64
	now   uint64
}

var errNotNow = errors.New("the disk is full")

// take writes, sometimes at the second attempt.
func (n *worldNode) take(t *rapid.T, fn func(*Tx) error) {
	if rapid.IntRange(0, 5).Draw(t, "the first commit fails") == 0 {
		require.ErrorIs(t, n.l.Update(func(tx *Tx) error { return errors.Join(fn(tx), errNotNow) }), errNotNow)
	}
	update(t, n.l, fn)
}

func (n *worldNode) page(t *rapid.T, page []Event) {
	in := n.w.in
	in.Now = n.now
	n.take(t, func(tx *Tx) error { _, err := tx.Append(page, in); return err })
}

func (n *worldNode) rows(t *rapid.T) {
	k := min(len(n.rest), rapid.IntRange(1, 20).Draw(t, "page"))
	var page []Event
	for _, e := range n.rest[:k] {
		if rapid.IntRange(0, 4).Draw(t, "is late") == 0 {
			n.late = append(n.late, e)
		} else {
			page = append(page, e)
		}
	}
	n.rest = n.rest[k:]
	n.page(t, page)
}

func (n *worldNode) lateRows(t *rapid.T) {
	n.page(t, n.late)
	n.late = nil
}

// prove takes what the chain says of a deposit, often by way of a block that is not final.
func (n *worldNode) prove(t *rapid.T) {
	var open []Event
	require.NoError(t, n.l.View(func(tx *Tx) (err error) { open, err = tx.OpenDeposits(0, 100); return err }))
	for _, e := range open {
		is := n.w.proofs[e.ID]
		if rapid.Bool().Draw(t, "a block that is not final") {
			is = rapid.SampledFrom([]Proof{Unproven, Pending}).Draw(t, "seen")
		}
		n.take(t, func(tx *Tx) error { _, err := tx.SetProof(e.ID, is, n.now); return err })
	}
}

func (n *worldNode) ask(t *rapid.T) {
	if len(n.asked) > 0 {
		i := rapid.IntRange(0, len(n.asked)-1).Draw(t, "request")
		n.take(t, func(tx *Tx) error { _, err := tx.PutWithdrawal(n.asked[i]); return err })
		n.asked = append(n.asked[:i:i], n.asked[i+1:]...)
	}
}

func (n *worldNode) decide(t *rapid.T) {
	if len(n.fates) > 0 {
		s := n.fates[0]
		n.fates = n.fates[1:]
		n.take(t, func(tx *Tx) error { return tx.putSpent(s) })
		if s.Kind == SpentItem {
			n.paid = append(n.paid, s.Content.WID)
		}
	}
}

func (n *worldNode) pay(t *rapid.T) {
	for _, wid := range n.paid {
		n.take(t, func(tx *Tx) error { return tx.BookPaid(wid) })
	}
	n.paid = nil
}

func (n *worldNode) tick(t *rapid.T) {
	n.now = min(n.w.end, n.now+uint64(rapid.IntRange(0, 5).Draw(t, "days"))*dayMS)
	n.take(t, func(tx *Tx) error { return tx.Tick(n.now) })
}

func (n *worldNode) restart(t *rapid.T) {
	require.NoError(t, n.l.Close())
	n.l = booksAt(t, n.dir)
}

// live lets everything reach the books, in an order of its own.
func (w *world) live(t *rapid.T, dir string) *Ledger {
	n := &worldNode{w: w, dir: dir, l: booksAt(t, dir), rest: w.log, asked: append([]Withdrawal{}, w.asked...), fates: w.fates, now: 1}
	steps := []func(*rapid.T){n.rows, n.rows, n.lateRows, n.prove, n.ask, n.decide, n.pay, n.tick, n.restart}
	for range rapid.IntRange(0, 30).Draw(t, "steps") {
		rapid.SampledFrom(steps).Draw(t, "step")(t)
	}
	for len(n.rest) > 0 {
		n.rows(t)
	}
	n.lateRows(t)
	for len(n.asked) > 0 {
		n.ask(t)
	}
	for len(n.fates) > 0 {
		n.decide(t)
	}
	n.pay(t)
	n.now = w.end
	update(t, n.l, func(tx *Tx) error { return tx.Tick(w.end) })
	for _, e := range rapid.Permutation(w.log).Draw(t, "proofs") {
		update(t, n.l, func(tx *Tx) error {
			if is, ok := tx.ProofOf(e.ID); !ok || is == Counted || is == Contradicted {
				return nil // no deposit, a malformed amount, history, or said
			}
			_, err := tx.SetProof(e.ID, w.proofs[e.ID], w.end)
			return err
		})
	}
	return n.l
}

// tableOf is the part of the state that one bucket is.
func tableOf(t *rapid.T, l *Ledger, name []byte) (h common.Hash) {
	require.NoError(t, l.View(func(tx *Tx) (err error) { h, err = tx.hashOf([][]byte{name}); return err }))
	return h
}

// TestNoInterleavingMakesBooksDiffer: rows in pages of any size, late or not, requests, proofs, decisions and payments at any
// moment, over restarts and commits that fail, end in one root and one state, and the log gives them again.
func TestNoInterleavingMakesBooksDiffer(t *testing.T) {
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := func(name string) string {
			d := fmt.Sprintf("%s/%d-%s", base, runs, name)
			makeDir(t, d)
			return d
		}
		w := drawWorld(t, dir("cut"))
		a, b, again := w.live(t, dir("a")), w.live(t, dir("b")), booksAt(t, dir("again"))
		defer func() { require.NoError(t, errors.Join(a.Close(), b.Close(), again.Close())) }()
		require.Equal(t, checked(t, a), checked(t, b))
		for _, name := range booksBuckets() {
			require.Equal(t, tableOf(t, a, name), tableOf(t, b, name), "%s", name)
		}
		require.Equal(t, stateOf(t, a), stateOf(t, b))
		ha, hb := historyOf(t, a), historyOf(t, b)
		ha.Base, hb.Base = wei(0), wei(0) // it only falls, with whatever covered a debt of the history for a while
		require.Equal(t, ha, hb)
		require.Equal(t, w.in.History.Event > 0, historyOf(t, a).Sealed)
		_, err := a.Rebuild(context.Background(), again, w.in, nil)
		require.NoError(t, err)
		checked(t, again)
	})
}
