package risk

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/quorum"
)

// Snapshot is an upstream authority's word on what the Relay's log adds up to: all rows with ids up to Event whose amounts
// are well-formed and below 2^192. Whoever can count tasks without the Relay can make one.
type Snapshot struct {
	Network common.Hash // id of the network that is to read it
	Asset   string      // what the amounts are in, as people call it; informs
	Event   uint64      // the last id that is counted
	Credits uint256.Int // of the kinds that only the Relay vouches for: 0, 1, 5 and 8
	Debits  uint256.Int // of kind 4: what tasks cost
	Taken   uint64      // unix seconds
}

// Bounds of a snapshot's file.
const (
	MaxSnapshotFile = 4096
	maxAsset        = 64
)

// snapshotFile is the JSON shape; numbers are decimal strings, because a JSON number above 2^53 is another one to many readers.
type snapshotFile struct {
	Network   string `json:"network"`
	Asset     string `json:"asset"`
	Event     string `json:"event"`
	Credits   string `json:"credits"`
	Debits    string `json:"debits"`
	Taken     string `json:"taken"`
	Signature string `json:"signature"`
}

// SignedSnapshot is a snapshot with a signature that nobody has verified yet.
type SignedSnapshot struct {
	Snapshot  Snapshot
	Signature [65]byte
}

// ErrSnapshot is a file that is no snapshot.
var ErrSnapshot = errors.New("not a settlement snapshot")

// Typed is what the authority signs: EIP-712 in this project's domain, whose salt is the network's id.
func (s Snapshot) Typed() quorum.TypedStruct {
	return quorum.TypedStruct{Name: "Settlement", Fields: []quorum.TypedField{
		{Name: "asset", Value: s.Asset}, {Name: "event", Value: s.Event}, {Name: "credits", Value: s.Credits},
		{Name: "debits", Value: s.Debits}, {Name: "taken", Value: s.Taken}, {Name: "networkId", Value: s.Network},
	}}
}

// Digest is the hash that is signed.
func (s Snapshot) Digest() common.Hash { return quorum.TypedDigest(s.Network, s.Typed()) }

// Encode gives the file: one line of JSON and a line break.
func (s SignedSnapshot) Encode() []byte {
	out, err := json.Marshal(snapshotFile{
		Network: s.Snapshot.Network.Hex(), Asset: s.Snapshot.Asset, Event: strconv.FormatUint(s.Snapshot.Event, 10),
		Credits: s.Snapshot.Credits.Dec(), Debits: s.Snapshot.Debits.Dec(), Taken: strconv.FormatUint(s.Snapshot.Taken, 10),
		Signature: "0x" + hex.EncodeToString(s.Signature[:]),
	})
	if err != nil {
		panic(fmt.Sprintf("risk: encode snapshot: %v", err))
	}
	return append(out, '\n')
}

// DecodeSnapshot reads a file. Blanks between the values are free; all else is as Encode writes it: the fields and their
// order, lower-case hex, plain decimals.
func DecodeSnapshot(file []byte) (SignedSnapshot, error) {
	var none SignedSnapshot
	if len(file) > MaxSnapshotFile {
		return none, fmt.Errorf("%w: %d bytes, at most %d", ErrSnapshot, len(file), MaxSnapshotFile)
	}
	var f snapshotFile
	if err := json.Unmarshal(file, &f); err != nil {
		return none, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	s, err := f.read()
	if err != nil {
		return none, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, file); err != nil {
		return none, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	// encoding/json takes any order, unknown names, other cases and the last of two equal ones.
	if want := bytes.TrimSuffix(s.Encode(), []byte{'\n'}); !bytes.Equal(compact.Bytes(), want) {
		return none, fmt.Errorf("%w: not in the one form that a snapshot has: %.200s", ErrSnapshot, want)
	}
	return s, nil
}

func (f snapshotFile) read() (s SignedSnapshot, err error) {
	fail := func(field string) (SignedSnapshot, error) {
		return SignedSnapshot{}, fmt.Errorf("%w: %s is missing or malformed", ErrSnapshot, field)
	}
	var ok bool
	if raw, e := hexBytes(f.Network, common.HashLength); e != nil {
		return fail("network")
	} else {
		s.Snapshot.Network = common.BytesToHash(raw)
	}
	if s.Snapshot.Asset = f.Asset; f.Asset == "" || len(f.Asset) > maxAsset {
		return fail("asset")
	}
	if s.Snapshot.Event, err = strconv.ParseUint(f.Event, 10, 64); err != nil {
		return fail("event")
	}
	if s.Snapshot.Taken, err = strconv.ParseUint(f.Taken, 10, 63); err != nil {
		return fail("taken")
	}
	if s.Snapshot.Credits, ok = quorum.ParseWei(f.Credits); !ok {
		return fail("credits")
	}
	if s.Snapshot.Debits, ok = quorum.ParseWei(f.Debits); !ok {
		return fail("debits")
	}
	raw, err := hexBytes(f.Signature, len(s.Signature))
	if err != nil {
		return fail("signature")
	}
	copy(s.Signature[:], raw)
	return s, nil
}

func hexBytes(text string, size int) ([]byte, error) {
	if len(text) != 2+2*size || text[:2] != "0x" {
		return nil, errors.New("wrong length")
	}
	return hex.DecodeString(text[2:])
}

// Verify returns the snapshot when the authority signed it for the network.
func (s SignedSnapshot) Verify(network common.Hash, authority common.Address) (Snapshot, error) {
	if s.Snapshot.Network != network {
		return Snapshot{}, fmt.Errorf("%w: it is for network %s", ErrSnapshot, s.Snapshot.Network)
	}
	by, err := quorum.RecoverAny(s.Snapshot.Digest(), s.Signature[:])
	if err != nil {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if by != authority {
		return Snapshot{}, fmt.Errorf("%w: %s signed it, the policy's authority is %s", ErrSnapshot, by, authority)
	}
	return s.Snapshot, nil
}

// Settled is what rows add up to, as a snapshot counts them.
type Settled struct {
	Credits uint256.Int
	Debits  uint256.Int
}

// Add counts a row.
func (t *Settled) Add(e ledger.Event) {
	amount, ok := ledger.ParseAmount(e.Amount)
	if !ok || amount.BitLen() > maxDriftBits {
		return
	}
	switch e.Kind {
	case ledger.TaskIncome, ledger.DaoTaskShare, ledger.TaskRefund, ledger.UserDelegation:
		t.Credits.Add(&t.Credits, &amount)
	case ledger.TaskPayment:
		t.Debits.Add(&t.Debits, &amount)
	}
}
