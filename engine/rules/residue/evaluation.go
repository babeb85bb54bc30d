package residue

import (
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
)

// Program is what is asked of the rules, what they refer to, and what is known.
type Program struct {
	// Allow and Deny are alternatives: the request is allowed if one of Allow holds
	// and none of Deny.
	Allow, Deny []ast.Body
	// Rules returns the rules with exactly this reference.
	Rules func(ref string) []*ast.Rule
	// Within tells whether there are rules below a reference.
	Within func(ref string) bool
	// Base are the policy's rules, prepared.
	Base *Rules
	// Data is the base document.
	Data ast.Value
	// Input has the known parts of the input document.
	Input map[string]ast.Value
	// Known says what else is fixed.
	Known engine.Known
	// Fallible tells that the rules could fail for some requests, on a builtin
	// function or on a conflict. Then a yes is not the end: everything is evaluated
	// that Rego could evaluate, and what could fail spoils its cell.
	Fallible bool

	// special is what Specialise left of the rules, in place of Allow and Deny.
	special *special
	shared  *shared
}

// special are the ways to be allowed and to be denied.
type special struct{ allow, deny ways }

// shared is what the evaluations of all cells have in common.
type shared struct {
	// constants are the values of rules that are the same for every cell; nil is
	// undefined.
	constants map[string]value
	// targets and operators are those of terms that Base does not have.
	targets   map[*ast.Term]target
	operators map[*ast.Term]operator
}

func newShared() *shared {
	return &shared{constants: map[string]value{}, targets: map[*ast.Term]target{}, operators: map[*ast.Term]operator{}}
}

// evaluation is one cell being judged.
type evaluation struct {
	*Program
	clock  *Clock
	cancel topdown.Cancel
	cell   engine.Cell
	input  dict
	// general tells that this is for every cell: what the cell decides is errOpen.
	general bool
	// careful tells that everything is evaluated that Rego could evaluate.
	careful bool
	// doubts are the conditions that were maybe.
	doubts []engine.Limit
	// failure is something that Rego could report as an error. It spoils the cell,
	// whatever else allows it.
	failure *engine.Limit
	// at is where the evaluation has come to.
	at    *ast.Location
	steps int
	depth int
}

// maxSteps bounds the work for one cell, in expressions; maxCalls how deep rules
// may call rules.
const (
	maxSteps = 200_000
	maxCalls = 128
)

var errSteps = errors.New("the rules are too large for a complete policy")

// env binds variables. It is a list that grows at the head, so that going back
// over alternatives is dropping it.
type env struct {
	name  ast.Var
	value value
	next  *env
	// unsure tells that the way here led through a maybe.
	unsure bool
}

func (e *env) get(name ast.Var) (value, bool) {
	for ; e != nil; e = e.next {
		if e.value != nil && e.name == name {
			return e.value, true
		}
	}
	return nil, false
}

func (e *env) bind(name ast.Var, v value) *env {
	return &env{name: name, value: v, next: e, unsure: e.isUnsure()}
}

func (e *env) isUnsure() bool { return e != nil && e.unsure }

// found is called for each way to satisfy something. It returns how far the whole
// is satisfied; yes ends the search.
type found func(e *env) (truth, error)

type foundValue func(v value, e *env) (truth, error)

// done is the end of a way.
func done(e *env) (truth, error) {
	if e.isUnsure() {
		return maybe, nil
	}
	return yes, nil
}

// doubt goes on, unsurely, and remembers why.
func (x *evaluation) doubt(e *env, limit engine.Limit, k found) (truth, error) {
	limit = x.located(limit)
	if err := x.clock.Spend(1 + len(x.doubts)/8); err != nil {
		return no, err
	}
	if !slices.Contains(x.doubts, limit) {
		x.doubts = append(x.doubts, limit)
	}
	return k(&env{next: e, unsure: true})
}

// located adds to a limit where the evaluation has come to, if it says nothing.
func (x *evaluation) located(limit engine.Limit) engine.Limit {
	if limit.File == "" && x.at != nil {
		limit.File, limit.Line = x.at.File, x.at.Row
	}
	return limit
}

// giveUp goes on unsurely behind something that is not understood. Its variables
// could have any value; whether it fails is not known.
func (x *evaluation) giveUp(node any, e *env, limit engine.Limit, k found) (truth, error) {
	limit = x.located(limit)
	if x.careful && x.failure == nil {
		x.failure = &limit
	}
	return x.doubt(bindAll(node, e, limit), limit, k)
}

// bindAll gives the variables of a node that have no value one that is not known.
func bindAll(node any, e *env, limit engine.Limit) *env {
	vis := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipRefCallHead: true})
	vis.Walk(node)
	for v := range vis.Vars() {
		if _, bound := e.get(v); !bound && !v.Equal(ast.InputRootDocument.Value) && !v.Equal(ast.DefaultRootDocument.Value) {
			e = e.bind(v, opaque{limit: limit})
		}
	}
	return e
}

// mayFail remembers a failure and goes on unsurely.
func (x *evaluation) mayFail(e *env, limit engine.Limit, k foundValue) (truth, error) {
	limit = x.located(limit)
	if x.failure == nil {
		x.failure = &limit
	}
	return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
}

// anyOf asks for each alternative in turn until one is a yes.
func (x *evaluation) anyOf(n int, alternative func(i int) (truth, error)) (truth, error) {
	answer := no
	for i := range n {
		if err := x.clock.Spend(1); err != nil {
			return no, err
		}
		t, err := alternative(i)
		if err != nil {
			return no, err
		}
		if answer = max(answer, t); answer == yes && !x.careful {
			return yes, nil
		}
	}
	return answer, nil
}

func (x *evaluation) body(b ast.Body, e *env, k found) (truth, error) {
	if len(b) == 0 {
		return k(e)
	}
	return x.expr(b[0], e, func(e *env) (truth, error) { return x.body(b[1:], e, k) })
}

func (x *evaluation) expr(expr *ast.Expr, e *env, k found) (truth, error) {
	if x.steps++; x.steps > maxSteps {
		return no, errSteps
	}
	if err := x.clock.Spend(2); err != nil {
		return no, err
	}
	if expr.Loc() != nil {
		x.at = expr.Loc()
	}
	if len(expr.With) > 0 {
		return x.giveUp(expr, e, limitAt(expr.Loc(), "`with` is not understood here"), k)
	}
	if expr.Negated {
		return x.negated(expr, e, k)
	}
	switch t := expr.Terms.(type) {
	case *ast.SomeDecl:
		return k(e)
	case *ast.Every:
		return x.every(t, expr.Loc(), e, k)
	case *ast.Term:
		return x.term(t, e, func(v value, e *env) (truth, error) {
			if o, ok := v.(opaque); ok {
				return x.doubt(e, o.limit, k)
			}
			if !truthy(v) {
				return no, nil
			}
			return k(e)
		})
	case []*ast.Term:
		return x.call(t, expr.Loc(), e, k)
	default:
		return x.giveUp(expr, e, limitAt(expr.Loc(), "this statement is not understood here"), k)
	}
}

// negated holds if an expression has no way to hold. The arguments of a call are
// not part of what is negated: Rego's compiler evaluates them before, and where one
// is undefined, so is the whole.
func (x *evaluation) negated(expr *ast.Expr, e *env, k found) (truth, error) {
	ts, isCall := expr.Terms.([]*ast.Term)
	if isCall && !expr.IsEquality() && expr.Operator().String() != ast.Assign.Name {
		o := x.operator(ts[0])
		if !o.ok {
			return x.giveUp(expr, e, limitAt(expr.Loc(), o.name+" is not understood here"), k)
		}
		return x.terms(ts[1:o.arity+1], e, func(args []value, e *env) (truth, error) {
			return x.unless(e, k, func(e *env) (truth, error) {
				return x.invoke(o, args, expr.Loc(), e, x.result(ts[o.arity+1:], done))
			})
		})
	}
	positive := expr.NoWith()
	positive.Negated = false
	return x.unless(e, k, func(e *env) (truth, error) { return x.expr(positive, e, done) })
}

// unless goes on if a question has the answer no.
func (x *evaluation) unless(e *env, k, question found) (truth, error) {
	answer, err := question(sure(e))
	switch {
	case err != nil:
		return no, err
	case answer == yes:
		return no, nil
	case answer == maybe:
		return k(&env{next: e, unsure: true})
	default:
		return k(e)
	}
}

// sure forgets that the way here was unsure: what is asked next is a question of
// its own.
func sure(e *env) *env {
	if e.isUnsure() {
		return &env{next: e}
	}
	return e
}

// every holds if its body holds for all members of the domain.
func (x *evaluation) every(ev *ast.Every, loc *ast.Location, e *env, k found) (truth, error) {
	return x.term(ev.Domain, e, func(domain value, e *env) (truth, error) {
		m, ok := x.members(domain)
		n := m.n
		limit := limitAt(loc, "`every` ranges over values that are not known")
		kind := memberKind(domain)
		if without(domain) {
			m.open, limit, kind = true, endless(loc), aText
		}
		if o, isOpaque := domain.(opaque); isOpaque {
			m.open, ok, limit, kind = true, true, o.limit, memberOf(o.kind)
		}
		if !ok {
			return no, nil
		}
		if m.open {
			// What the members are that are not known is one more member's matter.
			n++
		}
		all := yes
		for i := range n {
			last := i == m.n
			if last && !x.careful {
				all = min(all, maybe)
				break
			}
			var key, elem value = opaque{limit: limit}, opaque{limit: limit, kind: kind}
			if !last {
				key, elem = m.at(i)
			}
			t, err := x.everyMember(ev, key, elem, e)
			if last {
				// There may be no such member.
				t = maybe
			}
			if err != nil || t == no && !x.careful {
				return no, err
			}
			all = min(all, t)
		}
		switch all {
		case no:
			return no, nil
		case maybe:
			return x.doubt(e, limit, k)
		default:
			return k(e)
		}
	})
}

func (x *evaluation) everyMember(ev *ast.Every, key, elem value, e *env) (truth, error) {
	e = sure(e)
	if ev.Key != nil {
		if v, ok := ev.Key.Value.(ast.Var); ok {
			e = e.bind(v, key)
		}
	}
	return x.match(ev.Value, elem, e, func(e *env) (truth, error) { return x.body(ev.Body, e, done) })
}

// orDoubt passes an error on, and otherwise goes on unsurely.
func (x *evaluation) orDoubt(err error, e *env, limit engine.Limit, k found) (truth, error) {
	if err != nil {
		return no, err
	}
	return x.doubt(e, limit, k)
}

// endless is the limit of questions about all segments of a greedy parameter.
func endless(loc *ast.Location) engine.Limit {
	return limitAt(loc, "how many segments a greedy parameter has is not known")
}

// term finds the values that a term can have.
func (x *evaluation) term(t *ast.Term, e *env, k foundValue) (truth, error) {
	switch v := t.Value.(type) {
	case ast.Var:
		bound, ok := e.get(v)
		if x.general && (!ok || isPending(bound)) {
			return no, errOpen
		}
		if ok {
			return k(bound, e)
		}
		return k(opaque{limit: limitAt(t.Loc(), fmt.Sprintf("the value of %s is not known", v))}, e)
	case ast.Ref:
		return x.ref(t, v, e, k)
	case ast.Call:
		return x.callTerm(v, t.Loc(), e, k)
	case *ast.Array:
		return x.terms(slice(v), e, func(vs []value, e *env) (truth, error) { return k(collect(vs, false), e) })
	case ast.Set:
		return x.terms(v.Slice(), e, func(vs []value, e *env) (truth, error) { return k(x.collect(vs, true), e) })
	case ast.Object:
		return x.object(v, t.Loc(), e, k)
	case *ast.ArrayComprehension:
		return x.comprehension(v.Body, v.Term, false, t.Loc(), e, k)
	case *ast.SetComprehension:
		return x.comprehension(v.Body, v.Term, true, t.Loc(), e, k)
	case *ast.ObjectComprehension:
		return x.objectComprehension(v, t.Loc(), e, k)
	case ast.Null, ast.Boolean, ast.Number, ast.String:
		return k(known{t.Value}, e)
	default:
		limit := limitAt(t.Loc(), "this value is not understood here")
		return x.giveUp(t, e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
	}
}

func slice(a *ast.Array) []*ast.Term {
	terms := make([]*ast.Term, a.Len())
	for i := range terms {
		terms[i] = a.Elem(i)
	}
	return terms
}

// terms finds the values that several terms can have together.
func (x *evaluation) terms(ts []*ast.Term, e *env, k func([]value, *env) (truth, error)) (truth, error) {
	if vs, ok := x.plain(ts, e); ok {
		return k(vs, e)
	}
	var next func(i int, vs []value, e *env) (truth, error)
	next = func(i int, vs []value, e *env) (truth, error) {
		if i == len(ts) {
			return k(vs, e)
		}
		return x.term(ts[i], e, func(v value, e *env) (truth, error) {
			return next(i+1, append(vs[:i:i], v), e)
		})
	}
	return next(0, nil, e)
}

// plain are the values of terms that are all scalars and variables with values.
func (x *evaluation) plain(ts []*ast.Term, e *env) ([]value, bool) {
	vs := make([]value, len(ts))
	for i, t := range ts {
		switch v := t.Value.(type) {
		case ast.Var:
			bound, ok := e.get(v)
			if !ok || isPending(bound) {
				return nil, false
			}
			vs[i] = bound
		case ast.Null, ast.Boolean, ast.Number, ast.String:
			vs[i] = known{v}
		default:
			return nil, false
		}
	}
	return vs, true
}

// collect is the function of that name, if there is time for it.
func (x *evaluation) collect(vs []value, set bool) value {
	if x.clock.afford(3*len(vs)) != nil {
		return opaque{}
	}
	return collect(vs, set)
}

// collect makes a collection of values, an ordinary one if all are known.
func collect(vs []value, set bool) value {
	terms := make([]*ast.Term, 0, len(vs))
	for _, v := range vs {
		k, ok := v.(known)
		if !ok {
			return list{elems: vs, set: set}
		}
		terms = append(terms, ast.NewTerm(k.Value))
	}
	if set {
		return known{ast.NewSet(terms...)}
	}
	return known{ast.NewArray(terms...)}
}

func (x *evaluation) object(o ast.Object, loc *ast.Location, e *env, k foundValue) (truth, error) {
	if o.IsGround() {
		return k(known{o}, e)
	}
	var keys []string
	var terms []*ast.Term
	simple := true
	o.Foreach(func(key, t *ast.Term) {
		s, ok := key.Value.(ast.String)
		simple = simple && ok
		keys = append(keys, string(s))
		terms = append(terms, t)
	})
	if !simple {
		return k(opaque{limit: limitAt(loc, "an object with keys that are no constant texts is not understood here")}, e)
	}
	return x.terms(terms, e, func(vs []value, e *env) (truth, error) {
		d := dict{entries: map[string]value{}}
		allKnown := ast.NewObject()
		for i, key := range keys {
			d.entries[key] = vs[i]
			if v, ok := vs[i].(known); ok {
				allKnown.Insert(ast.StringTerm(key), ast.NewTerm(v.Value))
			}
		}
		if allKnown.Len() == len(keys) {
			return k(known{allKnown}, e)
		}
		return k(d, e)
	})
}

// comprehension collects the values of a term over all ways to satisfy a body.
func (x *evaluation) comprehension(b ast.Body, t *ast.Term, set bool, loc *ast.Location, e *env, k foundValue) (truth, error) {
	var vs []value
	open := false
	_, err := x.body(b, sure(e), func(e *env) (truth, error) {
		return x.term(t, e, func(v value, e *env) (truth, error) {
			if e.isUnsure() {
				open = true
			} else {
				vs = append(vs, v)
			}
			return no, nil
		})
	})
	if err != nil {
		return no, err
	}
	if open {
		return k(opaque{limit: limitAt(loc, "a comprehension over values that are not known")}, e)
	}
	return k(x.collect(vs, set), e)
}

// objectComprehension collects keys and values over all ways to satisfy a body. Two
// values for one key are an error in Rego.
func (x *evaluation) objectComprehension(o *ast.ObjectComprehension, loc *ast.Location, e *env, k foundValue) (truth, error) {
	var b objectBuilder
	_, err := x.body(o.Body, sure(e), func(e *env) (truth, error) {
		return x.terms([]*ast.Term{o.Key, o.Value}, e, func(pair []value, e *env) (truth, error) {
			b.add(pair[0], pair[1], !e.isUnsure())
			return no, nil
		})
	})
	if err != nil {
		return no, err
	}
	return x.built(&b, loc, e, k)
}

// objectBuilder is an object being made of pairs.
type objectBuilder struct {
	keys, values []value
	// open tells that some pairs may be there or not.
	open bool
}

func (b *objectBuilder) add(key, v value, certain bool) {
	if !certain {
		b.open = true
	}
	b.keys, b.values = append(b.keys, key), append(b.values, v)
}

// built goes on with a finished object, unless two values could meet under one key,
// or its keys are not known.
func (x *evaluation) built(b *objectBuilder, loc *ast.Location, e *env, k foundValue) (truth, error) {
	for i, key := range b.keys {
		for j := range i {
			if x.steps++; x.steps > maxSteps {
				return no, errSteps
			}
			sameKey, err := x.equalValues(b.keys[j], key)
			if err != nil {
				return no, err
			}
			if sameKey == no {
				continue
			}
			if t, err := x.equalValues(b.values[j], b.values[i]); err != nil || t != yes {
				return x.orFail(err, e, limitAt(loc, "an object could have two values for the same key, which is an error"), k)
			}
		}
	}
	d, whole := dict{entries: map[string]value{}}, ast.NewObject()
	ordinary := allOrdinary(b.keys, b.values)
	for i, key := range b.keys {
		name, isText := asString(key)
		if b.open || !isText && !ordinary {
			limit := x.located(limitAt(loc, "which keys an object has is not known"))
			return x.doubt(e, limit, func(e *env) (truth, error) { return k(opaque{limit: limit}, e) })
		}
		d.entries[name] = b.values[i]
		if v, ok := b.values[i].(known); ok {
			whole.Insert(ast.NewTerm(key.(known).Value), ast.NewTerm(v.Value))
		}
	}
	if ordinary {
		return k(known{whole}, e)
	}
	return k(d, e)
}

func (x *evaluation) orFail(err error, e *env, limit engine.Limit, k foundValue) (truth, error) {
	if err != nil {
		return no, err
	}
	return x.mayFail(e, limit, k)
}

func allOrdinary(lists ...[]value) bool {
	for _, vs := range lists {
		for _, v := range vs {
			if _, ok := v.(known); !ok {
				return false
			}
		}
	}
	return true
}

func limitAt(loc *ast.Location, reason string) engine.Limit {
	l := engine.Limit{Reason: reason}
	if loc != nil {
		l.File, l.Line = loc.File, loc.Row
	}
	return l
}
