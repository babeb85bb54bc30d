package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/cmd/internal/gateway"
	"regent/engine/iam"
	"regent/tenants"
)

// start is when the tests' clocks start.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that moves when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// authorizer is a scripted authorizer: it keeps the events and returns reply and err.
type authorizer struct {
	mu     sync.Mutex
	events [][]byte
	reply  string
	err    error
}

func (a *authorizer) Authorize(_ context.Context, event []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, event)
	return []byte(a.reply), a.err
}

func (a *authorizer) set(reply string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reply, a.err = reply, err
}

func (a *authorizer) invocations() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.events)
}

// errUnauthorized has the one text that API Gateway turns into a 401.
var errUnauthorized = errors.New("Unauthorized")

// arnPrefix starts the ARNs of the tests' APIs.
const arnPrefix = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3/local/"

// policy is a reply that allows and denies patterns, given without arnPrefix.
func policy(allow, deny []string) string {
	var d iam.Document
	d.Version = iam.Version
	add := func(effect iam.Effect, patterns []string) {
		s := iam.Statement{Effect: effect, Action: iam.Strings{iam.Invoke}}
		for _, p := range patterns {
			s.Resource = append(s.Resource, arnPrefix+p)
		}
		if len(patterns) > 0 {
			d.Statement = append(d.Statement, s)
		}
	}
	add(iam.Allow, allow)
	add(iam.Deny, deny)
	text, err := json.Marshal(map[string]any{
		"principalId":    "alice",
		"policyDocument": d,
		"context":        map[string]any{"tenantId": "acme", "level": 3, "admin": false},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

var allowAll = policy([]string{"*"}, nil)

// api is an API with a token header and, if ttl is set, a cache on it.
func api(kind tenants.APIKind, ttl time.Duration, routes ...string) tenants.API {
	a := tenants.API{
		ID: "a1b2c3", Kind: kind,
		Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant:     []tenants.Source{{Kind: "issuer"}},
	}
	a.Cache.TTL = ttl
	if ttl > 0 {
		a.Cache.Identity = []tenants.Source{a.Credential}
	}
	for _, text := range routes {
		r, err := tenants.ParseRoute(text)
		if err != nil {
			panic(err)
		}
		a.Routes = append(a.Routes, r)
	}
	return a
}

// rig is a gateway with everything around it in the test's hands.
type rig struct {
	*gateway.Handler
	authorizer *authorizer
	clock      *clock
	mu         sync.Mutex
	traces     []gateway.Trace
}

func newRig(t testing.TB, a tenants.API, o gateway.Options) *rig {
	t.Helper()
	r := &rig{authorizer: &authorizer{reply: allowAll}, clock: newClock()}
	if o.Authorize == nil {
		o.Authorize = r.authorizer.Authorize
	}
	o.Now = r.clock.Now
	o.OnRequest = func(trace gateway.Trace) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.traces = append(r.traces, trace)
	}
	var err error
	if r.Handler, err = gateway.New(a, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// last is the trace of the last request.
func (r *rig) last() gateway.Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.traces[len(r.traces)-1]
}

// send sends a request whose header lines may follow its first line, as in
// "GET /orders", "Authorization: t1". It goes through net/http's own parser, so the
// handler sees what a server would give it.
func (r *rig) send(t testing.TB, lines ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, parse(t, lines[0]+" HTTP/1.1\r\nHost: api.acme.example\r\n"+strings.Join(append(lines[1:], "", ""), "\r\n")))
	return w
}

func parse(t testing.TB, text string) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.RemoteAddr = "203.0.113.7:4711"
	return req
}
