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
	allow []rego.PreparedPartialQuery
	deny  []rego.PreparedPartialQuery
	// keyed are the rules whose values the cache key must determine.
	keyed []keyedQuery
	byRef map[string][]*ast.Rule
	below map[string]bool
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
		if err := determined(ctx, k, opts); err != nil {
			return engine.Permissions{}, err
		}
	}
	program := residue.Program{Data: p.data, Input: values, Known: known}
	support := maps.Clone(q.byRef)
	for _, part := range []struct {
		queries []rego.PreparedPartialQuery
		bodies  *[]ast.Body
	}{{q.allow, &program.Allow}, {q.deny, &program.Deny}} {
		for i, query := range part.queries {
			// Support modules of different queries must not meet under one name.
			namespace := fmt.Sprintf("partial%p%d", part.bodies, i)
			left, err := query.Partial(ctx, append(opts, rego.EvalPartialNamespace(namespace))...)
			if err != nil {
				return engine.Permissions{}, err
			}
			*part.bodies = append(*part.bodies, left.Queries...)
			for _, m := range left.Support {
				addRules(m.Package.Path, m.Rules, support)
			}
		}
	}
	program.Rules = func(ref string) []*ast.Rule { return support[ref] }
	program.Within = func(ref string) bool { return q.below[ref] }
	cells, limits, err := residue.Partition(ctx, &program, routes)
	return engine.Permissions{Cells: cells, Limits: limits}, err
}

// prepare compiles the partial queries.
func (q *partialQueries) prepare(ctx context.Context, p *Policy) error {
	partial := func(query string) (rego.PreparedPartialQuery, error) {
		return rego.New(
			rego.ParsedQuery(ast.MustParseBody(query)),
			rego.Compiler(p.compiler),
			rego.Store(p.store),
			rego.StrictBuiltinErrors(true),
			rego.Capabilities(Capabilities()),
			rego.Unknowns(unknown),
		).PrepareForPartial(ctx)
	}
	add := func(to *[]rego.PreparedPartialQuery, query string) error {
		prepared, err := partial(query)
		*to = append(*to, prepared)
		return err
	}
	if err := add(&q.allow, "data.authz.allow = true"); err != nil {
		return err
	}
	for _, ref := range []string{"data.authz.deny", "data.platform.deny"} {
		if defined(p.compiler, ref) {
			if err := add(&q.deny, ref+"[_]"); err != nil {
				return err
			}
		}
	}
	for _, ref := range []string{"data.authz.context", "data.platform.context", "data.authz.principal_id", "data.authz.usage_key"} {
		if defined(p.compiler, ref) {
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
		for i := 1; i <= len(m.Package.Path); i++ {
			q.below[m.Package.Path[:i].String()] = true
		}
	}
	return nil
}

func defined(c *ast.Compiler, ref string) bool {
	return len(c.GetRulesWithPrefix(ast.MustParseRef(ref))) > 0
}

// addRules files rules under their references up to the first variable.
func addRules(pkg ast.Ref, rules []*ast.Rule, byRef map[string][]*ast.Rule) {
	for _, r := range rules {
		ref := r.Head.Ref()
		full := pkg.Copy()
		for i, t := range ref {
			if i == 0 {
				t = ast.StringTerm(string(t.Value.(ast.Var)))
			}
			full = append(full, t)
		}
		name := full.GroundPrefix().String()
		byRef[name] = append(byRef[name], r)
	}
}

// determined checks that a rule's value follows from the cache key: what is cached
// is replayed to requests that differ in everything else.
func determined(ctx context.Context, k keyedQuery, opts []rego.EvalOption) error {
	left, err := k.query.Partial(ctx, opts...)
	if err != nil {
		return err
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

// knownInput builds the part of the input document that no cache key leaves open.
func knownInput(in engine.Input) (ast.Value, map[string]ast.Value, error) {
	v, err := value(in)
	if err != nil {
		return nil, nil, err
	}
	whole := v.(ast.Object)
	values := map[string]ast.Value{}
	part := ast.NewObject()
	for _, name := range []string{"tenant", "identity", "api"} {
		t := whole.Get(ast.InternedTerm(name))
		values[name] = t.Value
		part.Insert(ast.InternedTerm(name), t)
	}
	return part, values, nil
}
