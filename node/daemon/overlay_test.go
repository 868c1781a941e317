package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/node"
	"conclave/node/config"
)

func TestOverlayIsReadAndShown(t *testing.T) {
	dir := newHome(t)
	path := filepath.Join(dir, "overlay.toml")
	saveConfig(t, dir, func(c *config.Config) { c.Risk.Overlay = "overlay.toml" })
	refused := func(text, want, hint string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Open(t.Context(), options(dir))
		require.ErrorContains(t, err, want)
		wantHint(t, err, Setup, hint)
	}
	_, err := Open(t.Context(), options(dir))
	require.ErrorContains(t, err, "overlay")
	refused("[limits]\nspeed = 1\n", "unknown key limits.speed", "overlay")
	refused("[max_per_event]\n0 = \"9000000000000000000000000000000000000\"\n", "max_per_event.0", "only tightens")
	require.NoError(t, os.Chmod(path, 0o620))
	_, err = Open(t.Context(), options(dir))
	var mode *config.ModeError
	require.ErrorAs(t, err, &mode, "whoever writes it could hold back what he likes")

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("[limits]\ncool_down = \"1h\"\n"), 0o600))
	d, stop := start(t, options(dir))
	defer stop()
	var view node.RiskView
	require.NoError(t, json.Unmarshal(call(t, d.URL(), "custodian_risk").Result, &view))
	require.Equal(t, []string{"cool-down"}, view.Overlay.Rules)
	for _, r := range view.Rules {
		require.Equal(t, r.Rule == "cool-down", r.Local, r.Rule)
	}
}
