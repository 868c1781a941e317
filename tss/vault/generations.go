package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// ErrSuccessor means that the share which should take another's place is not of a later epoch of the same key.
var ErrSuccessor = errors.New("no successor of this share")

// DeleteShare destroys the share that old tells of, once its successor is held: a share of the same key in a later epoch,
// which is loaded and checked again first. What is not held any more is no error. It fails with [ErrNoShare] when the
// successor is not held and with [ErrSuccessor] when it is none; then nothing changed.
//
// Across a reshare two generations lie beside each other: [Vault.SaveShare] puts the new one, and nobody deletes the old
// one before the decision that makes the new one serve.
func (v *Vault) DeleteShare(old, successor quorum.Transcript) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if err := v.s.mayWrite(); err != nil {
		return fmt.Errorf("delete share: %w", err)
	}
	if successor.PublicKey != old.PublicKey || successor.Epoch <= old.Epoch {
		return fmt.Errorf("delete share: %w: epoch %d after %d", ErrSuccessor, successor.Epoch, old.Epoch)
	}
	name, held := v.s.held(successor)
	if !held {
		return fmt.Errorf("delete share of epoch %d: its successor of epoch %d: %w", old.Epoch, successor.Epoch, ErrNoShare)
	}
	if _, err := v.s.share(name); err != nil {
		return fmt.Errorf("delete share of epoch %d: its successor: %w", old.Epoch, err)
	}
	return v.s.drop(old)
}

// DropShare destroys the share that t tells of, without a successor: this member serves the key no more. What is not held
// any more is no error.
func (v *Vault) DropShare(t quorum.Transcript) error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if err := v.s.mayWrite(); err != nil {
		return fmt.Errorf("drop share: %w", err)
	}
	return v.s.drop(t)
}

// held is the file of the share that a transcript tells of.
func (s *state) held(t quorum.Transcript) (string, bool) {
	name, err := idOfShare(t.PublicKey, t.Epoch, t.Session).file()
	_, held := s.index.shares[name]
	return name, held && err == nil
}

// drop removes a share's file, durably. The share's record is what marks the preparameters that made it as used, so their
// own file must be gone before it: a set that served once would else be handed out again.
func (s *state) drop(t quorum.Transcript) error {
	sync := func() error { return syncDir(s.disk.dir) }
	name, held := s.held(t)
	if !held {
		return s.disk.step("sync directory", sync) // an earlier call may have been cut short before it
	}
	made, err := s.madeWith(name)
	if err != nil {
		return fmt.Errorf("delete share of epoch %d: %w", t.Epoch, err)
	}
	if file, kept := s.index.sets[made]; kept {
		if err := s.disk.remove(file); err != nil {
			return fmt.Errorf("delete the preparameters of epoch %d: %w", t.Epoch, err)
		}
		delete(s.index.sets, made)
	}
	if err := s.disk.step("remove", func() error { return os.Remove(filepath.Join(s.disk.dir, name)) }); err != nil {
		return fmt.Errorf("delete share of epoch %d: %w", t.Epoch, err)
	}
	delete(s.index.shares, name)
	return s.disk.step("sync directory", sync)
}

// madeWith is the set that a share's record names, zero for none.
func (s *state) madeWith(name string) (common.Hash, error) {
	_, secret, err := s.load(name)
	if err != nil {
		return common.Hash{}, err
	}
	defer clear(secret)
	var b shareBody
	if err := rlp.DecodeBytes(secret, &b); err != nil {
		return common.Hash{}, fmt.Errorf("%w: share", ErrDamaged)
	}
	clear(b.Share)
	return b.MadeWith, nil
}
