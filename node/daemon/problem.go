package daemon

import (
	"errors"
	"fmt"

	"conclave/ledger"
	"conclave/node"
	"conclave/quorum"
	"conclave/tss/vault"
)

// Class says what kind of problem keeps a home from starting.
type Class int

// The classes, as the command's exit codes tell them apart.
const (
	Broken  Class = iota // something failed that should not
	Setup                // the home, its configuration or its environment must be put right
	Refused              // a rule forbids it
)

// Problem is why a home does not start.
type Problem struct {
	Class Class
	Err   error
	Help  string // what to do
}

// Error implements error.
func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Hint says what to do next, "" for nothing.
func (p *Problem) Hint() string { return p.Help }

func problem(class Class, hint, format string, args ...any) error {
	return &Problem{class, fmt.Errorf(format, args...), hint}
}

// known are the errors of other rooms that an operator can do something about.
var known = []struct {
	err   error
	class Class
	hint  string
}{
	{vault.ErrPassword, Setup, "give the password that sealed this vault; without it the share is lost to this node"},
	{vault.ErrOtherNode, Setup, "put this node's own vault back: node.key and vault belong together"},
	{vault.ErrInUse, Setup, "another `conclave run`, `keygen` or `vault` command serves this home: end it first"},
	{vault.ErrLockedOut, Setup, "wait; find out who gave wrong passwords"},
	{vault.ErrMode, Setup, "chmod 700 the folder and 600 the files in it"},
	{vault.ErrDamaged, Setup, "restore the vault from its backup"},
	{vault.ErrScheme, Setup, "run the version of conclave that wrote it, or a later one"},
	{ledger.ErrOtherNetwork, Setup, "one home serves one network: join another network with another home"},
	{quorum.ErrLooser, Setup, "an overlay only tightens the policy in force: change the key, or drop it; the policy's own rule holds anyway"},
	{ledger.ErrLocked, Setup, "another `conclave run` or `keygen` serves this home: end it first"},
	{ledger.ErrSchema, Setup, "run the version of conclave that wrote it, or a later one"},
	{node.ErrFingerprint, Refused, hintFingerprint},
	{ledger.ErrCorrupt, Refused, "restore data/ from a copy that was taken while the node was down, the newest there is"},
}

// explain finds the class and the hint of an error.
func explain(err error) error {
	var p *Problem
	if err == nil || errors.As(err, &p) {
		return err
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return &Problem{k.class, err, k.hint}
		}
	}
	return err
}
