package engine

import (
	"context"
	"slices"

	"regent/tenants"
)

// cached tells whether API Gateway may replay the reply to other requests.
func (w *work) cached() bool { return w.api.Cache.TTL > 0 }

// speakForKey makes the reply one for every request with the same cache key,
// DESIGN.md §8, and checks it against the decision on the request at hand.
func (w *work) speakForKey(ctx context.Context, policy Policy, in Input, decision Decision) (Decision, error) {
	known := NewKnown(w.api, in, w.req.RouteMethod)
	if w.req.Ambiguous != "" {
		// What can be read in two ways fixes nothing.
		known.Method, known.Route, known.Path, known.RouteMethod = false, false, false, ""
	}
	c, err := w.remembered(ctx, policy, known)
	if err != nil {
		return Decision{}, asTrouble("evaluation", err)
	}
	w.limits = c.limits
	allows := c.all
	if !w.api.Simple {
		w.document = c.document
		allows = c.document.Allows(w.req.ARN)
	}
	switch {
	case w.req.Ambiguous != "" && allows && w.document != nil:
		// A no that the document does not say would let the request through.
		return Decision{}, Troublef(CodePathAmbiguous, "the document for the cache key allows the request, but %s", w.req.Ambiguous)
	case w.req.Ambiguous != "":
	case allows && !decision.Allow:
		return Decision{}, Troublef("unsound", "the rules deny a request that the reply for its cache key would allow")
	case decision.Allow && !allows:
		// What is sent is what API Gateway goes by.
		decision.Allow = false
		w.code = CodeIncomplete
		w.limits = append([]Limit{{Reason: "the request at hand is allowed, and no reply for its cache key can say so"}}, w.limits...)
	}
	return decision, nil
}

// CodeIncomplete is the code of a request that the rules allow and a cached reply
// cannot.
const CodeIncomplete = "incomplete"

// complete is what is known of a cache key.
type complete struct {
	document Document
	// all tells that every request of the key is allowed.
	all    bool
	limits []Limit
}

// remembered returns what was computed for the same key before, or computes it.
func (w *work) remembered(ctx context.Context, policy Policy, known Known) (complete, error) {
	key, err := w.memoKey(known)
	if err != nil {
		return complete{}, err
	}
	if c, ok := w.memo.get(key); ok {
		return c, nil
	}
	perms, err := policy.Permissions(ctx, known, w.routes(), w.now)
	if err != nil {
		return complete{}, err
	}
	c := complete{all: len(perms.Cells) > 0, limits: perms.Limits}
	for _, cell := range perms.Cells {
		c.all = c.all && cell.Allowed
	}
	var narrowed []Limit
	if !w.api.Simple {
		if c.document, narrowed, err = w.Gateway.Cover(w.req, perms.Cells); err != nil {
			return complete{}, err
		}
		c.limits = append(narrowed, c.limits...)
	}
	c.limits = logged(c.limits)
	// What IAM made us leave out depends on the request at hand, which was kept: such
	// a document is right for its key, but the next request may want another.
	if len(narrowed) == 0 {
		w.memo.put(key, c)
	}
	return c, nil
}

// logged copies as many limits as are logged: what is remembered has to be small.
func logged(limits []Limit) []Limit {
	if len(limits) == 0 {
		return nil
	}
	return slices.Clone(limits[:min(len(limits), maxIncomplete)])
}

// routes are the API's routes, as far as rules can know of them: TOKEN events do not say
// which one was taken.
func (w *work) routes() []tenants.Route {
	if w.req.Shape == ShapeToken {
		return nil
	}
	return w.api.Routes
}
