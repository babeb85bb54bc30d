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

// competes tells whether a request of the cell's method could go to a route.
func competes(r tenants.Route, c engine.Cell) bool {
	return r.Path != c.Route && (r.Method == c.Method || r.Method == tenants.AnyMethod)
}

// overlap finds a question about a cell whose answer decides whether another,
// more specific route takes some of its paths.
func (p *partition) overlap(c engine.Cell) *split {
	if c.Route == "" {
		return nil
	}
	for _, r := range p.routes {
		if competes(r, c) && p.beats(r, c) {
			if rel := relate(p.templates[r.Path], c); rel.split != nil && (!rel.split.longer || len(c.Segments) < maxDepth) {
				return rel.split
			}
		}
	}
	return nil
}

// belongs tells whether a cell's paths go to its route, and not to a more specific
// one.
func (p *partition) belongs(c engine.Cell) bool {
	if c.Route == "" {
		return true
	}
	if own := relate(p.templates[c.Route], c); !own.whole && !p.isAbove(c) {
		return false
	}
	for _, r := range p.routes {
		if competes(r, c) && p.beats(r, c) && relate(p.templates[r.Path], c).whole {
			return false
		}
	}
	return true
}

// beats tells whether a route goes before a cell's own where both match.
func (p *partition) beats(r tenants.Route, c engine.Cell) bool {
	return moreSpecific(p.templates[r.Path], p.templates[c.Route]) || p.isAbove(c) && !isGreedy(r.Path)
}

// isAbove tells whether a cell is the path above its own greedy route, which goes
// there on an HTTP API unless a route without a greedy parameter takes it. Where
// another greedy one might, it is judged for both.
func (p *partition) isAbove(c engine.Cell) bool {
	if !keepsSlash(p.program.Known) || !isGreedy(c.Route) || c.Rest {
		return false
	}
	c.Segments = append(slices.Clip(c.Segments), engine.Segment{})
	return relate(p.templates[c.Route], c).whole && len(c.Segments) == len(p.templates[c.Route])
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
