package engine

import (
	"context"
	"time"

	"regent/tenants"
)

// Decision is what a tenant's rules and the platform's guardrails say of one
// input. The zero value denies.
type Decision struct {
	// Allow is true only if the rules allow and nothing denies.
	Allow bool
	// Reasons are the elements of the deny sets, sorted; or why the request was
	// refused before the rules were asked.
	Reasons []string
	// Context is what the rules add to the authorizer context: strings, float64 or
	// json.Number, and booleans.
	Context map[string]any
	// PrincipalID is the rules' principal_id; empty means the identity's subject.
	PrincipalID string
	// UsageKey is the rules' usage_key, an API key's value.
	UsageKey string
	// WholeKey marks a no that holds for every request with the same cache key.
	WholeKey bool
}

// Policy is one tenant revision and the platform's rules, compiled together.
type Policy interface {
	// Decide evaluates the rules for one input as of the instant now. Rules that
	// cannot be evaluated, or whose values are not of the contract's types, are a
	// *Trouble, never an answer.
	Decide(ctx context.Context, in Input, now time.Time) (Decision, error)
}

// Policies loads policies and keeps them.
type Policies interface {
	// Load returns the policy of a tenant revision under a platform revision. It
	// compiles each pair once, whoever asks, and returns *Trouble if the store does
	// not answer or the rules do not compile.
	Load(ctx context.Context, platform, revision tenants.Digest) (Policy, error)
}

// Reply is a decision on its way to API Gateway, complete with the context that
// Regent always adds.
type Reply struct {
	Allow       bool
	WholeKey    bool
	PrincipalID string
	// Context has scalar values only.
	Context map[string]any
	// UsageKey is an API key's value; empty for none.
	UsageKey string
}

// Gateway speaks API Gateway's formats.
type Gateway interface {
	// Decode reads an event of any shape. An event that cannot be read is a
	// *Trouble; one that can be read in two ways is marked in the Request.
	Decode(event []byte) (Request, error)
	// Encode writes the reply in the form that the request's shape wants. What
	// cannot be said within API Gateway's limits is a *Trouble.
	Encode(req Request, api tenants.API, reply Reply) ([]byte, error)
}
