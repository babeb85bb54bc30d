package residue

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Rules are a policy's rules, prepared for being interpreted: what can be known of
// them without a caller is found out once. Once prepared they are immutable and for many
// goroutines.
type Rules struct {
	byRef map[string][]*ast.Rule
	below map[string]bool
	// constant are the references whose rules refer to nothing unknown.
	constant map[string]bool
	// targets and operators are what references and the names of functions lead to.
	targets   map[*ast.Term]target
	operators map[*ast.Term]operator
	exprs     map[*ast.Expr]exprInfo
	// harmless tells that nothing in a rule can fail.
	harmless func(*ast.Rule) bool
	// waiting are the references whose rules are not prepared yet, but for the last one's
	// first rules, as many as next.
	waiting []string
	next    int
}

// Analysis answers what the package that compiles a policy knows of it. It may answer
// anything once the clock of Prepare has run out.
type Analysis struct {
	// Open tells whether a rule or an expression refers to what a cache key leaves
	// open, directly or through other rules.
	Open func(node any) bool
	// Harmless tells that nothing in a rule can fail, whatever its arguments are. It is
	// asked again for rules that are prepared, by many goroutines.
	Harmless func(*ast.Rule) bool
}

// NewRules takes compiled rules, filed under their references up to the first variable.
// below are the references that have rules below them. The rules are to be prepared
// before they are used.
func NewRules(byRef map[string][]*ast.Rule, below map[string]bool) *Rules {
	return &Rules{
		byRef: byRef, below: below, constant: map[string]bool{},
		targets: map[*ast.Term]target{}, operators: map[*ast.Term]operator{},
		exprs: map[*ast.Expr]exprInfo{}, waiting: slices.Collect(maps.Keys(byRef)),
	}
}

// Prepare prepares the rules, or as many of them as there is time for; the next call goes
// on from there. The error is the clock's. It is for one goroutine at a time.
func (r *Rules) Prepare(c *Clock, a Analysis) error {
	r.harmless = a.Harmless
	for len(r.waiting) > 0 {
		last := len(r.waiting) - 1
		ref := r.waiting[last]
		r.constant[ref] = !slices.ContainsFunc(r.byRef[ref], func(rule *ast.Rule) bool { return a.Open(rule) })
		for _, rule := range r.byRef[ref][r.next:] {
			a.Harmless(rule)
			r.prepare(rule, a)
			// What was answered when the time was up is asked again.
			if err := c.Look(); err != nil {
				return err
			}
			r.next++
		}
		r.waiting, r.next = r.waiting[:last], 0
	}
	return nil
}

func (r *Rules) prepare(rule *ast.Rule, a Analysis) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if ref, ok := t.Value.(ast.Ref); ok && ref[0].Equal(ast.DefaultRootDocument) {
			r.targets[t] = resolve(ref, r.rulesOf, r.isBelow)
		}
		return false
	})
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		if ts, ok := e.Terms.([]*ast.Term); ok {
			r.operators[ts[0]] = operatorOf(ts[0], r.rulesOf)
		}
		return false
	})
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if c, ok := t.Value.(ast.Call); ok {
			r.operators[c[0]] = operatorOf(c[0], r.rulesOf)
		}
		return false
	})
	for branch := rule; branch != nil; branch = branch.Else {
		for _, e := range branch.Body {
			r.exprs[e] = r.exprInfo(e, a)
		}
	}
}

func (r *Rules) rulesOf(ref string) []*ast.Rule { return r.byRef[ref] }
func (r *Rules) isBelow(ref string) bool        { return r.below[ref] }

// target is what a reference into data leads to.
type target struct {
	path  string
	rules []*ast.Rule
	// rest is where the reference goes on behind the rules' name.
	rest int
	// whole tells that there are rules below the reference.
	whole bool
}

// resolve finds the rules that a reference names.
func resolve(ref ast.Ref, rulesOf func(string) []*ast.Rule, below func(string) bool) target {
	path := "data"
	for i := 1; i < len(ref); i++ {
		if _, ok := ref[i].Value.(ast.String); !ok {
			break
		}
		path = ref[:i+1].String()
		rules := rulesOf(path)
		if len(rules) > 0 && below(path) {
			// An object that some rules give keys and others give all of it.
			break
		}
		if len(rules) > 0 {
			return target{path: path, rules: rules, rest: i + 1}
		}
	}
	return target{path: path, whole: below(path)}
}

// operator is what is called: a builtin function, or one of the policy's.
type operator struct {
	name  string
	rules []*ast.Rule
	arity int
	// ok tells that there is such a function.
	ok bool
}

func operatorOf(t *ast.Term, rulesOf func(string) []*ast.Rule) operator {
	o := operator{name: t.Value.String()}
	if o.rules = rulesOf(o.name); len(o.rules) > 0 {
		o.arity, o.ok = len(o.rules[0].Head.Args), true
	}
	if b, ok := ast.BuiltinMap[o.name]; ok {
		o.arity, o.ok = b.Decl.Arity(), true
	}
	return o
}

// exprInfo is what can be known of an expression without a caller.
type exprInfo struct {
	// open tells that it refers to what the cell decides.
	open bool
	// vars are the variables in it, but for those that only comprehensions use.
	vars []ast.Var
	// alias is the variable that it gives the value of a part of the input, source.
	alias  ast.Var
	source *ast.Term
	// rules are those that it states, if any of them holding is all that it says; args
	// are their arguments.
	rules []*ast.Rule
	args  []*ast.Term
}

func (r *Rules) exprInfo(e *ast.Expr, a Analysis) exprInfo {
	info := exprInfo{open: a.Open(e)}
	vis := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipRefCallHead: true})
	vis.Walk(e)
	for v := range vis.Vars() {
		if !v.Equal(ast.InputRootDocument.Value) && !v.Equal(ast.DefaultRootDocument.Value) {
			info.vars = append(info.vars, v)
		}
	}
	slices.Sort(info.vars)
	if e.Negated || len(e.With) > 0 {
		return info
	}
	switch t := e.Terms.(type) {
	case *ast.Term:
		if to, ok := r.statedBy(t); ok {
			info.rules = to
		}
	case []*ast.Term:
		if e.IsEquality() || e.Operator().String() == ast.Assign.Name {
			info.alias, info.source = aliasOf(t[1], t[2])
			break
		}
		if o := operatorOf(t[0], r.rulesOf); len(o.rules) > 0 && len(t) == o.arity+1 && onlyTrue(o.rules) {
			info.rules, info.args = o.rules, t[1:]
		}
	}
	return info
}

// statedBy returns the rules of which a reference is the exact name.
func (r *Rules) statedBy(t *ast.Term) ([]*ast.Rule, bool) {
	ref, ok := t.Value.(ast.Ref)
	if !ok || !ref[0].Equal(ast.DefaultRootDocument) {
		return nil, false
	}
	to := resolve(ref, r.rulesOf, r.isBelow)
	return to.rules, len(to.rules) > 0 && to.rest == len(ref) && onlyTrue(to.rules)
}

// onlyTrue tells whether rules are true or undefined, or false by default, and so
// hold where one of their bodies does.
func onlyTrue(rules []*ast.Rule) bool {
	for _, r := range rules {
		value := ast.Value(ast.Boolean(true))
		if r.Head.Value != nil {
			value = r.Head.Value.Value
		}
		if r.Head.RuleKind() != ast.SingleValue || !r.Head.Ref().IsGround() || r.Else != nil ||
			value.Compare(ast.Boolean(!r.Default)) != 0 {
			return false
		}
	}
	return true
}

// aliasOf finds a variable and a part of the unknown input in an equation.
func aliasOf(a, b *ast.Term) (ast.Var, *ast.Term) {
	if v, ok := a.Value.(ast.Var); ok && isUnknownPart(b) {
		return v, b
	}
	if v, ok := b.Value.(ast.Var); ok && isUnknownPart(a) {
		return v, a
	}
	return "", nil
}

// isUnknownPart tells whether a term is a reference into the input by constants only.
// It may be to a part that is known.
func isUnknownPart(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	return ok && len(ref) > 1 && ref[0].Equal(ast.InputRootDocument) &&
		!slices.ContainsFunc(ref[1:], func(t *ast.Term) bool { return !ast.IsScalar(t.Value) })
}
