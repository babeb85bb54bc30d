package policies_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"regent/engine"
	"regent/policies"
	"regent/tenants"
	"regent/tenants/dir"
)

func files(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(p) != ".go" {
			names = append(names, p)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return names
}

// A file that is on disk and not in the binary would be missing from the scaffold.
func TestEverythingIsEmbedded(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(files(t, os.DirFS(".")), files(t, policies.FS)); diff != "" {
		t.Errorf("files (-on disk +embedded):\n%s", diff)
	}
}

func TestWorkspaceLoads(t *testing.T) {
	t.Parallel()
	workspace, err := dir.Load(policies.FS, "policies")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workspace.Warnings() {
		t.Errorf("warning: %v", w)
	}
}

func inputSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := fs.ReadFile(policies.FS, "schema/input.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("input.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("input.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// design is the example of DESIGN.md §3.
const design = `{
  "tenant":    {"id": "acme", "attributes": {"plan": "gold"}},
  "identity":  {"kind": "jwt", "subject": "alice", "issuer": "https://idp.acme.example",
                "scopes": ["orders:read"], "claims": {"sub": "alice", "roles": ["viewer"]}},
  "api":       {"kind": "rest", "id": "a1b2c3", "stage": "prod", "account": "123456789012", "region": "eu-west-1"},
  "method":    "GET",
  "path":      "/orders/17",
  "segments":  ["orders", "17"],
  "route":     "/orders/{id}",
  "params":    {"id": "17"},
  "query":     {"page": ["2"]},
  "headers":   {"host": "api.acme.example", "accept": "*/*"},
  "source_ip": "203.0.113.7"
}`

// with is the example with one member of it, or of an object in it, set to a value in
// JSON; an empty value removes the member.
func with(t *testing.T, at, value string) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(design))
	if err != nil {
		t.Fatal(err)
	}
	parent := doc.(map[string]any)
	keys := strings.Split(at, ".")
	for _, key := range keys[:len(keys)-1] {
		parent = parent[key].(map[string]any)
	}
	last := keys[len(keys)-1]
	if value == "" {
		delete(parent, last)
		return doc
	}
	if parent[last], err = jsonschema.UnmarshalJSON(strings.NewReader(value)); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSchema(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, at, value string
		want            bool
	}{
		{"the design's example", "method", `"GET"`, true},
		{"unknown route", "route", "", true},
		{"any claim", "identity.claims.org", `{"id": [1, null]}`, true},
		{"any attribute", "tenant.attributes.limits", `{"rps": 10}`, true},
		{"any header", "headers.x-request-id", `"1"`, true},
		{"any query parameter", "query.q", `["a", "b"]`, true},
		{"any parameter", "params.week", `"2026-47"`, true},
		{"unknown member", "request", `{"verb": "GET"}`, false},
		{"unknown member of the identity", "identity.roles", `["viewer"]`, false},
		{"unknown member of the tenant", "tenant.plan", `"gold"`, false},
		{"unknown member of the api", "api.name", `"orders"`, false},
		{"unknown kind of identity", "identity.kind", `"saml"`, false},
		{"unknown kind of api", "api.kind", `"graphql"`, false},
		{"method missing", "method", "", false},
		{"claims missing", "identity.claims", "", false},
		{"path without its slash", "path", `"orders"`, false},
		{"segment of a wrong type", "segments", `["orders", 17]`, false},
		{"query value that is no list", "query.page", `"2"`, false},
		{"header that is a list", "headers.accept", `["*/*"]`, false},
		{"parameter of a wrong type", "params.id", `17`, false},
		{"null", "headers", `null`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := inputSchema(t).Validate(with(t, tt.at, tt.value))
			if (err == nil) != tt.want {
				t.Errorf("valid is %t, want %t: %v", err == nil, tt.want, err)
			}
		})
	}
}

// What the engine hands to rules obeys the schema, for every shape of event.
func TestEngineInputsObeyTheSchema(t *testing.T) {
	t.Parallel()
	tenant := tenants.Tenant{ID: "acme"}
	target := engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"}
	anonymous := engine.Identity{Kind: engine.Anonymous}
	tests := []struct {
		name string
		req  engine.Request
	}{
		{"token", engine.Request{Shape: engine.ShapeToken, API: target, Method: "GET", Path: "/", Token: "t"}},
		{"rest", engine.Request{
			Shape: engine.ShapeREST, API: target, Method: "GET", Path: "/orders/17", Segments: []string{"orders", "17"},
			Route: "/orders/{id}", Params: map[string]string{"id": "17"}, Query: map[string][]string{"page": {"2"}},
			Headers: map[string][]string{"accept": {"a", "b"}}, Cookies: []string{"a=b"}, SourceIP: "203.0.113.7",
		}},
		{"websocket", engine.Request{
			Shape: engine.ShapeWebSocket, API: engine.Target{Kind: tenants.WebSocket, ID: "g7h8i9"}, Method: "$connect", Path: "/", Route: "$connect",
		}},
		{"http", engine.Request{
			Shape: engine.ShapeHTTP2, API: engine.Target{Kind: tenants.HTTP, ID: "d4e5f6"}, Method: "GET", Path: "/orders/", Segments: []string{"orders", ""},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(engine.NewInput(tt.req, tenants.API{}, tenant, anonymous))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if err := inputSchema(t).Validate(doc); err != nil {
				t.Errorf("%s\n%v", b, err)
			}
		})
	}
}

// The schema and the engine name the same members.
func TestSchemaNamesWhatTheEngineNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		schema func(*jsonschema.Schema) *jsonschema.Schema
		typ    reflect.Type
	}{
		{"input", func(s *jsonschema.Schema) *jsonschema.Schema { return s }, reflect.TypeFor[engine.Input]()},
		{"tenant", func(s *jsonschema.Schema) *jsonschema.Schema { return s.Properties["tenant"] }, reflect.TypeFor[engine.InputTenant]()},
		{"identity", func(s *jsonschema.Schema) *jsonschema.Schema { return s.Properties["identity"] }, reflect.TypeFor[engine.Identity]()},
		{"api", func(s *jsonschema.Schema) *jsonschema.Schema { return s.Properties["api"] }, reflect.TypeFor[engine.Target]()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var named []string
			for name := range tt.schema(inputSchema(t)).Properties {
				named = append(named, name)
			}
			var want []string
			for i := range tt.typ.NumField() {
				name, _, _ := strings.Cut(tt.typ.Field(i).Tag.Get("json"), ",")
				if name != "-" {
					want = append(want, name)
				}
			}
			slices.Sort(named)
			slices.Sort(want)
			if diff := cmp.Diff(want, named); diff != "" {
				t.Errorf("members (-engine +schema):\n%s", diff)
			}
		})
	}
}
