package iam

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"regent/engine"
)

// Coverage is a document that speaks for a partition of an API's requests, and what
// IAM could not say.
type Coverage struct {
	Document Document
	// Narrowed are the cells that are allowed and that the document does not allow,
	// or not in every spelling, with the reason.
	Narrowed []Narrowed
}

// Narrowed is one cell that a document denies although it is allowed.
type Narrowed struct {
	Cell   engine.Cell
	Reason string
}

// Reasons for Narrowed.
const (
	reasonSpelling = "a word in the path has characters that can be written in several ways in an ARN"
	reasonTooLong  = "the resource would have more than 512 characters"
	reasonCrossing = "`*` crosses slashes in IAM, so this path cannot be told from a deeper one that is denied"
	reasonDenied   = "a denied word has characters that can be written in several ways in an ARN, and a pattern for all of them reaches this path too"
	reasonSize     = "the document would not fit in API Gateway's 8 KB"
	reasonWork     = "the rules tell too many paths apart to cover them with IAM's patterns in time"
)

// Request is the request at hand: where not everything fits, it is kept.
type Request struct {
	Method   string
	Segments []string
}

// Cover writes a document for the API and stage of arn that allows the paths of
// the allowed cells and denies all others explicitly, in at most size bytes of JSON.
//
// It never allows a path of a cell that is not allowed. Where IAM's patterns cannot
// tell an allowed cell from one that is not, the allowed one is narrowed away,
// other than the request at hand if possible. The finished document is checked
// against every cell; an error means that it failed, and is not to be used.
//
// The work is bounded, for tenants' rules make the cells: where it is too much, only
// the request at hand is kept.
func Cover(arn ARN, cells []engine.Cell, at Request, size int) (Coverage, error) {
	c := cover{arn: arn, at: at}
	for _, cell := range cells {
		// Documents deny trailing slashes as a whole, with the other spellings.
		if endsInSlash(cell) && !cell.Has(at.Method, at.Segments) {
			continue
		}
		if !cell.Allowed {
			c.denied = append(c.denied, cell)
			continue
		}
		c.allowed = append(c.allowed, cell)
	}
	// A few hundred patterns cannot fit, and comparing them takes its time.
	for comparisons(c.allowed) > mostComparisons || len(c.patterns()) > mostPatterns {
		c.shrink()
	}
	c.separate()
	doc := c.document()
	if size < length(doc) && !c.tired() {
		c.merge()
		doc = c.document()
	}
	for size < length(doc) && len(c.allowed) > 0 && !c.tired() {
		c.shrink()
		c.separate()
		doc = c.document()
	}
	if c.tired() {
		c.justRequest()
		doc = c.document()
	}
	if err := c.verify(); err != nil {
		return Coverage{}, err
	}
	return Coverage{Document: doc, Narrowed: c.narrowed}, nil
}

func endsInSlash(c engine.Cell) bool {
	n := len(c.Segments)
	return n > 0 && !c.Rest && c.Segments[n-1].Fixed && c.Segments[n-1].Literal == ""
}

const (
	// mostPatterns is more than fit in a reply.
	mostPatterns = 200
	// mostComparisons bounds those of patterns with each other before there are so few.
	mostComparisons = 1_000_000
	// mostWork bounds the rest, in units of about 100 ns.
	mostWork = 400_000
)

// cover is a document being made.
type cover struct {
	arn             ARN
	at              Request
	allowed, denied []engine.Cell
	// allow and deny are patterns of METHOD/path.
	allow, deny []string
	narrowed    []Narrowed
	work        int
}

func (c *cover) tired() bool { return c.work > mostWork }

// reaches is the function of that name, and counts as the work that it is.
func (c *cover) reaches(p string, cell engine.Cell) bool {
	c.work++
	if !alike(p, cell) {
		return false
	}
	c.work += 4 + strings.Count(p, "*")*len(cell.Segments)
	return reaches(p, cell)
}

// denies tells whether a denial covers all of a cell.
func (c *cover) denies(cell engine.Cell) bool {
	c.work += len(c.deny) * (2 + len(cell.Segments)/2)
	return slices.ContainsFunc(c.deny, func(d string) bool { return containsCell(d, cell) })
}

// patterns returns those of the allowed cells.
func (c *cover) patterns() []string {
	c.work += comparisons(c.allowed) / 8
	return patterns(c.allowed)
}

// reached returns the allowed cells that a pattern reaches.
func (c *cover) reached(p string) []engine.Cell {
	return slices.DeleteFunc(slices.Clone(c.allowed), func(cell engine.Cell) bool { return !c.reaches(p, cell) })
}

func (c *cover) narrow(cell engine.Cell, reason string) {
	c.narrowed = append(c.narrowed, Narrowed{cell, reason})
}

// separate finds the patterns that allow the allowed cells and the denials that
// take back what these reach too far. Cells that cannot be had without allowing a
// denied one are narrowed away, one conflict at a time.
func (c *cover) separate() {
	c.inexpressible()
	for again := true; again && !c.tired(); {
		c.allow, c.deny = c.patterns(), nil
		again = c.takeBack()
	}
}

// inexpressible narrows away the cells that no pattern can stand for.
func (c *cover) inexpressible() {
	c.allowed = slices.DeleteFunc(c.allowed, func(cell engine.Cell) bool {
		p, ok := pattern(cell)
		switch {
		case !ok:
			c.narrow(cell, reasonSpelling)
		case len(c.arn.stage())+len(p) > MaxResource:
			c.narrow(cell, reasonTooLong)
		default:
			return false
		}
		return true
	})
}

// takeBack adds a denial for each denied cell that an allowing pattern reaches, and
// gives up allowed cells where that would hurt others. It returns true if it did:
// then some of the denials may not be wanted any more.
func (c *cover) takeBack() (dropped bool) {
	for _, cell := range c.denied {
		if c.tired() {
			return false
		}
		first := slices.IndexFunc(c.allow, func(p string) bool { return c.reaches(p, cell) })
		if first < 0 {
			continue
		}
		reaching := slices.DeleteFunc(slices.Clone(c.allow[first:]), func(p string) bool { return !c.reaches(p, cell) })
		if c.denies(cell) {
			continue
		}
		denial := c.denialFor(cell, reaching)
		hurt := c.reached(denial)
		if len(hurt) == 0 {
			c.deny = append(c.deny, denial)
			continue
		}
		needing := slices.DeleteFunc(slices.Clone(c.allowed), func(a engine.Cell) bool {
			p, _ := pattern(a)
			return !c.reaches(p, cell)
		})
		drop := needing
		if c.hasRequest(needing) && !c.hasRequest(hurt) || c.hasRequest(needing) == c.hasRequest(hurt) && len(hurt) <= len(needing) {
			drop = hurt
			c.deny = append(c.deny, denial)
		}
		reason := reasonCrossing
		if hasSpellings(cell) {
			reason = reasonDenied
		}
		c.drop(drop, reason)
		c.allow, dropped = c.patterns(), true
	}
	return dropped
}

// denialFor returns a pattern that covers a denied cell: everything below an
// allowing pattern if that hurts nobody, for it covers more such cells at once.
func (c *cover) denialFor(cell engine.Cell, reaching []string) string {
	for _, p := range reaching {
		if below := p + "/*"; containsCell(below, cell) && len(c.reached(below)) == 0 {
			return below
		}
	}
	return denial(cell)
}

func (c *cover) hasRequest(cells []engine.Cell) bool {
	return slices.ContainsFunc(cells, func(cell engine.Cell) bool { return cell.Has(c.at.Method, c.at.Segments) })
}

// drop gives cells up. Of the one that has the request at hand, that request's own
// path remains, if it can be told apart.
func (c *cover) drop(cells []engine.Cell, reason string) {
	c.work += len(c.allowed) * len(cells) / 4
	gone := func(a engine.Cell) bool {
		return slices.ContainsFunc(cells, func(b engine.Cell) bool { return equalCells(a, b) })
	}
	c.allowed = slices.DeleteFunc(c.allowed, gone)
	for _, cell := range cells {
		c.narrow(cell, reason)
		if own := c.own(cell); own != nil {
			c.allowed = append(c.allowed, *own)
		}
	}
}

// own is the part of a cell that is just the request at hand; nil if the cell has
// it not, or is no more than that.
func (c *cover) own(cell engine.Cell) *engine.Cell {
	if !cell.Has(c.at.Method, c.at.Segments) {
		return nil
	}
	own := engine.Cell{Method: cell.Method, Route: cell.Route, Allowed: true}
	for _, s := range c.at.Segments {
		own.Segments = append(own.Segments, engine.Segment{Fixed: true, Literal: s})
	}
	if equalCells(own, cell) {
		return nil
	}
	return &own
}

// merge replaces patterns by shorter ones that reach no denied cell.
func (c *cover) merge() {
	for _, p := range slices.Clone(c.allow) {
		if c.tired() {
			return
		}
		method, path, _ := strings.Cut(p, "/")
		words := strings.Split(path, "/")
		for n := range words {
			wide := method + "/" + strings.Join(append(slices.Clone(words[:n]), "*"), "/")
			if c.reachesDenied(wide) {
				continue
			}
			c.work += len(c.allow) * len(c.allow) / 4
			c.allow = minimal(append(c.allow, wide))
			break
		}
	}
}

func (c *cover) reachesDenied(p string) bool {
	return slices.ContainsFunc(c.denied, func(cell engine.Cell) bool {
		return c.reaches(p, cell) && !c.denies(cell)
	})
}

// shrink gives up the half of the cells that has least to do with the request at
// hand.
func (c *cover) shrink() {
	slices.SortStableFunc(c.allowed, func(a, b engine.Cell) int { return cmp.Compare(c.distance(a), c.distance(b)) })
	keep := len(c.allowed) / 2
	for _, cell := range c.allowed[keep:] {
		c.narrow(cell, reasonSize)
		if own := c.own(cell); own != nil {
			c.allowed[0], keep = *own, 1
		}
	}
	c.allowed = c.allowed[:keep]
}

// justRequest gives up everything but the path of the request at hand.
func (c *cover) justRequest() {
	var kept []engine.Cell
	for _, cell := range c.allowed {
		own := c.own(cell)
		switch {
		case own != nil:
			kept = append(kept, *own)
		case cell.Has(c.at.Method, c.at.Segments):
			kept = append(kept, cell)
			continue
		}
		c.narrow(cell, reasonWork)
	}
	c.allowed = kept
	c.inexpressible()
	c.allow, c.deny = patterns(c.allowed), nil
}

// distance is 0 for the cell of the request at hand, less for paths that begin as
// its own does.
func (c *cover) distance(cell engine.Cell) int {
	if cell.Has(c.at.Method, c.at.Segments) {
		return 0
	}
	same := 0
	for i, s := range cell.Segments {
		if i >= len(c.at.Segments) || !s.Has(c.at.Segments[i]) {
			break
		}
		same++
	}
	d := 2 * (1000 - same)
	if cell.Method != c.at.Method {
		d++
	}
	return d
}

// document puts the patterns in statements: allow, deny everything else, deny the
// exceptions and the spellings that could be read in two ways.
func (c *cover) document() Document {
	if len(c.allow) == 0 {
		return Document{Version: Version, Statement: []Statement{
			{Effect: Deny, Action: Strings{Invoke}, Resource: Strings{c.arn.StagePattern()}},
		}}
	}
	resources := make(Strings, len(c.allow))
	wild := false
	for i, p := range c.allow {
		resources[i] = c.arn.stage() + p
		wild = wild || strings.Contains(p, "*")
	}
	doc := Document{Version: Version, Statement: []Statement{
		{Effect: Allow, Action: Strings{Invoke}, Resource: resources},
		{Effect: Deny, Action: Strings{Invoke}, NotResource: resources},
	}}
	var denials Strings
	for _, p := range c.deny {
		denials = append(denials, c.arn.stage()+p)
	}
	if wild {
		for _, s := range spellings {
			denials = append(denials, "arn:"+c.arn.Partition+":execute-api:*:*:*"+s)
		}
	}
	if len(denials) > 0 {
		doc.Statement = append(doc.Statement, Statement{Effect: Deny, Action: Strings{Invoke}, Resource: denials})
	}
	return doc
}

// spellings are the paths that a wildcard must not reach, because a backend may
// read them as another path than the one that was judged: what DESIGN.md §3 calls
// ambiguous, a trailing slash, and needless escapes (RFC 3986 §2.3), by which
// /users/%61dmin would pass as another word than /users/admin. IAM compares
// spellings; nobody decodes a path before a cached document is applied to it.
var spellings = []string{
	"//*", "/./*", "/../*", "/.", "/..", `\*`,
	"%0?*", "%1?*", "%2a*", "%2A*", "%2d*", "%2D*", "%2e*", "%2E*", "%2f*", "%2F*",
	"%3?*", "%4?*", "%5?*", "%6?*", "%7?*",
	"/*/*/*/",
}

var errUnsound = errors.New("the finished document does not say what the rules say")

// verify checks the patterns against every cell once more, by themselves.
func (c *cover) verify() error {
	for _, cell := range c.denied {
		reached := slices.ContainsFunc(c.allow, func(p string) bool { return reaches(p, cell) })
		if reached && !slices.ContainsFunc(c.deny, func(d string) bool { return containsCell(d, cell) }) {
			return errUnsound
		}
	}
	return nil
}

func length(d Document) int {
	b, _ := d.written(make([]byte, 0, 4096))
	return len(b)
}
