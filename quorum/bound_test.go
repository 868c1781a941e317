package quorum_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

func TestExceeded(t *testing.T) {
	require.NoError(t, quorum.Exceeded(nil))
	require.NoError(t, quorum.Exceeded([]quorum.Bound{{Name: "a", Held: 3, Most: 3}, {Name: "b"}}))
	require.EqualError(t, quorum.Exceeded([]quorum.Bound{{Name: "a", Held: 3, Most: 3}, {Name: "b", Held: 1}}), "b holds 1 of at most 0")
}
