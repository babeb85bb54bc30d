package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

func TestCachedVerdicts(t *testing.T) {
	t.Parallel()
	simply := func(allowed ...bool) func(*scene) {
		return func(s *scene) {
			cached(s)
			s.api.Simple = true
			s.perms.Cells = nil
			for _, a := range allowed {
				s.perms.Cells = append(s.perms.Cells, engine.Cell{Method: "GET", Allowed: a})
			}
		}
	}
	with := func(edits ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for _, edit := range edits {
				edit(s)
			}
		}
	}
	denied := func(s *scene) { s.decision = engine.Decision{Reasons: []string{"no"}} }
	ambiguous := func(s *scene) { s.req.Ambiguous = "a dot segment" }
	verdicts{
		{"allowed by both", cached, "allow"},
		{"denied by both", with(cached, denied, func(s *scene) { s.allowed = nil }), "deny"},
		{"unsound", with(cached, denied), "trouble unsound"},
		{"incomplete", with(cached, func(s *scene) { s.allowed = document{arnOrders + "/7": true} }), "deny incomplete"},
		{"ambiguous", with(cached, ambiguous, func(s *scene) { s.req.ARN = arnOrders + "//7" }), "deny path_ambiguous"},
		{"ambiguous, and the document does not see it", with(cached, ambiguous), "trouble path_ambiguous"},
		{"simple: all of the key is allowed", simply(true, true), "allow"},
		{"simple: some of the key", simply(true, false), "deny incomplete"},
		{"simple: another some of the key", simply(false, true), "deny incomplete"},
		{"simple: nothing is known to be allowed", simply(), "deny incomplete"},
		{"simple: denied by both", with(simply(true, false), denied), "deny"},
		{"simple: unsound", with(simply(true), denied), "trouble unsound"},
		{"simple: ambiguous", with(simply(true), ambiguous), "deny path_ambiguous"},
		{"unknown tenant", with(cached, host("nobody.example")), "deny all tenant_unknown"},
		{"bad token", with(cached, authorization("Bearer other")), "unauthorized signature_invalid"},
	}.run(t)
}

// An ambiguous request gets the document that everybody else with its key gets, and
// its path takes no part in it.
func TestAmbiguousGetsTheSameDocument(t *testing.T) {
	t.Parallel()
	s := newScene()
	cached(s)
	s.api.Cache.Identity = append(s.api.Cache.Identity, sources("context:path", "context:resourcePath", "context:httpMethod")...)
	a := s.authorizer(t)
	_, plain := s.ask(t, a)
	s.req.Ambiguous, s.req.ARN, s.req.Path = "an empty segment", arnOrders+"//7", "/orders//7"
	s.req.Segments = []string{"orders", "", "7"}
	got, out := s.ask(t, a)
	if got != "deny path_ambiguous" {
		t.Error(got)
	}
	if diff := cmp.Diff(replied(t, plain).Document, replied(t, out).Document); diff != "" {
		t.Error(diff)
	}
	for _, k := range s.known[1:] {
		if k.Method || k.Route || k.Path {
			t.Errorf("what can be read in two ways counts as known: %+v", k)
		}
	}
	if in := s.inputs[1]; in.Path != "/" || len(in.Segments)+len(in.Params) > 0 || in.Route != "" {
		t.Errorf("the rules saw %+v", in)
	}
}

// What a document is computed from is in the key under which it is remembered, and
// nothing else is.
func TestMemoKey(t *testing.T) {
	t.Parallel()
	tenant := func(edit func(*tenants.Tenant)) func(*scene) {
		return func(s *scene) {
			t := s.tenants["acme"]
			edit(&t)
			s.tenants["acme"] = t
		}
	}
	claim := func(name string, value any) func(*scene) {
		return func(s *scene) {
			s.claims[aliceToken] = map[string]any{"sub": "alice", "iss": "https://idp.acme.example", name: value}
		}
	}
	all := sources("header:authorization", "header:host", "header:x-plan", "query:k", "context:httpMethod", "context:path", "context:resourcePath", "context:sourceIp")
	tests := []struct {
		name     string
		identity []tenants.Source
		before   func(*scene)
		change   func(*scene)
		apart    bool
	}{
		{"nothing", all, nil, func(*scene) {}, false},
		{"request id", all, nil, func(s *scene) { s.req.ID = "request-2" }, false},
		{"method", nil, nil, func(s *scene) { s.req.Method = "PUT" }, false},
		{"path", nil, nil, func(s *scene) { s.req.Path, s.req.Segments = "/x", []string{"x"} }, false},
		{"route", nil, nil, func(s *scene) { s.req.Route = "/{id}" }, false},
		{"query", nil, nil, func(s *scene) { s.req.Query["k"] = []string{"1"} }, false},
		{"header", nil, nil, func(s *scene) { s.req.Headers["x-plan"] = []string{"gold"} }, false},
		{"source ip", nil, nil, func(s *scene) { s.req.SourceIP = "203.0.113.8" }, false},
		{"method, known", all, nil, func(s *scene) { s.req.Method = "PUT" }, true},
		{"path, known", all, nil, func(s *scene) { s.req.Path = "/x" }, true},
		{"route, known", all, nil, func(s *scene) { s.req.Route = "/{id}" }, true},
		{"route absent, known", all, nil, func(s *scene) { s.req.Route = "" }, true},
		{"source ip, known", all, nil, func(s *scene) { s.req.SourceIP = "203.0.113.8" }, true},
		{"header, known", all, nil, func(s *scene) { s.req.Headers["x-plan"] = []string{"gold"} }, true},
		{
			"header of another value, known", all,
			func(s *scene) { s.req.Headers["x-plan"] = []string{"gold"} }, func(s *scene) { s.req.Headers["x-plan"] = []string{"lead"} }, true,
		},
		{"empty header, known", all, nil, func(s *scene) { s.req.Headers["x-plan"] = []string{""} }, true},
		{"query, known", all, nil, func(s *scene) { s.req.Query["k"] = []string{"1"} }, true},
		{
			"query that is not UTF-8, known", all,
			func(s *scene) { s.req.Query["k"] = []string{"\xfe"} }, func(s *scene) { s.req.Query["k"] = []string{"\xff"} }, true,
		},
		{
			"header and method that run together, known", all,
			func(s *scene) { s.req.Headers["x-plan"] = []string{"gold"} },
			func(s *scene) { s.req.Headers["x-plan"], s.req.Method = []string{"gol"}, "dGET" }, true,
		},
		{"method, unless the route key has it", sources("header:authorization", "header:host", "context:routeKey"), func(s *scene) { s.req.RouteMethod = "ANY" }, func(s *scene) { s.req.Method = "PUT" }, false},
		{"method of the route, known", sources("header:authorization", "header:host", "context:routeKey"), nil, func(s *scene) { s.req.RouteMethod = "GET" }, true},
		{"method of the route", nil, nil, func(s *scene) { s.req.RouteMethod = "GET" }, false},
		{"subject", nil, nil, claim("sub", canary+"-bob"), true},
		{"claim", nil, nil, claim("role", "clerk"), true},
		{"claim of another type", nil, claim("n", "1"), claim("n", 1), true},
		{"tenant", nil, nil, host("api.globex.example"), true},
		{"attributes", nil, nil, tenant(func(t *tenants.Tenant) { t.Attributes = map[string]any{"plan": "silver"} }), true},
		{"revision", nil, nil, tenant(func(t *tenants.Tenant) { t.Revision = "sha256:next" }), true},
		{"platform", nil, nil, func(s *scene) { s.platform = "sha256:p2" }, true},
		{"stage", nil, nil, func(s *scene) { s.req.API.Stage = "test" }, true},
		{"account", nil, nil, func(s *scene) { s.req.API.Account = "210987654321" }, true},
		{"region", nil, nil, func(s *scene) { s.req.API.Region = "eu-west-2" }, true},
		{"partition", nil, nil, func(s *scene) {
			s.req.ARN = strings.Replace(s.req.ARN, "aws", "aws-cn", 1)
			s.allowed[s.req.ARN] = true
		}, true},
		{"one route fewer", nil, nil, func(s *scene) { s.api.Routes = s.api.Routes[:1] }, true},
		{"another method of a route", nil, nil, func(s *scene) {
			s.api.Routes = []tenants.Route{{Method: "GET", Path: "/orders"}, {Method: "PATCH", Path: "/orders"}}
		}, true},
		{"another path of a route", nil, nil, func(s *scene) {
			s.api.Routes = []tenants.Route{{Method: "GET", Path: "/orders"}, {Method: "PUT", Path: "/orders/{id}"}}
		}, true},
		{"platform and revision that run together", nil, nil, func(s *scene) {
			s.platform += "s"
			tenant(func(t *tenants.Tenant) { t.Revision = "ha256:acme" })(s)
		}, true},
		{"another order of routes", nil, nil, func(s *scene) { slices.Reverse(s.api.Routes) }, true},
		{"an identity source that fixes no more", nil, nil, func(s *scene) { s.api.Cache.Identity = append(s.api.Cache.Identity, source("stage:x")) }, false},
		{"an identity source that fixes the path", nil, nil, func(s *scene) { s.api.Cache.Identity = append(s.api.Cache.Identity, source("context:path")) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			cached(s)
			if tt.identity != nil {
				s.api.Cache.Identity = tt.identity
			}
			if tt.before != nil {
				tt.before(s)
			}
			a := s.authorizer(t)
			for range 2 {
				if got, _ := s.ask(t, a); got != "allow" {
					t.Fatal(got)
				}
			}
			if n := s.calls["Permissions"]; n != 1 {
				t.Fatalf("computed %d times for one key", n)
			}
			tt.change(s)
			if got, _ := s.ask(t, a); got != "allow" {
				t.Fatal(got)
			}
			if n := s.calls["Permissions"]; (n == 2) != tt.apart {
				t.Errorf("computed %d times, want apart %t", n, tt.apart)
			}
		})
	}
}

// A route key fixes the method where it names one.
func TestKnownOfRouteKey(t *testing.T) {
	t.Parallel()
	in := engine.Input{Method: "GET", Route: "/orders/{id}"}
	type fixed struct {
		Method, Route bool
		RouteMethod   string
	}
	for _, tt := range []struct {
		name, source, routeMethod string
		want                      fixed
	}{
		{"a method", "context:routeKey", "GET", fixed{Method: true, Route: true, RouteMethod: "GET"}},
		{"every method", "context:routeKey", tenants.AnyMethod, fixed{Route: true, RouteMethod: tenants.AnyMethod}},
		{"another method than the request's", "context:routeKey", "PUT", fixed{Route: true, RouteMethod: "PUT"}},
		{"an event without a route key", "context:routeKey", "", fixed{Route: true}},
		{"the template alone", "context:resourcePath", "GET", fixed{Route: true}},
		{"the method alone", "context:httpMethod", "GET", fixed{Method: true}},
		{"another source", "header:host", "GET", fixed{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := engine.NewKnown(tenants.API{Cache: tenants.Cache{Identity: sources(tt.source)}}, in, tt.routeMethod)
			if got := (fixed{k.Method, k.Route, k.RouteMethod}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// The memo is bounded, and what is asked for again stays.
func TestMemoGenerations(t *testing.T) {
	t.Parallel()
	const size = 1000 // of a generation
	s := newScene()
	cached(s)
	s.api.Cache.Identity = append(s.api.Cache.Identity, source("query:k"))
	a := s.authorizer(t)
	ask := func(key string) (computed bool) {
		t.Helper()
		before := s.calls["Permissions"]
		s.req.Query["k"] = []string{key}
		if got, _ := s.ask(t, a); got != "allow" {
			t.Fatal(got)
		}
		return s.calls["Permissions"] > before
	}
	ask("idle")
	ask("busy")
	for i := range 2*size + 200 {
		if !ask(fmt.Sprint(i)) {
			t.Fatalf("key %d was known before it was asked for", i)
		}
		if i%100 == 0 && ask("busy") {
			t.Fatalf("a key in use was forgotten after %d others", i)
		}
	}
	if !ask("idle") {
		t.Error("two generations of other keys did not push out an idle one")
	}
	if ask(fmt.Sprint(2*size + 199)) {
		t.Error("the newest key was forgotten")
	}
}

// What did not come about, and what is right for one request only, is not
// remembered.
func TestNotRemembered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(*scene)
		want string
	}{
		{"no permissions", func(s *scene) { s.fail["Permissions"] = broken }, "trouble evaluation"},
		{"no document", func(s *scene) { s.fail["Cover"] = broken }, "trouble evaluation"},
		{"narrowed", func(s *scene) { s.narrowed = []engine.Limit{{Reason: "IAM cannot tell them apart"}} }, "allow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			cached(s)
			tt.edit(s)
			a := s.authorizer(t)
			for range 2 {
				if got, _ := s.ask(t, a); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
			if s.calls["Permissions"] != 2 {
				t.Errorf("computed %d times, want 2", s.calls["Permissions"])
			}
		})
	}
}

// The record says why a reply grants less than the rules, in at most ten lines.
func TestLimitsAreLogged(t *testing.T) {
	t.Parallel()
	s := newScene()
	cached(s)
	s.allowed = nil
	for i := range 20 {
		s.perms.Limits = append(s.perms.Limits, engine.Limit{File: "authz.rego", Line: i + 1, Reason: "depends on the query"})
	}
	got, out := s.ask(t, s.authorizer(t))
	incomplete := out.Record.Incomplete
	if got != "deny incomplete" || len(incomplete) != 10 || incomplete[0].File != "" || incomplete[1] != s.perms.Limits[0] {
		t.Errorf("%q, %+v", got, incomplete)
	}
}

// TOKEN events do not say which route was taken, so rules cannot know of any.
func TestTokensHaveNoRoute(t *testing.T) {
	t.Parallel()
	s := newScene()
	cached(s)
	s.api.Routes = []tenants.Route{{Method: "GET", Path: "/orders/{id}"}}
	a := s.authorizer(t)
	s.ask(t, a)
	s.req.Shape, s.req.Token = engine.ShapeToken, aliceToken
	s.ask(t, a)
	if diff := cmp.Diff([][]tenants.Route{s.api.Routes, nil}, s.routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}
