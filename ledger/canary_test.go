package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestNoCanaryTryIsJoinedTwice(t *testing.T) {
	p := newProtoNet(t, 4)
	a, b := common.Hash{1}, common.Hash{2}
	next := func(h common.Hash) (n uint64) {
		p.view(func(tx *Tx) error { n = tx.NextCanary(h); return nil })
		return n
	}
	require.Zero(t, next(a))
	p.update(func(tx *Tx) error { return tx.RecordCanary(a, 0) })
	require.EqualValues(t, 1, next(a))
	require.ErrorIs(t, p.l.Update(func(tx *Tx) error { return tx.RecordCanary(a, 0) }), ErrOrder)
	p.update(func(tx *Tx) error { return tx.RecordCanary(a, 7) })
	require.EqualValues(t, 8, next(a))
	require.Zero(t, next(b), "another ceremony")
	p.update(func(tx *Tx) error { return tx.RecordCanary(b, 0) })
	require.EqualValues(t, 1, next(b))
	p.check()
}
