package batch

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// A removal for cause goes in three decisions, each of which leaves somebody who can pay:
//
//	decided                       who pays          what follows
//	MEMBERS, a sweep ordered      the old payer     its members make another key
//	MEMBERS of that key           the new payer     SWEEPs of the old payer, signed with the old key
//	SWEEP of nothing              the new payer     the old key's shares are destroyed
//
// Between the second and the third the committee holds two keys, and no other change of members is valid: it would hand on one
// of them and lose the other.

// MaxSweeps bounds the SWEEPs of one asset. One is enough; another follows a transaction that reverted, or money that came late. Whoever
// sends the old payer a coin at a time must not keep it in office.
const MaxSweeps = 3

// Retiring is a payer that pays nobody any more, while what it holds goes to the payer in force.
type Retiring struct {
	Payer common.Address
	Key   quorum.PublicKey
	Epoch uint64 // of whose committee the shares sign for it
	swept map[quorum.LaneKey]int
}

// errEmptied means that an asset of the old payer is where it should be, or not worth its way.
var errEmptied = fmt.Errorf("%w: nothing is left to sweep", ErrInvalid)

// errNotOld: one text wherever a SWEEP comes at the wrong time.
var errNotOld = errors.New("no old payer is to be swept")

// purse is one asset of the old payer: a lane's token, or a chain's coin.
type purse struct {
	lane quorum.Lane    // whose views show it
	key  quorum.LaneKey // of its transactions
}

func (p purse) coin() bool { return p.key.Token == (common.Address{}) }

// purses are what the old payer may hold: of each chain the tokens first and the coin last, for it pays the gas.
func (s *State) purses() (out []purse) {
	var coins []purse
	for _, l := range s.Lanes {
		coin := purse{key: quorum.LaneKey{ChainID: l.ChainID, Payer: s.Old.Payer}}
		if coin.lane, _ = s.ShownBy(coin.key); coin.lane.Network == l.Network {
			coins = append(coins, coin)
		}
		if l.Token != (common.Address{}) {
			out = append(out, purse{l, l.Key(s.Old.Payer)})
		}
	}
	return append(out, coins...)
}

// OldLanes returns every lane with the payer that is being emptied; none while there is none.
func (s *State) OldLanes() (keys []quorum.LaneKey) {
	if s.Old == nil {
		return nil
	}
	for _, l := range s.Lanes {
		keys = append(keys, l.Key(s.Old.Payer))
	}
	return keys
}

// ShownBy returns the genesis lane whose watchers follow the transactions of a lane, whichever payer it has: that of its token, and for a
// coin that no lane pays in the first of its chain.
func (s *State) ShownBy(k quorum.LaneKey) (quorum.Lane, bool) {
	at := slices.IndexFunc(s.Lanes, func(l quorum.Lane) bool { return l.ChainID == k.ChainID && l.Token == k.Token })
	if at < 0 && k.Token == (common.Address{}) {
		at = slices.IndexFunc(s.Lanes, func(l quorum.Lane) bool { return l.ChainID == k.ChainID })
	}
	if at < 0 {
		return quorum.Lane{}, false
	}
	return s.Lanes[at], true
}

// Paying returns by which key a payer's transactions are signed, and the epoch whose committee holds its shares.
func (s *State) Paying(payer common.Address) (key quorum.PublicKey, epoch uint64, ok bool) {
	switch {
	case s.Founded() && payer == s.Payer:
		return s.Key, s.Roster.Epoch, true
	case s.Old != nil && payer == s.Old.Payer:
		return s.Old.Key, s.Old.Epoch, true
	}
	return key, 0, false
}

// ownAddress reports whether this network holds an address itself: a payout there would break the books' conservation in silence. So
// would one to a lane's contract, which holds claims for others and can claim nothing itself.
func (s *State) ownAddress(a common.Address) bool {
	return a == s.Payer || s.Old != nil && a == s.Old.Payer ||
		slices.ContainsFunc(s.Lanes, func(l quorum.Lane) bool { return l.Way == quorum.WayBatch && l.Contract == a })
}

// rekeying reports whether a MEMBERS batch carries the key that an ordered sweep waits for. The operators' word stands in the decision
// that ordered it.
func (s *State) rekeying(action quorum.MembersAction) bool {
	return s.Ordered != (common.Hash{}) && len(action.Change) == 0
}

// rekeys: the committee in force, unchanged, with a key that never paid.
func (s *State) rekeys(action quorum.MembersAction, roster quorum.Roster) error {
	if err := sameMembers(roster.Members, s.Roster.Members); err != nil {
		return invalid("members of the new key: %v", err)
	}
	payer, err := action.Transcript.PublicKey.Address()
	if err != nil {
		return invalid("%v", err)
	}
	for k := range s.first {
		if k.Payer == payer {
			return invalid("%s has paid before: a sweep wants a new key", payer)
		}
	}
	return nil
}

// follow takes over what a MEMBERS decision says of sweeps; was is the state's key before it. A new payer's nonces begin at zero: nobody
// had its key before the ceremony.
func (s *State) follow(action quorum.MembersAction, was Retiring) error {
	s.Ordered = common.Hash{}
	if was.Key == (quorum.PublicKey{}) {
		return nil // the founding
	}
	if was.Key != s.Key {
		was.swept = map[quorum.LaneKey]int{}
		s.Old = &was
		for _, l := range s.Lanes {
			s.first[l.Key(s.Payer).Nonces()], s.next[l.Key(s.Payer).Nonces()] = 0, 0
		}
		return nil
	}
	signed, ok, err := action.Proposal()
	if err != nil || !ok {
		return err
	}
	body, err := signed.Action.Open()
	if change, is := body.(quorum.MemberChange); err == nil && is && change.Sweep {
		s.Ordered = signed.Action.Hash(s.Network)
	}
	return err
}

// validSweep: one asset of the old payer goes to the new one, or the old payer is empty.
func (s *State) validSweep(b Batch, views []quorum.View, median uint64) error {
	switch {
	case s.Old == nil:
		return invalid("%v", errNotOld)
	case len(b.Items)+len(b.Rejects)+len(b.Releases) != 0:
		return invalid("a SWEEP pays nobody")
	case median+staleViews < s.Time:
		return invalid("the views are more than %d s older than the last decision", staleViews/1000)
	case b.noTransaction() && len(b.Action) == 0:
		return s.emptied(views)
	}
	at := slices.IndexFunc(s.purses(), func(p purse) bool { return p.key == b.Lane })
	if at < 0 {
		return invalid("the old payer has no such asset")
	}
	want, err := s.sweepOf(s.purses()[at], views)
	switch {
	case err != nil:
		return err
	case b.Nonce != want.Nonce:
		return invalid("nonce %d, next is %d", b.Nonce, want.Nonce)
	case b.Offer != want.Offer || b.Tip != want.Tip || b.FeeCap != want.FeeCap || b.GasLimit != want.GasLimit:
		return invalid("fees or gas limit are not what the policy's formula gives")
	case !bytes.Equal(b.Action, want.Action):
		return invalid("the SWEEP moves something else than is left, or elsewhere")
	}
	return nil
}

// emptied: every asset of the old payer is swept or dust, and every transaction of it final, in the eyes of q members.
func (s *State) emptied(views []quorum.View) error {
	for _, p := range s.purses() {
		if _, err := s.sweepOf(p, views); !errors.Is(err, errEmptied) {
			return invalid("%s of the old payer on chain %d is not swept: %v", p.name(), p.key.ChainID, err)
		}
	}
	return nil
}

func (p purse) name() string {
	if p.coin() {
		return "the coin"
	}
	return "token " + p.key.Token.String()
}

// sweepOf is the one transaction that may sweep an asset now, by what q members see, in the fields of its batch. It fails with
// [errEmptied] when everything before it is final and nothing is left for it.
func (s *State) sweepOf(p purse, views []quorum.View) (b Batch, err error) {
	lanes := make([]quorum.LaneView, len(views))
	for i, v := range views {
		lv, ok := v.Lane(p.lane.Key(s.Old.Payer))
		if !ok {
			return b, invalid("view %d has no data of the old payer on %q", i, p.lane.Network)
		}
		lanes[i] = lv
	}
	next, final := s.next[p.key.Nonces()], medianNonce(lanes)
	switch {
	case final > next:
		return b, invalid("the members saw nonce %d final, which no decision took", final)
	case final < next && p.coin():
		return b, invalid("%d slots of the old payer are not final: its coin goes last", next-final)
	case next-final >= s.Policy.InFlight:
		return b, invalid("%d slots are in flight already", next-final)
	case s.Old.swept[p.key] >= MaxSweeps && final == next:
		return b, errEmptied
	case s.Old.swept[p.key] >= MaxSweeps:
		return b, invalid("swept %d times already", MaxSweeps)
	}
	if p.coin() {
		if err := s.tokensFirst(p, views); err != nil {
			return b, err
		}
	}
	terms, ok := s.terms(p.key, lanes)
	terms.GasLimit = s.Policy.Fees.GasLimit
	if !p.coin() {
		terms.GasLimit = s.Policy.Fees.TokenGasLimit
	}
	if !ok {
		return b, invalid("the chain's fees are above the policy's ceiling")
	}
	value, err := s.sweepable(p, lanes, terms)
	if err != nil {
		return b, err
	}
	if value.IsZero() && final == next {
		return b, errEmptied
	}
	if value.IsZero() {
		return b, invalid("nothing is left beside the slots in flight")
	}
	b = Batch{Lane: p.key, Nonce: next, Offer: terms.Offer, Tip: terms.Tip, FeeCap: terms.FeeCap, GasLimit: terms.GasLimit}
	b.Action = quorum.SweepAction{To: s.Payer, Value: value}.Encode()
	return b, nil
}

// tokensFirst: the coin pays the gas of the chain's tokens, so it stays until they have gone.
func (s *State) tokensFirst(coin purse, views []quorum.View) error {
	for _, p := range s.purses() {
		if p.coin() || p.key.ChainID != coin.key.ChainID {
			continue
		}
		if _, err := s.sweepOf(p, views); !errors.Is(err, errEmptied) {
			return invalid("%s goes before the coin", p.name())
		}
	}
	return nil
}

// sweepable is what may be moved: the lower median of what members saw, less the worst cost of every open slot and, of the coin, its own.
// A coin that is worth less than twice its own way is dust.
func (s *State) sweepable(p purse, lanes []quorum.LaneView, terms Batch) (value uint256.Int, err error) {
	token, native := make([]uint256.Int, len(lanes)), make([]uint256.Int, len(lanes))
	for i, lv := range lanes {
		token[i], native[i] = s.left(p.lane.Key(s.Old.Payer), lv)
	}
	have := medianAmount(native)
	var gas uint256.Int
	if _, over := gas.MulOverflow(&terms.FeeCap, uint256.NewInt(terms.GasLimit)); over {
		return value, invalid("gas cost overflows")
	}
	if p.coin() {
		if take(&have, &gas); have.Lt(&gas) {
			have.Clear()
		}
		return have, nil
	}
	value = medianAmount(token)
	if !value.IsZero() && gas.Gt(&have) {
		return value, invalid("the old payer's coin on chain %d does not cover the gas: top it up", p.key.ChainID)
	}
	return value, nil
}

// applySweep takes over a SWEEP: its slot, or the end of the old payer.
func (s *State) applySweep(b Batch) (*Slot, error) {
	if b.noTransaction() {
		s.Old = nil
		return nil, nil
	}
	moves, err := quorum.DecodeSweepAction(b.Action)
	if err != nil {
		return nil, err
	}
	slot := &Slot{Lane: b.Lane, Nonce: b.Nonce, Cost: costOf(b)}
	slot.Cost.Value = moves.Value
	k := b.Lane.Nonces()
	s.slots[k], s.next[k] = append(s.slots[k], slot.Cost), b.Nonce+1
	s.Old.swept[b.Lane]++
	return slot, nil
}

// BuildSweep makes the next SWEEP: the first asset that can go, or the old payer's end. The error says what the old payer waits for.
func (s *State) BuildSweep(views []quorum.Signed[quorum.View]) (Batch, error) {
	if s.Old == nil {
		return Batch{}, errNotOld
	}
	var why error
	for _, p := range s.purses() {
		lane := p.lane.Key(s.Old.Payer)
		f := s.frame(Sweep, s.freshest(views, &lane))
		if f == nil { // a chain that hangs keeps no other one's money
			why = errors.Join(why, invalid("fewer than %d members show a view of the old payer on %q", s.Roster.Q(), p.lane.Network))
			continue
		}
		b, err := s.sweepOf(p, f.views)
		if err == nil {
			f.Lane, f.Nonce, f.Offer, f.Tip, f.FeeCap, f.GasLimit, f.Action = b.Lane, b.Nonce, b.Offer, b.Tip, b.FeeCap, b.GasLimit, b.Action
			err = s.Valid(f.Batch)
		}
		switch {
		case err == nil:
			return f.Batch, nil
		case !errors.Is(err, errEmptied):
			why = errors.Join(why, err)
		}
	}
	if why != nil {
		return Batch{}, why
	}
	return s.buildEmptied(views)
}

// buildEmptied ends the old payer, on views that show all of its lanes.
func (s *State) buildEmptied(views []quorum.Signed[quorum.View]) (Batch, error) {
	whole := slices.DeleteFunc(slices.Clone(views), func(v quorum.Signed[quorum.View]) bool {
		return slices.ContainsFunc(s.OldLanes(), func(k quorum.LaneKey) bool { _, ok := v.Body().Lane(k); return !ok })
	})
	f := s.frame(Sweep, s.freshest(whole, nil))
	if f == nil {
		return Batch{}, invalid("fewer than %d members show all of the old payer's lanes", s.Roster.Q())
	}
	return f.Batch, s.Valid(f.Batch)
}
