package simnet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// maxAttempts is how many sessions one fee step of a payment may take, whatever the weather: I17.
const maxAttempts = 60

// deeds is what one custodian's disk says it did, beside what package ledger checks by itself.
type deeds struct {
	approved map[common.Hash]bool              // digests of its approvals
	verdicts map[uint64]common.Hash            // contents, by withdrawal
	rosters  map[uint64]quorum.Roster          // who voted on each height of those
	cast     map[spot]common.Hash              // its votes
	intents  map[intentKey]ledger.IntentFields // the last attempt
	spoke    []uint64                          // counters of verdicts and READYs, ascending
	voted    map[uint64]uint64                 // the first counter of an own vote, by height
	halts    []ledger.HaltRecord               // its own, of everything
}

// spot is where a vote stands.
type spot struct {
	height, round uint64
	phase         quorum.Phase
}

type intentKey struct {
	batch common.Hash
	k     uint64
}

func (d *disk) readDeeds(w *World, tx *ledger.Tx) error {
	e := deeds{approved: map[common.Hash]bool{}, verdicts: map[uint64]common.Hash{}, cast: map[spot]common.Hash{}, rosters: map[uint64]quorum.Roster{}, intents: map[intentKey]ledger.IntentFields{},
		voted: map[uint64]uint64{}}
	err := tx.OwnStatements(0, func(counter uint64, kind quorum.Kind, raw []byte) error { return e.read(w, d.c, counter, kind, raw) })
	for at := range e.cast {
		roster, _, of := tx.EpochAt(at.height)
		e.rosters[at.height], err = roster, errors.Join(err, of)
	}
	for _, id := range d.decisions {
		err = errors.Join(err, tx.Intents(id, func(f ledger.IntentFields) error {
			key := intentKey{f.Batch, f.K}
			if was, ok := e.intents[key]; !ok || was.Attempt < f.Attempt {
				e.intents[key] = f
			}
			return nil
		}))
	}
	err = errors.Join(err, tx.Halts(func(h ledger.HaltRecord) error {
		if h.Signer == d.c.Address && h.Halt.Scope == quorum.ScopeAll {
			e.halts = append(e.halts, h)
		}
		return nil
	}))
	d.deeds = e
	return err
}

func (e *deeds) read(w *World, c *Custodian, counter uint64, kind quorum.Kind, raw []byte) error {
	own := w.roster() // whose they are, package ledger has checked
	switch kind {
	case quorum.KindApprove:
		s, err := quorum.Open[quorum.Approve](w.network, own, raw)
		if err != nil {
			return err
		}
		e.approved[quorum.Digest(kind, w.network, s.Body())] = true
		e.verdicts[s.Body().WID] = s.Body().Content
		e.spoke = append(e.spoke, counter)
	case quorum.KindRefuse, quorum.KindReady:
		e.spoke = append(e.spoke, counter)
	case quorum.KindPrevote, quorum.KindPrecommit:
		s, err := quorum.Open[quorum.Vote](w.network, own, raw)
		if err != nil {
			return err
		}
		b := s.Body()
		if e.voted[b.Height] == 0 {
			e.voted[b.Height] = counter
		}
		at := spot{b.Height, b.Round, b.Phase}
		if was, ok := e.cast[at]; ok && was != b.ID {
			return broken("I2", "%s holds two votes as the %s of height %d round %d", c.Name, b.Phase, b.Height, b.Round)
		}
		e.cast[at] = b.ID
	}
	return nil
}

// checkDeeds is I4, I5, I7, I14 and I17 over all disks.
func (w *World) checkDeeds(r *Report, disks []disk) error {
	for _, check := range []func([]disk) error{w.checkVerdicts, w.checkCertificates, w.checkSessions, w.checkSilence} {
		if err := check(disks); err != nil {
			return err
		}
	}
	return w.contradictions()
}

// checkVerdicts is I4 across disks: what was decided is what honest members judged, and no other content.
func (w *World) checkVerdicts(disks []disk) error {
	decided := map[uint64]common.Hash{}
	for _, b := range w.allValues(disks) {
		for _, it := range b.Items {
			decided[it.Content.WID] = it.Content.Hash(w.network)
		}
	}
	for wid, content := range decided {
		for _, d := range disks {
			if own, ok := d.deeds.verdicts[wid]; ok && own != content {
				return broken("I4", "withdrawal %d was decided as %s, and %s approved %s", wid, content, d.c.Name, own)
			}
		}
	}
	return nil
}

// checkCertificates is I5: of each decided item's signers at least q−f are honest, and their disks hold that approval.
func (w *World) checkCertificates(disks []disk) error {
	by := map[common.Address]disk{}
	for _, d := range disks {
		by[d.c.Address] = d
	}
	values := w.allValues(disks)
	sizes, err := committees(values)
	if err != nil {
		return err
	}
	for h, b := range values {
		n := sizes[b.Epoch]
		for _, it := range b.Items {
			if err := w.checkApprovals(h, it, by, quorum.Size(n)-quorum.Faults(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// committees is how many members each epoch has, as the decisions made them.
func committees(values map[uint64]batch.Batch) (map[uint64]int, error) {
	sizes := map[uint64]int{}
	for _, b := range values {
		if b.Kind != batch.Members {
			continue
		}
		action, err := quorum.DecodeMembersAction(b.Action)
		if err != nil {
			return nil, err
		}
		sizes[action.Epoch] = len(action.Members)
	}
	return sizes, nil
}

func (w *World) checkApprovals(height uint64, it batch.Item, by map[common.Address]disk, need int) error {
	if len(it.Cert.Votes) == 0 {
		return nil // on the operators' word
	}
	honest := 0
	for _, v := range it.Cert.Votes {
		u := it.Cert
		digest := quorum.Digest(quorum.KindApprove, w.network, quorum.Approve{Epoch: u.Epoch, Policy: u.Policy, Counter: v.Counter, WID: u.WID, Content: u.Content,
			Account: u.Account, Seq: u.Seq, Head: u.Head, Time: v.Time})
		key, err := crypto.SigToPub(digest[:], v.Sig[:])
		if err != nil {
			return broken("I5", "height %d pays withdrawal %d by a signature that is none: %v", height, it.Content.WID, err)
		}
		d, ok := by[crypto.PubkeyToAddress(*key)]
		if !ok {
			continue
		}
		if !d.deeds.approved[digest] && !d.c.past[digest] {
			return broken("I5", "height %d pays withdrawal %d by an approval of %s that its disk does not hold", height, it.Content.WID, d.c.Name)
		}
		honest++
	}
	if honest < need {
		return broken("I5", "height %d pays withdrawal %d by %d honest approvals, want %d", height, it.Content.WID, honest, need)
	}
	return nil
}

// checkSessions is I7 across disks, one payload for one fee step, and I17's bound of attempts.
func (w *World) checkSessions(disks []disk) error {
	digests := map[intentKey]common.Hash{}
	for _, d := range disks {
		for key, f := range d.deeds.intents {
			if was, ok := digests[key]; ok && was != f.Digest {
				return broken("I7", "batch %s step %d was to be signed as %s and, by %s, as %s", key.batch, key.k, was, d.c.Name, f.Digest)
			}
			digests[key] = f.Digest
			if f.Attempt > maxAttempts {
				return broken("I17", "batch %s step %d took %d sessions", key.batch, key.k, f.Attempt)
			}
		}
	}
	return nil
}

// checkSilence is I14: between a halt of everything and its end, no verdict and no READY was signed. The end by a RESUME is at
// the latest where the custodian voted on its height; where it did not vote, there is nothing to compare.
func (w *World) checkSilence(disks []disk) error {
	for _, d := range disks {
		for _, h := range d.deeds.halts {
			end := d.deeds.voted[h.Resumed]
			if len(h.Cleared) > 0 {
				s, err := quorum.Open[quorum.Clear](w.network, quorum.Members{d.c.Address}, h.Cleared)
				if err != nil {
					return fmt.Errorf("%s: its own CLEAR: %w", d.c.Name, err)
				}
				end = s.Body().Counter
			}
			for _, at := range d.deeds.spoke {
				if at > h.Halt.Counter && at < end {
					return broken("I14", "%s halted at counter %d, and signed a verdict or a READY at %d", d.c.Name, h.Halt.Counter, at)
				}
			}
		}
	}
	return nil
}

// readFreezes writes down what stands against users, without times and texts.
func (d *disk) readFreezes(w *World, tx *ledger.Tx) error {
	var all []string
	for name, u := range w.users {
		freezes, err := tx.Freezes(u.Address)
		if err != nil {
			return err
		}
		for _, f := range freezes {
			all = append(all, fmt.Sprint(name, f.Code, f.Ref))
		}
	}
	slices.Sort(all)
	d.frozen = strings.Join(all, ", ")
	return nil
}
