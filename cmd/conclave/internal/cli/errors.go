package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"conclave/node/config"
)

// Code is the process's exit code.
type Code int

// The exit codes.
const (
	Done    Code = 0
	Failed  Code = 1
	Usage   Code = 2 // usage or configuration
	Refused Code = 3 // by a rule or a missing quorum
	Sealed  Code = 4 // sealed or halted
)

// Error is an error with its exit code and, for people, what to do next.
type Error struct {
	Code Code
	Err  error
	Help string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do next, "" for nothing.
func (e *Error) Hint() string { return e.Help }

// With gives err an exit code and a hint; the cause's own hint stands when hint is "". It returns nil for nil.
func With(code Code, err error, hint string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err, Help: hint}
}

// Errorf makes an error with an exit code and a hint.
func Errorf(code Code, hint, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...), Help: hint}
}

// CodeOf is the exit code of an error that a verb returned: its own where it has one, usage for what the configuration
// refuses, else failed.
func CodeOf(err error) Code {
	var own *Error
	var file *config.FileError
	var key *config.KeyError
	var mode *config.ModeError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &own):
		return own.Code
	case errors.As(err, &file), errors.As(err, &key), errors.As(err, &mode), errors.Is(err, config.ErrSecret):
		return Usage
	}
	return Failed
}

// HintOf is the first hint in the chain of errors, "" for none.
func HintOf(err error) string {
	for err != nil {
		var h interface{ Hint() string }
		if !errors.As(err, &h) {
			return ""
		}
		if text := h.Hint(); text != "" {
			return text
		}
		inner, ok := h.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = inner.Unwrap()
	}
	return ""
}

// Report writes an error as people read it and returns its exit code.
func Report(w io.Writer, err error) Code {
	if err == nil {
		return Done
	}
	_, _ = fmt.Fprintln(w, "conclave: "+oneLine(err.Error()))
	if hint := HintOf(err); hint != "" {
		_, _ = fmt.Fprintln(w, "hint: "+oneLine(hint))
	}
	return CodeOf(err)
}

// oneLine also keeps control characters of foreign text away from the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}
