package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// ErrSealed is what a [KeyStore] fails with while it is sealed.
var ErrSealed = errors.New("the vault is sealed")

// ErrCeremony means that the vault cannot be sealed now: a ceremony holds key material, for minutes at most.
var ErrCeremony = errors.New("a ceremony is under way")

// Sealable is a KeyStore that can be sealed, and then fails with [ErrSealed]. Any other is always open.
type Sealable interface{ Standing() VaultStatus }

// States of a vault.
const (
	VaultSealed    = "sealed"
	VaultUnsealed  = "unsealed"
	VaultLockedOut = "locked-out"
)

// VaultStatus is a vault's state, for people.
type VaultStatus struct {
	State string     `json:"state"`
	Wrong uint64     `json:"wrong_passwords"` // since the last right one
	Until *time.Time `json:"until,omitempty"` // no password is tried before it
}

// sealLook is how often it is looked whether the session that sealing ends is over.
const sealLook = 20 * time.Millisecond

// vaultStatus is nil for a vault that cannot be sealed.
func (n *Node) vaultStatus() *VaultStatus {
	s, ok := n.core.vault.(Sealable)
	if !ok {
		return nil
	}
	v := s.Standing()
	return &v
}

// vaultSealed reports whether the vault's records are out of reach.
func (c *core) vaultSealed() bool {
	s, ok := c.vault.(Sealable)
	return ok && s.Standing().State != VaultUnsealed
}

// startSealed is called at the start. A sealed node follows, verifies and answers; it signs nothing, and so that it need not
// be known at each place, it is as silent as one that has not asked yet how far it has spoken.
func (c *core) startSealed() {
	if c.sealed = c.vaultSealed(); c.sealed {
		c.alerts.ensure(alertSealed())
	} else {
		c.alerts.recover(codeSealed)
	}
}

// Unsealed tells the node that its vault was unsealed: it loads its share, asks how far it has spoken unless it did, and goes
// on from there. It fails when the share cannot be used; then nothing changed.
func (n *Node) Unsealed(ctx context.Context) error {
	var err error
	if asked := n.core.ask(ctx, func() { err = n.core.unseal() }); asked != nil {
		return asked
	}
	return err
}

func (c *core) unseal() error {
	c.alerts.recover(codeLockedOut)
	if !c.sealed {
		return nil
	}
	c.sealed = false
	if c.state.Founded() {
		var stats SessionStats
		if c.signer != nil {
			stats = c.signer.sessions
		}
		if err := c.openKey(); err != nil {
			c.sealed = true
			return err
		}
		c.signer.sessions = stats
	}
	if f := c.ceremony; f != nil && f.key == nil && !f.running {
		if err := f.again(c, f.attempt); err != nil {
			return err
		}
	}
	c.alerts.recover(codeSealed)
	c.log.Info("vault unsealed")
	c.settleQuestion()
	return nil
}

// Sealing makes the node silent before its vault is sealed: when it returns nil no session is live, the share is dropped, and
// nothing is signed until [Node.Unsealed]. It fails with [ErrCeremony] while a ceremony holds key material.
func (n *Node) Sealing(ctx context.Context) error {
	tick := time.NewTicker(sealLook)
	defer tick.Stop()
	for {
		var err error
		live := false
		if asked := n.core.ask(ctx, func() {
			err = n.core.seal()
			live = n.core.signer != nil && n.core.signer.cancel != nil
		}); asked != nil || err != nil {
			return errors.Join(asked, err)
		}
		if !live {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (c *core) seal() error {
	if f := c.ceremony; f != nil && (f.running || f.key != nil || f.signing) {
		return fmt.Errorf("seal: %w", ErrCeremony)
	}
	if c.sealed {
		return nil
	}
	c.sealed = true
	c.led.Hold()
	// What came by while nothing was signed is asked anew: another process may speak for this node meanwhile.
	c.question.closed = true
	c.question.anew(c.now())
	if c.ceremony != nil {
		c.ceremony.pre = nil
	}
	if c.signer != nil {
		c.signer.share = nil
		c.signer.reconsider(c)
	}
	c.alerts.ensure(alertSealed())
	c.log.Warn("vault sealed: nothing is signed")
	return nil
}

// PasswordTried tells the node that a wrong password was given.
func (n *Node) PasswordTried(ctx context.Context) error {
	return n.core.ask(ctx, func() {
		v := n.vaultStatus()
		if v == nil {
			return
		}
		n.log.Warn("wrong vault password", zap.Uint64("wrong", v.Wrong))
		if v.State == VaultLockedOut {
			n.alerts.raise(alertLockedOut(v.Wrong))
		}
	})
}

// reasons says why a sealed node signs nothing, and what ends it.
func (v *VaultStatus) reasons() []Reason {
	if v == nil {
		return nil
	}
	switch v.State {
	case VaultSealed:
		return []Reason{{Code: codeSealed, Text: "the vault is sealed: this node follows, verifies and answers, and signs nothing", Hint: "conclave unseal --home DIR"}}
	case VaultLockedOut:
		text := fmt.Sprintf("the vault is sealed, and takes no password after %d wrong ones", v.Wrong)
		if v.Until != nil {
			text += " until " + v.Until.UTC().Format(time.RFC3339)
		}
		return []Reason{{Code: codeLockedOut, Text: text, Hint: "find out who tried; then conclave unseal --home DIR"}}
	}
	return nil
}

func alertSealed() Alert {
	return Alert{Code: codeSealed, Text: "the vault is sealed: this node follows, verifies and answers, and signs nothing", Hint: "conclave unseal --home DIR"}
}

func alertLockedOut(wrong uint64) Alert {
	return Alert{Code: codeLockedOut, Text: fmt.Sprintf("%d wrong passwords were given for the vault: it takes none for a while", wrong),
		Hint: "find out who tried; conclave status says until when"}
}

// Codes of the vault's alerts and reasons.
const (
	codeSealed    = "sealed"
	codeLockedOut = "locked-out"
)
