package residue_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/tools/txtar"

	"regent/engine"
	"regent/engine/rules/residue"
	"regent/tenants"
)

var update = flag.Bool("update", false, "write the cells that come out into testdata")

// TestPartition reads cases from testdata: the comment is the routes, policy.rego has
// rules of which allow and deny are asked, and want lists the cells and the limits.
func TestPartition(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("cases: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("want policy.rego and want: %v", err)
			}
			var routes []tenants.Route
			for line := range strings.Lines(string(a.Comment)) {
				r, err := tenants.ParseRoute(strings.TrimSpace(line))
				if err != nil {
					t.Fatal(err)
				}
				routes = append(routes, r)
			}
			cells, limits, err := residue.Partition(t.Context(), program(t, string(a.Files[0].Data)), routes)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files[1].Data = []byte(describe(cells, limits))
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(a.Files[1].Data), describe(cells, limits)); diff != "" {
				t.Errorf("cells (-want +got):\n%s", diff)
			}
		})
	}
}

// program is a policy as it is written, in place of what partial evaluation leaves.
func program(tb testing.TB, source string) *residue.Program {
	tb.Helper()
	c := ast.NewCompiler()
	module, err := ast.ParseModule("policy.rego", source)
	if err != nil {
		tb.Fatal(err)
	}
	if c.Compile(map[string]*ast.Module{"policy.rego": module}); c.Failed() {
		tb.Fatal(c.Errors)
	}
	rules := func(name string) []*ast.Rule {
		ref, err := ast.ParseRef(name)
		if err != nil {
			return nil
		}
		return c.GetRulesExact(ref)
	}
	p := &residue.Program{
		Allow:  []ast.Body{ast.MustParseBody("data.authz.allow = true")},
		Rules:  rules,
		Within: func(ref string) bool { return ref == "data" || ref == "data.authz" },
		Data:   ast.NewObject(),
		Input: map[string]ast.Value{"identity": ast.NewObject(
			ast.Item(ast.StringTerm("subject"), ast.StringTerm("alice")),
			ast.Item(ast.StringTerm("claims"), ast.NewTerm(ast.NewObject(ast.Item(ast.StringTerm("n"), ast.NumberTerm("7"))))),
		)},
		Known:    engine.Known{Input: engine.Input{API: engine.Target{Kind: tenants.REST}}},
		Fallible: true,
	}
	if len(rules("data.authz.deny")) > 0 {
		p.Deny = []ast.Body{ast.MustParseBody("_ = data.authz.deny[_]")}
	}
	return p
}

// describe writes a line for each cell and each limit, sorted.
func describe(cells []engine.Cell, limits []engine.Limit) string {
	var lines []string
	for _, c := range cells {
		sign := "-"
		if c.Allowed {
			sign = "+"
		}
		path := ""
		for _, s := range c.Segments {
			path += "/" + segment(s)
		}
		if c.Rest {
			path += "/**"
		}
		if path == "" {
			path = "/"
		}
		lines = append(lines, fmt.Sprintf("%s%s %s", sign, c.Method, path))
	}
	slices.Sort(lines)
	for _, l := range limits {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Reason))
	}
	return strings.Join(lines, "\n") + "\n"
}

func segment(s engine.Segment) string {
	if s.Fixed {
		return s.Literal
	}
	var parts []string
	for _, a := range s.Like {
		parts = append(parts, a.Prefix+"*"+a.Suffix)
	}
	for _, a := range s.NotLike {
		parts = append(parts, "!"+a.Prefix+"*"+a.Suffix)
	}
	for _, w := range s.Not {
		parts = append(parts, "!"+w)
	}
	return "{" + strings.Join(parts, " ") + "}"
}
