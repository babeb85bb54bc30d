package residue

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mostRequest is the most bytes that API Gateway passes of a request's path and headers,
// 10,240, and mostText what the guards of engine/rules let functions make or take of
// texts. mostMatched is what they let patterns be matched with.
const (
	mostRequest = 10_240
	mostText    = 64 << 10
	mostMatched = 16 << 10
)

// extent is how long values can be together, in bytes. The parts of a path are no longer
// than a request by themselves, but a rule can put one of them into a text again and again.
type extent struct {
	bytes int
	// uses are how often each free segment is used; rest is the end of a path.
	uses map[int]int
}

const rest = -2

func extentOf(vs ...value) int {
	e := extent{uses: map[int]int{}}
	for _, v := range vs {
		e.add(v)
	}
	most := 0
	for _, n := range e.uses {
		most = max(most, n)
	}
	return e.bytes + most*mostRequest
}

func (e *extent) add(v value) {
	e.bytes += 2
	switch v := v.(type) {
	case known:
		e.known(v.Value)
	case text:
		for _, c := range v.parts {
			e.component(c)
		}
		if v.rest {
			e.uses[rest]++
		}
	case list:
		for _, elem := range v.elems {
			e.add(elem)
		}
		if v.rest {
			e.uses[rest]++
		}
		if v.open {
			e.bytes += mostText
		}
	case opaque:
		if e.bytes += mostRequest; v.size > 0 {
			e.bytes += v.size - mostRequest
		}
	case length:
		e.bytes += 8
	default:
		e.bytes += mostText
	}
}

func (e *extent) component(c component) {
	e.bytes += len(c.word) + 1
	if c.free != isWord {
		e.uses[c.free]++
	}
}

// known adds a known value; a collection that may be large counts as too large.
func (e *extent) known(v ast.Value) {
	switch v := v.(type) {
	case ast.String:
		e.bytes += len(v)
	case ast.Number:
		e.bytes += len(v)
	case ast.Boolean, ast.Null:
		e.bytes += 5
	default:
		if size(known{v}) > 1000 {
			e.bytes += mostText
			return
		}
		e.bytes += len(v.String())
	}
}

// madeOf is how long a text can be that sprintf or concat makes of what is not known.
func madeOf(name string, args []value) int {
	form, _ := asString(args[0])
	if name == "concat" {
		between := extentOf(args[0])
		if delimiter, ok := asString(args[0]); ok {
			between = len(delimiter)
		}
		n := mostRequest / 2 // as many as a request can have
		if l, ok := args[1].(list); ok && !l.rest && !l.open {
			n = len(l.elems)
		}
		return extentOf(args[1]) + n*between
	}
	if strings.Contains(form, "[") {
		return mostText + 1
	}
	// Each verb may have a width of 64.
	return len(form) + 64*strings.Count(form, "%") + extentOf(args[1])
}
