package iam

import "strings"

// Verdict is what a document says about one action on one resource.
type Verdict int

// The verdicts. Only Allowed lets a request pass.
const (
	// ImplicitDeny means that no statement matches.
	ImplicitDeny Verdict = iota
	// ExplicitDeny means that a Deny matches, whatever allows.
	ExplicitDeny
	// Allowed means that an Allow matches and no Deny does.
	Allowed
)

// String returns the verdict in words.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case ExplicitDeny:
		return "explicit deny"
	default:
		return "implicit deny"
	}
}

// Evaluate judges an action on a resource: a Deny that matches wins, else an Allow
// that matches grants, else the answer is an implicit deny.
//
// What this package does not evaluate is taken the way that grants less. A
// statement with a Condition, a pattern with a policy variable ("${"), or a
// statement that lacks Action and NotAction, or Resource and NotResource, or has
// both of a pair: as an Allow it matches nothing; as a Deny its unclear part
// matches everything. An effect that is not Allow is a Deny.
func (d Document) Evaluate(action, resource string) Verdict {
	verdict := ImplicitDeny
	for i := range d.Statement {
		s := &d.Statement[i]
		if s.Effect != Allow {
			if covers(s.Action, s.NotAction, action, matchFold, true) && covers(s.Resource, s.NotResource, resource, Match, true) {
				return ExplicitDeny
			}
			continue
		}
		if verdict != Allowed && len(s.Condition) == 0 &&
			covers(s.Action, s.NotAction, action, matchFold, false) && covers(s.Resource, s.NotResource, resource, Match, false) {
			verdict = Allowed
		}
	}
	return verdict
}

// covers reports whether one pair of a statement's elements, such as Resource and
// NotResource, covers s. It returns unclear where that cannot be said.
func covers(in, not Strings, s string, match func(pattern, s string) bool, unclear bool) bool {
	if (len(in) > 0) == (len(not) > 0) {
		return unclear
	}
	patterns, found := in, true
	if len(not) > 0 {
		patterns, found = not, false
	}
	for _, p := range patterns {
		if match(p, s) && !strings.Contains(p, "${") {
			return found
		}
	}
	// Whether a variable hides in the rest matters only if it changes the answer.
	if unclear == !found {
		return unclear
	}
	for _, p := range patterns {
		if strings.Contains(p, "${") {
			return unclear
		}
	}
	return !found
}
