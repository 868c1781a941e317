package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// Evidence is kept first and told afterwards: the ledger says of each piece once that it is on disk, and this node then shows
// it to every member, whether it found the piece itself or was shown it. So each member tells each piece once. Nobody's word
// is taken: what another member shows is verified as a stranger would (see VerifyEvidence), and a member that was away is
// shown what it lacks when it connects.
const (
	protoEvidence = "evidence" // evidenceMsg, to one peer

	// maxEvidenceFrame holds the largest piece: two decisions of one height.
	maxEvidenceFrame = 2 * maxVoteFrame
	// evidenceQueue is enough for all that one answer shows.
	evidenceQueue = 256
	// maxEvidenceShown bounds the bytes of one answer; the rest follows with the next connection.
	maxEvidenceShown = 1 << 20
	// evidenceAnswerEvery is how often one peer is shown what it lacks: it is asked for when a connection is made.
	evidenceAnswerEvery = 10 * time.Second
	// maxEvidenceHeld bounds what a peer may say that it holds: every kind of every member, twice over.
	maxEvidenceHeld = 2 * (quorum.MaxMembers + 1) * 8 * ledger.MaxEvidence
)

// evidenceMsg shows evidence, or says what the sender holds of it and asks for the rest.
type evidenceMsg struct {
	Asks   bool
	Held   []common.Hash   // ids, in no order
	Full   []evidenceShare // of which the sender keeps no more
	Pieces []evidencePiece
}

type evidenceShare struct {
	Kind   string
	Member common.Address
}

type evidencePiece struct {
	Kind          string
	Member        common.Address
	First, Second []byte
}

// evidenceKept tells people and members of a piece that is on disk now. It runs on whatever goroutine wrote it.
func (c *core) evidenceKept(e ledger.Evidence) {
	c.alerts.raise(alertEvidence(e.Kind, e.Member))
	c.log.Warn("evidence kept", zap.String("kind", string(e.Kind)), zap.Stringer("member", e.Member), zap.Stringer("id", e.ID()))
	if !isTold(e) {
		return
	}
	frame := marshal(evidenceMsg{Pieces: []evidencePiece{{string(e.Kind), e.Member, e.First, e.Second}}})
	for _, id := range c.inOffice() {
		if id != c.self {
			c.send(id, protoEvidence, frame)
		}
	}
}

// heldEvidence says what this node holds of what members tell each other, and asks for the rest.
func (c *core) heldEvidence() ([]byte, error) {
	m := evidenceMsg{Asks: true}
	shares := map[evidenceShare]int{}
	err := c.led.View(func(tx *ledger.Tx) error {
		return tx.Evidences(func(e ledger.Evidence) error {
			if s := (evidenceShare{string(e.Kind), e.Member}); isTold(e) {
				m.Held = append(m.Held, e.ID())
				if shares[s]++; shares[s] == ledger.MaxEvidence {
					m.Full = append(m.Full, s)
				}
			}
			return nil
		})
	})
	return marshal(m), err
}

// evidenceTurns remembers when each peer was last shown what it lacks.
type evidenceTurns struct {
	mu sync.Mutex // guards at, whose keys are members
	at map[common.Address]time.Time
}

func (t *evidenceTurns) take(peer common.Address, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if was, ok := t.at[peer]; ok && now.Sub(was) < evidenceAnswerEvery {
		return false
	}
	if t.at == nil {
		t.at = map[common.Address]time.Time{}
	}
	t.at[peer] = now
	return true
}

var errEvidenceFrame = errors.New("more than one piece, or more than a member can hold")

// hearEvidence takes a frame about evidence. It runs on the peer's own goroutine: what is false costs its sender's time.
func (n *Node) hearEvidence(from common.Address, frame []byte) error {
	var m evidenceMsg
	if err := unmarshal(frame, &m); err != nil {
		return err
	}
	if len(m.Pieces) > 1 || len(m.Held) > maxEvidenceHeld || len(m.Full) > maxEvidenceHeld || (m.Asks && len(m.Pieces) > 0) {
		return errEvidenceFrame
	}
	if m.Asks {
		return n.core.showEvidence(from, m)
	}
	for _, p := range m.Pieces {
		e := ledger.Evidence{Kind: ledger.EvidenceKind(p.Kind), Member: p.Member, First: p.First, Second: p.Second}
		if err := n.core.judgeEvidence(e); errors.Is(err, errEvidenceKnown) {
			continue
		} else if err != nil {
			return err
		}
		n.take(from, func() { n.core.takeEvidence(e) })
	}
	return nil
}

// errEvidenceKnown passes over a piece that is kept already, or for which its culprit's share has no room.
var errEvidenceKnown = errors.New("evidence is known")

// judgeEvidence fails unless a piece is new and proves itself.
func (c *core) judgeEvidence(e ledger.Evidence) error {
	if !isTold(e) {
		return fmt.Errorf("%w: %q is nothing that members tell each other", ErrEvidence, e.Kind)
	}
	wanted := false
	if err := c.led.View(func(tx *ledger.Tx) (err error) { wanted, err = tx.WantsEvidence(e); return err }); err != nil {
		return err
	}
	if !wanted {
		return errEvidenceKnown
	}
	rosters, err := c.rosters()
	if err != nil {
		return err
	}
	verdict, err := verifier{network: c.network, rosters: rosters, lanes: c.genesis.Lanes}.piece(e)
	if errors.Is(err, quorum.ErrEpochUnknown) {
		return errEvidenceKnown // of an epoch that this node has to reach first: it asks again then
	}
	if err == nil && verdict != EvidenceProves {
		err = fmt.Errorf("%w: it proves nothing", ErrEvidence)
	}
	return err
}

// takeEvidence keeps a piece that was verified, with what follows from it.
func (c *core) takeEvidence(e ledger.Evidence) {
	c.keepEvidence(e.Kind, e.Member, e.First, e.Second)
	if e.Kind == ledger.EvidenceEnvelopes || e.Kind == ledger.EvidenceTSS {
		c.exclude(e)
	}
	if e.Member == c.self {
		c.accused(e)
	}
}

// accused is for evidence against this node itself: it made neither side twice, so somebody else speaks with its key, or its
// own past is missing here.
func (c *core) accused(e ledger.Evidence) {
	foreign := false
	for _, raw := range [][]byte{e.First, e.Second} {
		counter, _, err := quorum.CounterOf(c.network, quorum.Members{c.self}, raw)
		foreign = err == nil && c.foreign(counter, 0, raw) || foreign
	}
	if !foreign {
		c.twin(0) // messages of sessions stand under no counter; of statements, this node would have signed both
	}
}

// showEvidence shows a peer what it lacks.
func (c *core) showEvidence(to common.Address, asked evidenceMsg) error {
	if !c.shownEvidence.take(to, c.now()) {
		return nil
	}
	held, full := map[common.Hash]bool{}, map[evidenceShare]bool{}
	for _, id := range asked.Held {
		held[id] = true
	}
	for _, s := range asked.Full {
		full[s] = true
	}
	size := 0
	return c.led.View(func(tx *ledger.Tx) error {
		return tx.Evidences(func(e ledger.Evidence) error {
			if !isTold(e) || held[e.ID()] || full[evidenceShare{string(e.Kind), e.Member}] {
				return nil
			}
			if size += len(e.First) + len(e.Second); size > maxEvidenceShown {
				return nil
			}
			c.send(to, protoEvidence, marshal(evidenceMsg{Pieces: []evidencePiece{{string(e.Kind), e.Member, e.First, e.Second}}}))
			return nil
		})
	})
}

// maxReadTSS bounds the messages that are kept of what only their receiver can judge; beyond, their signed headers stand alone.
const maxReadTSS = 64 << 10

// keepSession keeps what a session of threshold signing or key generation proved: for everybody, or to this node alone.
func (c *core) keepSession(all []tss.Evidence) {
	for _, ev := range all {
		if ev.Verify(c.network) == nil {
			c.exclude(portable(ev))
			continue
		}
		size := 0
		for _, env := range ev.Envelopes {
			size += len(env.Payload)
		}
		var envs []tss.Envelope
		for _, env := range ev.Envelopes {
			if size > maxReadTSS {
				env = env.Bare()
			}
			envs = append(envs, env)
		}
		if len(envs) > 0 {
			c.keepEvidence(ledger.EvidenceReadTSS, ev.Culprit, marshal(envs), []byte(ev.Rule))
		}
	}
}

func portable(ev tss.Evidence) ledger.Evidence {
	first, second := ev.Sides()
	kind := ledger.EvidenceEnvelopes
	if ev.Kind == tss.FalseEcho {
		kind = ledger.EvidenceTSS
	}
	return ledger.Evidence{Kind: kind, Member: ev.Culprit, First: first, Second: second}
}

// exclude keeps evidence of a session and bars its culprit from the signing of this key epoch, across restarts too.
func (c *core) exclude(e ledger.Evidence) {
	if !c.state.Founded() {
		c.keepEvidence(e.Kind, e.Member, e.First, e.Second) // a ceremony begins anew with everybody
		return
	}
	if !c.update("exclude member", func(tx *ledger.Tx) error { return tx.Exclude(c.state.Roster.Epoch, e) }) || c.signer == nil {
		return
	}
	if ev, err := tss.ReadEvidence(c.network, e.Member, e.First, e.Second); err == nil {
		c.signer.attempts.Convict(ev)
	}
}

// keepConvictions makes durable by what coordinators and own sessions have convicted.
func (s *signer) keepConvictions(c *core) {
	for _, ev := range s.attempts.Convictions() {
		if s.convicted[ev.Culprit] {
			continue
		}
		if s.convicted == nil {
			s.convicted = map[common.Address]bool{}
		}
		s.convicted[ev.Culprit] = true
		c.exclude(portable(ev))
	}
}

// reloadConvictions excludes whom this key epoch has excluded before the restart.
func (c *core) reloadConvictions() error {
	return c.led.View(func(tx *ledger.Tx) error {
		excluded, err := tx.Excluded(c.state.Roster.Epoch)
		if err != nil || len(excluded) == 0 {
			return err
		}
		return tx.Evidences(func(e ledger.Evidence) error {
			if !excluded.Has(e.Member) || (e.Kind != ledger.EvidenceEnvelopes && e.Kind != ledger.EvidenceTSS) {
				return nil
			}
			if ev, err := tss.ReadEvidence(c.network, e.Member, e.First, e.Second); err == nil {
				c.signer.attempts.Convict(ev)
			}
			return nil
		})
	})
}

// keepForeign keeps what the payer's key signed at a nonce for which another transaction was decided at a height, or none at
// all: height 0. What was not decided is this node's word, and so is a transaction that is not of our shape: its hash is kept. So is one that
// a CANCEL could have, for the payout's decision does not show that none was decided.
func (c *core) keepForeign(raw []byte, hash common.Hash, height uint64) {
	first, decided := raw, []byte(nil)
	if len(raw) == 0 {
		first = hash[:]
	} else if height > 0 && !mayBeCancel(raw) {
		committed, err := c.decisionAt(height)
		if err != nil {
			c.stop(err)
			return
		}
		decided = marshal(committed.Unchecked())
	}
	c.keepEvidence(ledger.EvidencePayment, common.Address{}, first, decided)
}
