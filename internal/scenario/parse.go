package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxLines bounds a story: one that is longer is two.
const maxLines = 200

// Script is a story that was read.
type Script struct {
	Name  string
	Lines []Line
}

// Line is one command.
type Line struct {
	Number int
	Text   string
	words  []string
	does   command
	args   args
}

// Parse reads a story.
func Parse(name, text string) (Script, error) {
	s := Script{Name: name}
	for i, raw := range strings.Split(text, "\n") {
		body, _, _ := strings.Cut(raw, "#")
		words := strings.FieldsFunc(body, unicode.IsSpace)
		if len(words) == 0 {
			continue
		}
		if len(s.Lines) == maxLines {
			return s, fmt.Errorf("%s: more than %d lines", name, maxLines)
		}
		s.Lines = append(s.Lines, Line{Number: i + 1, Text: strings.Join(words, " "), words: words})
	}
	if len(s.Lines) == 0 {
		return s, fmt.Errorf("%s: an empty story", name)
	}
	all := language()
	for i := range s.Lines {
		l := &s.Lines[i]
		var err error
		if l.does, l.args, err = findIn(all, l.words); err != nil {
			return s, fmt.Errorf("%s:%d: %w", name, l.Number, err)
		}
	}
	return s, nil
}

// args are the words that a command's pattern left open, by the name that the pattern gives them.
type args map[string]string

// match fits words to a pattern. A word in capitals takes one word, one that ends in … takes all that follow.
func match(pattern string, words []string) (args, bool) {
	out := args{}
	want := strings.Fields(pattern)
	for i, p := range want {
		switch {
		case strings.HasSuffix(p, "…"):
			if len(words) == i {
				return nil, false
			}
			out[strings.TrimSuffix(p, "…")] = strings.Join(words[i:], " ")
			return out, true
		case i >= len(words):
			return nil, false
		case strings.ToUpper(p) == p && strings.ToLower(p) != p:
			out[p] = words[i]
		case p != words[i]:
			return nil, false
		}
	}
	return out, len(words) == len(want)
}

func (a args) duration(key string) (time.Duration, error) {
	d, err := time.ParseDuration(a[key])
	if err != nil || d <= 0 || d > time.Hour {
		return 0, fmt.Errorf("%q is no time between 0 and an hour", a[key])
	}
	return d, nil
}

func (a args) number(key string) (int, error) {
	n, err := strconv.Atoi(a[key])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", a[key])
	}
	return n, nil
}

// numbers reads a list such as "0 1 3".
func numbers(list string) ([]int, error) {
	var out []int
	for _, w := range strings.Fields(list) {
		n, err := strconv.Atoi(w)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no number of a custodian", w)
		}
		out = append(out, n)
	}
	return out, nil
}
