package devkeys

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/tss"
)

// A set that is not on the refuse list would be accepted by the product as if it were secret.
func TestEverySetIsRefusedByTheProduct(t *testing.T) {
	seen := map[string]bool{}
	for i := range Count {
		p, err := tss.UnmarshalPreParams(Set(i))
		require.NoError(t, err)
		require.True(t, p.Development(), "set %d: run go generate", i)
		for _, f := range p.Fingerprints() {
			require.True(t, tss.IsDevelopment(f), "set %d: run go generate", i)
			require.False(t, seen[f.Hex()], "set %d holds a modulus of another", i)
			seen[f.Hex()] = true
		}
	}
	require.Panics(t, func() { Set(Count) })
}
