package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"

	"conclave/node"
)

// decided is a backend whose decisions a test writes.
type decided struct {
	Backend
	all    []node.BatchView // by height, from 1
	alerts []node.Alert
	asked  int
	fails  error
}

func (d *decided) Batch(height uint64) (node.BatchView, error) {
	d.asked++
	if d.fails != nil {
		return node.BatchView{}, d.fails
	}
	if height == 0 || height > uint64(len(d.all)) {
		return node.BatchView{}, node.ErrUnknown
	}
	return d.all[height-1], nil
}

func (d *decided) Batches(limit int, _ uint64) (out []node.BatchView, err error) {
	for i := len(d.all) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, d.all[i])
	}
	return out, nil
}

func (d *decided) Alerts() []node.Alert { return d.alerts }

// pays adds a decision that pays some withdrawals.
func (d *decided) pays(stage string, ids ...uint64) {
	d.all = append(d.all, node.BatchView{Height: uint64(len(d.all) + 1), Kind: "PAYOUT", Stage: stage, Items: ids})
}

// Every height once, in order, from the one behind the newest that was there.
func TestHeads(t *testing.T) {
	d := &decided{}
	d.pays("settled", 1)
	var at heights
	look := func() (heights []uint64) {
		require.NoError(t, at.news(d, func(v node.BatchView) { heights = append(heights, v.Height) }))
		return heights
	}
	require.Empty(t, look())
	require.Empty(t, look())
	d.pays("decided", 2)
	d.pays("decided", 3)
	require.Equal(t, []uint64{2, 3}, look())
	for range maxHeads + 5 {
		d.pays("decided")
	}
	require.Len(t, look(), maxHeads)
	require.Len(t, look(), 5)
	require.Empty(t, look())
}

// Who subscribes before anything is decided is told of the first decision, too.
func TestHeadsFromTheFirstOn(t *testing.T) {
	d, told := &decided{}, 0
	var at heights
	look := func() error { return at.news(d, func(node.BatchView) { told++ }) }
	require.NoError(t, look())
	d.pays("decided")
	d.pays("decided")
	d.fails = errors.New("the database is busy")
	require.ErrorIs(t, look(), d.fails)
	require.Zero(t, told)
	d.fails = nil
	require.NoError(t, look())
	require.Equal(t, 2, told, "nothing is lost by a look that failed")
}

// A withdrawal's stages are told from its decision to its end, those that were on their way included; what is closed is asked for no more.
func TestStages(t *testing.T) {
	d := &decided{}
	d.pays("settled", 1)
	d.pays("broadcast", 2, 3)
	s := stages{was: map[uint64]string{}}
	look := func() (events []StageEvent) {
		require.NoError(t, s.news(d, func(e StageEvent) { events = append(events, e) }))
		return events
	}
	require.Empty(t, look())
	d.all[1].Stage = "final"
	d.pays("decided", 4)
	d.all = append(d.all, node.BatchView{Height: 4, Kind: "PAYOUT", Rejects: []uint64{5}})
	require.Equal(t, []StageEvent{{4, 3, "decided", nil}, {5, 4, "rejected", nil}, {2, 2, "final", nil}, {3, 2, "final", nil}}, look())
	require.Empty(t, look())
	tx := common.Hash{1}
	d.all[1].Stage, d.all[1].Tx, d.all[2].Stage = "settled", &tx, "cancelled"
	require.Equal(t, []StageEvent{{2, 2, "settled", &tx}, {3, 2, "settled", &tx}, {4, 3, "cancelled", nil}}, look())
	d.asked = 0
	require.Empty(t, look())
	require.Zero(t, d.asked)
}

// Over WebSocket and over the socket what is new is told; over POST there is nothing to tell it by.
func TestSubscriptions(t *testing.T) {
	d := open(t)
	for _, where := range []string{"ws" + strings.TrimPrefix(d.URL(), "http"), d.socket} {
		c := d.dial(t, where)
		var status node.Status
		require.NoError(t, c.Call(&status, "custodian_status"))
		told := make(chan Alert, 1)
		sub, err := c.Subscribe(t.Context(), "custodian", told, "alerts")
		require.NoError(t, err)
		d.node.alert.Add(1) // another one of it
		select {
		case a := <-told:
			require.Equal(t, "fuse", a.Code)
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was told")
		}
		sub.Unsubscribe()
		_, err = c.Subscribe(t.Context(), "custodian", told, "nothing")
		require.Error(t, err)
	}
	c := d.dial(t, d.URL())
	_, err := c.Subscribe(t.Context(), "custodian", make(chan Alert), "alerts")
	require.ErrorIs(t, err, rpc.ErrNotificationsUnsupported)
}

// A page of another site cannot open a WebSocket here, and nobody can hold more subscriptions than the node bears.
func TestSubscriptionsAreGuarded(t *testing.T) {
	d := open(t)
	url := "ws" + strings.TrimPrefix(d.URL(), "http")
	_, err := rpc.DialOptions(t.Context(), url, rpc.WithHeader("Origin", "https://elsewhere.example"))
	require.Error(t, err)
	_, err = rpc.DialOptions(t.Context(), url, rpc.WithHeaders(http.Header{"Host": {"elsewhere.example"}}))
	require.Error(t, err)

	c := d.dial(t, url)
	require.ErrorContains(t, c.Call(nil, "admin_halt", "for a test"), "does not exist")
	for range maxFeeds {
		_, err := c.Subscribe(t.Context(), "custodian", make(chan Alert, 1), "alerts")
		require.NoError(t, err)
	}
	_, err = c.Subscribe(t.Context(), "custodian", make(chan Alert, 1), "alerts")
	require.ErrorContains(t, err, "subscriptions are open")
	c.Close()
	require.Eventually(t, func() bool {
		c := d.dial(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Subscribe(ctx, "custodian", make(chan Alert, 1), "alerts")
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "who leaves makes room")
}
