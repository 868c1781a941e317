package tss

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// These benchmarks are what `go run ./cmd/bench sign` and `keygen` run: each thing once by the engine, with envelopes, guard and
// echo, and once by the library alone, whose messages are passed by function calls. All members share one process.

// signersOf are q of n members with their shares.
func signersOf(b testing.TB, n int) []*KeyShare {
	members, _ := testMembers(n)
	return dealtShares(b, members)[:quorum.Size(n)]
}

func BenchmarkSign(b *testing.B)         { benchSign(b, 4) }
func BenchmarkBareSign(b *testing.B)     { benchBareSign(b, 4) }
func BenchmarkSign5of7(b *testing.B)     { benchSign(b, 7) }
func BenchmarkBareSign5of7(b *testing.B) { benchBareSign(b, 7) }

// benchSign reports the processor time of all signers together, and the bytes of all frames that they send each other.
func benchSign(b *testing.B, n int) {
	shares := signersOf(b, n)
	var sent atomic.Int64
	before := cpuSeconds(b)
	b.ResetTimer()
	for i := range b.N {
		h, _ := newHub(b, n)
		h.tamper = func(_, _ common.Address, frame []byte) [][]byte {
			sent.Add(int64(len(frame)))
			return [][]byte{frame}
		}
		for _, o := range h.signAll(shares, fmt.Sprint("bench", i), time.Minute) {
			require.Equal(b, Signed, o.Ending, o.String())
		}
	}
	b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(sent.Load())/float64(b.N), "wire-B/op")
}

func benchBareSign(b *testing.B, n int) {
	shares := signersOf(b, n)
	var members []common.Address
	for _, s := range shares {
		members = append(members, s.self)
	}
	sorted := inOrder(b, members, 1)
	before := cpuSeconds(b)
	b.ResetTimer()
	for range b.N {
		bareRun(b, signPlan(), sorted, func(me int, m common.Address) (*libraryParty, error) {
			share := shares[slices.IndexFunc(shares, func(s *KeyShare) bool { return s.self == m })]
			return newSignParty(sorted, me, common.Hash{1}, common.Hash{2}, share)
		})
	}
	b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "cpu-s/op")
}

// BenchmarkKeygen is a key of 3 of 4, its transcript signed by all; preparameters are made ahead, as always.
func BenchmarkKeygen(b *testing.B) {
	for i := range b.N {
		h, members := newHub(b, 4)
		for _, o := range all(members, func(at int, m common.Address) Outcome {
			_, out := h.engines[m].Keygen(context.Background(), benchKeygen(b, members, i, at))
			return out
		}) {
			require.Equal(b, Generated, o.Ending, o.String())
		}
	}
}

func BenchmarkBareKeygen(b *testing.B) {
	members, _ := testMembers(4)
	sorted := inOrder(b, members, 1)
	for i := range b.N {
		bareRun(b, keygenPlan(), sorted, func(me int, m common.Address) (*libraryParty, error) {
			return newKeygenParty(sorted, me, benchKeygen(b, members, i, slices.Index(members, m)))
		})
	}
}

func benchKeygen(b *testing.B, members []common.Address, try, at int) KeygenRequest {
	return KeygenRequest{
		Session: sessionOf(fmt.Sprint("bench", try)), Epoch: 1, Members: members, Threshold: 3, PreParams: devPreParams(b, at),
		RoundTimeout: 10 * time.Minute, // the machine may have other things to do
	}
}

// bareRun drives one machine of the library for each member through its rounds.
func bareRun(b *testing.B, pl plan, sorted []common.Address, start func(me int, m common.Address) (*libraryParty, error)) {
	parties := map[common.Address]*libraryParty{}
	for i, m := range sorted {
		p, err := start(i, m)
		require.NoError(b, err)
		parties[m] = p
	}
	type sent struct {
		from common.Address
		step step
	}
	steps := all(sorted, func(_ int, m common.Address) sent { return sent{m, parties[m].start()} })
	for range pl.library {
		batches := map[common.Address][]checked{}
		for _, s := range steps {
			require.Nil(b, s.step.err)
			for _, o := range s.step.out {
				for _, to := range sorted {
					if to != s.from && (o.spec.broadcast || o.to == to) {
						msg, err := tsslib.ParseWireMessage(o.payload, parties[to].named()[s.from], o.spec.broadcast)
						require.NoError(b, err)
						batches[to] = append(batches[to], checked{s.from, msg})
					}
				}
			}
		}
		steps = all(sorted, func(_ int, m common.Address) sent { return sent{m, parties[m].feed(batches[m])} })
	}
	for _, s := range steps {
		require.NotNil(b, s.step.result)
	}
}

func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkSignMemory is the most that the heap grows while 3 of 4 sign, what is not collected yet included, by signer.
func BenchmarkSignMemory(b *testing.B) {
	shares := signersOf(b, 4)
	for i := range b.N {
		h, _ := newHub(b, 4)
		runtime.GC()
		base, stop, most := heapBytes(), make(chan struct{}), make(chan uint64)
		go func() {
			peak := base
			for {
				select {
				case <-stop:
					most <- peak
					return
				case <-time.After(time.Millisecond):
					peak = max(peak, heapBytes())
				}
			}
		}()
		for _, o := range h.signAll(shares, fmt.Sprint("memory", i), time.Minute) {
			require.Equal(b, Signed, o.Ending, o.String())
		}
		close(stop)
		b.ReportMetric(float64(<-most-base)/float64(len(shares))/1e6, "MB/signer")
	}
}

func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
