package node

import (
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// A node may learn which value is valid from a certificate, fetch it, and die before any vote of its own. Agreement counts on
// holding that value afterwards: it votes for it, proposes it and decides it.
func TestAValueLearnedWithoutAVoteOutlivesARestart(t *testing.T) {
	l := newLab(t)
	b := l.refused(7, 1_000)
	certify := func(phase quorum.Phase) quorum.QC {
		var votes []quorum.Signed[quorum.Vote]
		for i := 1; i < 4; i++ {
			votes = append(votes, by(l, i, quorum.Vote{Epoch: b.Epoch, Height: b.Height, Phase: phase, ID: b.ID(l.network)}))
		}
		qc, ok := quorum.NewQC(l.state.Roster, b.Height, 0, phase, b.ID(l.network), votes)
		require.True(t, ok)
		return qc
	}
	l.step(agreement.Begin{})
	l.step(agreement.CertificateSeen{QC: certify(quorum.Prevote)})
	id, valid := l.holdValue(b.Encode())
	l.step(agreement.ValueReady{ID: id, Valid: valid})
	require.Equal(t, id, l.agree.Status().Valid)

	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		return tx.CastMessages(b.Height, func(_, step uint64, _ []byte) error {
			require.NotEqual(t, uint64(ledger.StepPrevote), step, "there was no vote")
			return nil
		})
	}))
	require.NoError(t, l.newHeight())
	require.Equal(t, id, l.agree.Status().Valid)
	require.NotNil(t, l.values[id], "its bytes are on disk")

	l.step(agreement.CertificateSeen{QC: certify(quorum.Precommit)})
	require.NoError(t, l.fatal)
	require.Equal(t, b.Height, l.state.Height, "decided")
}
