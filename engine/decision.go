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
	// Permissions judges every request that agrees with known, over the API's routes.
	// It returns *Trouble where Decide would for all of them, and where the context,
	// the principal id or the usage key does not follow from what is known.
	Permissions(ctx context.Context, known Known, routes []tenants.Route, now time.Time) (Permissions, error)
}

// Policies loads policies and keeps them.
type Policies interface {
	// Load returns the policy of a tenant revision under a platform revision, for one
	// event of the tenant with this id. It compiles each pair once, whoever asks, and
	// returns *Trouble if the store does not answer or the rules do not compile. The
	// policy does not depend on the tenant; whose turn it is may.
	Load(ctx context.Context, tenant string, platform, revision tenants.Digest) (Policy, error)
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
	// Document speaks for every request with the same cache key; nil in exact mode,
	// where Allow and WholeKey are all there is to say.
	Document Document
}

// Document is an IAM policy document made by a Gateway.
type Document interface {
	// Allows reports whether the document allows a request for an ARN.
	Allows(arn string) bool
}

// Gateway speaks API Gateway's formats.
type Gateway interface {
	// Decode reads an event of any shape. An event that cannot be read is a
	// *Trouble; one that can be read in two ways is marked in the Request.
	Decode(event []byte) (Request, error)
	// Encode writes the reply in the form that the request's shape wants. What
	// cannot be said within API Gateway's limits is a *Trouble.
	Encode(req Request, api tenants.API, reply Reply) ([]byte, error)
	// Cover writes a document that allows the cells that are allowed, for the API and
	// stage that req was sent to, and returns the allowed cells that it had to leave
	// out, with the reason. It never allows a path of another cell.
	Cover(req Request, cells []Cell) (Document, []Limit, error)
}
