package relay

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// canonicalJSON is what the Relay signs and verifies: the input marshalled, read back as a generic map and marshalled
// again, so that keys are sorted, blanks are gone and numbers have passed through float64. Ids from 2^53 on lose digits
// on the way; the Relay loses the same ones, which is why this goes the same way instead of a better one.
func canonicalJSON(input any) ([]byte, error) {
	first, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("marshal signed input: %w", err)
	}
	var generic map[string]any
	if err := json.Unmarshal(first, &generic); err != nil {
		return nil, fmt.Errorf("read signed input back: %w", err)
	}
	return json.Marshal(generic)
}

// requestDigest is the plain keccak256 (no EIP-191 prefix) of the canonical input and the decimal time, one right after
// the other.
func requestDigest(input any, timestamp int64) (common.Hash, error) {
	text, err := canonicalJSON(input)
	if err != nil {
		return common.Hash{}, err
	}
	return crypto.Keccak256Hash(strconv.AppendInt(text, timestamp, 10)), nil
}

// signRequest gives the signature parameter of a request: 0x and 65 bytes r ‖ s ‖ v with v in {0, 1}. The prefix is not
// decoration: the Relay cuts two characters off without looking at them.
func signRequest(key *ecdsa.PrivateKey, input any, timestamp int64) (string, error) {
	digest, err := requestDigest(input, timestamp)
	if err != nil {
		return "", err
	}
	sig, err := crypto.Sign(digest[:], key)
	if err != nil {
		return "", fmt.Errorf("sign request: %w", err)
	}
	return "0x" + hex.EncodeToString(sig), nil
}
