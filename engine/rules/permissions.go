package rules

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"regent/engine"
	"regent/engine/rules/residue"
	"regent/tenants"
)

// unknown are the parts of the input that a cache key leaves open. What a key does
// fix of them is settled when the residue is interpreted: OPA's unknowns are
// prefixes, so one header cannot be known while others are not.
var unknown = []string{
	"input.method", "input.path", "input.segments", "input.route", "input.params",
	"input.query", "input.headers", "input.source_ip",
}

// partialQueries are the questions that a complete policy needs answered. They are
// prepared when an API with a cache asks first.
type partialQueries struct {
	once  sync.Once
	err   error
	allow []partialQuery
	deny  []partialQuery
	// keyed are the rules whose values the cache key must determine.
	keyed []keyedQuery
	byRef map[string][]*ast.Rule
	below map[string]bool
	// base are the same rules, prepared for being interpreted.
	base *residue.Rules
	// denials are the references of the sets that deny.
	denials []string
}

type partialQuery struct {
	body     ast.Body
	prepared rego.PreparedPartialQuery
}

type keyedQuery struct {
	name  string
	query rego.PreparedPartialQuery
}

// Permissions partially evaluates the rules with what the cache key fixes, and
// judges the API's routes by what is left. An error is a *engine.Trouble: rules
// that fail, or a context that the key does not determine.
func (p *Policy) Permissions(ctx context.Context, known engine.Known, routes []tenants.Route, now time.Time) (engine.Permissions, error) {
	perms, err := p.permissions(ctx, known, routes, now)
	if err != nil {
		return engine.Permissions{}, trouble(err)
	}
	return perms, nil
}

func (p *Policy) permissions(ctx context.Context, known engine.Known, routes []tenants.Route, now time.Time) (engine.Permissions, error) {
	q := &p.partial
	q.once.Do(func() { q.err = q.prepare(context.WithoutCancel(ctx), p) })
	if q.err != nil {
		return engine.Permissions{}, q.err
	}
	input, values, err := knownInput(known.Input)
	if err != nil {
		return engine.Permissions{}, err
	}
	opts := []rego.EvalOption{rego.EvalParsedInput(input), rego.EvalTime(now)}
	for _, k := range q.keyed {
		if err := q.determined(ctx, k, opts); err != nil {
			return engine.Permissions{}, err
		}
	}
	program := &residue.Program{
		Data: p.data, Input: values, Known: known,
		Base: q.base,
	}
	if err := q.specialise(ctx, program, len(routes) > 0, opts); err != nil {
		return engine.Permissions{}, err
	}
	cells, limits, err := residue.Partition(ctx, program, routes)
	return engine.Permissions{Cells: cells, Limits: limits}, err
}

// specialise settles what the key decides: by the package's own means, which are
// quicker, where the rules are of a kind that allows it; else by OPA's partial
// evaluation; and where that could have lost something, not at all.
func (q *partialQueries) specialise(ctx context.Context, program *residue.Program, routes bool, opts []rego.EvalOption) error {
	q.whole(program)
	watch := newFallible(q.byRef, "")
	done, err := program.Specialise(ctx, []string{"data.authz.allow"}, q.denials, routes, watch.harmless)
	if done || err != nil {
		program.Fallible = program.Fallible && !done
		return err
	}
	complete, err := q.reduce(ctx, program, opts)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || !complete {
		q.whole(program)
	}
	return nil
}

// reduce partially evaluates the rules. It returns false if that could have lost
// something on which they fail.
func (q *partialQueries) reduce(ctx context.Context, program *residue.Program, opts []rego.EvalOption) (complete bool, err error) {
	support, below := maps.Clone(q.byRef), maps.Clone(q.below)
	program.Allow, program.Deny, program.Fallible, program.Ordered = nil, nil, false, false
	for _, part := range []struct {
		name    string
		queries []partialQuery
		bodies  *[]ast.Body
	}{{"allow", q.allow, &program.Allow}, {"deny", q.deny, &program.Deny}} {
		for i, query := range part.queries {
			// Support modules of different queries must not meet under one name.
			namespace := fmt.Sprintf("partial_%s%d", part.name, i)
			watch := newFallible(q.byRef, namespace)
			left, err := query.prepared.Partial(ctx, append(opts, rego.EvalPartialNamespace(namespace), rego.EvalQueryTracer(watch))...)
			if err != nil || watch.at != nil {
				return false, err
			}
			*part.bodies = append(*part.bodies, left.Queries...)
			for _, m := range left.Support {
				addRules(m.Package.Path, m.Rules, support)
				addPrefixes(m.Package.Path, m.Rules, below)
			}
		}
	}
	program.Rules = func(ref string) []*ast.Rule { return support[ref] }
	program.Within = func(ref string) bool { return below[ref] }
	return true, nil
}

// whole makes the program the rules as they are written, of which nothing is lost.
// It takes longer to interpret, for what is known is in it too.
func (q *partialQueries) whole(program *residue.Program) {
	program.Allow, program.Deny, program.Fallible, program.Ordered = nil, nil, true, true
	for _, query := range q.allow {
		program.Allow = append(program.Allow, query.body)
	}
	for _, query := range q.deny {
		program.Deny = append(program.Deny, query.body)
	}
	program.Rules = func(ref string) []*ast.Rule { return q.byRef[ref] }
	program.Within = func(ref string) bool { return q.below[ref] }
}

// prepare compiles the partial queries.
func (q *partialQueries) prepare(ctx context.Context, p *Policy) error {
	unknowns := make([]*ast.Term, len(unknown))
	for i, u := range unknown {
		unknowns[i] = ast.MustParseTerm(u)
	}
	partial := func(query string) (rego.PreparedPartialQuery, error) {
		return rego.New(
			rego.ParsedQuery(ast.MustParseBody(query)),
			rego.Compiler(p.compiler),
			rego.Store(p.store),
			rego.StrictBuiltinErrors(true),
			rego.Capabilities(Capabilities()),
			rego.ParsedUnknowns(unknowns),
			// Copy propagation, which this turns off, is not faithful: it moves a reference
			// that has to be defined into a negation, where it need not.
			rego.ShallowInlining(true),
		).PrepareForPartial(ctx)
	}
	add := func(to *[]partialQuery, ref, query string) error {
		prepared, err := partial(query)
		*to = append(*to, partialQuery{located(query, p.compiler, ref), prepared})
		return err
	}
	if err := add(&q.allow, "data.authz.allow", "data.authz.allow = true"); err != nil {
		return err
	}
	for _, ref := range []string{"data.authz.deny", "data.platform.deny"} {
		if !defined(p.compiler, ref) {
			continue
		}
		q.denials = append(q.denials, ref)
		// Any element denies, be it false; and what is no set is an error.
		if err := add(&q.deny, ref, "_ = "+ref+"[_]"); err != nil {
			return err
		}
		if singleValued(p.compiler, ref) {
			if err := add(&q.deny, ref, "d = "+ref+"; is_set(d, false)"); err != nil {
				return err
			}
		}
	}
	depends := newDependence(p.compiler)
	for _, ref := range []string{"data.authz.context", "data.platform.context", "data.authz.principal_id", "data.authz.usage_key"} {
		// Most of these refer to nothing unknown, and need not be asked at all.
		if defined(p.compiler, ref) && depends.refers(ast.MustParseRef(ref)) {
			prepared, err := partial("x = " + ref)
			if err != nil {
				return err
			}
			q.keyed = append(q.keyed, keyedQuery{ref, prepared})
		}
	}
	q.byRef, q.below = map[string][]*ast.Rule{}, map[string]bool{}
	for _, m := range p.compiler.Modules {
		addRules(m.Package.Path, m.Rules, q.byRef)
		addPrefixes(m.Package.Path, m.Rules, q.below)
	}
	q.base = residue.NewRules(q.byRef, q.below, residue.Analysis{Open: depends.node, Harmless: func(r *ast.Rule) bool {
		f := newFallible(q.byRef, "")
		f.rule(r, isPartialObject(r))
		return f.at == nil
	}})
	return nil
}

// located parses a query as if it stood where the rule that it asks for is.
func located(query string, c *ast.Compiler, ref string) ast.Body {
	body := ast.MustParseBody(query)
	rules := c.GetRulesWithPrefix(ast.MustParseRef(ref))
	if len(rules) == 0 {
		return body
	}
	for _, expr := range body {
		expr.Location = rules[0].Loc()
	}
	ast.WalkTerms(body, func(t *ast.Term) bool {
		t.Location = rules[0].Loc()
		return false
	})
	return body
}

func defined(c *ast.Compiler, ref string) bool {
	return len(c.GetRulesWithPrefix(ast.MustParseRef(ref))) > 0
}

// singleValued tells whether a rule's value is more than its elements: it may be no
// set.
func singleValued(c *ast.Compiler, ref string) bool {
	for _, r := range c.GetRulesWithPrefix(ast.MustParseRef(ref)) {
		if r.Head.RuleKind() != ast.MultiValue {
			return true
		}
	}
	return false
}

// addRules files rules under their references up to the first variable.
func addRules(pkg ast.Ref, rules []*ast.Rule, byRef map[string][]*ast.Rule) {
	for _, r := range rules {
		name := groundRef(pkg, r).String()
		byRef[name] = append(byRef[name], r)
	}
}

// addPrefixes notes the references that have rules or packages below them, or are one.
func addPrefixes(pkg ast.Ref, rules []*ast.Rule, below map[string]bool) {
	// A package is an object, even one without rules.
	for i := 1; i <= len(pkg); i++ {
		below[pkg[:i].String()] = true
	}
	for _, r := range rules {
		ref := groundRef(pkg, r)
		for i := len(pkg) + 1; i < len(ref); i++ {
			below[ref[:i].String()] = true
		}
	}
}

func groundRef(pkg ast.Ref, r *ast.Rule) ast.Ref {
	full := pkg.Copy()
	for i, t := range r.Head.Ref() {
		if i == 0 {
			t = ast.StringTerm(string(t.Value.(ast.Var)))
		}
		full = append(full, t)
	}
	return full.GroundPrefix()
}

// determined checks that a rule's value follows from the cache key: what is cached
// is replayed to requests that differ in everything else.
func (q *partialQueries) determined(ctx context.Context, k keyedQuery, opts []rego.EvalOption) error {
	const namespace = "partial_keyed"
	watch := newFallible(q.byRef, namespace)
	left, err := k.query.Partial(ctx, append(opts, rego.EvalPartialNamespace(namespace), rego.EvalQueryTracer(watch))...)
	if err != nil {
		return err
	}
	if watch.at != nil {
		return &EvalError{Code: "contract", File: watch.at.File, Line: watch.at.Row,
			Message: k.name[len("data."):] + " could fail on parts of the request that are not in the cache key"}
	}
	if len(left.Queries) == 0 || len(left.Queries) == 1 && len(left.Support) == 0 && isAssignment(left.Queries[0]) {
		return nil
	}
	e := &EvalError{Code: "contract", Message: k.name[len("data."):] + " depends on parts of the request that are not in the cache key; a cached reply would carry it to other requests"}
	for _, body := range left.Queries {
		if loc := body.Loc(); loc != nil {
			e.File, e.Line = loc.File, loc.Row
		}
	}
	return e
}

// isAssignment reports whether a body gives a variable a value. A reference such as
// input.path is ground in Rego, but no value.
func isAssignment(b ast.Body) bool {
	return len(b) == 1 && b[0].IsEquality() && !b[0].Negated && len(b[0].With) == 0 &&
		(ast.IsConstant(b[0].Operand(0).Value) || ast.IsConstant(b[0].Operand(1).Value))
}
