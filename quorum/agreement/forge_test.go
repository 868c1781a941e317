package agreement

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// forgery is one thing that a liar shows to some: the network is the liars' own, so it takes as long as they want and is
// never lost. As text it is a command of the scenarios:
//
//	forge I prevote|precommit R NAME [epoch E] [height H] to J… [in D]
//	forge I propose R NAME [valid VR] [by K…] [epoch E] [height H] to J… [in D]
//	show I prevote|precommit R NAME by K… [epoch E] to J… [in D]     a certificate, beside nothing
//	tell I precommit R NAME by K… to J… [in D]                       a DECISION
//	give I NAME to J… [in D] / ask I NAME to J… [in D]               a value, or the question for one
//
// In epoch 9 other keys ruled, all of which the liars have; in any other epoch they sign with their own.
// A proposal with a valid round shows the certificate of that round by K…, if there is one. Certificates hold votes that
// their signers really cast: whoever is honest is not framed.
type forgery struct {
	verb          string // forge, show, tell, give, ask
	as            int
	what          string // propose, prevote, precommit
	round         uint64
	name          string
	valid         uint64 // round + 1
	by            []int
	epoch, height uint64 // zero: the ones that are decided
	to            []int
	in            time.Duration
}

func (f forgery) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", f.verb, f.as)
	if f.what != "" {
		fmt.Fprintf(&b, " %s %d", f.what, f.round)
	}
	fmt.Fprintf(&b, " %s", f.name)
	if f.valid > 0 {
		fmt.Fprintf(&b, " valid %d", f.valid-1)
	}
	list := func(word string, who []int) {
		if len(who) > 0 {
			fmt.Fprintf(&b, " %s %s", word, strings.Trim(fmt.Sprint(who), "[]"))
		}
	}
	list("by", f.by)
	if f.epoch > 0 {
		fmt.Fprintf(&b, " epoch %d", f.epoch)
	}
	if f.height > 0 {
		fmt.Fprintf(&b, " height %d", f.height)
	}
	list("to", f.to)
	if f.in != usual.after {
		fmt.Fprintf(&b, " in %s", f.in)
	}
	return b.String()
}

// parseForgery reads what String wrote.
func parseForgery(words []string) (forgery, error) {
	f := forgery{verb: words[0], in: usual.after}
	head := 5
	if f.verb == "give" || f.verb == "ask" {
		head = 3
	}
	if len(words) < head+2 {
		return f, fmt.Errorf("%q is too short", words)
	}
	var err error
	f.as, err = strconv.Atoi(words[1])
	if head == 5 && err == nil {
		f.what = words[2]
		f.round, err = strconv.ParseUint(words[3], 10, 64)
	}
	f.name = words[head-1]
	key := ""
	for _, word := range words[head:] {
		if err != nil {
			return f, err
		}
		var number uint64
		if number, err = strconv.ParseUint(word, 10, 64); err != nil && key != "in" {
			key, err = word, nil
			continue
		}
		switch key {
		case "valid":
			f.valid = number + 1
		case "by":
			f.by = append(f.by, int(number))
		case "epoch":
			f.epoch = number
		case "height":
			f.height = number
		case "to":
			f.to = append(f.to, int(number))
		case "in":
			f.in, err = time.ParseDuration(word)
		default:
			return f, fmt.Errorf("%q: a number after %q", words, key)
		}
	}
	return f, err
}

// forge shows it. What the liars cannot make is not shown: a certificate needs its votes.
func (w *world) forge(f forgery) {
	if w.onForge != nil {
		w.onForge(f)
	}
	p, ok := w.parcelOf(f)
	if !ok {
		return
	}
	for _, to := range f.to {
		one := p
		one.to = to
		w.in(f.in, &one)
	}
}

func (w *world) parcelOf(f forgery) (parcel, bool) {
	p := parcel{from: f.as}
	id := common.Hash{}
	if f.name != "nil" {
		id = w.name(f.name)
	}
	switch f.verb {
	case "give":
		p.give = &id
	case "ask":
		p.ask = &id
	case "show":
		qc, ok := w.certify(f.phase(), f.round, id, f)
		p.send = &Send{Beside: qc}
		return p, ok
	case "tell":
		qc, ok := w.certify(quorum.Precommit, f.round, id, f)
		p.decision = &Decision{ID: id, QC: qc}
		return p, ok && id != common.Hash{}
	default:
		p.send = w.statement(f, id)
	}
	return p, true
}

func (f forgery) phase() quorum.Phase {
	if f.what == "precommit" {
		return quorum.Precommit
	}
	return quorum.Prevote
}

// statement signs what a forgery says, in whatever epoch and height.
func (w *world) statement(f forgery, id common.Hash) *Send {
	ring, height := w.ring, uint64(testHeight)
	if f.epoch == elderEpoch {
		ring = ring.elders
	}
	if f.height != 0 {
		height = f.height
	}
	epoch := ring.roster.Epoch
	if f.epoch != 0 {
		epoch = f.epoch
	}
	if f.what == "propose" {
		s := &Send{Proposal: ring.proposal(f.as, quorum.Proposal{
			Epoch: epoch, Height: height, Round: f.round, ID: id, ValidRound: f.valid, Counter: 3 * f.round,
		})}
		if f.valid > 0 && len(f.by) > 0 {
			s.Pol, _ = w.certify(quorum.Prevote, f.valid-1, id, f)
		}
		return s
	}
	v := ring.vote(f.as, quorum.Vote{
		Epoch: epoch, Height: height, Round: f.round, Phase: f.phase(), ID: id, Counter: 3*f.round + uint64(f.phase()),
	})
	if f.epoch == 0 && f.height == 0 {
		w.noteVote(f.as, v.Body())
	}
	return &Send{Votes: []quorum.Signed[quorum.Vote]{v}}
}

// certify makes a certificate by f.by; false when someone honest among them did not cast that vote.
func (w *world) certify(phase quorum.Phase, round uint64, id common.Hash, f forgery) (quorum.QC, bool) {
	ring := w.ring
	if f.epoch != 0 {
		ring = ring.elders
	}
	var votes []quorum.Signed[quorum.Vote]
	for _, who := range f.by {
		if who >= len(ring.ids) {
			return quorum.QC{}, false
		}
		v := ring.say(who, phase, round, id)
		if f.epoch == 0 && !w.nodes[who].evil {
			cast, ok := w.nodes[who].disk.votes[onceKey{who, round, v.Body().Kind()}]
			if !ok || cast.Body().ID != id {
				return quorum.QC{}, false
			}
		}
		votes = append(votes, v)
	}
	qc, ok := quorum.NewQC(ring.roster, testHeight, round, phase, id, votes)
	if ok && f.epoch == 0 {
		for _, who := range f.by {
			w.noteVote(who, quorum.Vote{Round: round, Phase: phase, ID: id})
		}
	}
	return qc, ok
}

// others are the places that run the core and are not of the liars.
func (w *world) others() []int {
	var out []int
	for _, n := range w.nodes {
		if !n.liar {
			out = append(out, n.i)
		}
	}
	return out
}
