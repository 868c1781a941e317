package simnet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/p2p/memnet"
	"conclave/quorum"
)

// TestATornFileIsOneStateOrTheOther: of a commit that the power interrupted, the database holds all or nothing, and the
// high-water mark of what was told to anybody.
func TestATornFileIsOneStateOrTheOther(t *testing.T) {
	whole, none := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		dir, path := t.TempDir(), ""
		path = filepath.Join(dir, databaseFile)
		network := common.BytesToHash([]byte("network"))
		watched := false
		var before []byte
		l, err := ledger.OpenWatched(dir, network, func(at ledger.Step) (err error) {
			if watched && at == ledger.StepCommit {
				before, err = os.ReadFile(path)
			}
			if watched && at == ledger.StepMark {
				err = errDead
			}
			return err
		})
		require.NoError(rt, err)
		write := func(n int) error {
			return l.Update(func(tx *ledger.Tx) error {
				for range n {
					if _, err := tx.NextCounter(); err != nil {
						return err
					}
					if err := tx.Audit("line", fmt.Sprint(n)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		commits := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 5).Draw(rt, "commits")
		told := uint64(0)
		for _, n := range commits {
			require.NoError(rt, write(n))
			told += uint64(n)
		}
		watched = true
		more := rapid.IntRange(1, 60).Draw(rt, "more")
		require.ErrorIs(rt, write(more), errDead)
		require.NoError(rt, l.Close())
		after, err := os.ReadFile(path)
		require.NoError(rt, err)
		seed := rapid.Uint64().Draw(rt, "seed")
		require.NoError(rt, os.WriteFile(path, torn(before, after, rand.New(rand.NewPCG(seed, 1))), 0o600))

		l, err = ledger.Open(dir, network)
		require.NoError(rt, err)
		require.NoError(rt, l.Rollback())
		require.NoError(rt, l.View(func(tx *ledger.Tx) error {
			last, err := tx.VerifyAudit()
			require.Contains(rt, []uint64{told, told + uint64(more)}, tx.Counter())
			require.Equal(rt, tx.Counter(), last.Index)
			if tx.Counter() == told {
				none++
			} else {
				whole++
			}
			return err
		}))
		require.NoError(rt, l.Close())
	})
	require.NotZero(t, whole)
	require.NotZero(t, none)
}

// TestTornIsNeverWhatWasNotWritten: each sector is the old or the new one.
func TestTornIsNeverWhatWasNotWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := metaPages*os.Getpagesize() + sector*rapid.IntRange(1, 20).Draw(rt, "sectors")
		before := bytes.Repeat([]byte{1}, size)
		after := bytes.Repeat([]byte{2}, size+sector*rapid.IntRange(0, 5).Draw(rt, "grown"))
		out := torn(before, after, rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)))
		require.Len(rt, out, len(after))
		for at := metaPages * os.Getpagesize(); at < len(out); at += sector {
			part := out[at : at+sector]
			require.True(rt, bytes.Equal(part, bytes.Repeat(part[:1], sector)), "sector at %d is of one age", at)
		}
	})
}

// TestBlows: whatever ends a custodian in the middle of a payment, it goes on from its disk, and the payment is made once.
func TestBlows(t *testing.T) {
	key, err := LoadFixture()
	require.NoError(t, err)
	for name, strike := range map[string]func(*World, *Custodian) error{
		"power": func(w *World, c *Custodian) error { return w.PowerCut(c, 7) },
		"power after the disk": func(w *World, c *Custodian) error {
			c.FailDisk(ledger.StepCommit)
			return w.PowerCut(c, 7)
		},
		"effect":  func(_ *World, c *Custodian) error { c.CrashBefore("precommit"); return nil },
		"commit":  func(_ *World, c *Custodian) error { c.FailDisk(ledger.StepCommit); return nil },
		"mark":    func(_ *World, c *Custodian) error { c.FailDisk(ledger.StepMark); return nil },
		"replace": func(_ *World, c *Custodian) error { c.FailDisk(ledger.StepReplace); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, err := New(Config{Key: key, Dir: t.TempDir()})
				require.NoError(t, err)
				require.NoError(t, w.Start())
				time.Sleep(2 * time.Second)
				earned, err := Coins("100")
				require.NoError(t, err)
				alice := w.User("alice")
				w.Relay.CreditTask(alice.Address, earned)
				amount, err := Coins("10.5")
				require.NoError(t, err)
				r, err := w.Withdraw(t.Context(), alice, amount, "w1", false)
				require.NoError(t, err)
				require.NoError(t, strike(w, w.Custodians[1]))
				require.NoError(t, w.Until(time.Minute, func() error { return w.Arrived(r) }))
				if !strings.HasPrefix(name, "power") {
					ended, err := w.Custodians[1].Broken()
					require.NoError(t, err)
					require.True(t, ended, "the blow fell")
				}
				require.False(t, w.Custodians[1].Running())
				require.NoError(t, w.Revive())
				time.Sleep(10 * time.Second)
				require.NoError(t, w.CheckNow())
				require.NoError(t, w.Close())
				report, err := w.Check()
				require.NoError(t, err)
				require.Equal(t, 1, report.Paid)
			})
		})
	}
}

// TestStormIsAFunctionOfTheMessage: not of who asks when.
func TestStormIsAFunctionOfTheMessage(t *testing.T) {
	s := Storm{Seed: 3, Lose: 20, Double: 30, Delay: time.Second}
	lost, late := 0, 0
	for i := range 2000 {
		m := memnet.Message{From: place("a"), To: place("b"), Name: "votes", Data: fmt.Append(nil, i), Sent: time.UnixMilli(5)}
		require.Equal(t, s.hits('l', s.Lose, m), s.hits('l', s.Lose, m))
		if s.hits('l', s.Lose, m) {
			lost++
		}
		d := s.late(m)
		require.LessOrEqual(t, d, s.Delay)
		if d > s.Delay/10 {
			late++
		}
	}
	require.InDelta(t, 400, lost, 80)
	require.InDelta(t, 450, late, 120)
	require.Zero(t, Storm{Seed: 3}.late(memnet.Message{}))
}

// TestContradictionsAreHeard: what a member may say once, and says twice, breaks an invariant at once; of a member that was made
// to misbehave it is no news.
func TestContradictionsAreHeard(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		said := func(counter uint64, id byte) {
			s, err := quorum.Sign(w.Custodians[0].key, w.network, quorum.Vote{Height: 9, Phase: quorum.Prevote, ID: common.Hash{id}, Counter: counter})
			require.NoError(t, err)
			w.wire.mu.Lock()
			defer w.wire.mu.Unlock()
			w.wire.weigh(0, s.Bytes())
		}
		said(70, 1)
		said(70, 1)
		require.NoError(t, w.CheckNow())
		said(71, 2)
		require.ErrorContains(t, w.CheckNow(), "I2: n0 said two things of I2 the prevote of height 9 round 0")
		w.faulty[0] = true
		require.NoError(t, w.CheckNow())
		w.faulty[0] = false
		said(71, 3)
		require.ErrorContains(t, w.CheckNow(), "I12: n0 said two things of I12 counter 71")
	})
}
