package dir_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/policies"
	"regent/tenants"
	"regent/tenants/dir"
)

// checkFormat writes the values of a workspace as files and reads them again.
func checkFormat(t *testing.T, s *dir.Snapshot) (values int) {
	t.Helper()
	for _, one := range s.Tenants() {
		content, err := dir.FormatTenant(one)
		if err != nil {
			t.Errorf("tenant %q: %v", one.ID, err)
			continue
		}
		again, err := dir.ReadTenant("x.yaml", content)
		if err != nil || !dir.SameTenant(again.Tenant, one) || again.Tenant.Version != 0 || again.Tenant.Revision != "" {
			t.Errorf("tenant %q: %v, read again as %+v from\n%s", one.ID, err, again.Tenant, content)
		}
		values++
	}
	content, err := dir.FormatAPIs(s.APIs())
	if err != nil {
		t.Error(err)
		return values
	}
	again, err := dir.ReadAPIs(fstest.MapFS{"regent.yaml": {Data: content}}, "x")
	if err != nil || len(again) != len(s.APIs()) {
		t.Fatalf("%v, %d APIs of %d read again from\n%s", err, len(again), len(s.APIs()), content)
	}
	for i, a := range s.APIs() {
		if !dir.SameAPI(a, again[i]) {
			t.Errorf("API %q: read again as %+v", a.ID, again[i])
		}
		values++
	}
	return values
}

func TestFormatWorkspaces(t *testing.T) {
	t.Parallel()
	embedded, err := dir.Load(policies.FS, "policies")
	if err != nil {
		t.Fatal(err)
	}
	values := checkFormat(t, embedded)
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cases {
		workspace, want, _ := parseCase(t, name)
		if want != "" {
			continue
		}
		s, err := dir.Load(workspace, name)
		if err != nil {
			t.Fatal(err)
		}
		values += checkFormat(t, s)
	}
	if values < 9 {
		t.Errorf("%d values were written", values)
	}
}

// What a store holds came as JSON, and need not have been in a file before.
func TestFormatTenantTricky(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"yes": "yes", "null": nil, "~": "~", "one": 1.0, "1": "1", "1.0": "1.0", "0x10": "0x10", "date": "2026-01-01", "<<": "<<", "": "",
		"half": 0.5, "tiny": 1e-300, "huge": 1e300, "past 2^53": float64(1 << 60), "minus": -3.0, "nought": math.Copysign(0, -1),
		"lines": "a\n  b\n\n", "tab\there": "\ttab", "nul": "\x00", "quote": `"'`, "colon: here": "a: b # c", "*a": "*a", "&a": "&a", "!t": "!!int 1",
		"list": []any{true, []any{}, map[string]any{}, map[string]any{"a b": "{[,]}"}}, "paragraph": "\u2028\u0085\ufeff", "🙂": "é",
		"long " + strings.Repeat("k", 200): strings.Repeat("v ", 200), "- a": "- b", "? a": "? b", " space ": " space ", "%": "%", "@": "@", "`": "`", "on": "off", "inf": ".inf",
	}
	tenant := tenants.Tenant{
		ID: "1e3", Status: tenants.Active, Attributes: values, Revision: "sha256:x", Version: 7,
		Selectors: tenants.Selectors{Values: []string{"true", "a, b", "017", "null", "x\ny", " "}, Issuers: []string{"https://idp.example/a: b", "-", "#"}},
		Identity: tenants.Identity{Providers: []tenants.Provider{
			{Issuer: "=", Audiences: []string{"<<", "1"}, Algorithms: []string{"ES256"}, JWKS: tenants.KeySource{Inline: json.RawMessage(`{"keys":[{"kty":"EC","x":"1"}],"n":1.5}`)}, Leeway: 1500 * time.Millisecond, Claims: values},
			{Introspection: "https://idp.example/introspect", ClientID: "0", ClientSecret: "env:1E3_SECRET", AuthMethod: tenants.AuthPost},
		}},
	}
	content, err := dir.FormatTenant(tenant)
	if err != nil {
		t.Fatal(err)
	}
	again, err := dir.ReadTenant("x.yaml", content)
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	tenant.Revision, tenant.Version = "", 0
	if diff := cmp.Diff(tenant, again.Tenant); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, content)
	}
}

func TestFormatIsReadable(t *testing.T) {
	t.Parallel()
	s, err := dir.Load(policies.FS, "policies")
	if err != nil {
		t.Fatal(err)
	}
	initech, err := s.Tenant(t.Context(), "initech")
	if err != nil {
		t.Fatal(err)
	}
	content, err := dir.FormatTenant(initech)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/format/tenant.yaml", content)
	api, err := s.API(t.Context(), "a1b2c3")
	if err != nil {
		t.Fatal(err)
	}
	if content, err = dir.FormatAPI(api); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/format/api.yaml", content)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v; it would be\n%s", err, got)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

// What no file can say is not written as one that says something else.
func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	fine := tenants.Tenant{ID: "acme", Status: tenants.Active, Identity: tenants.Identity{Anonymous: true}}
	if _, err := dir.FormatTenant(fine); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*tenants.Tenant)
	}{
		{"no status", func(r *tenants.Tenant) { r.Status = "" }},
		{"a capital host", func(r *tenants.Tenant) { r.Selectors.Hosts = []string{"A"} }},
		{"not UTF-8", func(r *tenants.Tenant) { r.Attributes = map[string]any{"a": "\xff"} }},
		{"no number", func(r *tenants.Tenant) { r.Attributes = map[string]any{"a": math.Inf(1)} }},
		{"keys that are no JSON", func(r *tenants.Tenant) {
			r.Identity.Providers = []tenants.Provider{{Issuer: "i", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: tenants.KeySource{Inline: []byte("x")}}}
		}},
		{"two sources of keys", func(r *tenants.Tenant) {
			r.Identity.Providers = []tenants.Provider{{Issuer: "https://i.example", Audiences: []string{"a"}, Algorithms: []string{"ES256"}, JWKS: tenants.KeySource{Discovery: true, URL: "https://i.example"}}}
		}},
	}
	for _, tt := range tests {
		record := fine
		tt.change(&record)
		if content, err := dir.FormatTenant(record); err == nil || content != nil {
			t.Errorf("%s: written as %q, %v", tt.name, content, err)
		}
	}
	if content, err := dir.FormatAPIs([]tenants.API{{ID: "a"}}); err == nil || content != nil {
		t.Errorf("an API without a kind: written as %q, %v", content, err)
	}
}

// Errors of a file by itself have its name, line and column, whoever found them.
func TestReadSingle(t *testing.T) {
	t.Parallel()
	docs := fstest.MapFS{"openapi.yaml": {Data: []byte("openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths:\n  /a: {get: {responses: {default: {description: d}}}}\n")}}
	api := "id: a1b2c3\nkind: rest\ncredential: header:authorization\ntenant: [host]\nroutes: "
	read, err := dir.ReadAPI("api.yaml", []byte(api+"openapi.yaml\n"), docs)
	if err != nil || len(read.API.Routes) != 1 || read.API.Routes[0].String() != "GET /a" {
		t.Errorf("got %+v, %v", read.API, err)
	}
	if got, want := read.Fail("tenant[0]", "no", "try host").Error(), "api.yaml:4:10: tenant[0]: no; try host"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	tenant, err := dir.ReadTenant("acme.yaml", []byte("id: acme\nstatus: active\nidentity: {anonymous: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tenant.Fail("identity.anonymous", "no", "").Error(), "acme.yaml:3:23: identity.anonymous: no"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, content := range map[string]string{
		"api.yaml:5:9: routes: there is no file \"x.yaml\" in the workspace": api + "x.yaml\n",
		"api.yaml:5:9: routes: \"../x.yaml\" is neither":                     api + "../x.yaml\n",
		"api.yaml:1:1: unknown key \"apis\"":                                 "apis: []\n",
		"api.yaml: the file is empty":                                        "",
		"api.yaml: larger than":                                              strings.Repeat("#", 1<<20+1),
	} {
		if got, err := dir.ReadAPI("api.yaml", []byte(content), docs); err == nil || !strings.Contains(err.Error(), name) || got.API.ID != "" {
			t.Errorf("got %+v, %v; want an error with %q", got.API, err, name)
		}
	}
	if got, err := dir.ReadTenant("acme.yaml", []byte("id: acme\nstatsu: active\n")); err == nil || !strings.Contains(err.Error(), `acme.yaml:2:1: unknown key "statsu"; did you mean "status"?`) || got.Tenant.ID != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := dir.ReadAPIs(fstest.MapFS{}, "DIR"); err == nil || !strings.Contains(err.Error(), "there is no workspace at DIR") {
		t.Errorf("got %v", err)
	}
}
