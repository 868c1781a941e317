package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/node/cutover"
	"conclave/quorum"
	"conclave/relay"
)

// history fills in the document's cut-over.
func (f newFlags) history(ctx context.Context, env *cli.Env, g *quorum.Genesis) error {
	if f.cutover == "" {
		if f.relay != "" || f.relayKey != "" {
			return cli.Errorf(cli.Usage, "", "network new: --relay and --relay-key-file go with --cutover")
		}
		return nil
	}
	var event uint64
	if f.cutover != "auto" {
		var err error
		if event, err = strconv.ParseUint(f.cutover, 10, 64); err != nil || event == 0 {
			return cli.Errorf(cli.Usage, "", "--cutover: want an event's id or auto, not %q", f.cutover)
		}
	}
	if f.relay == "" || f.relayKey == "" {
		return cli.Errorf(cli.Usage, "the root is worth what this operator's own view of the Relay is", "network new: --cutover needs --relay and --relay-key-file")
	}
	found, err := replayRelay(ctx, env, f.relay, f.relayKey, event, *g)
	if err != nil {
		return err
	}
	g.Cutover = found.Cutover
	if g.Cutover.Carried, err = f.carry(found); err != nil {
		return err
	}
	for _, wid := range found.Unsigned {
		if slices.Contains(g.Cutover.Carried, wid) {
			env.Note("withdrawal %d is carried but holds no signature of its requester: the committee will reject it, which refunds it at the Relay", wid)
		}
	}
	env.Note("cut-over at event %d of %s: %d events, root %s", found.Cutover.Event, found.At.Format(time.RFC3339), found.Events, found.Cutover.Root)
	env.Note("%d withdrawals are carried; %d vesting records are listed because today's rows do not prove their signatures: review both before anyone signs",
		len(g.Cutover.Carried), len(g.Cutover.Vesting))
	return cli.With(cli.Usage, g.Check(), "")
}

// carry chooses which pending withdrawals the document carries.
func (f newFlags) carry(found cutover.Found) ([]uint64, error) {
	switch f.carried {
	case "auto":
		return found.Cutover.Carried, nil
	case "none":
		return nil, nil
	}
	var out []uint64
	for _, s := range strings.Split(f.carried, ",") {
		wid, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return nil, cli.Errorf(cli.Usage, "", "--carried: want auto, none or ids, not %q", f.carried)
		}
		if !slices.Contains(found.Cutover.Carried, wid) {
			return nil, cli.Errorf(cli.Refused, "", "--carried: withdrawal %d is not pending before the cut-over", wid)
		}
		out = append(out, wid)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// replayRelay reads the Relay's history into a temporary folder.
func replayRelay(ctx context.Context, env *cli.Env, url, keyFile string, event uint64, g quorum.Genesis) (cutover.Found, error) {
	var none cutover.Found
	key, err := config.ReadKey(keyFile)
	if err != nil {
		return none, cli.With(cli.Usage, fmt.Errorf("relay key: %w", err), cli.HintOf(err))
	}
	client, err := relay.NewClient(relay.Config{URL: url, Key: key})
	if err != nil {
		return none, cli.With(cli.Usage, err, "")
	}
	dir, err := os.MkdirTemp("", "conclave-cutover-")
	if err != nil {
		return none, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bar := newProgress(env, map[string]uint64{"event ids": event})
	found, err := cutover.Replay(ctx, cutover.Config{Relay: client, Dir: dir, Event: event, Now: time.Now(), VestingAdmins: g.VestingAdmins, VestingTerms: g.VestingTerms,
		Progress: func(_, id uint64) { bar.tell("event ids", id) }})
	bar.end()
	switch {
	case errors.Is(err, cutover.ErrNoRow), errors.Is(err, cutover.ErrYoung):
		return none, cli.With(cli.Refused, fmt.Errorf("cut-over: %w", err), "choose an event that is a day old and that the Relay shows, or auto")
	case err != nil:
		return none, cli.With(cli.Failed, fmt.Errorf("replay the Relay's history: %w", err), "check the URL and the API key, and try again")
	}
	return found, nil
}

// compareHistory is what every operator's node does before the operator signs: its own replay of the history against the
// document's.
func compareHistory(ctx context.Context, env *cli.Env, c config.Config, g quorum.Genesis) error {
	if g.Cutover.Event == 0 {
		return nil
	}
	found, err := replayRelay(ctx, env, c.Relay.URL, c.RelayKeyPath(), g.Cutover.Event, g)
	if err != nil {
		return err
	}
	differences := cutover.Compare(g.Cutover, found)
	if len(differences) == 0 {
		env.Note("the history is the same: %d events, root %s", found.Events, found.Cutover.Root)
		return nil
	}
	d := differences[0]
	return cli.Errorf(cli.Refused, "do not sign; compare with the other operators what each one's Relay shows",
		"the document's history is not what this node's Relay shows (%d differences): %s: the document has %s, the Relay %s",
		len(differences), d.What, d.Document, d.Relay)
}
