package risk

import (
	"testing"
	"time"

	"conclave/quorum"
)

// BenchmarkRow is what the watches add to a replay, by row.
func BenchmarkRow(b *testing.B) {
	w := NewWatches(quorum.Watch{Window: 10 * time.Minute, LogsMax: 1 << 40, NewAccountsMax: 1 << 40, AccountLogsMax: 1 << 40, YoungAge: 7 * 24 * time.Hour,
		YoungPercent: 50, DriftAllowance: 10, DriftAlarm: 1000, DriftSustained: time.Hour})
	at := uint64(watchStart)
	for i := range b.N {
		at += uint64(i % 2)
		w.Row(income(uint64(i+1), someone(i%100_000), at, "1000000000000000000"), 1<<40, i < 100_000, false)
	}
}
