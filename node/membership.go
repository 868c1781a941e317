package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
)

// Rhythms of a change of members.
const (
	followEvery = time.Second // how often it is looked which change is carried out
	// farewell is how long members that left stay connected, to hear of it: their connections close within five seconds.
	farewell = 3 * time.Second
	// probeEvery is how often a node that is no member asks the others how far they are: nobody tells it.
	probeEvery = 2 * time.Second
	// deleteAgain is when the destruction of old shares is tried again: a sealed vault lets nobody write.
	deleteAgain = time.Minute
)

// membership is what the core knows of who is linked with whom beyond the committee in force.
type membership struct {
	outside bool            // this node is no member, or was none before the decision that is being followed
	invited []quorum.Member // by whom this node was asked to join: members later than the genesis document's

	linked     map[common.Address]common.Hash // by digest of the record, as the wire was told last
	left       []quorum.Member                // who ruled before the last change
	leftUntil  time.Time
	nextLook   time.Time
	nextProbe  time.Time
	nextDelete time.Time // zero: nothing is to be destroyed
	nextPast   time.Time
	asking     bool // for past outcomes
	turn       int  // whom to ask next
	deleting   bool
	made       []made // shares of changes that are not decided
	deletion   []byte // this node's own word that it destroyed its old share
}

// member reports whether this node is one of the committee in force.
func (c *core) member() bool { return c.state.Roster.IDs().Has(c.self) }

// settleMembership follows a change of who rules, at the start and after each decision that makes one: what this node may say, whom it
// hears, and what it still holds.
func (c *core) settleMembership() {
	ids := c.state.Roster.IDs()
	c.office.Store(&ids)
	c.led.SetMember(c.member())
	c.members.nextDelete = c.now()
	c.relink()
	if c.member() {
		c.alerts.recover(codeRemoved)
	} else if c.ruledBefore() {
		c.alerts.ensure(alertRemoved(c.state.Roster.Epoch))
	}
	if c.members.outside && c.member() {
		c.tripPostponed() // a fuse that blew before the others would hear of it
	}
	c.members.outside = !c.member()
}

// ruledBefore reports whether this node was a member of an earlier epoch.
func (c *core) ruledBefore() bool {
	for epoch := c.state.Roster.Epoch; epoch > 1; epoch-- {
		if was, _, _ := c.epochRoster(epoch - 1); was.IDs().Has(c.self) {
			return true
		}
	}
	founders, err := c.genesis.Roster()
	return err == nil && founders.IDs().Has(c.self)
}

// epochRoster is who ruled in an epoch: the genesis document's members before the first decision.
func (c *core) epochRoster(epoch uint64) (r quorum.Roster, ok bool, err error) {
	err = c.led.View(func(tx *ledger.Tx) (err error) { r, _, _, ok, err = tx.EpochRecord(epoch); return err })
	return r, ok, err
}

// links are those that this node talks with: the committee in force, the next one while a change is carried out, who just left,
// and for a newcomer who invited it.
func (c *core) links() []quorum.Member {
	all := slices.Clone(c.state.Roster.Members)
	add := func(more []quorum.Member) {
		for _, m := range more {
			if !slices.ContainsFunc(all, func(o quorum.Member) bool { return o.Address == m.Address }) {
				all = append(all, m)
			}
		}
	}
	if c.ceremony != nil {
		add(c.ceremony.target.Members)
	}
	if c.now().Before(c.members.leftUntil) {
		add(c.members.left)
	}
	if !c.member() {
		add(c.members.invited)
	}
	return slices.DeleteFunc(all, func(m quorum.Member) bool { return m.Address == c.self })
}

// linked are the ids of [core.links], ascending.
func (c *core) linked() quorum.Members {
	var ids quorum.Members
	for _, m := range c.links() {
		ids = append(ids, m.Address)
	}
	slices.SortFunc(ids, common.Address.Cmp)
	return ids
}

// dialable are the addresses of a record that the wire takes. Operators may sign any text, and a committee may decide it; who has none
// that can be dialled dials the others, and nobody stops for it.
func (c *core) dialable(m quorum.Member) (out []string) {
	for _, a := range m.Multiaddrs {
		if err := p2p.Dialable(a); err != nil {
			c.log.Warn("a member's address cannot be dialled", zap.String("name", m.Name), zap.Error(err))
			continue
		}
		out = append(out, a)
	}
	return out
}

// undialable is what is wrong with the addresses of a proposed committee.
func undialable(v quorum.VerifiedAction) error {
	change, ok := v.Body().(quorum.MemberChange)
	if !ok {
		return nil
	}
	for _, m := range change.Members {
		for _, a := range m.Multiaddrs {
			if err := p2p.Dialable(a); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
	}
	return nil
}

// relink tells the wire whom to connect with, when that changed.
func (c *core) relink() {
	links, now := c.links(), map[common.Address]common.Hash{}
	var peers []p2p.Peer
	for _, m := range links {
		now[m.Address] = quorum.MemberDigest(m)
		peers = append(peers, p2p.Peer{Address: m.Address, PublicKey: m.PublicKey, Multiaddrs: c.dialable(m)})
	}
	same := len(now) == len(c.members.linked)
	for id, digest := range now {
		same = same && c.members.linked[id] == digest
	}
	if same {
		return
	}
	if err := c.net.SetMembers(peers); err != nil {
		c.stop(fmt.Errorf("set members: %w", err))
		return
	}
	c.members.linked = now
}

// tickMembership does what is due.
func (c *core) tickMembership(now time.Time) {
	m := &c.members
	c.followOld()
	if !now.Before(m.nextLook) {
		m.nextLook = now.Add(followEvery)
		c.followChange(now)
		c.dropVoid()
	}
	if !c.member() && !now.Before(m.nextProbe) {
		m.nextProbe = now.Add(probeEvery)
		c.probe()
	}
	c.askPast(now)
	if !m.nextDelete.IsZero() && !now.Before(m.nextDelete) && !m.deleting {
		c.deleteOld()
	}
}

// followChange begins, goes on with, or gives up the change of members that operators signed for. What was made for another one
// stays in the vault until a decision makes it void: it may have been put to the vote already.
func (c *core) followChange(now time.Time) {
	if !c.state.Founded() {
		return
	}
	active, ok := c.state.ActiveChange(c.openActions(), uint64(now.UnixMilli()))
	if !ok && c.state.Ordered != (common.Hash{}) {
		c.followOrder()
		return
	}
	var hash common.Hash
	if ok {
		hash = active.Action().Hash(c.network)
	}
	if f := c.ceremony; f != nil && f.hash != hash {
		c.log.Info("change of members given up", zap.Stringer("change", f.hash))
		f.end()
		c.ceremony = nil
	}
	if f := c.ceremony; ok && f != nil {
		f.change = active // later signatures live longer
	} else if ok {
		c.beginChange(active, hash)
	}
	c.relink()
}

func (c *core) beginChange(active quorum.VerifiedAction, hash common.Hash) {
	change, ok := active.Body().(quorum.MemberChange)
	if !ok {
		return
	}
	target, err := change.Roster(c.state.Roster.Epoch)
	if err != nil || (!target.IDs().Has(c.self) && !c.member()) {
		return
	}
	f := c.newCeremony(target)
	f.change, f.hash = active, hash
	c.log.Info("change of members begins", zap.Stringer("change", hash), zap.Uint64("epoch", target.Epoch), zap.Int("members", len(target.Members)))
	c.ceremony = f
	if err := f.again(c, 0); err != nil {
		c.stop(err)
	}
}

// probe asks who is linked how far they are, off the core, and follows whoever says that it is ahead.
func (c *core) probe() {
	for _, peer := range c.connected() {
		if peer == c.self {
			continue
		}
		c.spawn(func() {
			var m newestMsg
			if c.request(peer, syncReq{What: syncNewest, ID: common.BytesToHash(c.self[:])}, &m) != nil || m.Height == 0 {
				return
			}
			c.post(func() {
				if m.Height-1 > c.state.Height {
					c.behind[peer] = max(c.behind[peer], m.Height-1)
				}
			})
		})
	}
}

// changedMembers follows a MEMBERS decision that is on disk: was ruled until now.
func (c *core) changedMembers(was quorum.Roster) {
	if c.ceremony != nil {
		c.ceremony.end()
		c.ceremony = nil
	}
	c.members.left, c.members.leftUntil = was.Members, c.now().Add(farewell)
	c.members.deletion = nil
	c.settleMembership()
}

// deleteOld destroys the shares from before the epoch in force, and says so; while an old payer holds something, its shares stay. It runs when that epoch is decided
// and at each start: what a crash left is destroyed then. The share of the epoch in force is never touched.
func (c *core) deleteOld() {
	epoch, key := c.state.Roster.Epoch, c.state.Key
	c.members.nextDelete = time.Time{}
	if epoch < 2 || c.state.Old != nil { // what the old payer holds is not swept yet
		return
	}
	var now quorum.Transcript
	if err := c.led.View(func(tx *ledger.Tx) error {
		_, action, _, err := tx.CurrentEpoch()
		now = action.Transcript
		return err
	}); err != nil {
		c.stop(err)
		return
	}
	c.members.deleting = true
	stays := c.member()
	c.spawn(func() {
		err := destroyOld(c.vault, key, now, stays)
		c.post(func() {
			c.members.deleting = false
			if err != nil {
				c.members.nextDelete = c.now().Add(deleteAgain)
				c.alerts.ensure(alertOldShare(epoch, err))
				return
			}
			c.alerts.recover(codeOldShare)
			if c.state.Roster.Epoch == epoch {
				c.sayDeleted(epoch)
			}
		})
	})
}

// destroyOld removes each share but that of the transcript in force, of whatever key: an earlier one's payer is empty. A share of a later epoch stays: it may be put to
// the vote at any time.
func destroyOld(vault KeyStore, key quorum.PublicKey, now quorum.Transcript, stays bool) error {
	shares, err := vault.Shares()
	if err != nil {
		return err
	}
	var all error
	for _, s := range shares {
		t := s.Transcript()
		switch {
		case t.Epoch > now.Epoch || (t.Epoch == now.Epoch && t.Session == now.Session):
		case t.Epoch == now.Epoch || !stays || t.PublicKey != key: // of another key: of a payer that was emptied
			all = errors.Join(all, vault.DropShare(t))
		default:
			all = errors.Join(all, vault.DeleteShare(t, now))
		}
	}
	return all
}

// sayDeleted signs and keeps this node's word that its old share is gone, if it had one.
func (c *core) sayDeleted(epoch uint64) {
	was, _, err := c.epochRoster(epoch - 1)
	if err != nil || !was.IDs().Has(c.self) {
		c.stop(err)
		return
	}
	s, err := quorum.Sign(c.key, c.network, quorum.Deletion{Epoch: epoch})
	if err != nil {
		c.stop(err)
		return
	}
	if c.keepDeletion(s) == nil {
		c.members.deletion = s.Bytes()
		for _, id := range c.linked() {
			c.send(id, protoSigning, marshal(signMsg{signStatement, s.Bytes()}))
		}
	}
}

func (c *core) keepDeletion(s quorum.Signed[quorum.Deletion]) error {
	was, _, err := c.epochRoster(s.Body().Epoch - 1)
	if err != nil {
		return err
	}
	fresh := false
	if !c.attempt("keep deletion", func(tx *ledger.Tx) (err error) { fresh, err = tx.PutDeletion(s, was.IDs()); return err }) {
		return errStatement
	}
	if fresh {
		c.log.Info("old share destroyed", zap.Stringer("member", s.Signer()), zap.Uint64("epoch", s.Body().Epoch))
	}
	return nil
}

// errStatement refuses a statement that does not count here.
var errStatement = errors.New("a statement that does not count here")

// hearDeletion takes a member's word about its old share. Who left may still say it.
func (c *core) hearDeletion(from common.Address, raw []byte) error {
	s, err := quorum.Open[quorum.Deletion](c.network, quorum.Members{from}, raw)
	if err != nil {
		return err
	}
	return c.keepDeletion(s)
}
