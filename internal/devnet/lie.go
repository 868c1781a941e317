package devnet

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"conclave/internal/devnet/liar"
	"conclave/node"
)

// LiarVerb is the hidden command of the devnet's own program by which it runs the custodian that lies.
const LiarVerb = "lying-custodian"

// moreAfter is how long the others may take to tell each other whom they have convicted. Then users withdraw more: the liar
// may not have been among the signers yet.
const moreAfter = 5 * time.Second

// moreWithdrawals is how many.
const moreWithdrawals = 4

// liar is the custodian that lies: the last one, for the view asks the first.
func (n *Network) liar() int { return n.o.Nodes - 1 }

// program is what runs custodian i, and by which verb.
func (n *Network) program(i int) (bin, verb string) {
	if n.o.Scenario == ScenarioLiar && i == n.liar() {
		return n.o.Self, LiarVerb
	}
	return n.bin, "run"
}

// RunLiar runs a custodian that lies, until ctx or its parent ends: descriptor 3 is a pipe that the parent holds open.
func RunLiar(ctx context.Context, home, passwordFile, fingerprint string, log io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(3, "parent"))
		end()
	}()
	return liar.Run(ctx, home, passwordFile, fingerprint, log)
}

// exposed reports whether every other custodian holds evidence against the liar. While one does not, users go on withdrawing.
func (n *Network) exposed(ctx context.Context, failed chan<- error) bool {
	if n.o.Scenario != ScenarioLiar {
		return true
	}
	var err error
	if n.namedBy, err = n.accusers(ctx); err != nil {
		failed <- err
		return false
	}
	if len(n.namedBy) == n.o.Nodes-1 {
		return true
	}
	if n.waited.IsZero() {
		n.waited = time.Now()
	}
	if time.Since(n.waited) > moreAfter {
		n.waited = time.Time{}
		n.mu.Lock()
		n.target += moreWithdrawals
		n.mu.Unlock()
		go func() {
			if err := n.world.live(ctx, moreWithdrawals, n.made); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("users: %w", err)
			}
		}()
	}
	return false
}

// accusers are the custodians that hold evidence against the liar. Evidence against anybody else is an error.
func (n *Network) accusers(ctx context.Context) (names []string, err error) {
	lies := n.custodians[n.liar()].address
	for i, c := range n.custodians {
		var all []node.EvidenceView
		if i == n.liar() || c.ask(ctx, &all, "custodian_evidence") != nil {
			continue
		}
		named := false
		for _, e := range all {
			switch {
			case e.Member == nil:
			case *e.Member == lies:
				named = true
			default:
				return nil, fmt.Errorf("%w: custodian %d holds %s against %s, who is honest", ErrViolation, i, e.Kind, e.Member)
			}
		}
		if named {
			names = append(names, fmt.Sprintf("custodian-%d", i))
		}
	}
	return names, nil
}
