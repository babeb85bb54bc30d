package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"regent/tenants"
)

const worldData = `{"perms": {"clerk": [{"method": "GET", "route": "/orders/{id}", "path": "/orders/*"}, {"method": "PUT", "route": "/users/{id}", "path": "/users/alice"}], "boss": [{"method": "DELETE", "route": "/orders", "path": "/**"}]}, "odd": [{"path": 7}, {"path": "/orders/["}, {"path": "/users/*"}], "words": {"7": true, "alice": false, "root": "x"}, "list": ["a", "b"], "counts": {"2": true}}`

// newWorld makes a world from a grammar of APIs and rules.
func newWorld(rng *rand.Rand) world {
	w := world{kind: tenants.REST, exact: rng.IntN(3) > 0, data: worldData}
	if rng.IntN(4) == 0 {
		w.kind = tenants.HTTP
	}
	w.routes = newRoutes(rng, w.kind)
	if rng.IntN(3) == 0 {
		w.sources = newSources(rng, w.kind)
	}
	if w.kind == tenants.HTTP && rng.IntN(3) == 0 {
		w.simple, w.exact = true, false
		if !slices.Contains(w.sources, "context:routeKey") {
			w.sources = append(w.sources, "context:routeKey")
		}
	}
	if rng.IntN(20) == 0 {
		w.routes, w.exact = nil, false
	}
	g := grammar{rng: rng, exact: w.exact}
	for range 1 + rng.IntN(4) {
		w.rules = append(w.rules, "allow if {\n"+g.body(1+rng.IntN(3))+"}")
	}
	for range rng.IntN(3) {
		w.rules = append(w.rules, fmt.Sprintf("deny contains %s if {\n%s}", g.reason(), g.body(1+rng.IntN(2))))
	}
	if rng.IntN(2) == 0 {
		w.rules = append(w.rules, "default allow := false")
	}
	if rng.IntN(4) == 0 {
		w.platform = append(w.platform, fmt.Sprintf("deny contains %q if {\n%s}", g.word(), g.plainBody(1+rng.IntN(2))))
	}
	if !w.exact && rng.IntN(4) == 0 {
		w.rules = append(w.rules, g.contract())
	}
	w.rules = append(w.rules, slices.Sorted(slices.Values(g.helpers))...)
	return w
}

func newRoutes(rng *rand.Rand, kind tenants.APIKind) []string {
	all := []string{
		"/", "/orders", "/orders/{id}", "/orders/export", "/orders/{id}/items", "/orders/{id}/items/{item}", "/users", "/users/{id}",
		"/users/{id}/orders", "/users/admin", "/files/{proxy+}", "/files/pub/{name}", "/{proxy+}", "/a/{x}", "/a/{x}/{y}", "/a/{x}/{y}/c",
		"/{name}", "/{name}/items", "/a/7/{y}", "/a/{x}/8", "/users/{id}/{proxy+}",
	}
	var routes []string
	one := rng.IntN(3) == 0
	for _, path := range all {
		switch {
		case rng.IntN(2) == 0 || one && rng.IntN(4) > 0:
		case rng.IntN(4) == 0:
			routes = append(routes, "ANY "+path)
		default:
			for _, m := range []string{"GET", "PUT", "DELETE"} {
				if rng.IntN(2) == 0 {
					routes = append(routes, m+" "+path)
				}
			}
		}
	}
	if kind == tenants.HTTP && rng.IntN(3) == 0 {
		routes = append(routes, tenants.DefaultRoute)
	}
	// More than a reply has room for.
	if rng.IntN(40) == 0 {
		for i := range 60 {
			routes = append(routes, fmt.Sprintf("GET /%s-%d/{id}", strings.Repeat("long", 10), i), fmt.Sprintf("PUT /%s-%d/{id}/{x}", strings.Repeat("long", 10), i))
		}
	}
	if len(routes) == 0 {
		routes = []string{"GET /orders/{id}"}
	}
	return routes
}

func newSources(rng *rand.Rand, kind tenants.APIKind) []string {
	rest := []string{"context:httpMethod", "context:resourcePath", "context:path", "context:sourceIp", "header:x-debug", "query:debug"}
	if kind == tenants.HTTP {
		rest = []string{"context:routeKey", "context:httpMethod", "context:sourceIp", "header:x-debug", "query:debug"}
	}
	rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return rest[:1+rng.IntN(2)]
}

// grammar makes conditions.
type grammar struct {
	rng     *rand.Rand
	exact   bool
	helpers []string
	locals  int
}

func (g *grammar) word() string   { return word(g.rng) }
func (g *grammar) method() string { return pick(g.rng, []string{"GET", "PUT", "DELETE", "POST"}) }

func (g *grammar) body(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(indented(g.condition()))
	}
	return b.String()
}

// plainBody uses no helpers of the tenant: the platform has none of them.
func (g *grammar) plainBody(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(indented(pick(g.rng, []func() string{g.onMethod, g.onPath, g.onSegments, g.onParams, g.onKnown})()))
	}
	return b.String()
}

func indented(condition string) string {
	var b strings.Builder
	for line := range strings.Lines(condition) {
		b.WriteString("\t" + strings.TrimSuffix(line, "\n") + "\n")
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

// reason is an element of a deny set. Any denies, those that break the contract too.
func (g *grammar) reason() string {
	if !g.exact && g.rng.IntN(4) == 0 {
		return pick(g.rng, []string{"false", "7", `["a"]`, "null", "input.method", "input.query.x[0]"})
	}
	if g.rng.IntN(6) == 0 {
		return `sprintf("%s is no good", [input.path])`
	}
	return fmt.Sprintf("%q", g.word())
}

func (g *grammar) route() string {
	return pick(g.rng, []string{"/orders", "/orders/{id}", "/orders/{id}/items", "/users/{id}", "/files/{proxy+}", "/a/{x}", "/a/{x}/{y}/c", "/{proxy+}", "$default"})
}

func (g *grammar) path() string {
	return pick(g.rng, []string{"/orders", "/orders/7", "/orders/export", "/users/alice", "/users/admin", "/files/pub/a.pdf", "/a/7/8/c", "/", "/users/a b", "/orders/é", "/files"})
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
		return pick(g.rng, []func() string{g.inexpressible, g.inexpressible, g.failing, g.strange})()
	}
	return pick(g.rng, []func() string{
		g.onMethod, g.onMethod, g.onRoute, g.onPath, g.onPath, g.onSegments, g.onSegments, g.onParams, g.onParams, g.onKnown,
		g.byHelper, g.byHelper, g.byConstruct,
	})()
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
		`input.path == concat("/", ["", "users", input.identity.subject])`,
		`input.path == sprintf("/users/%s", [input.identity.subject])`,
		`startswith(input.path, input.identity.claims.prefix)`,
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
		fmt.Sprintf("%s := input.segments[%d]\nnot %s == %q", v, i, v, g.word()),
		fmt.Sprintf("%s := input.segments\n%s[%d] == %q", v, v, i, g.word()),
		fmt.Sprintf("input.segments[%d] == data.perms[input.identity.claims.role][_].method", i),
		fmt.Sprintf("data.words[input.segments[%d]]", i),
		fmt.Sprintf("not data.words[input.segments[%d]]", i),
	})
}

func (g *grammar) onParams() string {
	name, v := pick(g.rng, []string{"id", "id", "item", "x", "y", "name", "proxy"}), g.local()
	return pick(g.rng, []string{
		fmt.Sprintf("input.params.%s == %q", name, g.word()),
		fmt.Sprintf("input.params.%s != %q", name, g.word()),
		fmt.Sprintf("not input.params.%s == %q", name, g.word()),
		fmt.Sprintf("input.params.%s in %s", name, g.set(g.word)),
		fmt.Sprintf("input.params.%s == input.identity.subject", name),
		fmt.Sprintf("input.params.%s", name),
		fmt.Sprintf("not input.params.%s", name),
		fmt.Sprintf("startswith(input.params.%s, \"u-\")", pick(g.rng, []string{"id", "x", "name"})),
		fmt.Sprintf("not endswith(input.params.%s, \".pdf\")", pick(g.rng, []string{"id", "x", "name"})),
		fmt.Sprintf("%s := input.params.%s\nnot %s == %q", v, name, v, g.word()),
		fmt.Sprintf("not input.params.%s in %s", name, g.set(g.word)),
		fmt.Sprintf("not startswith(input.params.%s, \"pub\")", pick(g.rng, []string{"id", "x", "name"})),
	})
}

func (g *grammar) onKnown() string {
	return pick(g.rng, []string{
		`input.tenant.attributes.plan == "gold"`,
		`"orders:read" in input.identity.scopes`,
		`"orders:write" in input.identity.scopes`,
		`input.identity.claims.admin`,
		`not input.identity.claims.admin`,
		`input.identity.claims.nobody`,
		`input.headers.host == "api.example"`,
		`not input.headers.authorization`,
		`input.identity.claims.n > 4`,
		`object.get(input.identity.claims, "team", "none") == "none"`,
		`input.api.stage == "prod"`,
	})
}

// byConstruct uses the language's own means.
func (g *grammar) byConstruct() string {
	v, i := g.local(), g.rng.IntN(2)
	return pick(g.rng, []string{
		fmt.Sprintf("some %s in [\"GET\", \"PUT\"]\ninput.method == %s", v, v),
		fmt.Sprintf("every %s in [\"root\", \"admin\"] { input.segments[1] != %s }", v, v),
		fmt.Sprintf("every %s in {\"root\", \"admin\"} { not input.segments[%d] == %s }", v, i, v),
		fmt.Sprintf("input.method in {m | some m in [\"GET\", \"PUT\"]; m != %q}", g.method()),
		fmt.Sprintf("{\"a\": %s} := {\"a\": input.method}\n%s == %q", v, v, g.method()),
		fmt.Sprintf("[%s, _] := [input.method, input.segments[0]]\n%s == %q", v, v, g.method()),
		fmt.Sprintf("%s := {\"GET\": \"r\", \"PUT\": \"w\"}[input.method]\n%s == \"r\"", v, v),
	})
}

func (g *grammar) byHelper() string {
	v := g.local()
	switch g.rng.IntN(16) {
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
		g.helper("outer(p) if {\n\tstartswith(p, \"/\")\n\tinner(p)\n}\n\ninner(p) if p == \"/users/alice\"\n\ninner(p) if {\n\tsome m in [\"GET\"]\n\tm == input.method\n\tstartswith(p, \"/orders\")\n}")
		return pick(g.rng, []string{"outer(input.path)", "not outer(input.path)"})
	case 8:
		return `paths.under(input.path, "/orders/")`
	case 9:
		return `paths.first == "users"`
	case 10:
		g.helper("limits[m] := n if {\n\tsome m, n in {\"GET\": 1, \"PUT\": 2}\n}")
		return pick(g.rng, []string{"limits[input.method] == 1", "limits.GET == 1", "not limits[input.method]"})
	case 11:
		g.helper("verbs[role] contains m if {\n\tsome role, ps in data.perms\n\tsome p in ps\n\tm := p.method\n}")
		return pick(g.rng, []string{"input.method in verbs.clerk", "verbs[input.identity.claims.role][input.method]"})
	case 12:
		g.helper("default weight(_) := 0\n\nweight(m) := 2 if m == \"GET\"")
		return pick(g.rng, []string{"weight(input.method) == 2", "weight(input.method) < 1"})
	case 13:
		g.helper("one if two\n\ntwo if three\n\nthree if {\n\tinput.method == \"GET\"\n\tnot four\n}\n\nfour if input.segments[0] == \"users\"")
		return pick(g.rng, []string{"one", "not one"})
	case 14:
		g.helper("zone := \"a\" if input.segments[0] == \"orders\"\n\nelse := \"b\" if {\n\tinput.method == \"GET\"\n\tnot input.segments[0] == \"users\"\n}\n\nelse := \"c\" if input.method == \"PUT\"")
		return pick(g.rng, []string{`zone == "b"`, `zone != "b"`, `not zone`})
	default:
		g.helper("level := 1 if input.method == \"GET\"\n\nlevel := 2 if input.method == \"PUT\"")
		return fmt.Sprintf("level == %d", 1+g.rng.IntN(2))
	}
}

// inexpressible conditions depend on what no document can say.
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
		fmt.Sprintf("some %s in input.segments\n%s == %q", v, v, g.word()),
		fmt.Sprintf("some %s, %s_s in input.segments\n%s_s == %q\n%s > 0", v, v, v, g.word(), v),
		fmt.Sprintf("some %s\ninput.segments[%s] == %q\nnot data.perms.clerk[%s]", v, v, g.word(), v),
		fmt.Sprintf("every %s in input.segments { %s != %q }", v, v, g.word()),
		fmt.Sprintf("%q in input.segments", g.word()),
		fmt.Sprintf("count({s | some s in input.segments; s != %q}) > 1", g.word()),
		fmt.Sprintf("object.get(input.params, \"id\", \"none\") == %q", g.word()),
		`object.get(input.headers, "x-debug", "0") == "0"`,
		`object.get(input.query, "debug", ["0"])[0] == "0"`,
		fmt.Sprintf("walk(input.segments, [_, %s])\n%s == %q", v, v, g.word()),
		fmt.Sprintf("walk(data.perms, [_, %s])\n%s == input.path", v, v),
		fmt.Sprintf("%s := {n: s | some n, s in input.params}\n%s.id == %q", v, v, g.word()),
		fmt.Sprintf("{\"id\": %s} = input.params\n%s != %q", v, v, g.word()),
		fmt.Sprintf("[%s, _] = input.query.x\nnot %s == \"a\"", v, v),
		fmt.Sprintf("%s := input.query.debug[0]\nnot %s == \"1\"", v, v),
		fmt.Sprintf("sprintf(\"%%s %%s\", [input.method, input.path]) == \"%s %s\"", g.method(), g.path()),
		`concat("-", input.segments) == "users-alice"`,
		`{input.method, input.segments[0]} == {"GET", "users"}`,
		`input.segments[count(input.segments) - 1] == "items"`,
		`input.query[input.params.id]`,
		`data.words[input.query.x[0]]`,
		`not data.list[input.params.id]`,
		`not data.list[input.segments[1]]`,
		`not data.counts[count(input.segments)]`,
		`data.list["1"] == "b"`,
		fmt.Sprintf("some %s, %s_s in input.query\n%s == \"debug\"\n%s_s[0] == \"1\"", v, v, v, v),
		fmt.Sprintf("input.segments == [%s | some %s in split(input.path, \"/\"); %s != \"\"]", v, v, v),
		`net.cidr_contains("10.0.0.0/8", input.source_ip)`,
		`input.path > "/orders"`,
	})
}

// failing conditions are errors for some requests.
func (g *grammar) failing() string {
	v := g.local()
	switch g.rng.IntN(6) {
	case 0:
		g.helper("odd := \"a\" if input.method == \"GET\"\n\nodd := \"b\" if input.segments[1] == \"7\"")
		return pick(g.rng, []string{`odd == "a"`, `not odd == "b"`, "odd == \"a\"\ninput.identity.claims.nobody"})
	case 1:
		g.helper("twice(m) := 1 if m == \"GET\"\n\ntwice(_) := 2 if input.query.debug")
		return pick(g.rng, []string{`twice(input.method) == 1`, "twice(input.method) > 0\ninput.identity.claims.nobody"})
	case 2:
		g.helper("maybe := 1 if input.query.debug\n\nelse := 2\n\nmaybe := 1 if input.method == \"GET\"")
		return `maybe == 1`
	case 3:
		g.helper("table[k] := v if {\n\tsome k, vs in input.query\n\tv := vs[0]\n}\n\ntable[\"x\"] := \"7\" if input.method == \"GET\"")
		return pick(g.rng, []string{`table.x == "7"`, `not table.debug`})
	}
	return pick(g.rng, []string{
		`to_number(input.params.id) > 7`,
		`to_number(input.query.x[0]) > 1`,
		`not to_number(input.query.n[0]) > 1`,
		"to_number(input.query.n[0]) > 1\ninput.identity.claims.nobody",
		"not to_number(input.query.n[0]) == 5\nnot input.identity.claims.role",
		fmt.Sprintf("%s := [n | some q in input.query.n; n := to_number(q)]\ncount(%s) > 1", v, v),
		fmt.Sprintf("every %s in input.segments { to_number(%s) > 1 }", v, v),
		fmt.Sprintf("every %s in input.query.n { to_number(%s) > 1 }", v, v),
		fmt.Sprintf("%s := {s: n | some n, s in input.segments}\ncount(%s) > 0", v, v),
		fmt.Sprintf("some %s in data.odd\nglob.match(%s.path, [\"/\"], input.path)", v, v),
		fmt.Sprintf("some %s in data.odd\nstartswith(input.path, %s.path)", v, v),
		fmt.Sprintf("some %s in data.odd\nglob.match(%s.path, [\"/\"], input.path)\ninput.identity.claims.nobody", v, v),
		`startswith(input.identity.claims.n, "a")`,
		fmt.Sprintf("input.method == %q\nstartswith(input.identity.claims.n, \"a\")", g.method()),
		`regex.match(input.query.x[0], "a")`,
		`startswith(data.words[input.params.id], "x")`,
		`startswith(data.words[input.query.x[0]], "x")`,
		`net.cidr_contains(input.query.x[0], "10.0.0.1")`,
		`semver.compare(input.query.x[0], "1.0.0") > 0`,
		fmt.Sprintf("1 / (count(input.segments) - %d) > 0", g.rng.IntN(3)),
		`object.get(input.query.x, 0, "a") == "a"`,
		`input.segments[to_number(input.query.n[0])] == "7"`,
	})
}

// strange conditions are of a kind that no one should write.
func (g *grammar) strange() string {
	v := g.local()
	g.helper("probe if input.method == \"GET\"\n\nprobe if {\n\tto_number(input.query.n[0]) == 5\n\tinput.segments[0] == \"users\"\n}")
	return pick(g.rng, []string{
		`probe with input.method as "GET"`,
		`not probe with input.method as "PUT"`,
		`probe with input.query as {"n": ["5"]}`,
		`probe with input.query as {"n": input.segments}`,
		`probe with data.words as {}`,
		`probe with to_number as 5`,
		`data.authz.probe`,
		`count(data.lib) > 0`,
		`data.lib[_].first == "users"`,
		`input.segments[_] == input.segments[0]`,
		`input[_] == "GET"`,
		`input == {}`,
		`count(input) > 3`,
		`json.marshal(input.params) == "{}"`,
		`input.segments | {"a"} == {"a"}`,
		`max([s | some s in input.segments]) == "users"`,
		`false == (input.method == "GET")`,
		`is_string(input.query.x)`,
		`is_array(input.query.debug)`,
		`type_name(input.segments) == "array"`,
		`count(input.segments) == 2.0`,
		`[1, input.method] == [1.0, "GET"]`,
		`[input.segments[0], "a", "b"][count(input.segments)]`,
		`not [input.segments[0], "a", "b"][count(input.segments)]`,
		`not {"a": input.segments[0], "b": 1}[input.segments[1]]`,
		`not data.list[count(input.segments)]`,
		fmt.Sprintf("%s := \"id\"\n{%s: %s_v} = input.params\n%s_v != %q", v, v, v, v, g.word()),
		fmt.Sprintf("some %s in [\"id\", \"x\"]\n{%s: %s_v} = input.params\nstartswith(%s_v, \"a\")", v, v, v, v),
		fmt.Sprintf("{%s | %s := input.route} == set()", v, v),
		fmt.Sprintf("count([%s | %s := input.route]) == %d", v, v, g.rng.IntN(2)),
		fmt.Sprintf("\"route\" in {%s | some %s, _ in input}", v, v),
		fmt.Sprintf("some %s in {\"a\": input.segments[0], \"b\": input.method}\n%s == %q", v, v, g.word()),
		fmt.Sprintf("%s := {input.segments[0], input.segments[1]}\ncount(%s) == 1", v, v),
		fmt.Sprintf("%s := {input.segments[0], input.segments[1], \"zz\"}\nnot %s[%q]", v, v, g.word()),
		fmt.Sprintf("%s := [input.segments[0], input.method]\n%s[_] == %q", v, v, g.word()),
		fmt.Sprintf("[%s | %s := input.segments[_]; %s != %q] == [\"users\", \"alice\"]", v, v, v, g.word()),
		fmt.Sprintf("every %s in input.params { %s != %q }", v, v, g.word()),
		fmt.Sprintf("%s := object.get(input, \"route\", \"none\")\nnot %s == \"none\"", v, v),
		fmt.Sprintf("%s := object.get(input, [\"params\", \"id\"], \"none\")\n%s == \"none\"", v, v),
		fmt.Sprintf("input.params[%q] != input.segments[1]", pick(g.rng, []string{"id", "x", "proxy"})),
		`input.params == {"id": "7"}`,
		`not input.params == {"id": "7"}`,
		`input.segments != ["users", "alice"]`,
		`input.segments < ["orders", "8"]`,
		`trim_suffix(input.params.proxy, ".pdf") != input.params.proxy`,
		`trim_left(input.path, "/or") == "ders/7"`,
		`trim_prefix(input.path, "/users") == ""`,
		`trim_prefix(input.path, "/users/a") == "lice"`,
		`substring(input.path, 1, 5) == "users"`,
		`indexof(input.path, "admin") == -1`,
		`replace(input.path, "/", "") == "usersalice"`,
		`strings.reverse(input.segments[0]) == "sresu"`,
		`concat("", ["/", input.segments[0]]) == "/users"`,
		`concat("/", ["", input.segments[0], "7"]) == input.path`,
		`concat("/", input.segments) == trim(input.path, "/")`,
		`split(input.params.proxy, "/")[0] == "pub"`,
		`not split(input.params.proxy, "/")[1]`,
		`count(split(input.path, "/")) == 3`,
		`not count(split(input.params.proxy, "/")) > 1`,
		`startswith(input.params.proxy, "pub/")`,
		`not startswith(input.params.proxy, "pub")`,
		`endswith(input.path, "/items")`,
		`endswith(input.params.proxy, "pub/a.pdf")`,
		`not endswith(input.path, ".pdf")`,
		`contains(input.params.proxy, "/")`,
		`contains(input.path, "")`,
		`startswith(input.params.id, "")`,
		`glob.match("/users/*/**", ["/"], input.path)`,
		`glob.match("/*/u-*.pdf", ["/"], input.path)`,
		`glob.match("*", ["/"], input.params.id)`,
		`glob.match("*", ["/"], input.params.proxy)`,
		`glob.match("**", ["/"], input.params.proxy)`,
		`not glob.match("pub/*", ["/"], input.params.proxy)`,
		`glob.match("/{users,orders}/*", ["/"], input.path)`,
		`glob.match("/orders/?", ["/"], input.path)`,
		`glob.match("/orders/[0-9]", ["/"], input.path)`,
		`glob.match("/users/*", [], input.path)`,
		`glob.match("/users/*", null, input.path)`,
		`glob.match("/users*", ["/", "-"], input.path)`,
		`array.slice(input.segments, 1, 9) == ["7"]`,
		`array.slice(input.segments, -1, 1) == ["users"]`,
		`array.concat(input.segments, ["x"]) == ["users", "x"]`,
		`array.reverse(input.segments)[0] == "items"`,
		`input.segments[1.0] == "7"`,
		`input.segments["1"] == "7"`,
		`input.segments[-1] == "7"`,
		`input.headers.authorization`,
		`input.headers[lower("X-Debug")] == "1"`,
		`lower(input.headers.host) == "api.example"`,
		`input.query == {}`,
		`is_string(input.params.id)`,
		`is_number(count(input.segments))`,
		`not is_null(input.params.id)`,
		`input.method < "H"`,
		`"GET" in input`,
		`input["method"] == "GET"`,
	})
}

// contract rules have values that the contract does not allow, in some cases.
func (g *grammar) contract() string {
	return pick(g.rng, []string{
		fmt.Sprintf("allow := false if input.method == %q", g.method()),
		fmt.Sprintf("allow := \"yes\" if input.method == %q", g.method()),
		"allow := input.query.x if input.query.x",
		fmt.Sprintf("allow := \"no\" if {\n%s}", g.body(1)),
		fmt.Sprintf("context[\"m\"] := input.method if input.method == %q", g.method()),
		"context[\"n\"] := 1 if {\n\tto_number(input.query.n[0]) > 1\n\tinput.identity.claims.nobody\n}",
		"context[\"role\"] := input.identity.claims.role",
		"context := {\"a\": input.query.x[0]}",
		"principal_id := input.params.id",
		"principal_id := \"p\" if input.identity.claims.admin",
		"usage_key := \"k\" if time.now_ns() < 0",
		"usage_key := input.headers[\"x-debug\"]",
	})
}
