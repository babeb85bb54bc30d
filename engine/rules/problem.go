package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Problem is one thing wrong with a bundle.
type Problem struct {
	// File is the path in the bundle; platform files start with platform/ or lib/.
	File string `json:"file"`
	// Line and Column count from 1; 0 if the whole file is meant.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Code is OPA's error code, or one of Regent's: confinement, contract, data, limit.
	Code string `json:"code"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// Error returns "file:line:column: message".
func (p *Problem) Error() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Line == 0:
		return p.File + ": " + p.Message
	default:
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	}
}

// Problems are all that is wrong with a bundle, sorted by place.
type Problems []*Problem

// Error lists at most ten problems, one a line.
func (ps Problems) Error() string {
	const most = 10
	var b strings.Builder
	for i, p := range ps {
		if i == most {
			fmt.Fprintf(&b, "\nand %d more", len(ps)-most)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

func (ps *Problems) add(code string, loc *ast.Location, format string, args ...any) {
	p := &Problem{Code: code, Message: fmt.Sprintf(format, args...)}
	if loc != nil {
		p.File, p.Line, p.Column = loc.File, loc.Row, loc.Col
	}
	*ps = append(*ps, p)
}

// maxMessage bounds a message: the types in a compiler's error can be long.
const maxMessage = 2048

// addError takes apart the errors of OPA's parser and compiler.
func (ps *Problems) addError(file string, err error) {
	var many ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &many):
		for _, e := range many {
			ps.addError(file, e)
		}
		return
	case errors.As(err, &one):
		p := &Problem{File: file, Code: one.Code, Message: cut(explainRefused(one.Message))}
		if one.Location != nil {
			p.Line, p.Column = one.Location.Row, one.Location.Col
			if one.Location.File != "" {
				p.File = one.Location.File
			}
		}
		if p.File == "" {
			p.File = "policy" // The compiler gives up after ten errors, at no place.
		}
		*ps = append(*ps, p)
	default:
		*ps = append(*ps, &Problem{File: file, Code: "data", Message: cut(err.Error())})
	}
}

// err returns the problems sorted and without repeats, or nil.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(ps, func(a, b *Problem) bool { return *a == *b })
}

// cut shortens a message.
func cut(s string) string { return cutTo(s, maxMessage) }

func cutTo(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
