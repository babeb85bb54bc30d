package rules

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// dependence finds out, by what rules refer to, which of them could depend on what
// a cache key leaves open. It errs on the side of yes.
type dependence struct {
	compiler *ast.Compiler
	of       map[*ast.Rule]bool
}

// newDependence looks at a compiled policy. It is not for several goroutines.
func newDependence(c *ast.Compiler) dependence {
	return dependence{compiler: c, of: map[*ast.Rule]bool{}}
}

// refers tells whether a reference could lead to something unknown: a part of the
// input that is, or a rule or function that refers to one, or that changes from one
// call to the next. What is handed to a function counts where it is handed over.
func (d dependence) refers(ref ast.Ref) bool {
	if b, ok := ast.BuiltinMap[ref.String()]; ok {
		return b.Nondeterministic
	}
	switch {
	case ref[0].Equal(ast.InputRootDocument):
		if len(ref) == 1 {
			return true
		}
		name, ok := ref[1].Value.(ast.String)
		return !ok || slices.Contains(unknown, "input."+string(name))
	case ref[0].Equal(ast.DefaultRootDocument):
		rules := d.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
		return slices.ContainsFunc(rules, d.rule)
	default:
		return false
	}
}

func (d dependence) rule(r *ast.Rule) bool {
	if known, ok := d.of[r]; ok {
		return known
	}
	// Rego has no recursion; this is for the rule's own else branches.
	d.of[r] = false
	depends := false
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		depends = depends || d.refers(ref)
		return depends
	})
	// A bare `input`, and `with`, which puts other values in its place.
	ast.WalkTerms(r, func(t *ast.Term) bool {
		v, ok := t.Value.(ast.Var)
		depends = depends || ok && v.Equal(ast.InputRootDocument.Value)
		_, isRef := t.Value.(ast.Ref)
		return depends || isRef && len(t.Value.(ast.Ref)) > 1 && !nested(t.Value.(ast.Ref))
	})
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		depends = depends || len(e.With) > 0
		return depends
	})
	d.of[r] = depends
	return depends
}

// nested tells whether a reference has other references in its path.
func nested(ref ast.Ref) bool {
	return slices.ContainsFunc(ref[1:], func(t *ast.Term) bool { _, scalar := t.Value.(ast.String); return !scalar })
}
