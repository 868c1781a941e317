package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"runtime/debug"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

// benchLog names a file of a recorded log, RLP items one after the other, which `make bench-replay` makes.
const benchLog = "CONCLAVE_BENCH_LOG"

func recordedLog(b *testing.B) iter.Seq2[Event, error] {
	path := os.Getenv(benchLog)
	if path == "" {
		b.Skip("make bench-replay gives a log")
	}
	return func(yield func(Event, error) bool) {
		f, err := os.Open(path)
		require.NoError(b, err)
		defer func() { require.NoError(b, f.Close()) }()
		s := rlp.NewStream(bufio.NewReaderSize(f, 1<<20), 0)
		for {
			var e Event
			err := s.Decode(&e)
			if errors.Is(err, io.EOF) || !yield(e, err) {
				return
			}
		}
	}
}

func benchIntake() Intake {
	in := plenty()
	in.Policy.UncoveredMax.SetAllOne()
	in.Policy.UncoveredMax.Rsh(&in.Policy.UncoveredMax, 1)
	return in
}

// asReplaysAre gives both sides of the comparison the collector that a replay asks for.
func asReplaysAre(b *testing.B) {
	limit, percent := ReplayMemory(0)
	limit, percent = debug.SetMemoryLimit(limit), debug.SetGCPercent(percent)
	b.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
}

// BenchmarkReplayBooks replays a recorded log into fresh books.
func BenchmarkReplayBooks(b *testing.B) {
	log := recordedLog(b)
	asReplaysAre(b)
	for b.Loop() {
		b.StopTimer()
		l, err := Open(b.TempDir(), testNetwork)
		require.NoError(b, err)
		b.StartTimer()
		_, err = l.Replay(context.Background(), log, benchIntake(), nil)
		require.NoError(b, err)
		b.StopTimer()
		require.NoError(b, l.Close())
		b.StartTimer()
	}
}

type benchWrite struct {
	bucket      string
	key, record []byte
}

// BenchmarkReplayFloor is the least that the same durable bytes cost: a bare writer that puts the records which the books
// put, in the same order and the same commits, and computes nothing.
func BenchmarkReplayFloor(b *testing.B) {
	log := recordedLog(b)
	asReplaysAre(b)
	l, err := Open(b.TempDir(), testNetwork)
	require.NoError(b, err)
	l.db.NoSync = true
	commits := [][]benchWrite{nil}
	l.wrote = func(bucket string, key, record []byte) {
		last := len(commits) - 1
		commits[last] = append(commits[last], benchWrite{bucket, bytes.Clone(key), bytes.Clone(record)})
	}
	_, err = l.Replay(context.Background(), log, benchIntake(), func(uint64) { commits = append(commits, nil) })
	require.NoError(b, err)
	require.NoError(b, l.Close())
	for b.Loop() {
		b.StopTimer()
		l, err := Open(b.TempDir(), common.HexToHash("0x01"))
		require.NoError(b, err)
		b.StartTimer()
		for _, writes := range commits {
			require.NoError(b, l.db.Update(func(tx *bolt.Tx) error {
				for _, w := range writes {
					to := tx.Bucket([]byte(w.bucket))
					if w.bucket == string(bucketLog) {
						to.FillPercent = logFill
					}
					if err := to.Put(w.key, w.record); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		b.StopTimer()
		require.NoError(b, l.Close())
		b.StartTimer()
	}
}
