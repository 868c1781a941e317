package quorum

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
)

// Scope is how much a halt stops.
type Scope uint8

// The scopes.
const (
	ScopeAll     Scope = 0
	ScopeLane    Scope = 1
	ScopeAccount Scope = 2
)

func (s Scope) String() string {
	switch s {
	case ScopeAll:
		return "all"
	case ScopeLane:
		return "lane"
	case ScopeAccount:
		return "account"
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}

// MaxText bounds a halt's code, target and reason, each in bytes.
const MaxText = 512

// ClipText cuts a text to [MaxText] bytes at a character's boundary: a long reason must not keep a fuse from blowing.
func ClipText(s string) string {
	if len(s) <= MaxText {
		return s
	}
	cut := MaxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// Halt is a member's signed word that it stopped: its own fuse tripped, or its operator said so. f+1 of them stop
// everyone.
type Halt struct {
	Epoch   uint64
	Counter uint64
	Scope   Scope
	Target  string // lane name or account address, empty for all
	Code    string // machine-readable cause
	Reason  string // for people
	Time    uint64 // unix ms
}

// Kind implements Body.
func (Halt) Kind() Kind { return KindHalt }

// Check implements Body.
func (h Halt) Check() error {
	if h.Scope > ScopeAccount || (h.Scope == ScopeAll) != (h.Target == "") {
		return fmt.Errorf("scope %s with target %q", h.Scope, h.Target)
	}
	if h.Code == "" || len(h.Code) > MaxText || len(h.Reason) > MaxText || len(h.Target) > MaxText {
		return errors.New("code, reason or target out of bounds")
	}
	return nil
}

// ID names a halt by its signer and body.
func (h Halt) ID(network common.Hash, signer common.Address) common.Hash {
	return Digest(KindHalt, network, struct {
		Halt   Halt
		Signer common.Address
	}{h, signer})
}

// Clear voids one of the signer's own halts.
type Clear struct {
	Epoch   uint64
	Counter uint64
	Halt    common.Hash // [Halt.ID]
	Reason  string
	Time    uint64
}

// Kind implements Body.
func (Clear) Kind() Kind { return KindClear }

// Check implements Body.
func (c Clear) Check() error {
	if c.Reason == "" || len(c.Reason) > MaxText {
		return fmt.Errorf("a reason of 1 to %d bytes", MaxText)
	}
	return nil
}
