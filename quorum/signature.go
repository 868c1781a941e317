package quorum

import (
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Signature is r ‖ s ‖ v over secp256k1 with s in the lower half and v in {0, 1}: one encoding per signature, so that no
// third party can turn a statement into a second one with other bytes.
type Signature [65]byte

// ErrSignature means that a signature is malformed (high s, v outside {0,1}, r or s out of range) or recovers to nobody.
var ErrSignature = errors.New("malformed signature")

// SignDigest signs a digest with a member's key.
func SignDigest(key *ecdsa.PrivateKey, digest common.Hash) (Signature, error) {
	var sig Signature
	b, err := crypto.Sign(digest[:], key)
	if err != nil {
		return sig, fmt.Errorf("sign digest: %w", err)
	}
	copy(sig[:], b)
	return sig, nil
}

// Recover returns the address whose key made s over digest.
func (s Signature) Recover(digest common.Hash) (common.Address, error) {
	r, sv := new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:64])
	// ValidateSignatureValues with homestead rules is what refuses a high s.
	if !crypto.ValidateSignatureValues(s[64], r, sv, true) {
		return common.Address{}, ErrSignature
	}
	signer, err := recoverAddress(digest, s)
	if err != nil {
		return common.Address{}, ErrSignature
	}
	return signer, nil
}

// String is 0x-hex. Signatures are public.
func (s Signature) String() string { return "0x" + hex.EncodeToString(s[:]) }

// MarshalText gives 0x-hex, for the files that people exchange.
func (s Signature) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads exactly 65 bytes of 0x-hex.
func (s *Signature) UnmarshalText(b []byte) error {
	if len(b) != 2+2*len(s) || b[0] != '0' || b[1] != 'x' {
		return fmt.Errorf("signature: want 0x and 130 hex digits: %w", ErrSignature)
	}
	if _, err := hex.Decode(s[:], b[2:]); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

// RecoverAny recovers the signer of a signature made outside this project, where v may be 0/1 or 27/28 and s may be high:
// a user's wallet signs as it likes, and the Relay accepts it. Use it for users' messages only.
func RecoverAny(digest common.Hash, sig []byte) (common.Address, error) {
	if len(sig) != 65 {
		return common.Address{}, ErrSignature
	}
	b := make([]byte, 65)
	copy(b, sig)
	if b[64] >= 27 {
		b[64] -= 27
	}
	r, s := new(big.Int).SetBytes(b[:32]), new(big.Int).SetBytes(b[32:64])
	if !crypto.ValidateSignatureValues(b[64], r, s, false) {
		return common.Address{}, ErrSignature
	}
	pub, err := crypto.SigToPub(digest[:], b)
	if err != nil {
		return common.Address{}, ErrSignature
	}
	return crypto.PubkeyToAddress(*pub), nil
}
