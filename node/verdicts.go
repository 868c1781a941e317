package node

import (
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// keptTogether bounds the verdicts of one commit: a commit holds up the core, and a sync of the disk costs the same for one
// verdict as for many.
const keptTogether = 256

// inbox gathers members' verdicts until the core comes to them: what came meanwhile costs one commit, not one each. A network that pays
// a thousand in a minute hears fifty verdicts a second, and a disk syncs some hundred times.
type inbox struct {
	mu    sync.Mutex // guards what follows
	said  [][]byte
	asked bool // the core was asked to come
}

// put takes a verdict in, and reports whether the core must be asked to come. ok is false when there are too many: they are told again.
func (b *inbox) put(raw []byte) (ask, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) >= taskQueue {
		return false, false
	}
	b.said = append(b.said, raw)
	ask, b.asked = !b.asked, true
	return ask, true
}

// take empties it.
func (b *inbox) take() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said, b.asked = nil, false
	return said
}

// unasked: the core could not be asked to come. The next verdict asks again.
func (b *inbox) unasked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = false
}

func (b *inbox) bound() quorum.Bound {
	b.mu.Lock()
	defer b.mu.Unlock()
	return quorum.Bound{Name: "inbox.said", Held: len(b.said), Most: taskQueue}
}

// verdict hands a gossiped verdict to the core; false for anything else.
func (n *Node) verdict(via common.Address, raw []byte) bool {
	if kind, err := quorum.PeekKind(raw); err != nil || !isVerdict(kind) {
		return false
	}
	ask, ok := n.core.inbox.put(raw)
	if ask && !n.core.offer(func() { n.core.hearFacts(n.core.inbox.take()) }) {
		n.core.inbox.unasked()
		ok = false
	}
	if !ok {
		n.refusals.add(via, refusedFull, errCoreFull)
	}
	return true
}

func isVerdict(k quorum.Kind) bool { return k == quorum.KindApprove || k == quorum.KindRefuse }

// hearFacts takes statements that came together: verdicts among them are kept in one commit.
func (c *core) hearFacts(raws [][]byte) {
	var heard []heardVerdict
	for _, raw := range raws {
		kind, err := quorum.PeekKind(raw)
		if err != nil || !isVerdict(kind) {
			c.hearFact(raw)
			continue
		}
		if v, ok := c.hearVerdict(kind, raw); ok {
			heard = append(heard, v)
		}
		if len(heard) == keptTogether {
			c.keepVerdicts(heard)
			heard = nil
		}
	}
	c.keepVerdicts(heard)
}

// heardVerdict is a verdict that was opened.
type heardVerdict struct {
	signer  common.Address
	wid     uint64
	epoch   uint64
	policy  quorum.PolicyRef
	counter uint64
	raw     []byte
	put     func(*ledger.Tx) error
	add     func()
}

func (c *core) openVerdict(kind quorum.Kind, raw []byte) (heardVerdict, error) {
	members := c.state.Roster.IDs()
	if kind == quorum.KindApprove {
		s, err := quorum.Open[quorum.Approve](c.network, members, raw)
		b := s.Body()
		return heardVerdict{s.Signer(), b.WID, b.Epoch, b.Policy, b.Counter, raw,
			func(tx *ledger.Tx) error { _, _, err := tx.PutApproval(s); return err }, func() { c.pool.addApproval(s) }}, err
	}
	s, err := quorum.Open[quorum.Refuse](c.network, members, raw)
	b := s.Body()
	return heardVerdict{s.Signer(), b.WID, b.Epoch, b.Policy, b.Counter, raw,
		func(tx *ledger.Tx) error { _, _, err := tx.PutRefusal(s); return err }, func() { c.pool.addRefusal(s) }}, err
}

// hearVerdict opens a verdict and reports whether it must be kept.
func (c *core) hearVerdict(kind quorum.Kind, raw []byte) (v heardVerdict, ok bool) {
	if c.pool.holds(raw) {
		return v, false // told again every ten seconds and with each batch: no signature is verified for it, and nothing written
	}
	v, err := c.openVerdict(kind, raw)
	if err != nil {
		return v, false
	}
	c.overhear(v.signer, v.counter, quorum.VotePlace{}, raw)
	if v.signer == c.self && c.foreign(v.counter, 0, raw) {
		return v, false
	}
	if c.state.Decided(v.wid) {
		c.gainsaid(v.wid, v.signer, v.epoch, v.policy, raw)
		c.answerDecided(v.signer, c.state.Height)
		return v, false
	}
	return v, true
}

// keepVerdicts writes others' verdicts down, and counts all. The ledger sees a second verdict of a member too: it is the evidence
// against who gave it. Where a rule refuses one of several each is tried alone: the others must not fall with it.
func (c *core) keepVerdicts(heard []heardVerdict) {
	others := slices.DeleteFunc(slices.Clone(heard), func(v heardVerdict) bool { return v.signer == c.self })
	if len(others) > 0 && !c.attempt("keep verdicts", func(tx *ledger.Tx) error {
		for _, v := range others {
			if err := v.put(tx); err != nil {
				return err
			}
		}
		return nil
	}) && len(others) > 1 {
		for _, v := range others {
			c.keepVerdicts([]heardVerdict{v})
		}
	}
	for _, v := range heard {
		v.add()
	}
}
