package rules_test

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine/rules"
)

// BenchmarkGuardedBuiltins calls guarded functions as ordinary rules do. Run it with
// a revision from before a change to a guard to see what that costs.
func BenchmarkGuardedBuiltins(b *testing.B) {
	rules.InstallGuards()
	for _, bb := range []struct {
		name string
		args []*ast.Term
	}{
		{"startswith", []*ast.Term{ast.StringTerm("/orders/17"), ast.StringTerm("/orders/")}},
		{"split", []*ast.Term{ast.StringTerm("/orders/17/items"), ast.StringTerm("/")}},
		{"concat", []*ast.Term{ast.StringTerm(":"), ast.ArrayTerm(ast.StringTerm("orders"), ast.StringTerm("read"))}},
		{"sprintf", []*ast.Term{ast.StringTerm("%s:%s"), ast.ArrayTerm(ast.StringTerm("orders"), ast.StringTerm("read"))}},
		{"regex.match", []*ast.Term{ast.StringTerm("^/orders/[0-9]+$"), ast.StringTerm("/orders/17")}},
		{"glob.match", []*ast.Term{ast.StringTerm("/orders/*"), ast.ArrayTerm(ast.StringTerm("/")), ast.StringTerm("/orders/17")}},
		{"plus", []*ast.Term{ast.IntNumberTerm(17), ast.IntNumberTerm(4)}},
		{"lt", []*ast.Term{ast.IntNumberTerm(17), ast.IntNumberTerm(4)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			f := topdown.GetBuiltin(bb.name)
			for b.Loop() {
				if err := f(topdown.BuiltinContext{}, bb.args, func(*ast.Term) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
