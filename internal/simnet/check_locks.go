package simnet

import (
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
	"conclave/tss/tsstest"
)

// locks is I3: all that members prevoted and precommitted, by height, and every certificate that travelled. A member is locked
// on what it precommitted last; a prevote of it for another value needs q prevotes for that value, of one round since.
type locks struct {
	heights map[uint64]*height
	locked  map[int]int // prevotes of members that were locked, by member
	turned  map[int]int // those for another value, each with its certificate
	broken  []contradiction
}

// height is what was said of one height.
type height struct {
	cast         map[ballot]common.Hash
	prevoted     map[choice]map[int]bool // members
	certificates map[string]bool         // as they travelled, not verified
}

type ballot struct {
	member int
	phase  quorum.Phase
	round  uint64
}

type choice struct {
	round uint64
	id    common.Hash
}

func (l *locks) at(h uint64) *height {
	if l.heights == nil {
		l.heights, l.locked, l.turned = map[uint64]*height{}, map[int]int{}, map[int]int{}
	}
	if l.heights[h] == nil {
		l.heights[h] = &height{cast: map[ballot]common.Hash{}, prevoted: map[choice]map[int]bool{}, certificates: map[string]bool{}}
	}
	return l.heights[h]
}

// note writes a vote down; the first word of a member counts as its own, and all of them in certificates.
func (h *height) note(b ballot, id common.Hash) {
	if _, ok := h.cast[b]; !ok {
		h.cast[b] = id
	}
	if b.phase != quorum.Prevote {
		return
	}
	c := choice{b.round, id}
	if h.prevoted[c] == nil {
		h.prevoted[c] = map[int]bool{}
	}
	h.prevoted[c][b.member] = true
}

// lockBefore is what a member is locked on when it prevotes in a round.
func (h *height) lockBefore(member int, round uint64) (at uint64, id common.Hash) {
	for b, was := range h.cast {
		if b.member == member && b.phase == quorum.Precommit && b.round < round && was != (common.Hash{}) && b.round >= at {
			at, id = b.round, was
		}
	}
	return at, id
}

// judge says whether a member's prevote is against its lock, and what is wrong with that. Votes that their members signed and never
// sent are not missed: nobody but they can count them, and the first prevote against a lock cannot rest on an earlier one.
func (h *height) judge(network common.Hash, roster quorum.Roster, number uint64, b ballot) (against bool, err error) {
	id := h.cast[b]
	since, locked := h.lockBefore(b.member, b.round)
	if b.phase != quorum.Prevote || id == (common.Hash{}) || locked == (common.Hash{}) || locked == id {
		return false, nil
	}
	for r := since; r < b.round; r++ {
		if len(h.prevoted[choice{r, id}]) >= roster.Q() || h.certified(network, roster, number, choice{r, id}) {
			return true, nil
		}
	}
	return true, broken("I3", "n%d prevoted %s in height %d round %d, locked on %s of round %d, and no certificate since allows it", b.member, id, number, b.round, locked, since)
}

// certified looks for a prevote certificate among those that travelled: it is the only trace of votes that liars showed to
// nobody else.
func (h *height) certified(network common.Hash, roster quorum.Roster, number uint64, c choice) bool {
	for raw := range h.certificates {
		var u quorum.UncheckedQC
		if rlp.DecodeBytes([]byte(raw), &u) != nil || u.Phase != quorum.Prevote || u.Height != number || u.Round != c.round || u.ID != c.id {
			continue
		}
		if _, err := u.Verify(network, roster); err == nil {
			return true
		}
	}
	return false
}

// beside keeps the certificates that a message of agreement brings.
func (l *locks) beside(of uint64, raws ...[]byte) {
	for _, raw := range raws {
		if len(raw) > 0 && of > 0 && !l.at(of).certificates[string(raw)] {
			l.at(of).certificates[string(raw)] = true
		}
	}
}

// watch looks at one vote when it is first heard: at it, and at what its member prevoted later in this height. Who is heard may sit
// in a committee of a later epoch: disks know it, and are asked in the end.
func (l *locks) watch(w *World, member int, m meaning) {
	phase, ok := phases[m.Says]
	if !ok || member < 0 {
		return
	}
	h, b := l.at(m.Height), ballot{member, phase, m.Round}
	h.note(b, m.ID)
	if _, id := h.lockBefore(member, m.Round); phase == quorum.Prevote && id != (common.Hash{}) {
		l.locked[member]++
	}
	roster, err := w.Genesis.Roster()
	if roster.Epoch = m.Epoch; err != nil || m.Epoch != tsstest.Epoch {
		return
	}
	for later := range h.cast {
		if later == b || (phase == quorum.Precommit && later.member == member && later.round > m.Round) {
			against, err := h.judge(w.network, roster, m.Height, later)
			if err != nil {
				l.broken = append(l.broken, contradiction{member, err})
			} else if against && later == b {
				l.turned[member]++
			}
		}
	}
}

var phases = map[quorum.Kind]quorum.Phase{quorum.KindPrevote: quorum.Prevote, quorum.KindPrecommit: quorum.Precommit}

// readLock compares the record of the running height with the own votes: lock and precommit are one transaction.
func (d *disk) readLock(w *World, tx *ledger.Tx) error {
	raw, ok := tx.Consensus(d.height + 1)
	var record agreement.Durable
	var err error
	if ok {
		if record, err = agreement.DecodeDurable(raw); err != nil {
			return fmt.Errorf("the record of height %d: %w", d.height+1, err)
		}
	}
	var locked uint64
	var id common.Hash
	for at, said := range d.deeds.cast {
		if at.height == d.height+1 && at.phase == quorum.Precommit && said != (common.Hash{}) && at.round+1 > locked {
			locked, id = at.round+1, said
		}
	}
	if record.LockedRound != locked || record.LockedID != id {
		return broken("I3", "%s precommitted %s in round %d − 1 of height %d, and its record says %s in %d − 1", d.c.Name, id, locked, d.height+1, record.LockedID, record.LockedRound)
	}
	if record.Valid == nil {
		if locked > 0 {
			return broken("I3", "%s is locked in height %d and holds no certificate", d.c.Name, d.height+1)
		}
		return nil
	}
	roster, _, _, err := tx.CurrentEpoch()
	if err != nil {
		return err
	}
	qc, err := record.Valid.Verify(w.network, roster)
	if err != nil || qc.Phase() != quorum.Prevote || qc.Height() != d.height+1 || qc.Round()+1 < locked {
		return broken("I3", "%s holds a certificate in height %d that does not cover its lock of round %d − 1: %v", d.c.Name, d.height+1, locked, err)
	}
	return nil
}

// Precommitted is the highest height in which a member precommitted a value, whoever heard it.
func (w *World) Precommitted(member int) (highest uint64) {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	for number, h := range w.wire.locks.heights {
		if _, id := h.lockBefore(member, math.MaxUint64); id != (common.Hash{}) {
			highest = max(highest, number)
		}
	}
	return highest
}

// checkLocks is I3 over all disks and all that was ever said: each prevote that a disk holds against its own lock has its
// certificate, by what disks hold and what the wire heard.
func (w *World) checkLocks(r *Report, disks []disk) error {
	w.wire.mu.Lock()
	defer w.wire.mu.Unlock()
	l := &w.wire.locks
	for _, d := range disks {
		for at, id := range d.deeds.cast {
			l.at(at.height).note(ballot{d.c.Index, at.phase, at.round}, id)
		}
	}
	for _, d := range disks {
		r.Locked += l.locked[d.c.Index]
		r.Turned += l.turned[d.c.Index]
		for at := range d.deeds.cast {
			roster := d.deeds.rosters[at.height]
			if _, err := l.at(at.height).judge(w.network, roster, at.height, ballot{d.c.Index, at.phase, at.round}); err != nil {
				return err
			}
		}
	}
	return nil
}
