package residue

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
)

// rules finds the value of a rule or function: a set if it has elements, else the
// one value that its bodies agree on.
func (x *evaluation) rules(rules []*ast.Rule, args []value, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if x.depth++; x.depth > maxCalls {
		return no, errSteps
	}
	defer func() { x.depth-- }()
	for _, r := range rules {
		if !r.Head.Ref().IsGround() {
			return x.partialObject(rules, loc, e, k)
		}
	}
	if rules[0].Head.RuleKind() == ast.MultiValue {
		return x.multiValue(rules, loc, e, k)
	}
	v, t, limit, err := x.singleValue(rules, args)
	if err != nil {
		return no, err
	}
	switch t {
	case no:
		return no, nil
	case maybe:
		return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	default:
		return k(v, e)
	}
}

// singleValue evaluates a complete rule or a function. Two values that differ are
// a conflict, which is an error in Rego and a maybe here.
func (x *evaluation) singleValue(rules []*ast.Rule, args []value) (value, truth, engine.Limit, error) {
	var got value
	var byDefault *ast.Rule
	// unsure are the definitions that may hold, perhaps the values they would have.
	var unsure []*ast.Rule
	var perhaps []value
	for _, r := range rules {
		if r.Default {
			byDefault = r
			continue
		}
		if got != nil && !x.careful {
			// Rules that cannot conflict agree with the first.
			break
		}
		values, doubtful, several, err := x.chain(r, args)
		switch {
		case err != nil:
			return nil, no, engine.Limit{}, err
		case several:
			return x.conflict(r, nil)
		case doubtful:
			unsure, perhaps = append(unsure, r), append(perhaps, values...)
		case len(values) > 0 && got == nil:
			got = values[0]
		case len(values) > 0:
			if same, err := x.equalValues(got, values[0]); err != nil || same != yes {
				return x.conflict(r, err)
			}
		}
	}
	if len(unsure) > 0 {
		agreed, err := x.agree(got, perhaps)
		switch {
		case err != nil:
			return nil, no, engine.Limit{}, err
		case agreed && got != nil:
		case got != nil || len(unsure) > 1 && !agreed:
			return x.conflict(unsure[0], nil)
		default:
			return nil, maybe, limitAt(unsure[0].Loc(), fmt.Sprintf("what %s is depends on something unknown", unsure[0].Head.Ref())), nil
		}
	}
	switch {
	case got != nil:
		return got, yes, engine.Limit{}, nil
	case byDefault != nil:
		return x.defaultValue(byDefault)
	default:
		return nil, no, engine.Limit{}, nil
	}
}

// conflict is a rule with two values, for all requests of the cell or for some.
func (x *evaluation) conflict(r *ast.Rule, err error) (value, truth, engine.Limit, error) {
	limit := limitAt(r.Loc(), fmt.Sprintf("%s could have two values for the same request, which is an error", r.Head.Ref()))
	if x.failure == nil {
		x.failure = &limit
	}
	return nil, maybe, limit, err
}

// agree tells whether values are all the same, the sure one among them if there is
// one.
func (x *evaluation) agree(got value, perhaps []value) (bool, error) {
	for _, v := range perhaps {
		if got == nil {
			got = v
		}
		if same, err := x.equalValues(got, v); err != nil || same != yes {
			return false, err
		}
	}
	return true, nil
}

func (x *evaluation) defaultValue(r *ast.Rule) (value, truth, engine.Limit, error) {
	var got value
	_, err := x.term(r.Head.Value, nil, func(v value, _ *env) (truth, error) {
		got = v
		return no, nil
	})
	return got, yes, engine.Limit{}, err
}

// chain evaluates a rule and its else branches in order: the first whose body
// holds has the value. Behind one that may hold or not, all others may have it.
// several tells that one branch could have two values at once.
func (x *evaluation) chain(r *ast.Rule, args []value) (values []value, unsure, several bool, err error) {
	for ; r != nil; r = r.Else {
		vs, doubtful, err := x.branch(r, args)
		if err != nil {
			return nil, false, false, err
		}
		agreed, err := x.agree(nil, vs)
		if err != nil {
			return nil, false, false, err
		}
		values, unsure, several = append(values, vs...), unsure || doubtful, several || !agreed
		if len(vs) > 0 && !doubtful {
			break
		}
	}
	return values, unsure, several, nil
}

func (x *evaluation) branch(r *ast.Rule, args []value) (values []value, unsure bool, err error) {
	if err := x.clock.Spend(1); err != nil {
		return nil, false, err
	}
	var bindArgs func(i int, e *env) (truth, error)
	bindArgs = func(i int, e *env) (truth, error) {
		if i < len(r.Head.Args) && i < len(args) {
			return x.match(r.Head.Args[i], args[i], e, func(e *env) (truth, error) { return bindArgs(i+1, e) })
		}
		return x.body(r.Body, e, func(e *env) (truth, error) {
			if r.Head.Value == nil {
				values, unsure = append(values, boolean(true)), unsure || e.isUnsure()
				return no, nil
			}
			return x.term(r.Head.Value, e, func(v value, e *env) (truth, error) {
				values, unsure = append(values, v), unsure || e.isUnsure()
				return no, nil
			})
		})
	}
	_, err = bindArgs(0, nil)
	return values, unsure, err
}

// multiValue evaluates a rule that contains elements.
func (x *evaluation) multiValue(rules []*ast.Rule, loc *ast.Location, e *env, k foundValue) (truth, error) {
	var elems []value
	open := false
	for _, r := range rules {
		_, err := x.body(r.Body, nil, func(e *env) (truth, error) {
			return x.term(r.Head.Key, e, func(v value, e *env) (truth, error) {
				if e.isUnsure() {
					open = true
				} else {
					elems = append(elems, v)
				}
				return no, nil
			})
		})
		if err != nil {
			return no, err
		}
	}
	if open {
		return k(list{elems: elems, set: true, open: true}, e)
	}
	return k(x.collect(elems, true), e)
}

// partialObject evaluates rules that each give an object some keys: with a value, or
// with elements of a set.
func (x *evaluation) partialObject(rules []*ast.Rule, loc *ast.Location, e *env, k foundValue) (truth, error) {
	var b objectBuilder
	var sets objectBuilder
	for _, r := range rules {
		ref := r.Head.Ref()
		n := len(ref) - 1
		if r.Default || r.Else != nil || !ref[:n].IsGround() {
			return x.mayFail(e, limitAt(r.Loc(), "a rule with several variables in its name is not understood here"), k)
		}
		to, member := &b, r.Head.Value
		if r.Head.RuleKind() == ast.MultiValue {
			to, member = &sets, r.Head.Key
		}
		_, err := x.body(r.Body, nil, func(e *env) (truth, error) {
			return x.terms([]*ast.Term{ref[n], member}, e, func(pair []value, e *env) (truth, error) {
				to.add(pair[0], pair[1], !e.isUnsure())
				return no, nil
			})
		})
		if err != nil {
			return no, err
		}
	}
	sets.gather(&b)
	return x.built(&b, loc, e, k)
}

// gather adds to another object the sets of what there is under each key.
func (b *objectBuilder) gather(to *objectBuilder) {
	to.open = to.open || b.open
	elems := map[string][]value{}
	var keys []value
	for i, key := range b.keys {
		kv, isKnown := key.(known)
		if !isKnown {
			to.open = true
			continue
		}
		name := kv.Value.String()
		if elems[name] == nil {
			keys = append(keys, key)
		}
		elems[name] = append(elems[name], b.values[i])
	}
	for _, key := range keys {
		to.add(key, collect(elems[key.(known).Value.String()], true), true)
	}
}

func openLimit(v value, loc *ast.Location) engine.Limit {
	if d, ok := v.(dict); ok && d.what != "" {
		return limitAt(loc, d.what+" has entries that are not part of the cache key")
	}
	return limitAt(loc, "the members of a collection are not known")
}

// call evaluates an expression that calls something: an operator, a builtin
// function, or a function of the policy.
func (x *evaluation) call(ts []*ast.Term, loc *ast.Location, e *env, k found) (truth, error) {
	o := x.operator(ts[0])
	switch o.name {
	case "eq", "assign":
		return x.unify(ts[1], ts[2], loc, e, k)
	}
	if !o.ok {
		return x.giveUp(ast.NewExpr(ts), e, limitAt(loc, o.name+" is not understood here"), k)
	}
	return x.terms(ts[1:o.arity+1], e, func(args []value, e *env) (truth, error) {
		return x.invoke(o, args, loc, e, x.result(ts[o.arity+1:], k))
	})
}

// result takes a call's value: into its output, if it has one, else as its truth.
func (x *evaluation) result(out []*ast.Term, k found) foundValue {
	return func(v value, e *env) (truth, error) {
		if len(out) > 0 {
			return x.match(out[0], v, e, k)
		}
		if o, ok := v.(opaque); ok {
			return x.doubt(e, o.limit, k)
		}
		if !truthy(v) {
			return no, nil
		}
		return k(e)
	}
}

func (x *evaluation) callTerm(c ast.Call, loc *ast.Location, e *env, k foundValue) (truth, error) {
	return x.terms(c[1:], e, func(args []value, e *env) (truth, error) {
		return x.invoke(x.operator(c[0]), args, loc, e, k)
	})
}

// operator finds what a term calls.
func (x *evaluation) operator(t *ast.Term) operator {
	if x.Base != nil {
		if o, ok := x.Base.operators[t]; ok {
			return o
		}
	}
	o, ok := x.shared.operators[t]
	if !ok {
		o = operatorOf(t, x.Rules)
		x.shared.operators[t] = o
	}
	return o
}

// invoke finds the values of a function: of the policy, or a builtin one.
func (x *evaluation) invoke(o operator, args []value, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if len(o.rules) > 0 {
		return x.rules(o.rules, args, loc, e, k)
	}
	return x.builtin(o.name, args, loc, e, k)
}

// unify makes two terms equal, binding variables of either.
func (x *evaluation) unify(a, b *ast.Term, loc *ast.Location, e *env, k found) (truth, error) {
	switch {
	case x.isPattern(a, e):
		return x.term(b, e, func(v value, e *env) (truth, error) { return x.match(a, v, e, k) })
	case x.isPattern(b, e):
		return x.term(a, e, func(v value, e *env) (truth, error) { return x.match(b, v, e, k) })
	}
	return x.term(a, e, func(va value, e *env) (truth, error) {
		return x.term(b, e, func(vb value, e *env) (truth, error) { return x.same(va, vb, loc, e, k) })
	})
}

// isPattern tells whether a term binds variables when it is matched.
func (x *evaluation) isPattern(t *ast.Term, e *env) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		_, bound := e.get(v)
		return !bound
	case *ast.Array:
		for i := range v.Len() {
			if x.isPattern(v.Elem(i), e) {
				return true
			}
		}
	case ast.Object:
		pattern := false
		v.Foreach(func(_, t *ast.Term) { pattern = pattern || x.isPattern(t, e) })
		return pattern
	}
	return false
}

// match makes a term equal to a value, binding the term's variables.
func (x *evaluation) match(t *ast.Term, v value, e *env, k found) (truth, error) {
	switch p := t.Value.(type) {
	case ast.Var:
		if _, bound := e.get(p); !bound {
			return k(e.bind(p, v))
		}
	case *ast.Array:
		if x.isPattern(t, e) {
			return x.matchArray(p, v, t.Loc(), e, k)
		}
	case ast.Object:
		if x.isPattern(t, e) {
			return x.matchObject(p, v, t, e, k)
		}
	}
	return x.term(t, e, func(tv value, e *env) (truth, error) { return x.same(tv, v, t.Loc(), e, k) })
}

// matchObject takes an object apart: it has the pattern's keys and no others.
func (x *evaluation) matchObject(p ast.Object, v value, t *ast.Term, e *env, k found) (truth, error) {
	m, ok := x.members(v)
	_, isDict := v.(dict)
	if kv, isKnown := v.(known); isKnown {
		_, isDict = kv.Value.(ast.Object)
	}
	switch {
	case isOpaque(v) || isDict && m.open:
		limit := limitAt(t.Loc(), "taking an object apart whose keys are not known is not understood here")
		return x.doubt(bindAll(t, e, limit), limit, k)
	case !ok || !isDict || m.n != p.Len():
		return no, nil
	}
	patterns := p.Keys()
	if slices.ContainsFunc(patterns, func(t *ast.Term) bool { return !t.IsGround() }) {
		limit := limitAt(t.Loc(), "taking an object apart by keys that are variables is not understood here")
		return x.giveUp(t, e, limit, k)
	}
	var next func(i int, e *env) (truth, error)
	next = func(i int, e *env) (truth, error) {
		if i == len(patterns) {
			return k(e)
		}
		for j := range m.n {
			key, elem := m.at(j)
			if kv, isKnown := key.(known); isKnown && kv.Compare(patterns[i].Value) == 0 {
				return x.match(p.Get(patterns[i]), elem, e, func(e *env) (truth, error) { return next(i+1, e) })
			}
		}
		return no, nil
	}
	return next(0, e)
}

func isOpaque(v value) bool {
	_, ok := v.(opaque)
	return ok
}

func (x *evaluation) matchArray(p *ast.Array, v value, loc *ast.Location, e *env, k found) (truth, error) {
	if o, ok := v.(opaque); ok {
		return x.doubt(bindAll(p, e, o.limit), o.limit, k)
	}
	if l, ok := v.(list); ok && l.rest {
		if p.Len() <= len(l.elems) {
			return no, nil
		}
		return x.orDoubt(x.lengthen(), bindAll(p, e, endless(loc)), endless(loc), k)
	}
	if isSet(v) {
		return no, nil
	}
	m, ok := x.members(v)
	if _, isObject := v.(dict); !ok || isObject || m.open || m.n != p.Len() {
		return no, nil
	}
	if kv, isKnown := v.(known); isKnown {
		if _, isArray := kv.Value.(*ast.Array); !isArray {
			return no, nil
		}
	}
	var next func(i int, e *env) (truth, error)
	next = func(i int, e *env) (truth, error) {
		if i == p.Len() {
			return k(e)
		}
		_, elem := m.at(i)
		return x.match(p.Elem(i), elem, e, func(e *env) (truth, error) { return next(i+1, e) })
	}
	return next(0, e)
}

func isSet(v value) bool {
	switch v := v.(type) {
	case list:
		return v.set
	case known:
		_, ok := v.Value.(ast.Set)
		return ok
	}
	return false
}

// same goes on if two values are equal.
func (x *evaluation) same(a, b value, loc *ast.Location, e *env, k found) (truth, error) {
	t, err := x.equalValues(a, b)
	if err != nil {
		return no, err
	}
	switch t {
	case no:
		return no, nil
	case maybe:
		return x.doubt(e, whyUnequal(a, b, loc), k)
	default:
		return k(e)
	}
}

func whyUnequal(a, b value, loc *ast.Location) engine.Limit {
	for _, v := range []value{a, b} {
		if o, ok := v.(opaque); ok {
			return o.limit
		}
	}
	return limitAt(loc, "two parts of the request are compared with each other")
}

// equalValues tells whether two values are equal in the whole cell.
func (x *evaluation) equalValues(a, b value) (truth, error) {
	if err := x.clock.afford(1 + min(size(a), size(b))); err != nil {
		return no, err
	}
	switch av := a.(type) {
	case opaque:
		return maybe, nil
	case known:
		switch bv := b.(type) {
		case known:
			return fromBool(av.Compare(bv.Value) == 0), nil
		case text, list, dict, length, opaque:
			return x.equalValues(b, a)
		}
	case length:
		n, ok := asInt(b)
		if _, isKnown := b.(known); !isKnown || ok && n >= int(av) {
			return maybe, x.lengthen()
		}
		return no, nil
	case text:
		switch bv := b.(type) {
		case known:
			s, ok := asString(bv)
			if !ok {
				return no, nil
			}
			return x.equal(av, s)
		case text:
			return equalTexts(av, bv), nil
		case opaque:
			return maybe, nil
		default:
			return no, nil
		}
	case list:
		return x.equalLists(av, b)
	case dict:
		if _, ok := b.(opaque); ok {
			return maybe, nil
		}
		if k, ok := b.(known); ok {
			if _, isObject := k.Value.(ast.Object); !isObject {
				return no, nil
			}
		}
		return maybe, nil
	}
	return maybe, nil
}

// equalTexts compares texts by their free parts only: the same parts are equal,
// whatever they are.
func equalTexts(a, b text) truth {
	if len(a.parts) == len(b.parts) && a.rest == b.rest && !a.rest {
		same := true
		for i := range a.parts {
			same = same && a.parts[i] == b.parts[i]
		}
		if same {
			return yes
		}
	}
	if len(a.parts) != len(b.parts) && !a.rest && !b.rest {
		return no
	}
	return maybe
}

func (x *evaluation) equalLists(l list, b value) (truth, error) {
	if _, ok := b.(opaque); ok || l.open || l.set {
		return maybe, nil
	}
	other, ok := b.(list)
	if !ok {
		k, isKnown := b.(known)
		if !isKnown {
			return no, nil
		}
		array, isArray := k.Value.(*ast.Array)
		if !isArray {
			return no, nil
		}
		for i := range array.Len() {
			other.elems = append(other.elems, known{array.Elem(i).Value})
		}
	}
	if other.set || other.open || (l.rest && other.rest) {
		return maybe, nil
	}
	if l.rest || other.rest {
		long, short := l, other
		if other.rest {
			long, short = other, l
		}
		if len(short.elems) <= len(long.elems) {
			return no, nil
		}
		return maybe, x.lengthen()
	}
	if len(l.elems) != len(other.elems) {
		return no, nil
	}
	return allOf(len(l.elems), func(i int) (truth, error) { return x.equalValues(l.elems[i], other.elems[i]) })
}

// allOf asks each question and looks for a no before it asks for a split.
func allOf(n int, question func(i int) (truth, error)) (truth, error) {
	all := yes
	var ask error
	for i := range n {
		t, err := question(i)
		if err != nil {
			ask = err
			continue
		}
		if t == no {
			return no, nil
		}
		all = min(all, t)
	}
	return all, ask
}
