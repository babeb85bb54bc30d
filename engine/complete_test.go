package engine_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"regent/engine"
	"regent/engine/iam"
	"regent/engine/rules"
	"regent/tenants"
)

var (
	worldsFlag = flag.Int("worlds", 300, "how many random worlds TestCompletePolicies checks")
	seedFlag   = flag.Uint64("seed", 0, "the first world's seed; 0 takes one from the clock")
)

// A world is an API, a tenant's rules, the platform's, and a caller: everything that
// a complete policy is made of. Its truth is what the rules say of each single
// request.
type world struct {
	kind   tenants.APIKind
	simple bool
	routes []string
	// sources are the identity sources beside the credential and the host.
	sources         []string
	rules, platform []string
	data            string
	// exact tells that the rules use nothing that complete policies cannot express.
	exact bool
}

// violation is how a world's document disagrees with its truth.
type violation struct{ kind, detail string }

func (v *violation) String() string { return v.kind + ": " + v.detail }

const (
	worldARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"
	preamble = "package authz\n\nimport data.lib.paths\n\n"
	guard    = "package platform\n\n"
	// documentSize is what the gateway's encoder leaves for a document.
	documentSize = iam.MaxReply - 2048
)

// lib is the platform's helper package in every world.
const lib = `package lib.paths

under(path, prefix) if startswith(path, prefix)

first := input.segments[0]

default depth(_) := 0

depth(segments) := count(segments)
`

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (w world) source() string {
	text := strings.Join(w.rules, "\n\n") + "\n"
	if !strings.Contains(text, "paths.") {
		return strings.Replace(preamble, "import data.lib.paths\n\n", "", 1) + text
	}
	return preamble + text
}

func (w world) guardrails() string { return guard + strings.Join(w.platform, "\n\n") + "\n" }

func (w world) txtar() string {
	var comment strings.Builder
	if w.exact {
		comment.WriteString("exact\n")
	}
	if w.simple {
		comment.WriteString("simple\n")
	}
	fmt.Fprintf(&comment, "kind %s\n", w.kind)
	for _, s := range w.sources {
		fmt.Fprintf(&comment, "source %s\n", s)
	}
	return fmt.Sprintf("%s-- routes --\n%s\n-- data.json --\n%s\n-- platform.rego --\n%s-- authz.rego --\n%s",
		&comment, strings.Join(w.routes, "\n"), w.data, w.guardrails(), w.source())
}

func readWorld(tb testing.TB, file string) world {
	tb.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	w := world{kind: tenants.REST, data: "{}"}
	for line := range strings.Lines(string(a.Comment)) {
		switch word, value, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "exact":
			w.exact = true
		case "simple":
			w.simple = true
		case "kind":
			w.kind = tenants.APIKind(value)
		case "source":
			w.sources = append(w.sources, value)
		}
	}
	for _, f := range a.Files {
		text := strings.TrimSpace(string(f.Data))
		switch f.Name {
		case "routes":
			w.routes = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
		case "data.json":
			w.data = text
		case "platform.rego":
			if text = strings.TrimSpace(strings.TrimPrefix(text, strings.TrimSpace(guard))); text != "" {
				w.platform = []string{text}
			}
		case "authz.rego":
			text = strings.TrimPrefix(text+"\n", "package authz\n\n")
			w.rules = []string{strings.TrimPrefix(text, "import data.lib.paths\n\n")}
		default:
			tb.Fatalf("%s: unknown file %s", file, f.Name)
		}
	}
	return w
}

func (w world) api(tb testing.TB) tenants.API {
	tb.Helper()
	api := tenants.API{
		ID: "a1b2c3", Kind: w.kind, Simple: w.simple, Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Tenant: []tenants.Source{{Kind: "host"}},
		Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{
			{Kind: "header", Name: "authorization"}, {Kind: "header", Name: "host"},
		}},
	}
	for _, s := range w.sources {
		kind, name, _ := strings.Cut(s, ":")
		api.Cache.Identity = append(api.Cache.Identity, tenants.Source{Kind: kind, Name: name})
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
	platform, err := tenants.NewBundle([]tenants.File{
		{Path: "platform/platform.rego", Content: []byte(w.guardrails())},
		{Path: "lib/paths.rego", Content: []byte(lib)},
	})
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

// double is what makes a document, honestly or wrong on purpose. Its zero value is
// honest.
type double struct {
	known func(k *engine.Known)
	cells func(cells []engine.Cell, at engine.Input) []engine.Cell
	cover func(arn iam.ARN, cells []engine.Cell, at iam.Request) (iam.Coverage, error)
}

func (d double) make(ctx context.Context, policy *rules.Policy, api tenants.API, in engine.Input) (outcome, error) {
	known := engine.NewKnown(api, in, routeMethod(api, in))
	if d.known != nil {
		d.known(&known)
	}
	perms, err := policy.Permissions(ctx, known, api.Routes, at)
	if err != nil {
		return outcome{failed: err}, nil
	}
	o := outcome{limits: perms.Limits, cells: perms.Cells}
	cells := slices.Clone(perms.Cells)
	if d.cells != nil {
		cells = d.cells(cells, in)
	}
	o.all = len(cells) > 0 && !slices.ContainsFunc(cells, func(c engine.Cell) bool { return !c.Allowed })
	arn, err := iam.ParseARN(worldARN + "GET/")
	if err != nil {
		return outcome{}, err
	}
	cover := d.cover
	if cover == nil {
		cover = func(arn iam.ARN, cells []engine.Cell, at iam.Request) (iam.Coverage, error) {
			return iam.Cover(arn, cells, at, documentSize)
		}
	}
	o.coverage, err = cover(arn, cells, iam.Request{Method: in.Method, Segments: in.Segments})
	return o, err
}

// outcome is what is made for a cache key.
type outcome struct {
	failed   error
	coverage iam.Coverage
	cells    []engine.Cell
	limits   []engine.Limit
	all      bool
}

func (o outcome) cell(in engine.Input) (engine.Cell, bool) {
	i := slices.IndexFunc(o.cells, func(c engine.Cell) bool {
		return c.Has(in.Method, in.Segments) && (c.Route == "" || c.Route == in.Route)
	})
	if i < 0 {
		return engine.Cell{}, false
	}
	return o.cells[i], true
}

// contested tells whether a path is also in a cell that is not allowed: one that an
// HTTP API may send to either of two greedy routes.
func (o outcome) contested(in engine.Input) bool {
	return slices.ContainsFunc(o.cells, func(c engine.Cell) bool { return !c.Allowed && c.Has(in.Method, in.Segments) })
}

func (o outcome) narrowed(in engine.Input) bool {
	return slices.ContainsFunc(o.coverage.Narrowed, func(n iam.Narrowed) bool { return n.Cell.Has(in.Method, in.Segments) })
}

// check compares the document with the truth over many requests.
func (w world) check(tb testing.TB, rng *rand.Rand, d double) *violation {
	tb.Helper()
	ctx := tb.Context()
	policy, err := w.compile(ctx)
	if err != nil {
		tb.Fatalf("the world does not compile: %v\n%s", err, w.txtar())
	}
	api := w.api(tb)
	requests := w.requests(rng, api, 60)
	if len(requests) == 0 {
		return nil
	}
	o, err := d.make(ctx, policy, api, requests[0].Input)
	if err != nil {
		return &violation{"no document", err.Error()}
	}
	if w.exact && (o.failed != nil || len(o.limits) > 0) {
		return &violation{"not exact", fmt.Sprintf("limits %+v, %v", o.limits, o.failed)}
	}
	for _, l := range o.limits {
		if l.File == "" || l.Line == 0 || l.Reason == "" {
			return &violation{"limit without a place", fmt.Sprintf("%+v", l)}
		}
	}
	if o.failed != nil {
		return nil
	}
	if v := sizes(o.coverage.Document); v != nil {
		return v
	}
	for i, r := range requests {
		if v := w.judge(ctx, policy, r, o, i == 0); v != nil {
			return v
		}
	}
	return nil
}

// sizes are the limits that API Gateway sets.
func sizes(d iam.Document) *violation {
	b, err := json.Marshal(d)
	if err != nil || len(b) > documentSize {
		return &violation{"too large", fmt.Sprintf("%d bytes, %v", len(b), err)}
	}
	for _, s := range d.Statement {
		for _, r := range append(slices.Clone(s.Resource), s.NotResource...) {
			if len(r) > iam.MaxResource {
				return &violation{"too large", r}
			}
			if verb := strings.TrimPrefix(r, worldARN); s.Effect == iam.Allow && (verb == r || strings.HasPrefix(verb, "*")) {
				return &violation{"wild verb", r}
			}
		}
	}
	return nil
}

func (w world) judge(ctx context.Context, policy *rules.Policy, r request, o outcome, atHand bool) *violation {
	truth, err := policy.Decide(ctx, r.Input, at)
	allowed := err == nil && truth.Allow
	verdict := o.coverage.Document.Evaluate(iam.Invoke, r.arn)
	if w.simple {
		if verdict = iam.ExplicitDeny; o.all {
			verdict = iam.Allowed
		}
	}
	describe := func() string {
		return fmt.Sprintf("%s %s (%s, route %s, query %v, headers %v)", r.Method, r.Path, r.arn, r.Route, r.Query, r.Headers)
	}
	switch {
	case verdict == iam.Allowed && !allowed:
		return &violation{"unsound", fmt.Sprintf("%s is allowed; the rules say %+v, %v", describe(), truth, err)}
	case verdict == iam.ImplicitDeny:
		return &violation{"implicit", describe() + " is denied silently"}
	case !allowed || verdict == iam.Allowed || !r.canonical || w.simple:
		return nil
	}
	cell, known := o.cell(r.Input)
	switch {
	case !known:
		return &violation{"uncovered", describe() + " is in no cell"}
	case !cell.Allowed && len(cell.Limits) == 0:
		return &violation{"silent", describe() + " is not allowed, and nothing says why"}
	case cell.Allowed && !o.narrowed(r.Input):
		return &violation{"not exact", describe() + " is not allowed"}
	case cell.Allowed && atHand && r.plain && len(r.arn) <= iam.MaxResource && !o.contested(r.Input):
		return &violation{"request at hand", describe() + " is not kept"}
	}
	return nil
}

// TestCompletePolicies holds complete policies to the rules.
func TestCompletePolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/worlds/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("worlds: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			w := readWorld(t, file)
			for seed := range uint64(20) {
				if v := w.check(t, rand.New(rand.NewPCG(seed, 1)), double{}); v != nil {
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
	slowest := time.Duration(0)
	for i := range uint64(*worldsFlag) {
		seed := first + i
		w := newWorld(rand.New(rand.NewPCG(seed, 0)))
		if w.exact {
			exact++
		}
		start := time.Now()
		v := w.check(t, rand.New(rand.NewPCG(seed, 1)), double{})
		slowest = max(slowest, time.Since(start))
		if v == nil {
			continue
		}
		small := shrink(t, w, v.kind, seed)
		for s := seed; s < seed+20; s++ {
			if last := small.check(t, rand.New(rand.NewPCG(s, 1)), double{}); last != nil && last.kind == v.kind {
				v = last
				break
			}
		}
		file := filepath.Join(os.TempDir(), fmt.Sprintf("world-%d.txtar", seed))
		if err := os.WriteFile(file, []byte(small.txtar()), 0o600); err == nil {
			t.Logf("written to %s: move it to testdata/worlds", file)
		}
		t.Fatalf("seed %d: %s\nsmallest world:\n%s", seed, v, small.txtar())
	}
	t.Logf("%d worlds from seed %d, %d of them exact, the slowest in %v", *worldsFlag, first, exact, slowest)
}

// shrink leaves out rules, lines, routes and sources as long as the world still
// fails the same way.
func shrink(tb testing.TB, w world, kind string, seed uint64) world {
	tb.Helper()
	fails := func(w world) bool {
		if _, err := w.compile(tb.Context()); err != nil || len(w.routes) == 0 && !w.exact {
			return false
		}
		for s := seed; s < seed+20; s++ {
			if v := w.check(tb, rand.New(rand.NewPCG(s, 1)), double{}); v != nil && v.kind == kind {
				return true
			}
		}
		return false
	}
	for smaller := true; smaller; {
		smaller = false
		for _, try := range w.smaller() {
			if fails(try) {
				w, smaller = try, true
				break
			}
		}
	}
	return w
}

// smaller are the worlds that lack one thing of this one.
func (w world) smaller() []world {
	var worlds []world
	without := func(list []string, set func(*world, []string)) {
		for i := range list {
			try := w
			set(&try, slices.Delete(slices.Clone(list), i, i+1))
			worlds = append(worlds, try)
		}
	}
	without(w.rules, func(w *world, l []string) { w.rules = l })
	without(w.platform, func(w *world, l []string) { w.platform = l })
	without(w.sources, func(w *world, l []string) { w.sources = l })
	for i, rule := range w.rules {
		lines := strings.Split(rule, "\n")
		for j := range lines {
			try := w
			try.rules = slices.Clone(w.rules)
			try.rules[i] = strings.Join(slices.Delete(slices.Clone(lines), j, j+1), "\n")
			worlds = append(worlds, try)
		}
	}
	without(w.routes, func(w *world, l []string) { w.routes = l })
	return worlds
}

// A request of a world, as the rules see it and as API Gateway names it.
type request struct {
	engine.Input
	arn string
	// canonical tells that the ARN spells the path as clients do; plain that there is
	// only one way.
	canonical, plain bool
}

// requests are random requests to the API's routes that share a cache key: the
// first one's.
func (w world) requests(rng *rand.Rand, api tenants.API, n int) []request {
	var rs []request
	for range n {
		in, ok := w.randomInput(rng, api.Routes)
		if !ok {
			continue
		}
		if len(rs) == 0 {
			rs = append(rs, w.spelled(rng, in, true))
			continue
		}
		// Every key has some requests: those that differ in the rest.
		if rng.IntN(4) == 0 {
			first := rs[0].Input
			in.Method, in.Path, in.Segments, in.Route, in.Params = first.Method, first.Path, first.Segments, first.Route, first.Params
		}
		in.Identity = rs[0].Identity
		if sameKey(api, rs[0].Input, in) {
			rs = append(rs, w.spelled(rng, in, rng.IntN(3) > 0))
		}
	}
	return rs
}

// sameKey compares what the identity sources read.
func sameKey(api tenants.API, a, b engine.Input) bool {
	for _, s := range api.Cache.Identity {
		switch s.Kind + ":" + s.Name {
		case "header:host", "header:authorization":
		case "context:httpMethod":
			if a.Method != b.Method {
				return false
			}
		case "context:resourcePath":
			if a.Route != b.Route {
				return false
			}
		case "context:routeKey":
			if a.Route != b.Route || routeMethod(api, a) != routeMethod(api, b) {
				return false
			}
		case "context:path":
			if a.Path != b.Path {
				return false
			}
		case "context:sourceIp":
			if a.SourceIP != b.SourceIP {
				return false
			}
		default:
			if s.Kind == "header" && a.Headers[s.Name] != b.Headers[s.Name] || s.Kind == "query" && !reflect.DeepEqual(a.Query[s.Name], b.Query[s.Name]) {
				return false
			}
		}
	}
	return true
}

// routeMethod is the method in a request's route key; empty where routes are unknown.
func routeMethod(api tenants.API, in engine.Input) string {
	if len(api.Routes) == 0 {
		return ""
	}
	if slices.Contains(api.Routes, tenants.Route{Method: in.Method, Path: in.Route}) {
		return in.Method
	}
	return tenants.AnyMethod
}

// spelled writes a request's ARN: on REST APIs as the client escaped the path, which
// may be in an unusual way, on HTTP APIs decoded.
func (w world) spelled(rng *rand.Rand, in engine.Input, canonical bool) request {
	r := request{Input: in, canonical: canonical, plain: true}
	parts := make([]string, len(in.Segments))
	for i, s := range in.Segments {
		parts[i] = s
		r.plain = r.plain && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:@") == ""
		if w.kind == tenants.REST {
			parts[i] = escape(rng, s, canonical)
		}
	}
	path := strings.Join(parts, "/")
	if w.kind == tenants.REST && !canonical && path != "" && rng.IntN(4) == 0 {
		path += "/"
	}
	if n := len(in.Segments); n > 0 && in.Segments[n-1] == "" {
		r.canonical = false
	}
	// A gateway that leaves a % alone in the path of an HTTP API is not told from one
	// that left an escape there.
	if w.kind == tenants.HTTP && strings.Contains(path, "%") {
		r.canonical = false
	}
	r.arn = worldARN + in.Method + "/" + path
	return r
}

func escape(rng *rand.Rand, s string, canonical bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := c < 0x80 && (c == '-' || c == '.' || c == '_' || c == '~' || c == ':' || c == '@' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
		switch {
		case plain && (canonical || rng.IntN(6) > 0), !plain && !canonical && c != '%' && rng.IntN(2) == 0:
			b.WriteByte(c)
		case !canonical && rng.IntN(2) == 0:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

var (
	words = []string{"7", "1", "8", "alice", "bob", "root", "admin", "orders", "users", "items", "export", "u-1", "u-x.pdf", "a.pdf", "pub", "pub-1", "v1", "zz", "p", "u-"}
	// odd words have characters that can be written in several ways.
	odd = []string{"a b", "é", "a@b", "%41", "x:y", "a+b", "u-é"}
)

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func word(rng *rand.Rand) string {
	if rng.IntN(6) == 0 {
		return pick(rng, odd)
	}
	return pick(rng, words)
}

func (w world) randomInput(rng *rand.Rand, routes []tenants.Route) (engine.Input, bool) {
	r := tenants.Route{Method: tenants.AnyMethod, Path: "/{proxy+}"}
	if len(routes) > 0 {
		r = pick(rng, routes)
	}
	var segments []string
	for _, s := range templateSegments(r.Path) {
		switch {
		case strings.HasSuffix(s, "+}"):
			for range rng.IntN(5) {
				segments = append(segments, word(rng))
			}
			if w.kind == tenants.HTTP && rng.IntN(6) == 0 {
				segments = append(segments, "")
			}
		case strings.HasPrefix(s, "{"):
			segments = append(segments, word(rng))
		default:
			segments = append(segments, s)
		}
	}
	if len(segments) == 1 && segments[0] == "" {
		segments = nil
	}
	method := r.Method
	if method == tenants.AnyMethod || rng.IntN(4) == 0 {
		method = pick(rng, tenants.Methods())
	}
	in := engine.Input{
		Tenant: engine.InputTenant{ID: "acme", Attributes: map[string]any{"plan": "gold"}},
		Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Issuer: "https://idp.example", Scopes: []string{"orders:read"}, Claims: map[string]any{
			"role": pick(rng, []string{"clerk", "boss", "nobody"}), "admin": rng.IntN(2) == 0, "n": json.Number("5"), "prefix": "/orders/",
		}},
		API:      engine.Target{Kind: w.kind, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
		Method:   method,
		Path:     "/" + strings.Join(segments, "/"),
		Segments: segments,
		Params:   map[string]string{},
		Query:    pick(rng, []map[string][]string{{}, {"debug": {"1"}}, {"debug": {"0"}, "x": {"7"}}, {"x": {"a", "b"}}, {"n": {"abc"}}, {"n": {"5"}}}),
		Headers:  pick(rng, []map[string]string{{"host": "api.example"}, {"host": "api.example", "x-debug": "1"}}),
		SourceIP: pick(rng, []string{"203.0.113.7", "10.0.0.1"}),
	}
	if segments == nil {
		in.Segments = []string{}
	}
	if len(routes) == 0 {
		in.Route = pick(rng, []string{"/orders/{id}", "/{proxy+}", ""})
		return in, true
	}
	var ok bool
	in.Route, in.Params, ok = w.route(rng, method, segments, routes)
	return in, ok
}

func templateSegments(path string) []string {
	switch path {
	case "/":
		return nil
	case tenants.DefaultRoute:
		return []string{"{+}"}
	}
	return strings.Split(path[1:], "/")
}

// route routes as API Gateway does: at each segment a word before a parameter before
// a greedy one, and a method before ANY. Where it is not known which of several
// routes an HTTP API takes, it is any.
func (w world) route(rng *rand.Rand, method string, segments []string, routes []tenants.Route) (route string, params map[string]string, ok bool) {
	best := ""
	for _, r := range routes {
		if r.Method != method && r.Method != tenants.AnyMethod {
			continue
		}
		rank, p, matches := w.matchTemplate(templateSegments(r.Path), segments)
		if matches && (!ok || rank < best || strings.HasSuffix(rank, "3") && strings.HasSuffix(best, "2") && rng.IntN(2) == 0) {
			best, route, params, ok = rank, r.Path, p, true
		}
	}
	return route, params, ok
}

// matchTemplate returns a text that sorts by how specific the match is.
func (w world) matchTemplate(template, segments []string) (rank string, params map[string]string, ok bool) {
	params = map[string]string{}
	for i, t := range template {
		name := strings.Trim(t, "{}")
		switch {
		case strings.HasSuffix(t, "+}"):
			switch {
			case t == "{+}":
				return "4", params, true
			case len(segments) > i:
				rank += "2"
			case i == 0 || w.kind == tenants.HTTP:
				rank = "3"
			default:
				return "", nil, false
			}
			params[strings.TrimSuffix(name, "+")] = strings.Join(segments[min(i, len(segments)):], "/")
			return rank, params, true
		case i >= len(segments):
			return "", nil, false
		case strings.HasPrefix(t, "{"):
			if segments[i] == "" {
				return "", nil, false
			}
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
