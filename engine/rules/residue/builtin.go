package residue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
)

// builtin evaluates a builtin function: with OPA's own implementation if all
// arguments are known, else by what is known of the symbols.
func (x *evaluation) builtin(name string, args []value, loc *ast.Location, e *env, k foundValue) (truth, error) {
	for _, a := range args {
		if err := x.clock.afford(size(a)); err != nil {
			return no, err
		}
	}
	if v, ok := simple(name, args); ok {
		return k(v, e)
	}
	if terms, ok := allKnown(args); ok {
		return x.concrete(name, terms, loc, e, k)
	}
	if !harmless(name, args) {
		return x.mayFail(e, limitAt(loc, fmt.Sprintf("%s could fail on an unknown part of the request", name)), k)
	}
	v, t, err := x.symbolic(name, args, loc)
	if err != nil || t == no {
		return no, err
	}
	if t == maybe {
		limit := limitAt(loc, fmt.Sprintf("%s over an unknown part of the request is not understood here", name))
		for _, a := range args {
			if o, ok := a.(opaque); ok {
				limit = o.limit
			}
		}
		return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	}
	return k(v, e)
}

// simple evaluates the functions of known arguments that rules call most, as OPA
// does, without a detour through its table of functions.
func simple(name string, args []value) (value, bool) {
	if len(args) != 2 {
		return nil, false
	}
	a, ok := args[0].(known)
	b, both := args[1].(known)
	if !ok || !both {
		return nil, false
	}
	switch name {
	case "neq":
		if longNumber(a.Value) || longNumber(b.Value) {
			return nil, false
		}
		return boolean(a.Compare(b.Value) != 0), true
	case "internal.member_2":
		return boolean(has(b.Value, a.Value)), true
	}
	return nil, false
}

// longNumber tells whether a value is a number that a guarded function may refuse to
// compare.
func longNumber(v ast.Value) bool {
	n, ok := v.(ast.Number)
	return ok && len(n) > 20
}

// has tells whether a collection has a member. What is no collection has none.
func has(collection, v ast.Value) bool {
	switch c := collection.(type) {
	case ast.Set:
		return c.Contains(ast.NewTerm(v))
	case *ast.Array:
		return c.Until(func(t *ast.Term) bool { return t.Value.Compare(v) == 0 })
	case ast.Object:
		return c.Until(func(_, t *ast.Term) bool { return t.Value.Compare(v) == 0 })
	}
	return false
}

// harmless tells whether a function cannot fail on its arguments, whatever the
// symbols among them stand for.
func harmless(name string, args []value) bool {
	switch name {
	case "equal", "neq", "gt", "gte", "lt", "lte":
		return !slices.ContainsFunc(args, func(v value) bool {
			k, ok := v.(known)
			return ok && longNumber(k.Value)
		})
	case "internal.member_2", "internal.member_3", "type_name",
		"is_string", "is_array", "is_set", "is_object", "is_number", "is_boolean", "is_null":
		return true
	case "startswith", "endswith", "contains", "lower", "upper", "trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix", "trim_space", "split":
		for _, a := range args {
			if !isText(a) || extentOf(a) > mostText {
				return false
			}
		}
		return true
	case "glob.match", "regex.match":
		last := len(args) - 1
		pattern, ok := allKnown(args[:last])
		return ok && isText(args[last]) && extentOf(args[last]) <= mostMatched && GoodPattern(name, pattern)
	case "count":
		_, isLength := args[0].(length)
		if isText(args[0]) {
			return extentOf(args[0]) <= mostText
		}
		return !isLength && !isOpaque(args[0])
	case "sprintf":
		_, hasFormat := asString(args[0])
		return hasFormat && isList(args[1]) && madeOf(name, args) <= mostText
	case "concat":
		return isText(args[0]) && allTexts(args[1]) && madeOf(name, args) <= mostText
	case "array.slice":
		_, isFrom := asInt(args[1])
		_, isTo := asInt(args[2])
		return isList(args[0]) && isFrom && isTo
	case "object.get":
		d, isDict := args[0].(dict)
		_, isName := asString(args[1])
		return isDict && isName && d.entries != nil
	default:
		return false
	}
}

// GoodPattern tells whether a matching function takes its arguments but for the
// last, the text, which may be any: whether they are a pattern and its delimiters.
func GoodPattern(name string, args []*ast.Term) bool {
	sample := append(slices.Clone(args), ast.StringTerm(""))
	return topdown.GetBuiltin(name)(topdown.BuiltinContext{}, sample, func(*ast.Term) error { return nil }) == nil
}

// isList tells whether a value is an array in which not all is known.
func isList(v value) bool {
	l, ok := v.(list)
	return ok && !l.set
}

// isText tells whether a value is a text for every request.
func isText(v value) bool {
	switch v := v.(type) {
	case text:
		return true
	case known:
		_, ok := v.Value.(ast.String)
		return ok
	case opaque:
		return v.kind == aText
	default:
		return false
	}
}

// allTexts tells whether a value is a collection of texts.
func allTexts(v value) bool {
	if o, ok := v.(opaque); ok {
		return o.kind == textArray
	}
	_, elems, _, ok := elements(v)
	if _, isDict := v.(dict); isDict || !ok {
		return false
	}
	return !slices.ContainsFunc(elems, func(e value) bool { return !isText(e) })
}

func allKnown(args []value) ([]*ast.Term, bool) {
	terms := make([]*ast.Term, len(args))
	for i, a := range args {
		k, ok := a.(known)
		if !ok {
			return nil, false
		}
		terms[i] = ast.NewTerm(k.Value)
	}
	return terms, true
}

// concrete calls OPA's implementation. What depends on anything but its arguments
// is not called, and an error is a maybe: it would be trouble for every request of
// the cell.
func (x *evaluation) concrete(name string, args []*ast.Term, loc *ast.Location, e *env, k foundValue) (truth, error) {
	declared, f := ast.BuiltinMap[name], topdown.GetBuiltin(name)
	if f == nil || declared == nil || declared.Nondeterministic {
		limit := limitAt(loc, fmt.Sprintf("%s changes from one request to the next", name))
		return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	}
	if err := x.clock.Look(); err != nil {
		return no, err
	}
	var results []value
	err := f(topdown.BuiltinContext{Context: x.clock.ctx, Cancel: x.cancel, Location: loc}, args, func(t *ast.Term) error {
		results = append(results, known{t.Value})
		return nil
	})
	if err != nil {
		return x.mayFail(e, limitAt(loc, fmt.Sprintf("%s fails", name)), k)
	}
	return x.anyOf(len(results), func(i int) (truth, error) { return k(results[i], e) })
}

// symbolic evaluates the functions that are understood for symbols. no means
// undefined, maybe that it is not known.
func (x *evaluation) symbolic(name string, args []value, loc *ast.Location) (value, truth, error) {
	switch name {
	case "equal", "neq":
		t, err := x.equalValues(args[0], args[1])
		if name == "neq" {
			t = t.not()
		}
		return answer(t, err)
	case "internal.member_2":
		return answer(x.member(args[0], args[1]))
	case "startswith", "endswith", "contains":
		t, isText := args[0].(text)
		s, isString := asString(args[1])
		if !isText || !isString {
			return nil, maybe, nil
		}
		switch name {
		case "startswith":
			return answer(x.hasPrefix(t, s))
		case "endswith":
			return answer(x.hasSuffix(t, s))
		default:
			return answer(t.contains(s), nil)
		}
	case "gt", "gte", "lt", "lte":
		return answer(x.compare(name, args[0], args[1]))
	case "glob.match":
		return answer(x.globMatch(args[0], args[1], args[2]))
	case "count":
		return x.count(args[0])
	case "split":
		if t, ok := args[0].(text); ok && isSlash(args[1]) {
			return t.split(), yes, nil
		}
	case "trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix":
		if t, ok := args[0].(text); ok {
			return x.trim(name, t, args[1])
		}
	case "concat":
		return join(args[0], args[1]), yes, nil
	case "array.slice":
		return x.sliceOf(args)
	case "is_string", "is_array", "is_set", "is_object", "is_number", "is_boolean", "is_null", "type_name":
		return ofType(name, args[0])
	case "object.get":
		return x.objectGet(args[0].(dict), args[1], args[2], loc)
	case "sprintf", "lower", "upper":
		// Defined for every text, but nobody knows what it is.
		if total(args) {
			made, limit := 3*extentOf(args[0]), limitAt(loc, fmt.Sprintf("the text that %s makes of an unknown part of the request is not known", name))
			if name == "sprintf" {
				made = madeOf(name, args)
			}
			return opaque{limit: limit, kind: aText, size: made}, yes, nil
		}
	}
	return nil, maybe, nil
}

// objectGet is object.get for one key.
func (x *evaluation) objectGet(d dict, key, missing value, loc *ast.Location) (value, truth, error) {
	name, _ := asString(key)
	switch v, ok := d.entries[name]; {
	case ok:
		return v, yes, nil
	case !d.mayHave(name):
		return missing, yes, nil
	default:
		o := opaque{limit: x.located(limitAt(loc, fmt.Sprintf("%s.%s is not part of the cache key", d.what, name)))}
		if isA(missing, d.member) {
			o.kind = d.member
		}
		return o, yes, nil
	}
}

// ofType answers questions about a symbol's type.
func ofType(name string, v value) (value, truth, error) {
	var is string
	switch v := v.(type) {
	case text:
		is = "string"
	case length:
		is = "number"
	case dict:
		is = "object"
	case list:
		if is = "array"; v.set {
			is = "set"
		}
	case opaque:
		switch v.kind {
		case aText:
			is = "string"
		case textArray:
			is = "array"
		default:
			return nil, maybe, nil
		}
	}
	if name == "type_name" {
		return known{ast.String(is)}, yes, nil
	}
	return boolean(name == "is_"+is), yes, nil
}

func answer(t truth, err error) (value, truth, error) {
	if err != nil || t == maybe {
		return nil, maybe, err
	}
	return boolean(t == yes), yes, nil
}

// total tells whether all symbols among the arguments are texts.
func total(args []value) bool {
	for _, a := range args {
		switch v := a.(type) {
		case known, text:
		case list:
			if v.rest || v.open || !total(v.elems) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func isSlash(v value) bool {
	s, ok := asString(v)
	return ok && s == "/"
}

// member tells whether a collection has a value.
func (x *evaluation) member(v, collection value) (truth, error) {
	if _, ok := collection.(opaque); ok {
		return maybe, nil
	}
	if without(collection) {
		return maybe, nil
	}
	m, ok := x.members(collection)
	if !ok {
		return no, nil
	}
	elem := func(i int) value {
		_, elem := m.at(i)
		return elem
	}
	if t, isText := v.(text); isText {
		if err := x.splitByWords(t, m.n, elem); err != nil {
			return no, err
		}
	}
	best := no
	var ask error
	for i := range m.n {
		t, err := x.equalValues(elem(i), v)
		if x.clock.err != nil {
			return no, x.clock.err
		}
		if err != nil {
			ask = err
			continue
		}
		if best = max(best, t); best == yes {
			return yes, nil
		}
	}
	if m.open {
		best = max(best, maybe)
	}
	return best, ask
}

// isFree tells whether a text is a free segment and no more.
func isFree(t text) bool { return !t.rest && len(t.parts) == 1 && t.parts[0].free != isWord }

// splitByWords asks at once for all words that a free segment is compared with.
func (x *evaluation) splitByWords(t text, n int, at func(i int) value) error {
	if !isFree(t) {
		return nil
	}
	if n > MaxCells {
		return errCells
	}
	s := &split{segment: t.parts[0].free}
	for i := range n {
		if err := x.clock.Spend(1); err != nil {
			return err
		}
		if w, ok := asString(at(i)); ok && x.is(t.parts[0], w) == maybe {
			s.words = append(s.words, w)
		}
	}
	if len(s.words) < 2 {
		return nil
	}
	return s
}

func (x *evaluation) count(v value) (value, truth, error) {
	switch v := v.(type) {
	case list:
		if v.rest {
			return length(len(v.elems) + 1), yes, nil
		}
		// Elements of a set that are not known may be equal to each other.
		if v.open || v.set && len(v.elems) > 1 {
			return nil, maybe, nil
		}
		return known{ast.Number(itoa(len(v.elems)))}, yes, nil
	case dict:
		if !v.open {
			return known{ast.Number(itoa(len(v.entries)))}, yes, nil
		}
	}
	return nil, maybe, nil
}

// compare orders the number of a path's segments and a number.
func (x *evaluation) compare(name string, a, b value) (truth, error) {
	mirrored := map[string]string{"gt": "lt", "gte": "lte", "lt": "gt", "lte": "gte"}
	if _, ok := b.(length); ok {
		a, b, name = b, a, mirrored[name]
	}
	least, isLength := a.(length)
	n, isInt := asInt(b)
	if !isLength || !isInt {
		return maybe, nil
	}
	switch {
	case name == "gt" && int(least) > n, name == "gte" && int(least) >= n:
		return yes, nil
	case name == "lt" && int(least) >= n, name == "lte" && int(least) > n:
		return no, nil
	default:
		return maybe, x.lengthen()
	}
}

// trim cuts what is there for sure from the ends of a text.
func (x *evaluation) trim(name string, t text, cut value) (value, truth, error) {
	s, ok := asString(cut)
	if !ok {
		return nil, maybe, nil
	}
	parts := t.parts
	switch name {
	case "trim", "trim_left", "trim_right":
		if s != "/" {
			return nil, maybe, nil
		}
		for name != "trim_right" && len(parts) > 1 && parts[0] == word("") {
			parts = parts[1:]
		}
		for name != "trim_left" && !t.rest && len(parts) > 1 && parts[len(parts)-1] == word("") {
			parts = parts[:len(parts)-1]
		}
		return text{parts: parts, rest: t.rest}.simplify(), yes, nil
	case "trim_prefix":
		answer, err := x.hasPrefix(t, s)
		if err != nil || answer == maybe {
			return nil, maybe, err
		}
		if answer == no {
			return t, yes, nil
		}
		words := strings.Split(s, "/")
		last := len(words) - 1
		if last >= len(parts) {
			return nil, maybe, x.lengthen()
		}
		first := parts[last]
		if first.free != isWord && words[last] != "" {
			return nil, maybe, nil
		}
		if first.free == isWord {
			first = word(strings.TrimPrefix(first.word, words[last]))
		}
		return text{parts: append([]component{first}, parts[last+1:]...), rest: t.rest}.simplify(), yes, nil
	}
	return nil, maybe, nil
}

// join joins a list of words by "/".
func join(delimiter, v value) value {
	unknown := opaque{limit: engine.Limit{Reason: "concat over an unknown part of the request is not understood here"}, kind: aText, size: madeOf("concat", []value{delimiter, v})}
	l, ok := v.(list)
	if !ok || !isSlash(delimiter) || l.set || l.open {
		return unknown
	}
	t := text{rest: l.rest}
	for _, e := range l.elems {
		switch e := e.(type) {
		case text:
			if e.rest {
				return unknown
			}
			t.parts = append(t.parts, e.parts...)
		case known:
			s, ok := asString(e)
			if !ok {
				return unknown
			}
			for _, w := range strings.Split(s, "/") {
				t.parts = append(t.parts, word(w))
			}
		default:
			return unknown
		}
	}
	return t.simplify()
}

// sliceOf is array.slice with OPA's clamping of its bounds.
func (x *evaluation) sliceOf(args []value) (value, truth, error) {
	l, ok := args[0].(list)
	from, ok1 := asInt(args[1])
	to, ok2 := asInt(args[2])
	if !ok || !ok1 || !ok2 || l.set || l.open {
		return nil, maybe, nil
	}
	if l.rest && to > len(l.elems) {
		return nil, maybe, x.lengthen()
	}
	from = max(from, 0)
	to = min(max(to, from), len(l.elems))
	if from >= to {
		return known{ast.NewArray()}, yes, nil
	}
	return collect(slices.Clone(l.elems[from:to]), false), yes, nil
}
