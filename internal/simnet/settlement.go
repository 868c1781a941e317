package simnet

import (
	"crypto/ecdsa"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/ledger"
	"conclave/risk"
)

// SettlementFile is where every custodian looks for snapshots.
func (w *World) SettlementFile() string { return filepath.Join(w.cfg.Dir, "settlement.json") }

// authorityKey signs snapshots; for tests only. Its address is 0x4BD1685BDB7acB444ACc5D513ff7B25e25e90351.
func authorityKey() *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet settlement authority, for tests only")))
	if err != nil {
		panic(err) // a hash that is no key: does not happen
	}
	return key
}

// Settle signs a snapshot of the Relay's log as it is now, with fewer credits than it holds.
func (w *World) Settle(fewer *big.Int) error {
	var sums risk.Settled
	snap := risk.Snapshot{Network: w.Genesis.ID(), Asset: "coins", Taken: uint64(time.Now().Unix())}
	for _, row := range w.Relay.Events() {
		sums.Add(ledger.Event{Kind: ledger.EventKind(row.Type), Amount: row.Amount})
		snap.Event = row.ID
	}
	snap.Credits, snap.Debits = sums.Credits, sums.Debits
	snap.Credits.Sub(&snap.Credits, uint256.MustFromBig(fewer))
	signed := risk.SignedSnapshot{Snapshot: snap}
	sig, err := crypto.Sign(snap.Digest().Bytes(), authorityKey())
	if err != nil {
		return err
	}
	copy(signed.Signature[:], sig)
	next := strings.TrimSuffix(w.SettlementFile(), ".json") + ".next"
	if err := os.WriteFile(next, signed.Encode(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, w.SettlementFile())
}
