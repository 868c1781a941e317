package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
	"conclave/tss"
)

// sharePrefix begins the names of shares' files.
const sharePrefix = "share-"

// Lengths of the ids.
const (
	preParamsID = common.HashLength
	shareID     = len(quorum.PublicKey{}) + common.HashLength
)

func idOfPreParams(fingerprint common.Hash) recordID {
	return recordID{Kind: kindPreParams, ID: fingerprint.Bytes()}
}

func idOfShare(key quorum.PublicKey, epoch uint64, session common.Hash) recordID {
	return recordID{Kind: kindShare, ID: append(key[:len(key):len(key)], session[:]...), Epoch: epoch}
}

// key is the public key in a share's id.
func (id recordID) key() quorum.PublicKey { return quorum.PublicKey(id.ID[:len(quorum.PublicKey{})]) }

// file is the record's name on disk. It fails for what no record is called.
func (id recordID) file() (string, error) {
	switch {
	case id.Kind == kindPreParams && len(id.ID) == preParamsID && id.Epoch == 0:
		return fmt.Sprintf("preparams-%x%s", id.ID, sealedSuffix), nil
	case id.Kind == kindShare && len(id.ID) == shareID:
		return fmt.Sprintf("%se%d-%x-%x%s", sharePrefix, id.Epoch, id.key(), id.ID[len(quorum.PublicKey{}):], sealedSuffix), nil
	case id.Kind != kindPreParams && id.Kind != kindShare:
		return "", fmt.Errorf("%w: record of kind %d", ErrScheme, id.Kind)
	}
	return "", fmt.Errorf("%w: record id", ErrDamaged)
}

// index is what a vault knows of its records without keeping secrets.
type index struct {
	shares map[string]recordID      // by file
	sets   map[common.Hash]string   // files of preparameters, by fingerprint
	used   map[common.Hash]struct{} // fingerprints that shares name
	old    []string                 // files of an earlier scheme
}

// scan opens every record once, so that damage shows when the vault is opened and not when a share is needed.
func (s *state) scan() error {
	names, err := s.disk.records()
	if err != nil {
		return err
	}
	s.index = index{shares: map[string]recordID{}, sets: map[common.Hash]string{}, used: map[common.Hash]struct{}{}}
	for _, name := range names {
		r, secret, err := s.loadRecord(name)
		if errors.Is(err, errGone) && s.reading {
			continue // of a node that goes on beside this process
		}
		if err != nil {
			return err
		}
		if r.Scheme != scheme {
			s.index.old = append(s.index.old, name)
		}
		err = s.enter(name, r.ID, secret)
		clear(secret)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// enter adds a record to the index.
func (s *state) enter(name string, id recordID, secret []byte) error {
	if id.Kind == kindPreParams {
		s.index.sets[common.BytesToHash(id.ID)] = name
		return nil
	}
	var b shareBody
	if err := rlp.DecodeBytes(secret, &b); err != nil {
		return fmt.Errorf("%w: share", ErrDamaged)
	}
	clear(b.Share)
	s.index.shares[name] = id
	if b.MadeWith != (common.Hash{}) {
		s.index.used[b.MadeWith] = struct{}{}
	}
	return nil
}

// errGone is damage by absence.
var errGone = fmt.Errorf("%w: a record is gone", ErrDamaged)

// load reads a record and opens it. The caller wipes the secret.
func (s *state) load(name string) (recordID, []byte, error) {
	r, secret, err := s.loadRecord(name)
	return r.ID, secret, err
}

// loadRecord is load with the record's frame.
func (s *state) loadRecord(name string) (record, []byte, error) {
	b, err := s.disk.read(name, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil, fmt.Errorf("%w: %s", errGone, name)
	}
	if err != nil {
		return record{}, nil, err
	}
	r, err := decodeRecord(b)
	if err != nil {
		return record{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	if is, err := r.ID.file(); err != nil || is != name {
		return record{}, nil, fmt.Errorf("%w: %s holds another record", ErrDamaged, name)
	}
	// The header is migrated last: behind it nothing of an earlier scheme is left, and nobody can bring it back.
	if r.Scheme < s.header.Scheme {
		return record{}, nil, fmt.Errorf("%w: %s is of an earlier scheme than its vault", ErrDamaged, name)
	}
	secret, err := s.sealer.open(r)
	if err != nil {
		return record{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, secret, nil
}

// store seals a record and makes it durable.
func (s *state) store(id recordID, secret []byte) (string, error) {
	name, err := id.file()
	if err != nil {
		return "", err
	}
	if len(s.index.shares)+len(s.index.sets) >= maxRecords {
		return "", fmt.Errorf("%w: %d", ErrFull, maxRecords)
	}
	b, err := s.sealer.seal(s.env.random, id, secret)
	if err != nil {
		return "", err
	}
	if len(b) > maxRecord {
		return "", fmt.Errorf("a record of %d bytes", len(b))
	}
	return name, s.disk.write(name, b)
}

// share loads the share of a record and checks that it is what the record says.
func (s *state) share(name string) (*tss.KeyShare, error) {
	id, secret, err := s.load(name)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	var b shareBody
	if err := rlp.DecodeBytes(secret, &b); err != nil {
		return nil, fmt.Errorf("%w: share", ErrDamaged)
	}
	defer clear(b.Share)
	share, err := tss.LoadKeyShare(b.Share)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := share.Transcript()
	is := idOfShare(t.PublicKey, t.Epoch, t.Session)
	if share.Self() != s.sealer.id.Node || !bytes.Equal(is.ID, id.ID) || is.Epoch != id.Epoch {
		return nil, fmt.Errorf("%w: %s holds another share", ErrDamaged, name)
	}
	return share, nil
}
