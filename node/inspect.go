package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/risk"
)

// Bounds of answers.
const (
	defaultLimit = 100
	maxLimit     = 1000
	recentEvents = 20
)

// WithdrawalView is what custodian_withdrawal answers.
type WithdrawalView struct {
	ID          uint64            `json:"id"`
	Account     common.Address    `json:"account"`
	To          common.Address    `json:"to"`
	Network     string            `json:"network"`
	Amount      string            `json:"amount"`
	Fee         string            `json:"fee"`
	EventID     uint64            `json:"event_id"`
	Requested   time.Time         `json:"requested"`
	Stage       string            `json:"stage"`
	Verdicts    []VerdictView     `json:"verdicts"`
	Certified   bool              `json:"certified"`
	Height      *uint64           `json:"height"`
	Batch       *common.Hash      `json:"batch"`
	Nonce       *uint64           `json:"nonce"`
	Tx          *common.Hash      `json:"tx"`
	Block       *uint64           `json:"block"`
	Outcome     string            `json:"outcome"` // paid, rejected, reverted, cancelled, or empty
	Claim       *ClaimView        `json:"claim"`   // set when the recipient did not take it: it is paid, and the recipient's to claim
	Reported    bool              `json:"reported"`
	WhyNotYet   []Reason          `json:"why_not_yet"`
	Explanation []ExplanationView `json:"explanation"`
	RelayStatus string            `json:"relay_status"`

	Times   []StageTime `json:"times"`             // when this node saw it come to each stage, in order
	Cancels []uint64    `json:"cancels,omitempty"` // heights at which operators cancelled its nonce; the final chain says who was faster
}

// VerdictView is one member's word.
type VerdictView struct {
	Member  common.Address `json:"member"`
	Name    string         `json:"name"`
	Approve bool           `json:"approve"`
	Reason  string         `json:"reason,omitempty"`
	Content common.Hash    `json:"content"`
	Time    time.Time      `json:"time"`
}

// ExplanationView is one rule's word on a withdrawal, by this node.
type ExplanationView struct {
	Rule      string   `json:"rule"`
	Outcome   string   `json:"outcome"`
	Threshold string   `json:"threshold,omitempty"`
	Observed  string   `json:"observed,omitempty"`
	Evidence  []uint64 `json:"evidence,omitempty"`
	Do        string   `json:"do,omitempty"`
	Local     bool     `json:"local,omitempty"` // stricter than the policy by this node's overlay
}

// Stages of a withdrawal, as people ask for them.
const (
	stageSeen      = "seen"      // listed by the Relay
	stageVoting    = "voting"    // some members have given verdicts
	stageCertified = "certified" // q members agree
	stageReported  = "reported"  // the Relay shows the outcome
	stageRejected  = "rejected"  // decided as a reject
	stageHistory   = "history"   // before the cut-over, or concluded at the Relay without this network
)

// ErrUnknown means that this node has never heard of what is asked for.
var ErrUnknown = errors.New("unknown here")

// Withdrawal describes one withdrawal and why it is not paid yet.
func (n *Node) Withdrawal(ctx context.Context, wid uint64) (WithdrawalView, error) {
	var out WithdrawalView
	err := n.led.View(func(tx *ledger.Tx) error {
		w, ok, err := tx.Withdrawal(wid)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("withdrawal %d: %w", wid, ErrUnknown)
		}
		if out, err = n.viewWithdrawal(tx, w); err != nil {
			return err
		}
		out.Explanation, err = n.judge.explain(tx, w)
		return err
	})
	if err != nil {
		return out, err
	}
	return out, n.whyNotYet(ctx, &out)
}

func (n *Node) viewWithdrawal(tx *ledger.Tx, w ledger.Withdrawal) (WithdrawalView, error) {
	out := WithdrawalView{
		ID: w.ID, Account: w.Account, To: w.To, Network: w.Network, Amount: w.Amount.Dec(), Fee: w.Fee.Dec(), EventID: w.EventID,
		Requested: time.Unix(int64(w.Timestamp), 0).UTC(), Stage: stageSeen, Verdicts: []VerdictView{}, Times: []StageTime{}, WhyNotYet: []Reason{},
		Explanation: []ExplanationView{},
		RelayStatus: map[ledger.WithdrawalStatus]string{ledger.StatusPending: "pending", ledger.StatusSuccess: "success", ledger.StatusFailed: "failed"}[w.Status],
	}
	err := tx.Verdicts(w.ID, func(v ledger.Verdict) error {
		out.Verdicts = append(out.Verdicts, VerdictView{Member: v.Signer, Name: n.nameOf(v.Signer), Approve: v.Approves(),
			Reason: string(v.Reason), Content: v.Content, Time: time.UnixMilli(int64(v.Time)).UTC()})
		return nil
	})
	if err != nil {
		return out, err
	}
	if len(out.Verdicts) > 0 {
		out.Stage = stageVoting
	}
	return out, n.viewFate(tx, w, &out)
}

// viewFate fills what follows from a decision.
func (n *Node) viewFate(tx *ledger.Tx, w ledger.Withdrawal, out *WithdrawalView) error {
	spent, ok, err := tx.DecidedWID(w.ID)
	if err != nil || !ok {
		return err
	}
	out.Certified, out.Height = true, &spent.Height
	report, reported, err := tx.ReportOn(w.ID)
	if err != nil {
		return err
	}
	out.Reported = reported && report.Done
	if out.Times, err = stageTimes(tx, spent.Height, report); err != nil {
		return err
	}
	if spent.Kind == ledger.SpentReject {
		out.Stage, out.Outcome = stageRejected, "rejected"
		if out.Reported {
			out.Stage = stageReported
		}
		return nil
	}
	slot, ok, err := tx.SlotAt(spent.Height)
	if err != nil || !ok {
		return err
	}
	p, _, err := tx.Payout(slot.Key)
	if err != nil {
		return err
	}
	out.Batch, out.Nonce, out.Stage = &slot.Batch, &slot.Key.Nonce, p.Stage.String()
	if p.Stage >= ledger.StageSigned {
		out.Tx = &p.TxHash
	}
	if p.Block > 0 {
		out.Block = &p.Block
	}
	switch p.Stage {
	case ledger.StageSettled:
		out.Outcome = "paid"
		if out.Reported {
			out.Stage = stageReported
		}
		out.Claim, err = claimOf(tx, w.ID)
	case ledger.StageFailed:
		out.Outcome = "reverted"
	case ledger.StageCancelled:
		out.Outcome = "cancelled"
	}
	out.Cancels = cancelHeights(slot)
	return err
}

// whyNotYet says what a withdrawal waits for.
func (n *Node) whyNotYet(ctx context.Context, out *WithdrawalView) error {
	if verdict, ok := n.judge.verdict(out.ID); ok {
		if out.Height == nil {
			out.WhyNotYet = append(out.WhyNotYet, waitReason(verdict)...)
		}
	}
	if out.Outcome != "" && out.Reported {
		return nil
	}
	if w := n.watchers[out.Network]; w != nil && out.Outcome == "" && w.silent.Load() {
		out.WhyNotYet = append(out.WhyNotYet, Reason{Code: codeChainDown, Text: out.Network + ": too few of the chain's endpoints answer"})
	}
	return n.core.ask(ctx, func() {
		n.core.whyNot(out)
		n.core.explainGovernors(out)
	})
}

// whyNot adds what the core knows of an undecided or unpaid withdrawal.
func (c *core) whyNot(out *WithdrawalView) {
	add := func(code, format string, args ...any) {
		out.WhyNotYet = append(out.WhyNotYet, Reason{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	if c.halted() && out.Outcome == "" {
		add("halted", "this node's fuse or f+1 halts stop verdicts and signing")
	}
	if up := len(c.connected()); up < c.state.Roster.Q() && out.Outcome == "" {
		add("no-quorum", "%d of %d members are connected, %d are needed", up, len(c.state.Roster.Members), c.state.Roster.Q())
	}
	switch {
	case out.Outcome == "reverted":
		add(codeFailed, "the transaction reverted; it is paid once more when q members' word on that is decided")
	case out.Outcome == "cancelled":
		add("cancelled", "the operators' CANCEL took its nonce; it is paid once more when q members' word on that is decided")
	case out.Outcome != "":
		add("report", "the Relay has not shown the outcome yet")
	case out.Height != nil:
		add("payout", "decided at height %d, %s%s", *out.Height, out.Stage, c.feeText(*out.Height))
	case c.genesis.Cutover.Past(out.EventID, out.ID):
		add(string(risk.WaitHistory), "it belongs to the time before this network, which does not pay it")
	default:
		c.whyUndecided(out, add)
	}
}

func (c *core) whyUndecided(out *WithdrawalView, add func(code, format string, args ...any)) {
	if n := c.state.Freed(out.ID); n > 0 {
		add("released", "decided before and released %d times: no final transaction paid it", n)
	}
	pay, certified := c.pool.pay[out.ID]
	_, refused := c.pool.refuse[out.ID]
	_, resolved := c.state.Fate(out.ID)
	switch {
	case resolved:
		add("queued", "the operators resolved it; it waits for its height, and for the governors")
	case certified:
		out.Certified, out.Stage = true, stageCertified
		content, ok := c.content(out.ID)
		if !ok || content.Hash(c.network) != pay.Unchecked().Content {
			add("content", "the members certified another content than this node was shown")
			return
		}
		if err := c.state.WhyNot(batch.Candidate{Content: content, Pay: &pay}, c.pool.viewList()); err != nil {
			add("queued", "%s", err)
			return
		}
		add("queued", "%s", c.whyLater(batch.Candidate{Content: content, Pay: &pay}))
	case refused:
		out.Certified, out.Stage = true, stageCertified
		add("queued", "the refusal is certified; it waits for its height")
	case !c.state.Founded():
		add("no-key", "the committee has no key yet")
	default:
		approvals := len(c.pool.approvals[out.ID])
		add("verdicts", "%d of %d approvals, %d refusals", approvals, c.state.Roster.Q(), len(c.pool.refusals[out.ID]))
	}
}

// WithdrawalQuery chooses withdrawals; zero fields choose all.
type WithdrawalQuery struct {
	Stage   string          `json:"stage"`
	Account *common.Address `json:"account"`
	Limit   int             `json:"limit"`
	After   uint64          `json:"after"`
}

// Withdrawals lists withdrawals by id, without the reasons of each.
func (n *Node) Withdrawals(ctx context.Context, q WithdrawalQuery) ([]WithdrawalView, error) {
	limit := clampLimit(q.Limit)
	out := []WithdrawalView{}
	certified := map[uint64]bool{}
	err := n.core.ask(ctx, func() {
		for wid := range n.core.pool.pay {
			certified[wid] = true
		}
		for wid := range n.core.pool.refuse {
			certified[wid] = true
		}
	})
	if err != nil {
		return nil, err
	}
	err = n.led.View(func(tx *ledger.Tx) error {
		// The stage is not an index; a filtered list walks what it has to, within the bound.
		walk := limit
		if q.Stage != "" {
			walk = maxLimit
		}
		rows, err := tx.Withdrawals(ledger.WithdrawalFilter{Account: q.Account, After: q.After, Limit: walk})
		if err != nil {
			return err
		}
		for _, w := range rows {
			v, err := n.viewWithdrawal(tx, w)
			if err != nil {
				return err
			}
			if v.Height == nil && certified[w.ID] {
				v.Certified, v.Stage = true, stageCertified
			}
			if len(out) < limit && (q.Stage == "" || q.Stage == v.Stage) {
				out = append(out, v)
			}
		}
		return nil
	})
	return out, err
}

func clampLimit(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return min(limit, maxLimit)
}

func (n *Node) nameOf(a common.Address) string {
	for _, m := range n.genesis.Members {
		if m.Address == a {
			return m.Name
		}
	}
	return ""
}

// BatchView is what custodian_batch answers.
type BatchView struct {
	Height   uint64           `json:"height"`
	ID       common.Hash      `json:"id"`
	Epoch    uint64           `json:"epoch"`
	Kind     string           `json:"kind"`
	Time     time.Time        `json:"time"`
	Network  string           `json:"network,omitempty"`
	Nonce    *uint64          `json:"nonce"`
	Items    []uint64         `json:"items"`
	Rejects  []uint64         `json:"rejects"`
	Value    string           `json:"value"`
	Offer    string           `json:"offer"`
	FeeCap   string           `json:"fee_cap"`
	GasLimit uint64           `json:"gas_limit"`
	Stage    string           `json:"stage,omitempty"`
	Tx       *common.Hash     `json:"tx"`
	Proposed common.Address   `json:"proposer"` // of the deciding round
	Round    uint64           `json:"round"`
	Signers  []common.Address `json:"signers"`           // of the commit certificate
	Attempts int              `json:"attempts"`          // signing sessions that this node joined
	Cancels  []uint64         `json:"cancels,omitempty"` // heights that cancelled its nonce, and its own if it is a CANCEL
}

// Batch describes the decision of a height.
func (n *Node) Batch(height uint64) (BatchView, error) {
	var out BatchView
	err := n.led.View(func(tx *ledger.Tx) (err error) { out, err = n.viewBatch(tx, height); return err })
	return out, err
}

func (n *Node) viewBatch(tx *ledger.Tx, height uint64) (BatchView, error) {
	d, ok, err := tx.Decision(height)
	if err != nil {
		return BatchView{}, err
	}
	if !ok {
		return BatchView{}, fmt.Errorf("height %d: %w", height, ErrUnknown)
	}
	b, err := batch.Decode(d.Value)
	if err != nil {
		return BatchView{}, err
	}
	out := BatchView{
		Height: height, ID: d.Commit.ID, Epoch: b.Epoch, Kind: b.Kind.String(), Time: time.UnixMilli(int64(b.Time)).UTC(),
		Items: []uint64{}, Rejects: []uint64{}, Offer: b.Offer.Dec(), FeeCap: b.FeeCap.Dec(), GasLimit: b.GasLimit,
		Round: d.Commit.Round, Signers: []common.Address{}, Proposed: n.members().Proposer(height, d.Commit.Round),
	}
	value, _ := b.Value()
	out.Value = value.Dec()
	for _, it := range b.Items {
		out.Items = append(out.Items, it.Content.WID)
	}
	for _, r := range b.Rejects {
		out.Rejects = append(out.Rejects, r.Content.WID)
	}
	if qc, err := n.verifyCommit(tx, d); err == nil {
		out.Signers = qc.Signers()
	}
	slot, ok, err := tx.SlotOfBatch(d.Commit.ID)
	if err != nil || !ok {
		return out, err
	}
	p, _, err := tx.Payout(slot.Key)
	out.Network, out.Nonce, out.Stage, out.Cancels = slot.Network, &slot.Key.Nonce, p.Stage.String(), cancelHeights(slot)
	if p.Stage >= ledger.StageSigned {
		out.Tx = &p.TxHash
	}
	if err == nil {
		err = viewLoser(tx, slot, &out)
	}
	if err != nil {
		return out, err
	}
	return out, tx.Intents(d.Commit.ID, func(ledger.IntentFields) error { out.Attempts++; return nil })
}

func (n *Node) verifyCommit(tx *ledger.Tx, d quorum.UncheckedDecision) (quorum.QC, error) {
	roster, ok, err := tx.EpochAt(d.Commit.Height)
	if err != nil {
		return quorum.QC{}, err
	}
	if !ok {
		if roster, err = n.genesis.Roster(); err != nil {
			return quorum.QC{}, err
		}
	}
	return d.Commit.Verify(n.network, roster)
}

// Batches lists the newest decisions, the last one first.
func (n *Node) Batches(limit int, before uint64) ([]BatchView, error) {
	out := []BatchView{}
	err := n.led.View(func(tx *ledger.Tx) error {
		height := tx.LastHeight()
		if before > 0 {
			height = min(height, before-1)
		}
		for ; height > 0 && len(out) < clampLimit(limit); height-- {
			b, err := n.viewBatch(tx, height)
			if err != nil {
				return err
			}
			out = append(out, b)
		}
		return nil
	})
	return out, err
}

// AccountView is what custodian_account answers.
type AccountView struct {
	Address  common.Address `json:"address"`
	Balance  string         `json:"balance"`
	Short    string         `json:"short"`
	Pending  string         `json:"pending"`
	Reserved string         `json:"reserved"`
	Sequence uint64         `json:"sequence"`
	Head     common.Hash    `json:"head"`
	Frozen   []Reason       `json:"frozen"`
	Recent   []EventView    `json:"recent"`
}

// EventView is one row of the Relay's log.
type EventView struct {
	ID      uint64         `json:"id"`
	Account common.Address `json:"account"`
	Kind    uint8          `json:"type"`
	Amount  string         `json:"amount"`
	Time    time.Time      `json:"time"`
}

// Account describes an account in this node's books.
func (n *Node) Account(address common.Address) (AccountView, error) {
	var out AccountView
	err := n.led.View(func(tx *ledger.Tx) error {
		a, ok, err := tx.Account(address, recentEvents)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("account %s: %w", address, ErrUnknown)
		}
		out = AccountView{Address: address, Balance: a.Balance.Dec(), Short: a.Short.Dec(), Pending: a.Pending.Dec(),
			Reserved: a.Reserved.Dec(), Sequence: a.Seq, Head: a.Head, Frozen: []Reason{}, Recent: []EventView{}}
		for _, f := range a.Freezes {
			since := time.UnixMilli(int64(f.Since)).UTC()
			out.Frozen = append(out.Frozen, Reason{Code: string(f.Code), Text: f.Text, Since: &since})
		}
		for _, e := range a.Recent {
			out.Recent = append(out.Recent, EventView{e.ID, e.Account, uint8(e.Kind), e.Amount, time.Unix(int64(e.CreatedAt), 0).UTC()})
		}
		return nil
	})
	return out, err
}

func hexBytes(b []byte) string { return fmt.Sprintf("0x%x", b) }
