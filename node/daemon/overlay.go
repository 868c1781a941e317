package daemon

import (
	"os"

	"conclave/node/config"
	"conclave/quorum"
)

// readOverlay reads this operator's stricter rules. Whoever could write the file could hold back what he likes, so it must
// be as closed as the configuration.
func (h *home) readOverlay() error {
	path := h.cfg.OverlayPath()
	if path == "" {
		return nil
	}
	const help = "[risk] overlay of config.toml names the file; docs/operations.md shows one"
	info, err := os.Stat(path)
	if err != nil {
		return problem(Setup, help, "overlay: %w", err)
	}
	if info.Mode().Perm()&othersWrite != 0 {
		return &config.ModeError{Path: path, Mode: info.Mode().Perm(), Can: "write"}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return problem(Setup, help, "overlay: %w", err)
	}
	if h.overlay, err = quorum.ParseOverlay(file); err != nil {
		return problem(Setup, help, "%s: %w", path, err)
	}
	return nil
}
