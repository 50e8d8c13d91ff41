package config

import (
	"fmt"
	"strings"
)

// Error is one thing wrong with a configuration.
type Error struct {
	File string // path of the file, or "environment"
	Line int    // 0 when the problem has no line, as with a key that is missing
	Key  string // dotted path, list elements as name[2], or the environment variable
	Msg  string // what is wrong and what is allowed
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	return b.String() + e.Msg
}

// Bad is what Validate returns about a key, written as in the file:
// Bad("destinations[0].confirm", "want dir or success").
func Bad(key, format string, args ...any) *Error {
	return &Error{Key: key, Msg: fmt.Sprintf(format, args...)}
}

// Errors are all that is wrong, in the order of the file. As an error it is one
// line: the first of them and how many follow.
type Errors []*Error

func (e Errors) Error() string {
	switch len(e) {
	case 0:
		return "no error"
	case 1:
		return e[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", e[0].Error(), len(e)-1)
}

// Unwrap lets errors.As reach each *Error.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i := range e {
		out[i] = e[i]
	}
	return out
}

// Validator judges values that have the right kind. Errors made by Bad, alone
// or in an Errors, get the file and line of their key.
type Validator interface{ Validate() error }

// Defaulter is an element of a list that does not start from its zero value.
type Defaulter interface{ SetDefaults() }
