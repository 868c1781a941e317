package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/chain"
	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss"
)

// piece judges a piece of evidence that stands in two sides, by its bytes alone. It is the one judgement: of what a file
// shows, and of what another member sends.
func (v verifier) piece(e ledger.Evidence) (EvidenceVerdict, error) {
	nobody := e.Member == (common.Address{})
	switch e.Kind {
	case ledger.EvidenceVotes, ledger.EvidenceVerdicts, ledger.EvidenceHeads, ledger.EvidenceCounter:
		if nobody {
			return v.verdict(v.fork(e))
		}
		return v.verdict(v.conflict(e))
	case ledger.EvidenceEnvelopes, ledger.EvidenceTSS:
		return v.verdict(v.session(e))
	case ledger.EvidenceReadTSS:
		return v.refused(e)
	case ledger.EvidencePayment:
		return v.payment(e)
	case ledger.EvidenceHistory:
		if !nobody {
			return EvidenceFalse, fmt.Errorf("%w: what the Relay shows convicts nobody", ErrEvidence)
		}
		return EvidenceRecord, nil
	}
	return EvidenceFalse, fmt.Errorf("%w: unknown kind %q", ErrEvidence, e.Kind)
}

// conflict: one member signed two statements of which it may sign one.
func (v verifier) conflict(e ledger.Evidence) error {
	rule, who, err := quorum.Conflict(v.network, v.committee, e.First, e.Second)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if string(rule) != string(e.Kind) || who != e.Member {
		return fmt.Errorf("%w: it shows %s by %s", ErrEvidence, rule, who)
	}
	return nil
}

// fork: one height was decided twice.
func (v verifier) fork(e ledger.Evidence) error {
	var ds [2]quorum.UncheckedDecision
	for i, raw := range [][]byte{e.First, e.Second} {
		if err := unmarshal(raw, &ds[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrEvidence, err)
		}
		if err := v.decided(ds[i]); err != nil {
			return err
		}
	}
	if e.Kind != ledger.EvidenceVotes || ds[0].Commit.Height != ds[1].Commit.Height || ds[0].Commit.ID == ds[1].Commit.ID {
		return fmt.Errorf("%w: heights %d and %d are no fork", ErrEvidence, ds[0].Commit.Height, ds[1].Commit.Height)
	}
	return nil
}

// decided: the committee of its epoch decided it.
func (v verifier) decided(d quorum.UncheckedDecision) error {
	r, err := v.roster(d.Commit.Epoch)
	if err == nil {
		_, err = d.Verify(v.network, r)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return nil
}

// session: one member signed two messages for one place of a signing session, or showed what nobody had signed.
func (v verifier) session(e ledger.Evidence) error {
	if !v.ruled(e.Member) {
		return fmt.Errorf("%w: %s is no member", ErrEvidence, e.Member)
	}
	if (e.Kind == ledger.EvidenceEnvelopes) != (len(e.Second) > 0) {
		return fmt.Errorf("%w: sides of another kind", ErrEvidence)
	}
	if _, err := tss.ReadEvidence(v.network, e.Member, e.First, e.Second); err != nil {
		return fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return nil
}

// refused: the member signed the messages; that they are bad is the word of who received them.
func (v verifier) refused(e ledger.Evidence) (EvidenceVerdict, error) {
	var envs []rlp.RawValue
	if err := rlp.DecodeBytes(e.First, &envs); err != nil || len(envs) == 0 || !v.ruled(e.Member) {
		return EvidenceFalse, errors.Join(fmt.Errorf("%w: no member's messages", ErrEvidence), err)
	}
	for _, raw := range envs {
		env, err := tss.ReadEnvelope(raw)
		if err != nil {
			return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
		}
		if who, err := env.Signer(v.network); err != nil || who != e.Member {
			return EvidenceFalse, fmt.Errorf("%w: a message is not the member's", ErrEvidence)
		}
	}
	return EvidenceRecord, nil
}

// payment: the payer's key signed a transaction of a nonce, and what the committee decided for that nonce is another. Where no
// decision is shown, that there is none is the word of the node that shows it.
func (v verifier) payment(e ledger.Evidence) (EvidenceVerdict, error) {
	if e.Member != (common.Address{}) {
		return EvidenceFalse, fmt.Errorf("%w: a transaction convicts no member", ErrEvidence)
	}
	if len(e.Second) == 0 {
		return EvidenceRecord, nil
	}
	tx, err := chain.DecodeTx(e.First)
	if err != nil {
		return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	from, err := tx.Sender()
	if err != nil {
		return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	var d quorum.UncheckedDecision
	if err := unmarshal(e.Second, &d); err != nil {
		return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if err := v.decided(d); err != nil {
		return EvidenceFalse, err
	}
	b, err := batch.Decode(d.Value)
	if err != nil {
		return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if (b.Kind != batch.Payout && b.Kind != batch.Sweep && b.Kind != batch.Allow) || b.Lane.Payer != from || b.Lane.ChainID != tx.ChainID || b.Nonce != tx.Nonce {
		return EvidenceFalse, fmt.Errorf("%w: the decision is about another transaction", ErrEvidence)
	}
	if mayBeCancel(e.First) {
		return EvidenceFalse, fmt.Errorf("%w: it may be the CANCEL's that was decided after this", ErrEvidence)
	}
	p, err := paymentOf(v.network, d.Value, v.lanes)
	if err != nil {
		return EvidenceFalse, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if _, ours := chain.Match(tx.Payload(), p); ours {
		return EvidenceFalse, fmt.Errorf("%w: it is the transaction that was decided", ErrEvidence)
	}
	return EvidenceProves, nil
}

// told are the kinds that members tell each other: those that prove themselves to anybody.
var told = []ledger.EvidenceKind{
	ledger.EvidenceVotes, ledger.EvidenceVerdicts, ledger.EvidenceHeads, ledger.EvidenceCounter, ledger.EvidenceEnvelopes,
	ledger.EvidenceTSS, ledger.EvidencePayment,
}

// isTold reports whether a piece is for the others too.
func isTold(e ledger.Evidence) bool {
	return slices.Contains(told, e.Kind) && (e.Kind != ledger.EvidencePayment || len(e.Second) > 0)
}

// describeMessage says what a message of a signing session is, or a transaction.
func describeMessage(network common.Hash, raw []byte) (what string, signer *common.Address, says string, ok bool) {
	if tx, err := chain.DecodeTx(raw); err == nil {
		if from, err := tx.Sender(); err == nil {
			signer = &from
		}
		return exhibitPayment, signer, fmt.Sprintf("nonce %d on chain %d: %s wei to %s, %s", tx.Nonce, tx.ChainID, tx.Value.Dec(), tx.To, tx.Hash()), true
	}
	env, err := tss.ReadEnvelope(raw)
	if err != nil {
		return "", nil, "", false
	}
	if who, err := env.Signer(network); err == nil {
		signer = &who
	}
	h := env.Header
	return exhibitEnvelope, signer, fmt.Sprintf("session %s, round %d, type %d, to %s: payload %s", h.Session, h.Round, h.Type, h.To, h.Payload), true
}
