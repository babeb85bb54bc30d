package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/rules"
	"regent/tenants"
)

// cacheReport says of an API with a cache and a tenant whether the replies that API
// Gateway keeps grant everything that the rules do. Its JSON form is stable.
type cacheReport struct {
	API    string `json:"api"`
	Tenant string `json:"tenant"`
	// Callers are whom the rules were judged for. Sampled tells that somebody chose
	// them; else there is one of whom nothing is known, and the report says little.
	Callers []string `json:"callers"`
	Sampled bool     `json:"sampled"`
	// Exact tells that nothing was found for any caller.
	Exact  bool          `json:"exact"`
	Routes []routeReport `json:"routes"`
	// Findings say where replies grant less than the rules do.
	Findings []finding `json:"findings"`
	// Errors are callers for whom there is no reply at all: every request of theirs is
	// answered with 500.
	Errors []finding `json:"errors"`
	// Reads are places that read what the key leaves open, although no sample caller's
	// verdict hangs on them. Another caller's may.
	Reads []finding `json:"reads"`
}

// routeReport is one route's line of a cache report.
type routeReport struct {
	Route string `json:"route"`
	Exact bool   `json:"exact"`
	// Findings are indexes into the report's.
	Findings []int `json:"findings"`
}

// finding is why a reply is not exact, or none.
type finding struct {
	// File and Line are the rule's; empty where it is no single rule's doing.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
	// Routes and Callers are whom it concerns; empty for all.
	Routes  []string `json:"routes,omitempty"`
	Callers []string `json:"callers,omitempty"`
}

// place is "file:line: ", or nothing.
func (f finding) place() string {
	if f.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

// cacheReports judges every API with a cache for every tenant that it serves.
func (j *judge) cacheReports(ctx context.Context, samples samples) ([]cacheReport, error) {
	reports := []cacheReport{}
	for _, api := range j.snapshot.APIs() {
		if api.Cache.TTL <= 0 {
			continue
		}
		for _, t := range j.snapshot.Tenants() {
			if t.Status != tenants.Active || !recognises(api, t) {
				continue
			}
			callers, err := samples(t.ID)
			if err != nil {
				return nil, err
			}
			r, err := j.cacheReport(ctx, api, t, callers)
			if err != nil {
				return nil, err
			}
			reports = append(reports, r)
		}
	}
	return reports, nil
}

// reporting is a report being made.
type reporting struct {
	*cacheReport
	api tenants.API
	// named are the rows of each method of a route.
	named map[tenants.Route]string
}

func (j *judge) cacheReport(ctx context.Context, api tenants.API, t tenants.Tenant, callers sampleCallers) (cacheReport, error) {
	r := reporting{api: api, named: map[tenants.Route]string{}, cacheReport: &cacheReport{
		API: api.ID, Tenant: t.ID, Sampled: callers.File != "", Callers: []string{},
		Routes: []routeReport{}, Findings: []finding{}, Errors: []finding{}, Reads: []finding{},
	}}
	for _, route := range routesOf(api) {
		methods := methodsOf(route, api.Routes)
		name := routeName(methods, methods, route)
		r.Routes = append(r.Routes, routeReport{Route: name, Findings: []int{}})
		for _, m := range methods {
			r.named[tenants.Route{Method: m, Path: route.Path}] = name
		}
	}
	compiled := true // a bundle that cannot be compiled is not to be parsed here either
	for _, s := range callers.Callers {
		if !s.reaches(api, t) {
			continue
		}
		r.Callers = append(r.Callers, s.Name)
		perms, err := j.permissions(ctx, api, t, s)
		var ended *endedError
		var eval *rules.EvalError
		var trouble *engine.Trouble
		switch {
		case errors.As(err, &ended):
			r.fails(s.Name, engine.Limit{Reason: ended.reason()}, ended.hint())
			compiled = compiled && !ended.compiling
			continue
		case errors.As(err, &eval):
			r.fails(s.Name, j.blame(eval, t), contractHint(eval.Code))
			continue
		case errors.As(err, &trouble), ctx.Err() != nil:
			return cacheReport{}, err
		case err != nil:
			return cacheReport{}, &failure{err: fmt.Errorf("sample caller %q of tenant %s: %w", s.Name, t.ID, err), hints: []string{"see " + cmp.Or(callers.File, callersFile)}}
		}
		perms.Limits = places(perms.Limits, t, j.snapshot)
		r.limits(s.Name, perms)
		if err := r.replies(s.Name, j.request(api, t, s), perms.Cells); err != nil {
			return cacheReport{}, err
		}
	}
	var all []read
	if compiled {
		all = slices.Concat(reads(j.bundle(t), policyDir(t.ID)), reads(j.snapshot.PlatformBundle(), ""))
	}
	r.finish(all)
	return *r.cacheReport, nil
}

// blame is the place and the reason of an evaluation that failed. A value that hangs on
// the request is blamed on the rule that seems to be it.
func (j *judge) blame(eval *rules.EvalError, t tenants.Tenant) engine.Limit {
	l := places([]engine.Limit{{File: eval.File, Line: eval.Line, Reason: eval.Message}}, t, j.snapshot)[0]
	name, _, _ := strings.Cut(eval.Message, " ")
	if l.File == "" {
		l.File, l.Line = ruleAt(j.bundle(t), policyDir(t.ID), name)
	}
	if l.File == "" {
		l.File, l.Line = ruleAt(j.snapshot.PlatformBundle(), "", name)
	}
	return l
}

// bundle is a tenant's bundle; without files if it has none.
func (j *judge) bundle(t tenants.Tenant) tenants.Bundle {
	b, err := j.snapshot.TenantBundle(t.ID)
	if err != nil {
		return tenants.Bundle{}
	}
	return b
}

// add records a finding on a route for a caller, once.
func (r *reporting) add(route, caller string, l engine.Limit) {
	n := slices.IndexFunc(r.Findings, func(f finding) bool { return f.File == l.File && f.Line == l.Line && f.Reason == l.Reason })
	if n < 0 {
		n = len(r.Findings)
		r.Findings = append(r.Findings, finding{File: l.File, Line: l.Line, Reason: l.Reason, Hint: limitHint(l, r.api)})
	}
	f := &r.Findings[n]
	f.Callers = appendNew(f.Callers, caller)
	if route != "" {
		f.Routes = appendNew(f.Routes, route)
	}
	for i := range r.Routes {
		if route == "" || r.Routes[i].Route == route {
			r.Routes[i].Findings = appendNew(r.Routes[i].Findings, n)
		}
	}
}

// fails records that a caller gets no reply.
func (r *reporting) fails(caller string, l engine.Limit, hint string) {
	n := slices.IndexFunc(r.Errors, func(f finding) bool { return f.File == l.File && f.Line == l.Line && f.Reason == l.Reason })
	if n < 0 {
		n = len(r.Errors)
		r.Errors = append(r.Errors, finding{File: l.File, Line: l.Line, Reason: l.Reason, Hint: hint})
	}
	r.Errors[n].Callers = appendNew(r.Errors[n].Callers, caller)
}

// contractHint says what to do about an evaluation error with this code; empty if nobody
// knows.
func contractHint(code string) string {
	if code != "contract" {
		return ""
	}
	return "build context, principal_id and usage_key from the identity and the tenant only, or set cache.ttl to 0s"
}

// limits records what the rules leave open for a caller.
func (r *reporting) limits(caller string, perms engine.Permissions) {
	for _, c := range perms.Cells {
		for _, l := range causes(c, perms) {
			r.add(r.named[tenants.Route{Method: c.Method, Path: c.Route}], caller, l)
		}
	}
}

// replies records what the form of the replies cannot say for a caller: IAM's patterns,
// or the one word of a simple response.
func (r *reporting) replies(caller string, req engine.Request, cells []engine.Cell) error {
	keyed := func(name string) bool {
		return slices.Contains(r.api.Cache.Identity, tenants.Source{Kind: "context", Name: name})
	}
	if keyed("path") && keyed("httpMethod") {
		return nil // every key has one path and method
	}
	groups := map[string][]engine.Cell{}
	for _, c := range cells {
		key := ""
		switch {
		case keyed("routeKey"):
			key = routeKey(c, r.api.Routes)
		case keyed("path") || keyed("resourcePath"):
			key = c.Route
		}
		if keyed("httpMethod") {
			key += " " + c.Method
		}
		groups[key] = append(groups[key], c)
	}
	req.ARN = fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s/GET/", req.API.Region, req.API.Account, req.API.ID, req.API.Stage)
	for _, key := range sortedKeys(groups) {
		if r.api.Simple {
			r.oneWord(caller, groups[key])
			continue
		}
		// No request is at hand: no cell is to be kept for its sake.
		req.Method = ""
		_, narrowed, err := apigw.Gateway{}.Cover(req, groups[key])
		if err != nil {
			return err
		}
		for _, l := range narrowed {
			route := ""
			for at, name := range r.named {
				if rest, ok := strings.CutPrefix(l.Reason, at.String()+": "); ok {
					route, l.Reason = name, "an IAM policy cannot say it: "+rest
					break
				}
			}
			r.add(route, caller, l)
		}
	}
	return nil
}

// routeKey is the route key of a cell's requests: API Gateway takes a route of their
// method before one for every method.
func routeKey(c engine.Cell, routes []tenants.Route) string {
	if own := (tenants.Route{Method: c.Method, Path: c.Route}); slices.Contains(routes, own) {
		return own.String()
	}
	return tenants.Route{Method: tenants.AnyMethod, Path: c.Route}.String()
}

// oneWord records a simple response that has to be no although some are allowed.
func (r *reporting) oneWord(caller string, cells []engine.Cell) {
	denied := slices.ContainsFunc(cells, func(c engine.Cell) bool { return !c.Allowed })
	for _, c := range cells {
		if c.Allowed && denied {
			r.add(r.named[tenants.Route{Method: c.Method, Path: c.Route}], caller, engine.Limit{
				Reason: "a simple response is one verdict for all requests with the same key, and the rules allow only some of them",
			})
		}
	}
}

// finish sums up, and tells of places that no caller's verdict hangs on.
func (r *reporting) finish(all []read) {
	r.Exact = len(r.Findings) == 0 && len(r.Errors) == 0
	for i := range r.Routes {
		r.Routes[i].Exact = len(r.Routes[i].Findings) == 0 && len(r.Errors) == 0
	}
	for i, f := range r.Findings {
		// Some reasons are a part of the request and have no place of their own.
		for _, one := range all {
			if f.File == "" && strings.HasPrefix(f.Reason, one.What+" ") {
				r.Findings[i].File, r.Findings[i].Line = one.File, one.Line
				break
			}
		}
	}
	for i, f := range r.Findings {
		for _, one := range all {
			// What is read in that line is a better lead than what could not be done with it.
			if one.File == f.File && one.Line == f.Line && f.Hint == limitHint(engine.Limit{}, r.api) && !one.fixed(r.api) {
				r.Findings[i].Hint = limitHint(one.limit(), r.api)
			}
		}
	}
	for _, one := range all {
		told := slices.ContainsFunc(r.Findings, func(f finding) bool {
			return f.File == one.File && f.Line == one.Line || strings.HasPrefix(f.Reason, one.What+" ")
		})
		if one.fixed(r.api) || told {
			continue
		}
		l := one.limit()
		r.Reads = append(r.Reads, finding{File: l.File, Line: l.Line, Reason: l.Reason, Hint: limitHint(l, r.api)})
	}
}

func appendNew[E comparable](s []E, e E) []E {
	if slices.Contains(s, e) {
		return s
	}
	return append(s, e)
}

// showCache writes the cache reports.
func (c *cli) showCache(reports []cacheReport) {
	var rows [][]cell
	for _, r := range reports {
		verdict, detail := cell{"EXACT", green}, ""
		switch {
		case len(r.Callers) == 0:
			verdict, detail = cell{"-", dim}, "no sample caller's requests reach the rules"
		case len(r.Errors) > 0:
			verdict, detail = cell{"FAIL", red}, "there are requests that no reply can be given to"
		case !r.Exact:
			open := 0
			for _, route := range r.Routes {
				if !route.Exact {
					open++
				}
			}
			verdict, detail = cell{"LESS", yellow}, fmt.Sprintf("%d of %s: cached replies grant less than the rules", open, plural(len(r.Routes), "route"))
		default:
			detail = fmt.Sprintf("%s, %s", plural(len(r.Routes), "route"), plural(len(r.Callers), "caller"))
		}
		rows = append(rows, []cell{verdict, {text: r.Tenant}, {text: "cache of API " + r.API}, {text: detail}})
	}
	c.out.table(rows)
	for _, r := range reports {
		for _, f := range slices.Concat(r.Errors, r.Findings) {
			c.showFinding(r, f)
		}
	}
	untold := map[string]bool{}
	for _, r := range reports {
		if !r.Sampled && !untold[r.Tenant] {
			untold[r.Tenant] = true
			c.warn("tenant %s has no sample callers, so its cache report is of a caller without claims: write some in tenants/%s/%s", r.Tenant, r.Tenant, callersFile)
		}
	}
	c.showReads(reports)
}

// showReads tells of each place once: it is the same for every tenant and API.
func (c *cli) showReads(reports []cacheReport) {
	told := map[string]bool{}
	for _, r := range reports {
		for _, f := range r.Reads {
			text := f.place() + f.Reason
			if !told[text] {
				told[text] = true
				c.warn("%s: no sample caller's verdict hangs on it, another's may", text)
			}
		}
	}
}

// listed is a list for people; --json has all of it.
func listed(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (c *cli) showFinding(r cacheReport, f finding) {
	c.out.line("")
	c.out.line(c.out.paint(bold, printable(f.place())) + printable(f.Reason))
	routes := "every route"
	if len(f.Routes) > 0 {
		routes = listed(f.Routes)
	}
	rows := [][]cell{
		{{"  on", dim}, {text: printable(routes)}},
		{{"  for", dim}, {text: printable(fmt.Sprintf("%s, API %s: %s", r.Tenant, r.API, strings.Join(f.Callers, ", ")))}},
	}
	if f.Hint != "" {
		rows = append(rows, []cell{{"  do", cyan}, {text: printable(f.Hint)}})
	}
	c.out.table(rows)
}
