package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"regent/engine"
	"regent/tenants"
)

const rbac = `package authz

default allow := false

allow if {
	some role in input.identity.claims.roles
	some permission in data.roles[role]
	permission.method == input.method
	permission.route == input.route
}
`

const smallData = `{"roles": {"viewer": [{"method": "GET", "route": "/orders"}, {"method": "GET", "route": "/orders/{id}"}]}}`

// BenchmarkDecide is a decision beside its parts: building the input, OPA's prepared
// query alone on an input built before, and on a JSON document as most callers of
// OPA hand it over.
func BenchmarkDecide(b *testing.B) {
	p, in, at := small(b), request(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	built, err := value(in)
	if err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	holds := func(rs rego.ResultSet, err error) error {
		if err == nil && (len(rs) != 1 || rs[0].Expressions[0].Value.(ast.Object).Get(ast.InternedTerm("allow")).Value.Compare(ast.Boolean(true)) != 0) {
			err = errors.New("denied")
		}
		return err
	}
	for _, bm := range []struct {
		name string
		run  func() error
	}{
		{"whole", func() error {
			d, err := p.Decide(b.Context(), in, at)
			if err == nil && !d.Allow {
				err = fmt.Errorf("denied: %v", d.Reasons)
			}
			return err
		}},
		{"input", func() error {
			v, err := value(in)
			if err == nil && v.(ast.Object).Len() != 11 {
				err = fmt.Errorf("input %v", v)
			}
			return err
		}},
		{"bare", func() error {
			return holds(p.query.Eval(b.Context(), rego.EvalParsedInput(built), rego.EvalTime(at)))
		}},
		{"json", func() error {
			var doc any
			if err := json.Unmarshal(text, &doc); err != nil {
				return err
			}
			return holds(p.query.Eval(b.Context(), rego.EvalInput(doc), rego.EvalTime(at)))
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func small(tb testing.TB) *Policy {
	tb.Helper()
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		tb.Fatal(err)
	}
	tenant, err := tenants.NewBundle([]tenants.File{
		{Path: "authz.rego", Content: []byte(rbac)},
		{Path: "data.json", Content: []byte(smallData)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Compile(tb.Context(), platform, tenant, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// request is what an ordinary client's request looks like to rules.
func request() engine.Input {
	return engine.NewInput(engine.Request{
		Method: "GET", Path: "/orders/17", Segments: []string{"orders", "17"}, Route: "/orders/{id}", Params: map[string]string{"id": "17"},
		API:      engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Query:    map[string][]string{"page": {"2"}},
		SourceIP: "203.0.113.7",
		Headers: map[string][]string{
			"accept": {"*/*"}, "cloudfront-viewer-country": {"IE"}, "host": {"api.acme.example"}, "user-agent": {"curl/8.5.0"},
			"x-amzn-trace-id": {"Root=1-65f1c2d3-0123456789abcdef01234567"}, "x-forwarded-for": {"203.0.113.7, 198.51.100.9"},
			"x-forwarded-port": {"443"}, "x-forwarded-proto": {"https"},
		},
	}, tenants.API{Credential: tenants.Source{Kind: "header", Name: "authorization"}},
		tenants.Tenant{ID: "acme", Attributes: map[string]any{"plan": "gold"}},
		engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.acme.example", Claims: map[string]any{
			"iss": "https://idp.acme.example", "aud": []any{"https://api.acme.example"}, "sub": "alice", "roles": []any{"viewer"},
			"tenant_id": "acme", "iat": json.Number("1795348740"), "exp": json.Number("1795352400"), "jti": "9f6c0a4f",
		}})
}
