package simnet

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/node/cutover"
	"conclave/relay"
	"conclave/relay/relaysim"
)

// Past is one thing that happened at the Relay before the network was founded.
type Past struct {
	User   string
	Earned string // coins; empty for a withdrawal
	Amount string // coins, of a withdrawal
	As     string // its name
	Paid   bool   // by the old wallet, which said so
}

// makeHistory lets the past happen, waits until it is old enough, and writes it into the genesis document as an operator's
// command does.
func (w *World) makeHistory() error {
	if len(w.cfg.History) == 0 {
		return nil
	}
	for _, p := range w.cfg.History {
		if err := w.happen(p); err != nil {
			return fmt.Errorf("history of %s: %w", p.User, err)
		}
	}
	time.Sleep(cutover.MinAge + time.Hour)
	client, err := relay.NewClient(relay.Config{URL: relayURL, Key: w.apiKey, Transport: relaysim.Transport(w.Relay.View(usersView))})
	if err != nil {
		return err
	}
	dir := filepath.Join(w.cfg.Dir, "history")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	found, err := cutover.Replay(w.ctx, cutover.Config{
		Relay: client, Dir: dir, Now: time.Now(), VestingAdmins: w.Genesis.VestingAdmins, VestingTerms: w.Genesis.VestingTerms,
	})
	if err != nil {
		return err
	}
	w.Genesis.Cutover = found.Cutover
	return w.Genesis.Check()
}

func (w *World) happen(p Past) error {
	u := w.User(p.User)
	if p.Earned != "" {
		wei, err := Coins(p.Earned)
		if err == nil {
			w.Relay.CreditTask(u.Address, wei)
		}
		return err
	}
	wei, err := Coins(p.Amount)
	if err != nil {
		return err
	}
	r, err := w.Withdraw(w.ctx, u, wei, p.As, false)
	if err != nil || !p.Paid {
		return err
	}
	time.Sleep(2 * projectorDelay) // it must be served before it can be fulfilled
	if objection := w.Relay.Decide(r.ID, false, common.Hash{1}.Hex()); objection != "" {
		return fmt.Errorf("fulfil %s: %s", p.As, objection)
	}
	return nil
}
