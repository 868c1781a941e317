package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/pelletier/go-toml/v2"
)

// Overlay is one custodian's own rules on top of the policy: the same keys in a file of its own, and only ever stricter.
// No verdict names it, so it can make a node wait and never make it refuse: what it holds back spends fault budget. The
// zero value changes nothing.
type Overlay struct {
	Hash        common.Hash // keccak256 of the file's bytes
	Limits      Limits
	MaxPerEvent map[uint8]uint256.Int
}

// overlayFile is the TOML shape: the policy's own keys, as far as a single node may tighten them.
type overlayFile struct {
	MaxPerEvent map[string]string `toml:"max_per_event"`
	Limits      overlayLimits     `toml:"limits"`
}

// overlayLimits are the policy's [limits] without freeze_above_max: to freeze where the others stop is not stricter.
type overlayLimits struct {
	AccrualWindow  string   `toml:"accrual_window"`
	AccrualCeiling string   `toml:"accrual_ceiling"`
	Deny           []string `toml:"deny"`
	Allow          []string `toml:"allow"`
	CoolDown       string   `toml:"cool_down"`
	LargeAbove     string   `toml:"large_above"`
	LargeDelay     string   `toml:"large_delay"`
	Hours          []string `toml:"hours"`
}

// ParseOverlay reads an overlay's file. Unknown keys and values out of bounds are errors that name the key.
func ParseOverlay(file []byte) (Overlay, error) {
	var f overlayFile
	if len(file) > MaxPolicyFile {
		return Overlay{}, fmt.Errorf("overlay: %d bytes, at most %d", len(file), MaxPolicyFile)
	}
	if err := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields().Decode(&f); err != nil {
		return Overlay{}, fmt.Errorf("overlay: %w", tomlError(err))
	}
	var r reader
	var p Policy
	var in limitsFile
	in.Limits.AccrualWindow, in.Limits.AccrualCeiling = f.Limits.AccrualWindow, f.Limits.AccrualCeiling
	in.Limits.Deny, in.Limits.Allow = f.Limits.Deny, f.Limits.Allow
	in.Limits.CoolDown, in.Limits.Hours = f.Limits.CoolDown, f.Limits.Hours
	in.Limits.LargeAbove, in.Limits.LargeDelay = f.Limits.LargeAbove, f.Limits.LargeDelay
	p.MaxPerEvent = r.ceilings(f.MaxPerEvent)
	r.limits(in, &p)
	if r.err != nil {
		return Overlay{}, fmt.Errorf("overlay: %w", r.err)
	}
	return Overlay{Hash: crypto.Keccak256Hash(file), Limits: p.Limits, MaxPerEvent: p.MaxPerEvent}, nil
}

// Empty reports whether the overlay changes nothing.
func (o Overlay) Empty() bool { return o.Hash == common.Hash{} }

// Stricter fails with the first key that is not at least as strict as the policy's. A node does not start with such a
// file: its operator believes something that is not so.
func (o Overlay) Stricter(p Policy) error {
	l, by := o.Limits, p.Limits
	both := l.AccrualWindow > 0 && by.AccrualWindow > 0
	large := l.LargeDelay > 0 && by.LargeDelay > 0
	switch {
	case both && l.AccrualWindow != by.AccrualWindow:
		return fmt.Errorf("overlay: limits.accrual_window: %w: it counts over %s, and sums over two windows do not compare", ErrLooser, by.AccrualWindow)
	case both && l.AccrualCeiling.Gt(&by.AccrualCeiling):
		return looser("limits.accrual_ceiling")
	case l.CoolDown > 0 && l.CoolDown < by.CoolDown:
		return looser("limits.cool_down")
	case large && l.LargeAbove.Gt(&by.LargeAbove):
		return looser("limits.large_above")
	case large && l.LargeDelay < by.LargeDelay:
		return looser("limits.large_delay")
	}
	for _, a := range l.Allow {
		if len(by.Allow) > 0 && !slices.Contains(by.Allow, a) {
			return fmt.Errorf("overlay: limits.allow: %w: %s is not on its list", ErrLooser, a)
		}
	}
	for kind, limit := range o.MaxPerEvent {
		if was, ok := p.MaxPerEvent[kind]; ok && limit.Gt(&was) {
			return looser(fmt.Sprintf("max_per_event.%d", kind))
		}
	}
	if len(l.Hours) > 0 && len(by.Hours) > 0 && slices.Equal(meet(l.Hours, by.Hours), never) {
		return fmt.Errorf("overlay: limits.hours: %w: none lies within its hours", ErrLooser)
	}
	return nil
}

// ErrLooser means that an overlay is not at least as strict as the policy in every key.
var ErrLooser = errors.New("not stricter than the policy")

func looser(key string) error { return fmt.Errorf("overlay: %s: %w", key, ErrLooser) }

// Over returns the policy with the stricter of both in each rule. Version and hash stay the policy's. A policy that
// becomes stricter than the overlay in some rule wins there.
func (o Overlay) Over(p Policy) Policy {
	if o.Empty() {
		return p
	}
	l, by := o.Limits, p.Limits
	if by.AccrualWindow == 0 {
		by.AccrualWindow, by.AccrualCeiling = l.AccrualWindow, l.AccrualCeiling
	} else if by.AccrualWindow == l.AccrualWindow {
		by.AccrualCeiling = least(by.AccrualCeiling, l.AccrualCeiling)
	}
	by.Deny = union(by.Deny, l.Deny)
	by.Allow = shared(by.Allow, l.Allow)
	by.CoolDown = max(by.CoolDown, l.CoolDown)
	by.LargeAbove, by.LargeDelay = least(by.LargeAbove, l.LargeAbove), max(by.LargeDelay, l.LargeDelay)
	by.Hours = meet(by.Hours, l.Hours)
	p.Limits = by

	ceilings := map[uint8]uint256.Int{}
	for kind, limit := range p.MaxPerEvent {
		ceilings[kind] = limit
	}
	for kind, limit := range o.MaxPerEvent {
		if was, ok := ceilings[kind]; !ok || limit.Lt(&was) {
			ceilings[kind] = limit
		}
	}
	p.MaxPerEvent = ceilings
	return p
}

// least is the smaller of two limits, zero being none.
func least(a, b uint256.Int) uint256.Int {
	if a.IsZero() || (!b.IsZero() && b.Lt(&a)) {
		return b
	}
	return a
}

// union is both lists, ascending.
func union(a, b []common.Address) []common.Address {
	out := slices.Concat(a, b)
	slices.SortFunc(out, common.Address.Cmp)
	return slices.Compact(out)
}

// shared is what stands in both lists, an empty list being none. Lists that share nothing leave the zero address, to
// which no withdrawal goes: an empty list would allow everything.
func shared(a, b []common.Address) []common.Address {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	var out []common.Address
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		return []common.Address{{}}
	}
	return out
}

// never is the time of day that holds no minute.
var never = []Hours{{0, 0}}

// meet is the minutes that lie in both lists, an empty list being every minute.
func meet(a, b []Hours) []Hours {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	var out []Hours
	for minute := uint16(0); minute < dayMinutes; minute++ {
		if !Within(a, minute) || !Within(b, minute) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == minute {
			out[n-1].To = minute + 1
			continue
		}
		out = append(out, Hours{minute, minute + 1})
	}
	if len(out) == 0 {
		return never
	}
	return out
}

// Within reports whether a minute of the day lies in one of the hours; no hours are all day.
func Within(hours []Hours, minute uint16) bool {
	return len(hours) == 0 || slices.ContainsFunc(hours, func(h Hours) bool { return h.Holds(minute) })
}

// String is the hours as a policy writes them.
func (h Hours) String() string {
	at := func(m uint16) string {
		return (time.Time{}).Add(time.Duration(m) * time.Minute).Format("15:04")
	}
	return at(h.From) + "-" + at(h.To)
}
