package batch

import (
	"bytes"

	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// itemOwed checks that a certificate says that the item is owed, or the operators: their word outranks certificates, and
// what they resolved carries none.
func (s *State) itemOwed(it Item, prove bool) error {
	c := it.Content
	if r, ok := s.standing(c.WID); ok {
		return s.asResolved(r, c, true, empty(it.Cert, quorum.UncheckedCertificate{}))
	}
	if it.Cert.WID != c.WID || it.Cert.Account != c.Account || it.Cert.Content != c.Hash(s.Network) {
		return invalid("the certificate of withdrawal %d is of another content", c.WID)
	}
	if it.Cert.Policy != s.Policy.Ref() || it.Cert.Epoch != s.Roster.Epoch {
		return invalid("the certificate of withdrawal %d is of another policy or epoch", c.WID)
	}
	if !prove {
		return nil
	}
	if _, err := it.Cert.Verify(s.Network, s.Roster); err != nil {
		return invalid("withdrawal %d: %v", c.WID, err)
	}
	return nil
}

// rejectDue is itemOwed for what is never paid.
func (s *State) rejectDue(r Reject, prove bool) error {
	c := r.Content
	if word, ok := s.standing(c.WID); ok {
		return s.asResolved(word, c, false, empty(r.Cert, quorum.UncheckedRefusal{}))
	}
	if r.Cert.WID != c.WID || r.Cert.Content != c.Hash(s.Network) {
		return invalid("the refusal of withdrawal %d is of another content", c.WID)
	}
	if r.Cert.Policy != s.Policy.Ref() || r.Cert.Epoch != s.Roster.Epoch {
		return invalid("the refusal of withdrawal %d is of another policy or epoch", c.WID)
	}
	if !prove {
		return nil
	}
	if _, err := r.Cert.Verify(s.Network, s.Roster); err != nil {
		return invalid("withdrawal %d: %v", c.WID, err)
	}
	return nil
}

// asResolved compares an entry with the operators' word on it.
func (s *State) asResolved(word resolution, c quorum.Content, pay, bare bool) error {
	switch {
	case word.Content != c || word.Pay != pay:
		return invalid("the operators resolved withdrawal %d otherwise", c.WID)
	case !bare:
		return invalid("withdrawal %d is resolved by the operators and carries no certificate", c.WID)
	}
	return nil
}

// empty reports whether a certificate is none at all: one encoding for "no certificate".
func empty(cert, none any) bool {
	a, errA := rlp.EncodeToBytes(cert)
	b, errB := rlp.EncodeToBytes(none)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
