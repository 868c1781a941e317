package api

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"conclave/node"
	"conclave/tss/vault"
)

// custodyTimeout bounds an order to the vault: trying a password takes seconds by design, twice when it is changed, and a
// minute with the dearest parameters.
const custodyTimeout = 3 * time.Minute

// Custody takes the orders of this machine's operator about the vault. Passwords come sealed for the one-time key.
type Custody interface {
	UnsealKey() (UnsealKey, error)
	Unseal(ctx context.Context, sealed []byte) error
	Seal(ctx context.Context, reason string) error
	ChangePassword(ctx context.Context, sealed []byte) error
}

// UnsealKey is a one-time key as admin_unsealKey gives it: X25519, signed by the node's key.
type UnsealKey struct {
	Node      common.Address `json:"node"`
	Key       string         `json:"key"`       // 0x-hex of 32 bytes
	Expires   uint64         `json:"expires"`   // unix ms
	Signature string         `json:"signature"` // 0x-hex of 65 bytes
}

var custodyMethods = []described{
	{"UnsealKey", "A one-time key, signed by the node's key, for a password to be sealed under (HPKE: X25519, HKDF-SHA256, ChaCha20-Poly1305). It lasts 120 s; a new one ends the one before. Unix socket only.", nil, []int{CodeMethod}},
	{"Unseal", "Open the vault with a password that was sealed for the one-time key. Unix socket only.", []string{"sealed"}, []int{CodePassword, CodeLockedOut, CodeUnsealKey, CodeUnsealed}},
	{"Seal", "Stop signing, and forget the vault's key until it is unsealed. Unix socket only.", []string{"reason"}, []int{CodeReason, CodeCeremony}},
	{"VaultPassword", "Change the vault's password; the present and the new one come sealed for the one-time key. Unix socket only.", []string{"sealed"}, []int{CodePassword, CodeLockedOut, CodeUnsealKey}},
}

// custodyErrors are the table's words for the vault's errors.
var custodyErrors = []struct {
	is   error
	code int
}{
	{vault.ErrPassword, CodePassword},
	{vault.ErrLockedOut, CodeLockedOut},
	{vault.ErrOffer, CodeUnsealKey},
	{vault.ErrRequest, CodeUnsealKey},
	{vault.ErrUnsealed, CodeUnsealed},
	{node.ErrCeremony, CodeCeremony},
}

// guarded calls the vault's door, if there is one.
func guarded[T any](ctx context.Context, a *admin, call func(context.Context, Custody) (T, error)) (answer[T], error) {
	return askWithin(ctx, a.log, custodyTimeout, func(ctx context.Context) (T, error) {
		var none T
		if a.v == nil {
			return none, fail(CodeMethod, "this custodian has no vault")
		}
		out, err := call(ctx, a.v)
		for _, e := range custodyErrors {
			if errors.Is(err, e.is) {
				return none, fail(e.code, "%s", err)
			}
		}
		return out, err
	})
}

// UnsealKey is admin_unsealKey.
func (a *admin) UnsealKey(ctx context.Context) (answer[UnsealKey], error) {
	return guarded(ctx, a, func(_ context.Context, v Custody) (UnsealKey, error) { return v.UnsealKey() })
}

// Unseal is admin_unseal.
func (a *admin) Unseal(ctx context.Context, sealed string) (answer[Ack], error) {
	return guarded(ctx, a, func(ctx context.Context, v Custody) (Ack, error) {
		raw, err := sealedBytes(sealed)
		if err == nil {
			err = v.Unseal(ctx, raw)
		}
		return Ack{true}, err
	})
}

// Seal is admin_seal.
func (a *admin) Seal(ctx context.Context, reason string) (answer[Ack], error) {
	if err := checkReason(reason); err != nil {
		return answer[Ack]{}, err
	}
	return guarded(ctx, a, func(ctx context.Context, v Custody) (Ack, error) { return Ack{true}, v.Seal(ctx, reason) })
}

// VaultPassword is admin_vaultPassword.
func (a *admin) VaultPassword(ctx context.Context, sealed string) (answer[Ack], error) {
	return guarded(ctx, a, func(ctx context.Context, v Custody) (Ack, error) {
		raw, err := sealedBytes(sealed)
		if err == nil {
			err = v.ChangePassword(ctx, raw)
		}
		return Ack{true}, err
	})
}

func sealedBytes(text string) ([]byte, error) {
	raw, err := hexutil.Decode(text)
	if err != nil || len(raw) > vault.MaxRequest {
		return nil, fail(CodeUnsealKey, "want 0x-hex of at most %d bytes", vault.MaxRequest)
	}
	return raw, nil
}
