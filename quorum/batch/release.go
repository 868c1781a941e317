package batch

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// MaxReleases bounds the outcome certificates of one batch; more wait for the next.
const MaxReleases = 16

// mostReleases is how often an item goes free by certificate alone. What reverted twice reverts again: from then on it takes the
// operators' word, given after the last release.
const mostReleases = 1

// slotAt is one nonce of one payer.
type slotAt struct {
	of    quorum.NonceKey
	nonce uint64
}

func (a slotAt) compare(b slotAt) int {
	return cmp.Or(cmp.Compare(a.of.ChainID, b.of.ChainID), bytes.Compare(a.of.Payer[:], b.of.Payer[:]), cmp.Compare(a.nonce, b.nonce))
}

// placed is what stands in a decided slot until its items are released.
type placed struct {
	kind    Kind
	lane    quorum.LaneKey
	batch   common.Hash
	cancels []common.Hash // CANCELs of the slot, in their order
	items   []quorum.Content
	fees    signable
}

// Released is a slot whose items went free by a decision.
type Released struct {
	Lane  quorum.LaneKey
	Nonce uint64
	WIDs  []uint64
}

// validReleases checks the outcome certificates that a batch carries: each of a decided slot with items, which it shows final without
// having paid them, and no slot twice. What they free is free from the next height on: an item of the same batch would be paid while
// its first use still stands.
func (s *State) validReleases(b Batch, prove bool) error {
	if len(b.Releases) > MaxReleases {
		return invalid("%d releases, at most %d", len(b.Releases), MaxReleases)
	}
	var last slotAt
	for i, u := range b.Releases {
		at := slotAt{u.Outcome.Lane.Nonces(), u.Outcome.Nonce}
		if i > 0 && last.compare(at) >= 0 {
			return invalid("releases are not ascending")
		}
		if last = at; s.releases(u.Outcome) != nil {
			return s.releases(u.Outcome)
		}
		if prove {
			if _, err := u.Verify(s.Network, s.Roster); err != nil {
				return invalid("release of nonce %d: %v", at.nonce, err)
			}
		}
	}
	return nil
}

// releases says why an outcome releases nothing; nil when it does.
func (s *State) releases(o quorum.Outcome) error {
	p, ok := s.placed[slotAt{o.Lane.Nonces(), o.Nonce}]
	switch {
	case !ok || len(p.items) == 0:
		return invalid("nonce %d holds no items, or they were released before", o.Nonce)
	case o.Lane != p.lane:
		return invalid("nonce %d is of another lane", o.Nonce)
	case o.Epoch != s.Roster.Epoch:
		return invalid("the outcome of nonce %d is of epoch %d, in force is %d", o.Nonce, o.Epoch, s.Roster.Epoch)
	case o.Batch == p.batch && o.Status != 0:
		return invalid("nonce %d paid its items", o.Nonce)
	case o.Batch != p.batch && !slices.Contains(p.cancels, o.Batch):
		return invalid("nonce %d was given to another batch", o.Nonce)
	}
	return nil
}

// place keeps what a decided slot pays, for a release or a CANCEL.
func (s *State) place(b Batch, slot *Slot, id common.Hash) {
	if slot == nil {
		return
	}
	p := placed{kind: b.Kind, lane: slot.Lane, batch: id, fees: signableOf(b)}
	for _, it := range b.Items {
		p.items = append(p.items, it.Content)
	}
	s.placed[slotAt{slot.Lane.Nonces(), slot.Nonce}] = p
}

// release frees the items of the slots that a valid batch's certificates show: they may be certified and decided again. They stay
// spent, so that no other withdrawal of the account lives on what is still reserved for them; an earlier word of the operators is used up.
func (s *State) release(b Batch) (out []Released) {
	for _, u := range b.Releases {
		at := slotAt{u.Outcome.Lane.Nonces(), u.Outcome.Nonce}
		p := s.placed[at]
		delete(s.placed, at)
		r := Released{Lane: p.lane, Nonce: at.nonce}
		for _, c := range p.items {
			delete(s.wids, c.WID)
			delete(s.events, c.EventID)
			delete(s.messages, c.Message)
			delete(s.resolved, c.WID)
			s.freed[c.WID] = freed{s.freed[c.WID].times + 1, c}
			r.WIDs = append(r.WIDs, c.WID)
		}
		out = append(out, r)
	}
	return out
}

// freed is what a released withdrawal was, and how often.
type freed struct {
	times   int
	content quorum.Content
}

// onceMore checks a withdrawal that was released before: it is what it was, and one whose transactions keep failing comes by the
// operators' word.
func (s *State) onceMore(c quorum.Content) error {
	was, ok := s.freed[c.WID]
	if !ok {
		return nil
	}
	if was.content != c {
		return invalid("withdrawal %d was another content when it was released", c.WID)
	}
	if _, ok := s.standing(c.WID); was.times > mostReleases && !ok {
		return invalid("withdrawal %d was released %d times: the operators must resolve it", c.WID, was.times)
	}
	return nil
}

// Freed is how often a withdrawal was released.
func (s *State) Freed(wid uint64) int { return s.freed[wid].times }

// BuildReleases makes the batch that carries the outcome certificates which release something, as many as fit. ok is false when none
// does.
func (s *State) BuildReleases(certs []quorum.OutcomeCertificate, views []quorum.Signed[quorum.View]) (Batch, bool) {
	f := s.frame(Payout, s.freshest(views, nil))
	if f == nil || !s.Founded() {
		return Batch{}, false
	}
	for _, c := range certs {
		if u := c.Unchecked(); len(f.Releases) < MaxReleases && s.releases(u.Outcome) == nil {
			f.Releases = append(f.Releases, u)
		}
	}
	slices.SortFunc(f.Releases, func(a, b quorum.UncheckedOutcome) int {
		return slotAt{a.Outcome.Lane.Nonces(), a.Outcome.Nonce}.compare(slotAt{b.Outcome.Lane.Nonces(), b.Outcome.Nonce})
	})
	return f.Batch, len(f.Releases) > 0 && s.Valid(f.Batch) == nil
}
