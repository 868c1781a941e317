package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkAppend books pages of a log over many accounts with every commit forced to disk, as a node replays.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("page=%d", size), func(b *testing.B) {
			l, err := Open(b.TempDir(), testNetwork)
			require.NoError(b, err)
			defer func() { require.NoError(b, l.Close()) }()
			in := plenty()
			in.Policy.UncoveredMax.SetAllOne()
			page := make([]Event, size)
			id := uint64(0)
			events := 0
			for b.Loop() {
				for i := range page {
					id++
					kind := TaskIncome
					if id%3 == 0 {
						kind = TaskPayment
					}
					page[i] = event(id, testAccount(int(id*7919%20_000)), kind, "1000000000000000000")
				}
				appendAll(b, l, in, page...)
				events += size
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
