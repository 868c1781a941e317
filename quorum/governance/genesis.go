package governance

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Errors of operator signatures.
var (
	// ErrNotOperator means that a signature is whole, but not of an operator of the document's members.
	ErrNotOperator = errors.New("signer is not an operator of this network")
	// ErrTwice means that one operator's signature stands twice in a document.
	ErrTwice = errors.New("an operator's signature stands twice")
	// ErrOtherNetwork means that two documents have different ids: their signatures cannot be put together.
	ErrOtherNetwork = errors.New("the documents are of two networks")
	// ErrTooFew means that fewer than q operators signed; it is wrapped by [TooFew].
	ErrTooFew = errors.New("too few operators signed")
)

// TooFew says who has not signed yet. It is an [ErrTooFew].
type TooFew struct{ Tally Tally }

func (e *TooFew) Error() string {
	names := make([]string, len(e.Tally.Missing))
	for i, m := range e.Tally.Missing {
		names[i] = m.Name
	}
	return fmt.Sprintf("%d of %d operators signed, %d are needed; missing: %s",
		len(e.Tally.Signed), len(e.Tally.Signed)+len(e.Tally.Missing), e.Tally.Need, strings.Join(names, ", "))
}

// Is makes errors.Is(err, ErrTooFew) work.
func (e *TooFew) Is(target error) bool { return target == ErrTooFew }

// Tally is who signed a genesis document, both lists in the order of the members.
type Tally struct {
	Signed  []quorum.Member
	Missing []quorum.Member
	Need    int // q
}

// Enough reports whether q operators signed.
func (t Tally) Enough() bool { return len(t.Signed) >= t.Need }

// Sign signs a genesis document with an operator's key. It fails with [ErrNotOperator] for any other key.
func Sign(key *ecdsa.PrivateKey, g quorum.Genesis) (quorum.Signature, error) {
	var none quorum.Signature
	digest, err := Digest(g)
	if err != nil {
		return none, err
	}
	if operator := crypto.PubkeyToAddress(key.PublicKey); !isOperator(g, operator) {
		return none, fmt.Errorf("%w: %s", ErrNotOperator, operator)
	}
	return quorum.SignDigest(key, digest)
}

// ParseSignature reads a wallet's signature, 0x-hex of 65 bytes, into the one canonical form: wallets give v as 27 or 28,
// and may give the higher s.
func ParseSignature(text string) (quorum.Signature, error) {
	var sig quorum.Signature
	b, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), "0x"))
	if err != nil || len(b) != len(sig) {
		return sig, fmt.Errorf("want 0x and 130 hex digits: %w", quorum.ErrSignature)
	}
	copy(sig[:], b)
	if sig[64] == 27 || sig[64] == 28 {
		sig[64] -= 27
	}
	order := crypto.S256().Params().N
	s := new(big.Int).SetBytes(sig[32:64])
	if s.Cmp(new(big.Int).Rsh(order, 1)) > 0 && s.Cmp(order) < 0 {
		s.Sub(order, s).FillBytes(sig[32:64])
		sig[64] ^= 1
	}
	return sig, nil
}

// Count says who signed. It fails on a signature that is malformed, twice there ([ErrTwice]) or of nobody who is asked
// ([ErrNotOperator]): a document with such a one was not made by this program, or was changed after it was signed.
func Count(g quorum.Genesis) (Tally, error) {
	digest, err := Digest(g)
	if err != nil {
		return Tally{}, err
	}
	signed := map[common.Address]bool{}
	for i, sig := range g.Signatures {
		operator, err := operatorOf(g, digest, sig)
		if err != nil {
			return Tally{}, fmt.Errorf("genesis: signature %d: %w", i, err)
		}
		if signed[operator] {
			return Tally{}, fmt.Errorf("genesis: signature %d: %w: %s", i, ErrTwice, operator)
		}
		signed[operator] = true
	}
	t := Tally{Need: quorum.Size(len(g.Members))}
	for _, m := range g.Members {
		if signed[m.Operator] {
			t.Signed = append(t.Signed, m)
		} else {
			t.Missing = append(t.Missing, m)
		}
	}
	return t, nil
}

func operatorOf(g quorum.Genesis, digest common.Hash, sig quorum.Signature) (common.Address, error) {
	operator, err := sig.Recover(digest)
	if err != nil {
		return common.Address{}, err
	}
	if !isOperator(g, operator) {
		return operator, fmt.Errorf("%w: %s", ErrNotOperator, operator)
	}
	return operator, nil
}

func isOperator(g quorum.Genesis, a common.Address) bool {
	return slices.ContainsFunc(g.Members, func(m quorum.Member) bool { return m.Operator == a })
}

// AddSignature returns the document with one more signature, and whose it is. Adding a signature that is there already
// changes nothing. Signatures stand in the order of the members, so that equal documents are equal files.
func AddSignature(g quorum.Genesis, sig quorum.Signature) (quorum.Genesis, quorum.Member, error) {
	digest, err := Digest(g)
	if err != nil {
		return quorum.Genesis{}, quorum.Member{}, err
	}
	operator, err := operatorOf(g, digest, sig)
	if err != nil {
		return quorum.Genesis{}, quorum.Member{}, err
	}
	if _, err := Count(g); err != nil {
		return quorum.Genesis{}, quorum.Member{}, err
	}
	byOperator := map[common.Address]quorum.Signature{operator: sig}
	for _, s := range g.Signatures {
		by, err := s.Recover(digest)
		if err != nil {
			return quorum.Genesis{}, quorum.Member{}, err
		}
		byOperator[by] = s
	}
	out, added := clone(g), quorum.Member{}
	out.Signatures = nil
	for _, m := range g.Members {
		if s, ok := byOperator[m.Operator]; ok {
			out.Signatures = append(out.Signatures, s)
		}
		if m.Operator == operator {
			added = m
		}
	}
	return out, added, nil
}

// Merge puts the signatures of two copies of one document together. It fails with [ErrOtherNetwork] when they differ in
// anything else.
func Merge(a, b quorum.Genesis) (quorum.Genesis, error) {
	if a.ID() != b.ID() {
		return quorum.Genesis{}, fmt.Errorf("%w: %s and %s", ErrOtherNetwork, a.ID(), b.ID())
	}
	if _, err := Count(a); err != nil {
		return quorum.Genesis{}, err
	}
	out := a
	for _, sig := range b.Signatures {
		var err error
		if out, _, err = AddSignature(out, sig); err != nil {
			return quorum.Genesis{}, err
		}
	}
	return clone(out), nil
}

// VerifiedGenesis is a genesis document that q operators signed. Only [Verify] makes one.
type VerifiedGenesis struct {
	g      quorum.Genesis
	id     common.Hash
	roster quorum.Roster
	policy quorum.Policy
	tally  Tally
}

// Verify checks the document and wants the signatures of q distinct operators. With fewer it fails with a [*TooFew], which
// is an [ErrTooFew].
func Verify(g quorum.Genesis) (VerifiedGenesis, error) {
	tally, err := Count(g)
	if err != nil {
		return VerifiedGenesis{}, err
	}
	if !tally.Enough() {
		return VerifiedGenesis{}, &TooFew{tally}
	}
	// Count checked the document, so neither of these can fail; an error here is still an error.
	roster, err := g.Roster()
	if err != nil {
		return VerifiedGenesis{}, err
	}
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return VerifiedGenesis{}, err
	}
	return VerifiedGenesis{g: clone(g), id: g.ID(), roster: roster, policy: policy, tally: tally}, nil
}

// ParseVerified reads a genesis file and verifies it.
func ParseVerified(file []byte) (VerifiedGenesis, error) {
	g, err := quorum.ParseGenesis(file)
	if err != nil {
		return VerifiedGenesis{}, err
	}
	return Verify(g)
}

// Document returns the document, a copy.
func (v VerifiedGenesis) Document() quorum.Genesis { return clone(v.g) }

// ID is the network id.
func (v VerifiedGenesis) ID() common.Hash { return v.id }

// Roster returns the founding members: epoch 0.
func (v VerifiedGenesis) Roster() quorum.Roster {
	return quorum.Roster{Epoch: v.roster.Epoch, Members: slices.Clone(v.roster.Members)}
}

// Policy returns the founding policy.
func (v VerifiedGenesis) Policy() quorum.Policy { return v.policy }

// Tally says who signed.
func (v VerifiedGenesis) Tally() Tally { return v.tally }

// Zero reports whether this is no document.
func (v VerifiedGenesis) Zero() bool { return v.id == (common.Hash{}) }

// clone copies the document's lists, so that a caller cannot change what was verified.
func clone(g quorum.Genesis) quorum.Genesis {
	g.Members = slices.Clone(g.Members)
	for i := range g.Members {
		g.Members[i].Multiaddrs = slices.Clone(g.Members[i].Multiaddrs)
	}
	g.Lanes = slices.Clone(g.Lanes)
	g.VestingAdmins = slices.Clone(g.VestingAdmins)
	g.VestingTerms = slices.Clone(g.VestingTerms)
	g.Cutover.Vesting = slices.Clone(g.Cutover.Vesting)
	g.Cutover.Carried = slices.Clone(g.Cutover.Carried)
	g.Signatures = slices.Clone(g.Signatures)
	return g
}

// MarshalGenesis is the document's file: indented JSON that [quorum.ParseGenesis] reads. Lists are never null.
func MarshalGenesis(g quorum.Genesis) ([]byte, error) {
	g = clone(g)
	g.VestingAdmins = orEmpty(g.VestingAdmins)
	g.Cutover.Vesting = orEmpty(g.Cutover.Vesting)
	g.Cutover.Carried = orEmpty(g.Cutover.Carried)
	g.Signatures = orEmpty(g.Signatures)
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode genesis: %w", err)
	}
	return append(b, '\n'), nil
}

func orEmpty[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}
