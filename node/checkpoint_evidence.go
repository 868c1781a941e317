package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"conclave/ledger"
	"conclave/quorum"
)

// Kinds of evidence about ranges, beside those of the ledger.
const (
	evidenceRangeCertified = "range-certified" // q members hold other rows than this node did
	evidenceRangeSplit     = "range-split"     // f+1 do, and nothing was certified
	evidenceRangeOne       = "range-one"       // fewer do
)

// What one exhibit is.
const (
	exhibitStatement   = "statement"   // bytes that a member signed
	exhibitCertificate = "certificate" // of a range: q members signed it
	exhibitDecision    = "decision"    // a value with its commit certificate
	exhibitEvent       = "event"       // a row of the Relay's log as a node was shown it: nobody signed it
	exhibitRequest     = "withdrawal"  // a row of the Relay's list, likewise
	exhibitEnvelope    = "tss-message" // a message of a signing session that a member signed, or its signed header
	exhibitPayment     = "transaction" // of a chain, with its signature
)

// EvidenceView is one piece of evidence with both its sides.
type EvidenceView struct {
	ID      common.Hash     `json:"id"`
	Network common.Hash     `json:"network"`
	Kind    string          `json:"kind"`
	Member  *common.Address `json:"member"` // whom it convicts; null when it is about the Relay, or convicts nobody
	Name    string          `json:"name,omitempty"`
	Found   time.Time       `json:"found"`
	Over    *time.Time      `json:"over"` // when a range agreed again
	First   []Exhibit       `json:"first"`
	Second  []Exhibit       `json:"second"`
	Range   *RangeEvidence  `json:"range,omitempty"`
	// Successions are the decisions that put each committee behind the founders in place, 0x-hex, by epoch.
	Successions []string `json:"successions,omitempty"`
}

// Exhibit is bytes of one side, and what they say.
type Exhibit struct {
	What   string          `json:"what"`
	Signer *common.Address `json:"signer"`
	RLP    string          `json:"rlp"` // 0x-hex
	Says   string          `json:"says"`
}

// RangeEvidence is what two versions of a range differ in.
type RangeEvidence struct {
	Range     uint64           `json:"range"`
	FirstID   uint64           `json:"first_id"` // of the range
	LastID    uint64           `json:"last_id"`
	Level     string           `json:"level"`
	ShownBy   common.Address   `json:"shown_by"` // the member whose rows hash to what was signed
	Booked    uint64           `json:"booked"`   // rows that a certificate brought into these books
	Frozen    []common.Address `json:"frozen"`
	Rows      []RowEvidence    `json:"rows"` // that differ, by id
	MoreRows  uint64           `json:"more_rows"`
	Agreement bool             `json:"agrees_now"`
}

// RowEvidence is one id on both sides; a side without a row there is null.
type RowEvidence struct {
	ID    uint64   `json:"id"`
	Here  *Exhibit `json:"here"`
	There *Exhibit `json:"there"`
}

// Evidence lists what this node can show against members and the Relay, the newest last within each kind. A prefix of an id
// in hex, with or without 0x, chooses; empty chooses all.
func (n *Node) Evidence(id string) ([]EvidenceView, error) {
	id = strings.TrimPrefix(strings.ToLower(id), "0x")
	out := []EvidenceView{}
	var committees []string
	add := func(e EvidenceView) {
		if strings.HasPrefix(e.ID.Hex()[2:], id) {
			e.Network, e.Successions = n.network, committees
			out = append(out, e)
		}
	}
	err := n.led.View(func(tx *ledger.Tx) error {
		var err error
		if committees, err = successionsOf(tx); err != nil {
			return err
		}
		err = tx.RangeDisputes(func(d ledger.RangeDispute) error { add(n.viewDispute(d)); return nil })
		if err != nil {
			return err
		}
		return tx.Evidences(func(e ledger.Evidence) error { add(n.viewEvidence(e)); return nil })
	})
	if err == nil && id != "" && len(out) == 0 {
		err = fmt.Errorf("evidence %s: %w", id, ErrUnknown)
	}
	return out, err
}

func (n *Node) viewEvidence(e ledger.Evidence) EvidenceView {
	out := EvidenceView{ID: e.ID(), Kind: string(e.Kind), Found: millis(e.Found), First: []Exhibit{n.exhibit(e.First)}, Second: []Exhibit{}}
	if len(e.Second) > 0 {
		out.Second = append(out.Second, n.exhibit(e.Second))
	}
	if e.Member != (common.Address{}) {
		out.Member, out.Name = &e.Member, n.nameOf(e.Member)
	}
	return out
}

func (n *Node) viewDispute(d ledger.RangeDispute) EvidenceView {
	first := d.Range * ledger.RangeSize
	r := &RangeEvidence{Range: d.Range, FirstID: first, LastID: first + ledger.RangeSize - 1, Level: d.Level.String(), ShownBy: d.From,
		Booked: d.Booked, Frozen: append([]common.Address{}, d.Frozen...), Rows: []RowEvidence{}, MoreRows: d.More, Agreement: d.Over != 0}
	for _, row := range d.Diffs {
		v := RowEvidence{ID: row.ID}
		if len(row.Own) > 0 {
			e := n.exhibit(row.Own)
			v.Here = &e
		}
		if len(row.Theirs) > 0 {
			e := n.exhibit(row.Theirs)
			v.There = &e
		}
		r.Rows = append(r.Rows, v)
	}
	out := EvidenceView{ID: d.ID(), Kind: kindOfLevel(d.Level), Found: millis(d.Found), First: []Exhibit{n.exhibit(d.Own)}, Second: []Exhibit{}, Range: r}
	if d.Over != 0 {
		over := millis(d.Over)
		out.Over = &over
	}
	if len(d.Certified) > 0 {
		out.Second = append(out.Second, n.exhibit(d.Certified))
	}
	for _, raw := range d.Said {
		out.Second = append(out.Second, n.exhibit(raw))
	}
	return out
}

func kindOfLevel(l ledger.DisputeLevel) string {
	switch l {
	case ledger.DisputeCertified:
		return evidenceRangeCertified
	case ledger.DisputeSplit:
		return evidenceRangeSplit
	}
	return evidenceRangeOne
}

func millis(ms uint64) time.Time { return time.UnixMilli(int64(ms)).UTC() }

// exhibit describes bytes of evidence: what they are follows from which decoder takes them.
func (n *Node) exhibit(raw []byte) Exhibit { return describeExhibit(n.network, n.members(), raw) }

func describeExhibit(network common.Hash, members quorum.Members, raw []byte) Exhibit {
	out := Exhibit{What: "bytes", RLP: hexutil.Encode(raw)}
	if kind, signer, err := quorum.Authenticate(network, members, raw); err == nil {
		out.What, out.Signer, out.Says = exhibitStatement, &signer, string(kind)+" "+sayStatement(network, members, kind, raw)
		return out
	}
	var cert quorum.UncheckedCheckpoint
	if unmarshal(raw, &cert) == nil && len(cert.Votes) > 0 {
		c := cert.Checkpoint
		out.What = exhibitCertificate
		out.Says = fmt.Sprintf("%d members: range %d holds %d rows, %s", len(cert.Votes), c.Range, c.Count, c.Hash)
		return out
	}
	var d quorum.UncheckedDecision
	if unmarshal(raw, &d) == nil && len(d.Commit.Votes) > 0 {
		out.What, out.Says = exhibitDecision, fmt.Sprintf("height %d is %s", d.Commit.Height, d.Commit.ID)
		return out
	}
	if what, who, says, ok := describeMessage(network, raw); ok {
		out.What, out.Signer, out.Says = what, who, says
		return out
	}
	var w ledger.Withdrawal
	if unmarshal(raw, &w) == nil {
		out.What = exhibitRequest
		out.Says = fmt.Sprintf("withdrawal %d of %s, %s wei to %s, %s", w.ID, w.Account, w.Amount.Dec(), w.To, w.Network)
		return out
	}
	if e, err := ledger.DecodeEvent(raw); err == nil {
		out.What = exhibitEvent
		out.Says = fmt.Sprintf("event %d: %s %.40q of %s", e.ID, e.Kind, e.Amount, e.Account)
	}
	return out
}

// sayStatement puts a statement into words.
func sayStatement(network common.Hash, members quorum.Members, kind quorum.Kind, raw []byte) string {
	switch kind {
	case quorum.KindCheckpoint:
		if s, err := quorum.Open[quorum.Checkpoint](network, members, raw); err == nil {
			b := s.Body()
			return fmt.Sprintf("%d: range %d holds %d rows, %s", b.Counter, b.Range, b.Count, b.Hash)
		}
	case quorum.KindApprove:
		if s, err := quorum.Open[quorum.Approve](network, members, raw); err == nil {
			b := s.Body()
			return fmt.Sprintf("%d: withdrawal %d, content %s, policy %d, account %s, debit %d, head %s", b.Counter, b.WID, b.Content, b.Policy.Version, b.Account, b.Seq, b.Head)
		}
	case quorum.KindRefuse:
		if s, err := quorum.Open[quorum.Refuse](network, members, raw); err == nil {
			b := s.Body()
			return fmt.Sprintf("%d: withdrawal %d, content %s, policy %d, %s", b.Counter, b.WID, b.Content, b.Policy.Version, b.Reason)
		}
	case quorum.KindPrevote, quorum.KindPrecommit:
		if s, err := quorum.Open[quorum.Vote](network, members, raw); err == nil {
			b := s.Body()
			return fmt.Sprintf("%d: height %d, round %d, value %s", b.Counter, b.Height, b.Round, b.ID)
		}
	case quorum.KindProposal:
		if s, err := quorum.Open[quorum.Proposal](network, members, raw); err == nil {
			b := s.Body()
			return fmt.Sprintf("%d: height %d, round %d, value %s", b.Counter, b.Height, b.Round, b.ID)
		}
	}
	return "statement"
}
