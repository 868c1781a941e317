package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"conclave/chain"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// ErrProof means that a proof does not show what it claims to show.
var ErrProof = errors.New("proof")

// What a proof shows at most, from the least on.
const (
	ProvesOwed      = "owed"      // q members signed that their own books owe it
	ProvesRefused   = "refused"   // q members signed that it can never be paid
	ProvesDecided   = "decided"   // more than two thirds decided the value of a height
	ProvesSigned    = "signed"    // the payer's key signed the transaction that follows from the decision
	ProvesReverted  = "reverted"  // q members signed that the transaction is final and moved nothing
	ProvesCancelled = "cancelled" // q members signed that a CANCEL took the nonce
	ProvesPaid      = "paid"      // q members signed that the transaction is final and succeeded
)

// Proven is what a proof shows. Members go by name, amounts are in the smallest unit of coin or token.
type Proven struct {
	Proves  string   `json:"proves"`
	ID      uint64   `json:"id,omitempty"`
	Account string   `json:"account,omitempty"` // with its checksum, as all addresses here
	To      string   `json:"to,omitempty"`
	Lane    string   `json:"lane,omitempty"`
	Amount  string   `json:"amount,omitempty"`
	Fee     string   `json:"fee,omitempty"`
	EventID uint64   `json:"event_id,omitempty"`
	Voted   []string `json:"voted,omitempty"`  // for it, or of a refusal against it
	Policy  uint64   `json:"policy,omitempty"` // the version by which they judged

	Height  uint64       `json:"height,omitempty"`
	Epoch   uint64       `json:"epoch,omitempty"`
	Value   *common.Hash `json:"value,omitempty"` // id of what was decided
	Kind    string       `json:"kind,omitempty"`  // of the decision
	Decided []string     `json:"decided,omitempty"`

	Payer string       `json:"payer,omitempty"`
	Nonce *uint64      `json:"nonce,omitempty"`
	Tx    *common.Hash `json:"tx,omitempty"`
	Block *common.Hash `json:"block,omitempty"`
	Final []string     `json:"final,omitempty"` // who saw it final

	Trusts []string `json:"trusts"` // what the proof leaves to be seen elsewhere
}

// VerifyProof judges a proof by the genesis document alone: no node, no database and no chain is asked. It fails with [ErrProof]
// wrapping the first thing that is wrong.
func VerifyProof(g quorum.Genesis, p Proof) (Proven, error) {
	out := Proven{Trusts: []string{}}
	if id := g.ID(); p.Network != id {
		return out, fmt.Errorf("%w: of network %s, not %s", ErrProof, p.Network, id)
	}
	rosters, err := successions(g, p.Successions)
	if err == nil {
		err = prover{verifier{network: g.ID(), rosters: rosters, lanes: g.Lanes}, p}.judge(&out)
	}
	if err != nil {
		return Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return out, nil
}

// prover judges one proof.
type prover struct {
	verifier
	p Proof
}

func (v prover) judge(out *Proven) error {
	if v.p.Kind != ProofPayment && (v.p.Transaction != "" || v.p.Outcome != "" || len(v.p.Cancels) > 0) {
		return fmt.Errorf("a transaction beside a %s", v.p.Kind)
	}
	switch v.p.Kind {
	case ProofWithdrawal:
		var it batch.Item
		if err := fromHex(v.p.RLP, &it); err != nil {
			return err
		}
		return v.owed(it, out)
	case ProofRefusal:
		var r batch.Reject
		if err := fromHex(v.p.RLP, &r); err != nil {
			return err
		}
		return v.refused(r, out)
	case ProofDecision:
		_, _, err := v.decision(v.p.RLP, out)
		return err
	case ProofPayment:
		return v.payment(out)
	}
	return fmt.Errorf("unknown kind %q", v.p.Kind)
}

// fromHex reads 0x-hex of RLP: all of it, and nothing behind it.
func fromHex(text string, into any) error {
	raw, err := hexutil.Decode(text)
	if err != nil {
		return err
	}
	return unmarshal(raw, into)
}

// word is a certificate on a withdrawal.
type word struct {
	claim   string
	votes   int
	epoch   uint64
	policy  quorum.PolicyRef
	wid     uint64
	content common.Hash
	verify  func(quorum.Roster) (quorum.Members, error)
}

func (v prover) owed(it batch.Item, out *Proven) error {
	u := it.Cert
	return v.certified(it.Content, word{ProvesOwed, len(u.Votes), u.Epoch, u.Policy, u.WID, u.Content, func(r quorum.Roster) (quorum.Members, error) {
		c, err := u.Verify(v.network, r)
		if err == nil && u.Account != it.Content.Account {
			err = errors.New("the certificate is of another account")
		}
		return c.Signers(), err
	}}, out)
}

func (v prover) refused(x batch.Reject, out *Proven) error {
	u := x.Cert
	return v.certified(x.Content, word{ProvesRefused, len(u.Votes), u.Epoch, u.Policy, u.WID, u.Content, func(r quorum.Roster) (quorum.Members, error) {
		c, err := u.Verify(v.network, r)
		return c.Signers(), err
	}}, out)
}

// certified: q members of its epoch signed the word on this content. Within a decision it may be missing: operators resolve.
func (v prover) certified(c quorum.Content, w word, out *Proven) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("withdrawal %d: %w", c.WID, err)
	}
	if c.WID != v.p.ID {
		return fmt.Errorf("it is about withdrawal %d, not %d", c.WID, v.p.ID)
	}
	out.ID, out.Account, out.To, out.Lane, out.EventID = c.WID, c.Account.Hex(), c.To.Hex(), c.Network, c.EventID
	out.Amount, out.Fee = c.Amount.Dec(), c.Fee.Dec()
	if v.p.Kind == ProofPayment && w.votes == 0 {
		out.Trusts = append(out.Trusts, "no members' certificate: the operators resolved it, in a decision of a lower height")
		return nil
	}
	r, err := v.roster(w.epoch)
	if err != nil {
		return err
	}
	signers, err := w.verify(r)
	if err != nil {
		return err
	}
	if w.wid != c.WID || w.content != c.Hash(v.network) {
		return errors.New("the certificate is of another content")
	}
	out.Proves, out.Voted, out.Policy = w.claim, names(r, signers), w.policy.Version
	return nil
}

// decision verifies who decided, and returns what.
func (v prover) decision(text string, out *Proven) (b batch.Batch, value []byte, err error) {
	var d quorum.UncheckedDecision
	if err := fromHex(text, &d); err != nil {
		return b, nil, err
	}
	r, err := v.roster(d.Commit.Epoch)
	if err != nil {
		return b, nil, err
	}
	c, err := d.Verify(v.network, r)
	if err != nil {
		return b, nil, err
	}
	if b, err = batch.Decode(c.Value()); err != nil {
		return b, nil, err
	}
	if v.p.Height != 0 && c.Height() != v.p.Height {
		return b, nil, fmt.Errorf("height %d decided it, not %d", c.Height(), v.p.Height)
	}
	id := c.ID()
	out.Proves, out.Height, out.Epoch, out.Value, out.Kind, out.Decided = ProvesDecided, c.Height(), r.Epoch, &id, b.Kind.String(), names(r, c.QC().Signers())
	return b, c.Value(), nil
}

// payment goes from what was owed to what is final.
func (v prover) payment(out *Proven) error {
	b, value, err := v.decision(v.p.RLP, out)
	if err != nil {
		return err
	}
	it, r := entryOf(b, v.p.ID)
	switch {
	case r != nil:
		if v.p.Transaction != "" || v.p.Outcome != "" || len(v.p.Cancels) > 0 {
			return errors.New("a transaction of what was refused")
		}
		return v.refused(*r, out)
	case it == nil:
		return fmt.Errorf("height %d does not decide withdrawal %d", out.Height, v.p.ID)
	}
	if err := v.owed(*it, out); err != nil {
		return err
	}
	out.Proves, out.Payer, out.Nonce = ProvesDecided, b.Lane.Payer.Hex(), &b.Nonce
	k, err := v.transaction(b, value, out)
	if err == nil && v.p.Outcome != "" {
		err = v.outcome(b, k, out)
	}
	if err == nil && out.Proves == ProvesPaid && len(b.Items) > 1 {
		out.Trusts = append(out.Trusts, "the transaction paid a contract which keeps for the recipient what could not be brought: the transaction's events show it")
	}
	return err
}

// transaction: the payer's key signed what follows from the decision, at fee step k.
func (v prover) transaction(b batch.Batch, value []byte, out *Proven) (k uint, err error) {
	if v.p.Transaction == "" {
		return 0, nil
	}
	raw, err := hexutil.Decode(v.p.Transaction)
	if err != nil {
		return 0, err
	}
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return 0, err
	}
	from, err := tx.Sender()
	if err != nil {
		return 0, err
	}
	pay, err := paymentOf(v.network, value, v.lanes)
	if err != nil {
		return 0, err
	}
	k, ours := chain.Match(tx.Payload(), pay)
	if from != b.Lane.Payer || !ours {
		return 0, fmt.Errorf("transaction %s does not follow from the decision", tx.Hash())
	}
	hash := tx.Hash()
	out.Proves, out.Tx = ProvesSigned, &hash
	return k, nil
}

// outcome: q members saw what is final at the nonce.
func (v prover) outcome(b batch.Batch, k uint, out *Proven) error {
	var u quorum.UncheckedOutcome
	if err := fromHex(v.p.Outcome, &u); err != nil {
		return err
	}
	r, err := v.roster(u.Outcome.Epoch)
	if err != nil {
		return err
	}
	cert, err := u.Verify(v.network, r)
	if err != nil {
		return err
	}
	o := cert.Outcome()
	if o.Lane != b.Lane || o.Nonce != b.Nonce {
		return errors.New("the outcome is of another nonce")
	}
	out.Block, out.Final = &o.BlockHash, names(r, cert.Signers())
	out.Trusts = append(out.Trusts, "that the chain holds the block: ask any endpoint of it")
	if o.Batch != *out.Value {
		if err := v.cancelledBy(b, o.Batch); err != nil {
			return err
		}
		out.Proves, out.Tx = ProvesCancelled, &o.TxHash
		return nil
	}
	if out.Tx != nil && (*out.Tx != o.TxHash || uint64(k) != o.K) {
		return fmt.Errorf("final is transaction %s, step %d, not %s", o.TxHash, o.K, out.Tx)
	}
	if out.Tx == nil {
		out.Trusts = append(out.Trusts, "the transaction itself: its hash is certified, its bytes are not here")
	}
	out.Tx, out.Proves = &o.TxHash, ProvesReverted
	if o.Status == 1 {
		out.Proves = ProvesPaid
	}
	return nil
}

// cancelledBy: what is final at the nonce is a CANCEL that was decided for it.
func (v prover) cancelledBy(b batch.Batch, id common.Hash) error {
	for _, text := range v.p.Cancels {
		at := v
		at.p.Height = 0
		var of Proven
		c, _, err := at.decision(text, &of)
		if err != nil {
			return err
		}
		if *of.Value != id {
			continue
		}
		if c.Kind != batch.Cancel || c.Lane.Payer != b.Lane.Payer || c.Lane.ChainID != b.Lane.ChainID || c.Nonce != b.Nonce {
			return fmt.Errorf("height %d is no CANCEL of the nonce", of.Height)
		}
		return nil
	}
	return fmt.Errorf("final at the nonce is %s, of which no decision is shown", id)
}

// names are members as people know them.
func names(r quorum.Roster, of quorum.Members) []string {
	out := []string{}
	for _, m := range r.Members {
		if of.Has(m.Address) {
			out = append(out, m.Name)
		}
	}
	slices.Sort(out)
	return out
}
