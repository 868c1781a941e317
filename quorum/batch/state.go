package batch

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// State is what the decisions below the next height add up to. It is not safe for concurrent use; its owner is whoever
// applies decisions.
type State struct {
	Network common.Hash
	Lanes   []quorum.Lane
	Policy  quorum.Policy

	Roster   quorum.Roster // who decides the next height
	Payer    common.Address
	Key      quorum.PublicKey // zero before the founding ceremony
	Height   uint64           // last decided
	Previous common.Hash      // its id
	Time     uint64           // its time, unix ms
	Serial   uint64           // of the last action that the operators decided
	Ordered  common.Hash      // the decided change that wants a new key, until there is one; see [Retiring]
	Old      *Retiring        // the payer that is being emptied, or nil

	next     map[quorum.NonceKey]uint64 // next free nonce
	first    map[quorum.NonceKey]uint64
	slots    map[quorum.NonceKey][]Cost // by nonce − first
	wids     map[uint64]bool
	events   map[uint64]bool
	messages map[common.Hash]bool
	spent    map[common.Address][]spentWID // by wid
	resolved map[uint64]resolution         // by wid
	placed   map[slotAt]placed             // until released
	freed    map[uint64]freed              // what was ever released, by wid
	allows   map[quorum.LaneKey]allowed

	governors governors
	history   quorum.Cutover
}

// Cost is the most that one decided slot can take from the payer.
type Cost struct {
	Token common.Address
	Value uint256.Int // of Token's smallest unit
	Gas   uint256.Int // wei: gas limit × fee cap
}

// Slot is what a decided batch with items occupies.
type Slot struct {
	Lane  quorum.LaneKey
	Nonce uint64
	Cost  Cost
}

// Effects is what follows from a decision.
type Effects struct {
	Batch   Batch
	Slot    *Slot                 // nil without items
	Members *quorum.MembersAction // nil unless the kind is Members
	Acted   *Acted                // nil unless the operators decided

	Released  []Released // slots whose items went free
	Cancelled *Cancelled // nil unless the kind is Cancel
}

// NewState starts from a genesis document that was verified.
func NewState(g quorum.Genesis) (*State, error) {
	roster, err := g.Roster()
	if err != nil {
		return nil, err
	}
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return nil, err
	}
	return &State{
		Network: g.ID(), Lanes: g.Lanes, Policy: policy, Roster: roster,
		next: map[quorum.NonceKey]uint64{}, first: map[quorum.NonceKey]uint64{}, slots: map[quorum.NonceKey][]Cost{},
		wids: map[uint64]bool{}, events: map[uint64]bool{}, messages: map[common.Hash]bool{},
		spent: map[common.Address][]spentWID{}, resolved: map[uint64]resolution{},
		placed: map[slotAt]placed{}, freed: map[uint64]freed{}, allows: map[quorum.LaneKey]allowed{},
		governors: newGovernors(policy.Governors), history: g.Cutover,
	}, nil
}

// Founded reports whether the committee has a key.
func (s *State) Founded() bool { return s.Key != (quorum.PublicKey{}) }

// LaneKeys returns every lane with the payer in force; none before the founding ceremony.
func (s *State) LaneKeys() []quorum.LaneKey {
	if !s.Founded() {
		return nil
	}
	keys := make([]quorum.LaneKey, len(s.Lanes))
	for i, l := range s.Lanes {
		keys[i] = l.Key(s.Payer)
	}
	return keys
}

// LaneOf returns the genesis lane of a key.
func (s *State) LaneOf(k quorum.LaneKey) (quorum.Lane, bool) {
	for _, l := range s.Lanes {
		if s.Founded() && l.Key(s.Payer) == k {
			return l, true
		}
	}
	return quorum.Lane{}, false
}

// NextNonce returns the nonce that the next batch with items on this sequence takes.
func (s *State) NextNonce(k quorum.NonceKey) uint64 { return s.next[k] }

// FirstNonce returns the nonce that the sequence started from.
func (s *State) FirstNonce(k quorum.NonceKey) uint64 { return s.first[k] }

// Decided reports whether a withdrawal stands in a decided item or reject.
func (s *State) Decided(wid uint64) bool { return s.wids[wid] }

// Apply takes the decision of the next height. It fails only when the commitment is not that of a valid batch here,
// which means that more than f members are faulty or that this program is wrong: the caller stops.
func (s *State) Apply(c quorum.Committed) (Effects, error) {
	b, err := Decode(c.Value())
	if err != nil {
		return Effects{}, fmt.Errorf("decision %d: %w", c.Height(), err)
	}
	return s.apply(c, b, func() error { return s.Valid(b) })
}

func (s *State) apply(c quorum.Committed, b Batch, valid func() error) (Effects, error) {
	if c.Height() != s.Height+1 || b.Height != c.Height() {
		return Effects{}, fmt.Errorf("decision %d does not follow height %d", c.Height(), s.Height)
	}
	err := valid()
	if err != nil {
		return Effects{}, fmt.Errorf("decision %d: %w", c.Height(), err)
	}
	fx := Effects{Batch: b}
	switch b.Kind {
	case Payout:
		fx.Released = s.release(b)
		fx.Slot = s.applyPayout(b)
		s.place(b, fx.Slot, c.ID())
	case Members:
		if fx.Members, err = s.applyMembers(b); err != nil {
			return Effects{}, err
		}
	case Sweep:
		if fx.Slot, err = s.applySweep(b); err != nil {
			return Effects{}, err
		}
		s.place(b, fx.Slot, c.ID())
	case Allow:
		fx.Slot = s.applyAllow(b)
		s.place(b, fx.Slot, c.ID())
	case Cancel:
		if fx.Acted, err = s.applyAction(b); err != nil {
			return Effects{}, err
		}
		fx.Cancelled = s.applyCancel(b, c.ID())
	case Policy, Resume, Resolve:
		if fx.Acted, err = s.applyAction(b); err != nil {
			return Effects{}, err
		}
	}
	s.govern(b)
	s.Height, s.Previous, s.Time = b.Height, c.ID(), b.Time
	return fx, nil
}

func (s *State) applyPayout(b Batch) *Slot {
	for _, it := range b.Items {
		s.use(it.Content)
		s.noteSpent(it.Content)
		s.messages[it.Content.Message] = true
	}
	for _, r := range b.Rejects {
		s.use(r.Content)
		s.noteSpent(r.Content)
	}
	if len(b.Items) == 0 {
		return nil
	}
	slot := &Slot{Lane: b.Lane, Nonce: b.Nonce, Cost: costOf(b)}
	k := b.Lane.Nonces()
	s.slots[k] = append(s.slots[k], slot.Cost)
	s.next[k] = b.Nonce + 1
	return slot
}

func (s *State) use(c quorum.Content) {
	s.wids[c.WID] = true
	s.events[c.EventID] = true
}

func (s *State) applyMembers(b Batch) (*quorum.MembersAction, error) {
	action, roster, err := s.members(b)
	if err != nil {
		return nil, err
	}
	payer, err := action.Transcript.PublicKey.Address()
	if err != nil {
		return nil, err
	}
	founding, was := !s.Founded(), Retiring{Payer: s.Payer, Key: s.Key, Epoch: s.Roster.Epoch}
	s.Roster, s.Key, s.Payer = roster, action.Transcript.PublicKey, payer
	for _, l := range s.Lanes {
		if k := l.Key(payer).Nonces(); founding {
			s.first[k], s.next[k] = l.FirstNonce, l.FirstNonce
		}
	}
	if signed, ok, err := action.Proposal(); ok && err == nil {
		s.Serial = signed.Action.Serial
	}
	return &action, s.follow(action, was)
}

// costOf is the most that a batch can take. Valid has checked that nothing overflows.
func costOf(b Batch) Cost {
	value, _ := b.Value()
	c := Cost{Token: b.Lane.Token, Value: value}
	c.Gas.Mul(&b.FeeCap, uint256.NewInt(b.GasLimit))
	return c
}
