package node

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/quorum"
)

// Why a session of the ceremony is left before its end.
var (
	errBeganAnew = errors.New("a member began anew")
	errEndShown  = errors.New("another member showed how the ceremony ended")
	errOver      = errors.New("the session is over") // told to nobody
)

// attempted is a session of the ceremony while it runs.
type attempted struct {
	joined  map[common.Address]common.Hash // nonces that its members called with
	session context.Context                // ends when it is left
	leave   context.CancelCauseFunc
}

func newAttempted(ctx context.Context, joined map[common.Address]common.Hash) attempted {
	session, leave := context.WithCancelCause(ctx)
	return attempted{joined, session, leave}
}

// lose hears a call while the session runs. Who calls with another nonce than it joined with is not in that session any more: it
// was started again, or has given up. All of them must be in it, so it is left at once and not at a deadline.
func (f *ceremony) lose(c *core, s quorum.Signed[quorum.Ceremony]) {
	if nonce, in := f.joined[s.Signer()]; in && nonce != s.Body().Nonce {
		c.log.Info("session of the ceremony is given up: a member began anew", zap.Uint64("attempt", f.attempt), zap.Stringer("member", s.Signer()))
		f.leaveSession(errBeganAnew)
	}
}

// leaveSession ends the session that runs, if one does.
func (f *ceremony) leaveSession(why error) {
	if f.running {
		f.leave(why)
	}
}
