package daemon

import (
	"errors"

	"conclave/node/config"
	"conclave/quorum"
)

// Document is the genesis document that a home joined, which q operators signed. It reads nothing else but the configuration.
func Document(dir string) (quorum.Genesis, error) {
	cfg, err := config.Load(dir)
	if err != nil {
		return quorum.Genesis{}, err
	}
	h := home{cfg: cfg}
	if err := h.readGenesis(); err != nil {
		return quorum.Genesis{}, err
	}
	return h.genesis, nil
}

// confirmed checks the fingerprint that somebody typed against this home's own document; the zero value without one.
func (h home) confirmed(typed string) (quorum.Fingerprint, error) {
	own := h.genesis.Fingerprint()
	switch {
	case typed == "":
		return quorum.Fingerprint{}, nil
	case !own.Is(typed):
		return quorum.Fingerprint{}, errOtherFingerprint(own)
	}
	return own, nil
}

// CheckFingerprint is nil when a text is the fingerprint of a document.
func CheckFingerprint(g quorum.Genesis, typed string) error {
	if own := g.Fingerprint(); !own.Is(typed) {
		return errOtherFingerprint(own)
	}
	return nil
}

var errTyped = errors.New("that is another fingerprint")

func errOtherFingerprint(own quorum.Fingerprint) error {
	return problem(Refused, hintFingerprint, "%w: this home's network has %s", errTyped, own.Code())
}

// hintFingerprint is for people who stand before two fingerprints.
const hintFingerprint = "stop; compare `conclave network show` with every other member, line by line; nothing was made"
