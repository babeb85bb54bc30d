package dir

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FileError is one thing wrong with one place of a workspace.
type FileError struct {
	// File is the path inside the workspace, with slashes.
	File string `json:"file"`
	// Line and Column count from 1; both are 0 where the whole file is meant.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Hint says what to do about it; empty if the message already does.
	Hint string `json:"hint,omitempty"`
}

// Error returns "file:line:column: message; hint".
func (e FileError) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	s += ": " + e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Errors is everything wrong with a workspace, sorted by file, line and column. It
// is the error that Load, Open and Reload return.
type Errors []FileError

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each FileError, for errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e *Errors) add(one FileError) { *e = append(*e, one) }

func (e *Errors) addf(file, format string, args ...any) {
	e.add(FileError{File: file, Message: fmt.Sprintf(format, args...)})
}

// maxErrors bounds what a workspace that is no workspace says about itself.
const maxErrors = 1000

// sorted returns the errors in order and without repeats, or nil if there is none.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortFunc(e, func(a, b FileError) int {
		return cmp.Or(
			strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column,
			strings.Compare(a.Message, b.Message),
		)
	})
	e = slices.Compact(e)
	if more := len(e) - maxErrors; more > 0 {
		e = append(e[:maxErrors:maxErrors], FileError{File: e[maxErrors].File, Message: fmt.Sprintf("and %d errors more", more)})
	}
	return e
}
