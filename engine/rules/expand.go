package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// checkExpansion is a stage of the compiler, after references and variables are
// resolved and before types are checked. It reports expressions whose values grow by
// sharing: a1 := [a0, a0], a2 := [a1, a1] and so on is short to write and doubles
// with every line for the type checker and for everything that walks the value.
func checkExpansion(c *ast.Compiler) *ast.Error {
	e := newExpansion(c.Modules)
	total := 0
	for _, path := range slices.Sorted(maps.Keys(c.Modules)) {
		if path == entrypointFile {
			continue // It repeats what others wrote.
		}
		for _, r := range c.Modules[path].Rules {
			size, loc := e.largest(r, &total)
			if size > valueSize.Max {
				return ast.NewError(limitCode, loc, "%s", valueSize.message(size))
			}
			if sum := total + e.joins; sum > totalSize.Max {
				return ast.NewError(limitCode, r.Loc(), "%s", totalSize.message(sum))
			}
		}
	}
	return nil
}

// expansion knows how many values a term stands for if every reference is replaced
// by what it refers to. It never counts too few of what is written out, and often too
// many: an element counts as much as the collection it is from. What only evaluation
// brings forth, it does not see.
type expansion struct {
	// rules has the rules by the constant part of their paths.
	rules map[string][]*ast.Rule
	sizes map[*ast.Rule]int
	// scopes has what the variables of a rule, and of its else arms, are set to.
	scopes map[*ast.Rule]map[ast.Var][]*ast.Term
	// vars has the sizes of variables by rule; those being counted are 0.
	vars map[*ast.Rule]map[ast.Var]int
	// joins is what looking up in packages and partial objects takes: their types are
	// joined two by two.
	joins int
}

func newExpansion(modules map[string]*ast.Module) *expansion {
	e := &expansion{
		rules:  map[string][]*ast.Rule{},
		sizes:  map[*ast.Rule]int{},
		scopes: map[*ast.Rule]map[ast.Var][]*ast.Term{},
		vars:   map[*ast.Rule]map[ast.Var]int{},
	}
	for _, m := range modules {
		for _, r := range m.Rules {
			path := key(fixed(r.Ref()))
			e.rules[path] = append(e.rules[path], r)
		}
	}
	return e
}

// fixed returns a reference up to its first part that is no name.
func fixed(ref ast.Ref) ast.Ref {
	for i, t := range ref[1:] {
		if _, ok := t.Value.(ast.String); !ok {
			return ref[:i+1]
		}
	}
	return ref
}

func key(ref ast.Ref) string { return strings.Join(constants(ref[1:]), "\x00") }

// largest returns the size of the largest value in a rule, and adds all to total.
func (e *expansion) largest(r *ast.Rule, total *int) (int, *ast.Location) {
	most, at := e.rule(r), r.Loc()
	add := func(t *ast.Term) {
		n := e.term(t, r)
		*total = min(*total+n, tooMany)
		if n > most {
			if most = n; t.Loc() != nil && t.Loc().File != "" {
				at = t.Loc()
			}
		}
	}
	ast.WalkExprs(r, func(x *ast.Expr) bool {
		switch terms := x.Terms.(type) {
		case *ast.Term:
			add(terms)
		case []*ast.Term:
			for _, t := range terms[1:] {
				add(t)
			}
			if !x.IsEquality() && !x.IsAssignment() {
				*total = min(*total+e.call(terms, r), tooMany)
			}
		case *ast.Every:
			add(terms.Domain)
		}
		for _, w := range x.With {
			add(w.Value)
		}
		return false
	})
	*total = min(*total+e.rule(r), tooMany)
	return most, at
}

// rule is the size of a rule's value, all else arms together.
func (e *expansion) rule(r *ast.Rule) int {
	if size, ok := e.sizes[r]; ok {
		return size
	}
	e.sizes[r] = 1 // The compiler refuses recursion later on.
	size := 0
	for arm := r; arm != nil; arm = arm.Else {
		for _, t := range []*ast.Term{arm.Head.Key, arm.Head.Value} {
			if t != nil {
				size = min(size+e.term(t, r), tooMany)
			}
		}
	}
	e.sizes[r] = max(size, 1)
	return e.sizes[r]
}

// term is the size of a term in a rule.
func (e *expansion) term(t *ast.Term, in *ast.Rule) int {
	switch v := t.Value.(type) {
	case ast.Var:
		return e.variable(v, in)
	case ast.Ref:
		return e.ref(v, in)
	case ast.Call:
		return e.call(v, in)
	case *ast.Array:
		return 1 + e.all(v.Foreach, in)
	case ast.Set:
		return 1 + e.all(v.Foreach, in)
	case ast.Object:
		size := 1
		v.Foreach(func(k, v *ast.Term) { size = min(size+e.term(k, in)+e.term(v, in), tooMany) })
		return size
	}
	if body, head := closure(t.Value); body != nil {
		size := 1
		for _, h := range head {
			size = min(size+e.term(h, in), tooMany)
		}
		return size
	}
	return 1
}

func (e *expansion) all(each func(func(*ast.Term)), in *ast.Rule) int {
	size := 0
	each(func(t *ast.Term) { size = min(size+e.term(t, in), tooMany) })
	return size
}

// variable is the size of the largest term that a variable is set to.
func (e *expansion) variable(v ast.Var, in *ast.Rule) int {
	sizes := e.vars[in]
	if sizes == nil {
		sizes = map[ast.Var]int{}
		e.vars[in] = sizes
	}
	if size, ok := sizes[v]; ok {
		return max(size, 1)
	}
	sizes[v] = 0
	size := 1
	for _, t := range e.scope(in)[v] {
		size = max(size, e.term(t, in))
	}
	sizes[v] = size
	return size
}

// scope collects what the variables of a rule are set to. The compiler has given
// variables of inner scopes names of their own.
func (e *expansion) scope(r *ast.Rule) map[ast.Var][]*ast.Term {
	if scope, ok := e.scopes[r]; ok {
		return scope
	}
	scope := map[ast.Var][]*ast.Term{}
	ast.WalkExprs(r, func(x *ast.Expr) bool {
		if every, ok := x.Terms.(*ast.Every); ok {
			set(scope, every.Value, every.Domain)
		}
		if terms, ok := x.Terms.([]*ast.Term); ok && (x.IsEquality() || x.IsAssignment()) && len(terms) == 3 {
			set(scope, terms[1], terms[2])
			set(scope, terms[2], terms[1])
		}
		return false
	})
	e.scopes[r] = scope
	return scope
}

func set(scope map[ast.Var][]*ast.Term, to, value *ast.Term) {
	if v, ok := to.Value.(ast.Var); ok {
		scope[v] = append(scope[v], value)
	}
}

// ref is the size of what a reference refers to, or of the whole that it is in.
func (e *expansion) ref(ref ast.Ref, in *ast.Rule) int {
	if ref[0].Equal(ast.InputRootDocument) {
		return 1
	}
	if !ref[0].Equal(ast.DefaultRootDocument) {
		if call, ok := ref[0].Value.(ast.Call); ok {
			return e.call(call, in)
		}
		if t, scope := e.selected(ref, in); t != nil {
			return e.term(t, scope)
		}
		return e.term(ref[0], in)
	}
	path := fixed(ref)
	for n := len(path); n > 1; n-- {
		if rules := e.rules[key(path[:n])]; len(rules) > 0 {
			if len(rules) == 1 && n < len(ref) && rules[0].Else == nil {
				if t := literalMember(rules[0].Head.Value, ref[n:]); t != nil {
					return e.term(t, rules[0])
				}
			}
			return e.sum(rules)
		}
	}
	return e.below(path)
}

// selected follows a reference into a literal that its variable is set to.
func (e *expansion) selected(ref ast.Ref, in *ast.Rule) (*ast.Term, *ast.Rule) {
	v, ok := ref[0].Value.(ast.Var)
	if !ok {
		return nil, nil
	}
	if terms := e.scope(in)[v]; len(terms) == 1 {
		return literalMember(terms[0], ref[1:]), in
	}
	return nil, nil
}

// literalMember returns what a path leads to in a literal; nil if that is not written there.
func literalMember(t *ast.Term, path ast.Ref) *ast.Term {
	for _, key := range path {
		if t == nil || !ast.IsConstant(key.Value) {
			return nil
		}
		switch v := t.Value.(type) {
		case ast.Object:
			t = v.Get(key)
		case *ast.Array:
			t = v.Get(key)
		default:
			return nil
		}
	}
	return t
}

func (e *expansion) sum(rules []*ast.Rule) int {
	size := 0
	for _, r := range rules {
		size = min(size+e.rule(r), tooMany)
	}
	return max(size, 1)
}

// below is the size of a package: of all rules whose paths begin with one.
func (e *expansion) below(path ast.Ref) int {
	prefix := key(path) + "\x00"
	size, members := 1, 0
	for name, rules := range e.rules {
		if strings.HasPrefix(name, prefix) {
			size = min(size+e.sum(rules), tooMany)
			members += len(rules)
		}
	}
	e.joins = min(e.joins+members*members/2, tooMany)
	return size
}

// call is the size of a call's result: of its arguments, as most functions rearrange
// them, and of what a function of the bundle writes out.
func (e *expansion) call(call []*ast.Term, in *ast.Rule) int {
	if b, ok := ast.BuiltinMap[call[0].Value.String()]; ok && isScalar(b.Decl.Result()) {
		return 1
	}
	size := 1
	for _, t := range call[1:] {
		size = min(size+e.term(t, in), tooMany)
	}
	if ref, ok := call[0].Value.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
		size = min(size+e.sum(e.rules[key(ref)]), tooMany)
	}
	return size
}

func isScalar(t types.Type) bool {
	switch t.(type) {
	case types.Boolean, types.Number, types.String:
		return true
	}
	return false
}
