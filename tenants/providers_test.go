package tenants_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/tenants"
)

// TestCheckProviders has pairs of providers, one of tenant a and one of tenant b, and
// whether they may be together. tenants/dir has more of them, as workspaces.
func TestCheckProviders(t *testing.T) { // TEN-04
	t.Parallel()
	type m = map[string]any
	signing := func(audience string, claims m) tenants.Provider {
		return tenants.Provider{Issuer: "https://idp.example", Audiences: []string{audience}, Claims: claims}
	}
	asking := func(issuer, audience string, claims m) tenants.Provider {
		p := tenants.Provider{Issuer: issuer, Introspection: "https://idp.example/introspect", Claims: claims}
		if audience != "" {
			p.Audiences = []string{audience}
		}
		return p
	}
	tests := []struct {
		name string
		a, b tenants.Provider
		// authority is what they share; empty if nothing.
		authority string
	}{
		{"the same, without claims", signing("api", nil), signing("api", nil), "https://idp.example"},
		{"one without claims", signing("api", m{"org": "a"}), signing("api", nil), "https://idp.example"},
		{"the same claims", signing("api", m{"org": "a"}), signing("api", m{"org": "a"}), "https://idp.example"},
		{"claims of which one's hold for both", signing("api", m{"org": "a"}), signing("api", m{"org": "a", "team": "b"}), "https://idp.example"},
		{"another value", signing("api", m{"org": "a"}), signing("api", m{"org": "b"}), ""},
		{"another audience", signing("a", nil), signing("b", nil), ""},
		{"another issuer", signing("api", nil), tenants.Provider{Issuer: "https://idp2.example", Audiences: []string{"api"}}, ""},
		{"one endpoint", asking("", "", nil), asking("", "api", nil), "https://idp.example/introspect"},
		{"one endpoint for two issuers", asking("https://a.example", "", nil), asking("https://b.example", "", nil), ""},
		{"keys here, the endpoint there", signing("api", nil), asking("https://idp.example", "", nil), "https://idp.example"},
		{"keys here, the endpoint with a claim there", signing("api", m{"org": "a"}), asking("https://idp.example", "", m{"org": "b"}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, pair := range [][2]tenants.Provider{{tt.a, tt.b}, {tt.b, tt.a}} {
				err := tenants.CheckProviders([]tenants.Tenant{vouchedBy("a", pair[0]), vouchedBy("b", pair[1])})
				if tt.authority == "" {
					if err != nil {
						t.Errorf("got %v", err)
					}
					continue
				}
				want := &tenants.SharedIssuerError{
					First: tenants.ProviderAt{ID: "a"}, Second: tenants.ProviderAt{ID: "b", Tenant: 1}, Authority: tt.authority,
				}
				if diff := cmp.Diff([]error{want}, split(err)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			if err := tenants.CheckProviders([]tenants.Tenant{vouchedBy("a", tt.a, tt.b)}); err != nil {
				t.Errorf("one tenant's own business: %v", err)
			}
		})
	}
}

func vouchedBy(id string, providers ...tenants.Provider) tenants.Tenant {
	return tenants.Tenant{ID: id, Identity: tenants.Identity{Providers: providers}}
}

func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

func TestCheckProvidersSecrets(t *testing.T) {
	t.Parallel()
	asking := func(id string, secrets ...string) tenants.Tenant {
		var providers []tenants.Provider
		for i, secret := range secrets {
			providers = append(providers, tenants.Provider{Introspection: fmt.Sprintf("https://%s%d.example", id, i), ClientSecret: secret})
		}
		return vouchedBy(id, providers...)
	}
	got := split(tenants.CheckProviders([]tenants.Tenant{
		asking("acme", "env:ACME_X", "env:ACME_EU_X", "env:ACME_EUX", "file:/run/acme/x", "env:ACME_EU_"),
		asking("acme-eu", "env:ACME_EU_X", "env:ACME_EU_WEST_X"),
		asking("acme-eu-west", "env:ACME_EU_WEST_X"),
	}))
	want := []error{
		&tenants.ForeignSecretError{At: tenants.ProviderAt{ID: "acme", Provider: 1}, Owner: "acme-eu"},
		&tenants.ForeignSecretError{At: tenants.ProviderAt{ID: "acme", Provider: 4}, Owner: "acme-eu"},
		&tenants.ForeignSecretError{At: tenants.ProviderAt{ID: "acme-eu", Tenant: 1, Provider: 1}, Owner: "acme-eu-west"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, err := range got {
		if err.Error() == "" {
			t.Errorf("%T says nothing", err)
		}
	}
}

// Ten thousand tenants that are bound to one issuer by a claim each are checked in
// no more than linear time.
func TestCheckProvidersOfMany(t *testing.T) {
	t.Parallel()
	var all []tenants.Tenant
	for i := range 10_000 {
		all = append(all, vouchedBy(fmt.Sprint("t", i), tenants.Provider{
			Issuer: "https://idp.example", Audiences: []string{"api"}, Claims: map[string]any{"org": i},
		}))
	}
	start := time.Now()
	if err := tenants.CheckProviders(all); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}
