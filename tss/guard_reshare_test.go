package tss

import (
	"math/big"
	"slices"
	"testing"

	"github.com/bnb-chain/tss-lib/v3/ecdsa/resharing"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// recordedReshare is the request of the recorded resharing, and its session at the receiver, who joins: everything that one
// who stays sent to it. With old is a receiver that holds its old share besides.
func recordedReshare(t testing.TB, withOld bool) (s *session, from common.Address) {
	hd := handoverOf(t, nil, testShares(t), []int{0, 1, 2}, []int{1, 4}, 2)
	req, self := hd.request, addressOf(4)
	from = addressOf(1)
	if withOld {
		req.Share = testShares(t)[3]
	}
	req.PreParams = devPreParams(t, 4+slices.Index(req.Members, self))
	s = &session{
		plan: resharePlan(), self: self, order: hd.everyone(), held: map[slot]Envelope{},
		cast: &cast{dealers: req.Dealers, listeners: req.Members},
	}
	var err error
	s.guard, err = reshareGuard(s, req, true)
	require.NoError(t, err)
	s.guard.known[from] = devPreParams(t, 4+slices.Index(req.Members, from)).moduli()
	return s, from
}

func TestGuardReshare(t *testing.T) {
	s, from := recordedReshare(t, false)
	holder, _ := recordedReshare(t, true)
	g := s.guard
	payloads, _ := recorded(t, "reshare")
	for _, sp := range g.plan.specs {
		if sp.name == "" {
			continue
		}
		for _, g := range []*guard{g, holder.guard} {
			m, bad := g.check(sp, from, payloads[sp.kind])
			require.Nil(t, bad, "%s: %v", sp.name, bad)
			require.Equal(t, sp.broadcast, m.msg.IsBroadcast())
		}
	}
	n, nTilde := g.known[from].N, g.known[g.self].NTilde
	q, b := order(), newBounds(nTilde)

	t.Run("1", func(t *testing.T) {
		at := func(f func(*resharing.DGRound1Message)) []byte { return mutated(t, payloads[typeReshare1], f) }
		other := testShares(t)[0].parties[0].x
		for _, c := range []guardCase{
			{"another key", "payer", at(func(m *resharing.DGRound1Message) { m.EcdsaPubX, m.EcdsaPubY = num(other.x), num(other.y) })},
			{"its negative", "payer", at(func(m *resharing.DGRound1Message) {
				m.EcdsaPubY = num(new(big.Int).Sub(crypto.S256().Params().P, new(big.Int).SetBytes(m.EcdsaPubY)))
			})},
			{"off the curve", "payer.point", at(func(m *resharing.DGRound1Message) { m.EcdsaPubY = []byte{5} })},
			{"long commitment", "commitment", at(func(m *resharing.DGRound1Message) { m.VCommitment = num(lsh(256)) })},
			{"no session", "session", at(func(m *resharing.DGRound1Message) { m.Ssid = nil })},
			{"endless session", "session", at(func(m *resharing.DGRound1Message) { m.Ssid = make([]byte, 33) })},
		} {
			c.run(t, g, typeReshare1, from)
		}
		own := g.handed.ssid
		g.handed.ssid = func() []byte { return []byte{1} }
		guardCase{"another session than a dealer's own", "session", payloads[typeReshare1]}.run(t, g, typeReshare1, from)
		g.handed.ssid = own
	})

	t.Run("2", func(t *testing.T) {
		at := func(f func(*resharing.DGRound2Message1)) []byte { return mutated(t, payloads[typeReshare2], f) }
		proof := func(i int, x *big.Int) []byte {
			return at(func(m *resharing.DGRound2Message1) { part(m.ModProof, i, x) })
		}
		for _, c := range []guardCase{
			{"a modulus of 1024 bits", ruleBits, at(func(m *resharing.DGRound2Message1) { m.PaillierN = m.PaillierN[128:] })},
			{"a ring of 1024 bits", ruleBits, at(func(m *resharing.DGRound2Message1) { m.NTilde = m.NTilde[128:] })},
			{"even N: a panic in the library", ruleEven, at(func(m *resharing.DGRound2Message1) { m.PaillierN = num(new(big.Int).Sub(n, one)) })},
			{"N = NTilde", ruleRing, at(func(m *resharing.DGRound2Message1) { m.NTilde = m.PaillierN })},
			{"h1 = h2", ruleH, at(func(m *resharing.DGRound2Message1) { m.H1 = m.H2 })},
			{"dln 1 response of 1", "dln-proof-1.value", at(func(m *resharing.DGRound2Message1) { m.Dlnproof_1[1] = []byte{1} })},
			{"dln 2 endless exponent", "dln-proof-2.value", at(func(m *resharing.DGRound2Message1) { m.Dlnproof_2[200] = num(lsh(9000)) })},
			{"no modulus proof", "modulus-proof.parts", at(func(m *resharing.DGRound2Message1) { m.ModProof = nil })},
			{"W zero: the forgery", "modulus-proof.w", at(func(m *resharing.DGRound2Message1) { m.ModProof[0] = []byte{0} })},
			{"W a residue", "modulus-proof.w", proof(0, new(big.Int).Exp(big.NewInt(3), big.NewInt(2), n))},
			{"X not below N", "modulus-proof.x", proof(7, n)},
			{"A too long", "modulus-proof.bits", proof(modIterations+1, lsh(81))},
		} {
			c.run(t, g, typeReshare2, from)
		}
		// Material of the epoch before, of whomever: its owner left, and its factors may have too.
		held := holder.guard.handed.old
		for _, old := range []moduli{g.known[from], {N: g.known[from].NTilde, NTilde: held[0].NTilde, H1: held[0].H1, H2: held[0].H2}} {
			holder.guard.handed.old = []moduli{held[1], old}
			guardCase{"used before", "moduli.stale", payloads[typeReshare2]}.run(t, holder.guard, typeReshare2, from)
		}
		holder.guard.handed.old = held
		g.devModuli = false
		guardCase{"published factors", "moduli.development", payloads[typeReshare2]}.run(t, g, typeReshare2, from)
		g.devModuli = true
	})

	t.Run("3", func(t *testing.T) {
		at := func(f func(*resharing.DGRound3Message2)) []byte { return mutated(t, payloads[typeReshare3], f) }
		raised := at(func(m *resharing.DGRound3Message2) {
			m.VDecommitment = append(m.VDecommitment, m.VDecommitment[1:3]...)
		})
		for _, c := range []guardCase{
			{"threshold raised", "polynomial.length", raised},
			{"threshold lowered", "polynomial.length", at(func(m *resharing.DGRound3Message2) { m.VDecommitment = m.VDecommitment[:3] })},
			{"off the curve", "polynomial.point", at(func(m *resharing.DGRound3Message2) { m.VDecommitment[3] = []byte{5} })},
		} {
			c.run(t, g, typeReshare3, from)
		}
		swapped := at(func(m *resharing.DGRound3Message2) {
			v := m.VDecommitment
			v[1], v[2], v[3], v[4] = v[3], v[4], v[1], v[2]
		})
		guardCase{"another constant, which only the sum would show", "polynomial.constant", swapped}.run(t, holder.guard, typeReshare3, from)

		direct := func(x *big.Int) []byte {
			return mutated(t, payloads[typeReshare3Direct], func(m *resharing.DGRound3Message1) { m.Share = num(x) })
		}
		guardCase{"share is q: a panic in the library", "share", direct(q)}.run(t, g, typeReshare3Direct, from)
		zeroed := mutated(t, payloads[typeReshare3Direct], func(m *resharing.DGRound3Message1) { m.Share = []byte{0} })
		guardCase{"share is zero", "share", zeroed}.run(t, g, typeReshare3Direct, from)
	})

	t.Run("4", func(t *testing.T) {
		at := func(f func(*resharing.DGRound4Message1)) []byte { return mutated(t, payloads[typeReshare4Direct], f) }
		proof := func(i int, x *big.Int) []byte {
			return at(func(m *resharing.DGRound4Message1) { part(m.FacProof, i, x) })
		}
		for _, c := range []guardCase{
			{"no factor proof", "factor-proof.parts", at(func(m *resharing.DGRound4Message1) { m.FacProof = m.FacProof[1:] })},
			{"P not below", "factor-proof.commitment", proof(0, nTilde)},
			{"sigma", "factor-proof.sigma", proof(5, lsh(4400))},
			{"z1", "factor-proof.z1", proof(6, lsh(1800))},
			{"w1", "factor-proof.w1", proof(8, b.blind)},
			{"v", "factor-proof.v", proof(10, lsh(5000))},
		} {
			c.run(t, g, typeReshare4Direct, from)
		}
	})
}

// What holds for every message holds for these: one encoding, our table's type and class, nothing that nobody reads.
func TestEveryMessageOfResharingIsParsedByOurTable(t *testing.T) {
	s, from := recordedReshare(t, false)
	payloads, _ := recorded(t, "reshare")
	for _, sp := range s.plan.specs {
		if sp.name == "" {
			continue
		}
		whole := payloads[sp.kind]
		var box anypb.Any
		require.NoError(t, proto.Unmarshal(whole, &box))
		extra := proto.Clone(&box).(*anypb.Any)
		extra.Value = protowire.AppendVarint(protowire.AppendTag(extra.Value, 99, protowire.VarintType), 1)
		more, err := proto.Marshal(extra)
		require.NoError(t, err)
		renamed, err := proto.Marshal(&anypb.Any{TypeUrl: "example.org/" + sp.name, Value: box.Value})
		require.NoError(t, err)
		stranger := payloads[typeReshare1]
		if sp.kind == typeReshare1 {
			stranger = payloads[typeReshare3]
		}
		for _, c := range []guardCase{
			{"cut", "message.encoding", whole[:len(whole)-1]},
			{"nothing", "message.encoding", nil},
			{"unknown field", "message.unknown-fields", more},
			{"another prefix", "message.type", renamed},
			{"another round's", "message.type", stranger},
		} {
			c.run(t, s.guard, sp.kind, from)
		}
	}
}

// To one who joins, dealers that name different sessions look alike: nobody is to blame. The library compares all but one.
func TestDealersOfDifferentSessions(t *testing.T) {
	s, from := recordedReshare(t, false)
	payloads, _ := recorded(t, "reshare")
	for _, d := range s.cast.dealers {
		s.held[slot{1, typeReshare1, common.Address{}, d}] = Envelope{Payload: payloads[typeReshare1]}
	}
	require.Nil(t, s.acrossReshare(1))
	for _, d := range s.cast.dealers {
		at := slot{1, typeReshare1, common.Address{}, d}
		s.held[at] = Envelope{Payload: mutated(t, payloads[typeReshare1], func(m *resharing.DGRound1Message) { m.Ssid[0] ^= 1 })}
		out := s.acrossReshare(1)
		require.NotNil(t, out)
		require.Equal(t, Unattributed, out.Ending)
		require.Contains(t, out.Suspects, d)
		s.held[at] = Envelope{Payload: payloads[typeReshare1]}
	}
	require.Nil(t, s.acrossReshare(2))
	s.guard.known[from] = s.guard.known[s.self]
	require.Equal(t, []common.Address{from}, s.acrossReshare(2).Culprits, "who shares our material copied it")
	require.Nil(t, s.acrossReshare(3))
}

// FuzzGuardReshare feeds the guard whatever comes: it refuses or passes, and never panics.
func FuzzGuardReshare(f *testing.F) {
	s, from := recordedReshare(f, false)
	holder, _ := recordedReshare(f, true)
	payloads, _ := recorded(f, "reshare")
	for kind, p := range payloads {
		if len(p) < 8<<10 { // the largest seed slows the engine down and adds nothing
			f.Add(kind, p)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		for _, s := range []*session{s, holder} {
			if sp, ok := s.plan.find(kind); ok {
				s.guard.check(sp, from, payload)
				s.held[slot{1, typeReshare1, common.Address{}, from}] = Envelope{Payload: payload}
				s.dealt(from)
			}
		}
	})
}
