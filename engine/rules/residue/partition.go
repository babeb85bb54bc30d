package residue

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
	"regent/tenants"
)

// MaxCells bounds a partition, MaxWork the expressions that are evaluated for it.
// Cells that would be split further, or not be judged any more, are not allowed.
const (
	MaxCells = 5_000
	MaxWork  = 400_000
)

var errCells = errors.New("the rules tell too many cases apart for a complete policy")

// Partition judges every request that the routes have room for. Without routes,
// every path is one.
func Partition(ctx context.Context, p *Program, routes []tenants.Route) ([]engine.Cell, []engine.Limit, error) {
	pt := &partition{clock: NewClock(ctx), program: p, routes: newRouting(routes), numbers: map[engine.Limit]int{}, cancel: topdown.NewCancel()}
	if p.special == nil {
		p.special = &special{asWritten(p.Allow), asWritten(p.Deny)}
	}
	if p.shared == nil {
		p.shared = newShared()
	}
	defer context.AfterFunc(ctx, pt.cancel.Cancel)()
	start := startingCells(p.Known, routes)
	pt.cells = make([]engine.Cell, 0, len(start))
	for _, c := range start {
		if err := pt.judge(c); err != nil {
			return nil, nil, err
		}
	}
	return pt.cells, pt.limits, nil
}

type partition struct {
	clock   *Clock
	program *Program
	routes  routing
	cells   []engine.Cell
	limits  []engine.Limit
	numbers map[engine.Limit]int
	// cancel stops builtin functions when ctx ends.
	cancel topdown.Cancel
	// steps are the expressions that were evaluated.
	steps int
	// work are the cells that are not judged yet.
	work []engine.Cell
	// x is the evaluation of one cell after another.
	x evaluation
}

// judge evaluates a cell, or its parts if it must be split.
func (p *partition) judge(start engine.Cell) error {
	work := append(p.work[:0], start)
	defer func() { p.work = work }()
	for len(work) > 0 {
		if err := p.clock.Look(); err != nil {
			return err
		}
		c := work[len(work)-1]
		work = work[:len(work)-1]
		full := len(p.cells)+len(work) >= MaxCells || p.steps >= MaxWork
		overlap := p.overlap(c)
		if s := overlap; s != nil && !full && p.clock.err == nil {
			work = append(work, p.divide(c, s)...)
			continue
		}
		if !p.belongs(c) {
			continue
		}
		err := errCells
		if p.steps < MaxWork && overlap == nil {
			err = p.evaluate(&c)
			p.steps += p.x.steps
		}
		// What was cut short may have any answer.
		if p.clock.err != nil {
			return p.clock.err
		}
		var s *split
		switch {
		case errors.As(err, &s) && len(p.cells)+len(work)+len(s.words) < MaxCells:
			work = append(work, p.divide(c, s)...)
			continue
		case errors.As(err, &s):
			err = errCells
		}
		if errors.Is(err, errSteps) || errors.Is(err, errCells) {
			c.Allowed, c.Limits, err = false, []int{p.number(p.x.located(engine.Limit{Reason: err.Error()}))}, nil
		}
		if err != nil {
			return err
		}
		p.cells = append(p.cells, c)
	}
	return nil
}

// evaluate sets a cell's verdict. Its error is a *split if the verdict is not the
// same for all of the cell.
func (p *partition) evaluate(c *engine.Cell) error {
	c.Allowed, c.Limits = false, nil
	p.x = evaluation{Program: p.program, clock: p.clock, cancel: p.cancel, cell: *c, careful: p.program.Fallible}
	x := &p.x
	allow, err := x.hold(&p.program.special.allow)
	if err != nil {
		return err
	}
	if allow == no {
		return nil
	}
	doubts := x.doubts
	x.doubts = nil
	deny, err := x.hold(&p.program.special.deny)
	if err != nil {
		return err
	}
	switch {
	case deny == yes:
	case x.failure != nil:
		c.Limits = []int{p.number(*x.failure)}
	case allow == yes && deny == no:
		c.Allowed = true
	default:
		if allow == yes {
			doubts = nil
		}
		if deny == maybe {
			doubts = append(doubts, x.doubts...)
		}
		for _, l := range doubts {
			c.Limits = append(c.Limits, p.number(l))
		}
	}
	return nil
}

func (p *partition) number(l engine.Limit) int {
	n, ok := p.numbers[l]
	if !ok {
		n = len(p.limits)
		p.numbers[l] = n
		p.limits = append(p.limits, l)
	}
	return n
}

// divide cuts a cell along a question about one of its segments.
func (p *partition) divide(c engine.Cell, s *split) []engine.Cell {
	with := func(change func(*engine.Cell)) engine.Cell {
		part := c
		part.Segments = slices.Clone(c.Segments)
		change(&part)
		return part
	}
	if s.longer {
		parts := []engine.Cell{
			with(func(c *engine.Cell) { c.Segments = append(c.Segments, engine.Segment{}) }),
			with(func(c *engine.Cell) { c.Segments, c.Rest = append(c.Segments, engine.Segment{}), false }),
		}
		if keepsSlash(p.program.Known) {
			parts = append(parts, with(func(c *engine.Cell) { c.Segments, c.Rest = append(c.Segments, slash()), false }))
		}
		return parts
	}
	segment := func(change func(*engine.Segment)) engine.Cell {
		return with(func(c *engine.Cell) { change(&c.Segments[s.segment]) })
	}
	if s.words == nil {
		return []engine.Cell{
			segment(func(g *engine.Segment) { g.NotLike = append(slices.Clone(g.NotLike), s.affix) }),
			segment(func(g *engine.Segment) { g.Like = append(slices.Clone(g.Like), s.affix) }),
		}
	}
	parts := []engine.Cell{segment(func(g *engine.Segment) { g.Not = append(slices.Clone(g.Not), s.words...) })}
	for _, w := range s.words {
		parts = append(parts, segment(func(g *engine.Segment) { *g = engine.Segment{Fixed: true, Literal: w} }))
	}
	return parts
}

// slash is the segment that a trailing slash makes of an HTTP API's path.
func slash() engine.Segment { return engine.Segment{Fixed: true} }

// keepsSlash tells whether paths keep a trailing slash: DESIGN.md §3.
func keepsSlash(k engine.Known) bool { return k.Input.API.Kind == tenants.HTTP }

// startingCells are the routes, a cell for each method.
func startingCells(k engine.Known, routes []tenants.Route) []engine.Cell {
	known := len(routes) > 0
	if !known {
		routes = []tenants.Route{{Method: tenants.AnyMethod, Path: tenants.DefaultRoute}}
	}
	cells := make([]engine.Cell, 0, len(routes))
	taken := make(map[tenants.Route]bool, len(routes))
	for _, r := range routes {
		taken[r] = true
	}
	for _, r := range routes {
		if known && k.Route && k.Input.Route != "" && r.Path != k.Input.Route ||
			known && k.RouteMethod != "" && r.Method != k.RouteMethod {
			continue
		}
		methods := []string{r.Method}
		if r.Method == tenants.AnyMethod {
			methods = methodsOf(r, taken)
		}
		for _, m := range methods {
			if !k.Method || m == k.Input.Method {
				cells = append(cells, cellsOf(m, r, known, k)...)
			}
		}
	}
	return cells
}

// methodsOf is what ANY means on a route: the methods without a route of their own
// at the same template.
func methodsOf(any tenants.Route, taken map[tenants.Route]bool) []string {
	return slices.DeleteFunc(tenants.Methods(), func(m string) bool {
		return taken[tenants.Route{Method: m, Path: any.Path}]
	})
}

// cellsOf are the cells that a route starts with. A greedy parameter has one
// segment or more; at the root and on HTTP APIs it may also have none, or just a
// trailing slash.
func cellsOf(method string, r tenants.Route, known bool, k engine.Known) []engine.Cell {
	c := engine.Cell{Method: method}
	if known {
		c.Route = r.Path
	}
	if k.Path {
		for _, s := range k.Input.Segments {
			c.Segments = append(c.Segments, engine.Segment{Fixed: true, Literal: s})
		}
		return []engine.Cell{c}
	}
	segments := template(r.Path)
	c.Segments = make([]engine.Segment, 0, len(segments))
	for _, s := range segments {
		if parameter(s) == "" {
			c.Segments = append(c.Segments, engine.Segment{Fixed: true, Literal: s})
		} else {
			c.Segments = append(c.Segments, engine.Segment{})
		}
	}
	if !isGreedy(r.Path) {
		return []engine.Cell{c}
	}
	longer := c
	longer.Rest = true
	cells := []engine.Cell{c, longer}
	above := slices.Clip(c.Segments[:len(c.Segments)-1])
	if len(above) == 0 || keepsSlash(k) {
		cells = append(cells, engine.Cell{Method: method, Route: c.Route, Segments: above})
	}
	if len(above) > 0 && keepsSlash(k) {
		cells = append(cells, engine.Cell{Method: method, Route: c.Route, Segments: append(above, slash())})
	}
	return cells
}

// template returns a template's segments; none for the root. The default route is
// a greedy parameter without a name.
func template(path string) []string {
	if path == tenants.DefaultRoute {
		return []string{"{+}"}
	}
	trimmed := strings.TrimPrefix(path, "/")
	if trimmed == "" {
		return nil
	}
	return strings.Split(trimmed, "/")
}

func isGreedy(path string) bool {
	segments := template(path)
	return len(segments) > 0 && greedy(segments[len(segments)-1])
}

func greedy(segment string) bool { return strings.HasSuffix(segment, "+}") }

// parameter returns what is in the braces of {name} or {name+}.
func parameter(segment string) string {
	if !strings.HasPrefix(segment, "{") {
		return ""
	}
	return strings.Trim(segment, "{}")
}

// inputOf is the input document of a cell.
func (x *evaluation) inputOf() dict {
	c, k := x.cell, x.Known
	segments := list{rest: c.Rest}
	path := text{parts: []component{word("")}, rest: c.Rest}
	for i, s := range c.Segments {
		comp := component{free: i}
		if s.Fixed {
			comp = word(s.Literal)
		}
		path.parts = append(path.parts, comp)
		segments.elems = append(segments.elems, text{parts: []component{comp}}.simplify())
	}
	if len(c.Segments) == 0 && !c.Rest {
		path.parts = append(path.parts, word(""))
	}
	in := dict{entries: map[string]value{
		"method":   known{ast.String(c.Method)},
		"path":     path.simplify(),
		"segments": simplify(segments),
		"query":    dict{entries: map[string]value{}, open: true, absent: k.AbsentQuery, what: "input.query", member: textArray},
		"headers":  dict{entries: map[string]value{}, open: true, absent: k.AbsentHeader, what: "input.headers", member: aText},
	}}
	for name, v := range x.Input {
		in.entries[name] = known{v}
	}
	for name, vs := range k.Query {
		in.entries["query"].(dict).entries[name] = stringArray(vs)
	}
	for name, v := range k.Headers {
		in.entries["headers"].(dict).entries[name] = known{ast.String(v)}
	}
	if k.SourceIP {
		in.entries["source_ip"] = known{ast.String(k.Input.SourceIP)}
	} else {
		in.entries["source_ip"] = opaque{limit: engine.Limit{Reason: "input.source_ip is not part of the cache key"}, kind: aText}
	}
	x.addRoute(&in, path)
	return in
}

// noRoutes is why neither the route nor the parameters are known.
const noRoutes = "the API's routes are not known: list them in regent.yaml"

// addRoute adds what follows from the route: its template and its parameters.
func (x *evaluation) addRoute(in *dict, path text) {
	c := x.cell
	if c.Route == "" {
		// Requests may have no route at all, but always parameters, if only an empty object.
		in.open, in.only = true, "route"
		in.entries["params"] = opaque{limit: engine.Limit{Reason: noRoutes}}
		return
	}
	in.entries["route"] = known{ast.String(c.Route)}
	params := dict{entries: map[string]value{}}
	for i, s := range template(c.Route) {
		switch name := parameter(s); {
		case greedy(s):
			if name != "+" {
				params.entries[strings.TrimSuffix(name, "+")] = text{parts: path.parts[i+1:], rest: c.Rest}.simplify()
			}
		case name != "":
			params.entries[name] = text{parts: path.parts[i+1 : i+2]}.simplify()
		}
	}
	in.entries["params"] = params
}

func simplify(l list) value {
	if l.rest {
		return l
	}
	return collect(l.elems, false)
}

func stringArray(vs []string) value {
	terms := make([]*ast.Term, len(vs))
	for i, v := range vs {
		terms[i] = ast.StringTerm(v)
	}
	return known{ast.NewArray(terms...)}
}
