package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSettlementSource(t *testing.T) {
	c, err := complete().In("/home/alice")
	require.NoError(t, err)
	require.Empty(t, c.SettlementSource(), "none unless given")
	for in, want := range map[string]string{
		"settlement.json": "/home/alice/settlement.json", "/srv/s.json": "/srv/s.json", "https://a.example/s?key=1": "https://a.example/s?key=1",
	} {
		c.Risk.Settlement = in
		require.NoError(t, c.Validate(), in)
		require.Equal(t, want, c.SettlementSource())
	}
	c.Risk.Settlement = "ftp://a.example/secret"
	require.ErrorContains(t, c.Validate(), "risk.settlement")
	require.NotContains(t, c.Validate().Error(), "secret")
}
