package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/internal/measure"
	"regent/tenants"
)

// load is a generated tenant: an API with routes, rules, and permissions in data.
type load struct {
	api    tenants.API
	policy *rules.Policy
	inputs []engine.Input // one request for each route
	req    engine.Request
}

// newLoad makes an API of n routes, each a method on one of n/2 resources.
func newLoad(tb testing.TB, routes int, files ...tenants.File) *load {
	tb.Helper()
	l := &load{
		api: tenants.API{
			ID: "a1b2c3", Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
			Tenant: []tenants.Source{{Kind: "host"}},
			Cache: tenants.Cache{TTL: time.Minute, Identity: []tenants.Source{
				{Kind: "header", Name: "authorization"}, {Kind: "header", Name: "host"},
			}},
		},
		req: engine.Request{ARN: worldARN + "GET/r0/7", Method: "GET", Segments: []string{"r0", "7"}},
	}
	for i := range routes {
		r := route(i)
		l.api.Routes = append(l.api.Routes, r)
		segments := []string{fmt.Sprintf("r%d", i/2), "7"}
		l.inputs = append(l.inputs, engine.Input{
			Tenant:   engine.InputTenant{ID: "acme", Attributes: map[string]any{}},
			Identity: engine.Identity{Kind: engine.JWT, Subject: "alice", Scopes: []string{}, Claims: map[string]any{"roles": []any{"role0", "role1"}}},
			API:      engine.Target{Kind: tenants.REST, ID: "a1b2c3", Stage: "prod", Account: "123456789012", Region: "eu-west-1"},
			Method:   r.Method, Path: "/" + strings.Join(segments, "/"), Segments: segments, Route: r.Path,
			Params: map[string]string{"id": "7"}, Query: map[string][]string{}, Headers: map[string]string{"host": "api.example"},
			SourceIP: "203.0.113.7",
		})
	}
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		tb.Fatal(err)
	}
	tenant, err := tenants.NewBundle(files)
	if err != nil {
		tb.Fatal(err)
	}
	if l.policy, err = rules.Compile(tb.Context(), platform, tenant, rules.Options{}); err != nil {
		tb.Fatal(err)
	}
	return l
}

// route is the i-th of a generated API's routes.
func route(i int) tenants.Route {
	return tenants.Route{Method: []string{"GET", "PUT"}[i%2], Path: fmt.Sprintf("/r%d/{id}", i/2)}
}

// complete is the whole of a complete policy: partial evaluation, the cells, and the
// document. It wants the first route to be allowed, and the last one denied.
func (l *load) complete(ctx context.Context) func() error {
	known := engine.NewKnown(l.api, l.inputs[0], "")
	return func() error {
		perms, err := l.policy.Permissions(ctx, known, l.api.Routes, at)
		if err != nil {
			return err
		}
		doc, narrowed, err := apigw.Gateway{}.Cover(l.req, perms.Cells)
		if err != nil {
			return err
		}
		last := l.inputs[len(l.inputs)-1]
		if len(perms.Limits)+len(narrowed) > 0 || !doc.Allows(l.req.ARN) || doc.Allows(worldARN+last.Method+last.Path) {
			return fmt.Errorf("limits %v %v, document %+v", perms.Limits, narrowed, doc)
		}
		return nil
	}
}

// perRoute evaluates the prepared query once for each route.
func (l *load) perRoute(ctx context.Context) func() error {
	return func() error {
		allowed := 0
		for _, in := range l.inputs {
			d, err := l.policy.Decide(ctx, in, at)
			if err != nil {
				return err
			}
			if d.Allow {
				allowed++
			}
		}
		if allowed == 0 || allowed == len(l.inputs) {
			return fmt.Errorf("%d of %d routes are allowed", allowed, len(l.inputs))
		}
		return nil
	}
}

func (l *load) one(ctx context.Context) func() error {
	return func() error { return allows(l.policy.Decide(ctx, l.inputs[0], at)) }
}

// inData is role-based access with n permissions in data, ten for each role. A
// caller has two roles.
func inData(tb testing.TB, n, routes int) []tenants.File {
	tb.Helper()
	type permission struct {
		Method string `json:"method"`
		Route  string `json:"route"`
	}
	grants := map[string][]permission{}
	for i := range n {
		r := route(i % (routes - 1)) // the last route is nobody's
		role := fmt.Sprintf("role%d", i/10)
		grants[role] = append(grants[role], permission{r.Method, r.Path})
	}
	data, err := json.Marshal(map[string]any{"roles": grants})
	if err != nil {
		tb.Fatal(err)
	}
	return []tenants.File{
		{Path: "data.json", Content: data},
		{Path: "authz.rego", Content: []byte(smallPolicy)},
	}
}

// inRules is n rules, each for a role and a route, in files of a hundred.
func inRules(n, routes int) []tenants.File {
	files := []tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\ndefault allow := false\n")}}
	for first := 0; first < n; first += 100 {
		files = append(files, tenants.File{Path: fmt.Sprintf("authz-%d.rego", first), Content: rulesFor(first, min(first+100, n), routes)})
	}
	return files
}

func rulesFor(first, n, routes int) []byte {
	var b strings.Builder
	b.WriteString("package authz\n")
	for i := first; i < n; i++ {
		r := route(i % (routes - 1))
		fmt.Fprintf(&b, `
allow if {
	input.method == %q
	input.route == %q
	"role%d" in input.identity.claims.roles
}
`, r.Method, r.Path, i/10)
	}
	return []byte(b.String())
}

// BenchmarkComplete measures DESIGN.md §14's third row: the complete policy of an
// API of 50 routes beside evaluating the prepared query once for each route.
func BenchmarkComplete(b *testing.B) {
	for _, bm := range []struct {
		name  string
		files []tenants.File
	}{
		{"data=20", inData(b, 20, 50)},
		{"data=1000", inData(b, 1000, 50)},
		{"rules=50", inRules(50, 50)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			l := newLoad(b, 50, bm.files...)
			t := measure.InTurns(b, []measure.Part{{Name: "complete", Run: l.complete(b.Context())}, {Name: "per-route", Run: l.perRoute(b.Context())}})
			b.ReportMetric(t["complete"]/t["per-route"], "complete/per-route")
		})
	}
}

// BenchmarkGrowth measures how the cost of a complete policy and of a decision grows
// with the API and the rules.
func BenchmarkGrowth(b *testing.B) {
	type size struct{ routes, rules, data int }
	for _, s := range []size{
		{routes: 10, data: 100}, {routes: 50, data: 100}, {routes: 300, data: 100},
		{routes: 50, rules: 10}, {routes: 50, rules: 100}, {routes: 50, rules: 900},
		{routes: 50, data: 10}, {routes: 50, data: 1000}, {routes: 50, data: 10000},
	} {
		b.Run(fmt.Sprintf("routes=%d/rules=%d/data=%d", s.routes, s.rules, s.data), func(b *testing.B) {
			files := inRules(s.rules, s.routes)
			if s.data > 0 {
				files = inData(b, s.data, s.routes)
			}
			l := newLoad(b, s.routes, files...)
			measure.InTurns(b, []measure.Part{{Name: "complete", Run: l.complete(b.Context())}, {Name: "decide", Run: l.one(b.Context())}})
		})
	}
}

// BenchmarkMemo measures DESIGN.md §14's fourth row on the embedded workspace: what a
// remembered document adds to a request, beside computing it.
func BenchmarkMemo(b *testing.B) {
	ctx := b.Context()
	exact, cached := newWarm(b, withoutCache()), newWarm(b)
	known := engine.NewKnown(cached.api, cached.input, "")
	computing := func() error {
		perms, err := cached.policy.Permissions(ctx, known, cached.api.Routes, at)
		if err != nil {
			return err
		}
		doc, _, err := apigw.Gateway{}.Cover(cached.req, perms.Cells)
		if err == nil && !doc.Allows(cached.req.ARN) {
			err = fmt.Errorf("document %+v", doc)
		}
		return err
	}
	// An authorizer without memory for each request: the zero memo, the same parts.
	forgetful := func() error {
		a := &engine.Authorizer{
			Gateway: cached.reminded.Gateway, Store: cached.store, Identity: cached.reminded.Identity, Policies: cached.reminded.Policies,
			Log: cached.reminded.Log, Now: cached.reminded.Now, NewID: cached.reminded.NewID, Salt: cached.reminded.Salt,
		}
		return saysAllow(a.Authorize(ctx, cached.event))
	}
	t := measure.InTurns(b, []measure.Part{
		{Name: "computing", Run: computing},
		{Name: "exact", Run: exact.whole(ctx, exact.reminded)},
		{Name: "hit", Run: cached.whole(ctx, cached.reminded)},
		{Name: "miss", Run: forgetful},
	})
	b.ReportMetric((t["hit"]-t["exact"])/t["computing"], "memo/computing")
	b.ReportMetric(t["hit"]/t["miss"], "hit/miss")
}

// BenchmarkLogged measures the whole with the decision log written as the function
// writes it.
func BenchmarkLogged(b *testing.B) {
	w := newWarm(b, withoutCache())
	logged := assembled(b, w.store, identity.Config{Remember: -1})
	logged.Log = func(r engine.Record) {
		if line, err := json.Marshal(r); err != nil || len(line) < 500 {
			b.Errorf("log line %s, %v", line, err)
		}
	}
	t := measure.InTurns(b, []measure.Part{{Name: "logged", Run: w.whole(b.Context(), logged)}, {Name: "whole", Run: w.whole(b.Context(), w.fresh)}})
	b.ReportMetric(t["logged"]/t["whole"], "logged/whole")
}
