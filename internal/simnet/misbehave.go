package simnet

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/relay/relaysim"
)

// Misbehave puts the Relay, as custodians see it, into one of its modes.
func (w *World) Misbehave(l relaysim.Lie, who []int) error {
	return w.views(who, func(v *relaysim.View) error { return v.Misbehave(l) })
}

// Repent makes the Relay honest towards custodians.
func (w *World) Repent(who []int) error {
	return w.views(who, func(v *relaysim.View) error { v.Repent(); return nil })
}

func (w *World) views(who []int, do func(*relaysim.View) error) error {
	for _, i := range who {
		c, err := w.Custodian(i)
		if err != nil {
			return err
		}
		if err := do(c.Relay); err != nil {
			return err
		}
	}
	return nil
}

// vestingAdmin signs every world's vestings.
func vestingAdmin() *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet vesting admin, for tests only")))
	if err != nil {
		panic(err) // a hash that is no key: does not happen
	}
	return key
}

// Vest makes the Relay book a schedule that began days ago, under an id. forged lets somebody else than the admin sign it.
func (w *World) Vest(id uint64, u *User, total *big.Int, days, ago uint64, forged bool) error {
	v := relaysim.Vesting{
		Account: u.Address, Total: total, Start: time.Now().Add(-time.Duration(ago) * 24 * time.Hour).Unix(), Days: days, Type: "node",
	}
	key := vestingAdmin()
	if forged {
		key = u.key
	}
	if err := v.Sign(key); err != nil {
		return err
	}
	if w.vestings == nil {
		w.vestings = map[uint64]relaysim.Vesting{}
	}
	w.vestings[id] = v
	w.Relay.Vest(id, v)
	return nil
}

// VestAgain books the same signed schedule under another id.
func (w *World) VestAgain(id, as uint64) error {
	v, ok := w.vestings[id]
	if !ok {
		return fmt.Errorf("there is no vesting %d", id)
	}
	w.Relay.Vest(as, v)
	return nil
}

// DecideAtRelay fulfils or rejects a request at the Relay, as another holder of the API key would.
func (w *World) DecideAtRelay(r *Request, reject bool) error {
	if objection := w.Relay.Decide(r.ID, reject, "0x00"); objection != "" {
		return errors.New(objection)
	}
	return nil
}

// Overprice makes the chain too dear for every payment that was signed before, for a minute and a half or until it is
// cheap again: transactions are taken and stay in the mempool.
func (w *World) Overprice(on bool) {
	fee := uint64(1_000_000_000)
	if on {
		fee *= 1_000_000
	}
	w.Chain.SetBaseFee(*uint256.NewInt(fee))
}
