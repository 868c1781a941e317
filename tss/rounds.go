package tss

// Types of protocol messages. They are part of signed envelopes, so a number never changes its meaning.
const (
	typeKeygen1       = 1 // commitment, moduli and their proofs
	typeKeygen2Direct = 2 // the receiver's share
	typeKeygen2       = 3 // decommitment
	typeKeygen3       = 4 // Paillier proof
	typeTranscript    = 5 // the transcript, signed: ours, not the library's

	typeSign1Direct = 17
	typeSign1       = 18
	typeSign2       = 19
	typeSign3       = 20
	typeSign4       = 21
	typeSign5       = 22
	typeSign6       = 23
	typeSign7       = 24
	typeSign8       = 25
	typeSign9       = 26

	typeEcho  = 240 // the signed broadcasts of a round that the sender holds
	typeAbort = 241 // the sender has given up, and why
	typeDone  = 242 // the final signature
)

// spec says how one type of message travels. The class is ours: a wrong flag would stall the library silently.
type spec struct {
	kind      uint8
	round     uint8
	broadcast bool
	name      string // the library's, empty for our own messages
}

const (
	keygenPackage = "binance.tsslib.ecdsa.keygen."
	signPackage   = "binance.tsslib.ecdsa.signing."
)

// plan is one protocol: what each round consists of.
type plan struct {
	name     string
	specs    []spec
	rounds   uint8 // the last one
	library  uint8 // the last one that is the library's
	maxFrame int
}

// keygenPlan is GG18 key generation and one round of ours, in which all members sign the transcript.
func keygenPlan() plan {
	return plan{name: "keygen", rounds: 4, library: 3, maxFrame: MaxKeygenFrame, specs: []spec{
		{typeKeygen1, 1, true, keygenPackage + "KGRound1Message"},
		{typeKeygen2Direct, 2, false, keygenPackage + "KGRound2Message1"},
		{typeKeygen2, 2, true, keygenPackage + "KGRound2Message2"},
		{typeKeygen3, 3, true, keygenPackage + "KGRound3Message"},
		{typeTranscript, 4, true, ""},
	}}
}

// signPlan is GG18 signing with its nine rounds.
func signPlan() plan {
	return plan{name: "sign", rounds: 9, library: 9, maxFrame: MaxSignFrame, specs: []spec{
		{typeSign1Direct, 1, false, signPackage + "SignRound1Message1"},
		{typeSign1, 1, true, signPackage + "SignRound1Message2"},
		{typeSign2, 2, false, signPackage + "SignRound2Message"},
		{typeSign3, 3, true, signPackage + "SignRound3Message"},
		{typeSign4, 4, true, signPackage + "SignRound4Message"},
		{typeSign5, 5, true, signPackage + "SignRound5Message"},
		{typeSign6, 6, true, signPackage + "SignRound6Message"},
		{typeSign7, 7, true, signPackage + "SignRound7Message"},
		{typeSign8, 8, true, signPackage + "SignRound8Message"},
		{typeSign9, 9, true, signPackage + "SignRound9Message"},
	}}
}

// find returns the spec of a type.
func (p plan) find(kind uint8) (spec, bool) {
	for _, s := range p.specs {
		if s.kind == kind {
			return s, true
		}
	}
	return spec{}, false
}

// byName returns the spec of a library message.
func (p plan) byName(name string) (spec, bool) {
	for _, s := range p.specs {
		if s.name != "" && s.name == name {
			return s, true
		}
	}
	return spec{}, false
}

// of returns the specs of one round.
func (p plan) of(round uint8) []spec {
	var out []spec
	for _, s := range p.specs {
		if s.round == round {
			out = append(out, s)
		}
	}
	return out
}

// echoes reports whether a round's broadcasts are shown to each other before they are used. Our own closing round needs none:
// a difference between transcripts shows by itself.
func (p plan) echoes(round uint8) bool {
	for _, s := range p.of(round) {
		if s.broadcast && s.name != "" {
			return true
		}
	}
	return false
}

// messages is how many messages of the protocol one member sends to n−1 others at most.
func (p plan) messages(n int) int { return len(p.specs) * n }
