package api

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/node"
)

// callTimeout bounds one call's wait for the node's core, below the server's write timeout.
const callTimeout = 10 * time.Second

// maxReason bounds the reason of an order in bytes: it travels in a signed HALT.
const maxReason = 256

// Ack is what an order answers.
type Ack struct {
	Done bool `json:"done"`
}

// BatchQuery pages through decisions, the newest first; zero fields choose the newest hundred.
type BatchQuery struct {
	Limit int    `json:"limit"`
	After uint64 `json:"after"` // continue below this height
}

// custodian holds the methods custodian_*. Their names, parameters and results are what the reflection of openrpc.go and
// of the RPC server see.
type custodian struct {
	b   Backend
	log *zap.Logger
}

// Status is custodian_status.
func (c *custodian) Status(ctx context.Context) (answer[node.Status], error) {
	return ask(ctx, c.log, c.b.Status)
}

// Health is custodian_health.
func (c *custodian) Health(ctx context.Context) (answer[node.Health], error) {
	return ask(ctx, c.log, c.b.Health)
}

// Withdrawal is custodian_withdrawal.
func (c *custodian) Withdrawal(ctx context.Context, id uint64) (answer[node.WithdrawalView], error) {
	return ask(ctx, c.log, func(ctx context.Context) (node.WithdrawalView, error) { return c.b.Withdrawal(ctx, id) })
}

// Withdrawals is custodian_withdrawals.
func (c *custodian) Withdrawals(ctx context.Context, q *node.WithdrawalQuery) (answer[[]node.WithdrawalView], error) {
	if q == nil {
		q = &node.WithdrawalQuery{}
	}
	return ask(ctx, c.log, func(ctx context.Context) ([]node.WithdrawalView, error) { return c.b.Withdrawals(ctx, *q) })
}

// Batch is custodian_batch.
func (c *custodian) Batch(ctx context.Context, height uint64) (answer[node.BatchView], error) {
	return ask(ctx, c.log, func(context.Context) (node.BatchView, error) { return c.b.Batch(height) })
}

// Batches is custodian_batches.
func (c *custodian) Batches(ctx context.Context, q *BatchQuery) (answer[[]node.BatchView], error) {
	if q == nil {
		q = &BatchQuery{}
	}
	return ask(ctx, c.log, func(context.Context) ([]node.BatchView, error) { return c.b.Batches(q.Limit, q.After) })
}

// Account is custodian_account.
func (c *custodian) Account(ctx context.Context, address common.Address) (answer[node.AccountView], error) {
	return ask(ctx, c.log, func(context.Context) (node.AccountView, error) { return c.b.Account(address) })
}

// Certificate is custodian_certificate.
func (c *custodian) Certificate(ctx context.Context, id uint64) (answer[node.Proof], error) {
	return ask(ctx, c.log, func(context.Context) (node.Proof, error) { return c.b.Certificate(id) })
}

// Decision is custodian_decision.
func (c *custodian) Decision(ctx context.Context, height uint64) (answer[node.Proof], error) {
	return ask(ctx, c.log, func(context.Context) (node.Proof, error) { return c.b.Decision(height) })
}

// Payment is custodian_payment.
func (c *custodian) Payment(ctx context.Context, id uint64) (answer[node.Proof], error) {
	return ask(ctx, c.log, func(context.Context) (node.Proof, error) { return c.b.Payment(id) })
}

// Audit is custodian_audit.
func (c *custodian) Audit(ctx context.Context, q *node.AuditQuery) (answer[[]node.AuditView], error) {
	if q == nil {
		q = &node.AuditQuery{}
	}
	return ask(ctx, c.log, func(context.Context) ([]node.AuditView, error) { return c.b.Audit(*q) })
}

// Peers is custodian_peers.
func (c *custodian) Peers() answer[[]node.Peer] { return answer[[]node.Peer]{c.b.Peers()} }

// Alerts is custodian_alerts.
func (c *custodian) Alerts() answer[[]Alert] { return answer[[]Alert]{alertsOf(c.b.Alerts())} }

// admin holds the methods admin_*, served on the socket alone.
type admin struct {
	o   Operator
	v   Custody // nil: none
	log *zap.Logger
}

// Halt is admin_halt.
func (a *admin) Halt(ctx context.Context, reason string, on *node.HaltTarget) (answer[Ack], error) {
	return a.order(ctx, reason, func(ctx context.Context, reason string) error {
		if on == nil {
			on = &node.HaltTarget{}
		}
		return a.o.HaltOn(ctx, *on, reason)
	})
}

// Resume is admin_resume.
func (a *admin) Resume(ctx context.Context, reason string) (answer[Ack], error) {
	return a.order(ctx, reason, func(ctx context.Context, reason string) error {
		err := a.o.Resume(ctx, reason)
		if errors.Is(err, ledger.ErrNotFound) {
			return fail(CodeNothingHalted, "nothing is halted: this node's fuse is whole")
		}
		return err
	})
}

func (a *admin) order(ctx context.Context, reason string, do func(context.Context, string) error) (answer[Ack], error) {
	return ask(ctx, a.log, func(ctx context.Context) (Ack, error) {
		if err := checkReason(reason); err != nil {
			return Ack{}, err
		}
		return Ack{true}, do(ctx, reason)
	})
}

func checkReason(reason string) error {
	if reason == "" || len(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return fail(CodeReason, "a reason of 1 to %d bytes is needed, without control characters", maxReason)
	}
	return nil
}

// discovery holds rpc_discover, under which the server knows rpc.discover.
type discovery struct{ doc Document }

// Discover is rpc.discover.
func (d *discovery) Discover() Document { return d.doc }
