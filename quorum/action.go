package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// ActionKind says what operators decide. The numbers are those of the decisions that carry an action.
type ActionKind uint8

// The kinds.
const (
	ActionCancel  ActionKind = 2
	ActionMembers ActionKind = 4 // proposed: decided only with the proofs of the ceremony that follows
	ActionPolicy  ActionKind = 5
	ActionResume  ActionKind = 6
	ActionResolve ActionKind = 7
	ActionReadmit ActionKind = 8 // never decided: the member that it names follows it
)

func (k ActionKind) String() string {
	switch k {
	case ActionCancel:
		return "CANCEL"
	case ActionMembers:
		return "MEMBERS"
	case ActionPolicy:
		return "POLICY"
	case ActionResume:
		return "RESUME"
	case ActionResolve:
		return "RESOLVE"
	case ActionReadmit:
		return "READMIT"
	}
	return fmt.Sprintf("action(%d)", uint8(k))
}

// Bounds of an action. It travels in one frame, inside a batch.
const (
	// MaxAction bounds a signed action in bytes: a policy file of the largest size and some ten thousand debits.
	MaxAction = 384 << 10
	// MaxResumed bounds the halts that one RESUME clears; more take another one.
	MaxResumed = 64
	// MaxResolved bounds the contents, the accounts and the rows of one RESOLVE, each.
	MaxResolved = 256
	// MaxSerialStep bounds how far a serial may leap, so that one signature given in error cannot use all of them up.
	MaxSerialStep = 1024
	// maxActionAmount bounds an amount in bits, as the books do.
	maxActionAmount = 192
)

// ErrAction means that an action is not what an operator could have signed: malformed, or of another place in history.
var ErrAction = errors.New("not an action of this network's operators")

func badAction(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrAction, fmt.Errorf(format, args...))
}

// Action is one decision of the operators. Epoch, policy version and serial are those at which it counts: nowhere else do
// its signatures mean anything.
type Action struct {
	Epoch  uint64
	Policy uint64 // the version in force when it is decided
	Serial uint64 // above that of every action decided before
	Kind   ActionKind
	Body   []byte // RLP of the body
}

// ActionBody is what an action does: a [CancelSlot], a [MemberChange], a [PolicyChange], a [Resume], a [Resolve] or a [Readmit].
type ActionBody interface {
	Action() ActionKind
	Check() error // the shape alone
}

// Resume clears halts: they never count again.
type Resume struct {
	Halts  [][]byte // signed HALT statements, by [Halt.ID] ascending
	Reason string
}

// Action implements ActionBody.
func (Resume) Action() ActionKind { return ActionResume }

// Check implements ActionBody.
func (r Resume) Check() error {
	switch {
	case len(r.Halts) == 0 || len(r.Halts) > MaxResumed:
		return fmt.Errorf("%d halts, want 1 to %d", len(r.Halts), MaxResumed)
	case r.Reason == "" || len(r.Reason) > MaxText || !printable(r.Reason):
		return fmt.Errorf("a reason of 1 to %d bytes of printable text", MaxText)
	}
	return nil
}

// Cleared is a halt that a RESUME lists, its signature verified.
type Cleared struct {
	ID     common.Hash
	Member common.Address
	Halt   Halt
}

// Open verifies the halts against the members in force. They must ascend by id, so that one list has one encoding.
func (r Resume) Open(network common.Hash, members Members) ([]Cleared, error) {
	return r.open(func(raw []byte) (Signed[Halt], error) { return Open[Halt](network, members, raw) }, network)
}

// recovered is Open without knowing the members: who signed is what the signature says.
func (r Resume) recovered(network common.Hash) ([]Cleared, error) {
	return r.open(func(raw []byte) (Signed[Halt], error) {
		_, signer, err := authenticate(network, nil, raw)
		if !errors.Is(err, ErrNotMember) {
			return Signed[Halt]{}, err
		}
		return Open[Halt](network, Members{signer}, raw)
	}, network)
}

func (r Resume) open(one func([]byte) (Signed[Halt], error), network common.Hash) ([]Cleared, error) {
	var out []Cleared
	for i, raw := range r.Halts {
		s, err := one(raw)
		if err != nil {
			return nil, fmt.Errorf("halt %d: %w", i, err)
		}
		c := Cleared{s.Body().ID(network, s.Signer()), s.Signer(), s.Body()}
		if i > 0 && bytes.Compare(out[i-1].ID[:], c.ID[:]) >= 0 {
			return nil, fmt.Errorf("halt %d: not ascending", i)
		}
		out = append(out, c)
	}
	return out, nil
}

// NewResume lists halts in their one order.
func NewResume(network common.Hash, halts []Signed[Halt], reason string) Resume {
	sorted := slices.Clone(halts)
	slices.SortFunc(sorted, func(a, b Signed[Halt]) int {
		x, y := a.Body().ID(network, a.Signer()), b.Body().ID(network, b.Signer())
		return bytes.Compare(x[:], y[:])
	})
	r := Resume{Reason: reason}
	for _, h := range sorted {
		r.Halts = append(r.Halts, h.Bytes())
	}
	return r
}

// PolicyChange puts another policy file into force from the next height.
type PolicyChange struct {
	File []byte // the policy file's bytes
}

// Action implements ActionBody.
func (PolicyChange) Action() ActionKind { return ActionPolicy }

// Check implements ActionBody.
func (p PolicyChange) Check() error {
	_, err := ParsePolicy(p.File)
	return err
}

// Resolve is the operators' word on what the rules leave open. It always comes with a policy of a higher version, which
// makes every undecided certificate void.
type Resolve struct {
	File      []byte // the new policy file's bytes
	Contents  []Fate
	Accounts  []Rewrite   // by account ascending
	Log       []LogRow    // by id ascending
	Uncovered uint256.Int // wei that no longer count as uncovered
	Reason    string
}

// Fate is the operators' word on one withdrawal. It stands in place of a certificate while the account's spent
// withdrawals are exactly Spent.
type Fate struct {
	Content Content
	Pay     bool     // else it is rejected
	Spent   []uint64 // the account's decided withdrawals, ascending: those so far, and those that this list decides first
}

// Rewrite replaces every node's debits of an account up to an id.
type Rewrite struct {
	Account common.Address
	UpTo    uint64
	Debits  []Debit // by id ascending, none above UpTo; amounts are well-formed
}

// Total is what the debits take, and false when an amount is malformed.
func (r Rewrite) Total() (sum uint256.Int, ok bool) {
	for _, d := range r.Debits {
		v, ok := ParseWei(d.Amount)
		if !ok || v.BitLen() > maxActionAmount {
			return sum, false
		}
		sum.Add(&sum, &v) // fewer than 2^64 of them below 2^192 each
	}
	return sum, true
}

// LogRow is a row of the Relay's log that a joiner cannot see any more, its fields as the Relay showed them.
type LogRow struct {
	ID        uint64         `json:"id"`
	CreatedAt uint64         `json:"created_at"` // unix seconds
	Account   common.Address `json:"account"`
	Kind      uint8          `json:"type"`
	Amount    string         `json:"amount"` // verbatim

	Network string      `json:"network"` // of a deposit
	TxHash  common.Hash `json:"tx_hash"` // of a deposit
	Vesting LogVesting  `json:"vesting"`
}

// LogVesting is what a row about vesting carries; zero for every other kind.
type LogVesting struct {
	ID           uint64         `json:"id"`
	Account      common.Address `json:"account"`
	Spelling     string         `json:"spelling"`
	Total        string         `json:"total"`
	Released     string         `json:"released"`
	Start        uint64         `json:"start"`
	DurationDays uint64         `json:"duration_days"`
	Type         string         `json:"type"`
	Signature    []byte         `json:"signature"`
}

// Kinds of the Relay's log that are debits.
const (
	debitTask     = 4
	debitWithdraw = 6
	maxLogKind    = 10
	maxLogText    = 256 // bytes of a verbatim amount or name
)

// Action implements ActionBody.
func (Resolve) Action() ActionKind { return ActionResolve }

// Check implements ActionBody.
func (r Resolve) Check() error {
	switch {
	case len(r.Contents) > MaxResolved || len(r.Accounts) > MaxResolved || len(r.Log) > MaxResolved:
		return fmt.Errorf("at most %d contents, accounts and rows each", MaxResolved)
	case len(r.Contents)+len(r.Accounts)+len(r.Log) == 0 && r.Uncovered.IsZero():
		return errors.New("it resolves nothing")
	case r.Reason == "" || len(r.Reason) > MaxText || !printable(r.Reason):
		return fmt.Errorf("a reason of 1 to %d bytes of printable text", MaxText)
	case r.Uncovered.BitLen() > maxActionAmount:
		return errors.New("uncovered: out of bounds")
	}
	if _, err := ParsePolicy(r.File); err != nil {
		return err
	}
	return errors.Join(r.checkContents(), r.checkAccounts(), r.checkLog())
}

func (r Resolve) checkContents() error {
	seen := map[uint64]bool{}
	for _, f := range r.Contents {
		if err := f.Content.Check(); err != nil {
			return fmt.Errorf("withdrawal %d: %w", f.Content.WID, err)
		}
		if seen[f.Content.WID] {
			return fmt.Errorf("withdrawal %d stands twice", f.Content.WID)
		}
		seen[f.Content.WID] = true
		if !slices.IsSorted(f.Spent) || len(slices.Compact(slices.Clone(f.Spent))) != len(f.Spent) {
			return fmt.Errorf("withdrawal %d: spent withdrawals must ascend", f.Content.WID)
		}
	}
	return nil
}

func (r Resolve) checkAccounts() error {
	for i, a := range r.Accounts {
		if i > 0 && r.Accounts[i-1].Account.Cmp(a.Account) >= 0 {
			return errors.New("accounts must ascend")
		}
		if _, ok := a.Total(); !ok {
			return fmt.Errorf("account %s: a debit's amount is malformed", a.Account)
		}
		for j, d := range a.Debits {
			if d.ID == 0 || d.ID > a.UpTo || (j > 0 && a.Debits[j-1].ID >= d.ID) || (d.Kind != debitTask && d.Kind != debitWithdraw) {
				return fmt.Errorf("account %s: debit %d is out of order, above %d, or of kind %d", a.Account, d.ID, a.UpTo, d.Kind)
			}
		}
	}
	return nil
}

func (r Resolve) checkLog() error {
	for i, row := range r.Log {
		switch {
		case row.ID == 0 || (i > 0 && r.Log[i-1].ID >= row.ID):
			return errors.New("rows must ascend")
		case row.Kind > maxLogKind:
			return fmt.Errorf("row %d: unknown kind %d", row.ID, row.Kind)
		case len(row.Amount) > maxLogText || len(row.Network) > maxLogText || len(row.Vesting.Spelling) > maxLogText ||
			len(row.Vesting.Total) > maxLogText || len(row.Vesting.Released) > maxLogText || len(row.Vesting.Type) > maxLogText ||
			len(row.Vesting.Signature) > maxLogText:
			return fmt.Errorf("row %d: a field is longer than %d bytes", row.ID, maxLogText)
		}
	}
	return nil
}

// NewAction makes an action out of a body that passes its check.
func NewAction(epoch, policy, serial uint64, body ActionBody) (Action, error) {
	if err := body.Check(); err != nil {
		return Action{}, badAction("%w", err)
	}
	return Action{epoch, policy, serial, body.Action(), mustEncode(body)}, nil
}

// Open reads the body. Bytes that are not the one encoding of a body that passes its check are [ErrAction].
func (a Action) Open() (ActionBody, error) {
	switch a.Kind {
	case ActionCancel:
		return openBody[CancelSlot](a.Body)
	case ActionMembers:
		return openBody[MemberChange](a.Body)
	case ActionResume:
		return openBody[Resume](a.Body)
	case ActionPolicy:
		return openBody[PolicyChange](a.Body)
	case ActionResolve:
		return openBody[Resolve](a.Body)
	case ActionReadmit:
		return openBody[Readmit](a.Body)
	}
	return nil, badAction("unknown kind %d", uint8(a.Kind))
}

func openBody[T ActionBody](raw []byte) (ActionBody, error) {
	var body T
	if err := decodeExact(raw, &body); err != nil {
		return nil, badAction("%w", err)
	}
	if err := body.Check(); err != nil {
		return nil, badAction("%w", err)
	}
	return body, nil
}

// Hash names the action on a network.
func (a Action) Hash(network common.Hash) common.Hash { return Digest(KindAction, network, a) }

// Endorsed is one operator's signature under an action, and when it was given: the time is signed too.
type Endorsed struct {
	Time uint64 // unix ms by the operator's clock
	Sig  Signature
}

// SignedAction is an action with operators' signatures as it travels. It proves nothing until [SignedAction.Verify].
type SignedAction struct {
	Action     Action
	Signatures []Endorsed // by operator ascending
}

// Encode returns the one encoding.
func (s SignedAction) Encode() []byte { return mustEncode(s) }

// DecodeSignedAction reads a signed action strictly; the body is looked at too, signatures are not.
func DecodeSignedAction(raw []byte) (SignedAction, error) {
	var s SignedAction
	if len(raw) > MaxAction {
		return s, badAction("%d bytes, at most %d", len(raw), MaxAction)
	}
	// The kind of a list's element is checked by its decoder; what is left over is not the one encoding.
	if err := rlp.DecodeBytes(raw, &s); err != nil {
		return SignedAction{}, badAction("%w", err)
	}
	if !bytes.Equal(mustEncode(s), raw) {
		return SignedAction{}, badAction("not the canonical encoding")
	}
	if _, err := s.Action.Open(); err != nil {
		return SignedAction{}, err
	}
	return s, nil
}
