package daemon

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"conclave/quorum"
)

// readInvitation reads the invitation of a home that has one. It says where the members are; what they say is verified from the
// genesis document on.
func (h *home) readInvitation() error {
	const ask = "`conclave network join --invitation` with a new one: a member's operator gets it from `conclave member invite`"
	f, err := os.Open(h.cfg.InvitationPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return problem(Setup, ask, "read the invitation: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, quorum.MaxInvitation+2)) // and a line end
	if err != nil {
		return problem(Setup, ask, "read the invitation: %w", err)
	}
	i, err := quorum.ParseInvitation(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return problem(Setup, ask, "%s: %w", h.cfg.InvitationPath(), err)
	}
	if i.Network != h.genesis.ID() {
		return problem(Setup, ask, "the invitation is to network %s, the genesis document is of %s", i.Network, h.genesis.ID())
	}
	h.invited = i.Members
	return nil
}
