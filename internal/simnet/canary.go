package simnet

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/tss"
)

// canary looks for secrets in whatever leaves a custodian: I15.
type canary struct {
	mu     sync.Mutex // guards what follows
	stacks []*haystack
	looked map[string]int
	found  error
}

// haystack finds secrets, in every spelling that a careless line would give them. It never changes once it is made.
type haystack struct {
	needles []needle
	at      map[uint64][]place8 // by eight bytes of a needle
	likely  [1 << 12]uint64     // a filter in front of at
}

// needle is a secret in one spelling.
type needle struct {
	what string
	text []byte
}

// place8 is where eight bytes stand in a needle.
type place8 struct{ needle, offset int }

// Shape of the search. No needle is shorter than shortest, so of the windows of a text at every stride-th byte one lies whole in
// each needle that stands in it, at an offset below stride.
const (
	shortest = 32
	window   = 8
	stride   = shortest - window + 1
)

// newHaystack looks for the given secrets, of 32 bytes or more.
func newHaystack(secrets map[string]*big.Int) *haystack {
	h := &haystack{at: map[uint64][]place8{}}
	for what, secret := range secrets {
		for spelling, text := range spellings(secret) {
			h.add(what+", "+spelling, text)
		}
	}
	return h
}

func (h *haystack) add(what string, text []byte) {
	if len(text) < shortest {
		panic("simnet: a needle of too few bytes: " + what) // of our own making
	}
	h.needles = append(h.needles, needle{what, text})
	for offset := range stride {
		key := binary.LittleEndian.Uint64(text[offset:])
		h.at[key] = append(h.at[key], place8{len(h.needles) - 1, offset})
		h.likely[bit(key)>>6] |= 1 << (bit(key) & 63)
	}
}

// bit is where the filter holds eight bytes.
func bit(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 46 }

// spellings are how a number may come to stand in bytes or text.
func spellings(n *big.Int) map[string][]byte {
	raw := n.FillBytes(make([]byte, max(shortest, (n.BitLen()+7)/8)))
	out := map[string][]byte{
		"raw": raw, "hex": []byte(hex.EncodeToString(raw)), "capital hex": []byte(strings.ToUpper(hex.EncodeToString(raw))), "decimal": []byte(n.String()),
		"as a list": []byte(strings.Trim(fmt.Sprint(raw), "[]")), "as a list of JSON": []byte(strings.Trim(strings.ReplaceAll(fmt.Sprint(raw), " ", ","), "[]")),
		"in Go's syntax": []byte(strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}")),
	}
	backwards := bytes.Clone(raw)
	for i := range len(raw) / 2 {
		backwards[i], backwards[len(raw)-1-i] = raw[len(raw)-1-i], raw[i]
	}
	out["backwards"] = backwards
	// Within something longer, base64 has one of three phases; of each, what does not depend on the neighbours.
	for phase := range 3 {
		padded := append(make([]byte, phase), raw...)
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 of addresses": base64.RawURLEncoding} {
			text := enc.EncodeToString(padded)
			from, to := (phase*8+5)/6, len(padded)*8/6
			out[fmt.Sprintf("%s, phase %d", name, phase)] = []byte(text[from:to])
		}
	}
	return out
}

// look searches what left by a way.
func (c *canary) look(way string, text []byte) {
	c.mu.Lock()
	stacks := c.stacks
	c.mu.Unlock()
	hit := ""
	for _, h := range stacks {
		hit = cmp.Or(hit, h.search(text))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked[way] += len(text)
	if hit != "" && c.found == nil {
		c.found = broken("I15", "%s shows %s", way, hit)
	}
}

func (h *haystack) search(text []byte) string {
	for i := 0; i+window <= len(text); i += stride {
		key := binary.LittleEndian.Uint64(text[i:])
		if h.likely[bit(key)>>6]&(1<<(bit(key)&63)) == 0 {
			continue
		}
		for _, p := range h.at[key] {
			if n := h.needles[p.needle]; i >= p.offset && bytes.HasPrefix(text[i-p.offset:], n.text) {
				return n.what
			}
		}
	}
	return ""
}

// know adds a secret that was made later.
func (c *canary) know(what string, secret *big.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stacks = append(c.stacks[:len(c.stacks):len(c.stacks)], newHaystack(map[string]*big.Int{what: secret}))
}

// leaked is what was found so far; nil is nothing.
func (c *canary) leaked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found
}

// numberOf is the secret number of a key.
func numberOf(key *ecdsa.PrivateKey) *big.Int { return new(big.Int).SetBytes(crypto.FromECDSA(key)) }

// secrets are what a custodian of this world holds and nobody else may ever see: identities, shares and what belongs to them, the key of
// the Relay's interface, and, where signing is ideal, the whole key that stands for all shares.
func secrets(keys []*ecdsa.PrivateKey, api *ecdsa.PrivateKey, f *Fixture) (map[string]*big.Int, error) {
	out := map[string]*big.Int{"the key of the Relay's interface": numberOf(api), "the payer's key": numberOf(f.whole)}
	for i, k := range keys {
		out[fmt.Sprintf("the identity of n%d", i)] = numberOf(k)
	}
	for member, share := range f.shares {
		s, err := openShare(share)
		if err != nil {
			return nil, err
		}
		out["the share of "+member.Hex()] = s.Xi
		out["a factor of the Paillier key of "+member.Hex()] = s.P
		out["the other factor of the Paillier key of "+member.Hex()] = s.Q
	}
	return out, nil
}

// shareSecrets is what only a vault sees of a share.
type shareSecrets struct {
	Version   uint64
	Self      common.Address
	Epoch     uint64
	Members   []common.Address
	Threshold uint64
	Session   common.Hash
	Public    [33]byte
	Parties   rlp.RawValue
	Xi, P, Q  *big.Int
}

func openShare(share *tss.KeyShare) (s shareSecrets, err error) {
	raw, err := share.MarshalBinary()
	if err == nil {
		err = rlp.DecodeBytes(raw, &s)
	}
	return s, err
}
