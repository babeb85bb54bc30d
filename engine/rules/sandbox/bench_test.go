package sandbox

import (
	"context"
	"slices"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// shelf is a store of bundles and nothing else.
type shelf struct {
	tenants.Store
	bundles map[tenants.Digest]tenants.Bundle
}

func (s shelf) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	b, ok := s.bundles[d]
	if !ok {
		return tenants.Bundle{}, tenants.ErrNotFound
	}
	return b, nil
}

func bundle(tb testing.TB, files map[string]string) tenants.Bundle {
	tb.Helper()
	var list []tenants.File
	for name, text := range files {
		list = append(list, tenants.File{Path: name, Content: []byte(text)})
	}
	b, err := tenants.NewBundle(list)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func shelve(all ...tenants.Bundle) shelf {
	s := shelf{bundles: map[tenants.Digest]tenants.Bundle{}}
	for _, b := range all {
		s.bundles[b.Digest()] = b
	}
	return s
}

const small = `package authz

roles := {"viewer": ["GET"], "admin": ["GET", "POST", "DELETE"]}

default allow := false

allow if {
	some role in input.identity.claims.roles
	input.method in roles[role]
	startswith(input.path, "/orders")
}

deny contains "no" if input.headers["x-no"]

context := {"plan": input.tenant.attributes.plan}
`

func testInput() engine.Input {
	return engine.Input{
		Tenant: engine.InputTenant{ID: "acme", Attributes: map[string]any{"plan": "gold"}},
		Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.example", Scopes: []string{"a", "b"},
			Claims: map[string]any{"sub": "alice", "roles": []any{"viewer"}, "iss": "https://idp.example", "aud": "x", "exp": 1.7e9, "iat": 1.6e9}},
		API:    engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Method: "GET", Path: "/orders/17", Segments: []string{"orders", "17"}, Route: "/orders/{id}", Params: map[string]string{"id": "17"},
		Query:    map[string][]string{"page": {"2"}},
		Headers:  map[string]string{"host": "api.acme.example", "accept": "*/*", "user-agent": "curl/8.5.0", "x-amzn-trace-id": "Root=1-65f1c2d3-0123456789abcdef01234567", "x-forwarded-for": "203.0.113.7, 198.51.100.9"},
		SourceIP: "203.0.113.7",
	}
}

func BenchmarkChild(b *testing.B) {
	platform, tenant := bundle(b, nil), bundle(b, map[string]string{"authz.rego": small})
	store := shelve(platform, tenant)
	direct, err := rules.Compile(b.Context(), platform, tenant, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	pool, err := New(Config{Store: store, Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	in, now := testInput(), time.Now()
	for _, way := range []struct {
		name string
		load func() (engine.Policy, error)
	}{
		{"process", func() (engine.Policy, error) { return direct, nil }},
		{"child", func() (engine.Policy, error) {
			return pool.Load(b.Context(), "acme", platform.Digest(), tenant.Digest())
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				p, err := way.load()
				if err != nil {
					b.Fatal(err)
				}
				d, err := p.Decide(b.Context(), in, now)
				if err != nil || !d.Allow {
					b.Fatal(d, err)
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}
