package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is one broken rule.
type mutant struct {
	name  string // short, without blanks, once in all files
	rule  string // what it breaks, in words
	edits []edit
	tests []killer
}

// edit is one place that is changed.
type edit struct {
	file     string // slash path below the module's root
	old, new string // whole lines; old stands in file exactly once
}

// killer is a package and the tests of it that must fail, as one expression for -run.
type killer struct{ pkg, run string }

var mutantName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// parseMutants reads a file of rules/: blocks that begin with a line `mutant NAME`, then `rule`, one or more `test
// PACKAGE EXPRESSION`, and for each place a `file`, the lines taken away, each behind a minus, and the lines put there, each
// behind a plus. Lines behind # are for people. Text of the source keeps its tabs.
func parseMutants(text string) ([]mutant, error) {
	var out []mutant
	for n, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
			continue
		case word == "mutant":
			out = append(out, mutant{name: strings.TrimSpace(rest)})
			continue
		case len(out) == 0:
			return nil, fmt.Errorf("line %d: no mutant begins before it", n+1)
		}
		if err := out[len(out)-1].take(line, word, strings.TrimSpace(rest)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	for _, m := range out {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("mutant %s: %w", m.name, err)
		}
	}
	return out, nil
}

func (m *mutant) take(line, word, rest string) error {
	switch {
	case line[0] == '-' || line[0] == '+':
		if len(m.edits) == 0 {
			return errors.New("no file is named before it")
		}
		e := &m.edits[len(m.edits)-1]
		if line[0] == '-' {
			e.old += line[1:] + "\n"
		} else {
			e.new += line[1:] + "\n"
		}
	case word == "rule":
		m.rule = rest
	case word == "file":
		m.edits = append(m.edits, edit{file: rest})
	case word == "test":
		pkg, run, ok := strings.Cut(rest, " ")
		if !ok {
			return errors.New("test wants a package and an expression")
		}
		m.tests = append(m.tests, killer{pkg, strings.TrimSpace(run)})
	default:
		return fmt.Errorf("%q is no word of this language", word)
	}
	return nil
}

func (m mutant) check() error {
	switch {
	case !mutantName.MatchString(m.name):
		return errors.New("the name is letters, digits and dashes")
	case m.rule == "" || len(m.edits) == 0 || len(m.tests) == 0:
		return errors.New("rule, file and test are needed")
	}
	for _, e := range m.edits {
		if e.file == "" || e.old == "" || e.old == e.new {
			return errors.New("an edit changes nothing")
		}
	}
	return nil
}

// load reads every mutant below dir, in the order of the files' names.
func load(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []mutant
	seen := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		some, err := parseMutants(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		for _, m := range some {
			if seen[m.name] {
				return nil, fmt.Errorf("%s: mutant %s stands twice", filepath.Base(file), m.name)
			}
			seen[m.name] = true
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no mutants", dir)
	}
	return all, nil
}

// mutate returns the source of each file that the mutant changes, by its name. It fails when lines do not stand there exactly
// once, or when what comes out is no Go.
func (m mutant) mutate(root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, e := range m.edits {
		src, ok := out[e.file]
		if !ok {
			var err error
			if src, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file))); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(src, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%s holds the lines %d times, not once", e.file, n)
		}
		out[e.file] = bytes.Replace(src, []byte(e.old), []byte(e.new), 1)
	}
	for name, src := range out {
		if _, err := parser.ParseFile(token.NewFileSet(), name, src, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}
