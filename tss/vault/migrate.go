package vault

import "fmt"

// migrate writes a vault of an earlier scheme anew as the present one. Each file is replaced by itself, the header last: a
// crash between leaves records of both schemes under the old header, which is a vault that opens and goes on from there.
func (s *state) migrate(password []byte) error {
	if s.header.Scheme == scheme {
		return nil
	}
	for _, name := range s.index.old {
		if err := s.reseal(name); err != nil {
			return fmt.Errorf("migrate from scheme %d: %w", s.header.Scheme, err)
		}
	}
	s.index.old = nil
	from := s.header
	s.header.Scheme = scheme
	if err := s.rewrap(password, s.opened); err != nil {
		s.header = from
		return fmt.Errorf("migrate from scheme %d: %w", from.Scheme, err)
	}
	return nil
}

// reseal replaces a record's file by one of the present scheme.
func (s *state) reseal(name string) error {
	id, secret, err := s.load(name)
	if err != nil {
		return err
	}
	defer clear(secret)
	b, err := s.sealer.seal(s.env.random, id, secret)
	if err != nil {
		return err
	}
	return s.disk.write(name, b)
}
