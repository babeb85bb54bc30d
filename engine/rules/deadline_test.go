package rules_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// unannounced is a context with a deadline that nothing tells of: a child process has one
// thread, and a busy one sees timers up to 10 ms late.
type unannounced struct {
	context.Context
	deadline time.Time
}

func (c unannounced) Deadline() (time.Time, bool) { return c.deadline, true }

func repeated(n int, format, separator string) string {
	var parts []string
	for i := range n {
		parts = append(parts, strings.NewReplacer("{i}", fmt.Sprint(i), "{j}", fmt.Sprint(i+1)).Replace(format))
	}
	return strings.Join(parts, separator)
}

func routesOf(n int, format string) []tenants.Route {
	var routes []tenants.Route
	for line := range strings.SplitSeq(repeated(n, format, "\n"), "\n") {
		method, path, _ := strings.Cut(line, " ")
		routes = append(routes, tenants.Route{Method: method, Path: path})
	}
	return routes
}

// load is a policy that takes long for an API's routes.
type load struct {
	rules  string
	data   map[string]any
	routes []tenants.Route
}

// long is what takes complete policies long, each by another of their stages.
func long(tb testing.TB) map[string]load {
	tb.Helper()
	words := repeated(30, `"w{i}"`, ", ")
	three := routesOf(1, "GET /{a}/{b}/{c}")
	big := map[string]any{}
	var perms []any
	for i := range 60_000 {
		big[fmt.Sprintf("k%d", i)] = i
	}
	for i := range 9_000 {
		perms = append(perms, map[string]any{"method": "GET", "path": fmt.Sprintf("/p%d", i)})
	}
	var list []any
	for i := range 100_000 {
		list = append(list, fmt.Sprintf("x%d", i))
	}
	return map[string]load{
		"cells": {rules: fmt.Sprintf(`allow if {
	input.segments[0] in {%s}
	input.segments[1] in {%s}
	not input.segments[2] in {%s}
}`, words, words, words), routes: three},
		"rules":            {rules: "default allow := false\n\n" + repeated(900, "allow if {\n\tinput.method == \"GET\"\n\tinput.params.id == \"w{i}\"\n}", "\n\n"), routes: routesOf(50, "GET /r{i}/{id}")},
		"routes":           {rules: `allow if not input.segments[0] == "a"`, routes: append(routesOf(150, "ANY /{a}/w{i}/{c}"), routesOf(150, "ANY /{a}/{b}/v{i}")...)},
		"a chain of rules": {rules: "allow if r0\n\n" + repeated(900, "r{i} if r{j}", "\n\n") + "\n\nr900 if input.segments[0] == \"a\"", routes: three},
		"functions of many definitions": {rules: repeated(200, "f(x) if x == \"w{i}\"", "\n\n") + "\n\n" +
			repeated(300, "allow if {\n\tinput.method == \"M{i}\"\n\tnot f(input.segments[0])\n\tnot f(input.segments[1])\n}", "\n\n"), routes: three},
		"references into data": {rules: repeated(300, "allow if {\n\t"+repeated(20, "data.words[input.segments[{i}]]", "\n\t")+"\n}", "\n\n"), data: map[string]any{"words": map[string]any{"a": 1}}, routes: three},
		"an object": {rules: `allow if {
	o := {[a, b, s]: n | some a in numbers; some b in numbers; some n, s in input.segments}
	count(o) > 0
}

numbers := [` + repeated(300, "{i}", ", ") + `]`, routes: three},
		"a large set": {rules: `allow if {
	some a in data.list
	some b in data.list
	a == concat("", [b, input.path])
}`, data: map[string]any{"list": list}, routes: three},
		"a large array": {rules: `allow if {
	some w in ["a", "b", "c", "d", "e", "f", "g", "h"]
	not input.segments[0] in data.list
	w == "z"
}`, data: map[string]any{"list": list}, routes: routesOf(300, "GET /{a}/r{i}")},
		"members of a table": {rules: `allow if {
	data.big[input.segments[0]] == data.big[input.segments[1]]
}`, data: map[string]any{"big": big}, routes: three},
		"ways": {rules: `allow if {
	some p in data.perms
	some q in data.perms
	input.segments[0] == p.path
	input.segments[1] == q.path
}`, data: map[string]any{"perms": perms}, routes: three},
		"permissions": {rules: `allow if {
	some p in data.perms
	p.method == input.method
	glob.match(p.path, ["/"], input.path)
}`, data: map[string]any{"perms": perms}, routes: routesOf(300, "GET /r{i}/{id}")},
		"context": {rules: `allow := true

context["n"] := 1 if {
	count([1 | some a in data.list; some b in data.list; a == concat("", [b, input.tenant.id])]) > 0
	input.method == "GET"
}`, data: map[string]any{"list": list}, routes: three},
	}
}

// TestPermissionsEndInTime holds that a complete policy heeds its deadline, whichever
// stage it has come to: a child that does not is killed 30 ms later, and its tenant pays
// for it.
func TestPermissionsEndInTime(t *testing.T) {
	known := engine.NewKnown(tenants.API{}, engine.Input{
		Identity: engine.Identity{Claims: map[string]any{}}, Tenant: engine.InputTenant{Attributes: map[string]any{}},
	}, "")
	for name, tt := range long(t) {
		t.Run(name, func(t *testing.T) {
			late := map[time.Duration]time.Duration{}
			// The machine may be busy, but not three times.
			for range 3 {
				p := tt.compile(t)
				for _, limit := range []time.Duration{0, 1, 1, 1, 2, 3, 5, 10, 20, 40} {
					limit *= time.Millisecond
					start := time.Now()
					_, err := p.Permissions(unannounced{t.Context(), start.Add(limit)}, known, tt.routes, start)
					over := time.Since(start) - limit
					var e *rules.EvalError
					if err != nil && (!errors.As(err, &e) || e.Code != "timeout") {
						t.Fatal(err)
					}
					if limit == 0 && err == nil {
						t.Error("done in no time")
					}
					if best, ok := late[limit]; !ok || over < best {
						late[limit] = over
					}
				}
			}
			worst := slices.Max(slices.Collect(maps.Values(late)))
			t.Logf("%v late", worst)
			if worst > 20*time.Millisecond {
				t.Errorf("%v after its deadline: %v", worst, late)
			}
		})
	}
}

func (l load) compile(tb testing.TB) *rules.Policy {
	tb.Helper()
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		tb.Fatal(err)
	}
	if l.data == nil {
		l.data = map[string]any{}
	}
	data, err := json.Marshal(l.data)
	if err != nil {
		tb.Fatal(err)
	}
	files := []tenants.File{{Path: "data.json", Content: data}}
	for i, part := range l.parts() {
		files = append(files, tenants.File{Path: fmt.Sprintf("authz%d.rego", i), Content: []byte("package authz\n\n" + part)})
	}
	tenant, err := tenants.NewBundle(files)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := rules.Compile(tb.Context(), platform, tenant, rules.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// parts are the rules in pieces that are small enough for a module.
func (l load) parts() []string {
	parts := []string{""}
	for rule := range strings.SplitSeq(l.rules, "\n\n") {
		if last := len(parts) - 1; len(parts[last])+len(rule) < 60_000 {
			parts[last] += rule + "\n\n"
		} else {
			parts = append(parts, rule+"\n\n")
		}
	}
	return parts
}
