package engine

import (
	"slices"
	"strings"

	"regent/tenants"
)

// Known is what API Gateway's cache key fixes about a request, DESIGN.md §8. A
// reply that is cached speaks for every request that agrees on this much.
type Known struct {
	// Input has the tenant, the identity and the API. Its other fields are those of
	// the request at hand, and hold only where the fields below say so.
	Input Input
	// Headers and Query are the ones among the identity sources. Every name that is
	// in neither this nor Absent… could have any value, or none.
	Headers map[string]string
	Query   map[string][]string
	// AbsentHeader and AbsentQuery carried the credential and are in no input.
	AbsentHeader, AbsentQuery string
	// Method, Route, Path and SourceIP tell that the input's value is fixed.
	Method, Route, Path, SourceIP bool
	// RouteMethod is the method of the route, if the key fixes that: ANY for a route
	// that takes every method, and then only those that have no route of their own.
	RouteMethod string
}

// NewKnown derives from an API's identity sources what a cache key fixes. The
// routeMethod is Request.RouteMethod.
func NewKnown(api tenants.API, in Input, routeMethod string) Known {
	k := Known{Input: in, Headers: map[string]string{}, Query: map[string][]string{}}
	for _, s := range api.Cache.Identity {
		switch s {
		case tenants.Source{Kind: "context", Name: "httpMethod"}:
			k.Method = true
		case tenants.Source{Kind: "context", Name: "resourcePath"}:
			k.Route = true
		case tenants.Source{Kind: "context", Name: "routeKey"}:
			k.Route = true
			k.RouteMethod = routeMethod
			if routeMethod == in.Method && routeMethod != tenants.AnyMethod {
				k.Method = true
			}
		case tenants.Source{Kind: "context", Name: "path"}:
			k.Path = true
		case tenants.Source{Kind: "context", Name: "sourceIp"}:
			k.SourceIP = true
		}
		if v, ok := in.Headers[s.Name]; s.Kind == "header" && ok {
			k.Headers[s.Name] = v
		}
		if v, ok := in.Query[s.Name]; s.Kind == "query" && ok {
			k.Query[s.Name] = v
		}
	}
	switch api.Credential.Kind {
	case "header":
		k.AbsentHeader = api.Credential.Name
	case "query":
		k.AbsentQuery = api.Credential.Name
	}
	return k
}

// Permissions is the verdict of one policy on every request that shares a cache
// key: a partition of the API's routes into cells, each allowed or not as a whole.
type Permissions struct {
	Cells []Cell
	// Limits are the conditions that could not be decided for a whole cell. Cells
	// that hang on them are not allowed, whatever single requests might be.
	Limits []Limit
}

// Cell is a set of requests: one method, and paths of one shape.
type Cell struct {
	Method string
	// Route is the template the paths belong to; empty where routes are unknown.
	Route    string
	Segments []Segment
	// Rest tells that one or more further segments follow.
	Rest    bool
	Allowed bool
	// Limits are indexes into Permissions.Limits: why the cell is not allowed
	// although some of its requests may be.
	Limits []int
}

// Segment is a set of path segments: one word, or every word but some. The zero
// value is every word that is not empty.
type Segment struct {
	// Literal is the only word, if Fixed.
	Literal string
	Fixed   bool
	// Like are forms that the word has, NotLike those it has not.
	Like, NotLike []Affix
	// Not are words that it is not.
	Not []string
}

// Affix is the set of words that begin with Prefix and end with Suffix, which do
// not overlap.
type Affix struct{ Prefix, Suffix string }

// Has reports whether a word is in the set.
func (a Affix) Has(word string) bool {
	return len(word) >= len(a.Prefix)+len(a.Suffix) &&
		strings.HasPrefix(word, a.Prefix) && strings.HasSuffix(word, a.Suffix)
}

// Within reports whether every word like a is like b.
func (a Affix) Within(b Affix) bool {
	return strings.HasPrefix(a.Prefix, b.Prefix) && strings.HasSuffix(a.Suffix, b.Suffix)
}

// Apart reports whether no word is like both.
func (a Affix) Apart(b Affix) bool {
	return !strings.HasPrefix(a.Prefix, b.Prefix) && !strings.HasPrefix(b.Prefix, a.Prefix) ||
		!strings.HasSuffix(a.Suffix, b.Suffix) && !strings.HasSuffix(b.Suffix, a.Suffix)
}

// Has reports whether a word is in the segment's set.
func (s Segment) Has(word string) bool {
	if s.Fixed {
		return word == s.Literal
	}
	return word != "" && !slices.Contains(s.Not, word) &&
		!slices.ContainsFunc(s.Like, func(a Affix) bool { return !a.Has(word) }) &&
		!slices.ContainsFunc(s.NotLike, func(a Affix) bool { return a.Has(word) })
}

// Has reports whether a path, given by its segments, is in the cell.
func (c Cell) Has(method string, segments []string) bool {
	if method != c.Method || len(segments) < len(c.Segments) || (len(segments) > len(c.Segments)) != c.Rest {
		return false
	}
	for i, s := range c.Segments {
		if !s.Has(segments[i]) {
			return false
		}
	}
	return true
}

// Limit is a condition that complete policies cannot express.
type Limit struct {
	// File and Line are where the rule has it; empty if it is no rule's doing.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Reason says what it depends on, and what to do.
	Reason string `json:"reason"`
}
