package residue

import (
	"slices"

	"regent/engine"
	"regent/tenants"
)

// relation tells how a route's template and a cell's paths meet.
type relation struct {
	// apart: the route matches none of the cell's paths. whole: it matches all.
	// Otherwise split tells them apart.
	apart, whole bool
	split        *split
}

// relate compares a template with a cell.
func relate(segments []string, c engine.Cell) relation {
	deep := len(segments) > 0 && greedy(segments[len(segments)-1])
	fixed := segments
	if deep {
		fixed = segments[:len(segments)-1]
	}
	var ask *split
	for i, s := range fixed {
		if i >= len(c.Segments) {
			if c.Rest {
				return relation{split: &split{longer: true}}
			}
			return relation{apart: true}
		}
		if parameter(s) != "" {
			continue
		}
		switch g := c.Segments[i]; {
		case g.Fixed && g.Literal == s:
		case !g.Has(s):
			return relation{apart: true}
		case ask == nil:
			ask = &split{segment: i, words: []string{s}}
		}
	}
	switch n := len(c.Segments); {
	case !deep && n > len(fixed), !deep && n == len(fixed) && c.Rest:
		return relation{apart: true}
	case deep && n == len(fixed) && !c.Rest && n > 0:
		return relation{apart: true}
	}
	if ask != nil {
		return relation{split: ask}
	}
	return relation{whole: true}
}

// routing are an API's routes, filed under the first segment of their templates.
type routing struct {
	templates map[string][]string
	byWord    map[string][]routed
	// other are those that begin with a parameter, or have no segments.
	other, all []routed
}

type routed struct {
	tenants.Route
	template []string
}

func newRouting(routes []tenants.Route) routing {
	r := routing{templates: make(map[string][]string, len(routes)), byWord: map[string][]routed{}, all: make([]routed, 0, len(routes))}
	for _, route := range routes {
		segments, ok := r.templates[route.Path]
		if !ok {
			segments = template(route.Path)
			r.templates[route.Path] = segments
		}
		one := routed{route, segments}
		r.all = append(r.all, one)
		if len(segments) > 0 && parameter(segments[0]) == "" {
			r.byWord[segments[0]] = append(r.byWord[segments[0]], one)
		} else {
			r.other = append(r.other, one)
		}
	}
	return r
}

// rivals calls f with each other route that might take some of a cell's paths because
// it is more specific, until f returns true. It returns whether f did.
func (p *partition) rivals(c engine.Cell, f func(template []string) bool) bool {
	own, above := p.routes.templates[c.Route], p.isAbove(c)
	among := func(routes []routed) bool {
		for _, r := range routes {
			if p.clock.Spend(1) != nil {
				return false
			}
			if r.Path != c.Route && (r.Method == c.Method || r.Method == tenants.AnyMethod) &&
				(moreSpecific(r.template, own) || above && !isGreedy(r.Path)) && f(r.template) {
				return true
			}
		}
		return false
	}
	if len(c.Segments) > 0 && c.Segments[0].Fixed {
		return among(p.routes.byWord[c.Segments[0].Literal]) || among(p.routes.other)
	}
	return among(p.routes.all)
}

// overlap finds a question about a cell whose answer decides whether another,
// more specific route takes some of its paths.
func (p *partition) overlap(c engine.Cell) *split {
	if c.Route == "" {
		return nil
	}
	var ask *split
	p.rivals(c, func(template []string) bool {
		if rel := relate(template, c); rel.split != nil && (!rel.split.longer || len(c.Segments) < maxDepth) {
			ask = rel.split
		}
		return ask != nil
	})
	return ask
}

// belongs tells whether a cell's paths go to its route, and not to a more specific
// one.
func (p *partition) belongs(c engine.Cell) bool {
	if c.Route == "" {
		return true
	}
	if own := relate(p.routes.templates[c.Route], c); !own.whole && !p.isAbove(c) {
		return false
	}
	return !p.rivals(c, func(template []string) bool { return relate(template, c).whole })
}

// isAbove tells whether a cell is the path above its own greedy route, which goes
// there on an HTTP API unless a route without a greedy parameter takes it. Where
// another greedy one might, it is judged for both.
func (p *partition) isAbove(c engine.Cell) bool {
	if !keepsSlash(p.program.Known) || !isGreedy(c.Route) || c.Rest {
		return false
	}
	c.Segments = append(slices.Clip(c.Segments), engine.Segment{})
	return relate(p.routes.templates[c.Route], c).whole && len(c.Segments) == len(p.routes.templates[c.Route])
}

// moreSpecific compares templates as API Gateway does: segment by segment, a word
// goes before a parameter, and a parameter before a greedy one.
func moreSpecific(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if ra, rb := rank(a[i]), rank(b[i]); ra != rb {
			return ra < rb
		}
	}
	// Only the root and a greedy parameter there can still match the same path.
	return len(a) == 0 && len(b) > 0
}

func rank(segment string) int {
	switch {
	case segment == "{+}":
		return 3
	case greedy(segment):
		return 2
	case parameter(segment) != "":
		return 1
	default:
		return 0
	}
}
