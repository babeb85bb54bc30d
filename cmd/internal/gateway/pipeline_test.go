package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/tenants"
)

// registry is a store of one API and one tenant.
type registry struct {
	api    tenants.API
	tenant tenants.Tenant
}

func (r registry) API(_ context.Context, id string) (tenants.API, error) {
	if id != r.api.ID {
		return tenants.API{}, tenants.ErrNotFound
	}
	return r.api, nil
}

func (r registry) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	if id != r.tenant.ID {
		return tenants.Tenant{}, tenants.ErrNotFound
	}
	return r.tenant, nil
}

func (r registry) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	if !slices.Contains(r.tenant.Selectors.Of(kind), value) {
		return "", tenants.ErrNotFound
	}
	return r.tenant.ID, nil
}

func (r registry) Bundle(context.Context, tenants.Digest) (tenants.Bundle, error) {
	return tenants.NewBundle(nil)
}

func (r registry) Platform(context.Context) (tenants.Digest, error) { return "sha256:p", nil }

// viewersRead stands for a tenant's rules: viewers may GET. The test's APIs have no
// cache, so Decide is the only question that is asked; any other panics.
type viewersRead struct{ engine.Policy }

func (p viewersRead) Load(context.Context, string, tenants.Digest, tenants.Digest) (engine.Policy, error) {
	return p, nil
}

func (viewersRead) Decide(_ context.Context, in engine.Input, _ time.Time) (engine.Decision, error) {
	roles, _ := in.Identity.Claims["roles"].([]any)
	return engine.Decision{Allow: in.Method == "GET" && slices.Contains(roles, any("viewer"))}, nil
}

// TestPipeline puts the gateway before the real pipeline, with tokens of the development
// issuer: all of Regent but the rules.
func TestPipeline(t *testing.T) {
	t.Parallel()
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	const iss, aud = "https://idp.acme.example", "https://api.acme.example"
	mint := func(is *devissuer.Issuer, role, audience string, expires time.Duration) string {
		token, err := is.Mint(devissuer.Claims{
			Issuer: iss, Subject: "alice", Audience: []string{audience},
			IssuedAt: start.Add(-2 * time.Hour), Expires: start.Add(expires),
			Extra: map[string]any{"roles": []string{role}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	tests := []struct {
		name, method, token string
		status              int
	}{
		{"no token", "GET", "", 401},
		{"no token at all", "GET", "hello", 401},
		{"another key", "GET", mint(stranger, "viewer", aud, time.Hour), 401},
		{"another audience", "GET", mint(issuer, "viewer", "https://other.example", time.Hour), 401},
		{"expired", "GET", mint(issuer, "viewer", aud, -time.Hour), 401},
		{"wrong role", "GET", mint(issuer, "guest", aud, time.Hour), 403},
		{"wrong method", "POST", mint(issuer, "viewer", aud, time.Hour), 403},
		{"right", "GET", mint(issuer, "viewer", aud, time.Hour), 200},
	}
	for _, kind := range []tenants.APIKind{tenants.REST, tenants.HTTP} {
		a := api(kind, 0, "ANY /orders/{id}")
		pipeline := &engine.Authorizer{
			Gateway: apigw.Gateway{},
			Store: registry{a, tenants.Tenant{
				ID: "acme", Status: tenants.Active, Revision: "sha256:r",
				Selectors: tenants.Selectors{Issuers: []string{iss}},
				Identity:  tenants.Identity{Providers: []tenants.Provider{issuer.Provider(iss, aud)}},
			}},
			Identity: identity.New(identity.Config{}),
			Policies: viewersRead{},
			Log:      func(engine.Record) {},
			Now:      func() time.Time { return start },
			NewID:    func() string { return "d1" },
		}
		for _, tt := range tests {
			t.Run(fmt.Sprint(kind, " ", tt.name), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, a, gateway.Options{Authorize: pipeline.Authorize})
				lines := []string{tt.method + " /orders/17"}
				if tt.token != "" {
					lines = append(lines, "Authorization: Bearer "+tt.token)
				}
				w := r.send(t, lines...)
				trace := r.last()
				if w.Code != tt.status {
					t.Errorf("%d %s, %s: %s; want %d", w.Code, w.Body, trace.Outcome, trace.Why, tt.status)
				}
				if tt.status == 200 && (trace.Context["tenantId"] != "acme" || trace.Context["principalId"] != "alice") {
					t.Errorf("context %v", trace.Context)
				}
			})
		}
	}
}
