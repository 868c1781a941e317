package node

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
)

// A row that a certificate brought is not one that has vanished: people hear of all such rows in one alert, which ends when
// the Relay shows them. One that the Relay did show, and shows no more, has vanished.
func TestHiddenRowsAreOneAlert(t *testing.T) {
	l := newRangeLab(t, row(1, 1, "5"), row(4, 2, "7"), row(6, 2, "7"))
	brought := []ledger.Event{row(2, 3, "1"), row(3, 3, "1")}
	require.NoError(t, l.led.Update(func(tx *ledger.Tx) error {
		_, err := tx.Append(brought, ledger.Intake{Policy: l.state.Policy, Brought: true})
		return err
	}))
	in := &intake{n: &Node{led: l.led, alerts: l.alerts, log: zap.NewNop()}}
	shown := []ledger.Event{row(1, 1, "5"), row(4, 2, "7"), row(6, 2, "7")}
	walk := func(rows []ledger.Event) (gone []uint64) {
		for _, part := range [][2]uint64{{0, 3}, {3, 6}} {
			page := slices.DeleteFunc(slices.Clone(rows), func(e ledger.Event) bool { return e.ID <= part[0] || e.ID > part[1] })
			same, more, err := in.Compare(context.Background(), part[0], part[1], page)
			require.NoError(t, err)
			require.True(t, same)
			gone = append(gone, more...)
		}
		return gone
	}
	for range 3 {
		require.Empty(t, walk(shown))
		a, stands := l.alert(codeHidden)
		require.True(t, stands)
		require.EqualValues(t, 1, a.Count, "told once, however often the log is read again")
		require.Contains(t, a.Text, "2 rows")
		require.Contains(t, a.Text, "event 2 and on")
	}
	require.Equal(t, []uint64{6}, walk(shown[:2]), "this one was shown before")

	in = &intake{n: in.n} // a restart in between
	require.Empty(t, walk(shown))
	_, stands := l.alert(codeHidden)
	require.True(t, stands)
	all := append(slices.Clone(brought), shown...)
	slices.SortFunc(all, func(a, b ledger.Event) int { return int(a.ID) - int(b.ID) })
	require.Empty(t, walk(slices.Delete(slices.Clone(all), 1, 2)))
	_, stands = l.alert(codeHidden)
	require.True(t, stands, "one is still hidden")
	require.Empty(t, walk(all))
	_, stands = l.alert(codeHidden)
	require.False(t, stands)

	// Shown again while this node was down: the alert of before ends when the log was read through.
	walk(shown)
	in = &intake{n: in.n}
	walk(all)
	walk(all)
	_, stands = l.alert(codeHidden)
	require.False(t, stands)
}
