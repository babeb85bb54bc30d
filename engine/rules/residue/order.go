package residue

import "github.com/open-policy-agent/opa/v1/ast"

// firstReady returns the number of the first expression whose inputs all have
// values. Partial evaluation leaves expressions in no particular order.
func firstReady(b ast.Body, e *env) int {
	for i, expr := range b {
		if ready(expr, b, i, e) {
			return i
		}
	}
	return 0
}

func ready(expr *ast.Expr, b ast.Body, i int, e *env) bool {
	if expr.Negated || expr.IsEvery() {
		return allShared(expr, b, i, e)
	}
	switch t := expr.Terms.(type) {
	case *ast.Term:
		return evaluable(t, e)
	case []*ast.Term:
		if expr.IsEquality() || expr.Operator().String() == ast.Assign.Name {
			return evaluable(t[1], e) || evaluable(t[2], e)
		}
		args := t[1:]
		if n := len(args); n > 0 && isUnbound(args[n-1], e) {
			args = args[:n-1]
		}
		for _, a := range args {
			if !evaluable(a, e) {
				return false
			}
		}
	}
	return true
}

// allShared tells whether the variables that an expression has in common with
// others have values. The rest are its own.
func allShared(expr *ast.Expr, b ast.Body, i int, e *env) bool {
	for v := range expr.Vars(ast.VarVisitorParams{SkipRefCallHead: true}) {
		if _, bound := e.get(v); bound {
			continue
		}
		for j, other := range b {
			if j != i && other.Vars(ast.VarVisitorParams{}).Contains(v) {
				return false
			}
		}
	}
	return true
}

func isUnbound(t *ast.Term, e *env) bool {
	v, ok := t.Value.(ast.Var)
	if !ok {
		return false
	}
	_, bound := e.get(v)
	return !bound
}

// evaluable tells whether a term has values: variables do where they are bound or
// stand in the path of a reference, which gives them one.
func evaluable(t *ast.Term, e *env) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return !isUnbound(t, e)
	case ast.Ref:
		head := v[0]
		if name, ok := head.Value.(ast.Var); ok && (name.Equal(ast.InputRootDocument.Value) || name.Equal(ast.DefaultRootDocument.Value)) {
			return true
		}
		return evaluable(head, e)
	case ast.Call:
		for _, a := range v[1:] {
			if !evaluable(a, e) {
				return false
			}
		}
	case *ast.Array:
		for i := range v.Len() {
			if !evaluable(v.Elem(i), e) {
				return false
			}
		}
	case ast.Object:
		all := true
		v.Foreach(func(_, t *ast.Term) { all = all && evaluable(t, e) })
		return all
	}
	return true
}
