package devnet

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/node"
	"conclave/relay/relaysim"
)

func lifeOf(served time.Time, after ...time.Duration) life {
	names := []string{"decided", "final", "reported"}
	v := life{served: served}
	for i, d := range after {
		v.times = append(v.times, node.StageTime{Stage: names[i], At: served.Add(d)})
	}
	if len(after) > 1 {
		v.final = served.Add(after[1])
	}
	return v
}

// TestStagesAreMeansFromTheOneBefore: the first counts from the Relay's list, each other from the stage before.
func TestStagesAreMeansFromTheOneBefore(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	require.Equal(t, []Stage{{"decided", 2}, {"final", 4}, {"reported", 1}}, stages([]life{
		lifeOf(at, time.Second, 4*time.Second, 5*time.Second), lifeOf(at.Add(time.Hour), 3*time.Second, 8*time.Second),
	}))
	require.Empty(t, stages(nil))
}

// TestSettledIsFinal: what q members told of before the own endpoints showed it skips a stage, and counts.
func TestSettledIsFinal(t *testing.T) {
	sim, err := relaysim.New(relaysim.Config{APIKey: common.Address{1}})
	require.NoError(t, err)
	l := &load{n: &Network{world: &world{sim: sim}}, tail: tail{all: map[uint64]node.WithdrawalView{}}}
	require.Empty(t, l.lives([]request{{id: 1}}), "the Relay does not know it")
	at, height := time.Unix(100, 0), uint64(7)
	for want, times := range map[int64][]node.StageTime{
		105: {{Stage: "mined", At: at}, {Stage: "settled", At: at.Add(5 * time.Second)}},
		103: {{Stage: "final", At: at.Add(3 * time.Second)}, {Stage: "settled", At: at.Add(5 * time.Second)}},
	} {
		v := lifeOfView(node.WithdrawalView{Height: &height, Times: times}, at)
		require.Equal(t, want, v.final.Unix())
	}
}

// TestTheSlowestOfAHundredIsSeen: the nearest rank leaves no slow one out where there are fewer than a hundred.
func TestTheSlowestOfAHundredIsSeen(t *testing.T) {
	var of []life
	for i := range 24 {
		of = append(of, lifeOf(time.Unix(int64(i), 0), 0, time.Duration(24-i)*time.Second))
	}
	p50, p99 := spread(of)
	require.Equal(t, []float64{12, 24}, []float64{p50, p99})
	for range 76 {
		of = append(of, lifeOf(time.Unix(0, 0), 0, time.Second))
	}
	p50, p99 = spread(of)
	require.Equal(t, []float64{1, 23}, []float64{p50, p99})
	p50, p99 = spread(nil)
	require.Equal(t, []float64{0, 0}, []float64{p50, p99})
}

func TestTheMachineSaysHowBusyItIs(t *testing.T) {
	before, err := parseMachine("cpu  100 10 40 800 50 0 0 0 0 0\ncpu0 50 5 20 400 25 0 0 0 0 0\ncpu1 50 5 20 400 25 0 0 0 0 0\nintr 5\n")
	require.NoError(t, err)
	after, err := parseMachine("cpu  150 10 50 820 50 5 5 10 0 0\ncpu0 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1 1\n")
	require.NoError(t, err)
	m := after.since(before)
	require.Equal(t, machine{busy: 80, all: 100, cores: 2}, m)
	for _, bad := range []string{"", "cpu  1 2 3\ncpu0 1\n", "cpu  a 1 1 1 1 1 1 1\ncpu0 1\n"} {
		_, err := parseMachine(bad)
		require.Error(t, err, bad)
	}
}

func TestWhatIsUsedMostIsNamed(t *testing.T) {
	for want, r := range map[string]VolumeReport{
		"session": {Signing: 0.9, Full: 0.5, Busy: 0.8, Items: 30}, "in flight": {Signing: 0.3, Full: 0.6, Busy: 0.5},
		"processors": {Signing: 0.7, Busy: 0.99}, "batches": {Signing: 0.5, Items: 150},
	} {
		what, _ := r.Bound()
		require.Contains(t, what, want)
	}
}

func TestALoadIsNamed(t *testing.T) {
	for _, v := range []*Volume{nil, {For: time.Second}, {PerMinute: 1}} {
		_, err := Measure(t.Context(), Options{Nodes: 4, Network: "devnet", Volume: v})
		require.ErrorContains(t, err, "load")
	}
	n := &Network{o: Options{Volume: &Volume{Profile: "file"}}}
	require.Equal(t, []string{"--cpu-profile", "file"}, n.profiled(0))
	require.Empty(t, n.profiled(1), "one is enough")
	require.Empty(t, (&Network{}).profiled(0))
}
