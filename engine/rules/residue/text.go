package residue

import (
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// text is a string of components joined by "/", such as a path: some are words,
// some are free segments of the cell.
type text struct {
	parts []component
	// rest tells that "/" and one or more further segments follow.
	rest bool
}

// component is a word, or the cell's segment with the number free.
type component struct {
	word string
	free int
}

const isWord = -1

func word(s string) component { return component{word: s, free: isWord} }

// simplify makes a text without free parts an ordinary string.
func (t text) simplify() value {
	if t.rest {
		return t
	}
	words := make([]string, len(t.parts))
	for i, c := range t.parts {
		if c.free != isWord {
			return t
		}
		words[i] = c.word
	}
	return known{ast.String(strings.Join(words, "/"))}
}

// split is the error that ends the evaluation of a cell whose answer depends on
// what one of its segments is.
type split struct {
	// segment is the number of the segment.
	segment int
	// words are what the segment may or may not be; or affix, if words is nil.
	words []string
	affix engine.Affix
	// longer asks how many segments there are, instead.
	longer bool
}

func (*split) Error() string { return "the cell must be split" }

// equal tells whether a text is a given string.
func (x *evaluation) equal(t text, s string) (truth, error) {
	words := strings.Split(s, "/")
	switch {
	case len(words) < len(t.parts), len(words) == len(t.parts) && t.rest:
		return no, nil
	case len(words) > len(t.parts) && t.rest:
		if answer, err := x.sameComponents(t.parts, words[:len(t.parts)]); answer == no || err != nil {
			return answer, err
		}
		return maybe, x.lengthen()
	case len(words) > len(t.parts):
		return no, nil
	}
	return x.sameComponents(t.parts, words)
}

// sameComponents looks for a component that differs before it asks for a split.
func (x *evaluation) sameComponents(parts []component, words []string) (truth, error) {
	undecided := -1
	for i, c := range parts {
		switch x.is(c, words[i]) {
		case no:
			return no, nil
		case maybe:
			if undecided < 0 {
				undecided = i
			}
		}
	}
	if undecided < 0 {
		return yes, nil
	}
	return maybe, &split{segment: parts[undecided].free, words: []string{words[undecided]}}
}

// is tells whether a component is a word; maybe asks for a split.
func (x *evaluation) is(c component, w string) truth {
	if c.free == isWord {
		return fromBool(c.word == w)
	}
	seg := x.cell.Segments[c.free]
	if x.clock.Spend((len(seg.Not)+len(seg.Like)+len(seg.NotLike))/8) != nil {
		return maybe
	}
	switch {
	case !seg.Has(w) || strings.Contains(w, "/"):
		return no
	case seg.Fixed:
		return yes
	default:
		return maybe
	}
}

// hasAffix tells whether a component begins and ends with given texts.
func (x *evaluation) hasAffix(c component, a engine.Affix) (truth, error) {
	if c.free == isWord {
		return fromBool(a.Has(c.word)), nil
	}
	seg := x.cell.Segments[c.free]
	if seg.Fixed {
		return fromBool(a.Has(seg.Literal)), nil
	}
	if a == (engine.Affix{}) || slices.ContainsFunc(seg.Like, func(l engine.Affix) bool { return l.Within(a) }) {
		return yes, nil
	}
	if strings.Contains(a.Prefix+a.Suffix, "/") ||
		slices.ContainsFunc(seg.Like, a.Apart) ||
		slices.ContainsFunc(seg.NotLike, a.Within) {
		return no, nil
	}
	return maybe, &split{segment: c.free, affix: a}
}

// hasPrefix tells whether a text begins with a string.
func (x *evaluation) hasPrefix(t text, s string) (truth, error) {
	words := strings.Split(s, "/")
	last := len(words) - 1
	if last >= len(t.parts) {
		if !t.rest {
			return no, nil
		}
		if answer, err := x.sameComponents(t.parts, words[:len(t.parts)]); answer == no || err != nil {
			return answer, err
		}
		// "/a/" is a prefix of "/a" and anything behind it.
		if last == len(t.parts) && words[last] == "" {
			return yes, nil
		}
		return maybe, x.lengthen()
	}
	if answer, err := x.sameComponents(t.parts[:last], words[:last]); answer != yes {
		return answer, err
	}
	return x.hasAffix(t.parts[last], engine.Affix{Prefix: words[last]})
}

// hasSuffix tells whether a text ends with a string.
func (x *evaluation) hasSuffix(t text, s string) (truth, error) {
	if t.rest {
		return maybe, nil
	}
	words := strings.Split(s, "/")
	start := len(t.parts) - len(words)
	if start < 0 {
		return no, nil
	}
	if answer, err := x.sameComponents(t.parts[start+1:], words[1:]); answer != yes {
		return answer, err
	}
	return x.hasAffix(t.parts[start], engine.Affix{Suffix: words[0]})
}

// contains tells whether a text has a string in it, where that does not depend on
// the inside of a free segment.
func (t text) contains(s string) truth {
	if strings.Contains(s, "/") || t.rest {
		return maybe
	}
	answer := no
	for _, c := range t.parts {
		if c.free != isWord {
			answer = maybe
		} else if strings.Contains(c.word, s) {
			return yes
		}
	}
	return answer
}

// split cuts a text at every "/".
func (t text) split() value {
	l := list{rest: t.rest}
	for _, c := range t.parts {
		l.elems = append(l.elems, text{parts: []component{c}}.simplify())
	}
	return l
}

// lengthen asks for a split by the number of segments, unless there were many.
func (x *evaluation) lengthen() error {
	if len(x.cell.Segments) >= maxDepth {
		return nil
	}
	return &split{longer: true}
}

// without tells that a collection is a path's segments without a known end. Cells
// are not lengthened for questions about all of its members: each length would ask
// the same again.
func without(v value) bool {
	l, ok := v.(list)
	return ok && l.rest
}

// maxDepth bounds how many segments of a greedy parameter are told apart.
const maxDepth = 8

func fromBool(b bool) truth {
	if b {
		return yes
	}
	return no
}

func itoa(i int) string { return strconv.Itoa(i) }
