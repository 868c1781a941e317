package chain

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/quorum"
)

const (
	// MinGas is what the simplest transaction uses.
	MinGas = 21_000

	// MaxGas is the most that one transaction may use whatever the block's limit (EIP-7825).
	MaxGas = 1 << 24

	// MaxData bounds a payment's call data: 150 items of a batch take about 10 KB.
	MaxData = 64 << 10

	// MaxBumps bounds the fee steps of one slot, and so the search in Match.
	MaxBumps = quorum.MaxBumps
)

// ErrBeyondCap means that the step does not exist: its fee would be above the payment's cap.
var ErrBeyondCap = errors.New("chain: the step is above the fee cap")

// ErrSignature means that a signature is malformed or is not the payer's.
var ErrSignature = errors.New("chain: not the payer's signature")

// Payment is everything that a decided slot says about its transaction. Two nodes with equal payments render equal
// bytes; nothing else enters.
type Payment struct {
	ChainID uint64
	Nonce   uint64
	Payer   common.Address // signs; not part of the bytes
	To      common.Address // whom the transaction calls: the recipient, or the token's contract
	Value   uint256.Int    // wei of the chain's coin that go with it
	Data    []byte
	Gas     uint64 // limit, from the policy
	Fees
}

// Transfer is the payment of one withdrawal on a lane of the way "single": the coin itself, or a call of the token.
func Transfer(l Lane, payer common.Address, nonce uint64, to common.Address, amount uint256.Int, gas uint64, fees Fees) Payment {
	p := Payment{ChainID: l.ChainID, Nonce: nonce, Payer: payer, Gas: gas, Fees: fees}
	if l.Native() {
		p.To, p.Value = to, amount
	} else {
		p.To, p.Data = l.Token, TransferData(to, amount)
	}
	return p
}

// Validate names the first thing that makes the payment impossible to render.
func (p Payment) Validate() error {
	switch {
	case p.ChainID == 0:
		return errors.New("payment: chain id 0")
	case p.To == (common.Address{}):
		// Value sent there is gone, and the empty address of older tools means "create a contract".
		return errors.New("payment: to the zero address")
	case p.Gas < MinGas || p.Gas > MaxGas:
		return fmt.Errorf("payment: a gas limit of %d is not within %d and %d", p.Gas, MinGas, MaxGas)
	case len(p.Data) > MaxData:
		return fmt.Errorf("payment: %d bytes of call data are more than %d", len(p.Data), MaxData)
	case p.Tip.IsZero():
		return errors.New("payment: a tip of 0")
	case p.Offer.Lt(&p.Tip):
		return errors.New("payment: the offer is below the tip")
	case p.FeeCap.Lt(&p.Offer):
		return errors.New("payment: the cap is below the offer")
	case p.FeeCap.Gt(maxPerGas):
		return errors.New("payment: the cap is above 2^96 wei")
	}
	return nil
}

// WorstGas is the most that the transaction can cost in fees, in wei: its gas limit at the cap.
func (p Payment) WorstGas() uint256.Int {
	var out uint256.Int
	out.Mul(&p.FeeCap, uint256.NewInt(p.Gas))
	return out
}

// Bumps is the number of fee steps above the offer that stay within the cap: Render knows k = 0 … Bumps. The last one
// may lie below the cap, because a last partial step would be no valid replacement.
func (p Payment) Bumps() uint {
	k, _ := quorum.LastStep(p.Offer, p.Tip, p.FeeCap)
	return k
}

// Rendered is one step of a payment, ready to be signed.
type Rendered struct {
	K       uint
	Payer   common.Address
	Payload []byte      // 0x02 ‖ rlp of the nine unsigned fields
	Digest  common.Hash // keccak256 of Payload: what the payer signs
}

// Render gives the exact bytes of tx(k). Only the two prices depend on k.
func Render(p Payment, k uint) (Rendered, error) {
	if err := p.Validate(); err != nil {
		return Rendered{}, err
	}
	if k > p.Bumps() {
		return Rendered{}, fmt.Errorf("%w: step %d of %d", ErrBeyondCap, k, p.Bumps())
	}

	tx := p.tx(k)
	payload := tx.Payload()
	return Rendered{K: k, Payer: p.Payer, Payload: payload, Digest: crypto.Keccak256Hash(payload)}, nil
}

// tx is the payment's unsigned transaction after k steps, whatever the cap says.
func (p Payment) tx(k uint) Tx {
	offer, tip := p.Offer, p.Tip
	for range k {
		offer, tip = quorum.FeeStep(offer), quorum.FeeStep(tip)
	}
	return Tx{ChainID: p.ChainID, Nonce: p.Nonce, Tip: tip, FeeCap: offer, Gas: p.Gas, To: p.To, Value: p.Value, Data: p.Data}
}

// MaxFee is the maxFeePerGas of step k, in wei per gas.
func (p Payment) MaxFee(k uint) uint256.Int { return p.tx(k).FeeCap }

// Match finds the step k whose unsigned bytes these are. An aborted signing session may have leaked another signature
// over the same payload, so what was mined is recognised by its payload, never by its hash alone.
func Match(payload []byte, p Payment) (k uint, ok bool) {
	if p.Validate() != nil {
		return 0, false
	}
	for k := range p.Bumps() + 1 {
		if tx := p.tx(k); bytes.Equal(tx.Payload(), payload) {
			return k, true
		}
	}
	return 0, false
}

// Signed is a transaction that any node may broadcast.
type Signed struct {
	K    uint
	Raw  []byte
	Hash common.Hash
}

// Assemble joins the payload and a 65-byte signature r ‖ s ‖ v, low s, v in {0, 1}. It returns ErrSignature unless the
// signature is the payer's: bytes that the chain would refuse must not be stored as signed.
func (r Rendered) Assemble(signature []byte) (Signed, error) {
	tx, err := decodePayload(r.Payload)
	if err != nil {
		return Signed{}, fmt.Errorf("assemble: %w", err)
	}
	if len(signature) != crypto.SignatureLength {
		return Signed{}, fmt.Errorf("%w: %d bytes", ErrSignature, len(signature))
	}
	copy(tx.Signature[:], signature)
	signer, err := tx.Sender()
	if err != nil {
		return Signed{}, err
	}
	if signer != r.Payer {
		return Signed{}, fmt.Errorf("%w: it recovers to %s, not to %s", ErrSignature, signer, r.Payer)
	}
	raw := tx.Raw()
	return Signed{K: r.K, Raw: raw, Hash: crypto.Keccak256Hash(raw)}, nil
}
