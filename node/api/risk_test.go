package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/node"
)

func (c *custodianInMemory) Risk() (node.RiskView, error) {
	return node.RiskView{Policy: node.PolicyView{Version: 3}, Rules: []node.RuleView{{Rule: "hours"}}}, c.err
}

func (c *custodianInMemory) Objections() ([]node.ObjectionView, error) {
	return []node.ObjectionView{{ID: 7, Reason: "odd", Since: time.Unix(100, 0)}}, c.err
}

func (c *custodianInMemory) Object(_ context.Context, wid uint64, _ string) (bool, error) {
	if wid == 404 {
		return false, fmt.Errorf("object: %w", ledger.ErrDecided)
	}
	return wid == 8, c.err
}

func (c *custodianInMemory) EndObjection(_ context.Context, wid uint64) error {
	if wid == 404 {
		return fmt.Errorf("objection: %w", ledger.ErrNotFound)
	}
	return c.err
}

func TestObjectionsAreTheOperators(t *testing.T) {
	d := open(t)
	client, err := rpc.Dial(d.socket)
	require.NoError(t, err)
	defer client.Close()
	var ack ObjectionAck
	require.NoError(t, client.Call(&ack, "admin_object", 7, "odd"))
	require.Equal(t, ObjectionAck{Done: true}, ack)
	require.NoError(t, client.Call(&ack, "admin_object", 8, "odd"))
	require.True(t, ack.Late)
	code := func(method string, args ...any) int {
		var own rpc.Error
		require.ErrorAs(t, client.Call(nil, method, args...), &own)
		return own.ErrorCode()
	}
	require.Equal(t, CodeReason, code("admin_object", 7, ""))
	require.Equal(t, CodeDecided, code("admin_object", 404, "odd"))
	require.Equal(t, CodeUnknown, code("admin_endObjection", 404))
	var list []node.ObjectionView
	require.NoError(t, client.Call(&list, "custodian_objections"))
	require.Equal(t, "odd", list[0].Reason)
	var view node.RiskView
	require.NoError(t, client.Call(&view, "custodian_risk"))
	require.Equal(t, uint64(3), view.Policy.Version)

	outside, err := rpc.Dial(d.URL())
	require.NoError(t, err)
	defer outside.Close()
	require.Error(t, outside.Call(nil, "admin_object", 7, "odd"), "orders come over the socket alone")
}
