package relay

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// scanner walks one JSON value that encoding/json has found valid, so that it never has to doubt the grammar: it only
// decides what the fields are. encoding/json alone would take the last of two equal fields, match names whatever
// their case and leave absent ones at zero.
type scanner struct {
	b []byte
	i int
}

// newScanner refuses what is not exactly one JSON value in UTF-8.
func newScanner(body []byte) (*scanner, *Refusal) {
	if !utf8.Valid(body) {
		return nil, refuse(RuleNotJSON, "not UTF-8")
	}
	if !json.Valid(body) {
		dec := json.NewDecoder(bytes.NewReader(body))
		var first json.RawMessage
		if dec.Decode(&first) == nil {
			return nil, refuse(RuleTrailingData, "%s after the JSON value", clip(string(body[dec.InputOffset():])))
		}
		return nil, refuse(RuleNotJSON, "%s", clip(string(body)))
	}
	return &scanner{b: body}, nil
}

// peek skips blanks and returns the next byte.
func (s *scanner) peek() byte {
	for {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
}

// object reads an object of which names are known: each must be there once; others are passed over, because the Relay may
// learn new ones. read is called with the cursor on the value of names[i].
func (s *scanner) object(names []string, read func(i int) *Refusal) *Refusal {
	if s.peek() != '{' {
		return refuse(RuleFieldType, "want an object, have %s", clip(string(s.raw())))
	}
	s.i++
	var seen uint32
	for s.peek() != '}' {
		if s.peek() == ',' {
			s.i++
			s.peek()
		}
		key := s.text()
		s.peek()
		s.i++ // the colon
		i := index(names, key)
		if i < 0 {
			s.skip()
			continue
		}
		if seen&(1<<i) != 0 {
			return refuse(RuleFieldRepeated, "%s", names[i])
		}
		seen |= 1 << i
		if r := read(i); r != nil {
			return r
		}
	}
	s.i++
	for i, name := range names {
		if seen&(1<<i) == 0 {
			return refuse(RuleFieldMissing, "%s", name)
		}
	}
	return nil
}

func index(names []string, key string) int {
	for i, name := range names {
		if name == key {
			return i
		}
	}
	return -1
}

// array calls read on each element.
func (s *scanner) array(read func(i int) *Refusal) *Refusal {
	if s.peek() != '[' {
		return refuse(RuleFieldType, "want an array, have %s", clip(string(s.raw())))
	}
	s.i++
	for i := 0; s.peek() != ']'; i++ {
		if s.peek() == ',' {
			s.i++
			s.peek()
		}
		if r := read(i); r != nil {
			return r
		}
	}
	s.i++
	return nil
}

// str reads a string of at most max bytes.
func (s *scanner) str(name string, max int) (string, *Refusal) {
	if s.peek() != '"' {
		return "", refuse(RuleFieldType, "%s: want a string, have %s", name, clip(string(s.raw())))
	}
	text := s.text()
	if len(text) > max {
		return "", refuse(RuleTextTooLong, "%s: %d bytes, at most %d", name, len(text), max)
	}
	return text, nil
}

// uint reads an unsigned integer in its plain form: no sign, fraction or exponent.
func (s *scanner) uint(name string) (uint64, *Refusal) {
	raw := s.raw()
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, refuse(RuleFieldType, "%s: want an unsigned integer, have %s", name, clip(string(raw)))
	}
	return n, nil
}

// text reads the string under the cursor.
func (s *scanner) text() string {
	raw := s.raw()
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		panic("relay: valid JSON string does not decode: " + err.Error())
	}
	return text
}

// raw returns the bytes of the value under the cursor and passes over it.
func (s *scanner) raw() []byte {
	s.peek()
	start := s.i
	s.skip()
	return s.b[start:s.i]
}

// skip passes over one value without recursion: its depth is the sender's choice.
func (s *scanner) skip() {
	depth := 0
	for {
		switch s.peek() {
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			s.i++
			continue
		case '"':
			s.skipString()
		default:
			s.skipScalar()
		}
		if depth == 0 {
			return
		}
	}
}

func (s *scanner) skipString() {
	for s.i++; s.b[s.i] != '"'; s.i++ {
		if s.b[s.i] == '\\' {
			s.i++
		}
	}
	s.i++
}

func (s *scanner) skipScalar() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n', ',', ':', '}', ']':
			return
		}
		s.i++
	}
}
