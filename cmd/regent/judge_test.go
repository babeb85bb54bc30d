package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/tenants"
)

func fixed(word string) engine.Segment { return engine.Segment{Fixed: true, Literal: word} }

func TestDescribe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cell engine.Cell
		want string
	}{
		{"no parameters", engine.Cell{Route: "/orders", Segments: []engine.Segment{fixed("orders")}}, "any"},
		{"any value", engine.Cell{Route: "/orders/{id}", Segments: []engine.Segment{fixed("orders"), {}}}, "any"},
		{"a path of no route", engine.Cell{Segments: []engine.Segment{fixed("a"), {Not: []string{"b", "c"}}}, Rest: true}, "/a/!b,!c/**"},
		{"one value", engine.Cell{Route: "/orders/{id}", Segments: []engine.Segment{fixed("orders"), fixed("17")}}, "id=17"},
		{"all but some", engine.Cell{Route: "/orders/{id}", Segments: []engine.Segment{fixed("orders"), {Not: []string{"a", "b"}}}}, "id!=a id!=b"},
		{
			"a form, and what it does not rule out by itself",
			engine.Cell{Route: "/orders/{id}", Segments: []engine.Segment{fixed("orders"), {
				Like: []engine.Affix{{Prefix: "a"}}, Not: []string{"admin", "root"}, NotLike: []engine.Affix{{Prefix: "ab"}, {Prefix: "x"}},
			}}},
			"id=a* id!=admin id!=ab*",
		},
		{
			"two parameters",
			engine.Cell{Route: "/u/{id}/t/{week}", Segments: []engine.Segment{fixed("u"), fixed("a"), fixed("t"), {Like: []engine.Affix{{Suffix: "-w"}}}}},
			"id=a week=*-w",
		},
		{"greedy, one segment", engine.Cell{Route: "/f/{p+}", Segments: []engine.Segment{fixed("f"), fixed("a")}}, "p=a"},
		{"greedy, and more", engine.Cell{Route: "/f/{p+}", Segments: []engine.Segment{fixed("f"), fixed("a"), {}}, Rest: true}, "p=a/*/**"},
		{"unknown routes", engine.Cell{Segments: []engine.Segment{fixed("f"), {}}, Rest: true}, "/f/*/**"},
		{"unknown routes, the root", engine.Cell{}, "/"},
	}
	for _, tt := range tests {
		if got := describe(tt.cell); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRulings(t *testing.T) {
	t.Parallel()
	cell := func(method, word string, allowed bool, limits ...int) engine.Cell {
		c := engine.Cell{Method: method, Route: "/o/{id}", Segments: []engine.Segment{fixed("o"), fixed(word)}, Allowed: allowed, Limits: limits}
		if word == "" {
			c.Segments[1] = engine.Segment{}
		}
		return c
	}
	ip, vague := engine.Limit{File: "a.rego", Line: 3, Reason: "input.source_ip is not known"}, engine.Limit{Reason: "what allow is depends on something unknown"}
	perms := engine.Permissions{Limits: []engine.Limit{ip, vague}, Cells: []engine.Cell{
		cell("GET", "a", true), cell("GET", "b", true),
		cell("PUT", "a", true), cell("PUT", "b", false), cell("PUT", "c", true),
		cell("POST", "a", false, 0, 1), cell("POST", "b", false),
		cell("PATCH", "a", true), cell("PATCH", "b", false, 1),
		cell("DELETE", "", false),
	}}
	route := func(m string) tenants.Route { return tenants.Route{Method: m, Path: "/o/{id}"} }
	want := map[tenants.Route]ruling{
		route("GET"):    {Verdict: verdictYes},
		route("PUT"):    {Verdict: verdictSome, Allowed: []string{"id=a", "id=c"}},
		route("POST"):   {Verdict: verdictDepends, Depends: []engine.Limit{ip}},
		route("PATCH"):  {Verdict: verdictSome, Allowed: []string{"id=a"}, Depends: []engine.Limit{vague}},
		route("DELETE"): {Verdict: verdictNo},
	}
	if diff := cmp.Diff(want, rulings(perms)); diff != "" {
		t.Errorf("rulings (-want +got):\n%s", diff)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	some := func(allowed ...string) ruling { return ruling{Verdict: verdictSome, Allowed: allowed} }
	yes, no, absent := ruling{Verdict: verdictYes}, ruling{Verdict: verdictNo}, ruling{Verdict: verdictAbsent}
	depends := ruling{Verdict: verdictDepends, Depends: []engine.Limit{{File: "a", Line: 1, Reason: "r"}}}
	moved := ruling{Verdict: verdictDepends, Depends: []engine.Limit{{File: "a", Line: 9, Reason: "r"}}}
	tests := []struct {
		name    string
		was, is ruling
		want    string
	}{
		{"the same", yes, yes, ""},
		{"allowed now", no, yes, changeGained},
		{"denied now", yes, no, changeLost},
		{"fewer", yes, some("id=a"), changeLost},
		{"more", some("id=a"), yes, changeGained},
		{"one more", some("id=a"), some("id=a", "id=b"), changeGained},
		{"one fewer", some("id=a", "id=b"), some("id=b"), changeLost},
		{"others", some("id=a"), some("id=b"), changeOther},
		{"a new route that nobody may use", absent, no, ""},
		{"a route that is gone", yes, absent, changeLost},
		{"now it depends", yes, depends, changeLost},
		{"nobody can say", no, depends, changeOther},
		{"a rule in another line", depends, moved, ""},
	}
	for _, tt := range tests {
		if got := change(tt.was, tt.is); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	b, err := tenants.NewBundle([]tenants.File{
		{Path: "authz.rego", Content: []byte(`package authz

allow if input.source_ip == "10.0.0.1"

allow if input.headers["x-plan"] == "gold"

allow if {
	some name
	input.query[name] == ["1"]
	time.now_ns() > 0
	input.method == "GET"
	input.identity.claims.source_ip
}
`)},
		{Path: "authz_test.rego", Content: []byte("package authz_test\n\ntest_a if input.source_ip\n")},
		{Path: "data.json", Content: []byte(`{}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []read{
		{"t/authz.rego", 3, "input.source_ip"},
		{"t/authz.rego", 5, "input.headers.x-plan"},
		{"t/authz.rego", 9, "input.query"},
		{"t/authz.rego", 10, "time.now_ns"},
	}
	if diff := cmp.Diff(want, reads(b, "t")); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	api := tenants.API{Cache: tenants.Cache{Identity: []tenants.Source{{Kind: "context", Name: "sourceIp"}, {Kind: "header", Name: "x-plan"}}}}
	var open []string
	for _, r := range want {
		if !r.fixed(api) {
			open = append(open, r.What)
		}
	}
	if diff := cmp.Diff([]string{"input.query", "time.now_ns"}, open); diff != "" {
		t.Errorf("what the key leaves open (-want +got):\n%s", diff)
	}
}

func TestRuleAt(t *testing.T) {
	t.Parallel()
	b, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(`package authz

context["plan"] := input.tenant.attributes.plan

context["path"] := input.path

principal_id := input.identity.subject
`)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"authz.context": 5, "authz.principal_id": 7, "authz.usage_key": 0, "platform.context": 0} {
		if _, line := ruleAt(b, "", name); line != want {
			t.Errorf("%s: line %d, want %d", name, line, want)
		}
	}
}

func TestLimitHint(t *testing.T) {
	t.Parallel()
	rest, http := tenants.API{ID: "a1", Kind: tenants.REST}, tenants.API{ID: "d4", Kind: tenants.HTTP}
	tests := []struct {
		reason string
		api    tenants.API
		want   string
	}{
		{"input.source_ip is not part of the cache key", rest, "add context:sourceIp to cache.identity of API a1"},
		{"input.headers.x-plan is not part of the cache key", rest, "add header:x-plan to cache.identity of API a1"},
		{"input.query.page is not part of the cache key", rest, "add query:page to cache.identity of API a1"},
		{"time.now_ns changes from one request to the next", rest, "a cached reply cannot follow the clock"},
		{"the API's routes are not known: list them in regent.yaml", rest, "list the API's routes"},
		{"`*` crosses slashes in IAM", rest, "add context:resourcePath"},
		{"`*` crosses slashes in IAM", http, "add context:routeKey"},
		{"regex.match is not understood here", rest, "compare the method"},
	}
	for _, tt := range tests {
		got := limitHint(engine.Limit{Reason: tt.reason}, tt.api)
		if !strings.HasPrefix(got, tt.want) || !strings.HasSuffix(got, "set cache.ttl to 0s") {
			t.Errorf("%s: got %q, want %q...", tt.reason, got, tt.want)
		}
	}
}

func TestListed(t *testing.T) {
	t.Parallel()
	if got, want := listed(strings.Split("a b c d e f g h i j", " ")), "a, b, c, d, e, f, g, h, i, j"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := listed(strings.Split("a b c d e f g h i j k l", " ")), "a, b, c, d, e, f, g, h, i, j and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
