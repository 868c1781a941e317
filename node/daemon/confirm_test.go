package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// A service that is started again in the middle of a ceremony has no operator beside it. What one confirmed holds for the document that
// was there, and for no other.
func TestWhatWasConfirmedOutlivesARestart(t *testing.T) {
	dir := newHome(t)
	g, err := Document(dir)
	require.NoError(t, err)
	started := func(typed string) (quorum.Fingerprint, error) {
		o := options(dir)
		o.Fingerprint = typed
		d, err := Open(t.Context(), o)
		if err != nil {
			return quorum.Fingerprint{}, err
		}
		defer func() { require.NoError(t, d.Close()) }()
		return d.confirmed, nil
	}

	got, err := started("")
	require.NoError(t, err)
	require.Zero(t, got, "nobody confirmed anything")

	_, err = started("0000 0000 0000 0000 0000")
	require.ErrorIs(t, err, errTyped)
	got, err = started("")
	require.NoError(t, err)
	require.Zero(t, got, "what was refused is not kept")

	for _, typed := range []string{g.Fingerprint().Code(), ""} {
		got, err = started(typed)
		require.NoError(t, err)
		require.Equal(t, g.Fingerprint(), got)
	}

	save(t, dir, document(t, "another-test", 3))
	h, err := readHome(dir)
	require.NoError(t, err)
	got, err = h.confirmed("")
	require.NoError(t, err)
	require.Zero(t, got, "it was confirmed for another document")
}
