package rules

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// keepConflicts gives rules that could have two values for one request an else
// branch that never holds.
//
// Two values are an error in Rego. Partial evaluation would lose it: it follows
// each value by itself, and what compares with one value never sees the other. But
// it does not take apart rules that have an else; where they depend on something
// unknown it leaves them as they are, for whoever interprets the residue. Known
// ones it evaluates as always, conflicts included.
func keepConflicts(modules map[string]*ast.Module) {
	byRef := map[string][]*ast.Rule{}
	for _, m := range modules {
		addRules(m.Package.Path, m.Rules, byRef)
	}
	for _, rules := range byRef {
		if !couldConflict(rules) {
			continue
		}
		for _, r := range rules {
			if !r.Default && r.Else == nil && r.Head.RuleKind() == ast.SingleValue && isFixed(r) {
				r.Else = never(r)
			}
		}
	}
}

// isFixed tells whether a rule defines one place, and not one that it works out:
// table[input.x] is a reference without variables.
func isFixed(r *ast.Rule) bool {
	for _, t := range r.Head.Ref()[1:] {
		if !ast.IsScalar(t.Value) {
			return false
		}
	}
	return true
}

// never is a branch of a rule that does not hold.
func never(r *ast.Rule) *ast.Rule {
	head := r.Head.Copy()
	head.Value = ast.NullTerm()
	body := ast.NewBody(ast.NewExpr(ast.BooleanTerm(false)))
	for _, expr := range body {
		expr.Location = r.Location
	}
	return &ast.Rule{Head: head, Body: body, Location: r.Location, Module: r.Module}
}

// couldConflict looks for definitions whose values are not one and the same.
func couldConflict(rules []*ast.Rule) bool {
	var value *ast.Term
	for _, r := range rules {
		if !isFixed(r) {
			return true
		}
		if r.Default || r.Head.RuleKind() == ast.MultiValue {
			continue
		}
		for branch := r; branch != nil; branch = branch.Else {
			v := branch.Head.Value
			if v == nil {
				v = ast.BooleanTerm(true)
			}
			if value == nil {
				value = v
			}
			if !value.Equal(v) || !v.IsGround() && (len(rules) > 1 || r.Else != nil || iterates(r)) {
				return true
			}
		}
	}
	return false
}

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
