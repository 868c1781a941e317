package relaysim

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// Vesting is a schedule as an admin signs it. The Relay's id of it is not signed.
type Vesting struct {
	Account   common.Address
	Total     *big.Int
	Start     int64 // unix seconds
	Days      uint64
	Type      string // node, delegation or other
	Signature []byte
}

// Sign signs the schedule as an admin does, over today's text: without the source and the external id of older ones.
func (v *Vesting) Sign(admin *ecdsa.PrivateKey) error {
	sig, err := crypto.Sign(personalDigest(v.text()), admin)
	if err != nil {
		return fmt.Errorf("sign vesting: %w", err)
	}
	sig[64] += 27
	v.Signature = sig
	return nil
}

func (v *Vesting) text() string {
	return fmt.Sprintf("Crynux Relay Vesting\nAddress: %s\nTotalAmount: %s\nStartTime: %d\nDurationDays: %d\nType: %s",
		v.Account.Hex(), v.Total, v.Start, v.Days, v.Type)
}

// Vest books a schedule under an id of the Relay's own: a row of no amount. The real Relay never does it twice with one
// account, type and start; this one does what it is told.
func (s *Sim) Vest(id uint64, v Vesting) uint64 {
	payload, err := json.Marshal(struct {
		ID        uint64 `json:"vesting_id"`
		Address   string `json:"address"`
		Total     string `json:"total_amount"`
		Released  string `json:"released_amount"`
		Start     int64  `json:"start_time"`
		Days      uint64 `json:"duration_days"`
		Type      string `json:"type"`
		Signature string `json:"admin_signature"`
	}{id, v.Account.Hex(), v.Total.String(), "0", v.Start, v.Days, v.Type, hexutil.Encode(v.Signature)})
	if err != nil {
		panic("relaysim: marshal vesting: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.emit(kindVestingCreated, v.Account, new(big.Int), string(payload)).ID
}

// ReleaseVesting books what the Relay says a schedule released to an account.
func (s *Sim) ReleaseVesting(id uint64, account common.Address, amount *big.Int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.emit(kindVestingRelease, account, amount, fmt.Sprintf(`{"vesting_id":%d}`, id)).ID
}
