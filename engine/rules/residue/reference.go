package residue

import (
	"fmt"
	"math"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ref finds the values that a reference can have: of the input, of data, of rules,
// or inside a value that a variable has.
func (x *evaluation) ref(t *ast.Term, ref ast.Ref, e *env, k foundValue) (truth, error) {
	head, isVar := ref[0].Value.(ast.Var)
	if !isVar {
		return x.term(ref[0], e, func(v value, e *env) (truth, error) { return x.walk(v, ref[1:], t.Loc(), e, k) })
	}
	switch head {
	case "input":
		if x.general && (len(ref) == 1 || !x.isKnownPart(ref[1])) {
			return no, errOpen
		}
		return x.walk(x.input, ref[1:], t.Loc(), e, k)
	case "data":
		return x.dataRef(t, ref, e, k)
	}
	v, ok := e.get(head)
	if x.general && (!ok || isPending(v)) {
		return no, errOpen
	}
	if !ok {
		v = opaque{limit: limitAt(t.Loc(), fmt.Sprintf("the value of %s is not known", head))}
	}
	return x.walk(v, ref[1:], t.Loc(), e, k)
}

// isKnownPart tells whether a part of the input is the same for every cell.
func (x *evaluation) isKnownPart(t *ast.Term) bool {
	name, ok := t.Value.(ast.String)
	if !ok {
		return false
	}
	_, ok = x.Input[string(name)]
	return ok
}

// dataRef evaluates the rules that a reference names, or reads the base document.
func (x *evaluation) dataRef(t *ast.Term, ref ast.Ref, e *env, k foundValue) (truth, error) {
	to := x.target(t, ref)
	switch {
	case len(to.rules) > 0:
		return x.ruleValue(to.path, to.rules, t.Loc(), e, func(v value, e *env) (truth, error) {
			return x.walk(v, ref[to.rest:], t.Loc(), e, k)
		})
	case to.whole:
		limit := limitAt(t.Loc(), fmt.Sprintf("%s as a whole is not understood here", to.path))
		return x.giveUp(t, e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	default:
		return x.walk(known{x.Data}, ref[1:], t.Loc(), e, k)
	}
}

// target finds what a reference leads to.
func (x *evaluation) target(t *ast.Term, ref ast.Ref) target {
	if x.Base != nil {
		if to, ok := x.Base.targets[t]; ok {
			return to
		}
	}
	to, ok := x.shared.targets[t]
	if !ok {
		to = resolve(ref, x.Rules, x.Within)
		x.shared.targets[t] = to
	}
	return to
}

// ruleValue finds the value of a rule. One that refers to nothing of the request is
// the same for every cell, and is evaluated once if it is plain: known for sure, or
// undefined, without a doubt or a failure on the way.
func (x *evaluation) ruleValue(path string, rules []*ast.Rule, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if x.Base == nil || !x.Base.constant[path] {
		return x.rules(rules, nil, loc, e, k)
	}
	v, ok := x.shared.constants[path]
	if !ok {
		plain, err := false, error(nil)
		if v, plain, err = x.plainValue(rules, loc); err != nil {
			return no, err
		}
		if !plain {
			return x.rules(rules, nil, loc, e, k)
		}
		x.shared.constants[path] = v
	}
	if v == nil {
		return no, nil
	}
	return k(v, e)
}

// plainValue evaluates a rule by itself; nil is undefined.
func (x *evaluation) plainValue(rules []*ast.Rule, loc *ast.Location) (v value, plain bool, err error) {
	doubts, failure := len(x.doubts), x.failure
	plain = true
	_, err = x.rules(rules, nil, loc, nil, func(found value, e *env) (truth, error) {
		_, isKnown := found.(known)
		plain = plain && isKnown && !e.isUnsure() && v == nil
		v = found
		return no, nil
	})
	return v, plain && len(x.doubts) == doubts && x.failure == failure, err
}

// walk goes down into a value along a path, over all values of its variables.
func (x *evaluation) walk(v value, path []*ast.Term, loc *ast.Location, e *env, k foundValue) (truth, error) {
	for len(path) > 0 && ast.IsScalar(path[0].Value) {
		member, ok := memberAt(v, path[0])
		if !ok {
			break
		}
		if member == nil {
			return no, nil
		}
		v, path = member, path[1:]
	}
	if len(path) == 0 {
		return k(v, e)
	}
	if o, ok := v.(opaque); ok {
		inside := opaque{limit: o.limit}
		if len(path) == 1 {
			inside.kind = memberOf(o.kind)
		}
		for _, t := range path {
			e = bindAll(t, e, o.limit)
		}
		return x.doubt(e, o.limit, func(e *env) (truth, error) { return k(inside, e) })
	}
	if name, ok := path[0].Value.(ast.Var); ok {
		if _, bound := e.get(name); !bound {
			return x.iterate(v, name, path[1:], loc, e, k)
		}
	}
	return x.term(path[0], e, func(key value, e *env) (truth, error) {
		return x.index(v, key, loc, e, func(v value, e *env) (truth, error) { return x.walk(v, path[1:], loc, e, k) })
	})
}

// memberAt is the member of a collection under a constant; nil if there is none. It
// returns false where that is not as plain as that.
func memberAt(v value, key *ast.Term) (value, bool) {
	switch c := v.(type) {
	case known:
		member := knownMember(c, key)
		if member == nil {
			return nil, !stored(c, key.Value)
		}
		return known{member.Value}, true
	case dict:
		if name, ok := key.Value.(ast.String); ok {
			if member, ok := c.entries[string(name)]; ok {
				return member, true
			}
		}
	}
	return nil, false
}

// iterate binds a variable to each key of a collection.
func (x *evaluation) iterate(v value, name ast.Var, path []*ast.Term, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if without(v) {
		index, member := opaque{limit: x.located(endless(loc))}, opaque{limit: x.located(endless(loc)), kind: aText}
		return x.doubt(e.bind(name, index), index.limit, func(e *env) (truth, error) { return x.walk(member, path, loc, e, k) })
	}
	m, ok := x.members(v)
	if !ok {
		return no, nil
	}
	answer, err := x.anyOf(m.n, func(i int) (truth, error) {
		key, elem := m.at(i)
		return x.walk(elem, path, loc, e.bind(name, key), k)
	})
	if err != nil || answer == yes && !x.careful || !m.open {
		return answer, err
	}
	unknown := opaque{limit: x.located(openLimit(v, loc)), kind: memberKind(v)}
	t, err := x.doubt(e.bind(name, opaque{limit: unknown.limit}), unknown.limit, func(e *env) (truth, error) { return x.walk(unknown, path, loc, e, k) })
	return max(answer, t), err
}

// index finds a member of a collection by its key.
func (x *evaluation) index(v, key value, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if o, ok := key.(opaque); ok {
		return x.doubt(e, o.limit, func(e *env) (truth, error) { return k(opaque{limit: o.limit, kind: memberKind(v)}, e) })
	}
	switch c := v.(type) {
	case list:
		if !c.set {
			return x.indexList(c, key, loc, e, k)
		}
	case dict:
		if name, ok := asString(key); ok {
			return x.indexDict(c, name, loc, e, k)
		}
	case known:
		if kv, ok := key.(known); ok {
			return x.indexKnown(c, kv, loc, e, k)
		}
		if keyed, limit := looseKeys(c, key), limitAt(loc, "texts and numbers are the same keys in data"); keyed {
			return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
		}
	}
	// A key that is not known is any of the collection's keys that it may equal.
	if t, isText := key.(text); isText && isFree(t) && size(v) > MaxCells {
		return no, errCells
	}
	m, ok := x.members(v)
	if !ok {
		return no, nil
	}
	if t, isText := key.(text); isText {
		err := x.splitByWords(t, m.n, func(i int) value {
			at, _ := m.at(i)
			return at
		})
		if err != nil {
			return no, err
		}
	}
	answer, err := x.anyOf(m.n, func(i int) (truth, error) {
		at, elem := m.at(i)
		return x.same(at, key, loc, e, func(e *env) (truth, error) { return k(elem, e) })
	})
	if err != nil || answer == yes && !x.careful || !m.open {
		return answer, err
	}
	unknown := opaque{limit: x.located(openLimit(v, loc)), kind: memberKind(v)}
	t, err := x.doubt(e, unknown.limit, func(e *env) (truth, error) { return k(unknown, e) })
	return max(answer, t), err
}

func (x *evaluation) indexList(l list, key value, loc *ast.Location, e *env, k foundValue) (truth, error) {
	kv, isKnown := key.(known)
	if isKnown && oddPosition(kv.Value) {
		limit := limitAt(loc, "a position in an array that is not written as a whole number is not understood here")
		return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	}
	if _, isLength := key.(length); isLength {
		return x.orDoubt(x.lengthen(), e, endless(loc), func(e *env) (truth, error) {
			return k(opaque{limit: endless(loc)}, e)
		})
	}
	n, ok := asInt(key)
	if !ok || n < 0 {
		return no, nil
	}
	if n < len(l.elems) {
		return k(l.elems[n], e)
	}
	if !l.rest {
		return no, nil
	}
	return x.orDoubt(x.lengthen(), e, endless(loc), func(e *env) (truth, error) {
		return k(opaque{limit: endless(loc)}, e)
	})
}

func (x *evaluation) indexDict(d dict, name string, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if v, ok := d.entries[name]; ok {
		return k(v, e)
	}
	if !d.mayHave(name) {
		return no, nil
	}
	unknown := opaque{limit: limitAt(loc, fmt.Sprintf("%s.%s is not part of the cache key", d.what, name)), kind: d.member}
	if d.only != "" {
		unknown.limit = limitAt(loc, noRoutes)
	}
	return x.doubt(e, unknown.limit, func(e *env) (truth, error) { return k(unknown, e) })
}

func (x *evaluation) indexKnown(c, key known, loc *ast.Location, e *env, k foundValue) (truth, error) {
	member := knownMember(c, ast.NewTerm(key.Value))
	switch {
	case member != nil:
		return k(known{member.Value}, e)
	case stored(c, key.Value):
		limit := limitAt(loc, "texts and numbers are the same keys in data")
		return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	default:
		return no, nil
	}
}

// stored tells whether a key that a collection does not have is one of its keys in
// OPA's storage, whose paths are texts: data.list["0"] is data.list[0] there, and
// data.table[2] is data.table["2"]. In other values they are not.
func stored(c known, key ast.Value) bool {
	switch c := c.Value.(type) {
	case *ast.Array:
		if s, ok := key.(ast.String); ok {
			n, err := strconv.Atoi(string(s))
			return err == nil && n >= 0 && n < c.Len()
		}
		return oddPosition(key)
	case ast.Object:
		n, ok := key.(ast.Number)
		return ok && c.Get(ast.StringTerm(n.String())) != nil
	}
	return false
}

// position is the element of an array that a key names.
func position(key ast.Value) (int, bool) {
	n, ok := key.(ast.Number)
	if !ok {
		return 0, false
	}
	return n.Int()
}

// oddPosition tells whether a key is a whole number that is not written as one, such as
// 2.0. Not all of OPA takes it for a position.
func oddPosition(key ast.Value) bool {
	_, is := asInt(known{key})
	_, plain := position(key)
	return is && !plain
}

// looseKeys tells whether stored could say yes for a value of a key that is not known.
func looseKeys(c known, key value) bool {
	switch c := c.Value.(type) {
	case *ast.Array:
		return isText(key) && c.Len() > 0
	case ast.Object:
		_, isLength := key.(length)
		return isLength && c.Len() > 0
	}
	return false
}

// knownMember is the member of a known collection under a key; nil if there is none.
func knownMember(c known, key *ast.Term) *ast.Term {
	switch c := c.Value.(type) {
	case *ast.Array:
		if n, ok := position(key.Value); ok && n >= 0 && n < c.Len() {
			return c.Elem(n)
		}
	case ast.Object:
		return c.Get(key)
	case ast.Set:
		if c.Contains(key) {
			return key
		}
	}
	return nil
}

// memberKind is the type that all members of a collection have, those that are not
// known among them.
func memberKind(v value) kind {
	d, ok := v.(dict)
	if !ok {
		return anything
	}
	for _, entry := range d.entries {
		if !isA(entry, d.member) {
			return anything
		}
	}
	return d.member
}

func isA(v value, k kind) bool {
	switch v := v.(type) {
	case text:
		return k == aText
	case opaque:
		return k == v.kind
	case known:
		switch c := v.Value.(type) {
		case ast.String:
			return k == aText
		case *ast.Array:
			ok := k == textArray
			c.Foreach(func(t *ast.Term) { ok = ok && isA(known{t.Value}, aText) })
			return ok
		}
	}
	return k == anything
}

func memberOf(k kind) kind {
	if k == textArray {
		return aText
	}
	return anything
}

func asInt(v value) (int, bool) {
	k, ok := v.(known)
	if !ok {
		return 0, false
	}
	n, ok := k.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	if i, ok := n.Int(); ok {
		return i, true
	}
	// 2.0 is 2.
	if f, ok := n.Float64(); ok && f == math.Trunc(f) && math.Abs(f) < 1<<31 {
		return int(f), true
	}
	return 0, false
}
