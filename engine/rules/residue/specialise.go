package residue

import (
	"context"
	"errors"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
)

// errOpen ends the evaluation of an expression that reads what the cell decides.
var errOpen = errors.New("not the same for every cell")

// errUnfit ends a specialisation of rules that it is not made for.
var errUnfit = errors.New("the rules cannot be specialised")

// maxWays bounds how many ways there may be to satisfy specialised rules, and
// maxWork the expressions that are looked at.
const (
	maxWays = 10_000
	maxWork = 100_000
)

// Watch looks at an expression that is left for the cells to decide, with what plug
// knows of its terms, and tells whether it cannot fail for any request.
type Watch func(expr *ast.Expr, plug func(*ast.Term) *ast.Term) bool

// specialiser evaluates rules as far as they are the same for every cell. What is
// not stays behind, with the variables that the rest gave values. It is partial
// evaluation of the plain kind: rules are taken apart where a statement is no more
// than their name or a call, everything else that is open is left as it is written.
//
// An error for any request, a doubt, or anything that is not understood makes the
// rules unfit. So whatever is specialised holds for a request exactly if the rules do.
type specialiser struct {
	x     *evaluation
	watch Watch
	// routes tells that every cell has a route.
	routes bool
	ways   []way
	work   int
}

// Specialise evaluates the rules with these references as far as they are the same
// for every cell, and puts what is left into the program. It returns false, and
// leaves the program as it is, where the rules are not of a kind that it can take
// apart without losing an error. An error is the context's.
func (p *Program) Specialise(ctx context.Context, allow, deny []string, routes bool, watch Watch) (bool, error) {
	x, stop := p.general(ctx)
	defer stop()
	s := &specialiser{x: x, watch: watch, routes: routes}
	var special special
	allowed, err := s.specialise(allow)
	if err == nil {
		special.allow, err = newWays(allowed, x.clock)
	}
	if err == nil {
		allowed, err = s.specialise(deny)
	}
	if err == nil {
		special.deny, err = newWays(allowed, x.clock)
	}
	switch {
	case x.clock.err != nil:
		return false, x.clock.err
	case err != nil && !errors.Is(err, errUnfit):
		return false, err
	case err == nil:
		p.special = &special
	}
	return err == nil, nil
}

// general is an evaluation of what is the same for every cell.
func (p *Program) general(ctx context.Context) (x *evaluation, stop func() bool) {
	if p.shared == nil {
		p.shared = newShared()
	}
	x = &evaluation{Program: p, clock: NewClock(ctx), cancel: topdown.NewCancel(), general: true, careful: true}
	x.input = dict{entries: map[string]value{}}
	for name, v := range p.Input {
		x.input.entries[name] = known{v}
	}
	return x, context.AfterFunc(ctx, x.cancel.Cancel)
}

// Why says why a value is not determined.
type Why struct {
	engine.Limit
	// Open tells that it depends on what a cache key leaves open, Fails that finding it
	// could fail.
	Open, Fails bool
}

// Determined tells whether rules of one reference have the same value, or none, for
// every request of the key; nil if so. The error is the context's.
func (p *Program) Determined(ctx context.Context, rules []*ast.Rule) (*Why, error) {
	x, stop := p.general(ctx)
	defer stop()
	_, err := x.rules(rules, nil, rules[0].Loc(), nil, func(value, *env) (truth, error) { return no, nil })
	switch {
	case x.clock.Look() != nil:
		return nil, x.clock.err
	case x.failure != nil:
		return &Why{Limit: *x.failure, Fails: true}, nil
	case errors.Is(err, errOpen):
		return &Why{Limit: x.located(engine.Limit{}), Open: true}, nil
	case err != nil:
		return &Why{Limit: x.located(engine.Limit{Reason: err.Error()})}, nil
	case len(x.doubts) > 0:
		return &Why{Limit: x.doubts[0]}, nil
	}
	return nil, nil
}

// state is how far a body has come.
type state struct {
	env   *env
	saved ast.Body
	// open tells that something saved is more than a name for a part of the input.
	open bool
	// careful tells that what is saved could fail.
	careful bool
}

// specialise returns the ways to satisfy the rules with these references: those that
// are true for an answer, or the elements of a set for reasons.
func (s *specialiser) specialise(refs []string) ([]way, error) {
	s.ways = nil
	for _, ref := range refs {
		rules := s.x.Rules(ref)
		if len(rules) == 0 || s.x.Within(ref) || !onlyTrue(rules) && !onlyElements(rules) {
			return nil, errUnfit
		}
		for _, r := range rules {
			if r.Default {
				continue
			}
			if err := s.body(r.Body, s.begin(r, nil), way{}, s.finish); err != nil {
				return nil, err
			}
		}
	}
	return s.ways, nil
}

// onlyElements tells whether rules are the elements of a set that are defined
// wherever their bodies hold.
func onlyElements(rules []*ast.Rule) bool {
	return !slices.ContainsFunc(rules, func(r *ast.Rule) bool {
		if r.Head.RuleKind() != ast.MultiValue || !r.Head.Ref().IsGround() || r.Head.Key == nil {
			return true
		}
		_, isVar := r.Head.Key.Value.(ast.Var)
		return !isVar && !ast.IsScalar(r.Head.Key.Value)
	})
}

func (s *specialiser) begin(r *ast.Rule, e *env) state {
	return state{env: e, careful: !s.x.Base.harmless(r)}
}

func (s *specialiser) finish(w way) error {
	if len(s.ways) >= maxWays {
		return errUnfit
	}
	s.ways = append(s.ways, w)
	return nil
}

// body goes through the expressions of a body in order, along every way.
func (s *specialiser) body(b ast.Body, st state, w way, k func(way) error) error {
	if s.work++; s.work > maxWork {
		return errUnfit
	}
	if err := s.x.clock.Spend(2); err != nil {
		return err
	}
	if len(b) == 0 {
		if st.open {
			w.frames = append(slices.Clip(w.frames), frame{st.saved, bare(st.env)})
		}
		return k(w)
	}
	expr, rest := b[0], b[1:]
	info, ok := s.x.Base.exprs[expr]
	if !ok {
		return errUnfit
	}
	next := func(st state, w way) error { return s.body(rest, st, w, k) }
	if !info.open && !waits(info.vars, st.env) {
		envs, err := s.results(expr, st.env)
		if err == nil {
			for _, e := range envs {
				st.env = e
				if err := next(st, w); err != nil {
					return err
				}
			}
			return nil
		}
		if !errors.Is(err, errOpen) {
			return err
		}
	}
	if info.alias != "" && s.isOpenPart(info.source) {
		if _, bound := st.env.get(info.alias); !bound {
			return s.name(expr, info, st, w, next)
		}
	}
	if t, handled, err := s.test(expr, st.env); err != nil {
		return err
	} else if handled {
		for _, c := range t {
			st.env, w.tests = c.env, append(slices.Clip(w.tests), c.test)
			if err := next(st, w); err != nil {
				return err
			}
			w.tests = w.tests[:len(w.tests)-1]
		}
		return nil
	}
	if info.rules != nil {
		if handled, err := s.inline(info, st, w, next); handled || err != nil {
			return err
		}
	}
	return s.save(expr, info, st, w, next)
}

// waits tells whether any of the variables has its value from a cell.
func waits(vars []ast.Var, e *env) bool {
	for _, name := range vars {
		if v, ok := e.get(name); ok {
			if _, is := v.(pending); is {
				return true
			}
		}
	}
	return false
}

// bare are the values that do not come from a cell.
func bare(e *env) *env {
	var kept *env
	end := &kept
	for ; e != nil; e = e.next {
		if _, is := e.value.(pending); !is && e.value != nil {
			*end = &env{name: e.name, value: e.value}
			end = &(*end).next
		}
	}
	return kept
}

// results evaluates an expression that is the same for every cell.
func (s *specialiser) results(expr *ast.Expr, e *env) ([]*env, error) {
	var envs []*env
	_, err := s.x.expr(expr, e, func(e *env) (truth, error) {
		envs = append(envs, e)
		return no, nil
	})
	return envs, s.settled(err)
}

// values evaluates a term that is the same for every cell.
func (s *specialiser) values(t *ast.Term, e *env) (vs []value, envs []*env, err error) {
	_, err = s.x.term(t, e, func(v value, e *env) (truth, error) {
		vs, envs = append(vs, v), append(envs, e)
		return no, nil
	})
	return vs, envs, s.settled(err)
}

// settled refuses an evaluation that left a doubt or a failure behind.
func (s *specialiser) settled(err error) error {
	switch {
	case len(s.x.doubts) > 0, s.x.failure != nil, err != nil && !errors.Is(err, errOpen) && s.x.clock.err == nil:
		return errUnfit
	default:
		return err
	}
}

// isOpenPart tells whether a reference into the input is to what the cell decides.
func (s *specialiser) isOpenPart(t *ast.Term) bool {
	name, ok := t.Value.(ast.Ref)[1].Value.(ast.String)
	_, known := s.x.Input[string(name)]
	return ok && !known
}

// name goes on with a variable that stands for a part of the input.
func (s *specialiser) name(expr *ast.Expr, info exprInfo, st state, w way, next func(state, way) error) error {
	ref := info.source.Value.(ast.Ref)
	part, _ := ref[1].Value.(ast.String)
	always := part == "method" || part == "path" || part == "segments" || part == "route" && s.routes
	if len(ref) > 2 || !always {
		st.open = true
	}
	return s.keep(expr, st, w, func(st state, w way) error {
		st.env = st.env.bind(info.alias, pending{info.source})
		return next(st, w)
	})
}

// save leaves an expression for the cells. The variables that it gives values wait
// for them.
func (s *specialiser) save(expr *ast.Expr, info exprInfo, st state, w way, next func(state, way) error) error {
	return s.keep(expr, st, w, func(st state, w way) error {
		st.open = true
		if !expr.Negated && !expr.IsEvery() {
			for _, v := range info.vars {
				if _, bound := st.env.get(v); !bound {
					st.env = st.env.bind(v, pending{})
				}
			}
		}
		return next(st, w)
	})
}

func (s *specialiser) keep(expr *ast.Expr, st state, w way, next func(state, way) error) error {
	if st.careful {
		var failed error
		harmless := s.watch(expr, func(t *ast.Term) *ast.Term {
			plugged, err := s.plug(t, st.env)
			if err != nil {
				failed = err
			}
			return plugged
		})
		if failed != nil || !harmless {
			return errUnfit
		}
	}
	st.saved = append(slices.Clip(st.saved), expr)
	return next(st, w)
}

// plug puts a term's value in its place, if it has one that is the same for every
// cell.
func (s *specialiser) plug(t *ast.Term, e *env) (*ast.Term, error) {
	vs, _, err := s.values(t, e)
	switch {
	case errors.Is(err, errOpen):
		return t, nil
	case err != nil:
		return t, err
	case len(vs) == 1:
		if v, ok := vs[0].(known); ok {
			return ast.NewTerm(v.Value), nil
		}
	}
	return t, nil
}

// tested is a test, and the variables on the way of it.
type tested struct {
	test test
	env  *env
}

// test turns an expression into tests of the cell's method or route. It returns
// false for other expressions.
func (s *specialiser) test(expr *ast.Expr, e *env) ([]tested, bool, error) {
	ts, ok := expr.Terms.([]*ast.Term)
	if !ok || len(ts) != 3 || len(expr.With) > 0 {
		return nil, false, nil
	}
	name := s.x.operator(ts[0]).name
	route, other := false, ts[2]
	isField := false
	switch name {
	case "eq", "neq", "equal":
		if route, isField = s.field(ts[1], e); !isField {
			route, isField = s.field(ts[2], e)
			other = ts[1]
		}
	case "internal.member_2":
		route, isField = s.field(ts[1], e)
	}
	if !isField {
		return nil, false, nil
	}
	if text, ok := other.Value.(ast.String); ok && name != "internal.member_2" {
		return []tested{{test{route, []string{string(text)}, expr.Negated != (name == "neq")}, e}}, true, nil
	}
	if s.x.isPattern(other, e) {
		return nil, false, nil
	}
	vs, envs, err := s.values(other, e)
	switch {
	case errors.Is(err, errOpen):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case len(vs) != 1 && (name != "eq" || expr.Negated):
		return nil, false, nil
	}
	var tests []tested
	for i, v := range vs {
		k, isKnown := v.(known)
		if !isKnown {
			return nil, false, nil
		}
		m := members{n: 1, at: func(int) (key, elem value) { return k, k }}
		if name == "internal.member_2" {
			m, _ = s.x.members(k)
		}
		t := test{route: route, negated: expr.Negated != (name == "neq")}
		for i := range m.n {
			if err := s.x.clock.Spend(1); err != nil {
				return nil, false, err
			}
			_, elem := m.at(i)
			if text, ok := asString(elem); ok {
				t.values = append(t.values, text)
			}
		}
		tests = append(tests, tested{t, envs[i]})
	}
	return tests, true, nil
}

// field tells whether a term is the method or the route.
func (s *specialiser) field(t *ast.Term, e *env) (route, ok bool) {
	if name, isVar := t.Value.(ast.Var); isVar {
		v, _ := e.get(name)
		p, isPending := v.(pending)
		if !isPending || p.source == nil {
			return false, false
		}
		t = p.source
	}
	if !isUnknownPart(t) || len(t.Value.(ast.Ref)) != 2 || !s.isOpenPart(t) {
		return false, false
	}
	switch t.Value.(ast.Ref)[1].Value.(ast.String) {
	case "method":
		return false, true
	case "route":
		return true, s.routes
	}
	return false, false
}

// inline takes apart the rules that a statement is about. It returns false if their
// arguments are not of a kind that it can hand over.
func (s *specialiser) inline(info exprInfo, st state, w way, next func(state, way) error) (bool, error) {
	args := make([]value, len(info.args))
	for i, t := range info.args {
		v, ok, err := s.argument(t, st.env)
		if err != nil || !ok {
			return false, err
		}
		if v == nil {
			return true, nil // undefined
		}
		args[i] = v
	}
	for _, r := range info.rules {
		if len(r.Head.Args) != len(args) {
			return false, nil
		}
		for i, v := range args {
			_, isVar := r.Head.Args[i].Value.(ast.Var)
			if _, waiting := v.(pending); waiting && !isVar {
				return false, nil
			}
		}
	}
	for _, r := range info.rules {
		if r.Default {
			continue
		}
		err := s.hand(r, args, 0, s.begin(r, nil), w, func(inner state, w way) error {
			return s.body(r.Body, inner, w, func(w way) error { return next(st, w) })
		})
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

// argument is a value that is the same for every cell, a part of the input, or nil
// for undefined.
func (s *specialiser) argument(t *ast.Term, e *env) (value, bool, error) {
	if name, isVar := t.Value.(ast.Var); isVar {
		if v, _ := e.get(name); v != nil {
			p, isPending := v.(pending)
			return v, !isPending || p.source != nil, nil
		}
	}
	vs, _, err := s.values(t, e)
	switch {
	case errors.Is(err, errOpen), err == nil && len(vs) > 1:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case len(vs) == 0:
		return nil, true, nil
	}
	return vs[0], true, nil
}

// hand gives a function's parameters their values.
func (s *specialiser) hand(r *ast.Rule, args []value, i int, st state, w way, next func(state, way) error) error {
	if i == len(args) {
		return next(st, w)
	}
	p, isPending := args[i].(pending)
	if isPending {
		param := r.Head.Args[i]
		if _, taken := st.env.get(param.Value.(ast.Var)); taken {
			return errUnfit
		}
		expr := ast.Equality.Expr(param, p.source)
		expr.Location = r.Location
		info := exprInfo{alias: param.Value.(ast.Var), source: p.source}
		return s.name(expr, info, st, w, func(st state, w way) error { return s.hand(r, args, i+1, st, w, next) })
	}
	var envs []*env
	_, err := s.x.match(r.Head.Args[i], args[i], st.env, func(e *env) (truth, error) {
		envs = append(envs, e)
		return no, nil
	})
	if err = s.settled(err); err != nil {
		return err
	}
	for _, e := range envs {
		st.env = e
		if err := s.hand(r, args, i+1, st, w, next); err != nil {
			return err
		}
	}
	return nil
}
