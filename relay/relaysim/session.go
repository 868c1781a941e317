package relaysim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// sessionSeconds is how long a wallet stays connected.
const sessionSeconds = 3600

// claims are what a session token says, in the real one's order.
type claims struct {
	Address   string `json:"address"`
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
	Issued    int64  `json:"iat"`
}

const tokenHeader = `{"alg":"HS256","typ":"JWT"}`

// issue makes a JSON Web Token under HMAC-SHA256.
func (s *Sim) issue(address string, now int64) (token string, expires int64) {
	c := claims{Address: address, Issuer: "crynux-relay", Subject: address, Expires: now + sessionSeconds, NotBefore: now, Issued: now}
	body, err := json.Marshal(c)
	if err != nil {
		panic("relaysim: marshal claims: " + err.Error())
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(tokenHeader)) + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + s.tokenMAC(text), c.Expires
}

func (s *Sim) tokenMAC(text string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

var errToken = errors.New("invalid token")

// session reads the address out of an Authorization header.
func (s *Sim) session(header string, now int64) (string, error) {
	token, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return "", errors.New("authorization header required")
	}
	cutAt := strings.LastIndexByte(token, '.')
	if cutAt < 0 || !hmac.Equal([]byte(s.tokenMAC(token[:cutAt])), []byte(token[cutAt+1:])) {
		return "", errToken
	}
	_, body, _ := strings.Cut(token[:cutAt], ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return "", errToken
	}
	var c claims
	if err := json.Unmarshal(text, &c); err != nil || now < c.NotBefore {
		return "", errToken
	}
	if now >= c.Expires {
		return "", errors.New("token is expired")
	}
	return c.Address, nil
}

// connectText and withdrawText are what users sign.
func connectText(address string, timestamp int64) string {
	return fmt.Sprintf("Crynux Relay\nAction: Connect Wallet\nAddress: %s\nTimestamp: %d", address, timestamp)
}

func withdrawText(amount, address, benefit, network string, timestamp int64) string {
	return fmt.Sprintf("Crynux Relay\nAction: Withdraw %s from %s to %s on %s\nAddress: %s\nTimestamp: %d",
		amount, address, benefit, network, address, timestamp)
}

func personalDigest(text string) []byte {
	return crypto.Keccak256([]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(text))), []byte(text))
}

// userSigner recovers who signed a text as wallets do: hex with or without 0x, v from 0 or from 27, high s as well.
func userSigner(text, signature string) (common.Address, bool) {
	sig, err := hex.DecodeString(strings.TrimPrefix(signature, "0x"))
	if err != nil || len(sig) != crypto.SignatureLength {
		return common.Address{}, false
	}
	if sig[64] >= 27 {
		sig[64] -= 27
	}
	pub, err := crypto.SigToPub(personalDigest(text), sig)
	if err != nil {
		return common.Address{}, false
	}
	return crypto.PubkeyToAddress(*pub), true
}

// inUserWindow is the time that users' messages are good for.
func inUserWindow(timestamp, now int64) bool { return timestamp >= now-120 && timestamp <= now+60 }
