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

// Work is bounded by cells and by expressions, not by time: what goes beyond is not
// allowed and says so.
func TestPartitionIsBounded(t *testing.T) {
	t.Parallel()
	many := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, ", ")
	}
	words := many(30, `"w%d"`)
	for _, tt := range []struct{ name, rules string }{
		{"many cells", fmt.Sprintf(`
allow if {
	input.segments[0] in {%s}
	input.segments[1] in {%s}
	not input.segments[2] in {%s}
}`, words, words, words)},
		{"much work for each of several cells", fmt.Sprintf(`
allow if {
	input.segments[0] in {%s}
	some i in numbers
	some j in numbers
	i + j == count(input.path)
}

numbers := [%s]`, words, many(300, "%d"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := program(t, "package authz\n"+tt.rules+"\n")
			cells, limits, err := residue.Partition(t.Context(), p, []tenants.Route{{Method: "GET", Path: "/{a}/{b}/{c}"}})
			if err != nil {
				t.Fatal(err)
			}
			const reason = "the rules tell too many cases apart for a complete policy"
			at := slices.IndexFunc(limits, func(l engine.Limit) bool { return l.Reason == reason })
			if at < 0 || limits[at].File == "" || len(cells) > residue.MaxCells {
				t.Fatalf("%d cells, limits %v", len(cells), limits)
			}
			for _, c := range cells {
				if slices.Contains(c.Limits, at) && c.Allowed {
					t.Fatalf("allowed without being judged: %+v", c)
				}
			}
		})
	}
}
