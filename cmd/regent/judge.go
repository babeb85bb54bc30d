package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"regent/cmd/internal/config"
	"regent/engine"
	"regent/tenants"
)

// rulebook is what rules are judged in: a workspace as it is, or a table as it would
// be. It does not change.
type rulebook interface {
	tenants.Store
	// APIs and Tenants are sorted by id.
	APIs() []tenants.API
	Tenants() []tenants.Tenant
	// TenantBundle is the policy of a tenant, or an error that wraps
	// tenants.ErrNotFound.
	TenantBundle(id string) (tenants.Bundle, error)
	// PlatformBundle has the files platform/ and lib/.
	PlatformBundle() tenants.Bundle
	// Schema is the input document's JSON schema, or nil.
	Schema() []byte
}

// judge asks the rules of a rulebook about whole routes, for sample callers.
type judge struct {
	snapshot rulebook
	// warden asks the rules. Judges of the same store may share it.
	warden *warden
	prover *prover
	// stage is the stage that requests are sent to.
	stage string
}

// newJudge starts as many child processes as questions are asked at a time. Close the
// judge.
func newJudge(ctx context.Context, s rulebook, stage string, conf config.Config, children int) (*judge, error) {
	p, err := newProver(time.Now())
	if err != nil {
		return nil, err
	}
	w, err := newWarden(ctx, s, conf, children)
	if err != nil {
		return nil, err
	}
	return &judge{s, w, p, stage}, nil
}

// of is a judge of another rulebook, whose bundles the judge's own store has. It is closed
// with the judge.
func (j *judge) of(s rulebook) *judge {
	other := *j
	other.snapshot = s
	return &other
}

// close ends the judge's child processes.
func (j *judge) close() { j.warden.close() }

// samplePlace is what stands for values of identity sources that nobody gave.
const samplePlace = "sample"

// request is one that a caller of a tenant could send: it has the identity sources'
// values and says nothing else.
func (j *judge) request(api tenants.API, t tenants.Tenant, s sampleCaller) engine.Request {
	req := engine.Request{
		Method: "GET", Path: "/", SourceIP: s.SourceIP,
		API:     engine.Target{Kind: api.Kind, ID: api.ID, Stage: j.stage, Account: "123456789012", Region: "us-east-1"},
		Headers: map[string][]string{}, Query: map[string][]string{},
	}
	if req.SourceIP == "" {
		req.SourceIP = "203.0.113.7"
	}
	for _, source := range api.Cache.Identity {
		value := samplePlace
		switch {
		case source == tenants.Source{Kind: "header", Name: "host"} && len(t.Selectors.Hosts) > 0:
			value = t.Selectors.Hosts[0]
		case slices.Contains(api.Tenant, source) && len(t.Selectors.Values) > 0:
			value = t.Selectors.Values[0]
		}
		switch source.Kind {
		case "header":
			if v, ok := s.Headers[source.Name]; ok {
				value = v
			}
			req.Headers[source.Name] = []string{value}
		case "query":
			if v, ok := s.Query[source.Name]; ok {
				value = v
			}
			req.Query[source.Name] = []string{value}
		}
	}
	return req
}

// permissions judges an API's routes for a caller. Sources of the key that only say
// which route it is are left out: every route is judged by itself anyway. With the path
// in the key, each route is judged by one path of it.
func (j *judge) permissions(ctx context.Context, api tenants.API, t tenants.Tenant, s sampleCaller) (engine.Permissions, error) {
	id, err := j.prover.prove(ctx, s, t, j.snapshot.APIs())
	if err != nil {
		return engine.Permissions{}, err
	}
	platform, err := j.snapshot.Platform(ctx)
	if err != nil {
		return engine.Permissions{}, err
	}
	api.Cache.Identity = slices.DeleteFunc(slices.Clone(api.Cache.Identity), func(s tenants.Source) bool {
		return s.Kind == "context" && slices.Contains([]string{"httpMethod", "resourcePath", "routeKey"}, s.Name)
	})
	ask := func(req engine.Request) (engine.Permissions, error) {
		// A policy has one evaluation's time in all: each question loads its own.
		policy, err := j.warden.Load(ctx, t.ID, platform, t.Revision)
		if err != nil {
			return engine.Permissions{}, err
		}
		return policy.Permissions(ctx, engine.NewKnown(api, engine.NewInput(req, api, t, id), ""), api.Routes, j.prover.now)
	}
	req := j.request(api, t, s)
	byPath := slices.Contains(api.Cache.Identity, tenants.Source{Kind: "context", Name: "path"})
	if !byPath || len(api.Routes) == 0 {
		return ask(req)
	}
	var all engine.Permissions
	for _, path := range templates(api.Routes) {
		req.Segments = samplePath(path)
		req.Path = "/" + strings.Join(req.Segments, "/")
		perms, err := ask(req)
		if err != nil {
			return engine.Permissions{}, err
		}
		for _, c := range perms.Cells {
			if c.Route != path {
				continue
			}
			c.Limits = slices.Clone(c.Limits)
			for i := range c.Limits {
				c.Limits[i] += len(all.Limits)
			}
			all.Cells = append(all.Cells, c)
		}
		all.Limits = append(all.Limits, perms.Limits...)
	}
	return all, nil
}

// templates are the routes' paths, each once.
func templates(routes []tenants.Route) []string {
	var paths []string
	for _, r := range routes {
		if !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

// samplePath is a path of a template: its parameters have their names as values.
func samplePath(template string) []string {
	if template == tenants.DefaultRoute {
		return []string{samplePlace}
	}
	if template == "/" {
		return nil
	}
	segments := strings.Split(strings.TrimPrefix(template, "/"), "/")
	for i, s := range segments {
		segments[i] = strings.Trim(s, "{+}")
	}
	return segments
}

// The verdicts on a route. Each says of all its requests, for one caller and one
// method, what the rules say.
const (
	// verdictYes: the rules allow all of them.
	verdictYes = "yes"
	// verdictNo: they allow none.
	verdictNo = "no"
	// verdictSome: they allow those with certain parameters.
	verdictSome = "some"
	// verdictDepends: nobody can say without more of the request.
	verdictDepends = "depends"
	// verdictNone: there is no answer, because the rules are not asked or cannot be.
	verdictNone = "none"
	// verdictAbsent: there is no such route.
	verdictAbsent = "absent"
)

// ruling is the verdict on a route for one caller.
type ruling struct {
	Verdict string `json:"verdict"`
	// Allowed are the parameters with which requests are allowed, where not all are:
	// "id=alice".
	Allowed []string `json:"allowed,omitempty"`
	// Depends says on what the verdict on further requests hangs.
	Depends []engine.Limit `json:"depends,omitempty"`
	// Why says why there is none, and Status what API Gateway answers by itself.
	Why    string `json:"why,omitempty"`
	Status int    `json:"status,omitempty"`
}

// rulings sums permissions up by route and method.
func rulings(perms engine.Permissions) map[tenants.Route]ruling {
	all := map[tenants.Route]ruling{}
	denied := map[tenants.Route]bool{}
	for _, c := range perms.Cells {
		key := tenants.Route{Method: c.Method, Path: c.Route}
		r := all[key]
		if c.Allowed {
			r.Allowed = append(r.Allowed, describe(c))
		} else {
			denied[key] = true
			for _, l := range causes(c, perms) {
				r.Depends = appendNew(r.Depends, l)
			}
		}
		all[key] = r
	}
	for key, r := range all {
		slices.Sort(r.Allowed)
		r.Allowed = slices.Compact(r.Allowed)
		switch {
		case len(r.Allowed) > 0 && !denied[key]:
			r.Verdict, r.Allowed = verdictYes, nil
		case len(r.Allowed) > 0:
			r.Verdict = verdictSome
		case len(r.Depends) > 0:
			r.Verdict = verdictDepends
		default:
			r.Verdict = verdictNo
		}
		all[key] = r
	}
	return all
}

// causes are a cell's limits, without those that only follow from others: what a rule
// depends on says more than that it depends on something.
func causes(c engine.Cell, perms engine.Permissions) []engine.Limit {
	var limits []engine.Limit
	for _, n := range c.Limits {
		limits = append(limits, perms.Limits[n])
	}
	named := func(l engine.Limit) bool { return strings.HasPrefix(l.Reason, "input.") }
	telling := slices.DeleteFunc(slices.Clone(limits), func(l engine.Limit) bool {
		vague := strings.HasSuffix(l.Reason, "depends on something unknown")
		return vague || !named(l) && slices.ContainsFunc(limits, func(o engine.Limit) bool {
			return named(o) && o.File == l.File && o.Line == l.Line
		})
	})
	if len(telling) == 0 {
		return limits
	}
	return telling
}

// describe says which paths of its route a cell has: "id=alice", "id!=root".
func describe(c engine.Cell) string {
	var names []string
	if c.Route != "" && c.Route != tenants.DefaultRoute {
		names = strings.Split(strings.TrimPrefix(c.Route, "/"), "/")
	}
	var said, path []string
	free := true
	for i, s := range c.Segments {
		path = append(path, word(s))
		if i < len(names) && !strings.HasPrefix(names[i], "{") {
			continue
		}
		free = false
		if i >= len(names) || strings.HasSuffix(names[i], "+}") {
			continue // it is in the tail
		}
		name := strings.Trim(names[i], "{}")
		said = append(said, conditions(name, s)...)
	}
	if len(names) == 0 {
		if c.Rest {
			path = append(path, "**")
		}
		return "/" + strings.Join(path, "/")
	}
	if last := len(names) - 1; strings.HasSuffix(names[last], "+}") {
		tail := path[min(last, len(path)):]
		if c.Rest {
			tail = append(tail, "**")
		}
		said = append(said, strings.Trim(names[last], "{+}")+"="+strings.Join(tail, "/"))
	}
	if free || len(said) == 0 {
		return "any"
	}
	return strings.Join(said, " ")
}

// word stands for a segment's words: itself, or a pattern.
func word(s engine.Segment) string {
	switch {
	case s.Fixed:
		return s.Literal
	case len(s.Like) > 0:
		return affix(s.Like[len(s.Like)-1])
	case len(s.Not) > 0:
		return "!" + strings.Join(s.Not, ",!")
	default:
		return "*"
	}
}

func affix(a engine.Affix) string { return a.Prefix + "*" + a.Suffix }

// conditions are what a segment's words have in common, about a parameter.
func conditions(name string, s engine.Segment) (said []string) {
	if s.Fixed {
		return []string{name + "=" + s.Literal}
	}
	for _, a := range s.Like {
		said = append(said, name+"="+affix(a))
	}
	for _, w := range s.Not {
		// What the forms rule out already need not be said.
		if !slices.ContainsFunc(s.Like, func(a engine.Affix) bool { return !a.Has(w) }) {
			said = append(said, name+"!="+w)
		}
	}
	for _, a := range s.NotLike {
		if !slices.ContainsFunc(s.Like, func(b engine.Affix) bool { return apart(a, b) }) {
			said = append(said, name+"!="+affix(a))
		}
	}
	return said
}

// apart reports whether no word has both forms.
func apart(a, b engine.Affix) bool {
	return !strings.HasPrefix(a.Prefix, b.Prefix) && !strings.HasPrefix(b.Prefix, a.Prefix) ||
		!strings.HasSuffix(a.Suffix, b.Suffix) && !strings.HasSuffix(b.Suffix, a.Suffix)
}

// methodsOf are the methods of a route: one, or for ANY those without a route of their
// own on the same template.
func methodsOf(r tenants.Route, routes []tenants.Route) []string {
	if r.Method != tenants.AnyMethod {
		return []string{r.Method}
	}
	return slices.DeleteFunc(tenants.Methods(), func(m string) bool {
		return slices.Contains(routes, tenants.Route{Method: m, Path: r.Path})
	})
}

// anyPath stands for the routes of an API that does not say which it has.
var anyPath = tenants.Route{Method: tenants.AnyMethod}

// routesOf are an API's routes, or anyPath.
func routesOf(api tenants.API) []tenants.Route {
	if len(api.Routes) == 0 {
		return []tenants.Route{anyPath}
	}
	return api.Routes
}

// routeName is a route with some of its methods.
func routeName(methods []string, all []string, r tenants.Route) string {
	path := r.Path
	if path == "" {
		path = "any path"
	}
	if r.Method == tenants.AnyMethod && len(methods) == len(all) {
		if r.Path == tenants.DefaultRoute || r.Path == "" {
			return path
		}
		return tenants.AnyMethod + " " + path
	}
	return strings.Join(methods, ",") + " " + path
}

// places are the limits' places in the workspace.
func places(limits []engine.Limit, t tenants.Tenant, s rulebook) []engine.Limit {
	own, err := s.TenantBundle(t.ID)
	if err != nil {
		return limits
	}
	limits = slices.Clone(limits)
	for i, l := range limits {
		if l.File != "" {
			limits[i].File = inWorkspace(l.File, policyDir(t.ID), own, s.PlatformBundle())
		}
	}
	return limits
}

// sortedKeys are a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// limitHint says what to do about a limit of a cached reply.
func limitHint(l engine.Limit, api tenants.API) string {
	const off = "or set cache.ttl to 0s"
	source := func(s tenants.Source) string {
		then := ""
		if s.Kind != "context" {
			then = ", which then refuses requests without it"
		}
		return fmt.Sprintf("add %s to cache.identity of API %s and to its identity sources at API Gateway%s; or rewrite the rule, %s", s, api.ID, then, off)
	}
	switch {
	case strings.HasPrefix(l.Reason, "input.source_ip "):
		return source(tenants.Source{Kind: "context", Name: "sourceIp"})
	case strings.HasPrefix(l.Reason, "input.headers."), strings.HasPrefix(l.Reason, "input.query."):
		name, _, _ := strings.Cut(l.Reason, " ")
		kind, name, _ := strings.Cut(strings.TrimPrefix(name, "input."), ".")
		if kind == "headers" {
			kind = "header"
		}
		return source(tenants.Source{Kind: kind, Name: name})
	case strings.Contains(l.Reason, "changes from one request to the next"):
		return "a cached reply cannot follow the clock or chance: leave it out of the rule, " + off
	case strings.Contains(l.Reason, "routes are not known"):
		return "list the API's routes in regent.yaml, " + off
	case strings.Contains(l.Reason, "IAM"), strings.Contains(l.Reason, "8 KB"):
		if api.Kind == tenants.REST {
			return "add context:resourcePath to cache.identity, so that each route has a reply of its own, " + off
		}
		return "add context:routeKey to cache.identity, so that each route has a reply of its own, " + off
	case strings.Contains(l.Reason, "512 characters"):
		return "compare with shorter values, " + off
	case strings.Contains(l.Reason, "simple response"):
		return "use IAM policies (simple: false), add context:httpMethod or context:path to cache.identity, " + off
	default:
		return "compare the method, the route, the path, its segments or its parameters with something that the token fixes (see README.md), " + off
	}
}
