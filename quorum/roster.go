package quorum

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Size returns q, the number of members that is more than two thirds of n: ⌊2n/3⌋ + 1. It is also n − [Faults](n).
// ⌈2n/3⌉ is not the same: for n = 3, 6, 9 it is exactly two thirds, and two such quorums may share no honest member.
func Size(n int) int { return 2*n/3 + 1 }

// Faults returns f, how many of n members may be Byzantine: ⌊(n−1)/3⌋.
func Faults(n int) int { return (n - 1) / 3 }

// Bounds of a committee. Signing cost grows with pairs, and above MaxMembers it no longer fits an operator's patience.
const (
	MinMembers    = 2
	MaxMembers    = 16
	maxName       = 64
	maxMultiaddrs = 8
	maxMultiaddr  = 256
)

// Members is a set of member ids in the order of the epoch: ascending by address.
type Members []common.Address

// Has reports whether a is a member.
func (m Members) Has(a common.Address) bool { return slices.Contains(m, a) }

// Q is the quorum of these members.
func (m Members) Q() int { return Size(len(m)) }

// F is how many of these members may be faulty.
func (m Members) F() int { return Faults(len(m)) }

// Proposer returns the member that proposes in a round of a height: members[(h + r) mod n].
func (m Members) Proposer(height, round uint64) common.Address {
	return m[(height+round)%uint64(len(m))]
}

// PublicKey is a compressed secp256k1 key.
type PublicKey [33]byte

// Address returns the Ethereum address of the key, or an error when the bytes are no point of the curve.
func (p PublicKey) Address() (common.Address, error) {
	pub, err := crypto.DecompressPubkey(p[:])
	if err != nil {
		return common.Address{}, fmt.Errorf("public key: %w", err)
	}
	return crypto.PubkeyToAddress(*pub), nil
}

// MarshalText gives 0x-hex.
func (p PublicKey) MarshalText() ([]byte, error) { return hexText(p[:]), nil }

// UnmarshalText reads exactly 33 bytes of 0x-hex.
func (p *PublicKey) UnmarshalText(b []byte) error { return unhexText(b, p[:]) }

// Member is one custodian: an identity key that signs statements and is its libp2p identity, and an operator's address
// whose key stays off the node and signs governance alone.
type Member struct {
	Name       string         `json:"name"`
	Address    common.Address `json:"address"`
	PublicKey  PublicKey      `json:"public_key"`
	Operator   common.Address `json:"operator"`
	Multiaddrs []string       `json:"multiaddrs"`
}

// Check looks at the member alone.
func (m Member) Check() error {
	addr, err := m.PublicKey.Address()
	switch {
	case err != nil:
		return err
	case addr != m.Address:
		return fmt.Errorf("address %s is not that of the public key (%s)", m.Address, addr)
	case m.Operator == (common.Address{}):
		return errors.New("operator address is missing")
	case m.Operator == m.Address:
		return errors.New("the operator's key must not be the node's key")
	case m.Name == "" || len(m.Name) > maxName || !printable(m.Name):
		return fmt.Errorf("name must have 1 to %d bytes of printable text", maxName)
	case len(m.Multiaddrs) == 0 || len(m.Multiaddrs) > maxMultiaddrs:
		return fmt.Errorf("between 1 and %d multiaddrs", maxMultiaddrs)
	}
	for _, a := range m.Multiaddrs {
		if a == "" || len(a) > maxMultiaddr {
			return fmt.Errorf("multiaddr of 1 to %d bytes", maxMultiaddr)
		}
	}
	return nil
}

// printable keeps control characters out of what terminals and wallets show.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Kind makes a Member a statement of its own: the record that an operator sends to the others, signed over network zero
// because no network exists yet.
func (m Member) Kind() Kind { return KindMember }

// Roster is who rules in one epoch.
type Roster struct {
	Epoch   uint64
	Members []Member // ascending by address
}

// NewRoster checks the members and sorts them. It fails on a repeated address, operator or name, and on a committee
// outside [MinMembers, MaxMembers].
func NewRoster(epoch uint64, members []Member) (Roster, error) {
	if len(members) < MinMembers || len(members) > MaxMembers {
		return Roster{}, fmt.Errorf("roster: %d members, want %d to %d", len(members), MinMembers, MaxMembers)
	}
	sorted := slices.Clone(members)
	sort.Slice(sorted, func(i, j int) bool { return bytes.Compare(sorted[i].Address[:], sorted[j].Address[:]) < 0 })

	seen := map[any]bool{}
	for _, m := range sorted {
		if err := m.Check(); err != nil {
			return Roster{}, fmt.Errorf("roster: member %q: %w", m.Name, err)
		}
		// One map for addresses and operators alike: an operator's key must be nobody's node key either.
		for _, k := range []any{m.Address, m.Operator, m.Name} {
			if seen[k] {
				return Roster{}, fmt.Errorf("roster: member %q: %v stands twice", m.Name, k)
			}
			seen[k] = true
		}
	}
	return Roster{Epoch: epoch, Members: sorted}, nil
}

// IDs returns the member ids in order.
func (r Roster) IDs() Members {
	ids := make(Members, len(r.Members))
	for i, m := range r.Members {
		ids[i] = m.Address
	}
	return ids
}

// Operators returns the operators' addresses in the order of the members.
func (r Roster) Operators() Members {
	ids := make(Members, len(r.Members))
	for i, m := range r.Members {
		ids[i] = m.Operator
	}
	return ids
}

// Q is the quorum of the epoch.
func (r Roster) Q() int { return Size(len(r.Members)) }

// F is how many members may be faulty.
func (r Roster) F() int { return Faults(len(r.Members)) }

// Find returns the member with that address.
func (r Roster) Find(a common.Address) (Member, bool) {
	for _, m := range r.Members {
		if m.Address == a {
			return m, true
		}
	}
	return Member{}, false
}

// mustPub decompresses a key that Check accepted before.
func mustPub(p PublicKey) *ecdsa.PublicKey {
	pub, err := crypto.DecompressPubkey(p[:])
	if err != nil {
		panic("quorum: unchecked public key: " + err.Error())
	}
	return pub
}
