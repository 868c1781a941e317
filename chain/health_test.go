package chain_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
)

// What a scripted endpoint does with a call.
const (
	says    = iota // the truth
	lags           // does not know the block yet
	fails          // an error
	hangs          // accepts, and answers after ten seconds: as the adapter gives up
	deceits        // and above: a lie of its own
)

// scripted is an endpoint of a chain of true blocks that does what its script says, call after call.
type scripted struct {
	chain.Endpoint
	name   string
	script []int
	calls  atomic.Int64
}

var errScript = errors.New("the script says so")

func (s *scripted) Name() string { return s.name }

// trueFinal is the newest final block of the scripted chain.
const trueFinal = 100

func trueBlock(n uint64) chain.Header {
	return chain.Header{Number: n, Hash: common.Hash{1, byte(n)}, Time: 1000 + n}
}

func (s *scripted) next(ctx context.Context) (int, error) {
	do := says
	if len(s.script) > 0 {
		do = s.script[int(s.calls.Load())%len(s.script)]
	}
	s.calls.Add(1)
	switch do {
	case fails:
		return do, errScript
	case hangs:
		select {
		case <-ctx.Done():
			return do, ctx.Err()
		case <-time.After(10 * time.Second):
			return do, errScript
		}
	}
	return do, nil
}

func (s *scripted) Final(ctx context.Context) (chain.Header, error) {
	do, err := s.next(ctx)
	switch {
	case err != nil:
		return chain.Header{}, err
	case do == lags:
		return trueBlock(trueFinal - 70), nil
	case do >= deceits:
		return chain.Header{Number: uint64(do) * 7, Hash: common.Hash{9, byte(do)}, Time: uint64(do) * 200}, nil
	}
	return trueBlock(trueFinal), nil
}

func (s *scripted) HeaderAt(ctx context.Context, n uint64) (chain.Header, error) {
	do, err := s.next(ctx)
	switch {
	case err != nil:
		return chain.Header{}, err
	case do == lags || n > trueFinal+50:
		return chain.Header{}, chain.ErrNotFound
	case do >= deceits:
		return chain.Header{Number: n, Hash: common.Hash{9, byte(do)}}, nil
	}
	return trueBlock(n), nil
}

func (s *scripted) NonceAt(ctx context.Context, _ common.Address, _ chain.Header) (uint64, error) {
	do, err := s.next(ctx)
	switch {
	case err != nil:
		return 0, err
	case do == lags:
		return 0, chain.ErrNotFound
	case do >= deceits:
		return uint64(do), nil
	}
	return 1, nil
}

// Whatever fewer than `least` endpoints say, and whatever the honest ones fail to say, over many looks with all that is
// remembered of them: what comes out is true, or nothing comes out.
func TestFewLiarsMakeNoFact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "endpoints")
		least := rapid.IntRange(1, n).Draw(rt, "least")
		liars := rapid.IntRange(0, least-1).Draw(rt, "liars")
		var ends []chain.Endpoint
		for i := range n {
			most := hangs
			if i < liars {
				most = 25
			}
			ends = append(ends, &scripted{name: fmt.Sprint(i), script: rapid.SliceOfN(rapid.IntRange(0, most), 1, 12).Draw(rt, "script")})
		}
		pauses := rapid.SliceOfN(rapid.IntRange(0, 70), 1, 10).Draw(rt, "pauses")
		var wrong error
		synctest.Test(t, func(t *testing.T) {
			a, err := chain.NewAgreeing(least, ends...)
			require.NoError(t, err)
			for _, pause := range pauses {
				time.Sleep(time.Duration(pause) * time.Second)
				final, err := a.Final(t.Context())
				if err == nil && (final.Number > trueFinal || final != trueBlock(final.Number)) {
					wrong = errors.Join(wrong, fmt.Errorf("final block %v", final))
				}
				nonce, err := a.NonceAt(t.Context(), common.Address{}, trueBlock(trueFinal))
				if err == nil && nonce != 1 {
					wrong = errors.Join(wrong, fmt.Errorf("nonce %d", nonce))
				}
			}
			synctest.Wait()
		})
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}

// One of three that accepts and never answers holds up a look once, then the looks go on without it; it is tried at times, and
// takes part again when it answers.
func TestASlowEndpointCostsOnce(t *testing.T) {
	for name, do := range map[string]int{"it never answers": hangs, "it fails": fails, "it stopped long ago": lags} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sick := &scripted{name: "sick", script: []int{do}}
				a, err := chain.NewAgreeing(2, &scripted{name: "a"}, sick, &scripted{name: "b"})
				require.NoError(t, err)
				look := func() error {
					final, err := a.Final(t.Context())
					if err == nil {
						_, err = a.NonceAt(t.Context(), common.Address{}, final)
					}
					return err
				}
				began := time.Now()
				for range 600 {
					require.NoError(t, look())
					time.Sleep(time.Second)
				}
				lost := time.Since(began) - 600*time.Second
				require.LessOrEqual(t, lost, 17*time.Second, "five doublings of its rest and then a second in each minute")
				require.Less(t, sick.calls.Load(), int64(20))

				h := a.Health()[1]
				require.Equal(t, "sick", h.Name)
				require.False(t, h.Failing.IsZero())
				require.NotEmpty(t, h.Err)
				require.Zero(t, a.Health()[0].Failures)
				require.Equal(t, uint64(trueFinal), a.Health()[0].Final)

				sick.script = nil
				for range 61 {
					require.NoError(t, look())
					time.Sleep(time.Second)
				}
				h = a.Health()[1]
				require.True(t, h.Failing.IsZero())
				require.Zero(t, h.Behind)
				require.Empty(t, h.Err)
			})
		})
	}
}

// Those that rest are asked all the same when the others are too few, and a caller that gives up holds nothing against anybody.
func TestWhoIsNeededIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick := &scripted{name: "sick", script: []int{fails}}
		a, err := chain.NewAgreeing(2, &scripted{name: "a"}, sick)
		require.NoError(t, err)
		for range 5 {
			_, err = a.Final(t.Context())
			require.ErrorIs(t, err, errScript)
		}
		require.EqualValues(t, 5, sick.calls.Load(), "one call a look")
		sick.script = nil
		_, err = a.Final(t.Context())
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		slow := &scripted{name: "slow", script: []int{hangs}}
		b, err := chain.NewAgreeing(1, slow)
		require.NoError(t, err)
		_, err = b.Final(ctx)
		require.Error(t, err)
		require.Zero(t, b.Health()[0].Failures)
	})
}

// Of three the one that differs is named; of two both are.
func TestTheOddOneIsNoted(t *testing.T) {
	for n, want := range map[int][]bool{3: {false, false, true}, 2: {true, true}} {
		var ends []chain.Endpoint
		for i := range n {
			ends = append(ends, &scripted{name: fmt.Sprint(i)})
		}
		ends[n-1].(*scripted).script = []int{deceits}
		a, err := chain.NewAgreeing(n, ends...)
		require.NoError(t, err)
		_, err = a.NonceAt(t.Context(), common.Address{}, trueBlock(5))
		var split *chain.Disagreement
		require.ErrorAs(t, err, &split)
		for i, h := range a.Health() {
			require.Equal(t, want[i], h.Disagreements == 1, "%d of %d", i, n)
		}
	}
}
