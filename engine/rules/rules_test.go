package rules_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// caseFile is a txtar archive: policy/… is the tenant's bundle, platform/… and
// lib/… the platform's, input.json what is laid over the base input, and one of
// want.json (a decision), want-error (a text in the evaluation's error) or
// want-problem (a text in what Compile refuses).
type caseFile struct {
	platform, tenant tenants.Bundle
	input            engine.Input
	want             map[string]string
}

func readCase(tb testing.TB, file string) caseFile {
	tb.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	c := caseFile{input: baseInput(), want: map[string]string{}}
	var own, shared []tenants.File
	for _, f := range archive.Files {
		switch {
		case strings.HasPrefix(f.Name, "policy/"):
			own = append(own, tenants.File{Path: strings.TrimPrefix(f.Name, "policy/"), Content: f.Data})
		case strings.HasPrefix(f.Name, "platform/"), strings.HasPrefix(f.Name, "lib/"):
			shared = append(shared, tenants.File{Path: f.Name, Content: f.Data})
		case f.Name == "input.json":
			d := json.NewDecoder(bytes.NewReader(f.Data))
			d.UseNumber()
			if err := d.Decode(&c.input); err != nil {
				tb.Fatalf("%s: input.json: %v", file, err)
			}
		case strings.HasPrefix(f.Name, "want"):
			c.want[f.Name] = strings.TrimSpace(string(f.Data))
		default:
			tb.Fatalf("%s: unknown file %s", file, f.Name)
		}
	}
	if len(c.want) != 1 {
		tb.Fatalf("%s: want exactly one of want.json, want-error, want-problem", file)
	}
	c.tenant, c.platform = mustBundle(tb, own), mustBundle(tb, shared)
	return c
}

func mustBundle(tb testing.TB, files []tenants.File) tenants.Bundle {
	tb.Helper()
	b, err := tenants.NewBundle(files)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func baseInput() engine.Input {
	return engine.Input{
		Tenant:   engine.InputTenant{ID: "acme", Attributes: map[string]any{"plan": "gold"}},
		Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.acme.example", Scopes: []string{"orders:read"}, Claims: map[string]any{"roles": []any{"viewer"}}},
		API:      engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Method:   "GET",
		Path:     "/orders/17",
		Segments: []string{"orders", "17"},
		Route:    "/orders/{id}",
		Params:   map[string]string{"id": "17"},
		Query:    map[string][]string{"page": {"2"}},
		Headers:  map[string]string{"host": "api.acme.example"},
		SourceIP: "203.0.113.7",
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, file)
			policy, err := rules.Compile(t.Context(), c.platform, c.tenant, rules.Options{})
			if want, ok := c.want["want-problem"]; ok {
				if _, isProblems := rules.IsProblems(err); !isProblems || !strings.Contains(err.Error(), want) {
					t.Fatalf("compile error %v, want a problem with %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := policy.Decide(t.Context(), c.input, now)
			if want, ok := c.want["want-error"]; ok {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("decision %+v, error %v, want an error with %q", got, err, want)
				}
				if got.Allow {
					t.Fatal("an error came with a yes")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want, have any
			if err := json.Unmarshal([]byte(c.want["want.json"]), &want); err != nil {
				t.Fatal(err)
			}
			remarshal(t, map[string]any{"allow": got.Allow, "reasons": orEmpty(got.Reasons), "context": got.Context, "principal_id": got.PrincipalID, "usage_key": got.UsageKey}, &have)
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("decision (-want +got)\n%s", diff)
			}
		})
	}
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func remarshal(tb testing.TB, from, to any) {
	tb.Helper()
	b, err := json.Marshal(from)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		tb.Fatal(err)
	}
}
