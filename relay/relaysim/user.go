package relaysim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// User is a wallet at a Relay: it signs what real users sign and posts what the real site posts.
type User struct {
	Address common.Address

	key  *ecdsa.PrivateKey
	base string
	http *http.Client
	now  func() time.Time
}

// NewUser makes a user of the Relay at base. transport nil means http.DefaultTransport, now nil means time.Now.
func NewUser(key *ecdsa.PrivateKey, base string, transport http.RoundTripper, now func() time.Time) *User {
	if now == nil {
		now = time.Now
	}
	return &User{
		Address: crypto.PubkeyToAddress(key.PublicKey), key: key, base: base, now: now,
		http: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
}

// RelayError is a Relay's no to a user.
type RelayError struct {
	Status  int
	Field   string
	Message string
}

func (e *RelayError) Error() string {
	return fmt.Sprintf("relay refuses with %d: %s: %s", e.Status, e.Field, e.Message)
}

// Withdraw connects, signs and posts one request, and returns its id. benefit is spelled as the user likes.
func (u *User) Withdraw(ctx context.Context, network string, amount *big.Int, benefit string) (uint64, error) {
	body, err := u.Sign(network, amount, benefit)
	if err != nil {
		return 0, err
	}
	return u.Post(ctx, body)
}

// Sign makes the body of a request. Posted twice it makes two requests with one signature.
func (u *User) Sign(network string, amount *big.Int, benefit string) ([]byte, error) {
	now := u.now().Unix()
	sig, err := u.personal(withdrawText(amount.String(), u.Address.Hex(), benefit, network, now))
	if err != nil {
		return nil, err
	}
	return json.Marshal(withdrawal{Amount: amount.String(), Benefit: benefit, Network: network, Timestamp: now, Signature: sig})
}

// Post sends a signed request in a session of its own and returns the request's id.
func (u *User) Post(ctx context.Context, body []byte) (uint64, error) {
	now := u.now().Unix()
	sig, err := u.personal(connectText(u.Address.Hex(), now))
	if err != nil {
		return 0, err
	}
	connect, err := json.Marshal(map[string]any{"address": u.Address.Hex(), "timestamp": now, "signature": sig})
	if err != nil {
		return 0, fmt.Errorf("marshal connect: %w", err)
	}
	var session struct{ Token string }
	if err := u.call(ctx, "/v1/client/connect_wallet", "", connect, &session); err != nil {
		return 0, fmt.Errorf("connect wallet: %w", err)
	}
	var made struct {
		ID uint64 `json:"request_id"`
	}
	if err := u.call(ctx, "/v1/relay_account/"+u.Address.Hex()+"/withdraw", session.Token, body, &made); err != nil {
		return 0, fmt.Errorf("withdraw: %w", err)
	}
	return made.ID, nil
}

func (u *User) personal(text string) (string, error) {
	sig, err := crypto.Sign(personalDigest(text), u.key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	sig[64] += 27 // as wallets do
	return "0x" + hex.EncodeToString(sig), nil
}

func (u *User) call(ctx context.Context, path, token string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := u.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var no struct {
			Message string
			Data    fieldError
		}
		if err := json.Unmarshal(b, &no); err != nil || no.Data.Message == "" {
			return &RelayError{Status: res.StatusCode, Message: no.Message}
		}
		return &RelayError{res.StatusCode, no.Data.Field, no.Data.Message}
	}
	return json.Unmarshal(b, &struct{ Data any }{into})
}
