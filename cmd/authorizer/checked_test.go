package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"regent/tenants"
)

// oneOfEach is a store of one API and one tenant.
type oneOfEach struct {
	tenants.Store
	api    tenants.API
	tenant tenants.Tenant
}

// API returns the API.
func (r oneOfEach) API(context.Context, string) (tenants.API, error) { return r.api, nil }

// Tenant returns the tenant.
func (r oneOfEach) Tenant(context.Context, string) (tenants.Tenant, error) { return r.tenant, nil }

// TestCheckedRecords holds that a record which no workspace may have decides nothing,
// except that a tenant is not active.
func TestCheckedRecords(t *testing.T) {
	t.Parallel()
	credential := tenants.Source{Kind: "header", Name: "authorization"}
	host := tenants.Source{Kind: "host"}
	good := oneOfEach{
		api: tenants.API{
			ID: "a1b2c3", Kind: tenants.REST, Credential: credential, Tenant: []tenants.Source{host},
			Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{credential, {Kind: "header", Name: "host"}}},
		},
		tenant: tenants.Tenant{
			ID: "acme", Status: tenants.Active, Selectors: tenants.Selectors{Hosts: []string{"api.acme.example"}},
			Identity: tenants.Identity{Providers: []tenants.Provider{{
				Issuer: "https://idp.acme.example", Audiences: []string{"shop"}, Algorithms: []string{"ES256"}, JWKS: tenants.KeySource{Discovery: true},
			}}},
		},
	}
	tests := []struct {
		name        string
		change      func(*oneOfEach)
		api, tenant string // of the error
	}{
		{"valid", func(*oneOfEach) {}, "", ""},
		{"the credential is not in the cache key", func(r *oneOfEach) { r.api.Cache.Identity = r.api.Cache.Identity[1:] }, "not part of the cache key", ""},
		{"the tenant is not in the cache key", func(r *oneOfEach) { r.api.Cache.Identity = r.api.Cache.Identity[:1] }, "not part of the cache key", ""},
		{"no audience", func(r *oneOfEach) { r.tenant.Identity.Providers[0].Audiences = nil }, "", "audiences"},
		{"a shared secret's algorithm", func(r *oneOfEach) { r.tenant.Identity.Providers[0].Algorithms = []string{"HS256"} }, "", "algorithms"},
		{"suspended, and not valid", func(r *oneOfEach) { r.tenant.Status, r.tenant.Identity.Providers[0].Audiences = tenants.Suspended, nil }, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			r.tenant.Identity.Providers = append([]tenants.Provider{}, good.tenant.Identity.Providers...)
			tt.change(&r)
			a, err := checked{r}.API(t.Context(), "a1b2c3")
			if text := errorText(err); (text == "") != (tt.api == "") || !strings.Contains(text, tt.api) || (err != nil) != (a.ID == "") {
				t.Errorf("API %q, %v, want an error with %q", a.ID, err, tt.api)
			}
			record, err := checked{r}.Tenant(t.Context(), "acme")
			if text := errorText(err); (text == "") != (tt.tenant == "") || !strings.Contains(text, tt.tenant) || (err != nil) != (record.ID == "") {
				t.Errorf("tenant %q, %v, want an error with %q", record.ID, err, tt.tenant)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestProcessor holds that children are judged by the part of a processor that a
// function of that size has.
func TestProcessor(t *testing.T) {
	t.Parallel()
	for megabytes, want := range map[string]float64{"": 0, "x": 0, "128": 128. / 1769, "512": 512. / 1769, "1769": 1, "10240": 1} {
		if got := processor(megabytes); got != want {
			t.Errorf("%q MB: %g, want %g", megabytes, got, want)
		}
	}
}
