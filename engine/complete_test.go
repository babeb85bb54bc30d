package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/iam"
	"regent/engine/rules"
	"regent/tenants"
)

var (
	worldsFlag = flag.Int("worlds", 300, "how many random worlds TestCompletePolicies checks")
	seedFlag   = flag.Uint64("seed", 0, "the first world's seed; 0 takes one from the clock")
)

// A world is an API, a tenant's rules and a caller: everything that a complete
// policy is made of. Its truth is what the rules say of each single request.
type world struct {
	routes []string
	rules  []string
	data   string
	// exact tells that the rules use nothing that complete policies cannot express.
	exact bool
}

// violation is how a world's document disagrees with its truth.
type violation struct{ kind, detail string }

func (v *violation) String() string { return v.kind + ": " + v.detail }

const (
	worldARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"
	preamble = "package authz\n\n"
)

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (w world) source() string {
	return preamble + strings.Join(w.rules, "\n\n") + "\n"
}

func (w world) txtar() string {
	exact := ""
	if w.exact {
		exact = "exact\n"
	}
	return fmt.Sprintf("%s-- routes --\n%s\n-- data.json --\n%s\n-- authz.rego --\n%s", exact, strings.Join(w.routes, "\n"), w.data, w.source())
}

func readWorld(tb testing.TB, file string) world {
	tb.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	w := world{exact: strings.Contains(string(a.Comment), "exact")}
	for _, f := range a.Files {
		text := strings.TrimSpace(string(f.Data))
		switch f.Name {
		case "routes":
			w.routes = strings.Split(text, "\n")
		case "data.json":
			w.data = text
		case "authz.rego":
			w.rules = []string{strings.TrimPrefix(text+"\n", preamble)}
		}
	}
	return w
}

func (w world) api(tb testing.TB) tenants.API {
	tb.Helper()
	api := tenants.API{
		ID: "a1b2c3", Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant: []tenants.Source{{Kind: "host"}},
		Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{
			{Kind: "header", Name: "authorization"}, {Kind: "header", Name: "host"},
		}},
	}
	for _, r := range w.routes {
		route, err := tenants.ParseRoute(r)
		if err != nil {
			tb.Fatal(err)
		}
		api.Routes = append(api.Routes, route)
	}
	return api
}

func (w world) compile(ctx context.Context) (*rules.Policy, error) {
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		return nil, err
	}
	tenant, err := tenants.NewBundle([]tenants.File{
		{Path: "authz.rego", Content: []byte(w.source())},
		{Path: "data.json", Content: []byte(w.data)},
	})
	if err != nil {
		return nil, err
	}
	return rules.Compile(ctx, platform, tenant, rules.Options{})
}

// coverer makes the document for the cells: iam.Cover, or one that is wrong on
// purpose.
type coverer func(req engine.Request, perms engine.Permissions, routes []tenants.Route) (engine.Document, []engine.Limit, error)

func honest(req engine.Request, perms engine.Permissions, _ []tenants.Route) (engine.Document, []engine.Limit, error) {
	return apigw.Gateway{}.Cover(req, perms.Cells)
}

// check compares the document with the truth over many requests.
func (w world) check(tb testing.TB, rng *rand.Rand, cover coverer) *violation {
	tb.Helper()
	ctx := tb.Context()
	policy, err := w.compile(ctx)
	if err != nil {
		tb.Fatalf("the world does not compile: %v\n%s", err, w.txtar())
	}
	api := w.api(tb)
	requests := w.requests(rng, api.Routes, 60)
	if len(requests) == 0 {
		return nil
	}
	known := engine.NewKnown(api, requests[0])
	perms, err := policy.Permissions(ctx, known, api.Routes, at)
	if err != nil {
		tb.Fatalf("permissions: %v\n%s", err, w.txtar())
	}
	if w.exact && len(perms.Limits) > 0 {
		return &violation{"not exact", fmt.Sprintf("limits %+v", perms.Limits)}
	}
	doc, narrowed, err := cover(engine.Request{ARN: worldARN + "GET/", Method: requests[0].Method, Segments: requests[0].Segments}, perms, api.Routes)
	if err != nil {
		return &violation{"no document", err.Error()}
	}
	for _, in := range requests {
		if v := w.judge(ctx, policy, in, perms, doc, narrowed); v != nil {
			return v
		}
	}
	return nil
}

func (w world) judge(ctx context.Context, policy *rules.Policy, in engine.Input, perms engine.Permissions, doc engine.Document, narrowed []engine.Limit) *violation {
	truth, err := policy.Decide(ctx, in, at)
	allowed := err == nil && truth.Allow
	arn := worldARN + in.Method + "/" + strings.Join(in.Segments, "/")
	request := fmt.Sprintf("%s %s (route %s, query %v, headers %v)", in.Method, in.Path, in.Route, in.Query, in.Headers)
	switch {
	case doc.Allows(arn) && !allowed:
		return &violation{"unsound", fmt.Sprintf("%s is allowed; the rules say %+v, %v", request, truth, err)}
	case allowed && !doc.Allows(arn) && w.exact && len(narrowed) == 0:
		return &violation{"not exact", request + " is not allowed"}
	case allowed && !doc.Allows(arn) && len(narrowed) == 0 && len(perms.Limits) == 0:
		return &violation{"silent", request + " is not allowed, and nothing says why"}
	}
	if d, ok := doc.(interface {
		Evaluate(action, resource string) iam.Verdict
	}); ok && !doc.Allows(arn) && d.Evaluate(iam.Invoke, arn) != iam.ExplicitDeny {
		return &violation{"implicit", request + " is denied silently"}
	}
	return nil
}

// requests are random requests to the API's routes, with random unknown fields.
func (w world) requests(rng *rand.Rand, routes []tenants.Route, n int) []engine.Input {
	var ins []engine.Input
	for range n {
		if in, ok := randomRequest(rng, routes); ok {
			ins = append(ins, in)
		}
	}
	return ins
}

var words = []string{"7", "8", "alice", "bob", "root", "admin", "orders", "users", "items", "export", "u-1", "u-x.pdf", "a.pdf", "pub", "pub-1", "v1", "zz", "p", "u-"}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func randomRequest(rng *rand.Rand, routes []tenants.Route) (engine.Input, bool) {
	r := pick(rng, routes)
	var segments []string
	for _, s := range templateSegments(r.Path) {
		switch {
		case strings.HasSuffix(s, "+}"):
			for range 1 + rng.IntN(3) {
				segments = append(segments, pick(rng, words))
			}
		case strings.HasPrefix(s, "{"):
			segments = append(segments, pick(rng, words))
		default:
			segments = append(segments, s)
		}
	}
	method := r.Method
	if method == tenants.AnyMethod || rng.IntN(4) == 0 {
		method = pick(rng, tenants.Methods())
	}
	route, params, ok := referenceRouter(method, segments, routes)
	if !ok {
		return engine.Input{}, false
	}
	return engine.Input{
		Tenant:   engine.InputTenant{ID: "acme", Attributes: map[string]any{"plan": "gold"}},
		Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.example", Scopes: []string{"orders:read"}, Claims: map[string]any{"role": "clerk", "admin": true}},
		API:      engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Method:   method,
		Path:     "/" + strings.Join(segments, "/"),
		Segments: orNone(segments),
		Route:    route,
		Params:   params,
		Query:    pick(rng, []map[string][]string{{}, {"debug": {"1"}}, {"debug": {"0"}, "x": {"7"}}, {"x": {"a", "b"}}}),
		Headers:  pick(rng, []map[string]string{{"host": "api.example"}, {"host": "api.example", "x-debug": "1"}}),
		SourceIP: pick(rng, []string{"203.0.113.7", "10.0.0.1"}),
	}, true
}

func orNone(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func templateSegments(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

// referenceRouter routes as API Gateway does: at each segment a word before a
// parameter before a greedy one, and a method before ANY.
func referenceRouter(method string, segments []string, routes []tenants.Route) (route string, params map[string]string, ok bool) {
	best := ""
	for _, r := range routes {
		if r.Method != method && r.Method != tenants.AnyMethod {
			continue
		}
		rank, p, matches := matchTemplate(templateSegments(r.Path), segments)
		if matches && (!ok || rank < best) {
			best, route, params, ok = rank, r.Path, p, true
		}
	}
	return route, params, ok
}

// matchTemplate returns a text that sorts by how specific the match is.
func matchTemplate(template, segments []string) (rank string, params map[string]string, ok bool) {
	params = map[string]string{}
	for i, t := range template {
		name := strings.Trim(t, "{}")
		switch {
		case strings.HasSuffix(t, "+}"):
			if len(segments) <= i {
				return "", nil, false
			}
			params[strings.TrimSuffix(name, "+")] = strings.Join(segments[i:], "/")
			return rank + "2", params, true
		case i >= len(segments):
			return "", nil, false
		case strings.HasPrefix(t, "{"):
			params[name] = segments[i]
			rank += "1"
		case t != segments[i]:
			return "", nil, false
		default:
			rank += "0"
		}
	}
	return rank, params, len(template) == len(segments)
}

// newWorld makes a world from a grammar of route tables and rules.
func newWorld(rng *rand.Rand) world {
	w := world{exact: rng.IntN(3) > 0, data: `{"perms": {"clerk": [{"method": "GET", "route": "/orders/{id}", "path": "/orders/*"}, {"method": "PUT", "route": "/users/{id}", "path": "/users/alice"}], "boss": [{"method": "DELETE", "route": "/orders", "path": "/**"}]}}`}
	all := []string{
		"/", "/orders", "/orders/{id}", "/orders/export", "/orders/{id}/items", "/orders/{id}/items/{item}", "/users", "/users/{id}",
		"/users/{id}/orders", "/users/admin", "/files/{proxy+}", "/files/pub/{name}", "/{proxy+}", "/a/{x}", "/a/{x}/{y}", "/a/{x}/{y}/c",
	}
	for _, path := range all {
		if rng.IntN(2) == 0 {
			continue
		}
		if rng.IntN(4) == 0 {
			w.routes = append(w.routes, "ANY "+path)
			continue
		}
		for _, m := range []string{"GET", "PUT", "DELETE"} {
			if rng.IntN(2) == 0 {
				w.routes = append(w.routes, m+" "+path)
			}
		}
	}
	if len(w.routes) == 0 {
		w.routes = []string{"GET /orders/{id}"}
	}
	g := grammar{rng: rng, exact: w.exact}
	for range 1 + rng.IntN(4) {
		w.rules = append(w.rules, "allow if {\n"+g.body(1+rng.IntN(3))+"}")
	}
	for range rng.IntN(3) {
		w.rules = append(w.rules, fmt.Sprintf("deny contains %q if {\n%s}", g.word(), g.body(1+rng.IntN(2))))
	}
	if rng.IntN(2) == 0 {
		w.rules = append(w.rules, "default allow := false")
	}
	w.rules = append(w.rules, slices.Sorted(slices.Values(g.helpers))...)
	return w
}

// grammar makes conditions.
type grammar struct {
	rng     *rand.Rand
	exact   bool
	helpers []string
	locals  int
}

func (g *grammar) word() string   { return pick(g.rng, words) }
func (g *grammar) method() string { return pick(g.rng, []string{"GET", "PUT", "DELETE", "POST"}) }

func (g *grammar) body(n int) string {
	var b strings.Builder
	for range n {
		for _, line := range strings.Split(g.condition(), "\n") {
			b.WriteString("\t" + line + "\n")
		}
	}
	return b.String()
}

func (g *grammar) local() string {
	g.locals++
	return fmt.Sprintf("v%d", g.locals)
}

func (g *grammar) helper(rule string) {
	if !slices.Contains(g.helpers, rule) {
		g.helpers = append(g.helpers, rule)
	}
}

func (g *grammar) route() string {
	return pick(g.rng, []string{"/orders", "/orders/{id}", "/orders/{id}/items", "/users/{id}", "/files/{proxy+}", "/a/{x}", "/a/{x}/{y}/c", "/{proxy+}"})
}

func (g *grammar) path() string {
	return pick(g.rng, []string{"/orders", "/orders/7", "/orders/export", "/users/alice", "/users/admin", "/files/pub/a.pdf", "/a/7/8/c", "/"})
}

func (g *grammar) set(of func() string) string {
	var elems []string
	for range 1 + g.rng.IntN(3) {
		if e := fmt.Sprintf("%q", of()); !slices.Contains(elems, e) {
			elems = append(elems, e)
		}
	}
	return "{" + strings.Join(elems, ", ") + "}"
}

func (g *grammar) condition() string {
	if !g.exact && g.rng.IntN(4) == 0 {
		return g.inexpressible()
	}
	return pick(g.rng, []func() string{g.onMethod, g.onMethod, g.onRoute, g.onPath, g.onPath, g.onSegments, g.onSegments, g.onParams, g.onParams, g.onKnown, g.byHelper, g.byHelper})()
}

func (g *grammar) onMethod() string {
	m := g.method()
	return pick(g.rng, []string{
		fmt.Sprintf("input.method == %q", m),
		fmt.Sprintf("%q == input.method", m),
		"input.method in " + g.set(g.method),
		fmt.Sprintf("input.method != %q", m),
		fmt.Sprintf("not input.method == %q", m),
		"not input.method in " + g.set(g.method),
		fmt.Sprintf("lower(input.method) == %q", strings.ToLower(m)),
		fmt.Sprintf("[input.method, input.segments[0]] == [%q, %q]", m, g.word()),
	})
}

func (g *grammar) onRoute() string {
	return pick(g.rng, []string{
		fmt.Sprintf("input.route == %q", g.route()),
		"input.route in " + g.set(g.route),
		fmt.Sprintf("input.route != %q", g.route()),
		`startswith(input.route, "/orders")`,
		`contains(input.route, "{id}")`,
	})
}

func (g *grammar) onPath() string {
	return pick(g.rng, []string{
		fmt.Sprintf("input.path == %q", g.path()),
		fmt.Sprintf("input.path != %q", g.path()),
		"input.path in " + g.set(g.path),
		`startswith(input.path, "/orders/")`,
		`startswith(input.path, "/or")`,
		`startswith(input.path, "/users/a")`,
		`startswith(input.path, "/files/pub/")`,
		`not startswith(input.path, "/users")`,
		`glob.match("/orders/*", ["/"], input.path)`,
		`glob.match("/*/*", ["/"], input.path)`,
		`glob.match("/users/**", ["/"], input.path)`,
		`glob.match("/files/u-**", ["/"], input.path)`,
		`glob.match("/users/u-*", ["/"], input.path)`,
		`not glob.match("/orders/*/items", ["/"], input.path)`,
		`split(input.path, "/")[1] == "orders"`,
		`split(trim(input.path, "/"), "/")[0] == "users"`,
		`trim_prefix(input.path, "/orders/") == "7"`,
	})
}

func (g *grammar) onSegments() string {
	v, i := g.local(), g.rng.IntN(3)
	return pick(g.rng, []string{
		`input.segments == ["users", input.identity.subject]`,
		fmt.Sprintf("input.segments == [%q, %q]", g.word(), g.word()),
		fmt.Sprintf("[\"orders\", %s] = input.segments\n%s != %q", v, v, g.word()),
		fmt.Sprintf("[\"users\", %s, \"orders\"] = input.segments\nstartswith(%s, \"u-\")", v, v),
		fmt.Sprintf("input.segments[%d] == %q", i, g.word()),
		fmt.Sprintf("input.segments[%d] != %q", i, g.word()),
		fmt.Sprintf("not input.segments[%d] == %q", i, g.word()),
		fmt.Sprintf("input.segments[%d] in %s", i, g.set(g.word)),
		fmt.Sprintf("count(input.segments) == %d", i),
		fmt.Sprintf("count(input.segments) > %d", i),
		fmt.Sprintf("startswith(input.segments[%d], %q)", i, pick(g.rng, []string{"u-", "p", "pub"})),
		fmt.Sprintf("not startswith(input.segments[%d], %q)", i, pick(g.rng, []string{"u-", "pub"})),
		fmt.Sprintf("endswith(input.segments[%d], \".pdf\")", i),
		fmt.Sprintf("array.slice(input.segments, 0, 2) == [%q, %q]", g.word(), g.word()),
	})
}

func (g *grammar) onParams() string {
	name := pick(g.rng, []string{"id", "id", "item", "x", "y", "name"})
	return pick(g.rng, []string{
		fmt.Sprintf("input.params.%s == %q", name, g.word()),
		fmt.Sprintf("input.params.%s != %q", name, g.word()),
		fmt.Sprintf("not input.params.%s == %q", name, g.word()),
		fmt.Sprintf("input.params.%s in %s", name, g.set(g.word)),
		fmt.Sprintf("input.params.%s == input.identity.subject", name),
		fmt.Sprintf("input.params.%s", name),
		fmt.Sprintf("not input.params.%s", name),
		fmt.Sprintf("startswith(input.params.%s, \"u-\")", name),
		fmt.Sprintf("not endswith(input.params.%s, \".pdf\")", name),
	})
}

func (g *grammar) onKnown() string {
	return pick(g.rng, []string{
		`input.tenant.attributes.plan == "gold"`,
		`"orders:read" in input.identity.scopes`,
		`"orders:write" in input.identity.scopes`,
		`input.identity.claims.admin`,
		`not input.identity.claims.admin`,
		`input.headers.host == "api.example"`,
		`not input.headers.authorization`,
	})
}

func (g *grammar) byHelper() string {
	v := g.local()
	switch g.rng.IntN(9) {
	case 0:
		g.helper("reads(m) if m in {\"GET\", \"HEAD\"}")
		return "reads(input.method)"
	case 1:
		g.helper("action := \"read\" if input.method == \"GET\"\n\nelse := \"write\" if input.method in {\"PUT\", \"POST\"}\n\nelse := \"other\"")
		return fmt.Sprintf("action == %q", pick(g.rng, []string{"read", "write", "other"}))
	case 2:
		g.helper("kind(m) := \"r\" if m == \"GET\"\n\nkind(m) := \"w\" if m in {\"PUT\", \"DELETE\"}")
		return fmt.Sprintf("kind(input.method) == %q", pick(g.rng, []string{"r", "w"}))
	case 3:
		g.helper("default special := false\n\nspecial if input.segments[1] == \"root\"\n\nspecial if input.params.id in {\"admin\", \"7\"}")
		return pick(g.rng, []string{"special", "not special", "special == false"})
	case 4:
		return fmt.Sprintf("some %s in data.perms[input.identity.claims.role]\n%s.method == input.method\n%s.route == input.route", v, v, v)
	case 5:
		return fmt.Sprintf("some %s in data.perms[input.identity.claims.role]\n%s.method == input.method\nglob.match(%s.path, [\"/\"], input.path)", v, v, v)
	case 6:
		g.helper("mine contains \"/users/alice\" if input.identity.subject == \"alice\"\n\nmine contains \"/orders/7\" if input.method == \"GET\"")
		return "input.path in mine"
	case 7:
		return fmt.Sprintf("every %s in [\"root\", \"admin\"] { input.segments[1] != %s }", v, v)
	default:
		g.helper("level := 1 if input.method == \"GET\"\n\nlevel := 2 if input.method == \"PUT\"")
		return fmt.Sprintf("level == %d", 1+g.rng.IntN(2))
	}
}

// inexpressible conditions depend on what no document can say, or could fail.
func (g *grammar) inexpressible() string {
	v := g.local()
	return pick(g.rng, []string{
		`input.query.debug[0] == "1"`,
		`not input.query.debug`,
		`count(input.query) == 0`,
		`input.headers["x-debug"] == "1"`,
		`not input.headers["x-debug"]`,
		`input.source_ip == "203.0.113.7"`,
		`time.now_ns() > 0`,
		`regex.match("^/orders/[0-9]+$", input.path)`,
		`contains(input.path, "e")`,
		`upper(input.segments[0]) == "ORDERS"`,
		`input.segments[0] == input.segments[1]`,
		`to_number(input.params.id) > 7`,
		`to_number(input.query.x[0]) > 1`,
		fmt.Sprintf("some %s in input.segments\n%s == %q", v, v, g.word()),
		fmt.Sprintf("every %s in input.segments { %s != %q }", v, v, g.word()),
		fmt.Sprintf("%q in input.segments", g.word()),
		fmt.Sprintf("count({s | some s in input.segments; s != %q}) > 1", g.word()),
		g.conflict(),
	})
}

func (g *grammar) conflict() string {
	g.helper("odd := \"a\" if input.method == \"GET\"\n\nodd := \"b\" if input.segments[1] == \"7\"")
	return `odd == "a"`
}

func TestCompletePolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/worlds/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			w := readWorld(t, file)
			for seed := range uint64(20) {
				if v := w.check(t, rand.New(rand.NewPCG(seed, 1)), honest); v != nil {
					t.Fatal(v)
				}
			}
		})
	}
	first := *seedFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	exact := 0
	for i := range uint64(*worldsFlag) {
		seed := first + i
		w := newWorld(rand.New(rand.NewPCG(seed, 0)))
		if w.exact {
			exact++
		}
		if v := w.check(t, rand.New(rand.NewPCG(seed, 1)), honest); v != nil {
			small := shrink(t, w, v.kind, seed, honest)
			file := filepath.Join(os.TempDir(), fmt.Sprintf("world-%d.txtar", seed))
			if err := os.WriteFile(file, []byte(small.txtar()), 0o600); err == nil {
				t.Logf("written to %s: move it to testdata/worlds", file)
			}
			t.Fatalf("seed %d: %s\nsmallest world:\n%s", seed, v, small.txtar())
		}
	}
	t.Logf("%d worlds from seed %d, %d of them exact", *worldsFlag, first, exact)
}

// shrink leaves out rules, lines and routes as long as the world still fails the
// same way.
func shrink(tb testing.TB, w world, kind string, seed uint64, cover coverer) world {
	tb.Helper()
	fails := func(w world) bool {
		if _, err := w.compile(tb.Context()); err != nil || len(w.routes) == 0 {
			return false
		}
		for s := seed; s < seed+20; s++ {
			if v := w.check(tb, rand.New(rand.NewPCG(s, 1)), cover); v != nil && v.kind == kind {
				return true
			}
		}
		return false
	}
	for smaller := true; smaller; {
		smaller = false
		for i := range w.rules {
			if try := (world{w.routes, slices.Delete(slices.Clone(w.rules), i, i+1), w.data, w.exact}); fails(try) {
				w, smaller = try, true
				break
			}
			lines := strings.Split(w.rules[i], "\n")
			for j := 1; j < len(lines)-1 && !smaller; j++ {
				rule := strings.Join(slices.Delete(slices.Clone(lines), j, j+1), "\n")
				rules := slices.Clone(w.rules)
				rules[i] = rule
				if try := (world{w.routes, rules, w.data, w.exact}); fails(try) {
					w, smaller = try, true
				}
			}
			if smaller {
				break
			}
		}
		for i := range w.routes {
			if try := (world{slices.Delete(slices.Clone(w.routes), i, i+1), w.rules, w.data, w.exact}); fails(try) {
				w, smaller = try, true
				break
			}
		}
	}
	return w
}
