package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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

// confirmed checks the fingerprint that somebody typed against this home's own document. Without one it is what somebody typed before, and
// the zero value when nobody did, or for another document. It changes nothing; see keepConfirmed.
func (h home) confirmed(typed string) (quorum.Fingerprint, error) {
	own := h.genesis.Fingerprint()
	if typed != "" {
		if !own.Is(typed) {
			return quorum.Fingerprint{}, errOtherFingerprint(own)
		}
		return own, nil
	}
	kept, err := os.ReadFile(h.confirmedPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return quorum.Fingerprint{}, nil
	case err != nil:
		return quorum.Fingerprint{}, problem(Setup, "the home must be readable", "read what was confirmed: %w", err)
	case !own.Is(string(kept)):
		return quorum.Fingerprint{}, nil
	}
	return own, nil
}

// keepConfirmed writes down what an operator confirmed, so that a service that is started again in the middle of a ceremony goes on. The
// data folder must be there.
func (h home) keepConfirmed(f quorum.Fingerprint) error {
	if f == (quorum.Fingerprint{}) {
		return nil
	}
	if err := config.Replace(h.confirmedPath(), []byte(f.Code()+"\n"), 0o600); err != nil {
		return problem(Setup, "the home must be writable", "keep what was confirmed: %w", err)
	}
	return nil
}

func (h home) confirmedPath() string { return filepath.Join(h.cfg.DataPath(), "confirmed") }

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
