package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// standingFresh is how long a member's word about itself holds: it is said again every second.
const standingFresh = 10 * time.Second

// ErrFingerprint means that another member's operator confirmed another committee, or other parameters, than this one's. Nothing
// was made, and nothing is before people found out why.
var ErrFingerprint = errors.New("another fingerprint was confirmed")

// stage is how far a member is in a ceremony, as it says itself.
type stage uint8

const (
	stageWaiting stage = iota // it has nothing to do in this attempt
	stageSealed               // its vault is
	stageAsking               // it was started just now, and asks how far it has spoken
	stagePrimes               // it looks for preparameters, for so many seconds
	stageReady                // it calls for the attempt
	stageRound                // in so many rounds of so many
	stageShares               // its share is saved and every member signed for theirs; the shares are tried
	stageProofs               // all proofs are here: they are put to the vote
	stages
)

// standingMsg is what a member says of itself every second while a ceremony goes on. It is unsigned: the stream tells whose word it
// is, and it binds nobody.
type standingMsg struct {
	Epoch     uint64
	Change    common.Hash
	Confirmed quorum.Fingerprint // what its operator confirmed; zero in a change of members, which operators signed
	Stage     stage
	Done, Of  uint64 // rounds, or seconds
}

// heardStanding is a member's last word, and when it came.
type heardStanding struct {
	standingMsg
	at time.Time
}

// confirmed reports whether this node may take part. A key is made only once its operator confirmed for which members and rules; who
// holds the key, or all proofs of it, signed its transcript, so its operator did so before. A change of members is what operators
// signed, whole.
func (f *ceremony) confirmed(c *core) bool {
	return !f.founding() || f.key != nil || f.action != nil || c.confirmed == c.genesis.Fingerprint()
}

// allConfirmed reports whether every member of the founding says that its operator confirmed the same, and said so just now.
func (f *ceremony) allConfirmed(c *core) bool {
	for _, id := range f.party(c) {
		if heard, ok := f.standings[id]; f.founding() && (!ok || heard.Confirmed != c.confirmed || c.now().Sub(heard.at) > standingFresh) {
			return false
		}
	}
	return true
}

// standing is this node's own.
func (f *ceremony) standing(c *core) standingMsg {
	m := standingMsg{Epoch: f.target.Epoch, Change: f.hash, Stage: stageWaiting}
	if f.founding() {
		m.Confirmed = c.genesis.Fingerprint()
	}
	switch {
	case f.action != nil:
		m.Stage = stageProofs
	case f.key != nil:
		m.Stage = stageShares
	case c.sealed:
		m.Stage = stageSealed
	case c.question.closed:
		m.Stage = stageAsking
	case f.running:
		m.Stage, m.Done, m.Of = stageRound, uint64(f.round), uint64(f.rounds)
	case f.finding:
		m.Stage, m.Done = stagePrimes, uint64(max(0, c.now().Sub(f.searched).Seconds()))
	case f.ready(c):
		m.Stage = stageReady
	}
	return m
}

// sayStanding tells the others how far this node is.
func (f *ceremony) sayStanding(c *core, now time.Time) {
	if now.Before(f.nextStanding) {
		return
	}
	f.nextStanding = now.Add(callEvery)
	m := f.standing(c)
	f.standings[c.self] = heardStanding{m, now}
	f.tell(c, signMsg{signStanding, marshal(m)})
}

// hearStanding keeps a member's word. One who confirmed something else ends the founding here: whoever is mistaken, people must talk.
func (c *core) hearStanding(from common.Address, m standingMsg) error {
	f := c.ceremony
	if f == nil || m.Epoch != f.target.Epoch || m.Change != f.hash {
		return nil
	}
	if m.Stage >= stages || (!f.target.IDs().Has(from) && !c.state.Roster.IDs().Has(from)) {
		return errStatement
	}
	f.standings[from] = heardStanding{m, c.now()}
	own := c.genesis.Fingerprint()
	if f.founding() && f.confirmed(c) && f.key == nil && f.action == nil && m.Confirmed != own {
		c.stop(fmt.Errorf("%w: by %s as %s, here %s", ErrFingerprint, nameIn(f.target.Members, from), m.Confirmed.Code(), own.Code()))
	}
	return nil
}
