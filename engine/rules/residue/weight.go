package residue

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What engine/rules lets functions take and make, in bytes; beyond, a call is an error.
// A part of a request has at most what API Gateway passes of headers and path.
const (
	maxText    = 64 << 10
	maxMatched = 16 << 10
	maxPart    = 10_240
	// maxWidth is the most that a verb of sprintf adds to what it prints.
	maxWidth = 64
)

// weight is the length that texts can have together.
type weight struct {
	// bytes are those of words, of opaque texts and between texts.
	bytes int
	// free counts how often each free segment is there. All segments together are one
	// part of the request.
	free [32]int
}

// bytesOf is the most that a value can have when its texts are put together.
func bytesOf(values ...value) int {
	var w weight
	for _, v := range values {
		w.add(v)
	}
	most := 0
	for _, n := range w.free {
		most = max(most, n)
	}
	return w.bytes + most*maxPart
}

func (w *weight) add(v value) {
	switch v := v.(type) {
	case known:
		w.addKnown(v.Value)
	case text:
		for _, c := range v.parts {
			w.bytes += 1 + len(c.word)
			if c.free != isWord {
				w.free[min(c.free, len(w.free)-1)]++
			}
		}
		if v.rest {
			w.free[len(w.free)-1]++
		}
	case opaque:
		w.bytes += max(v.size, maxPart)
	case list:
		for _, e := range v.elems {
			w.bytes += 2
			w.add(e)
		}
	default:
		w.bytes += maxPart
	}
}

// addKnown stops where there is too much, so that a value that shares its parts is not
// walked to its end.
func (w *weight) addKnown(v ast.Value) {
	each := func(t *ast.Term) bool {
		w.bytes += 2
		w.addKnown(t.Value)
		return w.bytes > maxText
	}
	switch v := v.(type) {
	case ast.String:
		w.bytes += len(v)
	case ast.Number:
		w.bytes += len(v)
	case *ast.Array:
		v.Until(each)
	case ast.Set:
		v.Until(each)
	case ast.Object:
		v.Until(func(k, e *ast.Term) bool { return each(k) || each(e) })
	default:
		w.bytes += 5
	}
}

// shortTexts tells whether all arguments are texts, and none of them too long for any
// request.
func shortTexts(args []value) bool {
	for _, a := range args {
		if !isText(a) || bytesOf(a) > maxText {
			return false
		}
	}
	return true
}

// printed is the most bytes that sprintf makes; too many where that is not known.
func printed(format, args value) int {
	f, ok := asString(format)
	if !ok || strings.Contains(f, "[") {
		return maxText + 1
	}
	return bytesOf(format, args) + strings.Count(f, "%")*maxWidth
}

// joined is the most bytes that concat makes.
func joined(delimiter, texts value) int {
	_, elems, _, _ := elements(texts)
	return len(elems)*bytesOf(delimiter) + bytesOf(texts)
}

// made is the most bytes that a function makes whose text nobody knows. A letter may
// be longer in the other case.
func made(name string, args []value) int {
	if name == "sprintf" {
		return printed(args[0], args[1])
	}
	return bytesOf(args...) * 3 / 2
}
