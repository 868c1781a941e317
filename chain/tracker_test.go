package chain_test

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/chain"
)

func ref(k uint64, name string) chain.SignedRef {
	return chain.SignedRef{K: k, Hash: common.BytesToHash([]byte(name))}
}

func storedObs(r chain.SignedRef) chain.Observation { return chain.Observation{Stored: &r} }

func sentObs(r chain.SignedRef, err error) chain.Observation {
	return chain.Observation{Sent: &chain.SendResult{Hash: r.Hash, Err: err}}
}

func lookObs(final uint64, s *chain.Sighting) chain.Observation {
	return chain.Observation{Looked: &chain.Look{Final: final, Seen: s}}
}

func sighting(r chain.SignedRef, block uint64, status uint64) *chain.Sighting {
	return &chain.Sighting{Ours: true, K: r.K, Outcome: chain.Outcome{
		TxHash: r.Hash, Block: block, BlockHash: common.BigToHash(common.Big1), Status: status,
	}}
}

func TestStep(t *testing.T) {
	a, b, double := ref(0, "a"), ref(1, "b"), ref(1, "b2")
	onFork := sighting(a, 10, 1)
	onFork.BlockHash = common.BigToHash(common.Big2)
	foreign := sighting(ref(0, "x"), 10, 1)
	foreign.Ours = false
	send := func(r chain.SignedRef) chain.Action { return chain.Action{Kind: chain.Send, Hash: r.Hash} }
	kinds := func(ks ...chain.ActionKind) (out []chain.Action) {
		for _, k := range ks {
			out = append(out, chain.Action{Kind: k})
		}
		return out
	}

	type turn struct {
		see  chain.Observation
		then chain.Stage
		do   []chain.Action // compared without reasons
	}
	for name, turns := range map[string][]turn{
		"the straight way": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{sentObs(a, nil), chain.StageBroadcast, nil},
			{lookObs(8, nil), chain.StageBroadcast, []chain.Action{send(a)}},
			{lookObs(9, sighting(a, 10, 1)), chain.StageMined, nil},
			{lookObs(10, sighting(a, 10, 1)), chain.StageFinal, kinds(chain.State)},
			{lookObs(11, sighting(a, 10, 1)), chain.StageFinal, nil},
			{chain.Observation{Settled: true}, chain.StageSettled, nil},
			{lookObs(12, sighting(a, 10, 1)), chain.StageSettled, nil},
		},
		"nothing happens before it is signed": {
			{lookObs(8, nil), chain.StageDecided, nil},
			{chain.Observation{Settled: true}, chain.StageDecided, nil},
			{chain.Observation{}, chain.StageDecided, nil},
		},
		"known is success": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{sentObs(a, chain.ErrKnown), chain.StageBroadcast, nil},
		},
		"a used nonce is success until the look": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{sentObs(a, chain.ErrNonceUsed), chain.StageBroadcast, nil},
			{lookObs(9, sighting(a, 10, 1)), chain.StageMined, nil},
		},
		"refused and unaffordable is sent again": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{sentObs(a, errors.New("connection refused")), chain.StageSigned, nil},
			{sentObs(a, chain.ErrFunds), chain.StageSigned, kinds(chain.Notice)},
			{lookObs(9, nil), chain.StageSigned, []chain.Action{send(a)}},
		},
		"a reorganisation sends the same bytes": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{lookObs(9, sighting(a, 10, 1)), chain.StageMined, nil},
			{lookObs(9, nil), chain.StageBroadcast, []chain.Action{send(a)}},
			{lookObs(9, onFork), chain.StageMined, nil},
			{lookObs(10, onFork), chain.StageFinal, kinds(chain.State)},
		},
		"a step is sent instead, a double is only remembered": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{sentObs(a, nil), chain.StageBroadcast, nil},
			{storedObs(b), chain.StageBroadcast, []chain.Action{send(b)}},
			{storedObs(double), chain.StageBroadcast, nil},
			{storedObs(b), chain.StageBroadcast, nil},
			{lookObs(9, nil), chain.StageBroadcast, []chain.Action{send(b)}},
			{lookObs(10, sighting(double, 10, 1)), chain.StageFinal, kinds(chain.State)},
		},
		"somebody else signed and sent it": {
			{lookObs(10, sighting(a, 10, 1)), chain.StageFinal, kinds(chain.State)},
			{storedObs(a), chain.StageFinal, nil},
		},
		"a revert is final and told": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{lookObs(10, sighting(a, 10, 0)), chain.StageFinal, kinds(chain.State, chain.Notice)},
		},
		"a foreign transaction is an alarm once final": {
			{storedObs(a), chain.StageSigned, []chain.Action{send(a)}},
			{lookObs(9, foreign), chain.StageMined, nil},
			{lookObs(10, foreign), chain.StageMined, kinds(chain.Alarm)},
			{chain.Observation{Settled: true}, chain.StageMined, nil},
		},
		"what is final stays": {
			{lookObs(10, sighting(a, 10, 1)), chain.StageFinal, kinds(chain.State)},
			{lookObs(9, nil), chain.StageFinal, nil}, // an endpoint that lags
			{lookObs(9, onFork), chain.StageFinal, nil},
			{lookObs(10, onFork), chain.StageFinal, kinds(chain.Alarm)},
			{lookObs(10, nil), chain.StageFinal, kinds(chain.Alarm)},
			{sentObs(a, nil), chain.StageFinal, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var track chain.Track
			for i, turn := range turns {
				var do []chain.Action
				track, do = chain.Step(track, turn.see)
				require.Equal(t, turn.then, track.Stage, "turn %d", i)
				for j := range do {
					require.Equal(t, do[j].Kind == chain.Alarm || do[j].Kind == chain.Notice, do[j].Reason != "")
					do[j].Reason = ""
				}
				require.Equal(t, turn.do, do, "turn %d", i)
			}
		})
	}
}

// Whatever comes in whatever order: a stored hash is never lost, only stored hashes are sent, and a final slot stays so.
func TestStepUnderAnyOrder(t *testing.T) {
	refs := []chain.SignedRef{ref(0, "a"), ref(0, "a2"), ref(1, "b"), ref(2, "c")}
	rapid.Check(t, func(t *rapid.T) {
		var track chain.Track
		stored := map[common.Hash]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "turns") {
			r := rapid.SampledFrom(refs).Draw(t, "ref")
			s := sighting(r, rapid.Uint64Range(1, 20).Draw(t, "block"), rapid.Uint64Range(0, 1).Draw(t, "status"))
			s.Ours = rapid.Bool().Draw(t, "ours")
			o := rapid.SampledFrom([]chain.Observation{
				storedObs(r), sentObs(r, nil), sentObs(r, chain.ErrUnderpriced), lookObs(10, nil), lookObs(10, s), {Settled: true},
			}).Draw(t, "see")
			if o.Stored != nil {
				stored[r.Hash] = true
			}

			before := track
			var do []chain.Action
			track, do = chain.Step(track, o)
			require.Len(t, track.Hashes(), len(stored))
			for _, a := range do {
				require.True(t, a.Kind != chain.Send || stored[a.Hash])
			}
			if before.Stage >= chain.StageFinal {
				require.GreaterOrEqual(t, track.Stage, before.Stage)
				require.Equal(t, before.Seen, track.Seen)
			}
			require.True(t, track.Stage < chain.StageFinal || track.Seen.Ours, "nothing foreign is ever final")
		}
	})
}

func TestTrackRemembersBounded(t *testing.T) {
	var track chain.Track
	for i := range uint64(2 * chain.MaxHashes) {
		track, _ = chain.Step(track, storedObs(chain.SignedRef{K: 0, Hash: common.BigToHash(common.Big3)}))
		track, _ = chain.Step(track, storedObs(ref(i, string(rune('a'+i)))))
	}
	require.LessOrEqual(t, len(track.Signed), chain.MaxHashes)
	require.Equal(t, "mined", chain.StageMined.String())
	require.Equal(t, "Stage(9)", chain.Stage(9).String())
}
