package api

import (
	"context"
	"errors"

	"conclave/ledger"
	"conclave/node"
)

// RiskBackend answers what the rules of risk are. *node.Node is one.
type RiskBackend interface {
	Risk() (node.RiskView, error)
	Objections() ([]node.ObjectionView, error)
}

// Objector takes this operator's objections. *node.Node is one.
type Objector interface {
	Object(ctx context.Context, wid uint64, reason string) (late bool, err error)
	EndObjection(ctx context.Context, wid uint64) error
}

// ObjectionAck is what an objection answers.
type ObjectionAck struct {
	Done bool `json:"done"`
	Late bool `json:"late"` // this node gave its verdict before: that one is out, and only a later policy or epoch asks again
}

// Risk is custodian_risk.
func (c *custodian) Risk(ctx context.Context) (answer[node.RiskView], error) {
	return ask(ctx, c.log, func(context.Context) (node.RiskView, error) { return c.b.Risk() })
}

// Objections is custodian_objections.
func (c *custodian) Objections(ctx context.Context) (answer[[]node.ObjectionView], error) {
	return ask(ctx, c.log, func(context.Context) ([]node.ObjectionView, error) { return c.b.Objections() })
}

// Object is admin_object.
func (a *admin) Object(ctx context.Context, id uint64, reason string) (answer[ObjectionAck], error) {
	late := false
	_, err := a.order(ctx, reason, func(ctx context.Context, reason string) (err error) {
		late, err = a.o.Object(ctx, id, reason)
		return objectionError(err)
	})
	return answer[ObjectionAck]{ObjectionAck{err == nil, late}}, err
}

// EndObjection is admin_endObjection.
func (a *admin) EndObjection(ctx context.Context, id uint64) (answer[Ack], error) {
	return ask(ctx, a.log, func(ctx context.Context) (Ack, error) {
		return Ack{true}, objectionError(a.o.EndObjection(ctx, id))
	})
}

func objectionError(err error) error {
	switch {
	case errors.Is(err, ledger.ErrDecided):
		return fail(CodeDecided, "%s", err)
	case errors.Is(err, ledger.ErrNotFound):
		return fail(CodeUnknown, "no objection to it stands")
	}
	return err
}
