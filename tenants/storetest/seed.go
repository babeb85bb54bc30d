package storetest

import (
	"encoding/json"
	"time"

	"regent/tenants"
)

// Seed is what a store holds at the start of a case.
type Seed struct {
	APIs    []tenants.API
	Tenants []Tenant
	// Platform are the files of the platform bundle, below platform/ and lib/; none
	// for a platform without files.
	Platform []tenants.File
}

// Tenant is a tenant and the policy that is in force for it.
type Tenant struct {
	// Record has neither Revision nor Version: the store sets Revision to the digest
	// of the Policy, and Version to 1 or more.
	Record tenants.Tenant
	// Policy has paths relative to the tenant's policy directory. There is at least
	// one rule file among them.
	Policy []tenants.File
}

// Standard returns a seed that uses every field of an API and a tenant and has
// values that are easily confused: the same text under two selector kinds, two
// tenants with one policy, a suspended tenant.
func Standard() Seed {
	shared := []tenants.File{
		{Path: "authz.rego", Content: []byte("package authz\n\nallow := true\n")},
		{Path: "authz_test.rego", Content: []byte("package authz_test\n")},
		{Path: "roles/data.json", Content: []byte(`{"viewer": ["read"]}`)},
	}
	return Seed{
		APIs: standardAPIs(),
		Tenants: []Tenant{
			{Record: acme(), Policy: shared},
			{Record: tenants.Tenant{
				ID: "bolt", Status: tenants.Suspended,
				Selectors: tenants.Selectors{
					Hosts:   []string{"api.bolt.example"},
					Issuers: []string{"shared.example"},
					Values:  []string{"Acme", "api.acme.example"},
				},
				Identity: tenants.Identity{Anonymous: true},
			}, Policy: shared},
			{Record: tenants.Tenant{
				ID: "a", Status: tenants.Active,
				Selectors: tenants.Selectors{Values: []string{"shared.example", "a#b", "a/b", "ａ"}},
				Identity:  tenants.Identity{Anonymous: true},
			}, Policy: []tenants.File{{Path: "authz.rego", Content: []byte("package authz\n")}}},
		},
		Platform: []tenants.File{
			{Path: "platform/guard.rego", Content: []byte("package platform\n")},
			{Path: "platform/data.yaml", Content: []byte("blocked: []\n")},
			{Path: "lib/strings.rego", Content: []byte("package lib.strings\n")},
		},
	}
}

func standardAPIs() []tenants.API {
	source := func(kind, name string) tenants.Source { return tenants.Source{Kind: kind, Name: name} }
	return []tenants.API{
		{
			ID: "a1b2c3", Kind: tenants.REST, Credential: source("header", "authorization"),
			Tenant:          []tenants.Source{source("host", ""), source("claim", "tenant_id")},
			Unauthenticated: 403,
			Cache: tenants.Cache{
				TTL:      5 * time.Minute,
				Identity: []tenants.Source{source("header", "authorization"), source("header", "host")},
			},
			Routes:   []tenants.Route{{Method: "GET", Path: "/orders/{id}"}, {Method: "ANY", Path: "/{proxy+}"}},
			Upstream: "http://127.0.0.1:9000",
		},
		{
			ID: "d4e5f6", Kind: tenants.HTTP, Credential: source("cookie", "session"),
			Tenant: []tenants.Source{source("path", "0")}, Simple: true,
		},
		{
			ID: "g7h8i9", Kind: tenants.WebSocket, Credential: source("query", "token"),
			Tenant: []tenants.Source{source("stage", "tenant"), source("api_key", "")},
		},
	}
}

func acme() tenants.Tenant {
	return tenants.Tenant{
		ID: "acme", Status: tenants.Active,
		Selectors: tenants.Selectors{
			Hosts:   []string{"api.acme.example", "shared.example"},
			Issuers: []string{"https://idp.acme.example", "https://idp.acme.example/"},
			Values:  []string{"acme", "ACME", "acme "},
		},
		Attributes: map[string]any{
			"plan": "gold", "seats": 25.0, "ratio": 0.5, "beta": true, "owner": nil,
			"tags": []any{"a", map[string]any{"b": "c"}},
		},
		Identity: tenants.Identity{Providers: []tenants.Provider{
			{
				Issuer: "https://idp.acme.example", Audiences: []string{"https://api.acme.example", "other"},
				Algorithms: []string{"ES256", "RS256"}, JWKS: tenants.KeySource{Discovery: true},
				Leeway: 45 * time.Second, Claims: map[string]any{"org_id": "acme", "level": 2.0},
			},
			{
				Issuer: "https://keys.acme.example", Audiences: []string{"x"}, Algorithms: []string{"ES256"},
				JWKS: tenants.KeySource{URL: "https://keys.acme.example/jwks.json"},
			},
			{
				Issuer: "https://inline.acme.example", Audiences: []string{"x"}, Algorithms: []string{"EdDSA"},
				JWKS: tenants.KeySource{Inline: json.RawMessage(`{"keys":[{"crv":"Ed25519","kid":"1","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)},
			},
			{
				Introspection: "https://idp.acme.example/introspect", ClientID: "gateway",
				ClientSecret: "env:ACME_INTROSPECTION_SECRET",
			},
		}},
	}
}
