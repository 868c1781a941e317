package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"conclave/internal/devnet/devkeys"
	"conclave/node"
)

const (
	// changePatience is how long one change of members may take: a resharing of five takes some 20 s of two free cores.
	changePatience = 5 * time.Minute
	// closePatience is how soon the others close the connections of who left, and tell it before.
	closePatience = 10 * time.Second
	changeEvery   = 500 * time.Millisecond
	// afterChange is how many withdrawals users make behind each change: under each epoch something is paid.
	afterChange = 2
)

// committee is how a scenario changes who rules.
type committee struct {
	run        func(*Network, context.Context) error
	ceremonies []int  // of each custodian: how many keys it helps to make or hand on, and one for an attempt that fails
	epochs     uint64 // that ruled in the end, the founding one included
	out        int    // custodians that are members no more
}

// committees are the scenarios that change who rules.
func committees() map[string]committee {
	return map[string]committee{
		ScenarioMembers: {(*Network).changeMembers, []int{5, 3, 4, 5, 4, 2}, 4, 2},
		ScenarioSweep:   {(*Network).removeForCause, []int{4, 4, 2, 4, 3}, 3, 1},
	}
}

// story is what operators do while users withdraw; nil: nothing.
func (n *Network) story() func(*Network, context.Context) error {
	if n.o.Scenario == ScenarioCancel {
		return (*Network).cancelStuck
	}
	return committees()[n.o.Scenario].run
}

// preparams are the sets of development preparameters that custodian i gets at its start: one for each ceremony that it may be
// in, and of those that are left over one for an attempt that fails.
func (n *Network) preparams(i int) []int {
	change, changes := committees()[n.o.Scenario]
	if !changes {
		return []int{i}
	}
	ceremonies := change.ceremonies
	first := 0
	for _, before := range ceremonies[:i] {
		first += before
	}
	var sets []int
	for k := range ceremonies[i] {
		sets = append(sets, (first+k)%devkeys.Count)
	}
	return sets
}

// changeMembers lets operators do with the product's own commands what they would do: a fifth custodian joins, the second one
// leaves, a newcomer takes the place of the third; users withdraw all the while.
func (n *Network) changeMembers(ctx context.Context) error {
	fifth, err := n.newcomer(ctx)
	if err != nil {
		return fmt.Errorf("a fifth: %w", err)
	}
	record := func(c *custodian) string { return filepath.Join(c.home, "member.json") }
	if err := n.change(ctx, []int{0, 1, 2}, []int{0, 1, 2, 3, 4}, "add", record(fifth)); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if err := n.change(ctx, []int{0, 2, 3, 4}, []int{0, 2, 3, 4}, "remove", "custodian-1"); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := n.left(ctx, 1); err != nil {
		return err
	}
	sixth, err := n.newcomer(ctx)
	if err != nil {
		return fmt.Errorf("a newcomer: %w", err)
	}
	if err := n.change(ctx, []int{0, 3, 4}, []int{0, 3, 4, 5}, "replace", "custodian-2", record(sixth)); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return n.left(ctx, 2)
}

// all are the custodians so far: a member change adds some while others read.
func (n *Network) all() []*custodian {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.custodians)
}

// newcomer prepares the next custodian as its operator would: init, the genesis document and an invitation, run.
func (n *Network) newcomer(ctx context.Context) (*custodian, error) {
	i := len(n.all())
	c, err := n.newCustodian(i)
	if err != nil {
		return nil, err
	}
	if err := n.initHome(ctx, i, c, filepath.Join(n.dir, "relay.key")); err != nil {
		return nil, err
	}
	invitation, err := call(ctx, n.bin, "member", "invite", "--rpc", n.all()[0].api)
	if err != nil {
		return nil, err
	}
	if _, err := call(ctx, n.bin, "network", "join", "--home", c.home, "--invitation", strings.TrimSpace(invitation), filepath.Join(n.dir, "genesis.json")); err != nil {
		return nil, err
	}
	if err := n.launchIt(i, c); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.custodians = append(n.custodians, c)
	return c, nil
}

// hashOf is what a command proposed.
func hashOf(out string) (string, error) {
	var proposed struct {
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal([]byte(out), &proposed); err != nil || proposed.Hash == "" {
		return "", fmt.Errorf("no hash in %q: %w", out, err)
	}
	return proposed.Hash, nil
}

// change proposes and approves a change by the operators of some custodians, waits until it rules at all of after, and lets
// users withdraw.
func (n *Network) change(ctx context.Context, by, after []int, verb ...string) error {
	began, all := time.Now(), n.all()
	api := all[0].api
	var before node.Status
	if err := all[0].ask(ctx, &before, "custodian_status"); err != nil {
		return err
	}
	args := append([]string{"member", "propose"}, verb...)
	out, err := call(ctx, n.bin, append(args, "--rpc", api, "--key-file", all[by[0]].operator, "--json")...)
	if err != nil {
		return err
	}
	hash, err := hashOf(out)
	if err != nil {
		return err
	}
	for _, i := range by[1:] {
		if _, err := call(ctx, n.bin, "member", "approve", hash, "--rpc", api, "--key-file", all[i].operator); err != nil {
			return err
		}
	}
	for _, i := range after {
		if err := n.rules(ctx, i, before.Epoch+1); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.epochs = before.Epoch + 1
	n.target += afterChange
	n.mu.Unlock()
	n.say("%s: epoch %d rules at all %d members after %.1f s", verb[0], before.Epoch+1, len(after), time.Since(began).Seconds())
	return n.world.live(ctx, afterChange, n.made)
}

// rules waits until an epoch is in force at a custodian.
func (n *Network) rules(ctx context.Context, i int, epoch uint64) error {
	return until(ctx, changePatience, func(ctx context.Context) error {
		var s node.Status
		if err := n.all()[i].ask(ctx, &s, "custodian_status"); err != nil {
			return fmt.Errorf("custodian %d: %w", i, err)
		}
		if s.Epoch >= epoch && s.Member {
			return nil
		}
		return fmt.Errorf("custodian %d is in epoch %d, want %d: %+v", i, s.Epoch, epoch, s.Keygen)
	})
}

// left waits until a custodian that is out knows it and nobody talks with it, and ends it.
func (n *Network) left(ctx context.Context, i int) error {
	c := n.all()[i]
	err := until(ctx, closePatience, func(ctx context.Context) error {
		var s node.Status
		if err := c.ask(ctx, &s, "custodian_status"); err != nil {
			return err
		}
		if s.Member {
			return fmt.Errorf("custodian %d still believes to be a member", i)
		}
		for _, m := range s.Members {
			if m.Connected {
				return fmt.Errorf("custodian %d is out, and still connected to %s", i, m.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.say("custodian %d is out: it says so, and the others closed its connections", i)
	n.mu.Lock()
	n.pids = append(n.pids, c.process().cmd.Process.Pid)
	n.mu.Unlock()
	stopAll([]*process{c.process()})
	return nil
}

// until tries until it is so, or patience ends.
func until(ctx context.Context, patience time.Duration, is func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it takes too long"))
	defer cancel()
	for {
		err := is(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(changeEvery):
		}
	}
}

// changed reports whether every change of the scenario is done.
func (n *Network) changed() bool {
	change, changes := committees()[n.o.Scenario]
	return !changes || (n.epochsNow() == change.epochs && n.endedAll(change.out))
}

func (n *Network) epochsNow() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.epochs
}

// endedAll reports whether so many who left were ended.
func (n *Network) endedAll(out int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pids) == out
}

// ended reports whether this program ended a process on purpose.
func (n *Network) ended(pid int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.pids, pid)
}
