package residue

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// truth is the answer to a question about a cell: no and yes hold for all of its
// requests.
type truth int

const (
	no truth = iota
	maybe
	yes
)

func (t truth) not() truth { return yes - t }

// value is what a term stands for in a cell: one of known, text, list, dict, length
// and opaque; or pending, while rules are specialised.
type value any

// known is an ordinary ground value.
type known struct{ ast.Value }

// list is an array or a set with elements that are not all known.
type list struct {
	elems []value
	set   bool
	// rest tells that it is a path's segments, and that more of them follow.
	rest bool
	// open tells that there may be further elements.
	open bool
}

// dict is an object with entries that are not all known.
type dict struct {
	entries map[string]value
	// open tells that names other than the entries' and the absent ones may have any
	// value, or none.
	open   bool
	absent string
	// what describes an open dict in a limit, and member the type of its values.
	what   string
	member kind
}

// length is the number of a path's segments, which is at least this.
type length int

// opaque is a value that is not known, and why not.
type opaque struct {
	limit engine.Limit
	// kind is what is known of its type.
	kind kind
	// size is the most bytes that it can have; 0 for a part of the request.
	size int
}

// pending is a value that comes from a cell. It stands for a part of the input, or for
// anything where source is nil. It is never handed out by an evaluation.
type pending struct{ source *ast.Term }

func isPending(v value) bool {
	_, ok := v.(pending)
	return ok
}

// kind is a type that all values of an opaque one have.
type kind int

const (
	anything kind = iota
	aText
	textArray
)

func boolean(b bool) value { return known{ast.Boolean(b)} }

// asString returns the text of a known string.
func asString(v value) (string, bool) {
	k, ok := v.(known)
	if !ok {
		return "", false
	}
	s, ok := k.Value.(ast.String)
	return string(s), ok
}

// truthy tells whether an expression that is just this value holds.
func truthy(v value) bool {
	k, ok := v.(known)
	return !ok || k.Compare(ast.Boolean(false)) != 0
}

// elements returns the members of a collection and their keys. The last result is
// false for what is no collection.
func elements(v value) (keys, elems []value, open, ok bool) {
	switch v := v.(type) {
	case known:
		switch c := v.Value.(type) {
		case *ast.Array:
			for i := range c.Len() {
				keys = append(keys, known{ast.Number(itoa(i))})
				elems = append(elems, known{c.Elem(i).Value})
			}
			return keys, elems, false, true
		case ast.Set:
			for _, t := range c.Slice() {
				elems = append(elems, known{t.Value})
			}
			return elems, elems, false, true
		case ast.Object:
			c.Foreach(func(k, e *ast.Term) {
				keys = append(keys, known{k.Value})
				elems = append(elems, known{e.Value})
			})
			return keys, elems, false, true
		}
	case list:
		if v.set {
			return v.elems, v.elems, v.open, true
		}
		for i := range v.elems {
			keys = append(keys, known{ast.Number(itoa(i))})
		}
		return keys, v.elems, v.open, true
	case dict:
		for _, k := range slices.Sorted(maps.Keys(v.entries)) {
			keys = append(keys, known{ast.String(k)})
			elems = append(elems, v.entries[k])
		}
		return keys, elems, v.open, true
	}
	return nil, nil, false, false
}
