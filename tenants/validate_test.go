package tenants_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/tenants"
)

const validTenant = `{
	"id": "acme", "status": "active",
	"selectors": {"hosts": ["api.acme.example"], "issuers": ["https://idp.acme.example"], "values": ["acme"]},
	"attributes": {"plan": "gold"},
	"identity": {"providers": [{
		"issuer": "https://idp.acme.example", "audiences": ["https://api.acme.example"],
		"algorithms": ["ES256"], "jwks": {"discovery": true}, "leeway": 30000000000, "claims": {"org_id": "acme"}
	}]}
}`

const validAPI = `{
	"id": "a1b2c3", "kind": "rest", "credential": "header:Authorization", "tenant": ["host", "claim:tenant_id"],
	"cache": {"ttl": "5m0s", "identity": ["header:authorization", "header:host"]},
	"routes": ["GET /orders/{id}", "ANY /{proxy+}", "$default"]
}`

// invalid is a case of testdata: what is changed in a valid record, and the fields
// that are then wrong, in order.
type invalid struct {
	Name   string         `json:"name"`
	Change map[string]any `json:"change"`
	// Provider is a change of a tenant's only provider.
	Provider map[string]any `json:"provider"`
	Want     []string       `json:"want"`
}

func TestTenantValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range invalids(t, "testdata/tenants.json") {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			record := parse[map[string]any](t, validTenant)
			if tt.Provider != nil {
				providers := record["identity"].(map[string]any)["providers"].([]any)
				providers[0] = merge(providers[0].(map[string]any), tt.Provider)
			}
			tenant := parse[tenants.Tenant](t, text(t, merge(record, tt.Change)))
			checkFields(t, tt.Want, tenant.Validate())
		})
	}
}

func TestAPIValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range invalids(t, "testdata/apis.json") {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			api := parse[tenants.API](t, text(t, merge(parse[map[string]any](t, validAPI), tt.Change)))
			checkFields(t, tt.Want, api.Validate())
		})
	}
}

// checkFields compares the fields that errors name. No message may be empty or
// repeat the secret of the cases.
func checkFields(t *testing.T, want []string, err error) {
	t.Helper()
	var got []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			var fe *tenants.FieldError
			if !errors.As(one, &fe) || fe.Message == "" {
				t.Errorf("%v is not a *FieldError with a message", one)
				continue
			}
			got = append(got, fe.Field)
		}
	} else if err != nil {
		t.Errorf("error of type %T, want joined errors", err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("fields (-want +got):\n%s%v", diff, err)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret in %q", err)
	}
}

func invalids(t *testing.T, name string) []invalid {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cases := parse[[]invalid](t, string(content))
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	return cases
}

// merge applies a JSON merge patch (RFC 7396).
func merge(base, change map[string]any) map[string]any {
	out := maps.Clone(base)
	for key, value := range change {
		inner, isObject := value.(map[string]any)
		before, wasObject := base[key].(map[string]any)
		switch {
		case value == nil:
			delete(out, key)
		case isObject && wasObject:
			out[key] = merge(before, inner)
		default:
			out[key] = value
		}
	}
	return out
}

func parse[T any](t *testing.T, s string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The zero values of records are refused: nothing is valid by default.
func TestZeroValuesAreInvalid(t *testing.T) {
	t.Parallel()
	if err := (tenants.Tenant{}).Validate(); err == nil {
		t.Error("the zero Tenant is valid")
	}
	if err := (tenants.API{}).Validate(); err == nil {
		t.Error("the zero API is valid")
	}
}

// Stores keep records as JSON.
func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	tenant := parse[tenants.Tenant](t, validTenant)
	tenant.Revision, tenant.Version = "sha256:0", 7
	tenant.Identity.Providers = append(tenant.Identity.Providers,
		tenants.Provider{Issuer: "x", JWKS: tenants.KeySource{URL: "https://idp.example/jwks"}},
		tenants.Provider{Issuer: "y", JWKS: tenants.KeySource{Inline: json.RawMessage(`{"keys":[]}`)}},
		tenants.Provider{Introspection: "https://idp.example/i", ClientID: "x", ClientSecret: "env:X"})
	if diff := cmp.Diff(tenant, parse[tenants.Tenant](t, text(t, tenant))); diff != "" {
		t.Errorf("tenant (-want +got):\n%s", diff)
	}
	api := parse[tenants.API](t, validAPI)
	api.Unauthenticated, api.Simple, api.Upstream = 403, true, "http://127.0.0.1:1"
	if diff := cmp.Diff(api, parse[tenants.API](t, text(t, api))); diff != "" {
		t.Errorf("API (-want +got):\n%s", diff)
	}
	want := `{"id":"a1b2c3","kind":"rest","credential":"header:authorization","tenant":["host","claim:tenant_id"],"unauthenticated":403,"simple":true,` +
		`"cache":{"ttl":"5m0s","identity":["header:authorization","header:host"]},"routes":["GET /orders/{id}","ANY /{proxy+}","$default"],"upstream":"http://127.0.0.1:1"}`
	if diff := cmp.Diff(want, text(t, api)); diff != "" {
		t.Errorf("API as JSON (-want +got):\n%s", diff)
	}
}

func TestJSONRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, json string }{
		{"a source of unknown kind", `{"credential": "body:token"}`},
		{"a source without a name", `{"credential": "header:"}`},
		{"a route without a template", `{"routes": ["GET"]}`},
		{"a ttl without a unit", `{"cache": {"ttl": "300"}}`},
		{"a ttl that is a number", `{"cache": {"ttl": 300}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var api tenants.API
			if err := json.Unmarshal([]byte(tt.json), &api); err == nil {
				t.Errorf("%s is read as %+v", tt.json, api)
			}
		})
	}
}
