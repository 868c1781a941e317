package chain

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// dynamicFeeType is the EIP-2718 type byte of EIP-1559 transactions.
const dynamicFeeType = 0x02

// maxRaw bounds a signed transaction: its data and room for the other fields.
const maxRaw = MaxData + 1024

// ErrNotOurKind means that the bytes are not a signed EIP-1559 transaction of the only shape that this network makes:
// canonical, with a recipient, without an access list.
var ErrNotOurKind = errors.New("chain: not an EIP-1559 transaction of our shape")

// Tx is an EIP-1559 transaction with a recipient and without an access list.
type Tx struct {
	ChainID   uint64
	Nonce     uint64
	Tip       uint256.Int // maxPriorityFeePerGas, wei
	FeeCap    uint256.Int // maxFeePerGas, wei
	Gas       uint64
	To        common.Address
	Value     uint256.Int
	Data      []byte
	Signature [65]byte // r ‖ s ‖ v, v in {0, 1}; zero while unsigned
}

// unsignedTx is the order of fields on the wire. The access list is always empty here; raw values keep the decoder
// from guessing at what is in it.
type unsignedTx struct {
	ChainID uint64
	Nonce   uint64
	Tip     uint256.Int
	FeeCap  uint256.Int
	Gas     uint64
	To      common.Address
	Value   uint256.Int
	Data    []byte
	Access  []rlp.RawValue
}

type signedTx struct {
	ChainID uint64
	Nonce   uint64
	Tip     uint256.Int
	FeeCap  uint256.Int
	Gas     uint64
	To      common.Address
	Value   uint256.Int
	Data    []byte
	Access  []rlp.RawValue
	V       uint64
	R, S    uint256.Int
}

// Payload is what is signed: the type byte and the unsigned fields.
func (t Tx) Payload() []byte {
	return typed(&unsignedTx{t.ChainID, t.Nonce, t.Tip, t.FeeCap, t.Gas, t.To, t.Value, t.Data, nil})
}

// Raw is what is broadcast; its keccak256 is the transaction's hash.
func (t Tx) Raw() []byte {
	var r, s uint256.Int
	r.SetBytes32(t.Signature[:32])
	s.SetBytes32(t.Signature[32:64])
	return typed(&signedTx{t.ChainID, t.Nonce, t.Tip, t.FeeCap, t.Gas, t.To, t.Value, t.Data, nil, uint64(t.Signature[64]), r, s})
}

// Hash is the signed transaction's hash.
func (t Tx) Hash() common.Hash { return crypto.Keccak256Hash(t.Raw()) }

// Sender recovers who signed, or returns ErrSignature when the signature is malformed: s above half the group's
// order, v above 1.
func (t Tx) Sender() (common.Address, error) {
	var r, s uint256.Int
	r.SetBytes32(t.Signature[:32])
	s.SetBytes32(t.Signature[32:64])
	if !crypto.ValidateSignatureValues(t.Signature[64], r.ToBig(), s.ToBig(), true) {
		return common.Address{}, fmt.Errorf("%w: values out of range", ErrSignature)
	}
	key, err := crypto.SigToPub(crypto.Keccak256(t.Payload()), t.Signature[:])
	if err != nil {
		return common.Address{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return crypto.PubkeyToAddress(*key), nil
}

// DecodeTx reads a signed transaction. Every transaction of our shape has exactly one encoding; any other bytes are
// ErrNotOurKind. It does not check the signature: Sender does.
func DecodeTx(raw []byte) (Tx, error) {
	var f signedTx
	if err := untyped(raw, &f); err != nil {
		return Tx{}, err
	}
	if len(f.Access) != 0 || f.V > 1 {
		return Tx{}, fmt.Errorf("%w: access list or v", ErrNotOurKind)
	}

	t := Tx{ChainID: f.ChainID, Nonce: f.Nonce, Tip: f.Tip, FeeCap: f.FeeCap, Gas: f.Gas, To: f.To, Value: f.Value, Data: f.Data}
	f.R.WriteToSlice(t.Signature[:32])
	f.S.WriteToSlice(t.Signature[32:64])
	t.Signature[64] = byte(f.V)
	return t, nil
}

func decodePayload(payload []byte) (Tx, error) {
	var f unsignedTx
	if err := untyped(payload, &f); err != nil {
		return Tx{}, err
	}
	if len(f.Access) != 0 {
		return Tx{}, fmt.Errorf("%w: access list", ErrNotOurKind)
	}
	return Tx{ChainID: f.ChainID, Nonce: f.Nonce, Tip: f.Tip, FeeCap: f.FeeCap, Gas: f.Gas, To: f.To, Value: f.Value, Data: f.Data}, nil
}

func typed(fields any) []byte {
	body, err := rlp.EncodeToBytes(fields)
	if err != nil {
		panic(fmt.Sprintf("chain: encode transaction: %v", err)) // only our own types come here
	}
	return append([]byte{dynamicFeeType}, body...)
}

func untyped(b []byte, fields any) error {
	if len(b) == 0 || b[0] != dynamicFeeType {
		return fmt.Errorf("%w: type", ErrNotOurKind)
	}
	if len(b) > maxRaw {
		return fmt.Errorf("%w: %d bytes", ErrNotOurKind, len(b))
	}
	if err := rlp.DecodeBytes(b[1:], fields); err != nil {
		return fmt.Errorf("%w: %w", ErrNotOurKind, err)
	}
	return nil
}
