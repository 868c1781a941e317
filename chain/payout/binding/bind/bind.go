// Package bind is the small part of go-ethereum's accounts/abi/bind that generated bindings need to pack and unpack.
//
// It does nothing else: no backend, no signer. The original brings key stores and watchers of files along, which have no
// place in a custodian.
package bind

import (
	"errors"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
)

var (
	// ErrNoEventSignature means that a log has no topics.
	ErrNoEventSignature = errors.New("no event signature")

	// ErrEventSignatureMismatch means that a log is of another event.
	ErrEventSignatureMismatch = errors.New("event signature mismatch")
)

// MetaData is a contract as the compiler left it.
type MetaData struct {
	ID  string
	ABI string // JSON
	Bin string // 0x and the code that deploys it
}

// ParseABI reads the contract's ABI.
func (m *MetaData) ParseABI() (*abi.ABI, error) {
	out, err := abi.JSON(strings.NewReader(m.ABI))
	return &out, err
}
