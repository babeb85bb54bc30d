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
	// only is the one name that an open dict may have beside its entries; empty for any.
	only string
	// what describes an open dict in a limit, and member the type of its values.
	what   string
	member kind
}

// mayHave tells whether a dict could have a name that is not among its entries.
func (d dict) mayHave(name string) bool {
	return d.open && (d.absent == "" || d.absent != name) && (d.only == "" || d.only == name)
}

// length is the number of a path's segments, which is at least this.
type length int

// opaque is a value that is not known, and why not.
type opaque struct {
	limit engine.Limit
	// kind is what is known of its type.
	kind kind
	// size bounds its bytes, if it is a text that a function made; 0 is a request's part.
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

// members are those of a collection. They are made when they are asked for: a table may
// have very many, and the time may be up before.
type members struct {
	n  int
	at func(i int) (key, elem value)
	// open tells that there may be others.
	open bool
}

// members returns those of a collection; false for what is none, and if there is no time
// to sort it.
func (x *evaluation) members(v value) (members, bool) {
	if !isArray(v) && x.clock.afford(10*size(v)) != nil {
		return members{}, false
	}
	return membersOf(v)
}

func isArray(v value) bool {
	k, ok := v.(known)
	if ok {
		_, ok = k.Value.(*ast.Array)
	}
	return ok
}

// size is how many members a known collection has.
func size(v value) int {
	if k, ok := v.(known); ok {
		switch c := k.Value.(type) {
		case *ast.Array:
			return c.Len()
		case ast.Set:
			return c.Len()
		case ast.Object:
			return c.Len()
		}
	}
	return 0
}

// elements returns the members of a collection and their keys. The last result is
// false for what is no collection.
func elements(v value) (keys, elems []value, open, ok bool) {
	m, ok := membersOf(v)
	for i := range m.n {
		key, elem := m.at(i)
		keys, elems = append(keys, key), append(elems, elem)
	}
	return keys, elems, m.open, ok
}

func membersOf(v value) (members, bool) {
	switch v := v.(type) {
	case known:
		switch c := v.Value.(type) {
		case *ast.Array:
			return members{n: c.Len(), at: func(i int) (key, elem value) {
				return known{ast.Number(itoa(i))}, known{c.Elem(i).Value}
			}}, true
		case ast.Set:
			terms := c.Slice()
			return members{n: len(terms), at: func(i int) (key, elem value) {
				elem = known{terms[i].Value}
				return elem, elem
			}}, true
		case ast.Object:
			keys := c.Keys()
			return members{n: len(keys), at: func(i int) (key, elem value) {
				return known{keys[i].Value}, known{c.Get(keys[i]).Value}
			}}, true
		}
	case list:
		return members{n: len(v.elems), open: v.open, at: func(i int) (key, elem value) {
			if v.set {
				return v.elems[i], v.elems[i]
			}
			return known{ast.Number(itoa(i))}, v.elems[i]
		}}, true
	case dict:
		keys := slices.Sorted(maps.Keys(v.entries))
		return members{n: len(keys), open: v.open, at: func(i int) (key, elem value) {
			return known{ast.String(keys[i])}, v.entries[keys[i]]
		}}, true
	}
	return members{}, false
}
