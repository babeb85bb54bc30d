package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"regent/tenants"
)

// Authorizer answers authorizer events. Set its fields before the first call and
// leave them; its methods may then be called by many goroutines.
type Authorizer struct {
	// Gateway decodes events and encodes replies.
	Gateway Gateway
	// Store says which APIs and tenants there are.
	Store tenants.Store
	// Identity verifies credentials.
	Identity Verifier
	// Policies loads the tenants' rules.
	Policies Policies
	// Log is called once for every event, before the reply is returned.
	Log func(Record)
	// Now tells the time. It is asked once for each event, and the token, the rules
	// and the log all see that instant.
	Now func() time.Time
	// NewID makes decision ids.
	NewID func() string
	// Salt keys the digests that stand for subjects in the log.
	Salt []byte
	// MaxStale is how long a revision that did load may decide in place of a later one
	// that does not, counted from when it was last in force. Zero is not at all.
	MaxStale time.Duration

	// memo keeps the documents of cache keys.
	memo memo
	// last keeps what was in force and loaded.
	last lastGood
}

// Format prints no more than what a is, whatever the verb is: the salt, and the replies that
// are remembered, must not end in a log.
func (a *Authorizer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "engine.Authorizer") }

// Authorize answers one event with the bytes of a reply, or with *Unauthorized or
// *Trouble.
func (a *Authorizer) Authorize(ctx context.Context, event []byte) ([]byte, error) {
	out := a.Explain(ctx, event)
	return out.Reply, out.Err
}

// Outcome is everything that came of one event, for those who want to show it.
type Outcome struct {
	// Reply is what API Gateway gets, unless Err is set.
	Reply []byte
	// Err is *Unauthorized or *Trouble.
	Err error
	// Input is the document that the rules were asked with; nil if they were not.
	Input *Input
	// Record is the decision-log entry.
	Record Record
}

// Explain answers one event like Authorize and tells how it came about.
func (a *Authorizer) Explain(ctx context.Context, event []byte) (out Outcome) {
	w := &work{Authorizer: a, now: a.Now(), id: a.NewID()}
	// A panic is trouble like any other: the environment lives on for the next event.
	defer func() {
		if r := recover(); r != nil {
			out.Reply, out.Err = nil, Troublef("panic", "%T", r)
		}
		out.Input, out.Record = w.input, w.record(out.Err)
		a.Log(out.Record)
	}()
	out.Reply, out.Err = w.authorize(tenants.WithStaleness(ctx, &w.stale), event)
	return out
}

// work is one event on its way through the pipeline, and what is known of it so
// far, for the log.
type work struct {
	*Authorizer
	now      time.Time
	id       string
	req      Request
	api      tenants.API
	tenant   tenants.Tenant
	identity Identity
	platform tenants.Digest
	input    *Input
	code     string
	decision Decision
	document Document
	limits   []Limit
	reply    *Reply
	evalTime time.Duration
	// stale is what the store answered from memory.
	stale tenants.Staleness
	// instead are the bundles in force, if others decided in their place.
	instead bundles
}

// authorize is the pipeline: the seven steps of DESIGN.md §2.
func (w *work) authorize(ctx context.Context, event []byte) (reply []byte, err error) {
	// 1. Decode the event.
	if w.req, err = w.Gateway.Decode(event); err != nil {
		return nil, asTrouble("event", err)
	}
	if w.api, err = w.registered(ctx); err != nil {
		return nil, err
	}
	if w.decision, err = w.decide(ctx); err != nil {
		return nil, err
	}
	// 7. Encode the reply.
	w.reply = w.complete()
	reply, err = w.Gateway.Encode(w.req, w.api, *w.reply)
	return reply, asTrouble("reply", err)
}

// decide leads from the request to the decision. A no that is decided on the way
// is a Decision like one of the rules.
func (w *work) decide(ctx context.Context) (Decision, error) {
	decision, err := w.steps(ctx)
	var no *denial
	if errors.As(err, &no) {
		w.code = no.code
		return Decision{Reasons: []string{no.detail}, WholeKey: no.wholeKey}, nil
	}
	return decision, err
}

func (w *work) steps(ctx context.Context) (Decision, error) {
	if w.req.Doubtful != "" {
		return Decision{}, &Unauthorized{Code: CodeDoubtful, Detail: w.req.Doubtful}
	}
	if err := singleKey(w.req, w.api); err != nil {
		return Decision{}, err
	}
	token, err := credential(w.req, w.api)
	if err != nil {
		return Decision{}, w.unauthenticated(err)
	}
	// 2. Resolve the tenant.
	if w.tenant, err = w.resolve(ctx, w.req, w.api, token); err != nil {
		return Decision{}, w.unauthenticated(err)
	}
	if w.tenant.Status != tenants.Active {
		return Decision{}, &denial{code: CodeTenantSuspended, detail: "the tenant is suspended", wholeKey: true}
	}
	// 3. Verify the credential.
	if w.identity, err = w.identify(ctx, token); err != nil {
		return Decision{}, w.unauthenticated(err)
	}
	// 4. Build the input.
	if w.req.Ambiguous != "" && !w.cached() {
		return Decision{}, &denial{code: CodePathAmbiguous, detail: w.req.Ambiguous}
	}
	in := w.buildInput()
	w.input = &in
	// 5. Load the tenant's active revision.
	policy, err := w.load(ctx)
	if err != nil {
		return Decision{}, err
	}
	// 6. Evaluate.
	start := time.Now()
	decision, err := policy.Decide(ctx, in, w.now)
	w.evalTime = time.Since(start)
	if err != nil {
		return Decision{}, asTrouble("evaluation", err)
	}
	w.code = "policy"
	if w.req.Ambiguous != "" {
		w.code = CodePathAmbiguous
		decision.Allow, decision.Reasons = false, []string{w.req.Ambiguous}
	}
	if w.cached() {
		return w.speakForKey(ctx, policy, in, decision)
	}
	return decision, nil
}

// buildInput builds the rules' input. An ambiguous path stays out of it: what the
// rules say of the cache key does not depend on the path.
func (w *work) buildInput() Input {
	req := w.req
	if req.Ambiguous != "" {
		req.Path, req.Segments, req.Route, req.Params = "/", nil, "", nil
	}
	return NewInput(req, w.api, w.tenant, w.identity)
}

func (w *work) registered(ctx context.Context) (tenants.API, error) {
	api, err := w.Store.API(ctx, w.req.API.ID)
	if errors.Is(err, tenants.ErrNotFound) {
		return tenants.API{}, Troublef("api_unregistered", "API %q is not registered", w.req.API.ID)
	}
	if err != nil {
		return tenants.API{}, asTrouble("store", err)
	}
	if api.Kind != w.req.API.Kind {
		return tenants.API{}, Troublef("api_kind", "API %q is registered as %s and sent a %s event", api.ID, api.Kind, w.req.Shape)
	}
	return api, nil
}

// singleKey refuses a request whose identity sources are repeated: nobody knows
// which of the values API Gateway's cache keys on.
func singleKey(req Request, api tenants.API) error {
	for _, s := range api.Cache.Identity {
		if len(values(req, s)) > 1 {
			return &Unauthorized{Code: CodeDoubtful, Detail: "identity source " + s.String() + " is there more than once"}
		}
	}
	return nil
}

func (w *work) identify(ctx context.Context, token string) (Identity, error) {
	if token != "" {
		identity, err := w.Identity.Verify(ctx, w.tenant, token, w.now)
		return identity, asTrouble("identity", err)
	}
	if !w.tenant.Identity.Anonymous {
		return Identity{}, &Unauthorized{Code: CodeCredentialAbsent, Detail: "there is nothing at " + w.api.Credential.String()}
	}
	return Identity{Kind: Anonymous}, nil
}

// unauthenticated turns a credential that is absent or bad into a decided no for
// APIs that answer 403 to it. A request of doubtful form stays an error even
// there, for a Deny would be cached.
func (w *work) unauthenticated(err error) error {
	var u *Unauthorized
	if w.api.Unauthenticated != 403 || !errors.As(err, &u) || u.Code == CodeDoubtful || u.Code == CodeCredentialNotSingle {
		return err
	}
	// With a cache the credential is part of the key, so the no holds for all of it.
	return &denial{code: u.Code, detail: "not authenticated", wholeKey: w.cached()}
}

// complete adds what every reply carries. Rules cannot overwrite it.
func (w *work) complete() *Reply {
	d := w.decision
	reply := &Reply{
		Allow:       d.Allow,
		WholeKey:    d.WholeKey,
		PrincipalID: d.PrincipalID,
		UsageKey:    d.UsageKey,
		Document:    w.document,
		Context:     make(map[string]any, len(d.Context)+4),
	}
	if reply.PrincipalID == "" {
		reply.PrincipalID = w.identity.Subject
	}
	if reply.PrincipalID == "" {
		reply.PrincipalID = string(Anonymous)
	}
	for k, v := range d.Context {
		reply.Context[k] = v
	}
	reply.Context["tenantId"] = w.tenant.ID
	reply.Context["principalId"] = reply.PrincipalID
	reply.Context["decisionId"] = w.id
	reply.Context["revision"] = string(w.tenant.Revision)
	return reply
}

// ReservedContext reports whether a context key is Regent's own.
func ReservedContext(key string) bool {
	switch key {
	case "tenantId", "principalId", "decisionId", "revision":
		return true
	default:
		return false
	}
}

// Validate reports a field that is not set.
func (a *Authorizer) Validate() error {
	for name, missing := range map[string]bool{
		"Gateway": a.Gateway == nil, "Store": a.Store == nil, "Identity": a.Identity == nil,
		"Policies": a.Policies == nil, "Log": a.Log == nil, "Now": a.Now == nil, "NewID": a.NewID == nil,
	} {
		if missing {
			return fmt.Errorf("authorizer: %s is not set", name)
		}
	}
	return nil
}
