package batch

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

// Kind says what a batch does.
type Kind uint8

// The kinds of protocol version 1.
const (
	Payout  Kind = 1
	Cancel  Kind = 2
	Sweep   Kind = 3
	Members Kind = 4
	Policy  Kind = 5
	Resume  Kind = 6
	Resolve Kind = 7
	Allow   Kind = 9 // 8 is an action that is never decided
)

var kindNames = map[Kind]string{
	Payout: "PAYOUT", Cancel: "CANCEL", Sweep: "SWEEP", Members: "MEMBERS", Policy: "POLICY", Resume: "RESUME", Resolve: "RESOLVE", Allow: "ALLOW",
}

func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Item is a withdrawal to pay, with the certificate that it is owed.
type Item struct {
	Content quorum.Content
	Cert    quorum.UncheckedCertificate
}

// Reject is a withdrawal to refund at the Relay, with the certificate that it can never be paid.
type Reject struct {
	Content quorum.Content
	Cert    quorum.UncheckedRefusal
}

// Batch is the value that one height decides. Its RLP bytes are what is voted on, field by field in this order.
type Batch struct {
	Epoch    uint64
	Height   uint64
	Previous common.Hash // id of the decision one height below, zero at height 1
	Kind     Kind
	Lane     quorum.LaneKey // zero without items
	Nonce    uint64         // likewise; of a CANCEL the nonce that it takes from another batch
	Items    []Item         // by wid ascending
	Rejects  []Reject       // by wid ascending
	Releases []quorum.UncheckedOutcome
	Action   []byte // RLP of a MembersAction or SignedAction, empty for a PAYOUT

	Offer    uint256.Int // wei per gas, the first maxFeePerGas
	Tip      uint256.Int // wei per gas
	FeeCap   uint256.Int // wei per gas that no fee step passes
	GasLimit uint64

	Views [][]byte // exactly q signed VIEWs, by signer ascending
	Time  uint64   // unix ms
}

// Bounds. A batch travels in one frame and is stored whole.
const (
	// MaxBytes bounds a batch: rejects of a full batch with seven-member certificates take about a quarter of it.
	MaxBytes = 512 << 10
	// MaxRejects bounds the rejects of one batch; more wait for the next.
	MaxRejects = 64
	// staleViews is how much older than a carried certificate the views' median time may be, in ms: stale views make
	// stale fees.
	staleViews = 10_000
)

// ErrInvalid means that a batch breaks a rule; every honest node says the same of it.
var ErrInvalid = errors.New("invalid batch")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Encode returns the batch's one encoding.
func (b Batch) Encode() []byte {
	raw, err := rlp.EncodeToBytes(b)
	if err != nil {
		panic(fmt.Sprintf("batch: encode: %v", err))
	}
	return raw
}

// Decode reads a batch. Bytes that are not the one encoding of a batch are [ErrInvalid].
func Decode(raw []byte) (Batch, error) {
	var b Batch
	if len(raw) > MaxBytes {
		return b, invalid("%d bytes, at most %d", len(raw), MaxBytes)
	}
	if err := rlp.DecodeBytes(raw, &b); err != nil {
		return Batch{}, invalid("%v", err)
	}
	if !bytes.Equal(b.Encode(), raw) {
		return Batch{}, invalid("not the canonical encoding")
	}
	return b, nil
}

// ID returns the batch's id on a network.
func (b Batch) ID(network common.Hash) common.Hash { return quorum.ValueID(network, b.Encode()) }

// Value returns the sum of the items' amounts.
func (b Batch) Value() (sum uint256.Int, ok bool) {
	for i := range b.Items {
		if _, over := sum.AddOverflow(&sum, &b.Items[i].Content.Amount); over {
			return sum, false
		}
	}
	return sum, true
}
