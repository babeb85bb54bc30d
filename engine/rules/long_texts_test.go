package rules_test

import (
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
)

// Functions fail on texts that are too long. A part of a request never is; what rules put
// together of it may be, for a long path, and then no other path may be allowed for all.
func TestTextsOfManyParts(t *testing.T) {
	t.Parallel()
	const eight = "[input.path, input.path, input.path, input.path, input.path, input.path, input.path, input.path]"
	for _, tt := range []struct {
		name, rules string
		// fails tells that a long path is an error.
		fails bool
	}{
		{"a format", `allow if not startswith(sprintf("%s%s%s%s%s%s%s%s", ` + eight + `), "x")`, true},
		{"a format with indexes", `allow if not startswith(sprintf("%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s", [input.path]), "x")`, true},
		{"joined", `allow if not startswith(concat("/", ` + eight + `), "x")`, true},
		{"joined twice", "allow if not startswith(concat(\"\", [a, a]), \"x\")\n\na := concat(\"\", [b, b])\n\nb := concat(\"\", [input.path, input.path])", true},
		{"a pattern over two paths", `allow if not glob.match("x*", ["/"], concat("/", [input.path, input.path]))`, true},
		{"a pattern over two paths by another name", "allow if {\n\ttwo := concat(\"/\", [input.path, input.path])\n\tp := two\n\tnot regex.match(\"^x\", p)\n}", true},
		{"beside what is false", "allow if {\n\tsprintf(\"%s%s%s%s%s%s%s%s\", " + eight + ") == \"x\"\n\tcount(input.identity.claims) == 5\n}\n\nallow if input.method == \"GET\"", true},
		{"a list by another name", "allow if {\n\tl := [input.path, input.path, input.path, input.path]\n\tsprintf(\"%s%s\", [l, l]) == \"x\"\n\tcount(input.identity.claims) == 5\n}\n\nallow if input.method == \"GET\"", true},
		{"a function of a long text", "twice(a) := sprintf(\"%s%s\", [a, a])\n\nallow if {\n\ttwice(twice(twice(input.path))) == \"x\"\n\tcount(input.identity.claims) == 5\n}\n\nallow if input.method == \"GET\"", true},
		{"a few parts", `allow if not startswith(sprintf("%s %s", [input.path, input.method]), "x")` + "\n\nallow if input.method == \"GET\"", false},
		{"a few parts beside what is false", "allow if {\n\tsprintf(\"%s %s\", [input.path, input.route]) == \"x\"\n\tcount(input.identity.claims) == 5\n}\n\nallow if input.method == \"GET\"", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := load{rules: tt.rules}.compile(t)
			long := strings.Repeat("a", 9_000)
			in := engine.Input{
				Tenant:   engine.InputTenant{Attributes: map[string]any{}},
				Identity: engine.Identity{Claims: map[string]any{}},
				Method:   "GET", Path: "/" + long, Segments: []string{long}, Route: "/{id}", Params: map[string]string{"id": long},
			}
			d, err := p.Decide(t.Context(), in, time.Time{})
			if (err != nil) != tt.fails || err == nil && !d.Allow {
				t.Fatalf("a long path: %+v, %v", d, err)
			}
			perms, err := p.Permissions(t.Context(), engine.Known{Input: in}, []tenants.Route{{Method: "GET", Path: "/{id}"}}, time.Time{})
			if err != nil || len(perms.Cells) != 1 || perms.Cells[0].Allowed == tt.fails {
				t.Errorf("%+v, %v", perms, err)
			}
		})
	}
}
