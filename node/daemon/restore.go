package daemon

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/node/config"
	"conclave/tss/vault"
)

// reasonRestored is what a quarantine after a restore says.
const reasonRestored = "the key share was restored from a backup, which does not hold what this node said since"

// Restore puts a backup's shares into the vault of a home whose node is down. The quarantine is on disk before the first
// share is: a node that has a restored share is in quarantine, wherever a crash falls. A vault that is missing is made under
// the password, one that is there must open with it. The same again changes the vault no more, and renews the quarantine.
func Restore(dir string, b *vault.Backup, password []byte, params vault.Params) error {
	h, err := readHome(dir)
	if err != nil {
		return err
	}
	if b.Node != h.self() {
		return explain(fmt.Errorf("the backup %w: %s", vault.ErrOtherNode, b.Node))
	}
	fresh := !vault.Exists(h.cfg.VaultPath())
	if !fresh { // a wrong password, or another process, is known before anything changes
		v, err := vault.Open(h.cfg.VaultPath(), h.self(), password)
		if err != nil {
			return explain(err)
		}
		defer v.Close()
		return errors.Join(h.quarantine(), explain(v.Restore(b)))
	}
	if err := h.quarantine(); err != nil {
		return err
	}
	v, err := vault.Create(h.cfg.VaultPath(), h.self(), password, params)
	if err != nil {
		return explain(err)
	}
	defer v.Close()
	return explain(v.Restore(b))
}

// quarantine records one in the books, which it makes when they are gone.
func (h home) quarantine() (err error) {
	if err := os.MkdirAll(h.cfg.DataPath(), 0o700); err != nil {
		return problem(Setup, "the home must be writable", "make the data folder: %w", err)
	}
	led, err := ledger.Open(h.cfg.DataPath(), h.genesis.ID())
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, led.Close()) }()
	return led.Quarantine(ledger.Quarantine{Since: uint64(time.Now().UnixMilli()), Reason: reasonRestored})
}

// Explain is what [Open] does to errors of the vault and the books: it adds their class and a hint.
func Explain(err error) error { return explain(err) }

// ReadGenesis returns the id of the network that a home joined.
func ReadGenesis(cfg config.Config) (common.Hash, error) {
	h := home{cfg: cfg}
	if err := h.readGenesis(); err != nil {
		return common.Hash{}, err
	}
	return h.genesis.ID(), nil
}
