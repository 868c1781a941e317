package tss

import (
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bnb-chain/tss-lib/v3/crypto/dlnproof"
	"github.com/bnb-chain/tss-lib/v3/crypto/facproof"
	"github.com/bnb-chain/tss-lib/v3/crypto/modproof"
	"github.com/bnb-chain/tss-lib/v3/crypto/mta"
	"github.com/bnb-chain/tss-lib/v3/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/signing"
	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// guards returns the guards of the recorded sessions' receiver, and its sender.
func guards(t testing.TB) (kg, sign *guard, from common.Address) {
	shares := testShares(t)
	self := shares[0]
	from = self.members[1]

	order, err := partyOrder(self.members, 1)
	require.NoError(t, err)
	ids := namedParties(order, 1)
	kg = &guard{
		plan: keygenPlan(), threshold: 3, self: self.self, ids: ids, sieve: newSieve(), devModuli: true,
		known: map[common.Address]moduli{self.self: self.parties[0].moduli, from: self.parties[1].moduli},
	}
	return kg, signGuard(self, self.members[:3], ids), from
}

// mutated gives a recorded payload with its message changed.
func mutated[M proto.Message](t testing.TB, payload []byte, change func(M)) []byte {
	var box anypb.Any
	require.NoError(t, proto.Unmarshal(payload, &box))
	m, err := box.UnmarshalNew()
	require.NoError(t, err)
	change(m.(M))
	out, err := anypb.New(m)
	require.NoError(t, err)
	b, err := proto.Marshal(out)
	require.NoError(t, err)
	return b
}

// guardCase is a message that breaks one rule.
type guardCase struct {
	name    string
	rule    string
	payload []byte
}

func (c guardCase) run(t *testing.T, g *guard, kind uint8, from common.Address) {
	s, ok := g.plan.find(kind)
	require.True(t, ok)
	_, bad := g.check(s, from, c.payload)
	require.NotNil(t, bad, "%s: passed", c.name)
	require.Equal(t, c.rule, bad.rule, c.name)
}

func num(x *big.Int) []byte { return x.Bytes() }

func lsh(bits uint) *big.Int { return new(big.Int).Lsh(one, bits) }

// part is a case that sets one part of a list.
func part(list [][]byte, i int, x *big.Int) { list[i] = num(x) }

func TestHonestMessagesPass(t *testing.T) {
	kg, sign, from := guards(t)
	for name, g := range map[string]*guard{"keygen": kg, "sign": sign} {
		payloads, _ := recorded(t, name)
		for _, s := range g.plan.specs {
			if s.name == "" {
				continue
			}
			m, bad := g.check(s, from, payloads[s.kind])
			require.Nil(t, bad, "%s: %v", s.name, bad)
			require.Equal(t, from, m.from)
			require.Equal(t, s.broadcast, m.msg.IsBroadcast())
		}
	}
}

func TestEveryMessageIsParsedByOurTable(t *testing.T) {
	kg, sign, from := guards(t)
	for name, g := range map[string]*guard{"keygen": kg, "sign": sign} {
		payloads, _ := recorded(t, name)
		for _, s := range g.plan.specs {
			if s.name == "" {
				continue
			}
			whole := payloads[s.kind]
			var box anypb.Any
			require.NoError(t, proto.Unmarshal(whole, &box))

			// A field that the message does not know: bytes that nobody reads are bytes that nobody agreed on.
			extra := proto.Clone(&box).(*anypb.Any)
			extra.Value = protowire.AppendVarint(protowire.AppendTag(extra.Value, 99, protowire.VarintType), 1)
			more, err := proto.Marshal(extra)
			require.NoError(t, err)

			renamed, err := proto.Marshal(&anypb.Any{TypeUrl: "example.org/" + s.name, Value: box.Value})
			require.NoError(t, err)
			empty, err := proto.Marshal(&anypb.Any{TypeUrl: box.TypeUrl})
			require.NoError(t, err)
			other, err := proto.Marshal(&anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.Any"})
			require.NoError(t, err)
			stranger := payloads[typeSign3]
			if s.kind == typeSign3 || stranger == nil {
				stranger = payloads[typeKeygen3]
			}
			if s.kind == typeKeygen3 {
				stranger = payloads[typeKeygen2]
			}
			if stranger == nil {
				stranger = payloads[typeSign9]
			}
			for _, c := range []guardCase{
				{"cut", "message.encoding", whole[:len(whole)-1]},
				{"nothing", "message.encoding", nil},
				{"unknown field", "message.unknown-fields", more},
				{"unknown field outside", "message.unknown-fields", append(slices.Clone(whole), 0x98, 0x06, 0x01)},
				{"another prefix", "message.type", renamed},
				{"empty", "message.shape", empty},
				{"not of the library", "message.encoding", other},
				{"another round's", "message.type", stranger},
			} {
				c.run(t, g, s.kind, from)
			}
		}
	}
}

func TestGuardSigning(t *testing.T) {
	_, g, from := guards(t)
	payloads, _ := recorded(t, "sign")
	n, own, nTilde := g.known[from].N, g.known[g.self].N, g.known[g.self].NTilde
	q, b := order(), newBounds(nTilde)
	field := lsh(256) // above the field's prime

	t.Run("1-direct", func(t *testing.T) {
		at := func(f func(*signing.SignRound1Message1)) []byte { return mutated(t, payloads[typeSign1Direct], f) }
		proof := func(i int, x *big.Int) []byte {
			return at(func(m *signing.SignRound1Message1) { part(m.RangeProofAlice, i, x) })
		}
		for _, c := range []guardCase{
			{"ciphertext above N²", "ciphertext", at(func(m *signing.SignRound1Message1) { m.C = num(lsh(4097)) })},
			{"ciphertext not a unit", "ciphertext", at(func(m *signing.SignRound1Message1) { m.C = num(n) })},
			{"leading zero", "ciphertext", at(func(m *signing.SignRound1Message1) { m.C = append([]byte{0}, m.C[1:]...) })},
			{"Z is 1", "range-proof.z", proof(0, one)},
			{"Z is zero", "range-proof.z", at(func(m *signing.SignRound1Message1) { m.RangeProofAlice[0] = []byte{0} })},
			{"Z above NTilde", "range-proof.z", proof(0, new(big.Int).Add(nTilde, one))},
			{"U not a unit", "range-proof.u", proof(1, n)},
			{"W above NTilde", "range-proof.w", proof(2, nTilde)},
			{"S is 1", "range-proof.s", proof(3, one)},
			{"S above N", "range-proof.s", proof(3, n)},
			{"S1 below q", "range-proof.s1", proof(4, new(big.Int).Sub(q, one))},
			{"S1 above q³", "range-proof.s1", proof(4, new(big.Int).Add(b.q3, one))},
			{"S2 below q", "range-proof.s2", proof(5, one)},
			{"S2 beyond what it can be", "range-proof.s2", proof(5, b.blind)},
			{"S1 = S2", "range-proof.s1=s2", at(func(m *signing.SignRound1Message1) { m.RangeProofAlice[5] = m.RangeProofAlice[4] })},
			{"a part more", "message.shape", at(func(m *signing.SignRound1Message1) { m.RangeProofAlice = append(m.RangeProofAlice, []byte{1}) })},
		} {
			c.run(t, g, typeSign1Direct, from)
		}
	})

	t.Run("2", func(t *testing.T) {
		at := func(f func(*signing.SignRound2Message)) []byte { return mutated(t, payloads[typeSign2], f) }
		bob := func(i int, x *big.Int) []byte {
			return at(func(m *signing.SignRound2Message) { part(m.ProofBob, i, x) })
		}
		wc := func(i int, x *big.Int) []byte {
			return at(func(m *signing.SignRound2Message) { part(m.ProofBobWc, i, x) })
		}
		cases := []guardCase{
			{"C1 not a unit", "ciphertext", at(func(m *signing.SignRound2Message) { m.C1 = num(own) })},
			{"C2 above N²", "ciphertext", at(func(m *signing.SignRound2Message) { m.C2 = num(lsh(4097)) })},
			{"a part less", "message.shape", at(func(m *signing.SignRound2Message) { m.ProofBob = m.ProofBob[1:] })},
			{"S1 = 0 modulo q: a panic in the library", "mta-proof-wc.s1", wc(6, new(big.Int).Mul(q, big.NewInt(77)))},
			{"U not on the curve", "mta-proof-wc.point", wc(11, one)},
			{"U not reduced", "mta-proof-wc.point", wc(10, field)},
		}
		for name, set := range map[string]func(int, *big.Int) []byte{"mta-proof": bob, "mta-proof-wc": wc} {
			cases = append(cases,
				guardCase{"Z is 1", name + ".z", set(0, one)},
				guardCase{"Z' above", name + ".z'", set(1, nTilde)},
				guardCase{"T above", name + ".t", set(2, nTilde)},
				guardCase{"V not a unit", name + ".v", set(3, own)},
				guardCase{"W above", name + ".w", set(4, lsh(2100))},
				guardCase{"S is 1", name + ".s", set(5, one)},
				guardCase{"S1 below", name + ".s1", set(6, one)},
				guardCase{"S1 above", name + ".s1", set(6, lsh(900))},
				guardCase{"S2 above", name + ".s2", set(7, b.blind)},
				guardCase{"T1 above", name + ".t1", set(8, new(big.Int).Add(b.q7, one))},
				guardCase{"T1 below", name + ".t1", set(8, one)},
				guardCase{"T2 above", name + ".t2", set(9, b.blind)},
			)
		}
		cases = append(cases,
			guardCase{"S1 = S2", "mta-proof.s1=s2", at(func(m *signing.SignRound2Message) { m.ProofBob[7] = m.ProofBob[6] })},
			guardCase{"S1 = S2", "mta-proof-wc.s1=s2", at(func(m *signing.SignRound2Message) { m.ProofBobWc[7] = m.ProofBobWc[6] })})
		for _, c := range cases {
			c.run(t, g, typeSign2, from)
		}
	})

	t.Run("broadcasts", func(t *testing.T) {
		for _, c := range []struct {
			kind uint8
			guardCase
		}{
			{typeSign1, guardCase{"long", "commitment", mutated(t, payloads[typeSign1], func(m *signing.SignRound1Message2) { m.Commitment = num(lsh(256)) })}},
			{typeSign3, guardCase{"q", "theta", mutated(t, payloads[typeSign3], func(m *signing.SignRound3Message) { m.Theta = num(q) })}},
			{typeSign3, guardCase{"zero", "theta", mutated(t, payloads[typeSign3], func(m *signing.SignRound3Message) { m.Theta = []byte{0} })}},
			{typeSign4, guardCase{"off curve", "gamma.point", mutated(t, payloads[typeSign4], func(m *signing.SignRound4Message) { m.DeCommitment[2] = []byte{5} })}},
			{typeSign4, guardCase{"longer", "message.shape", mutated(t, payloads[typeSign4], func(m *signing.SignRound4Message) { m.DeCommitment = append(m.DeCommitment, []byte{1}) })}},
			{typeSign4, guardCase{"randomness", "gamma.randomness", mutated(t, payloads[typeSign4], func(m *signing.SignRound4Message) { m.DeCommitment[0] = num(lsh(300)) })}},
			{typeSign4, guardCase{"alpha", "schnorr.alpha", mutated(t, payloads[typeSign4], func(m *signing.SignRound4Message) { m.ProofAlphaX = []byte{5} })}},
			{typeSign4, guardCase{"T is q: a panic in the library", "schnorr.t", mutated(t, payloads[typeSign4], func(m *signing.SignRound4Message) { m.ProofT = num(q) })}},
			{typeSign5, guardCase{"long", "commitment", mutated(t, payloads[typeSign5], func(m *signing.SignRound5Message) { m.Commitment = num(lsh(256)) })}},
			{typeSign6, guardCase{"off curve", "phase5a.point", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.DeCommitment[4] = []byte{5} })}},
			{typeSign6, guardCase{"alpha", "schnorr.alpha", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.ProofAlphaY = []byte{5} })}},
			{typeSign6, guardCase{"T", "schnorr.t", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.ProofT = num(q) })}},
			{typeSign6, guardCase{"V alpha", "schnorr-v.alpha", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.VProofAlphaX = num(field) })}},
			{typeSign6, guardCase{"V T", "schnorr-v.t", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.VProofT = num(q) })}},
			{typeSign6, guardCase{"V U", "schnorr-v.u", mutated(t, payloads[typeSign6], func(m *signing.SignRound6Message) { m.VProofU = num(q) })}},
			{typeSign7, guardCase{"long", "commitment", mutated(t, payloads[typeSign7], func(m *signing.SignRound7Message) { m.Commitment = num(lsh(256)) })}},
			{typeSign8, guardCase{"off curve, which the library adds", "phase5c.point", mutated(t, payloads[typeSign8], func(m *signing.SignRound8Message) { m.DeCommitment[1] = []byte{5} })}},
			{typeSign9, guardCase{"q", "signature-share", mutated(t, payloads[typeSign9], func(m *signing.SignRound9Message) { m.S = num(q) })}},
		} {
			c.run(t, g, c.kind, from)
		}
	})
}

func TestGuardKeygen(t *testing.T) {
	g, _, from := guards(t)
	payloads, _ := recorded(t, "keygen")
	n, nTilde := g.known[from].N, g.known[g.self].NTilde
	q, b := order(), newBounds(nTilde)

	t.Run("1", func(t *testing.T) {
		at := func(f func(*keygen.KGRound1Message)) []byte { return mutated(t, payloads[typeKeygen1], f) }
		for _, c := range []guardCase{
			{"commitment", "commitment", at(func(m *keygen.KGRound1Message) { m.Commitment = num(lsh(256)) })},
			{"even N: a panic in the library", "moduli.even", at(func(m *keygen.KGRound1Message) { m.PaillierN = num(new(big.Int).Sub(n, one)) })},
			{"short N", "moduli.bits", at(func(m *keygen.KGRound1Message) { m.PaillierN = m.PaillierN[128:] })},
			{"long NTilde", "moduli.bits", at(func(m *keygen.KGRound1Message) { m.NTilde = append([]byte{1}, m.NTilde...) })},
			{"N = NTilde", "moduli.n=ntilde", at(func(m *keygen.KGRound1Message) { m.NTilde = m.PaillierN })},
			{"h1 = h2", "moduli.h1=h2", at(func(m *keygen.KGRound1Message) { m.H1 = m.H2 })},
			{"h1 is 1", "moduli.h1", at(func(m *keygen.KGRound1Message) { m.H1 = []byte{1} })},
			{"dln 1 shorter", "message.shape", at(func(m *keygen.KGRound1Message) { m.Dlnproof_1 = m.Dlnproof_1[1:] })},
			{"dln 1 other lengths", "dln-proof-1.length", at(func(m *keygen.KGRound1Message) { m.Dlnproof_1[0] = []byte{127} })},
			{"dln 1 response of 1", "dln-proof-1.value", at(func(m *keygen.KGRound1Message) { m.Dlnproof_1[1] = []byte{1} })},
			{"dln 2 endless exponent", "dln-proof-2.value", at(func(m *keygen.KGRound1Message) { m.Dlnproof_2[200] = num(lsh(9000)) })},
		} {
			c.run(t, g, typeKeygen1, from)
		}
		g.devModuli = false
		guardCase{"published factors", "moduli.development", payloads[typeKeygen1]}.run(t, g, typeKeygen1, from)
		g.devModuli = true
	})

	t.Run("2-direct", func(t *testing.T) {
		at := func(f func(*keygen.KGRound2Message1)) []byte { return mutated(t, payloads[typeKeygen2Direct], f) }
		proof := func(i int, x *big.Int) []byte { return at(func(m *keygen.KGRound2Message1) { part(m.FacProof, i, x) }) }
		for _, c := range []guardCase{
			{"share is q: a panic in the library", "share", at(func(m *keygen.KGRound2Message1) { m.Share = num(q) })},
			{"no factor proof", "factor-proof.parts", at(func(m *keygen.KGRound2Message1) { m.FacProof = nil })},
			{"P not below", "factor-proof.commitment", proof(0, nTilde)},
			{"T zero", "factor-proof.commitment", proof(4, zero)},
			{"sigma", "factor-proof.sigma", proof(5, lsh(4400))},
			{"z1", "factor-proof.z1", proof(6, lsh(1800))},
			{"z2", "factor-proof.z2", proof(7, lsh(1800))},
			{"w1", "factor-proof.w1", proof(8, b.blind)},
			{"w2", "factor-proof.w2", proof(9, b.blind)},
			{"v", "factor-proof.v", proof(10, lsh(5000))},
		} {
			c.run(t, g, typeKeygen2Direct, from)
		}
	})

	t.Run("2", func(t *testing.T) {
		at := func(f func(*keygen.KGRound2Message2)) []byte { return mutated(t, payloads[typeKeygen2], f) }
		proof := func(i int, x *big.Int) []byte { return at(func(m *keygen.KGRound2Message2) { part(m.ModProof, i, x) }) }
		residue := new(big.Int).Exp(big.NewInt(3), big.NewInt(2), n)
		for _, c := range []guardCase{
			{"threshold raised", "polynomial.length", at(func(m *keygen.KGRound2Message2) { m.DeCommitment = append(m.DeCommitment, m.DeCommitment[1:3]...) })},
			{"threshold lowered", "polynomial.length", at(func(m *keygen.KGRound2Message2) { m.DeCommitment = m.DeCommitment[:5] })},
			{"off curve", "polynomial.point", at(func(m *keygen.KGRound2Message2) { m.DeCommitment[3] = []byte{5} })},
			{"no modulus proof", "modulus-proof.parts", at(func(m *keygen.KGRound2Message2) { m.ModProof = nil })},
			{"W not below N", "modulus-proof.w", proof(0, n)},
			{"W a residue", "modulus-proof.w", proof(0, residue)},
			{"X not below N", "modulus-proof.x", proof(7, n)},
			{"Z zero", "modulus-proof.z", proof(modIterations+3, zero)},
			{"A too long", "modulus-proof.bits", proof(modIterations+1, lsh(81))},
			{"B too short", "modulus-proof.bits", proof(modIterations+2, lsh(79))},
		} {
			c.run(t, g, typeKeygen2, from)
		}
	})

	t.Run("3", func(t *testing.T) {
		at := func(f func(*keygen.KGRound3Message)) []byte { return mutated(t, payloads[typeKeygen3], f) }
		for _, c := range []guardCase{
			{"one less", "message.shape", at(func(m *keygen.KGRound3Message) { m.PaillierProof = m.PaillierProof[1:] })},
			{"above N", "paillier-proof.value", at(func(m *keygen.KGRound3Message) { m.PaillierProof[2] = num(n) })},
		} {
			c.run(t, g, typeKeygen3, from)
		}
	})
}

// Members that bring the same numbers are found, though each passes alone.
func TestSharedMaterialIsFound(t *testing.T) {
	g, _, from := guards(t)
	order := []common.Address{g.self, from}
	_, ok := g.independent(order)
	require.True(t, ok)

	copied := g.known[from]
	copied.H1 = g.known[g.self].H1
	g.known[from] = copied
	pair, ok := g.independent(order)
	require.False(t, ok)
	require.ElementsMatch(t, order, pair)
}

// Our copies of the library's counts; a new version of it must not change them unseen.
func TestProofPartsAreTheLibrarys(t *testing.T) {
	require.Equal(t, mta.RangeProofAliceBytesParts, aliceParts)
	require.Equal(t, mta.ProofBobBytesParts, bobParts)
	require.Equal(t, mta.ProofBobWCBytesParts, bobWCParts)
	require.Equal(t, facproof.ProofFacBytesParts, facParts)
	require.Equal(t, modproof.ProofModBytesParts, modParts)
	require.Equal(t, modproof.Iterations, modIterations)
	require.Equal(t, dlnproof.Iterations, dlnIterations)
	require.Equal(t, paillier.ProofIters, paillierParts)
}

// The library's switches that leave proofs out stand nowhere in this room, and it is imported by party*.go and guard*.go only.
func TestSourceRules(t *testing.T) {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	off := regexp.MustCompile("Set" + "NoProof")
	nonce := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		b, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		require.False(t, off.Match(b), "%s leaves proofs out", f.Name())
		base, _, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".go"), "_")
		if base != "party" && base != "guard" {
			require.NotContains(t, string(b), `"github.com/bnb-chain/`, f.Name())
		}
		if base == "party" {
			nonce += strings.Count(string(b), "SetSessionNonce(")
			made := strings.Count(string(b), "tsslib.NewParameters(") + strings.Count(string(b), "tsslib.NewReSharingParameters(")
			require.Equal(t, made, strings.Count(string(b), "SetSessionNonce("))
		}
	}
	require.NotZero(t, nonce)
}

// FuzzGuard feeds the guard whatever comes: it refuses or passes, and never panics.
func FuzzGuard(f *testing.F) {
	kg, sign, from := guards(f)
	for _, name := range []string{"keygen", "sign"} {
		payloads, _ := recorded(f, name)
		for kind, p := range payloads {
			if len(p) < 8<<10 { // the largest seeds slow the engine down and add nothing
				f.Add(kind, p)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		for _, g := range []*guard{kg, sign} {
			if s, ok := g.plan.find(kind); ok {
				g.check(s, from, payload)
			}
		}
	})
}
