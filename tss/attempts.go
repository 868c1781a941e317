package tss

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/quorum"
)

// Waits of an attempt.
const (
	// collectWait is how long a coordinator waits for connected members that have not answered yet.
	collectWait = 2 * time.Second
	// startWait is how long after q READYs a member waits for the coordinator's start before it goes on to the next
	// attempt: the collection and some seconds of a busy machine.
	startWait = collectWait + 3*time.Second
	// absentWait replaces startWait when the coordinator is not even connected here.
	absentWait = 500 * time.Millisecond
	// sessionWait is how long a member that is not among the signers waits for their result. Signers that fail earlier
	// raise their READYs, and f+1 of these take everyone along.
	sessionWait = 60 * time.Second
	// readyResend is how often a READY is sent again while its slot is open.
	readyResend = time.Second
	// silentFor is how long a coordinator leaves out a member that was silent in a session, when q others are ready.
	// It doubles with each silence up to silentMax.
	silentFor = 30 * time.Second
	silentMax = 15 * time.Minute
)

// maxStartAborts bounds the ABORTs of one start. A set is struck by f+1, so this is every set of seven members twice over.
const maxStartAborts = 256

// maxStartEvidence bounds the evidence in one start: one piece for each member is all that can matter.
const maxStartEvidence = quorum.MaxMembers

// maxAttemptJump bounds how far ahead of the present attempt a READY may be. Without it one member could name an attempt
// that nobody can exceed.
const maxAttemptJump = 1 << 20

// ErrStart means that a session start does not follow from what it shows.
var ErrStart = errors.New("session start refused")

// ErrNotNow is an [ErrStart] that honest members cause: on a slow or lossy network one is still at the slot before, or an attempt
// further.
var ErrNotNow = fmt.Errorf("%w: not now", ErrStart)

// Slot is the decided payment that is being signed.
type Slot struct {
	Chain   uint64
	Nonce   uint64
	Height  uint64
	Batch   common.Hash
	K       uint64
	Digest  common.Hash
	Key     quorum.PublicKey // that signs it; zero: the machine's own
	Attempt uint64           // the first attempt that this node has not recorded
}

// Start is what a coordinator sends: who signs, and everything that the draw was made from.
type Start struct {
	Batch    common.Hash
	K        uint64
	Attempt  uint64
	Set      quorum.Members
	Readies  [][]byte // signed READYs, by signer ascending
	Aborts   [][]byte // signed ABORTs that strike sets
	Evidence []Evidence
}

// Effects is what the driver does next, in this order.
type Effects struct {
	Ready *quorum.Ready   // record, sign and send to all members, unless it was before: then send the same bytes
	Abort *quorum.Abort   // likewise
	Start *Start          // send to all members
	Join  *quorum.Session // record the intent, then run the session and report its end
	Stuck string          // nothing can be signed any more, for the operator
}

// AttemptsConfig says for which key and members the machine works.
type AttemptsConfig struct {
	Network common.Hash
	Epoch   uint64
	Key     quorum.PublicKey
	Self    common.Address
	Members quorum.Members
}

// Attempts is the state machine that turns a decided slot into a session: READYs, a coordinator that is another member
// with each attempt, a draw that everyone repeats. It holds no clock and sends nothing; one goroutine owns it.
//
//	state     what is happening                                    leaves when
//	idle      no decided slot is unsigned                          a slot opens
//	ready     own READY is out; q READYs are being collected       the coordinator starts a session, or its time is up
//	live      this node signs                                      the session ends
//	watching  others sign                                          a signature arrives, f+1 are further, or time is up
type Attempts struct {
	cfg     AttemptsConfig
	slot    *Slot
	attempt uint64

	readies  map[common.Address]quorum.Signed[quorum.Ready] // the highest of each member for the slot
	aborts   map[string]map[common.Address]quorum.Signed[quorum.Abort]
	evidence map[common.Address]Evidence
	silent   map[common.Address]silence

	opened   time.Time // when the own READY of this attempt was first due
	resend   time.Time
	deadline time.Time // zero until q READYs are in
	started  bool      // a start of this attempt was sent or followed
	live     bool
}

type silence struct {
	until time.Time
	wait  time.Duration
}

// NewAttempts makes an idle machine.
func NewAttempts(cfg AttemptsConfig) *Attempts {
	return &Attempts{
		cfg:      cfg,
		readies:  map[common.Address]quorum.Signed[quorum.Ready]{},
		aborts:   map[string]map[common.Address]quorum.Signed[quorum.Abort]{},
		evidence: map[common.Address]Evidence{},
		silent:   map[common.Address]silence{},
	}
}

// Slot returns the slot that is being signed, or nil.
func (a *Attempts) Slot() *Slot { return a.slot }

// Attempt returns the present attempt.
func (a *Attempts) Attempt() uint64 { return a.attempt }

// Ready returns the members whose READY of the present attempt or a higher one is held.
func (a *Attempts) Ready() quorum.Members {
	var out quorum.Members
	for _, m := range a.cfg.Members {
		if r, ok := a.readies[m]; ok && r.Body().Attempt >= a.attempt {
			out = append(out, m)
		}
	}
	return out
}

// Live reports whether this node is in a session.
func (a *Attempts) Live() bool { return a.live }

// Open makes s the slot to sign. The same slot again changes nothing.
func (a *Attempts) Open(s Slot, now time.Time) {
	if a.slot != nil && a.slot.Batch == s.Batch && a.slot.K == s.K {
		return
	}
	a.slot = &s
	a.readies = map[common.Address]quorum.Signed[quorum.Ready]{}
	a.begin(s.Attempt, now)
}

// Close forgets the slot: it is signed, or signing is not allowed now.
func (a *Attempts) Close() { a.slot = nil }

func (a *Attempts) begin(attempt uint64, now time.Time) {
	a.attempt, a.opened, a.resend = attempt, now, now
	a.deadline, a.started = time.Time{}, false
}

// Hear takes a READY. READYs of other batches and of strangers are the driver's to answer.
func (a *Attempts) Hear(r quorum.Signed[quorum.Ready], now time.Time) {
	b := r.Body()
	if a.slot == nil || b.Batch != a.slot.Batch || b.Epoch != a.cfg.Epoch || !a.cfg.Members.Has(r.Signer()) || b.KMax < a.slot.K {
		return
	}
	if b.Attempt > a.attempt+maxAttemptJump {
		return
	}
	if old, ok := a.readies[r.Signer()]; ok && old.Body().Attempt >= b.Attempt {
		return
	}
	a.readies[r.Signer()] = r
	a.follow(now)
}

// follow raises the attempt to the highest that f+1 members have reached: at least one of them is honest.
func (a *Attempts) follow(now time.Time) {
	var reached []uint64
	for _, m := range a.cfg.Members {
		if r, ok := a.readies[m]; ok {
			reached = append(reached, r.Body().Attempt)
		}
	}
	slices.Sort(reached)
	slices.Reverse(reached)
	if f := a.cfg.Members.F(); len(reached) > f && reached[f] > a.attempt && !a.live {
		a.begin(reached[f], now)
	}
}

// HearAbort takes an ABORT: f+1 members of a set strike it for the key's epoch.
func (a *Attempts) HearAbort(s quorum.Signed[quorum.Abort]) {
	b := s.Body()
	if b.Epoch != a.cfg.Epoch || !b.Set.Has(s.Signer()) || !a.wellFormed(b.Set) {
		return
	}
	key := setKey(b.Set)
	if a.aborts[key] == nil {
		a.aborts[key] = map[common.Address]quorum.Signed[quorum.Abort]{}
	}
	a.aborts[key][s.Signer()] = s
}

func (a *Attempts) wellFormed(set quorum.Members) bool {
	if len(set) != a.cfg.Members.Q() {
		return false
	}
	for i, m := range set {
		if !a.cfg.Members.Has(m) || (i > 0 && bytes.Compare(set[i-1][:], m[:]) >= 0) {
			return false
		}
	}
	return true
}

func (a *Attempts) struck(set quorum.Members) bool {
	return len(a.aborts[setKey(set)]) > a.cfg.Members.F()
}

// coordinator is who starts the session of an attempt.
func (a *Attempts) coordinator(attempt uint64) common.Address {
	return a.cfg.Members.Proposer(a.slot.Height, attempt)
}

// Tick says what is due now. connected are the members that this node is connected to, itself included.
func (a *Attempts) Tick(now time.Time, connected quorum.Members) Effects {
	var fx Effects
	if a.slot == nil || a.live {
		return fx
	}
	if a.exhausted() {
		fx.Stuck = "every set of signers was struck: refresh the key"
		return fx
	}
	if len(a.Ready()) >= a.cfg.Members.Q() && a.deadline.IsZero() {
		a.deadline = now.Add(a.patience(now, connected))
	}
	if !a.deadline.IsZero() && !now.Before(a.deadline) {
		a.begin(a.attempt+1, now)
	}
	if !now.Before(a.resend) {
		a.resend = now.Add(readyResend)
		fx.Ready = &quorum.Ready{
			Epoch: a.cfg.Epoch, Height: a.slot.Height, Batch: a.slot.Batch, KMax: a.slot.K, Attempt: a.attempt,
		}
	}
	if a.coordinator(a.attempt) == a.cfg.Self && !a.started {
		a.coordinate(&fx, now, connected)
	}
	return fx
}

// patience is how long the coordinator may take. One that was silent in a session a moment ago is waited for as members are:
// silence of one member then costs no more than a round's deadline and the collection of READYs.
func (a *Attempts) patience(now time.Time, connected quorum.Members) time.Duration {
	switch who := a.coordinator(a.attempt); {
	case !connected.Has(who):
		return absentWait
	case a.isSilent(who, now):
		return collectWait
	}
	return startWait
}

// coordinate starts the session once every connected member is ready, or after collectWait with those that are.
func (a *Attempts) coordinate(fx *Effects, now time.Time, connected quorum.Members) {
	ready := a.exactly()
	all := true
	for _, m := range connected {
		all = all && (ready.Has(m) || a.isSilent(m, now))
	}
	if len(ready) < a.cfg.Members.Q() || (!all && now.Before(a.opened.Add(collectWait))) {
		return
	}
	ready = a.preferLoud(ready, now)
	set, ok := Draw(ready, a.cfg.Members.Q(), a.slot.Batch, a.slot.K, a.attempt, a.struck)
	if !ok {
		return
	}
	start := Start{Batch: a.slot.Batch, K: a.slot.K, Attempt: a.attempt, Set: set}
	for _, m := range ready {
		start.Readies = append(start.Readies, a.readies[m].Bytes())
	}
	for _, m := range a.cfg.Members {
		if ev, ok := a.evidence[m]; ok && len(start.Evidence) < maxStartEvidence {
			start.Evidence = append(start.Evidence, ev)
		}
	}
	start.Aborts = a.strikes()
	a.started = true
	fx.Start = &start
	if set.Has(a.cfg.Self) {
		fx.Join = a.join(set)
	} else {
		a.deadline = now.Add(sessionWait)
	}
}

// exactly returns the members that are ready for the present attempt and not excluded.
func (a *Attempts) exactly() quorum.Members {
	var out quorum.Members
	for _, m := range a.cfg.Members {
		_, excluded := a.evidence[m]
		if r, ok := a.readies[m]; ok && r.Body().Attempt == a.attempt && !excluded {
			out = append(out, m)
		}
	}
	return out
}

func (a *Attempts) isSilent(m common.Address, now time.Time) bool {
	return now.Before(a.silent[m].until)
}

// preferLoud leaves out members that were silent lately while q others are ready. It is this coordinator's advice to
// itself: the draw is made from the READYs that the start shows, whichever these are.
func (a *Attempts) preferLoud(ready quorum.Members, now time.Time) quorum.Members {
	var loud quorum.Members
	for _, m := range ready {
		if !a.isSilent(m, now) {
			loud = append(loud, m)
		}
	}
	if len(loud) < a.cfg.Members.Q() {
		return ready
	}
	return loud
}

// exhausted reports whether no set of signers is left for the key's epoch. Trying on would only burn attempts.
func (a *Attempts) exhausted() bool {
	left := 0
	for _, m := range a.cfg.Members {
		if _, excluded := a.evidence[m]; !excluded {
			left++
		}
	}
	q := a.cfg.Members.Q()
	if left < q {
		return true
	}
	if len(a.aborts) < subsets(left, q) {
		return false
	}
	gone := 0
	for key := range a.aborts {
		if len(a.aborts[key]) > a.cfg.Members.F() && !a.holdsExcluded(key) {
			gone++
		}
	}
	return gone >= subsets(left, q)
}

// holdsExcluded reports whether an excluded member is in a set.
func (a *Attempts) holdsExcluded(key string) bool {
	for i := 0; i < len(key); i += common.AddressLength {
		if _, ok := a.evidence[common.BytesToAddress([]byte(key[i:i+common.AddressLength]))]; ok {
			return true
		}
	}
	return false
}

// strikes returns the ABORTs that prove the struck sets, f+1 for each, in a fixed order.
func (a *Attempts) strikes() [][]byte {
	var keys []string
	for key, by := range a.aborts {
		if len(by) > a.cfg.Members.F() {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var out [][]byte
	for _, key := range keys {
		if len(out) > maxStartAborts-a.cfg.Members.F()-1 {
			break // the others refuse what they know to be struck, and say so when they coordinate
		}
		n := 0
		for _, m := range a.cfg.Members {
			if s, ok := a.aborts[key][m]; ok && n <= a.cfg.Members.F() {
				out, n = append(out, s.Bytes()), n+1
			}
		}
	}
	return out
}

func (a *Attempts) join(set quorum.Members) *quorum.Session {
	a.live = true
	key := a.cfg.Key
	if a.slot.Key != (quorum.PublicKey{}) {
		key = a.slot.Key
	}
	return &quorum.Session{
		Network: a.cfg.Network, Epoch: a.cfg.Epoch, Key: key, Chain: a.slot.Chain, Nonce: a.slot.Nonce,
		Batch: a.slot.Batch, K: a.slot.K, Attempt: a.attempt, Set: set, Digest: a.slot.Digest,
	}
}

// Follow takes a coordinator's start. It repeats the draw from what the start shows and joins only if everything fits; an
// error is [ErrStart] with the rule that the start breaks.
func (a *Attempts) Follow(from common.Address, s Start, now time.Time) (Effects, error) {
	var fx Effects
	switch {
	case a.slot == nil || s.Batch != a.slot.Batch || s.K != a.slot.K:
		return fx, fmt.Errorf("%w: not the slot that is being signed", ErrNotNow)
	case a.live:
		return fx, fmt.Errorf("%w: another session of this key is live", ErrNotNow)
	case s.Attempt < a.attempt || s.Attempt < a.slot.Attempt || (s.Attempt == a.attempt && a.started):
		return fx, fmt.Errorf("%w: attempt %d is not above what was recorded", ErrNotNow, s.Attempt)
	case s.Attempt > a.attempt+maxAttemptJump || from != a.coordinator(s.Attempt):
		return fx, fmt.Errorf("%w: %s does not coordinate attempt %d", ErrStart, from, s.Attempt)
	}
	ready, err := a.shown(s)
	if err != nil {
		return fx, err
	}
	set, ok := Draw(ready, a.cfg.Members.Q(), s.Batch, s.K, s.Attempt, a.struck)
	if !ok || !slices.Equal(set, s.Set) {
		return fx, fmt.Errorf("%w: the set is not the draw", ErrStart)
	}
	if s.Attempt > a.attempt {
		a.begin(s.Attempt, now)
	}
	a.started = true
	a.deadline = now.Add(sessionWait)
	if set.Has(a.cfg.Self) {
		fx.Join = a.join(set)
	}
	return fx, nil
}

// shown opens what a start carries, takes its ABORTs and evidence as its own, and returns who is ready and not excluded.
// The READYs come first: q members must have reached the attempt before anything costs more to read.
func (a *Attempts) shown(s Start) (quorum.Members, error) {
	if len(s.Readies) > len(a.cfg.Members) || len(s.Evidence) > maxStartEvidence || len(s.Aborts) > maxStartAborts {
		return nil, fmt.Errorf("%w: more than the members can say", ErrStart)
	}
	var all quorum.Members
	for _, raw := range s.Readies {
		r, err := quorum.Open[quorum.Ready](a.cfg.Network, a.cfg.Members, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: ready: %w", ErrStart, err)
		}
		b, signer := r.Body(), r.Signer()
		if b.Batch != s.Batch || b.Attempt != s.Attempt || b.KMax < s.K || b.Epoch != a.cfg.Epoch || all.Has(signer) {
			return nil, fmt.Errorf("%w: a READY of %s is of something else", ErrStart, signer)
		}
		all = append(all, signer)
	}
	if len(all) < a.cfg.Members.Q() {
		return nil, fmt.Errorf("%w: %d members are ready", ErrStart, len(all))
	}
	for _, raw := range s.Aborts {
		abort, err := quorum.Open[quorum.Abort](a.cfg.Network, a.cfg.Members, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: abort: %w", ErrStart, err)
		}
		a.HearAbort(abort)
	}
	for _, ev := range s.Evidence {
		if !a.convicts(ev) {
			return nil, fmt.Errorf("%w: evidence that proves nothing against %s", ErrStart, ev.Culprit)
		}
		all = slices.DeleteFunc(all, func(m common.Address) bool { return m == ev.Culprit })
		a.evidence[ev.Culprit] = ev
	}
	return all, nil
}

// convicts reports whether evidence excludes a member, for whoever reads it. Refused messages never do, although every
// holder of the key could read them again: what a message may hold depends on the key it was made for, and nothing in it
// says which. A message of an abandoned ceremony's canary could be shown as one of this key, against an honest member.
func (a *Attempts) convicts(ev Evidence) bool {
	return a.cfg.Members.Has(ev.Culprit) && ev.Portable() && ev.Verify(a.cfg.Network) == nil
}

// Convict excludes a member by evidence from elsewhere: from before a restart, or from another member. It reports whether
// the evidence convinces everybody; if not, nothing changes.
func (a *Attempts) Convict(ev Evidence) bool {
	if !a.convicts(ev) {
		return false
	}
	if _, known := a.evidence[ev.Culprit]; !known {
		a.evidence[ev.Culprit] = ev
	}
	return true
}

// Convictions is the evidence by which members are excluded, by member.
func (a *Attempts) Convictions() (out []Evidence) {
	for _, m := range a.cfg.Members {
		if ev, ok := a.evidence[m]; ok {
			out = append(out, ev)
		}
	}
	return out
}

// Ended takes the end of the own session.
func (a *Attempts) Ended(o Outcome, s quorum.Session, now time.Time) Effects {
	var fx Effects
	a.live = false
	switch o.Ending {
	case TimedOut:
		// Whoever is near the failure is asked last too: among them is who keeps the others from signing.
		for _, m := range append(slices.Clone(o.Silent), o.Suspects...) {
			a.silence(m, now)
		}
	case Aborted:
		if !a.believed(o.Evidence, now) {
			// The others saw a failure without a name. With this member's word the set is struck for all.
			fx.Abort = abortOf(s)
		}
	case Unattributed:
		fx.Abort = abortOf(s)
	}
	if a.slot != nil && a.slot.Batch == s.Batch && o.Ending != Signed && a.attempt == s.Attempt {
		a.begin(s.Attempt+1, now)
		a.follow(now)
	}
	return fx
}

// believed excludes whom the evidence of a session convicts before everybody, and reports whether it does. Only what
// convinces everyone may exclude a member: the rest of the draw's makers would draw another set. The others are asked last.
func (a *Attempts) believed(all []Evidence, now time.Time) (convinced bool) {
	for _, ev := range all {
		if a.convicts(ev) {
			a.evidence[ev.Culprit], convinced = ev, true
		} else if ev.Culprit != a.cfg.Self {
			a.silence(ev.Culprit, now)
		}
	}
	return convinced
}

func abortOf(s quorum.Session) *quorum.Abort {
	return &quorum.Abort{Epoch: s.Epoch, Session: s.Hash(), Batch: s.Batch, K: s.K, Attempt: s.Attempt, Set: s.Set}
}

func (a *Attempts) silence(m common.Address, now time.Time) {
	was := a.silent[m]
	wait := min(max(2*was.wait, silentFor), silentMax)
	a.silent[m] = silence{until: now.Add(wait), wait: wait}
}
