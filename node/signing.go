package node

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

// hearSigning takes one message of the signing protocol from an authenticated peer. An error says by which rule it was
// refused; it then changed nothing.
func (c *core) hearSigning(from common.Address, m signMsg) error {
	switch m.Kind {
	case signStatement:
		return c.hearSigningStatement(from, m.Body)
	case signStart:
		return c.hearStart(from, m.Body)
	case signDone:
		var done doneMsg
		if err := unmarshal(m.Body, &done); err != nil {
			return err
		}
		c.storeSigned(done, false)
	case signFounding:
		var action quorum.MembersAction
		if err := unmarshal(m.Body, &action); err != nil {
			return err
		}
		c.ceremony.adopt(c, action)
	case signCanary:
		var canary canaryMsg
		if err := unmarshal(m.Body, &canary); err != nil {
			return err
		}
		c.ceremony.hearCanary(c, canary.Canary)
	case signTranscript:
		var t transcriptMsg
		if err := unmarshal(m.Body, &t); err != nil {
			return err
		}
		return c.ceremony.recall(c, t)
	case signStanding:
		var s standingMsg
		if err := unmarshal(m.Body, &s); err != nil {
			return err
		}
		return c.hearStanding(from, s)
	case signDecision:
		var d quorum.UncheckedDecision
		if err := unmarshal(m.Body, &d); err != nil {
			return err
		}
		if d.Commit.Height > c.state.Height+1 {
			c.behind[from] = max(c.behind[from], d.Commit.Height)
			return nil
		}
		return c.hearDecision(d)
	default:
		return fmt.Errorf("%w: kind %d", errFrame, m.Kind)
	}
	return nil
}

// hearStart follows a coordinator when everything that its start shows fits.
func (c *core) hearStart(from common.Address, raw []byte) error {
	var start tss.Start
	if err := unmarshal(raw, &start); err != nil {
		return err
	}
	if c.signer == nil || c.signer.share == nil || !c.joins() {
		return nil
	}
	fx, err := c.signer.attempts.Follow(from, start, c.now())
	if errors.Is(err, tss.ErrNotNow) {
		c.log.Debug("start not followed", zap.Stringer("from", from), zap.Error(err))
		return nil
	}
	if err != nil {
		return err
	}
	c.signer.run(c, fx)
	return nil
}

func (c *core) hearSigningStatement(from common.Address, raw []byte) error {
	kind, err := quorum.PeekKind(raw)
	if err != nil {
		return err
	}
	members := c.state.Roster.IDs()
	switch kind {
	case quorum.KindCeremony:
		// Who takes part need not rule yet; the wire links nobody else.
		s, err := quorum.Open[quorum.Ceremony](c.network, quorum.Members{from}, raw)
		if err != nil {
			return err
		}
		c.hearCall(s)
	case quorum.KindDeletion:
		return c.hearDeletion(from, raw)
	case quorum.KindReady:
		s, err := quorum.Open[quorum.Ready](c.network, members, raw)
		if err != nil {
			return err
		}
		c.said.note(s.Signer(), s.Body().Counter, quorum.VotePlace{}, raw)
		c.overhear(s.Signer(), s.Body().Counter, quorum.VotePlace{}, raw)
		c.hearReady(from, s)
	case quorum.KindAbort:
		s, err := quorum.Open[quorum.Abort](c.network, members, raw)
		if err != nil || c.signer == nil {
			return err
		}
		c.overhear(s.Signer(), s.Body().Counter, quorum.VotePlace{}, raw)
		if c.attempt("keep abort", func(tx *ledger.Tx) error { _, err := tx.PutAbort(s); return err }) {
			c.signer.attempts.HearAbort(s)
		}
	default:
		return fmt.Errorf("%w: %s", errKind, kind)
	}
	return nil
}
