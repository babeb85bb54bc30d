package rules_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"regent/engine"
	"regent/engine/rules"
	"regent/policies"
	"regent/tenants"
)

var update = flag.Bool("update", false, "write the decisions that come out into testdata/golden.txt")

// TestGoldenDecisions replays decisions: the example workspace's and the ordinary
// policies over generated inputs. They change when a policy does; when OPA is
// upgraded or a limit is moved, they must not.
func TestGoldenDecisions(t *testing.T) {
	t.Parallel()
	const file = "testdata/golden.txt"
	var out strings.Builder
	out.WriteString("# Decisions by policy: an outcome, and the numbers of the inputs that it is for.\n")
	inputs, decisions := goldenInputs(), 0
	kinds := map[string]bool{}
	compiled := goldenPolicies(t)
	for _, name := range slices.Sorted(maps.Keys(compiled)) {
		fmt.Fprintf(&out, "\n%s\n", name)
		outcomes := map[string][]string{}
		for i, in := range inputs {
			o := outcome(compiled[name].Decide(t.Context(), in, now))
			outcomes[o] = append(outcomes[o], fmt.Sprint(i))
			kinds[o[:min(len(o), 12)]] = true
			decisions++
		}
		for _, o := range slices.Sorted(maps.Keys(outcomes)) {
			fmt.Fprintf(&out, "  %s\n    %s\n", o, strings.Join(outcomes[o], " "))
		}
	}
	if decisions < 1000 || len(kinds) < 3 {
		t.Fatalf("%d decisions of %d kinds, want at least 1000 of several", decisions, len(kinds))
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, wanted := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(lines), len(wanted)) {
		if i >= len(lines) || i >= len(wanted) || lines[i] != wanted[i] {
			t.Fatalf("%s:%d: decisions differ; if a policy was changed, run with -update and read the difference\ngot  %s\nwant %s",
				file, i+1, lines[min(i, len(lines)-1)], wanted[min(i, len(wanted)-1)])
		}
	}
}

// outcome is a decision as one line of text.
func outcome(d engine.Decision, err error) string {
	var trouble *engine.Trouble
	var e *rules.EvalError
	if errors.As(err, &trouble) && errors.As(trouble.Err, &e) {
		return fmt.Sprintf("error %s %s:%d", e.Code, e.File, e.Line)
	}
	if err != nil {
		return "error " + err.Error()
	}
	text, err := json.Marshal([]any{d.Reasons, d.Context, d.PrincipalID, d.UsageKey})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%t %s", d.Allow, text)
}

func goldenPolicies(tb testing.TB) map[string]*rules.Policy {
	tb.Helper()
	compiled := map[string]*rules.Policy{}
	for name, b := range goldenBundles(tb) {
		p, err := rules.Compile(tb.Context(), b.platform, b.tenant, rules.Options{})
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		compiled[name] = p
	}
	return compiled
}

// bundlePair is compiled together.
type bundlePair struct{ platform, tenant tenants.Bundle }

func goldenBundles(tb testing.TB) map[string]bundlePair {
	tb.Helper()
	all := map[string]bundlePair{}
	for _, o := range readOrdinary(tb) {
		all["ordinary "+o.name] = bundlePair{mustBundle(tb, nil), o.bundle}
	}
	platform := embedded(tb, "", "platform", "lib")
	entries, err := fs.ReadDir(policies.FS, "tenants")
	if err != nil || len(entries) == 0 {
		tb.Fatalf("no tenants in the workspace: %v", err)
	}
	for _, e := range entries {
		dir := path.Join("tenants", e.Name(), "policy")
		all["workspace "+e.Name()] = bundlePair{platform, embedded(tb, dir+"/", dir)}
	}
	return all
}

// embedded reads directories of the example workspace; paths start after strip.
func embedded(tb testing.TB, strip string, dirs ...string) tenants.Bundle {
	tb.Helper()
	var files []tenants.File
	for _, dir := range dirs {
		err := fs.WalkDir(policies.FS, dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(policies.FS, p)
			files = append(files, tenants.File{Path: strings.TrimPrefix(p, strip), Content: content})
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return mustBundle(tb, files)
}

// goldenInputs are requests of several callers to several places, always the same
// and in the same order. Append to the lists: numbers in golden.txt refer to them.
func goldenInputs() []engine.Input {
	callers := []engine.Identity{
		{Kind: engine.Anonymous},
		{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.acme.example", Scopes: []string{"orders:read", "users:*"}, Claims: map[string]any{
			"sub": "alice", "roles": []any{"viewer"}, "org": "acme", "title": "trader", "tenure": json.Number("12"), "email": "alice@acme.example", "email_verified": true, "groups": "staff",
		}},
		{Kind: engine.JWT, Subject: "bob", Issuer: "https://idp.acme.example", Scopes: []string{"orders:write"}, Claims: map[string]any{
			"sub": "bob", "roles": []any{"manager", "editor", "hr"}, "org": "acme", "manages": []any{"17", "alice"}, "superuser": true,
		}},
		{Kind: engine.Opaque, Subject: "client-7", Scopes: []string{"orders:*", "catalog:read"}, Claims: map[string]any{"roles": "clerk", "department": "sales", "admin": true}},
		{Kind: engine.JWT, Subject: "17", Issuer: "https://staff.platform.example", Scopes: []string{"platform:admin"}, Claims: map[string]any{"roles": []any{"admin", "create-payment", "approve-payment"}}},
	}
	places := []struct {
		route    string
		segments []string
		params   map[string]string
	}{
		{"/sayhello", []string{"sayhello"}, nil},
		{"/orders", []string{"orders"}, nil},
		{"/orders/{id}", []string{"orders", "17"}, map[string]string{"id": "17"}},
		{"/users/{id}", []string{"users", "alice"}, map[string]string{"id": "alice"}},
		{"/users/{id}/timesheets", []string{"users", "17", "timesheets"}, map[string]string{"id": "17"}},
		{"/reports", []string{"reports"}, nil},
		{"/internal/{proxy+}", []string{"internal", "a", "b"}, map[string]string{"proxy": "a/b"}},
		{"/{proxy+}", []string{"finance", "salary", "alice"}, map[string]string{"proxy": "finance/salary/alice"}},
		{"", []string{"documents", "1"}, nil},
	}
	var list []engine.Input
	for i, caller := range callers {
		for j, place := range places {
			for k, method := range []string{"GET", "POST", "DELETE"} {
				in := baseInput()
				in.Identity, in.Method = caller, method
				in.Route, in.Segments, in.Params, in.Path = place.route, place.segments, place.params, "/"+strings.Join(place.segments, "/")
				in.SourceIP = []string{"203.0.113.7", "203.0.113.200", "2001:db8::1"}[(i+j+k)%3]
				if (i+k)%2 == 0 {
					in.Headers = map[string]string{"x-client": "1", "x-request-id": "2", "x-action": "navigate"}
				}
				list = append(list, in)
			}
		}
	}
	return list
}
