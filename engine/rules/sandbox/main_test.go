package sandbox

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
)

var full = flag.Bool("full", false, "run the long forms of the tests: all repetitions, for minutes")

// TestMain makes the test binary a child, one of the children that misbehave, or a
// parent that is killed.
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) == 3 && os.Args[1] == probeArgument {
		os.Exit(runProbe())
	}
	if len(os.Args) == 3 && os.Args[1] == parentArgument {
		os.Exit(runParent())
	}
	if len(os.Args) == 3 && os.Args[1] == unguardedArgument {
		os.Exit(runUnguarded())
	}
	if len(os.Args) == 3 && os.Args[1] == doubleArgument {
		os.Exit(runDouble(os.Args[2]))
	}
	os.Exit(m.Run())
}

// shelf is a store of bundles and nothing else.
type shelf struct {
	tenants.Store
	bundles map[tenants.Digest]tenants.Bundle
}

func shelve(all ...tenants.Bundle) shelf {
	s := shelf{bundles: map[tenants.Digest]tenants.Bundle{}}
	for _, b := range all {
		s.bundles[b.Digest()] = b
	}
	return s
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

func authz(tb testing.TB, text string) tenants.Bundle {
	tb.Helper()
	return bundle(tb, map[string]string{"authz.rego": "package authz\n\n" + text})
}

// small is what ordinary rules look like.
const small = `roles := {"viewer": ["GET"], "admin": ["GET", "POST", "DELETE"]}

default allow := false

allow if {
	some role in input.identity.claims.roles
	input.method in roles[role]
	startswith(input.path, "/orders")
}

deny contains "no" if input.headers["x-no"]

context := {"plan": input.tenant.attributes.plan, "level": 3, "trial": false}
`

// nested takes days, and stops at its deadline.
const nested = `allow if {
	some a in numbers.range(1, 10000)
	some b in numbers.range(1, 10000)
	some c in numbers.range(1, 10000)
	a + b + c == -1
}
`

// deaf returns what does not stop at its deadline: two lists of lists that share what
// they are made of, and are compared as if they did not.
func deaf() string {
	var text strings.Builder
	text.WriteString("f(x) := [y | some y in [x, x]]\n\na0 := [1]\n\nb0 := [1]\n")
	for i := range 40 {
		fmt.Fprintf(&text, "a%[2]d := f(a%[1]d)\n\nb%[2]d := f(b%[1]d)\n", i, i+1)
	}
	text.WriteString("allow if a40 == b40\n")
	return text.String()
}

// askedInput is a request that small allows.
func askedInput(tenant string) engine.Input {
	return engine.Input{
		Tenant: engine.InputTenant{ID: tenant, Attributes: map[string]any{"plan": "gold"}},
		Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.example", Scopes: []string{"a", "b"},
			Claims: map[string]any{"sub": "alice", "roles": []any{"viewer"}, "iss": "https://idp.example", "aud": "x", "exp": 1.7e9, "iat": 1.6e9}},
		API:    engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Method: "GET", Path: "/orders/17", Segments: []string{"orders", "17"}, Route: "/orders/{id}", Params: map[string]string{"id": "17"},
		Query: map[string][]string{"page": {"2"}},
		Headers: map[string]string{"host": "api.acme.example", "accept": "*/*", "user-agent": "curl/8.5.0",
			"x-amzn-trace-id": "Root=1-65f1c2d3-0123456789abcdef01234567", "x-forwarded-for": "203.0.113.7, 198.51.100.9"},
		SourceIP: "203.0.113.7",
	}
}

// newPool is a pool that is closed with the test.
func newPool(tb testing.TB, c Config) *Pool {
	tb.Helper()
	p, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// patient is an evaluation time that no machine is too busy for.
const patient = 30 * time.Second

// decide asks for one decision, as an event does.
func decide(tb testing.TB, p *Pool, tenant string, platform, revision tenants.Bundle) (engine.Decision, error) {
	tb.Helper()
	policy, err := p.Load(tb.Context(), tenant, platform.Digest(), revision.Digest())
	if err != nil {
		return engine.Decision{}, err
	}
	return policy.Decide(tb.Context(), askedInput(tenant), time.Unix(1_700_000_000, 0))
}

// mustAllow asks for a decision that is a yes.
func mustAllow(tb testing.TB, p *Pool, tenant string, platform, revision tenants.Bundle) {
	tb.Helper()
	if d, err := decide(tb, p, tenant, platform, revision); err != nil || !d.Allow {
		tb.Errorf("%s: got %+v, %v; want a yes", tenant, d, err)
	}
}

// resident is what a process has in memory, in bytes.
func resident(pid int) int64 {
	n, _ := memoryOf(pid)
	return n
}
