package api

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
	"go.uber.org/zap"

	"conclave/node"
)

// Bounds of subscriptions.
const (
	feedEvery = time.Second // how often it is looked for something new
	maxFeeds  = 64          // subscriptions over all connections
	maxHeads  = 200         // heights that one look tells of; more come with the next
	firstOpen = 64          // the newest heights among which payments are followed that were on their way before
)

// feed holds what custodian_subscribe offers, over WebSocket and the unix socket: "heads", "stages" and "alerts". What was there before is
// not told. A feed looks each second, so that it costs a node the same whatever happens; who reads slower than that is cut off by the connection.
type feed struct {
	b     Backend
	log   *zap.Logger
	every time.Duration
	open  atomic.Int32
}

// StageEvent is what "stages" tells: a decided withdrawal came to another stage.
type StageEvent struct {
	ID     uint64       `json:"id"`
	Height uint64       `json:"height"`
	Stage  string       `json:"stage"`
	Tx     *common.Hash `json:"tx"`
}

// Heads tells of every decision, as [node.BatchView], in the order of heights.
func (f *feed) Heads(ctx context.Context) (*rpc.Subscription, error) {
	var at heights
	return f.subscribe(ctx, func(tell func(any)) error {
		return at.news(f.b, func(b node.BatchView) { tell(answer[node.BatchView]{b}) })
	})
}

// Stages tells when a decided withdrawal comes to another stage, as [StageEvent].
func (f *feed) Stages(ctx context.Context) (*rpc.Subscription, error) {
	s := stages{was: map[uint64]string{}}
	return f.subscribe(ctx, func(tell func(any)) error {
		return s.news(f.b, func(e StageEvent) { tell(answer[StageEvent]{e}) })
	})
}

// Alerts tells of alerts that begin, come again or end, as [Alert].
func (f *feed) Alerts(ctx context.Context) (*rpc.Subscription, error) {
	known := map[string]Alert{}
	for _, a := range alertsOf(f.b.Alerts()) {
		known[a.Key] = a
	}
	return f.subscribe(ctx, func(tell func(any)) error {
		now := alertsOf(f.b.Alerts())
		for _, a := range slices.Backward(now) { // the newest are the first
			if known[a.Key] != a {
				tell(answer[Alert]{a})
			}
		}
		clear(known)
		for _, a := range now {
			known[a.Key] = a
		}
		return nil
	})
}

// subscribe looks again and again, until the client leaves. A look that fails is told to the log, and what it missed is there for the next.
func (f *feed) subscribe(ctx context.Context, look func(tell func(any)) error) (*rpc.Subscription, error) {
	notifier, ok := rpc.NotifierFromContext(ctx)
	if !ok {
		return nil, rpc.ErrNotificationsUnsupported
	}
	if f.open.Add(1) > maxFeeds {
		f.open.Add(-1)
		return nil, fail(CodeBusy, "%d subscriptions are open: end some", maxFeeds)
	}
	if err := look(func(any) {}); err != nil { // what is there already
		f.open.Add(-1)
		return nil, classify(err)
	}
	sub := notifier.CreateSubscription()
	go func() {
		defer f.open.Add(-1)
		tick := time.NewTicker(f.every)
		defer tick.Stop()
		failing := false
		for {
			select {
			case <-sub.Err():
				return
			case <-tick.C:
			}
			err := look(func(event any) { _ = notifier.Notify(sub.ID, event) })
			if err != nil && !failing {
				f.log.Error("api feed", zap.Error(err))
			}
			failing = err != nil
		}
	}()
	return sub, nil
}

// heights is how far decisions were told of.
type heights struct {
	begun bool
	last  uint64
}

func (h *heights) news(b Backend, tell func(node.BatchView)) error {
	newest, err := b.Batches(1, 0)
	if err != nil {
		return err
	}
	first := !h.begun
	h.begun = true
	if len(newest) == 0 {
		return nil
	}
	if first {
		h.last = newest[0].Height
		return nil
	}
	for end := min(newest[0].Height, h.last+maxHeads); h.last < end; {
		v, err := b.Batch(h.last + 1)
		if err != nil {
			return err
		}
		h.last++
		tell(v)
	}
	return nil
}

// stages are the payments that are on their way.
type stages struct {
	at    heights
	begun bool
	was   map[uint64]string // stage by height
}

func (s *stages) news(b Backend, tell func(StageEvent)) error {
	if !s.begun {
		s.begun = true
		all, err := b.Batches(firstOpen, 0)
		if err != nil {
			return err
		}
		for _, v := range all {
			if moves(v) {
				s.was[v.Height] = v.Stage
			}
		}
	}
	err := s.at.news(b, func(v node.BatchView) {
		told(v, v.Items, v.Stage, tell)
		told(v, v.Rejects, "rejected", tell)
		if moves(v) {
			s.was[v.Height] = v.Stage
		}
	})
	for _, height := range slices.Sorted(maps.Keys(s.was)) {
		if err != nil {
			return err
		}
		var v node.BatchView
		if v, err = b.Batch(height); err == nil && v.Stage != s.was[height] {
			s.was[height] = v.Stage
			told(v, v.Items, v.Stage, tell)
		}
		if err == nil && !moves(v) {
			delete(s.was, height)
		}
	}
	return err
}

func told(v node.BatchView, ids []uint64, stage string, tell func(StageEvent)) {
	for _, id := range ids {
		tell(StageEvent{id, v.Height, stage, v.Tx})
	}
}

// moves reports whether a decision pays somebody and is not closed yet.
func moves(v node.BatchView) bool {
	return len(v.Items) > 0 && !slices.Contains([]string{"settled", "failed", "cancelled"}, v.Stage)
}
