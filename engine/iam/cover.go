package iam

import (
	"cmp"
	"errors"
	"math"
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
// The work is bounded, for tenants' rules make the cells and this runs outside of the
// process that holds them: where it is too much, only the request at hand is kept.
func Cover(arn ARN, cells []engine.Cell, at Request, size int) (Coverage, error) {
	c := cover{arn: arn, at: at, size: size}
	if err := c.make(cells); err != nil {
		return Coverage{}, err
	}
	return Coverage{Document: c.document(), Narrowed: c.narrowed}, nil
}

// make finds the patterns and checks them.
func (c *cover) make(cells []engine.Cell) error {
	c.limit = mostWork
	c.take(cells)
	c.write()
	if !c.tired() {
		// Checking may take as much again.
		c.limit = c.work + mostWork
		if err := c.verify(); err != nil || !c.tired() {
			return err
		}
	}
	c.limit = math.MaxInt
	c.justRequest()
	return c.verify()
}

// take sorts the cells into what is allowed and what is not.
func (c *cover) take(cells []engine.Cell) {
	allowed := 0
	for _, cell := range cells {
		if cell.Allowed {
			allowed++
		}
	}
	c.allowed, c.denied = make([]piece, 0, allowed), make([]piece, 0, len(cells)-allowed)
	for _, cell := range cells {
		own := cell.Has(c.at.Method, c.at.Segments)
		// Documents deny trailing slashes as a whole, with the other spellings.
		if endsInSlash(cell) && !own {
			continue
		}
		p := piece{Cell: cell, start: startOf(cell), own: own}
		if cell.Allowed {
			p.pattern, p.plain = pattern(cell)
			c.allowed = append(c.allowed, p)
		} else {
			c.denied = append(c.denied, p)
		}
		c.work += 30 + weight(cell)/4
	}
}

// write finds the patterns.
func (c *cover) write() {
	// A few hundred patterns cannot fit, and comparing them takes its time.
	for !c.tired() && (c.comparisons(c.allowed) > mostComparisons || len(c.patterns()) > mostPatterns) {
		c.shrink()
	}
	c.separate()
	if !c.tired() && !c.fits() {
		c.merge()
	}
	for !c.tired() && len(c.allowed) > 0 && !c.fits() {
		c.shrink()
		c.separate()
	}
}

// room is how long a pattern may be.
func (c *cover) room() int { return MaxResource - len(c.arn.stage()) }

// fits tells whether the document has room.
func (c *cover) fits() bool {
	rough := 0
	for _, p := range c.allow {
		rough += 2 * (len(c.arn.stage()) + len(p.text))
	}
	for _, p := range c.deny {
		rough += len(c.arn.stage()) + len(p.text)
	}
	c.work += len(c.allow) + len(c.deny)
	return rough <= c.size && length(c.document()) <= c.size
}

func endsInSlash(c engine.Cell) bool {
	n := len(c.Segments)
	return n > 0 && !c.Rest && c.Segments[n-1].Fixed && c.Segments[n-1].Literal == ""
}

// mostPatterns is more than fit in a reply.
const mostPatterns = 200

// cover is a document being made.
type cover struct {
	meter
	arn  ARN
	at   Request
	size int
	// allowed and denied are the cells.
	allowed, denied []piece
	// allow and deny are the document's patterns of METHOD/path.
	allow, deny []glob
	narrowed    []Narrowed
	// sorted are the starts of what is denied.
	sorted starts
}

// piece is a cell with what is needed of it again and again.
type piece struct {
	engine.Cell
	// start is what all its paths begin with.
	start string
	// pattern stands for the cell, if plain.
	pattern string
	plain   bool
	// own tells that it has the request at hand.
	own bool
}

// patterns returns those of the allowed cells.
func (c *cover) patterns() []glob {
	ps := make([]string, 0, len(c.allowed))
	for _, a := range c.allowed {
		if a.plain {
			ps = append(ps, a.pattern)
		}
	}
	return c.minimal(ps)
}

// reached are the places of the allowed cells that a pattern reaches.
func (c *cover) reached(g glob) []int {
	var places []int
	for i := range c.allowed {
		if c.tired() {
			break
		}
		if c.reaches(g, &c.allowed[i]) {
			places = append(places, i)
		}
	}
	return places
}

// reaching are the patterns among some that reach a cell.
func (c *cover) reaching(globs []glob, p *piece) []glob {
	var found []glob
	for _, g := range globs {
		if c.reaches(g, p) {
			found = append(found, g)
		}
	}
	return found
}

// denies tells whether a denial covers all of a cell.
func (c *cover) denies(p *piece) bool { return c.contains(c.deny, p) }

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
	c.allowed = slices.DeleteFunc(c.allowed, func(p piece) bool {
		switch {
		case !p.plain:
			c.narrow(p.Cell, reasonSpelling)
		case len(p.pattern) > c.room():
			c.narrow(p.Cell, reasonTooLong)
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
	for i := range c.denied {
		if c.tired() {
			return false
		}
		cell := &c.denied[i]
		reaching := c.reaching(c.allow, cell)
		if len(reaching) == 0 || c.denies(cell) {
			continue
		}
		exception := c.denialFor(cell, reaching)
		hurt := c.reached(exception)
		if len(hurt) == 0 {
			c.deny = append(c.deny, exception)
			continue
		}
		needing := c.needing(cell)
		drop := needing
		if c.hasRequest(needing) && !c.hasRequest(hurt) || c.hasRequest(needing) == c.hasRequest(hurt) && len(hurt) <= len(needing) {
			drop = hurt
			c.deny = append(c.deny, exception)
		}
		reason := reasonCrossing
		switch {
		case hasSpellings(cell.Cell):
			reason = reasonDenied
		case len(denial(cell.Cell)) > c.room():
			reason = reasonTooLong
		}
		c.drop(drop, reason)
		c.allow, dropped = c.patterns(), true
	}
	return dropped
}

// denialFor returns a pattern that covers a denied cell: everything below an
// allowing pattern if that hurts nobody, for it covers more such cells at once.
func (c *cover) denialFor(cell *piece, reaching []glob) glob {
	for _, p := range reaching {
		below := newGlob(p.text + "/*")
		if len(below.text) <= c.room() && c.contains([]glob{below}, cell) && len(c.reached(below)) == 0 {
			return below
		}
	}
	return newGlob(shorten(denial(cell.Cell), c.room()))
}

// needing are the places of the allowed cells whose own patterns reach a denied one.
func (c *cover) needing(cell *piece) []int {
	var places []int
	for i := range c.allowed {
		if c.reaches(newGlob(c.allowed[i].pattern), cell) {
			places = append(places, i)
		}
	}
	return places
}

func (c *cover) hasRequest(places []int) bool {
	return slices.ContainsFunc(places, func(i int) bool { return c.allowed[i].own })
}

// drop gives the cells in some places up, in order. Of the one that has the request at
// hand, that request's own path remains, if it can be told apart.
func (c *cover) drop(places []int, reason string) {
	c.work += 10 * len(c.allowed)
	kept := make([]piece, 0, len(c.allowed))
	var own []piece
	for i, p := range c.allowed {
		if _, gone := slices.BinarySearch(places, i); !gone {
			kept = append(kept, p)
			continue
		}
		c.narrow(p.Cell, reason)
		if p, ok := c.ownOf(p); ok {
			own = append(own, p)
		}
	}
	c.allowed = append(kept, own...)
}

// ownOf is the part of a cell that is just the request at hand; false if the cell has
// it not, or is no more than that.
func (c *cover) ownOf(p piece) (piece, bool) {
	if !p.own {
		return piece{}, false
	}
	own := engine.Cell{Method: p.Method, Route: p.Route, Allowed: true}
	for _, s := range c.at.Segments {
		own.Segments = append(own.Segments, engine.Segment{Fixed: true, Literal: s})
	}
	if equalCells(own, p.Cell) {
		return piece{}, false
	}
	text, plain := pattern(own)
	return piece{Cell: own, start: startOf(own), pattern: text, plain: plain, own: true}, true
}

// merge replaces patterns by shorter ones that reach no denied cell.
func (c *cover) merge() {
	c.sorted = sortedStarts(c.denied)
	c.work += 20 * len(c.denied)
	for _, p := range slices.Clone(c.allow) {
		method, path, _ := strings.Cut(p.text, "/")
		words := strings.Split(path, "/")
		for n := range words {
			wide := method + "/" + strings.Join(append(slices.Clone(words[:n]), "*"), "/")
			if c.tired() {
				return
			}
			if c.reachesDenied(newGlob(wide)) {
				continue
			}
			texts := make([]string, 0, len(c.allow)+1)
			for _, g := range c.allow {
				texts = append(texts, g.text)
			}
			c.allow = c.minimal(append(texts, wide))
			break
		}
	}
}

func (c *cover) reachesDenied(g glob) bool {
	reached := c.sorted.near(g, func(i int) bool {
		return c.reaches(g, &c.denied[i]) && !c.denies(&c.denied[i]) || c.tired()
	})
	c.work += 100
	// What could not be looked at may be reached.
	return reached || c.tired()
}

// shrink gives up the half of the cells that has least to do with the request at
// hand.
func (c *cover) shrink() {
	type placed struct {
		piece
		distance int
	}
	all := make([]placed, len(c.allowed))
	for i, p := range c.allowed {
		all[i] = placed{p, c.distance(p)}
	}
	c.work += 20 * len(all)
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.distance, b.distance) })
	for i, p := range all {
		c.allowed[i] = p.piece
	}
	keep := len(c.allowed) / 2
	for _, p := range c.allowed[keep:] {
		c.narrow(p.Cell, reasonSize)
		if own, ok := c.ownOf(p); ok {
			c.allowed[0], keep = own, 1
		}
	}
	c.allowed = c.allowed[:keep]
}

// justRequest gives up everything but the path of the request at hand, and that too if
// it is also in a cell that is denied.
func (c *cover) justRequest() {
	denied := slices.ContainsFunc(c.denied, func(p piece) bool { return p.own })
	var kept []piece
	for _, p := range c.allowed {
		own, isPart := c.ownOf(p)
		switch {
		case denied || !p.own:
		case isPart:
			kept = append(kept, own)
		default:
			kept = append(kept, p)
			continue
		}
		c.narrow(p.Cell, reasonWork)
	}
	c.allowed = kept
	c.inexpressible()
	c.allow, c.deny = c.patterns(), nil
}

// distance is 0 for the cell of the request at hand, less for paths that begin as
// its own does.
func (c *cover) distance(p piece) int {
	if p.own {
		return 0
	}
	same := 0
	for i, s := range p.Segments {
		if i >= len(c.at.Segments) || !s.Has(c.at.Segments[i]) {
			break
		}
		same++
	}
	d := 2 * (1000 - same)
	if p.Method != c.at.Method {
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
		resources[i] = c.arn.stage() + p.text
		wild = wild || strings.Contains(p.text, "*")
	}
	doc := Document{Version: Version, Statement: []Statement{
		{Effect: Allow, Action: Strings{Invoke}, Resource: resources},
		{Effect: Deny, Action: Strings{Invoke}, NotResource: resources},
	}}
	var denials Strings
	for _, p := range c.deny {
		denials = append(denials, c.arn.stage()+p.text)
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
	"//*", "/./*", "/../*", "/.", "/..", "/.;*", "/..;*", `\*`,
	"%0?*", "%1?*", "%2a*", "%2A*", "%2d*", "%2D*", "%2e*", "%2E*", "%2f*", "%2F*",
	"%3?*", "%4?*", "%5?*", "%6?*", "%7?*", "%252?*", "%255?*", "%2500*",
	"/*/*/*/",
}

var errUnsound = errors.New("the finished document does not say what the rules say")

// verify checks the patterns against every cell once more, by themselves, as far as the
// work is bounded.
func (c *cover) verify() error {
	for i := range c.denied {
		p := &c.denied[i]
		reached := slices.ContainsFunc(c.allow, func(g glob) bool { return c.reaches(g, p) })
		if reached && !c.denies(p) {
			return errUnsound
		}
		if c.tired() {
			return nil
		}
	}
	return nil
}

func length(d Document) int {
	b, _ := d.written(make([]byte, 0, 4096))
	return len(b)
}
