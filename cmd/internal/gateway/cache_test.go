package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regent/cmd/internal/gateway"
	"regent/tenants"
)

// discard is a client that is not interested.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// step is one request of a scenario and what must come of it.
type step struct {
	name     string
	before   func(*rig)
	request  string
	token    string
	status   int
	asked    gateway.Authorizer
	expected int // invocations so far
}

func (r *rig) play(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		if s.before != nil {
			s.before(r)
		}
		lines := []string{s.request}
		if s.token != "" {
			lines = append(lines, "Authorization: "+s.token)
		}
		w := r.send(t, lines...)
		trace := r.last()
		if w.Code != s.status || trace.Authorizer != s.asked || r.authorizer.invocations() != s.expected {
			t.Fatalf("%s: %d, %s, %d invocations (%s)\nwant %d, %s, %d", s.name,
				w.Code, trace.Authorizer, r.authorizer.invocations(), trace.Why, s.status, s.asked, s.expected)
		}
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Minute
	for _, kind := range []tenants.APIKind{tenants.REST, tenants.HTTP} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, api(kind, ttl), gateway.Options{})
			r.authorizer.set(policy([]string{"GET/orders", "GET/orders/*"}, []string{"GET/orders/secret"}), nil)
			denyAll := func(r *rig) { r.authorizer.set(policy(nil, []string{"*"}), nil) }
			r.play(t, []step{
				{"miss", nil, "GET /orders", "t1", 200, gateway.Invoked, 1},
				{"hit on the same route", nil, "GET /orders", "t1", 200, gateway.Cached, 1},
				{"hit, judged on its own ARN: allowed", nil, "GET /orders/17", "t1", 200, gateway.Cached, 1},
				{"hit, judged on its own ARN: denied", nil, "GET /orders/secret", "t1", 403, gateway.Cached, 1},
				{"hit, judged on its own ARN: silent", nil, "POST /orders", "t1", 403, gateway.Cached, 1},
				{"no token, no invocation", nil, "GET /orders", "", 401, gateway.NotAsked, 1},
				{"another token is another key", denyAll, "GET /orders", "t2", 403, gateway.Invoked, 2},
				{"a deny is kept", nil, "GET /orders", "t2", 403, gateway.Cached, 2},
				{"just before the end", func(r *rig) { r.clock.Advance(ttl - 1) }, "GET /orders", "t1", 200, gateway.Cached, 2},
				{"expired", func(r *rig) { r.clock.Advance(1) }, "GET /orders", "t1", 403, gateway.Invoked, 3},
				{"flushed", func(r *rig) { r.Flush() }, "GET /orders", "t1", 403, gateway.Invoked, 4},
			})
		})
	}
}

func TestErrorsAreNotCached(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		reply  string
		err    error
		status int
	}{
		{"unauthorized", "", errUnauthorized, 401},
		{"trouble", "", errors.New("store: down"), 500},
		{"malformed", "{}", nil, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, api(tenants.REST, time.Minute), gateway.Options{})
			r.authorizer.set(tt.reply, tt.err)
			r.play(t, []step{
				{"error", nil, "GET /", "t1", tt.status, gateway.Invoked, 1},
				{"asked again", nil, "GET /", "t1", tt.status, gateway.Invoked, 2},
				{"and mended", func(r *rig) { r.authorizer.set(allowAll, nil) }, "GET /", "t1", 200, gateway.Invoked, 3},
				{"and kept", nil, "GET /", "t1", 200, gateway.Cached, 3},
			})
		})
	}
}

// TestIdentitySources holds what forms the key, source by source: requests of a case
// share an entry if and only if it says so.
func TestIdentitySources(t *testing.T) {
	t.Parallel()
	type lines = []string
	tests := []struct {
		name    string
		kind    tenants.APIKind
		sources string
		a, b    lines
		shared  bool
	}{
		{"host", tenants.REST, "header:host", lines{"GET http://a.example/"}, lines{"GET http://b.example/"}, false},
		{"header name without case", tenants.REST, "header:x-tenant", lines{"GET /", "X-Tenant: acme"}, lines{"GET /", "x-TENANT: acme"}, true},
		{"header value with case", tenants.REST, "header:x-tenant", lines{"GET /", "X-Tenant: acme"}, lines{"GET /", "X-Tenant: Acme"}, false},
		{"repeated header", tenants.REST, "header:x-tenant", lines{"GET /", "X-Tenant: acme"}, lines{"GET /", "X-Tenant: acme", "X-Tenant: rival"}, false},
		{"repeated header, the other way round", tenants.HTTP, "header:x-tenant", lines{"GET /", "X-Tenant: acme"}, lines{"GET /", "X-Tenant: rival", "X-Tenant: acme"}, false},
		{"query", tenants.REST, "query:key", lines{"GET /?key=1&x=1"}, lines{"GET /?x=2&key=%31"}, true},
		{"repeated query", tenants.HTTP, "query:key", lines{"GET /?key=1"}, lines{"GET /?key=1&key=2"}, false},
		{"two sources, shifted", tenants.REST, "header:x-a header:x-b", lines{"GET /", "X-A: 1", "X-B: 23"}, lines{"GET /", "X-A: 12", "X-B: 3"}, false},
		{"two sources, swapped", tenants.REST, "header:x-a header:x-b", lines{"GET /", "X-A: 1", "X-B: 2"}, lines{"GET /", "X-A: 2", "X-B: 1"}, false},
		{"route key", tenants.HTTP, "context:routeKey", lines{"GET /a/1"}, lines{"GET /a/2"}, true},
		{"another route key", tenants.HTTP, "context:routeKey", lines{"GET /a/1"}, lines{"GET /b"}, false},
		{"resource path", tenants.REST, "context:resourcePath", lines{"GET /a/1"}, lines{"POST /a/2"}, true},
		{"method", tenants.REST, "context:httpMethod", lines{"GET /a/1"}, lines{"POST /a/1"}, false},
		{"path", tenants.REST, "context:path", lines{"GET /a/1"}, lines{"GET /a/2"}, false},
		{"source ip", tenants.REST, "context:sourceIp", lines{"GET /a/1"}, lines{"POST /b"}, true},
		{"stage variable", tenants.REST, "stage:tenant", lines{"GET /a/1"}, lines{"POST /b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := api(tt.kind, time.Minute, "ANY /", "ANY /a/{id}", "ANY /b")
			for source := range strings.FieldsSeq(tt.sources) {
				s, err := tenants.ParseSource(source)
				if err != nil {
					t.Fatal(err)
				}
				a.Cache.Identity = append(a.Cache.Identity, s)
			}
			r := newRig(t, a, gateway.Options{StageVariables: map[string]string{"tenant": "acme"}})
			for _, l := range []lines{tt.a, tt.a, tt.b} {
				if w := r.send(t, append(l, "Authorization: t1")...); w.Code != 200 {
					t.Fatalf("%v: %d (%s)", l, w.Code, r.last().Why)
				}
			}
			want := 2
			if tt.shared {
				want = 1
			}
			if got := r.authorizer.invocations(); got != want {
				t.Errorf("%d invocations, want %d", got, want)
			}
		})
	}
}

// TestSourceMissing holds that every source must be there, also when nothing is cached.
func TestSourceMissing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source string
		request      []string
	}{
		{"header", "header:x-tenant", []string{"GET /"}},
		{"empty header", "header:x-tenant", []string{"GET /", "X-Tenant:"}},
		{"query", "query:key", []string{"GET /?KEY=1"}},
		{"empty query", "query:key", []string{"GET /?key="}},
		{"stage variable", "stage:tenant", []string{"GET /"}},
	}
	for _, tt := range tests {
		for _, ttl := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprint(tt.name, " ttl ", ttl), func(t *testing.T) {
				t.Parallel()
				s, err := tenants.ParseSource(tt.source)
				if err != nil {
					t.Fatal(err)
				}
				a := api(tenants.REST, ttl)
				a.Cache.Identity = append(a.Cache.Identity, s)
				r := newRig(t, a, gateway.Options{})
				w := r.send(t, append(tt.request, "Authorization: t1")...)
				if want := tt.source + " is missing or empty"; w.Code != 401 || r.authorizer.invocations() != 0 || r.last().Why != want {
					t.Errorf("%d, %d invocations, %q; want 401, 0, %q", w.Code, r.authorizer.invocations(), r.last().Why, want)
				}
			})
		}
	}
}

// TestCacheIsBounded holds that the least recently used entry goes first.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, api(tenants.REST, time.Hour), gateway.Options{CacheEntries: 2})
	r.play(t, []step{
		{"t1", nil, "GET /", "t1", 200, gateway.Invoked, 1},
		{"t2", nil, "GET /", "t2", 200, gateway.Invoked, 2},
		{"t1 again", nil, "GET /", "t1", 200, gateway.Cached, 2},
		{"t3 drives out t2", nil, "GET /", "t3", 200, gateway.Invoked, 3},
		{"t1 is there", nil, "GET /", "t1", 200, gateway.Cached, 3},
		{"t2 is not", nil, "GET /", "t2", 200, gateway.Invoked, 4},
	})
}

// TestFlushDuringInvocation holds that a reply that was under way when the cache was
// flushed serves its own request and no other.
func TestFlushDuringInvocation(t *testing.T) {
	t.Parallel()
	var r *rig
	var calls atomic.Int64
	r = newRig(t, api(tenants.REST, time.Hour), gateway.Options{
		Authorize: func(context.Context, []byte) ([]byte, error) {
			if calls.Add(1) == 1 {
				r.Flush()
			}
			return []byte(allowAll), nil
		},
	})
	for i, want := range []gateway.Authorizer{gateway.Invoked, gateway.Invoked, gateway.Cached} {
		r.send(t, "GET /", "Authorization: t1")
		if got := r.last().Authorizer; got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
	}
}

// TestConcurrent has many clients on a small cache, with flushes: every one of them
// gets the answer that its own token and path deserve.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	h, err := gateway.New(api(tenants.REST, time.Hour), gateway.Options{
		CacheEntries: 3,
		Authorize: func(_ context.Context, event []byte) ([]byte, error) {
			// Token tN may GET /N and nothing else.
			_, rest, _ := strings.Cut(string(event), `"Authorization":"t`)
			n, _, _ := strings.Cut(rest, `"`)
			return []byte(policy([]string{"GET/" + n}, nil)), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			r := &rig{Handler: h}
			for i := range 100 {
				token, path := (client+i)%5, i%5
				want := 403
				if token == path {
					want = 200
				}
				if w := r.send(t, fmt.Sprintf("GET /%d", path), fmt.Sprintf("Authorization: t%d", token)); w.Code != want {
					t.Errorf("token t%d on /%d: %d, want %d", token, path, w.Code, want)
				}
				if i%10 == 0 {
					h.Flush()
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCacheHit(b *testing.B) {
	r := newRig(b, api(tenants.REST, time.Hour), gateway.Options{})
	r.authorizer.set(policy([]string{"GET/orders", "GET/orders/*", "POST/orders"}, []string{"GET/orders/secret"}), nil)
	req := parse(b, "GET /orders/17?page=2 HTTP/1.1\r\nHost: api.acme.example\r\nAccept: */*\r\nAuthorization: t1\r\n\r\n")
	for b.Loop() {
		r.ServeHTTP(discard{}, req)
		r.traces = r.traces[:0]
	}
	if r.authorizer.invocations() != 1 {
		b.Fatal("not a hit")
	}
}
