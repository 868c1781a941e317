package agreement

import (
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// FuzzStep gives one node any sequence of events, restarts in between: it never panics, signs one statement per place,
// sends only what its disk holds, never goes back, and keeps its bounds. Three bytes make an event.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 0, 3, 1, 0, 3, 2, 0, 3, 3, 0, 5, 0, 9})
	f.Add([]byte{0, 0, 0, 3, 5, 4, 3, 6, 4, 3, 7, 4, 9, 0, 0, 5, 0, 40, 6, 1, 0, 8, 9, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 600 {
			in = in[:600]
		}
		w := newWorld(4)
		n := w.nodes[0]
		names := []common.Hash{none, w.name("A"), w.name("B"), w.name("bad")}
		hold := func() {
			for _, id := range names[1:] {
				n.store[id] = true
			}
		}
		for ; len(in) >= 3 && n.disk.decision == nil; in = in[3:] {
			w.now += time.Duration(in[0]>>4) * 100 * time.Millisecond
			hold()
			w.fuzzEvent(n, names, in[0]&15, in[1], in[2])
			require.Empty(t, w.unexpected(), "after %v", in[:3])
			w.wire = nil
		}
	})
}

func (w *world) fuzzEvent(n *node, names []common.Hash, kind, a, b byte) {
	who, round, id := 1+int(a)%3, uint64(b>>3), names[b&3]
	switch {
	case kind == 0:
		n.begin()
	case kind == 1:
		n.handle(Tick{})
	case kind == 2 && id != none:
		who := int((testHeight + round) % 4)
		vr := min(uint64(a>>4), round)
		ev := ProposalSeen{Proposal: w.ring.propose(who, round, id, vr), Valid: w.fine(id), Refrain: a&1 == 1}
		if vr > 0 && a&2 == 2 {
			ev.Pol = w.ring.qc(quorum.Prevote, vr-1, id, 1, 2, 3)
		}
		if who != 0 {
			n.handle(ev)
		}
	case kind == 3 || kind == 4 || kind == 5:
		n.handle(VoteSeen{w.ring.say(who, quorum.Prevote+quorum.Phase(a>>3&1), round, id)})
	case kind == 6 && id != none && w.fine(id):
		n.handle(CertificateSeen{w.ring.qc(quorum.Prevote, round, id, 1, 2, 3)})
	case kind == 7 && id != none:
		n.handle(ValueReady{id, w.fine(id)})
	case kind == 8:
		n.handle(Built{round, id})
	case kind == 9:
		w.now += time.Duration(b) * 200 * time.Millisecond
		n.handle(Tick{})
	case kind == 10:
		n.down()
		n.restart()
	case kind == 11:
		n.handle(NothingToPropose{round})
	}
}

// unexpected leaves out what more than f liars, whom the fuzzer plays, may bring about: certificates for anything.
func (w *world) unexpected() []string {
	var out []string
	for _, b := range w.broken {
		var who int
		var rest string
		if k, _ := fmt.Sscanf(b, "n%d: 0 foreign statements, contradiction %s", &who, &rest); k == 2 {
			continue
		}
		if k, _ := fmt.Sscanf(b, "I3: n%d", &who); k == 1 {
			continue // the certificates here were never signed one vote at a time
		}
		out = append(out, b)
	}
	w.broken = nil
	return out
}
