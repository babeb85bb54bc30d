package rules

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine/rules/residue"
)

// dependence finds out, by what rules refer to, which of them could depend on what
// a cache key leaves open. It errs on the side of yes.
type dependence struct {
	compiler *ast.Compiler
	of       map[*ast.Rule]bool
	// clock ends the search, with an answer that means nothing.
	clock *residue.Clock
}

// newDependence looks at a compiled policy. It is not for several goroutines.
func newDependence(c *ast.Compiler, clock *residue.Clock) *dependence {
	return &dependence{compiler: c, of: map[*ast.Rule]bool{}, clock: clock}
}

// refers tells whether a reference could lead to something unknown: a part of the
// input that is, or a rule or function that refers to one, or that changes from one
// call to the next. What is handed to a function counts where it is handed over.
func (d *dependence) refers(ref ast.Ref) bool {
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
		if d.clock.Spend(10) != nil {
			return true
		}
		rules := d.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true})
		if d.clock.Spend(10*len(rules)) != nil {
			return true
		}
		return slices.ContainsFunc(rules, d.rule)
	default:
		return false
	}
}

func (d *dependence) rule(r *ast.Rule) bool {
	if known, ok := d.of[r]; ok {
		return known
	}
	// Rego has no recursion; this is for the rule's own else branches.
	d.of[r] = false
	depends := d.inside(r)
	if d.clock.Spend(0) != nil {
		delete(d.of, r)
		return true
	}
	d.of[r] = depends
	return depends
}

// node is rule or, for an expression, inside.
func (d *dependence) node(node any) bool {
	if r, ok := node.(*ast.Rule); ok {
		return d.rule(r)
	}
	return d.inside(node)
}

// inside looks at everything in a rule or an expression.
func (d *dependence) inside(node any) bool {
	depends := false
	var vis *ast.GenericVisitor
	vis = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			depends = depends || d.refers(x)
			if _, isVar := x[0].Value.(ast.Var); !isVar {
				vis.Walk(x[0])
			}
			for _, t := range x[1:] {
				vis.Walk(t)
			}
			return true
		case ast.Var:
			// A bare `input`.
			depends = depends || x.Equal(ast.InputRootDocument.Value)
		case *ast.Expr:
			// `with` puts other values in the place of what is there.
			depends = depends || len(x.With) > 0
		}
		return depends
	})
	vis.Walk(node)
	return depends
}
