package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/gateway"
	"regent/engine"
	"regent/policies"
	"regent/tenants"
	"regent/tenants/dir"
)

// cachedAPIs are ways to put the built-in workspace behind a cache. Their routes are
// those of its REST API.
func cachedAPIs() []cachedAPI {
	const token, host = "header:authorization", "header:host"
	return []cachedAPI{
		{name: "rest", kind: tenants.REST, sources: []string{token, host}},
		{name: "rest, a reply for each route", kind: tenants.REST, sources: []string{token, host, "context:resourcePath"}},
		{name: "rest, a reply for each route and method", kind: tenants.REST, sources: []string{token, host, "context:httpMethod", "context:resourcePath"}},
		{name: "rest, a reply for each path", kind: tenants.REST, sources: []string{token, host, "context:path"}},
		{name: "http 1.0", kind: tenants.HTTP, shape: engine.ShapeHTTP1, sources: []string{token, host}},
		{name: "http 2.0", kind: tenants.HTTP, sources: []string{token, host}},
		{name: "http 2.0, a reply for each route", kind: tenants.HTTP, sources: []string{token, host, "context:routeKey"}},
		{name: "http simple", kind: tenants.HTTP, sources: []string{token, host, "context:routeKey"}, simple: true},
		{name: "http simple, by method", kind: tenants.HTTP, sources: []string{token, host, "context:routeKey", "context:httpMethod"}, simple: true},
		{name: "http simple, by path", kind: tenants.HTTP, sources: []string{token, host, "context:routeKey", "context:httpMethod", "context:path"}, simple: true},
	}
}

type cachedAPI struct {
	name    string
	kind    tenants.APIKind
	shape   engine.Shape
	sources []string
	simple  bool
}

// registration is the API as it is registered.
func (a cachedAPI) registration(t *testing.T, routes []tenants.Route) tenants.API {
	t.Helper()
	api := tenants.API{
		ID: "a1b2c3", Kind: a.kind, Simple: a.simple, Routes: routes,
		Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant:     []tenants.Source{{Kind: "host"}, {Kind: "claim", Name: "tenant_id"}},
		Cache:      tenants.Cache{TTL: 5 * time.Minute},
	}
	for _, text := range a.sources {
		s, err := tenants.ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		api.Cache.Identity = append(api.Cache.Identity, s)
	}
	return api
}

// oneAPI is a store whose only API is another one than the workspace's.
type oneAPI struct {
	tenants.Store
	api tenants.API
}

func (s oneAPI) API(_ context.Context, id string) (tenants.API, error) {
	if id != s.api.ID {
		return tenants.API{}, tenants.ErrNotFound
	}
	return s.api, nil
}

// stand is a gateway before the real pipeline, over the built-in workspace.
type stand struct {
	gateway *gateway.Handler
	mu      sync.Mutex
	traces  []gateway.Trace
}

func newStand(t *testing.T, snapshot *dir.Snapshot, issuer *devissuer.Issuer, api tenants.API, shape engine.Shape) *stand {
	t.Helper()
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store: oneAPI{devStore{snapshot, issuer}, api}, EvalTimeout: 10 * time.Second, Log: func(engine.Record) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { assemble.Close(authorizer) })
	s := &stand{}
	s.gateway, err = gateway.New(api, gateway.Options{Authorize: authorizer.Authorize, Shape: shape, OnRequest: func(trace gateway.Trace) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.traces = append(s.traces, trace)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.gateway.Close)
	return s
}

// send sends a request and returns what became of it.
func (s *stand) send(p probeRequest, host, token string) gateway.Trace {
	req := httptest.NewRequest(p.method, "http://"+host+p.path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	s.gateway.ServeHTTP(httptest.NewRecorder(), req)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traces[len(s.traces)-1]
}

// probeRequest is a request to try. An odd one has a spelling of its path that a cached
// policy may deny although the rules allow the path.
type probeRequest struct {
	method, path string
	odd          bool
}

// probes are requests to every route, with words that the workspace's rules mention,
// others, and spellings that are meant to slip through.
func probes(routes []tenants.Route) (all []probeRequest) {
	words := map[string][]string{
		"{id}":     {"17", "peter", "root"},
		"{week}":   {"9"},
		"{proxy+}": {"metrics", "a/b"},
	}
	for _, r := range routes {
		paths := []string{""}
		for _, segment := range strings.Split(r.Path[1:], "/") {
			values, ok := words[segment]
			if !ok {
				values = []string{segment}
			}
			var longer []string
			for _, p := range paths {
				for _, v := range values {
					longer = append(longer, p+"/"+v)
				}
			}
			paths = longer
		}
		for _, m := range methodsOf(r, routes) {
			for _, p := range paths {
				all = append(all, probeRequest{method: m, path: p})
			}
		}
	}
	for _, p := range []string{
		"/orders/%31%37", "/orders/17%2Fitems", "/users/p%65ter", "/users/..%2Fpeter", "/users/peter/../root",
		"/orders//items", "/orders/./items", "/sayhello/", "//sayhello", "/users/peter/", "/users/peter%00", `/users/a\b`,
	} {
		for _, m := range []string{"GET", "DELETE"} {
			all = append(all, probeRequest{m, p, true})
		}
	}
	return all
}

// TestCachedPath sends many requests of several callers through a gateway with a cache,
// over the real engine and the built-in rules: one miss, and then hits on other routes
// and methods. Every answer must be the one of a gateway without a cache, whose every
// request is decided by itself.
func TestCachedPath(t *testing.T) {
	t.Parallel()
	for _, a := range cachedAPIs() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			cachedPath(t, a)
		})
	}
}

func cachedPath(t *testing.T, a cachedAPI) {
	snapshot, err := dir.Load(policies.FS, "the built-in workspace")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := snapshot.API(t.Context(), demoAPI)
	if err != nil {
		t.Fatal(err)
	}
	api := a.registration(t, builtIn.Routes)
	exact := api
	exact.Cache = tenants.Cache{}
	cached, fresh := newStand(t, snapshot, issuer, api, a.shape), newStand(t, snapshot, issuer, exact, a.shape)
	requests := probes(api.Routes)

	allowed, denied, hits := 0, 0, 0
	for _, tenant := range snapshot.Tenants() {
		for _, s := range embeddedCallers(t, tenant.ID) {
			if s.Anonymous {
				continue
			}
			token := tokenOf(t, s, tenant, issuer)
			host := tenant.Selectors.Hosts[0]
			want := make([]gateway.Trace, len(requests))
			for i, p := range requests {
				want[i] = fresh.send(p, host, token)
				if want[i].Status >= 500 {
					t.Fatalf("%s %s: the gateway without a cache has no answer: %+v", p.method, p.path, want[i])
				}
			}
			// Whichever request comes first, allowed or denied, must not matter.
			starts := []int{0, len(requests) / 3}
			if slices.Contains(a.sources, "context:path") {
				starts = starts[:1] // every request is a first one
			}
			for _, first := range starts {
				cached.gateway.Flush()
				misses := map[string]int{}
				for i := range requests {
					i := (first + i) % len(requests)
					p := requests[i]
					got := cached.send(p, host, token)
					if problem := a.judge(requests, want, i, got); problem != "" {
						t.Errorf("%s of %s: %s %s: got %d (%s, %s), want %d (%s): %s", s.Name, tenant.ID, p.method, p.path,
							got.Status, got.Authorizer, got.Outcome, want[i].Status, want[i].Outcome, problem)
					}
					switch {
					case got.Authorizer == gateway.Cached:
						hits++
					case got.Authorizer == gateway.Invoked && got.Err == nil && !p.odd:
						misses[a.key(got)]++
					}
					if got.Status == http.StatusOK {
						allowed++
					} else {
						denied++
					}
				}
				for key, n := range misses {
					if n != 1 {
						t.Errorf("%s of %s: the authorizer answered %d times for the key %q, want once", s.Name, tenant.ID, n, key)
					}
				}
			}
		}
	}
	// Guard against a test that finds nothing out.
	if allowed < 50 || denied < 50 || hits < 20 {
		t.Errorf("%d allowed, %d denied, %d hits: want many of each", allowed, denied, hits)
	}
}

// judge says what is wrong with the answer to request i; "" if nothing is.
func (a cachedAPI) judge(requests []probeRequest, want []gateway.Trace, i int, got gateway.Trace) string {
	yes := want[i].Status == http.StatusOK
	switch {
	case got.Status == http.StatusOK && !yes && a.blind(requests[i]):
		return ""
	case got.Status == http.StatusOK && !yes:
		return "the rules deny it"
	case requests[i].odd || got.Status == want[i].Status:
		return ""
	case a.simple && yes && got.Status == http.StatusForbidden:
		// One verdict for the key: no if it is no for one of its requests. A greedy route
		// may have more of them than a gateway sends there.
		if strings.Contains(want[i].Route, "+}") {
			return ""
		}
		for j, other := range want {
			if a.verdictKey(other) == a.verdictKey(want[i]) && other.Status == http.StatusForbidden && !requests[j].odd {
				return ""
			}
		}
		return "the rules allow every request with this key"
	case yes:
		return "the rules allow it"
	default:
		return "another status"
	}
}

// blind reports whether nobody can tell a request from a proper one when its answer is
// cached. A REST API drops a second slash at the start from path and ARN; a simple
// response says nothing of paths, unless the key has the path. A NUL that an HTTP API
// has decoded is a character like any other to a pattern.
func (a cachedAPI) blind(p probeRequest) bool {
	return a.kind == tenants.REST && strings.HasPrefix(p.path, "//") ||
		a.kind == tenants.HTTP && strings.Contains(p.path, "%00") ||
		a.simple && p.odd && !slices.Contains(a.sources, "context:path")
}

// verdictKey is what requests share that a simple response speaks for: the route key,
// and where the key has them, method and path.
func (a cachedAPI) verdictKey(t gateway.Trace) string {
	key := t.Route
	if slices.Contains(a.sources, "context:httpMethod") {
		key += " " + t.Method
	}
	if slices.Contains(a.sources, "context:path") {
		key += " " + t.Path
	}
	return key
}

// key is the part of the cache key that one caller's requests differ in.
func (a cachedAPI) key(t gateway.Trace) string {
	var parts []string
	method, resource, _ := strings.Cut(t.Route, " ")
	for _, s := range a.sources {
		switch s {
		case "context:httpMethod":
			parts = append(parts, t.Method)
		case "context:resourcePath":
			parts = append(parts, resource)
		case "context:routeKey":
			parts = append(parts, method+" "+resource)
		case "context:path":
			parts = append(parts, t.Path)
		}
	}
	return strings.Join(parts, " ")
}

// embeddedCallers are the sample callers of a built-in tenant.
func embeddedCallers(t *testing.T, tenant string) []sampleCaller {
	t.Helper()
	text, err := policies.FS.ReadFile("tenants/" + tenant + "/" + callersFile)
	if err != nil {
		t.Fatal(err)
	}
	callers, err := parseCallers(text)
	if err != nil {
		t.Fatal(err)
	}
	return callers
}

func tokenOf(t *testing.T, s sampleCaller, tenant tenants.Tenant, issuer *devissuer.Issuer) string {
	t.Helper()
	token, err := (&prover{issuer: issuer, now: time.Now()}).mint(s, tenant, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A cached reply that is incomplete is still sound: it denies what only some requests
// are allowed to do.
func TestCachedPathOfIncompleteRules(t *testing.T) {
	t.Parallel()
	workspace := e2eCase{workspace: fstest.MapFS{}}
	workspace.useEmbedded(t)
	workspace.workspace["tenants/acme/policy/authz.rego"] = &fstest.MapFile{Data: []byte(`package authz

allow if {
	input.method == "GET"
	input.headers["x-reason"] == "audit"
}

allow if input.method == "POST"

deny contains "not on Sundays" if {
	input.route == "/orders"
	input.query.day[_] == "sunday"
}
`)}
	snapshot, err := dir.Load(workspace.workspace, "the case's workspace")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := snapshot.API(t.Context(), demoAPI)
	if err != nil {
		t.Fatal(err)
	}
	a := cachedAPIs()[0]
	s := newStand(t, snapshot, issuer, a.registration(t, builtIn.Routes), a.shape)
	tenant, err := tenantNamed(snapshot, "acme")
	if err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, sampleCaller{Subject: "alice"}, tenant, issuer)
	for i, tt := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/orders?day=monday", 403}, // allowed by the rules, but not for every query
		{"POST", "/orders?day=sunday", 403},
		{"POST", "/sayhello", 200},
		{"POST", "/sayhello?day=sunday", 200},
		{"GET", "/sayhello", 403},
	} {
		got := s.send(probeRequest{method: tt.method, path: tt.path}, "api.acme.example", token)
		if got.Status != tt.want || (got.Authorizer == gateway.Cached) != (i > 0) {
			t.Errorf("%s %s: %d (%s, %s), want %d", tt.method, tt.path, got.Status, got.Authorizer, got.Why, tt.want)
		}
	}
}
