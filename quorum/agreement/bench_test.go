package agreement

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkSchedules is schedules_rate: complete schedules in a second on one core, with four members, as TestSimulation
// draws them. The core is the real one, and so are the certificates, what is read back after a crash and its signatures.
// What members sign is signed once per statement and remembered by the keyring.
func BenchmarkSchedules(b *testing.B) {
	rate(b, func(seed uint64) *world { return schedule(seed, 4, nil) })
}

// BenchmarkTwins is the same for the twins' schedules, of all sizes.
func BenchmarkTwins(b *testing.B) {
	rate(b, func(seed uint64) *world { return twins(seed, nil) })
}

func rate(b *testing.B, play func(seed uint64) *world) {
	seed, began := *firstSeed, spent()
	for b.Loop() {
		if w := play(seed); len(w.broken) > 0 {
			b.Fatalf("seed %d: %v", seed, w.broken)
		}
		seed++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules_rate")
	b.ReportMetric(float64(b.N)/(spent()-began).Seconds(), "schedules/cpu-s") // the same on a machine that others use too
}

// spent is the processor time of this process.
func spent() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
