package quorum

import (
	"encoding/hex"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// fingerprintGroups is how much of a fingerprint people read out, in groups of four hexadecimal digits. 80 bits are out of reach for who
// wants another document with the code of this one; and who makes two documents with one code has two networks, whose members do not
// hear each other.
const fingerprintGroups = 5

// foundingEpoch is the epoch of the key that a network begins with.
const foundingEpoch = 1

// Fingerprint stands for what the members of a network confirm to each other before they make its key: the whole document, the epoch,
// who the members are, and how many of them decide and sign. Nobody signs it; [Fingerprint.Code] is read out.
type Fingerprint common.Hash

// Fingerprint is that of the key generation which a document asks for.
func (g Genesis) Fingerprint() Fingerprint {
	ids := make(Members, len(g.Members))
	for i, m := range g.Members {
		ids[i] = m.Address
	}
	return Fingerprint(Digest(KindFingerprint, g.ID(), struct {
		Epoch     uint64
		Members   Members
		Threshold uint64
	}{foundingEpoch, ids, uint64(ids.Q())}))
}

// Code is the fingerprint as people read it out: "3f2a 91bc 07de 5510 c4a8".
func (f Fingerprint) Code() string {
	var groups []string
	for i := range fingerprintGroups {
		groups = append(groups, hex.EncodeToString(f[2*i:2*i+2]))
	}
	return strings.Join(groups, " ")
}

// Is reports whether people mean this fingerprint by a text: its code, in whatever case and with whatever between the digits.
func (f Fingerprint) Is(text string) bool {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_.:\t\r\n", r) {
			return -1
		}
		return r
	}, strings.ToLower(text))
	return digits == strings.ReplaceAll(f.Code(), " ", "")
}
