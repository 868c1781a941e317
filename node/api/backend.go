package api

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/node"
)

// Backend answers questions about one custodian. *node.Node is one.
type Backend interface {
	Status(ctx context.Context) (node.Status, error)
	Health(ctx context.Context) (node.Health, error)
	Withdrawal(ctx context.Context, id uint64) (node.WithdrawalView, error)
	Withdrawals(ctx context.Context, q node.WithdrawalQuery) ([]node.WithdrawalView, error)
	Batch(height uint64) (node.BatchView, error)
	// Batches lists the newest first, at most limit, below the height before unless that is 0.
	Batches(limit int, before uint64) ([]node.BatchView, error)
	Account(address common.Address) (node.AccountView, error)
	Certificate(id uint64) (node.Proof, error)
	Decision(height uint64) (node.Proof, error)
	Payment(id uint64) (node.Proof, error)
	Audit(q node.AuditQuery) ([]node.AuditView, error)
	Peers() []node.Peer
	Exhibitor
	Alerts() []node.Alert
	RiskBackend
}

// Operator takes the orders of this node's operator. *node.Node is one.
type Operator interface {
	HaltOn(ctx context.Context, on node.HaltTarget, reason string) error
	Resume(ctx context.Context, reason string) error
	Objector
}

var (
	_ Backend  = (*node.Node)(nil)
	_ Operator = (*node.Node)(nil)
)

// Alert is what custodian_alerts answers for each alert.
type Alert struct {
	Key      string    `json:"key"`      // one for everything about one cause
	Code     string    `json:"code"`     // see docs/alerts.md
	Severity string    `json:"severity"` // info, warning, critical
	Text     string    `json:"text"`
	Hint     string    `json:"hint"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Count    uint64    `json:"count"`
	Over     bool      `json:"over"`
}

func alertsOf(in []node.Alert) []Alert {
	out := make([]Alert, len(in))
	for i, a := range in {
		out[i] = Alert{a.Key, a.Code, a.Severity.String(), a.Text, a.Hint, a.First.UTC(), a.Last.UTC(), a.Count, a.Over}
	}
	return out
}

// answer is a result as it leaves: addresses with their EIP-55 checksum.
type answer[T any] struct{ v T }

// MarshalJSON implements json.Marshaler.
func (a answer[T]) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(a.v)
	if err != nil {
		return nil, err
	}
	return plainAddress.ReplaceAllFunc(b, func(quoted []byte) []byte {
		return []byte(`"` + common.HexToAddress(string(quoted[1:len(quoted)-1])).Hex() + `"`)
	}), nil
}

// plainAddress matches JSON strings that are an address and nothing else. Twenty bytes in hex are never anything else here.
var plainAddress = regexp.MustCompile(`"0x[0-9a-f]{40}"`)

// ask makes one call, bounded in time, and turns its error into one of the table. The cause of an internal error is logged
// here, once: the client reads only that there was one.
func ask[T any](ctx context.Context, log *zap.Logger, call func(context.Context) (T, error)) (answer[T], error) {
	return askWithin(ctx, log, callTimeout, call)
}

func askWithin[T any](ctx context.Context, log *zap.Logger, within time.Duration, call func(context.Context) (T, error)) (answer[T], error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	v, err := call(ctx)
	if err == nil {
		return answer[T]{v}, nil
	}
	out := classify(err)
	if out.row.code == CodeInternal {
		log.Error("api call", zap.Error(err))
	}
	return answer[T]{}, out
}
