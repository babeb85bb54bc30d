package rules

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// iterates tells whether a rule's body can hold in several ways: whether it has a
// reference with a variable that nothing else gives a value.
func iterates(r *ast.Rule) bool {
	bound := ast.NewVarSet()
	for _, arg := range r.Head.Args {
		bound.Update(arg.Vars())
	}
	for changed := true; changed; {
		changed = false
		for _, expr := range r.Body {
			for _, v := range outputs(expr, bound) {
				if !bound.Contains(v) {
					bound.Add(v)
					changed = true
				}
			}
		}
	}
	found := false
	for _, expr := range r.Body {
		if expr.IsCall() && expr.Operator().String() == ast.WalkBuiltin.Name {
			return true
		}
		// What is inside a comprehension or an every is a matter of its own.
		vis := ast.NewGenericVisitor(func(x any) bool {
			switch x := x.(type) {
			case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
				return true
			case ast.Ref:
				for _, t := range x[1:] {
					if v, ok := t.Value.(ast.Var); ok && !bound.Contains(v) {
						found = true
					}
				}
			}
			return false
		})
		vis.Walk(expr)
	}
	return found
}

// outputs are the variables that an expression gives one value each.
func outputs(expr *ast.Expr, bound ast.VarSet) []ast.Var {
	if expr.Negated || !expr.IsCall() {
		return nil
	}
	operands := expr.Operands()
	if !expr.IsEquality() && expr.Operator().String() != ast.Assign.Name {
		if v, ok := operands[len(operands)-1].Value.(ast.Var); ok {
			return []ast.Var{v}
		}
		return nil
	}
	var vars []ast.Var
	for i := range 2 {
		given := operands[1-i].Value
		if v, ok := given.(ast.Var); ok && !bound.Contains(v) {
			continue
		}
		switch v := operands[i].Value.(type) {
		case ast.Var:
			vars = append(vars, v)
		case *ast.Array:
			for j := range v.Len() {
				if elem, ok := v.Elem(j).Value.(ast.Var); ok {
					vars = append(vars, elem)
				}
			}
		}
	}
	return vars
}
