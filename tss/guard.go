package tss

import (
	"fmt"
	"math/big"

	"github.com/bnb-chain/tss-lib/v3/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/signing"
	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
)

// The guard reads every message before the library does. It checks what can be checked of one message by itself: the type
// against our table, each number against its range, each point against the curve. The equations are the library's. What it
// refuses is also what would make the library panic in a goroutine of its own: an even modulus in a Jacobi symbol, a
// response that is zero modulo q, a list shorter than its reader believes; and exponents so long that they never end.

// checked is a message that passed the guard; nothing else can be fed to the library.
type checked struct {
	from common.Address
	msg  tsslib.ParsedMessage
}

// guard knows the public numbers of a session's participants.
type guard struct {
	plan      plan
	threshold int                        // q: signers of the key
	self      common.Address             // the receiver whose ring direct proofs are over
	ids       map[common.Address]partyID // as the library knows them
	known     map[common.Address]moduli  // all in signing, filled by round 1 in key generation
	sieve     *sieve                     // where members bring material
	devModuli bool                       // development moduli are accepted
	handed    *handedKey                 // resharing only
}

// partyID is the library's name of a participant.
type partyID = *tsslib.PartyID

// typePrefix stands before a message's name in its box; other prefixes resolve too, and would be other bytes for one message.
const typePrefix = "type.googleapis.com/"

// check reads one message of a known sender and class. A refusal names the rule.
func (g *guard) check(s spec, from common.Address, payload []byte) (checked, *refusal) {
	parsed, err := tsslib.ParseWireMessage(payload, g.id(s, from), s.broadcast)
	if err != nil {
		return checked{}, &refusal{"message.encoding"}
	}
	box := parsed.WireMsg().GetMessage()
	if parsed.Type() != s.name || box.GetTypeUrl() != typePrefix+s.name {
		return checked{}, &refusal{"message.type"}
	}
	if len(parsed.Content().ProtoReflect().GetUnknown()) > 0 || len(box.ProtoReflect().GetUnknown()) > 0 {
		return checked{}, &refusal{"message.unknown-fields"}
	}
	if !parsed.ValidateBasic() {
		return checked{}, &refusal{"message.shape"}
	}
	var r reading
	content := parsed.Content()
	if !g.readKeygen(&r, from, content) && !g.readSigning(&r, from, content) && !g.readReshare(&r, from, content) {
		return checked{}, &refusal{"message.type"}
	}
	if r.broken != "" {
		return checked{}, &refusal{r.broken}
	}
	return checked{from, parsed}, nil
}

// readKeygen reads a message of key generation, and reports whether it is one.
func (g *guard) readKeygen(r *reading, from common.Address, content tsslib.MessageContent) bool {
	switch m := content.(type) {
	case *keygen.KGRound1Message:
		r.hash("commitment", m.GetCommitment())
		g.readMaterial(r, from, m)

	case *keygen.KGRound2Message1:
		r.scalar("share", m.GetShare())
		r.facProof(m.GetFacProof(), g.known[from].N, g.known[g.self].NTilde)

	case *keygen.KGRound2Message2:
		r.decommitment("polynomial", m.GetDeCommitment(), g.threshold)
		r.modProof(m.GetModProof(), g.known[from].N)

	case *keygen.KGRound3Message:
		if r.parts("paillier-proof.parts", m.GetPaillierProof(), paillierParts) {
			for _, x := range m.GetPaillierProof() {
				r.unit("paillier-proof.value", x, g.known[from].N)
			}
		}

	default:
		return false
	}
	return true
}

// material is what a member brings to a key, in whichever message it comes.
type material interface {
	GetPaillierN() []byte
	GetNTilde() []byte
	GetH1() []byte
	GetH2() []byte
	GetDlnproof_1() [][]byte
	GetDlnproof_2() [][]byte
}

// readMaterial reads what a member brings to a key, applies the rules of moduli and remembers it for the later rounds.
func (g *guard) readMaterial(r *reading, from common.Address, m material) {
	top := new(big.Int).Lsh(one, modulusBits)
	own := moduli{
		N:      r.number(ruleBits, m.GetPaillierN(), one, top),
		NTilde: r.number(ruleBits, m.GetNTilde(), one, top),
		H1:     r.number(ruleH1, m.GetH1(), one, top),
		H2:     r.number(ruleH2, m.GetH2(), one, top),
	}
	if r.broken == "" {
		r.want(brokenRule(g.sieve.check(own)))
		r.want("moduli.development", g.devModuli || !own.development())
	}
	if r.broken == "" {
		r.dln("dln-proof-1", m.GetDlnproof_1(), own.NTilde)
		r.dln("dln-proof-2", m.GetDlnproof_2(), own.NTilde)
	}
	if r.broken == "" {
		g.known[from] = own
	}
}

// readSigning reads a message of signing, and reports whether it is one.
func (g *guard) readSigning(r *reading, from common.Address, content tsslib.MessageContent) bool {
	sender, own := g.known[from], g.known[g.self]

	switch m := content.(type) {
	case *signing.SignRound1Message1:
		r.unit("ciphertext", m.GetC(), new(big.Int).Mul(sender.N, sender.N))
		r.alice(m.GetRangeProofAlice(), sender.N, own.NTilde)

	case *signing.SignRound1Message2:
		r.hash("commitment", m.GetCommitment())

	case *signing.SignRound2Message:
		// The answer is encrypted to the receiver.
		square := new(big.Int).Mul(own.N, own.N)
		r.unit("ciphertext", m.GetC1(), square)
		r.unit("ciphertext", m.GetC2(), square)
		r.bob("mta-proof", m.GetProofBob(), own.N, own.NTilde, false)
		r.bob("mta-proof-wc", m.GetProofBobWc(), own.N, own.NTilde, true)

	case *signing.SignRound3Message:
		r.scalar("theta", m.GetTheta())

	case *signing.SignRound4Message:
		r.decommitment("gamma", m.GetDeCommitment(), 1)
		r.point("schnorr.alpha", m.GetProofAlphaX(), m.GetProofAlphaY())
		r.scalar("schnorr.t", m.GetProofT())

	case *signing.SignRound5Message:
		r.hash("commitment", m.GetCommitment())

	case *signing.SignRound6Message:
		r.decommitment("phase5a", m.GetDeCommitment(), 2)
		r.point("schnorr.alpha", m.GetProofAlphaX(), m.GetProofAlphaY())
		r.scalar("schnorr.t", m.GetProofT())
		r.point("schnorr-v.alpha", m.GetVProofAlphaX(), m.GetVProofAlphaY())
		r.scalar("schnorr-v.t", m.GetVProofT())
		r.scalar("schnorr-v.u", m.GetVProofU())

	case *signing.SignRound7Message:
		r.hash("commitment", m.GetCommitment())

	case *signing.SignRound8Message:
		// The library adds these points without looking whether they are on the curve.
		r.decommitment("phase5c", m.GetDeCommitment(), 2)

	case *signing.SignRound9Message:
		r.scalar("signature-share", m.GetS())

	default:
		return false
	}
	return true
}

// independent checks, after round 1 of a key generation, that the material of all members is independent. It returns the
// pair that shares something.
func (g *guard) independent(order []common.Address) (pair []common.Address, ok bool) {
	all := make([]moduli, len(order))
	for i, m := range order {
		all[i] = g.known[m]
	}
	if i, j, found := clash(all); found {
		return []common.Address{order[i], order[j]}, false
	}
	return nil, true
}

// libraryIDs names participants for the library: fresh values for each session, because the library writes to them.
func libraryIDs(sorted []common.Address, epoch uint64) tsslib.SortedPartyIDs {
	ids := make(tsslib.UnSortedPartyIDs, len(sorted))
	for i, m := range sorted {
		ids[i] = tsslib.NewPartyID(fmt.Sprintf("%x", m[:4]), "", partyKey(m, epoch))
	}
	return tsslib.SortPartyIDs(ids)
}

// namedParties gives the library's name of each participant, for a guard that stands alone.
func namedParties(sorted []common.Address, epoch uint64) map[common.Address]partyID {
	out := map[common.Address]partyID{}
	for i, id := range libraryIDs(sorted, epoch) {
		out[sorted[i]] = id
	}
	return out
}
