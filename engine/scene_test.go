package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/engine"
	"regent/tenants"
)

// canary is in every secret and every personal value of a scene. It must not come
// out in a record or an error.
const canary = "canary"

const (
	aliceToken = canary + ".alice"
	arnOrders  = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders"
)

// scene stands for everything around an Authorizer: the gateway, the store, the
// verifier and the rules. Its fields say what they answer.
type scene struct {
	req       engine.Request
	api       tenants.API
	tenants   map[string]tenants.Tenant
	selectors map[string]string         // "host api.acme.example" to a tenant's id
	claims    map[string]map[string]any // of readable tokens
	platform  tenants.Digest
	decision  engine.Decision
	// moving tells that the tenants' records do not have the selectors that name them.
	moving   bool
	perms    engine.Permissions
	allowed  document
	narrowed []engine.Limit
	// staleness is how old the tenants' records are that could not be read anew.
	staleness time.Duration
	// fail makes the method of this name return an error or panic.
	fail map[string]func() error

	mu      sync.Mutex
	calls   map[string]int
	inputs  []engine.Input
	known   []engine.Known
	routes  [][]tenants.Route
	ids     int
	records []engine.Record
}

// document allows the ARNs that are in it.
type document map[string]bool

func (d document) Allows(arn string) bool { return d[arn] }

// newScene is an API of the tenants acme and globex, told apart by host, without a
// cache; a request of alice's for acme; and rules that allow it.
func newScene() *scene {
	s := &scene{
		req: engine.Request{
			Shape: engine.ShapeREST, ID: "request-1", ARN: arnOrders,
			API:    engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
			Method: "GET", Path: "/orders", Segments: []string{"orders"}, Route: "/orders",
			Query:    map[string][]string{"q": {canary + "-query"}},
			Headers:  map[string][]string{"host": {"api.acme.example"}, "authorization": {"Bearer " + aliceToken}, "x-secret": {canary + "-header"}},
			Cookies:  []string{"session=" + canary + "-cookie"},
			SourceIP: "203.0.113.7",
		},
		api: tenants.API{
			ID: "a1b2c3", Kind: tenants.REST,
			Credential: source("header:authorization"), Tenant: sources("host"),
			Routes: []tenants.Route{{Method: "GET", Path: "/orders"}, {Method: "PUT", Path: "/orders"}},
		},
		tenants:   map[string]tenants.Tenant{},
		selectors: map[string]string{},
		claims: map[string]map[string]any{
			aliceToken: {"sub": canary + "-alice", "iss": "https://idp.acme.example", "tenant_id": "acme", "mail": canary + "@example"},
		},
		platform: "sha256:p1",
		decision: engine.Decision{Allow: true},
		fail:     map[string]func() error{},
		calls:    map[string]int{},
	}
	for _, id := range []string{"acme", "globex"} {
		s.tenants[id] = tenants.Tenant{ID: id, Status: tenants.Active, Revision: tenants.Digest("sha256:" + id), Attributes: map[string]any{"plan": "gold"}}
		s.selectors["host api."+id+".example"] = id
		s.selectors["issuer https://idp."+id+".example"] = id
		s.selectors["value "+id] = id
	}
	return s
}

// cached gives the scene's API a cache whose key has the token and the host.
func cached(s *scene) {
	s.api.Cache = tenants.Cache{TTL: time.Minute, Identity: sources("header:authorization", "header:host")}
	s.perms = engine.Permissions{Cells: []engine.Cell{
		{Method: "GET", Route: "/orders", Segments: []engine.Segment{{Fixed: true, Literal: "orders"}}, Allowed: true},
		{Method: "PUT", Route: "/orders", Segments: []engine.Segment{{Fixed: true, Literal: "orders"}}},
	}}
	s.allowed = document{arnOrders: true}
}

func source(text string) tenants.Source {
	s, err := tenants.ParseSource(text)
	if err != nil {
		panic(err)
	}
	return s
}

func sources(texts ...string) (list []tenants.Source) {
	for _, text := range texts {
		list = append(list, source(text))
	}
	return list
}

// enter counts a call and fails it if the scene says so.
func (s *scene) enter(method string) error {
	s.mu.Lock()
	s.calls[method]++
	fail := s.fail[method]
	s.mu.Unlock()
	if fail != nil {
		return fail()
	}
	return nil
}

func (s *scene) Decode([]byte) (engine.Request, error) {
	if err := s.enter("Decode"); err != nil {
		return engine.Request{}, err
	}
	return s.req, nil
}

// said is what the scene's gateway writes of a reply.
type said struct {
	Allow, WholeKey       bool
	PrincipalID, UsageKey string
	Context               map[string]any
	Document              document
}

func (s *scene) Encode(_ engine.Request, _ tenants.API, r engine.Reply) ([]byte, error) {
	if err := s.enter("Encode"); err != nil {
		return nil, err
	}
	d, _ := r.Document.(document)
	return json.Marshal(said{r.Allow, r.WholeKey, r.PrincipalID, r.UsageKey, r.Context, d})
}

func (s *scene) Cover(engine.Request, []engine.Cell) (engine.Document, []engine.Limit, error) {
	if err := s.enter("Cover"); err != nil {
		return nil, nil, err
	}
	return maps.Clone(s.allowed), s.narrowed, nil
}

func (s *scene) API(_ context.Context, id string) (tenants.API, error) {
	if err := s.enter("API"); err != nil {
		return tenants.API{}, err
	}
	if id != s.api.ID {
		return tenants.API{}, fmt.Errorf("API %q: %w", id, tenants.ErrNotFound)
	}
	return s.api, nil
}

func (s *scene) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	if err := s.enter("Select"); err != nil {
		return "", err
	}
	id, ok := s.selectors[string(kind)+" "+value]
	if !ok {
		return "", fmt.Errorf("selector: %w", tenants.ErrNotFound)
	}
	return id, nil
}

func (s *scene) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	if err := s.enter("Tenant"); err != nil {
		return tenants.Tenant{}, err
	}
	if s.staleness > 0 {
		tenants.StalenessOf(ctx).Note(s.staleness, coded{})
	}
	t, ok := s.tenants[id]
	if !ok {
		return tenants.Tenant{}, fmt.Errorf("tenant: %w", tenants.ErrNotFound)
	}
	if !s.moving {
		t.Selectors = s.held(id)
	}
	return t, nil
}

// held are the selectors that name a tenant.
func (s *scene) held(id string) (held tenants.Selectors) {
	for text, holder := range s.selectors {
		kind, value, _ := strings.Cut(text, " ")
		switch {
		case holder != id:
		case kind == string(tenants.ByHost):
			held.Hosts = append(held.Hosts, value)
		case kind == string(tenants.ByIssuer):
			held.Issuers = append(held.Issuers, value)
		default:
			held.Values = append(held.Values, value)
		}
	}
	return held
}

func (s *scene) Bundle(context.Context, tenants.Digest) (tenants.Bundle, error) {
	panic("the engine does not read bundles")
}

func (s *scene) Platform(context.Context) (tenants.Digest, error) {
	return s.platform, s.enter("Platform")
}

func (s *scene) Peek(credential string) (map[string]any, bool) {
	if s.enter("Peek") != nil {
		return nil, false
	}
	claims, ok := s.claims[credential]
	return claims, ok
}

func (s *scene) Verify(_ context.Context, _ tenants.Tenant, credential string, now time.Time) (engine.Identity, error) {
	if err := s.enter("Verify"); err != nil {
		return engine.Identity{}, err
	}
	claims, ok := s.claims[credential]
	if !ok || !now.Equal(at) {
		return engine.Identity{}, &engine.Unauthorized{Code: "signature_invalid", Detail: "the signature does not verify"}
	}
	return engine.Identity{Kind: engine.JWT, Subject: claims["sub"].(string), Issuer: claims["iss"].(string), Claims: claims}, nil
}

func (s *scene) Load(_ context.Context, _ string, platform, revision tenants.Digest) (engine.Policy, error) {
	if err := s.enter("Load"); err != nil {
		return nil, err
	}
	if platform != s.platform || revision == "" {
		return nil, errors.New("another revision than the scene's")
	}
	return s, nil
}

func (s *scene) Decide(_ context.Context, in engine.Input, _ time.Time) (engine.Decision, error) {
	if err := s.enter("Decide"); err != nil {
		return engine.Decision{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inputs = append(s.inputs, in)
	return s.decision, nil
}

func (s *scene) Permissions(_ context.Context, known engine.Known, routes []tenants.Route, _ time.Time) (engine.Permissions, error) {
	if err := s.enter("Permissions"); err != nil {
		return engine.Permissions{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.routes = append(s.known, known), append(s.routes, routes)
	return s.perms, nil
}

// authorizer returns an Authorizer in the midst of the scene.
func (s *scene) authorizer(tb testing.TB) *engine.Authorizer {
	tb.Helper()
	a := &engine.Authorizer{
		Gateway: s, Store: s, Identity: s, Policies: s,
		Log: func(r engine.Record) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records = append(s.records, r)
		},
		Now:   func() time.Time { return at },
		NewID: func() string { s.ids++; return "id-" + strconv.Itoa(s.ids) },
		Salt:  []byte("salt"),
	}
	if err := a.Validate(); err != nil {
		tb.Fatal(err)
	}
	return a
}

// ask has the authorizer answer and returns what came of it in few words: "allow",
// "deny CODE", "deny all CODE" for the whole cache key, "unauthorized CODE" or
// "trouble CODE". It holds every outcome to what is true of all of them.
func (s *scene) ask(tb testing.TB, a *engine.Authorizer) (string, engine.Outcome) {
	tb.Helper()
	before := len(s.records)
	out := a.Explain(tb.Context(), []byte("{}"))
	if len(s.records) != before+1 {
		tb.Fatalf("%d records of one event", len(s.records)-before)
	}
	record, err := json.Marshal(out.Record)
	if err != nil {
		tb.Fatal(err)
	}
	if strings.Contains(string(record), canary) || strings.Contains(fmt.Sprint(out.Err), canary) {
		tb.Errorf("a secret in the record or the error: %s, %v", record, out.Err)
	}
	words := verdict(tb, out)
	result := out.Record.Result
	if logged := result.Outcome + " " + result.Code; strings.Replace(words, "deny all", "deny", 1) != logged &&
		(words+" policy" != logged || words != "allow" && words != "deny") {
		tb.Errorf("answered %q, logged %+v", words, result)
	}
	return words, out
}

func verdict(tb testing.TB, out engine.Outcome) string {
	tb.Helper()
	var unauthorized *engine.Unauthorized
	var trouble *engine.Trouble
	switch {
	case out.Err != nil && out.Reply != nil:
		tb.Errorf("both a reply and the error %v", out.Err)
		return ""
	case errors.As(out.Err, &unauthorized):
		if out.Err.Error() != "Unauthorized" {
			tb.Errorf("error text %q: API Gateway answers 401 to one word only", out.Err)
		}
		return "unauthorized " + unauthorized.Code
	case errors.As(out.Err, &trouble):
		return "trouble " + trouble.Code
	case out.Err != nil:
		tb.Errorf("an error of no kind: %v", out.Err)
		return ""
	}
	r := replied(tb, out)
	code := strings.Replace(out.Record.Result.Code, "policy", "", 1)
	switch {
	case r.Allow:
		return strings.TrimSpace("allow " + code)
	case r.WholeKey:
		return strings.TrimSpace("deny all " + code)
	default:
		return strings.TrimSpace("deny " + code)
	}
}

func replied(tb testing.TB, out engine.Outcome) said {
	tb.Helper()
	var r said
	if err := json.Unmarshal(out.Reply, &r); err != nil {
		tb.Fatalf("reply %s: %v", out.Reply, err)
	}
	return r
}
