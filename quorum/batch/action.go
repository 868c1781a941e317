package batch

import (
	"cmp"
	"math"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Acted is what follows from a decided action of the operators.
type Acted struct {
	Action quorum.Action
	Body   quorum.ActionBody
	Halts  []quorum.Cleared // of a RESUME
	File   []byte           // of the policy that is in force from the next height; nil for a RESUME
	Policy quorum.Policy    // the same, read; the one in force all along for a RESUME
}

// actedKind is the kind of a decision that carries an action.
func actedKind(k quorum.ActionKind) Kind { return Kind(k) }

// validAction checks a decision of the operators that pays nobody.
func (s *State) validAction(b Batch) error {
	if len(b.Items)+len(b.Rejects) != 0 || !b.noTransaction() {
		return invalid("a %s batch pays nothing", b.Kind)
	}
	v, acted, err := s.signedAction(b)
	if err != nil {
		return err
	}
	return s.ripe(v, acted)
}

// signedAction checks what the operators signed: their signatures, its place in history, and what it does.
func (s *State) signedAction(b Batch) (v quorum.VerifiedAction, acted Acted, err error) {
	signed, err := quorum.DecodeSignedAction(b.Action)
	if err != nil {
		return v, acted, invalid("action: %v", err)
	}
	if actedKind(signed.Action.Kind) != b.Kind {
		return v, acted, invalid("the action is a %s", signed.Action.Kind)
	}
	if v, err = signed.Verify(s.Network, s.Roster); err != nil {
		return v, acted, invalid("action: %v", err)
	}
	if acted, err = s.acts(v); err != nil {
		return v, acted, err
	}
	return v, acted, timely(v, b.Time)
}

// Bounds of the time between an operator's signature and the decision that it counts in, ms.
const (
	// signatureLife: nobody ends what others left unfinished long ago. Who still means it signs again.
	signatureLife = 7 * 24 * 3_600_000
	// signatureLead: a clock that is further ahead than any time zone makes a signature that does not age.
	signatureLead = 24 * 3_600_000
)

// Timeliness is from when to when operators may have signed what is decided at a time, all in unix ms.
func Timeliness(at uint64) (from, to uint64) {
	return at - min(at, signatureLife), at + min(math.MaxUint64-at, signatureLead)
}

// timely: each operator signed not long before the decision, by its own clock and the decision's.
func timely(v quorum.VerifiedAction, at uint64) error {
	from, to := Timeliness(at)
	if in := v.Within(from, to); len(in.Operators()) != len(v.Operators()) {
		return invalid("of %d operators %d signed in the 7 days before %s", len(v.Operators()), len(in.Operators()), timeText(at))
	}
	return nil
}

// CheckAction says whether an action could be decided at the next height if q operators had signed it late enough: nil, or
// the rule that it breaks.
func (s *State) CheckAction(v quorum.VerifiedAction) error {
	_, err := s.acts(v)
	return err
}

// acts is what an action does here and now.
func (s *State) acts(v quorum.VerifiedAction) (Acted, error) {
	a := v.Action()
	out := Acted{Action: a, Body: v.Body(), Policy: s.Policy}
	if !s.Founded() {
		return out, invalid("an action before the committee has a key")
	}
	if err := a.Serialised(s.Policy.Version, s.Serial); err != nil {
		return out, invalid("%v", err)
	}
	var err error
	switch body := v.Body().(type) {
	case quorum.MemberChange:
		err = s.changes(body)
	case quorum.Readmit:
		err = s.readmits(body)
	case quorum.CancelSlot:
		err = s.cancels(body)
	case quorum.Resume:
		if out.Halts, err = body.Open(s.Network, s.Roster.IDs()); err != nil {
			err = invalid("%v", err)
		}
	case quorum.PolicyChange:
		out.File = body.File
		out.Policy, err = s.follows(body.File)
	case quorum.Resolve:
		out.File = body.File
		if out.Policy, err = s.follows(body.File); err == nil {
			err = s.resolves(body)
		}
	}
	return out, err
}

// ripe: before a RESUME the operators looked at the halts for as long as the policy asks.
func (s *State) ripe(v quorum.VerifiedAction, acted Acted) error {
	if len(acted.Halts) == 0 {
		return nil
	}
	if at := s.ripeAt(acted); v.Time() < at {
		return invalid("the operators signed at %s, the policy allows it from %s", timeText(v.Time()), timeText(at))
	}
	return nil
}

// ripeAt is the time from which the operators' median counts: resume_delay after the halts' median.
func (s *State) ripeAt(acted Acted) uint64 {
	times := make([]uint64, len(acted.Halts))
	for i, h := range acted.Halts {
		times[i] = h.Halt.Time
	}
	at, delay := quorum.LowerMedian(times), uint64(s.Policy.ResumeDelay.Milliseconds())
	if at > math.MaxUint64-delay {
		return math.MaxUint64 // a member's clock was nowhere near: no operator signs at that time
	}
	return at + delay
}

// RipeAt is the time from which operators' signatures under a RESUME count, unix ms; 0 for other actions.
func (s *State) RipeAt(v quorum.VerifiedAction) uint64 {
	acted, err := s.acts(v)
	if err != nil || len(acted.Halts) == 0 {
		return 0
	}
	return s.ripeAt(acted)
}

// follows: a policy has a higher version than the one in force and a tariff for every lane.
func (s *State) follows(file []byte) (quorum.Policy, error) {
	p, err := quorum.ParsePolicy(file)
	if err != nil {
		return p, invalid("%v", err)
	}
	if p.Version <= s.Policy.Version {
		return p, invalid("policy version %d is not above %d", p.Version, s.Policy.Version)
	}
	for _, l := range s.Lanes {
		if _, ok := p.Tariffs[l.Network]; !ok {
			return p, invalid("the policy has no tariff for %q", l.Network)
		}
	}
	return p, nil
}

func (s *State) resolves(r quorum.Resolve) error {
	first := map[common.Address][]uint64{} // what this list decides before, by account
	for _, f := range r.Contents {
		if err := s.resolvesContent(f, first[f.Content.Account]); err != nil {
			return err
		}
		first[f.Content.Account] = append(first[f.Content.Account], f.Content.WID)
	}
	for _, a := range r.Accounts {
		if err := s.resolvesAccount(a, r.Contents); err != nil {
			return err
		}
	}
	return nil
}

// resolvesContent: the withdrawal is one that could be decided, and the operators knew what was spent of the account.
func (s *State) resolvesContent(f quorum.Fate, first []uint64) error {
	c := f.Content
	lane, ok := s.laneFor(c)
	switch {
	case !ok:
		return invalid("no lane pays withdrawal %d", c.WID)
	case s.history.Past(c.EventID, c.WID):
		return invalid("withdrawal %d is from before the cut-over and not carried: another wallet answered for it", c.WID)
	case s.wids[c.WID] || s.events[c.EventID]:
		return invalid("withdrawal %d or its event was decided before", c.WID)
	case f.Pay && s.messages[c.Message]:
		return invalid("the message of withdrawal %d was paid before", c.WID)
	case f.Pay && (c.To == (common.Address{}) || c.To == lane.Payer || c.Amount.IsZero()):
		return invalid("withdrawal %d has no payable destination or amount", c.WID)
	}
	for _, wid := range s.spentOf(c.Account) {
		if !slices.Contains(f.Spent, wid) {
			return invalid("withdrawal %d of the account was decided, which the word on %d does not know", wid, c.WID)
		}
	}
	for _, wid := range f.Spent {
		if !slices.Contains(s.spentOf(c.Account), wid) && !slices.Contains(first, wid) {
			return invalid("withdrawal %d of the account is neither decided nor resolved before %d", wid, c.WID)
		}
	}
	return nil
}

// resolvesAccount: the list holds the debit of each spent withdrawal up to its end, or what was paid would be forgotten;
// and of each that the operators' word is about to spend, or it would be paid without ever being taken.
func (s *State) resolvesAccount(a quorum.Rewrite, said []quorum.Fate) error {
	held := map[uint64]string{}
	for _, d := range a.Debits {
		if d.Kind == debitWithdraw {
			held[d.ID] = d.Amount
		}
	}
	for _, w := range s.spent[a.Account] {
		if w.event <= a.UpTo && held[w.event] != w.total.Dec() {
			return invalid("the debits of %s lack event %d of %s wei, which withdrawal %d spent", a.Account, w.event, w.total.Dec(), w.wid)
		}
	}
	for _, f := range s.worded(said) {
		c := f.Content
		if w := spentOf(c); c.Account == a.Account && c.EventID <= a.UpTo && held[c.EventID] != w.total.Dec() {
			return invalid("the debits of %s lack event %d of %s wei, which withdrawal %d is resolved to spend", a.Account, w.event, w.total.Dec(), w.wid)
		}
	}
	return nil
}

// worded is what operators say of withdrawals that are not decided: in this list, or before where this one is silent. A word
// that has become void says nothing.
func (s *State) worded(said []quorum.Fate) []quorum.Fate {
	out := slices.Clone(said)
	for wid, r := range s.resolved {
		void := slices.ContainsFunc(s.spentOf(r.Content.Account), func(w uint64) bool { return !slices.Contains(r.Spent, w) })
		if !void && !s.wids[wid] && !slices.ContainsFunc(said, func(f quorum.Fate) bool { return f.Content.WID == wid }) {
			out = append(out, r.Fate)
		}
	}
	slices.SortFunc(out, func(a, b quorum.Fate) int { return cmp.Compare(a.Content.WID, b.Content.WID) })
	return out
}

// debitWithdraw is the Relay's number for the debit that a withdrawal reserves.
const debitWithdraw = 6

// spentWID is a decided withdrawal as RESOLVE must know it.
type spentWID struct {
	wid, event uint64
	total      uint256.Int // amount + fee
}

// resolution is the operators' word on a withdrawal, and when it was decided.
type resolution struct {
	quorum.Fate
	at uint64
}

func (s *State) spentOf(account common.Address) []uint64 {
	out := make([]uint64, len(s.spent[account]))
	for i, w := range s.spent[account] {
		out[i] = w.wid
	}
	return out
}

// spentOf is a withdrawal as it is spent.
func spentOf(c quorum.Content) spentWID {
	w := spentWID{wid: c.WID, event: c.EventID}
	w.total.Add(&c.Amount, &c.Fee)
	return w
}

// noteSpent keeps what was decided of an account, by wid ascending.
func (s *State) noteSpent(c quorum.Content) {
	w := spentOf(c)
	all := s.spent[c.Account]
	at, known := slices.BinarySearchFunc(all, w, func(a, b spentWID) int { return cmp.Compare(a.wid, b.wid) })
	if known {
		return // released before, and spent all along
	}
	s.spent[c.Account] = slices.Insert(all, at, w)
}

// standing returns the operators' word on a withdrawal while it counts: until another withdrawal of the account is
// decided than the word knew of.
func (s *State) standing(wid uint64) (resolution, bool) {
	r, ok := s.resolved[wid]
	if !ok || s.wids[wid] || !slices.Equal(s.spentOf(r.Content.Account), r.Spent) {
		return resolution{}, false
	}
	return r, true
}

// Resolved lists the withdrawals that the operators' word decides now, ascending.
func (s *State) Resolved() (wids []uint64) {
	for wid := range s.resolved {
		if _, ok := s.standing(wid); ok {
			wids = append(wids, wid)
		}
	}
	slices.Sort(wids)
	return wids
}

// Fate returns the operators' word on a withdrawal while it counts.
func (s *State) Fate(wid uint64) (quorum.Fate, bool) {
	r, ok := s.standing(wid)
	return r.Fate, ok
}

// applyAction takes over what a valid action does.
func (s *State) applyAction(b Batch) (*Acted, error) {
	signed, err := quorum.DecodeSignedAction(b.Action)
	if err != nil {
		return nil, err
	}
	v, err := signed.Verify(s.Network, s.Roster)
	if err != nil {
		return nil, err
	}
	out, err := s.acts(v)
	if err != nil {
		return nil, err
	}
	if s.Serial, s.Policy = out.Action.Serial, out.Policy; out.File != nil {
		s.allowAnew()
	}
	if r, ok := out.Body.(quorum.Resolve); ok {
		for _, f := range r.Contents {
			s.resolved[f.Content.WID] = resolution{f, b.Time}
		}
	}
	return &out, nil
}

// BuildAction makes the decision of an action that q operators signed.
func (s *State) BuildAction(v quorum.VerifiedAction, views []quorum.Signed[quorum.View]) (Batch, error) {
	switch v.Action().Kind {
	case quorum.ActionMembers:
		return Batch{}, invalid("a change of members is decided with the ceremony's proofs")
	case quorum.ActionReadmit:
		return Batch{}, invalid("a READMIT is never decided: the member follows it")
	}
	var lane *quorum.LaneKey
	word, cancels := v.Body().(quorum.CancelSlot)
	if cancels {
		lane = s.viewedAs(word.Lane)
	}
	f := s.frame(actedKind(v.Action().Kind), s.freshest(views, lane))
	if f == nil {
		return Batch{}, invalid("fewer than %d views", s.Roster.Q())
	}
	timely := v.Within(Timeliness(f.Time))
	signed, ok := timely.Quorum(s.Roster.Q())
	if !ok {
		return Batch{}, invalid("%d operators signed in the last 7 days, %d are needed", len(timely.Operators()), s.Roster.Q())
	}
	if f.Action = signed.Encode(); cancels {
		if err := f.cancel(s, word); err != nil {
			return Batch{}, err
		}
	}
	return f.Batch, s.Valid(f.Batch)
}

// withResolved puts the operators' word in place of what was certified.
func (s *State) withResolved(candidates []Candidate) []Candidate {
	standing := s.Resolved()
	if len(standing) == 0 {
		return candidates
	}
	out := slices.DeleteFunc(slices.Clone(candidates), func(c Candidate) bool {
		_, ok := slices.BinarySearch(standing, c.Content.WID)
		return ok
	})
	for _, wid := range standing {
		r := s.resolved[wid]
		out = append(out, Candidate{Content: r.Content, resolved: &r})
	}
	return out
}
