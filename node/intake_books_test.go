package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
)

// newReader is a bench that books what the Relay shows, watches and all.
func newReader(t testing.TB) (*bench, *intake) {
	b := newBench(t)
	var err error
	b.n.watches, err = newWatches(b.n)
	require.NoError(t, err)
	return b, &intake{n: b.n}
}

func incomes(from, n uint64) (page []ledger.Event) {
	for id := from; id < from+n; id++ {
		var a common.Address
		binary.BigEndian.PutUint64(a[:], (id%100_000+1)*0x9E3779B97F4A7C15)
		page = append(page, ledger.Event{ID: id, CreatedAt: 1_700_000_000 + id/8, Account: a, Kind: ledger.TaskIncome, Amount: "1000"})
	}
	return page
}

// A page is one commit, however many rows it has: a commit is a sync of the disk, and rows wait for it.
func TestAPageIsOneCommit(t *testing.T) {
	b, in := newReader(t)
	for i, n := range []uint64{1, 1, 100, 1000} {
		before := b.commits()
		require.NoError(t, in.Record(t.Context(), incomes(uint64(1+i*1000), n), []byte("state")))
		require.Equal(t, before+1, b.commits(), "%d rows", n)
	}
}

// BenchmarkAnEventIsBooked is how long a row that comes alone takes from its page's arrival until it is durably in books of a
// hundred thousand accounts, screened and counted by the watches.
func BenchmarkAnEventIsBooked(b *testing.B) {
	x, in := newReader(b)
	const before = 200_000
	log := incomes(1, before)
	_, err := x.led.Replay(context.Background(), func(yield func(ledger.Event, error) bool) {
		for _, e := range log {
			if !yield(e, nil) {
				return
			}
		}
	}, ledger.Intake{Now: 1, Policy: x.n.policy()}, nil)
	require.NoError(b, err)
	var took []time.Duration
	next := uint64(before + 1)
	for b.Loop() {
		page := incomes(next, 1)
		next++
		began := time.Now()
		require.NoError(b, in.Record(context.Background(), page, []byte(fmt.Sprint(next))))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50_ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99_ms")
}
