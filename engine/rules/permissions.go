package rules

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

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

// prepared is what complete policies need of the rules. It is made when an API with a
// cache asks first: others should not have to hold it.
type prepared struct {
	// turn is taken by whoever looks whether it is complete.
	turn     chan struct{}
	complete bool
	byRef    map[string][]*ast.Rule
	below    map[string]bool
	base     *residue.Rules
	depends  *dependence
	verdicts *verdicts
	// allow and deny are the questions as they are written, denials the references of
	// the sets that deny.
	allow, deny []ast.Body
	denials     []string
	// keyed are the rules whose values the cache key must determine.
	keyed []keyedRules
}

// keyedRules are the rules with one reference at or below a name of the contract.
type keyedRules struct {
	name  string
	rules []*ast.Rule
}

// Permissions evaluates the rules as far as the cache key decides them, and
// judges the API's routes by what is left. An error is a *engine.Trouble: rules
// that fail, or a context that the key does not determine.
func (p *Policy) Permissions(ctx context.Context, known engine.Known, routes []tenants.Route, _ time.Time) (engine.Permissions, error) {
	perms, err := p.permissions(ctx, known, routes)
	if err != nil {
		return engine.Permissions{}, trouble(err)
	}
	return perms, nil
}

func (p *Policy) permissions(ctx context.Context, known engine.Known, routes []tenants.Route) (engine.Permissions, error) {
	q := &p.prepared
	if err := q.prepare(ctx, p); err != nil {
		return engine.Permissions{}, err
	}
	values, err := knownInput(known.Input)
	if err != nil {
		return engine.Permissions{}, err
	}
	program := q.program(p, values, known)
	for _, k := range q.keyed {
		if err := determined(ctx, program, k); err != nil {
			return engine.Permissions{}, err
		}
	}
	done, err := q.specialise(ctx, program, len(routes) > 0)
	if err != nil {
		return engine.Permissions{}, err
	}
	if !done {
		// Something could fail, or is not understood: nothing may be lost of the rules.
		program.Allow, program.Deny, program.Fallible = q.allow, q.deny, true
	}
	cells, limits, err := residue.Partition(ctx, program, routes)
	return engine.Permissions{Cells: cells, Limits: limits}, err
}

func (q *prepared) program(p *Policy, values map[string]ast.Value, known engine.Known) *residue.Program {
	return &residue.Program{
		Data: p.data, Input: values, Known: known,
		Base:   q.base,
		Rules:  func(ref string) []*ast.Rule { return q.byRef[ref] },
		Within: func(ref string) bool { return q.below[ref] },
	}
}

// specialise evaluates the rules as far as the key decides them. It returns false where
// that could lose something.
func (q *prepared) specialise(ctx context.Context, program *residue.Program, routes bool) (bool, error) {
	return program.Specialise(ctx, []string{"data.authz.allow"}, q.denials, routes, q.verdicts.fallible().open)
}

// prepare does what is not done yet. If there is too little time for it, the next call
// goes on from there.
func (q *prepared) prepare(ctx context.Context, p *Policy) error {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if q.complete {
		return nil
	}
	clock := residue.NewClock(ctx)
	if q.base == nil {
		q.file(p)
	}
	q.depends.clock, q.verdicts.clock = clock, clock
	err := q.base.Prepare(clock, residue.Analysis{Open: q.depends.node, Harmless: q.verdicts.rule})
	if err != nil {
		return err
	}
	q.fileKeyed()
	q.complete, q.depends = true, nil
	return nil
}

// file puts the rules where they are found by their references, and the questions.
func (q *prepared) file(p *Policy) {
	q.allow = []ast.Body{located("data.authz.allow = true", p.compiler, "data.authz.allow")}
	for _, ref := range []string{"data.authz.deny", "data.platform.deny"} {
		if !defined(p.compiler, ref) {
			continue
		}
		q.denials = append(q.denials, ref)
		// Any element denies, be it false; and what is no set is an error.
		q.deny = append(q.deny, located("_ = "+ref+"[_]", p.compiler, ref))
		if singleValued(p.compiler, ref) {
			q.deny = append(q.deny, located("d = "+ref+"; is_set(d, false)", p.compiler, ref))
		}
	}
	q.byRef, q.below = map[string][]*ast.Rule{}, map[string]bool{}
	for _, m := range p.compiler.Modules {
		addRules(m.Package.Path, m.Rules, q.byRef)
		addPrefixes(m.Package.Path, m.Rules, q.below)
	}
	q.depends, q.verdicts = newDependence(p.compiler, nil), newVerdicts(q.byRef, q.below)
	q.base = residue.NewRules(q.byRef, q.below)
}

// fileKeyed notes the rules whose values the cache key must determine.
func (q *prepared) fileKeyed() {
	for _, ref := range slices.Sorted(maps.Keys(q.byRef)) {
		for _, name := range []string{"authz.context", "platform.context", "authz.principal_id", "authz.usage_key"} {
			// Most of these refer to nothing unknown, and need not be asked at all.
			rest, ok := strings.CutPrefix(ref, "data."+name)
			if ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && slices.ContainsFunc(q.byRef[ref], q.depends.rule) {
				q.keyed = append(q.keyed, keyedRules{name, q.byRef[ref]})
			}
		}
	}
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
func determined(ctx context.Context, program *residue.Program, k keyedRules) error {
	why, err := program.Determined(ctx, k.rules)
	if err != nil || why == nil {
		return err
	}
	e := &EvalError{Code: "contract", File: why.File, Line: why.Line, Message: k.name}
	switch {
	case why.Open:
		e.Message += " depends on parts of the request that are not in the cache key; a cached reply would carry it to other requests"
	case why.Fails:
		e.Message += " could fail: " + why.Reason
	default:
		e.Message += " may depend on parts of the request that are not in the cache key: " + why.Reason
	}
	return e
}
