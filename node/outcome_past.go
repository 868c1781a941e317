package node

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
)

// syncOutcomes asks for the outcome certificates of the slots of heights from Height on, as []quorum.UncheckedOutcome.
const syncOutcomes syncWhat = 8

const (
	// maxSyncOutcomes bounds the certificates in one answer.
	maxSyncOutcomes = 64
	// pastEvery is how often a node asks for the outcomes of slots that an earlier epoch decided.
	pastEvery = 5 * time.Second
)

func (c *core) answerOutcomes(height uint64) ([]byte, error) {
	var out []quorum.UncheckedOutcome
	err := c.led.View(func(tx *ledger.Tx) (err error) { out, err = tx.OutcomesFrom(height, maxSyncOutcomes); return err })
	return marshal(out), err
}

// askPast asks one member after the other for certificates of slots that an earlier epoch decided and that are open here. Who
// joined later, or was away over a change of members, cannot have them in another way: those who rule now have closed these
// slots and sign them no more, and an endpoint that prunes its history cannot show when they were final.
func (c *core) askPast(now time.Time) {
	m := &c.members
	if now.Before(m.nextPast) || m.asking {
		return
	}
	m.nextPast = now.Add(pastEvery)
	var from uint64
	var open bool
	if err := c.led.View(func(tx *ledger.Tx) (err error) { from, open, err = tx.PastOpen(); return err }); err != nil {
		c.stop(err)
		return
	}
	up := c.connected()
	if !open || len(up) < 2 {
		return
	}
	m.turn++
	peer := up[m.turn%len(up)]
	if peer == c.self {
		m.turn++
		peer = up[m.turn%len(up)]
	}
	m.asking = true
	c.spawn(func() {
		certs := c.pastOutcomes(peer, from)
		c.post(func() {
			c.members.asking = false
			for _, cert := range certs {
				c.settlePast(cert)
			}
		})
	})
}

// pastOutcomes asks and verifies, off the core: each certificate by the committee of the epoch that it names.
func (c *core) pastOutcomes(peer common.Address, from uint64) (out []quorum.OutcomeCertificate) {
	var shown []quorum.UncheckedOutcome
	if c.request(peer, syncReq{What: syncOutcomes, Height: from}, &shown) != nil || len(shown) > maxSyncOutcomes {
		return nil
	}
	for _, u := range shown {
		roster, ok, err := c.epochRoster(u.Outcome.Epoch)
		if err != nil || !ok {
			continue
		}
		if cert, err := u.Verify(c.network, roster); err == nil {
			out = append(out, cert)
		}
	}
	return out
}

func (c *core) settlePast(cert quorum.OutcomeCertificate) {
	o := cert.Outcome()
	key := slotOf(o)
	var slot ledger.Slot
	fresh := false
	ok := c.attempt("settle what an earlier epoch paid", func(tx *ledger.Tx) error {
		_, done, err := tx.OutcomeOf(key)
		if err != nil || done {
			return err
		}
		fresh = true
		slot, err = settle(tx, key, cert)
		return err
	})
	if ok && fresh {
		c.log.Info("settled by an earlier epoch", zap.Uint64("epoch", o.Epoch), zap.Uint64("height", slot.Height))
		c.settled(key, slot, o)
	}
}
