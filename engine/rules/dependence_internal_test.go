package rules

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine/rules/residue"
)

func TestDependence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, rules string
		want        bool
	}{
		{"a constant", `x := 1`, false},
		{"the identity", `x := input.identity.subject`, false},
		{"the tenant and the API", `x := [input.tenant.id, input.api.id]`, false},
		{"base data", `x := data.roles.viewer`, false},
		{"the method", `x := input.method`, true},
		{"a header", `x := input.headers.host`, true},
		{"a query parameter", `x := input.query.a[0]`, true},
		{"the address", `x if input.source_ip == "::1"`, true},
		{"the whole input", `x := input`, true},
		{"the input by a variable", `x := input[k] if some k in ["identity"]`, true},
		{"the input handed on", "f(i) := i.identity\n\nx := f(input)", true},
		{"the time", `x := time.now_ns()`, true},
		{"a rule that depends", "y := input.path\n\nx := y", true},
		{"a rule that does not", "y := input.identity\n\nx := y", false},
		{"a function of something known", "f(a) := upper(a)\n\nx := f(input.identity.subject)", false},
		{"a function of something unknown", "f(a) := upper(a)\n\nx := f(input.method)", true},
		{"a function that depends", "f(a) := [a, input.path]\n\nx := f(1)", true},
		{"inside a comprehension", `x := [s | some s in input.segments]`, true},
		{"in an else", "x := 1 if input.identity.claims.a\n\nelse := 2 if input.method == \"GET\"", true},
		{"in a default's sibling", "default x := 1\n\nx := 2 if input.params.id", true},
		{"under with", `x := 1 if input.identity.kind == "jwt" with input.identity as {}`, true},
		{"under not", `x := 1 if not input.query.debug`, true},
		{"in every", `x := 1 if every s in input.segments { s != "a" }`, true},
		{"one of several rules", "x contains 1 if input.tenant.id\n\nx contains 2 if input.path", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := ast.ParseModuleWithOpts("authz.rego", "package authz\n\n"+tt.rules, ast.ParserOptions{RegoVersion: ast.RegoV1})
			if err != nil {
				t.Fatal(err)
			}
			c := ast.NewCompiler().WithCapabilities(Capabilities())
			if c.Compile(map[string]*ast.Module{"authz.rego": m}); c.Failed() {
				t.Fatal(c.Errors)
			}
			if got := newDependence(c, residue.NewClock(t.Context())).refers(ast.MustParseRef("data.authz.x")); got != tt.want {
				t.Errorf("depends = %v, want %v", got, tt.want)
			}
		})
	}
}
