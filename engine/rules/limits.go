package rules

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Limit is one static limit: how much of something a bundle may have. Limits are
// checked when a bundle is compiled, at publish and at load, from the cheapest to
// the dearest, and before OPA's compiler does the work that they bound.
//
// They are a first filter, not a wall: rules that stay below all of them can still
// cost too much to evaluate. DESIGN.md §10 says what holds those.
type Limit struct {
	// Name is what is counted.
	Name string
	// Max is the most that is allowed.
	Max int
	// Why says what it costs above.
	Why string
	// hint says what the author can do.
	hint string
}

// The limits. They do not change.
var (
	moduleBytes  = &Limit{"bytes of a module", 64 << 10, "what the parser holds and what every other cost grows with", "split the file, or move tables to data.json"}
	bundleRego   = &Limit{"bytes of Rego in a bundle, without tests", 256 << 10, "every cold start compiles it all", "move tables to data.json"}
	lineBytes    = &Limit{"bytes of a line", 4096, "no person wrote it; formats and patterns that amplify are longer", "break the line, or move the text to data.json"}
	stringBytes  = &Limit{"bytes of a string", 4096, "as of a line", "move the text to data.json"}
	nesting      = &Limit{"nesting of brackets", 24, "50,000 nested arrays take 0.5 s and 650 MB", "give the inner parts names of their own"}
	chain        = &Limit{"operators in one expression", 128, "50,000 terms of a sum take 10 s", "use sum, or a set"}
	numberDigits = &Limit{"digits of a number", 32, "arithmetic on a million digits takes seconds; also refused: what is no double-precision number, such as 1e400", "write it as a string"}

	ruleCount    = &Limit{"rules in a bundle", 1000, "15,000 take 0.3 s and 80 MB, and 2,000 that refer to each other in a chain 0.6 s", "move tables to data.json and write one rule over them"}
	elseArms     = &Limit{"else arms of a rule", 32, "2,000 take 0.4 s, 8,000 take 6 s", "write a table and one rule over it"}
	bodySize     = &Limit{"expressions in a body", 64, "ordering 800 of them takes 5 s, 1,600 more than 15 s", "name groups of them with rules"}
	bodyCalls    = &Limit{"expressions and calls in a body", 160, "the compiler makes an expression of every call", "name groups of them with rules"}
	closures     = &Limit{"comprehensions in a body", 12, "400 take 10 s", "name them with rules"}
	closureDepth = &Limit{"nesting of comprehensions and every", 4, "16 take up to 14 s, and it doubles with each", "name the inner ones with rules"}
	localCount   = &Limit{"variables of a rule", 256, "10,000 take 3 s", "split the rule"}
	refParts     = &Limit{"parts of a reference", 24, "references are compared part by part", "name a part of it with a rule"}
	withCount    = &Limit{"with modifiers of an expression", 8, "each copies the document it changes", "put them in one object"}
	ordering     = &Limit{"ordering of bodies: expressions and calls, cubed, summed over the bundle", 6_000_000, "what all bodies together may take where each is below its limit", "split long bodies"}
	shapes       = &Limit{"types among the members of one collection", 100, "a lookup joins them two by two: 3,000 take 0.3 s each time", "move the table to data.json"}
	valueSize    = &Limit{"values of an expression, shared ones counted each time", 20_000, "rules a1 := [a0, a0], a2 := [a1, a1] and so on to a60 fill 2 GB in the type checker", "move tables to data.json; do not nest a value in itself"}
	totalSize    = &Limit{"values of all expressions, shared ones counted each time", 500_000, "the type checker walks each of them", "move tables to data.json"}

	dataDepth  = &Limit{"nesting of data", 32, "recursion in everything that reads it", "flatten it"}
	dataValues = &Limit{"values in data", 250_000, "each takes about 100 bytes and is held while the policy is", "keep the table in the API, and what a decision needs in the token"}
)

// Limits returns all static limits, in the order in which they are checked.
func Limits() []Limit {
	var list []Limit
	for _, l := range []*Limit{
		moduleBytes, bundleRego, lineBytes, stringBytes, nesting, chain, numberDigits,
		ruleCount, elseArms, bodySize, bodyCalls, closures, closureDepth, localCount, refParts, withCount, shapes, ordering,
		valueSize, totalSize, dataDepth, dataValues,
	} {
		list = append(list, *l)
	}
	return list
}

// limitCode is the code of problems about a limit.
const limitCode = "limit"

// message says by how much a limit was exceeded. A got of 0 stands for too many to
// count.
func (l *Limit) message(got int) string {
	value := fmt.Sprint(got)
	if got == 0 || got >= tooMany {
		value = "too many to count"
	}
	return l.say(value)
}

// say says that a value, in words, is above the limit.
func (l *Limit) say(value string) string {
	return fmt.Sprintf("%s: %s, the limit is %d; %s", l.Name, value, l.Max, l.hint)
}

// tooMany is where counting stops.
const tooMany = 1 << 40

// exceeded reports a value above a limit, and whether it is.
func (ps *Problems) exceeded(l *Limit, got int, loc *ast.Location) bool {
	if got <= l.Max {
		return false
	}
	ps.add(limitCode, loc, "%s", l.message(got))
	return true
}
