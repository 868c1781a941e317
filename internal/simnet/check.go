package simnet

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/chain"
	"conclave/chain/memchain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// Report counts what [World.Check] looked at.
type Report struct {
	Decisions int // heights
	Paid      int // withdrawals that the chain shows paid
	Said      int // statements that were sent and stand on a disk
	Locked    int // prevotes of custodians that were locked
	Turned    int // those for another value, each allowed by a newer certificate
	Bounds    int // lists, maps and queues that were compared with their bounds while custodians ran
	Equal     int // custodians whose books were compared with another's

	paid map[uint64]uint64 // nonces by withdrawal
}

// broken names the invariant that does not hold.
func broken(invariant, format string, args ...any) error {
	return fmt.Errorf("%s: %s", invariant, fmt.Sprintf(format, args...))
}

// disk is what one custodian's ledger holds.
type disk struct {
	c         *Custodian
	decisions map[uint64]common.Hash
	values    map[uint64]batch.Batch
	slots     map[ledger.SlotKey]common.Hash
	own       map[common.Hash]bool
	counted   map[common.Address]uint256.Int
	paid      int
	height    uint64
	root      common.Hash
	events    uint64
	state     common.Hash
	frozen    string // what stands against accounts
	unproven  string // deposits whose proof is under way
	asked     string // the withdrawals that its Relay has listed to it
	deeds     deeds
}

// Check compares every disk with itself, with the others and with the chain. Nothing may run. Members that a test made
// misbehave are left out: what they hold is their affair.
func (w *World) Check() (Report, error) {
	r := Report{Bounds: w.bounded}
	var disks []disk
	for _, c := range w.Custodians {
		if c.Running() {
			return r, fmt.Errorf("check: %s still runs", c.Name)
		}
		if w.faulty[c.Index] {
			continue
		}
		d, err := w.readDisk(c)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.Name, err)
		}
		disks = append(disks, d)
	}
	for _, check := range []func(*Report, []disk) error{w.checkDecisions, w.checkSaid, w.checkChain, w.checkEqual, w.checkDeeds, w.checkLocks} {
		if err := check(&r, disks); err != nil {
			return r, err
		}
	}
	return r, w.checkSecrets()
}

// readDisk opens a ledger as a restart would, verifies it alone, and reads what is to be compared.
func (w *World) readDisk(c *Custodian) (disk, error) {
	d := disk{c: c, decisions: map[uint64]common.Hash{}, values: map[uint64]batch.Batch{}, slots: map[ledger.SlotKey]common.Hash{},
		own: map[common.Hash]bool{}, counted: map[common.Address]uint256.Int{}}
	l, err := ledger.Open(c.dir, w.network)
	if err != nil {
		return d, err
	}
	roster, err := w.Genesis.Roster()
	if err == nil {
		_, err = l.CheckBooks(nil)
	}
	if err == nil {
		_, err = l.CheckProtocol(ledger.Founding{Roster: roster, FirstNonce: map[uint64]uint64{chainID: 0, otherChainID: 0}})
	}
	if err == nil {
		err = l.Rollback() // I12: what was said is not forgotten
	}
	if err == nil {
		err = l.View(func(tx *ledger.Tx) error { return d.read(w, tx) })
	}
	return d, errors.Join(err, l.Close())
}

func (d *disk) read(w *World, tx *ledger.Tx) error {
	err := tx.Decisions(1, func(u quorum.UncheckedDecision) error {
		b, err := batch.Decode(u.Value)
		d.decisions[u.Commit.Height], d.values[u.Commit.Height] = u.Commit.ID, b
		return err
	})
	if err != nil {
		return err
	}
	err = tx.Slots(func(s ledger.Slot, _ ledger.Payout) error { d.slots[s.Key] = s.Batch; return nil })
	if err != nil {
		return err
	}
	err = tx.OwnStatements(0, func(_ uint64, _ quorum.Kind, raw []byte) error { d.own[crypto.Keccak256Hash(raw)] = true; return nil })
	if err != nil {
		return err
	}
	err = tx.PaidWithdrawals(func(ledger.Paid) error { d.paid++; return nil })
	if err != nil {
		return err
	}
	for _, u := range w.users {
		a, _, err := tx.Account(u.Address, 0)
		if err != nil {
			return err
		}
		d.counted[u.Address] = a.Counted
	}
	if err := d.readFreezes(w, tx); err != nil {
		return err
	}
	open, err := tx.OpenDeposits(0, math.MaxInt)
	if err != nil {
		return err
	}
	for _, e := range open {
		p, _ := tx.ProofOf(e.ID)
		d.unproven += fmt.Sprintf("%d %s ", e.ID, p)
	}
	asked, err := tx.Withdrawals(ledger.WithdrawalFilter{})
	if err != nil {
		return err
	}
	for _, a := range asked {
		d.asked += fmt.Sprintf("%d ", a.ID)
	}
	totals, err := tx.Totals()
	if err != nil {
		return err
	}
	d.height, d.root, d.events = tx.LastHeight(), totals.Root, totals.Events
	if d.state, err = tx.StateHash(); err != nil {
		return err
	}
	if err := d.readDeeds(w, tx); err != nil {
		return err
	}
	return d.readLock(w, tx)
}

// checkDecisions is I1, I6, I7 and I11 over all disks: one decision per height, one payout per withdrawal, one batch per
// nonce, and no nonce left out.
func (w *World) checkDecisions(r *Report, disks []disk) error {
	decided, slots := map[uint64]common.Hash{}, map[ledger.SlotKey]common.Hash{}
	for _, d := range disks {
		for h, id := range d.decisions {
			if was, ok := decided[h]; ok && was != id {
				return broken("I1", "height %d was decided as %s and, by %s, as %s", h, was, d.c.Name, id)
			}
			decided[h] = id
		}
		for k, id := range d.slots {
			if was, ok := slots[k]; ok && was != id {
				return broken("I7", "%s names %s and, by %s, %s", k, was, d.c.Name, id)
			}
			slots[k] = id
		}
	}
	r.Decisions = len(decided)
	items, nonces := map[uint64]uint64{}, map[uint64][]uint64{}
	values := w.allValues(disks)
	for _, h := range slices.Sorted(maps.Keys(values)) {
		b := values[h]
		if err := w.releasedItems(values, h, items); err != nil {
			return err
		}
		if b.Kind == batch.Allow {
			nonces[b.Lane.ChainID] = append(nonces[b.Lane.ChainID], b.Nonce)
		}
		for _, it := range b.Items {
			if was, ok := items[it.Content.WID]; ok {
				return broken("I6", "withdrawal %d is paid by height %d and by height %d", it.Content.WID, was, h)
			}
			items[it.Content.WID] = h
			nonces[b.Lane.ChainID] = append(nonces[b.Lane.ChainID], b.Nonce)
		}
	}
	for id, used := range nonces {
		slices.Sort(used)
		for n, nonce := range slices.Compact(used) {
			if nonce != uint64(n) {
				return broken("I11", "of %d nonces on chain %d, %d is missing", len(used), id, n)
			}
		}
	}
	return nil
}

func (w *World) allValues(disks []disk) map[uint64]batch.Batch {
	out := map[uint64]batch.Batch{}
	for _, d := range disks {
		for h, b := range d.values {
			out[h] = b
		}
	}
	return out
}

// checkSaid is the second half of I2: every statement with a counter that left a custodian stands on its disk.
func (w *World) checkSaid(r *Report, disks []disk) error {
	for _, d := range disks {
		for id := range w.wire.said[d.c.Index] {
			if !d.own[id] {
				return broken("I2", "%s sent a statement %s that its disk does not hold", d.c.Name, id)
			}
			r.Said++
		}
	}
	return nil
}

// checkEqual is I13: custodians with one log, the same list of withdrawals, the same decisions and the same proofs have the same books. The list
// is a page of the Relay's of its own: a custodian that it was silent to may have the row of a request before the request. Where an account is frozen on one of
// them alone, what it was shown late came behind its own approval, which the other never gave.
func (w *World) checkEqual(r *Report, disks []disk) error {
	for i, d := range disks {
		for _, o := range disks[:i] {
			if d.root != o.root || d.events != o.events || d.height != o.height || d.paid != o.paid || d.frozen != o.frozen || d.unproven != o.unproven || d.asked != o.asked {
				continue
			}
			r.Equal++
			if d.state != o.state {
				return broken("I13", "%s and %s read the same log and decisions, and their books differ", o.c.Name, d.c.Name)
			}
		}
	}
	return nil
}

// payment is one transaction of the payer in a block.
type payment struct {
	from  common.Address
	to    common.Address
	value uint256.Int
	nonce uint64
	fee   uint256.Int
	good  bool
	theft bool // by somebody who has the whole key, as a test wanted
	data  []byte
	items []arrival // whom it pays; a failed transaction paid none of them
	token common.Address
}

// payments reads a whole chain.
func (w *World) payments(end *memchain.Endpoint) ([]payment, error) {
	head, err := end.Head(w.bare())
	if err != nil {
		return nil, err
	}
	var out []payment
	payers := w.payers()
	for n := range head.Number + 1 {
		h, err := end.HeaderAt(w.bare(), n)
		if err != nil {
			return nil, err
		}
		for _, from := range payers {
			sent, err := w.sentBy(end, from, h)
			if err != nil {
				return nil, err
			}
			out = append(out, sent...)
		}
	}
	return out, nil
}

// sentBy reads one block.
func (w *World) sentBy(end *memchain.Endpoint, from common.Address, h chain.Header) (out []payment, err error) {
	sent, err := end.Sent(w.bare(), from, h)
	if err != nil {
		return nil, err
	}
	for _, tx := range sent {
		receipt, err := end.Receipt(w.bare(), tx.Hash)
		if err != nil {
			return nil, err
		}
		p := payment{from: from, to: tx.To, value: tx.Value, nonce: tx.Nonce, good: receipt.Status == 1, theft: slices.Contains(w.embezzled, tx.Hash), data: tx.Data}
		if err := p.arrivals(w.Genesis.Lanes, receipt); err != nil {
			return nil, err
		}
		p.fee.Mul(&receipt.GasPrice, uint256.NewInt(receipt.GasUsed))
		out = append(out, p)
	}
	return out, nil
}

// checkChain is I8, I9 and I10: every transaction of the payer is the one of a decided batch, what left the payer is what
// was paid and its fees, and nobody got more than q−f custodians count as earned.
func (w *World) checkChain(r *Report, disks []disk) error {
	got := map[common.Address]*uint256.Int{}
	err := w.checkPayer(r, disks, got, chainID, w.Chain, w.end, w.funded)
	if err == nil && w.other != nil {
		err = w.checkPayer(r, disks, got, otherChainID, w.other.chain, w.other.end, w.other.funded)
	}
	if err != nil {
		return err
	}
	return w.checkEarned(disks, got)
}

// checkPayer looks at the payer on one chain, and adds what accounts got there.
func (w *World) checkPayer(r *Report, disks []disk, got map[common.Address]*uint256.Int, id uint64, c *memchain.Chain, end *memchain.Endpoint, funded uint256.Int) error {
	all, err := w.payments(end)
	if err != nil {
		return err
	}
	byNonce := map[ledger.SlotKey][]batch.Batch{}
	for _, b := range w.allValues(disks) {
		if b.GasLimit > 0 && b.Lane.ChainID == id {
			at := ledger.SlotKey{Payer: b.Lane.Payer, Nonce: b.Nonce}
			byNonce[at] = append(byNonce[at], b)
		}
	}
	var out uint256.Int
	for _, p := range all {
		if p.theft {
			out.Add(out.Add(&out, &p.fee), &p.value)
			continue
		}
		b, ok := w.renderedBy(byNonce[ledger.SlotKey{Payer: p.from, Nonce: p.nonce}], p)
		if !ok {
			return broken("I10", "the payer sent %s wei to %s at nonce %d, which nobody decided", p.value.Dec(), p.to, p.nonce)
		}
		out.Add(&out, &p.fee)
		if p.good && b.Kind == batch.Payout { // what a SWEEP moves stays with a payer, and a CANCEL moves nothing
			if err := r.payOnce(b); err != nil {
				return err
			}
			out.Add(&out, &p.value)
			credit(b, got)
		}
	}
	if err := errors.Join(checkClaims(c, all), w.checkTokens(c, all)); err != nil {
		return err
	}
	for _, payer := range w.payers() {
		left := c.Balance(payer)
		out.Add(&out, &left)
	}
	if out != funded {
		return broken("I9", "the payer had %s wei; what it holds, paid and burnt is %s", funded.Dec(), out.Dec())
	}
	return nil
}

func (w *World) checkEarned(disks []disk, got map[common.Address]*uint256.Int) error {
	founders := quorum.Members(w.roster()[:len(w.Genesis.Members)]) // no story has a smaller quorum than theirs
	for account, sum := range got {
		var counted []uint256.Int
		for _, d := range disks {
			counted = append(counted, d.counted[account])
		}
		slices.SortFunc(counted, func(a, b uint256.Int) int { return b.Cmp(&a) })
		// The (q − f)-th largest: that many honest custodians count at least so much.
		if need := founders.Q() - founders.F(); len(counted) < need || sum.Gt(&counted[need-1]) {
			return broken("I8", "%s was paid %s wei, more than %d custodians count as earned", account, sum.Dec(), need)
		}
	}
	return nil
}

// Arrived checks that the destination of a request holds its amount, in the newest block.
func (w *World) Arrived(r *Request) error {
	end := w.end
	if r.network == OtherNetwork {
		end = w.other.end
	}
	all, err := w.payments(end)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.good && slices.ContainsFunc(p.items, func(a arrival) bool { return !a.owed && a.To == r.User.To && a.Amount.ToBig().Cmp(r.Amount) == 0 }) {
			return nil
		}
	}
	return fmt.Errorf("no payment of %s wei to %s", r.Amount, r.User.To)
}
