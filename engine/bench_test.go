package engine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/internal/measure"
	"regent/tenants"
	"regent/tenants/dir"
)

// warm is one request's way through the parts, each of which can be run bare.
type warm struct {
	store    *dir.Snapshot
	key      *ecdsa.PublicKey
	event    []byte
	token    string
	req      engine.Request
	api      tenants.API
	tenant   tenants.Tenant
	input    engine.Input
	policy   *rules.Policy
	fresh    *engine.Authorizer // verifies every token
	reminded *engine.Authorizer // remembers verified tokens
	// The same with the rules in a child process, as the function has them.
	apart, apartReminded *engine.Authorizer
}

func newWarm(b *testing.B, changes ...change) *warm {
	b.Helper()
	i := newIssuer(b)
	w := &warm{store: embedded(b, i, changes...), key: &i.key.PublicKey, token: i.token(b, "alice", "viewer")}
	w.event = restEvent(w.token, "GET", "/orders", "/orders")
	w.fresh = assembled(b, w.store, identity.Config{Remember: -1})
	w.reminded = assembled(b, w.store, identity.Config{})
	pool, err := sandbox.New(sandbox.Config{Store: w.store, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	w.apart, w.apartReminded = assembled(b, w.store, identity.Config{Remember: -1}), assembled(b, w.store, identity.Config{})
	w.apart.Policies, w.apartReminded.Policies = pool, pool
	if w.req, err = w.fresh.Gateway.Decode(w.event); err != nil {
		b.Fatal(err)
	}
	if w.api, err = w.store.API(b.Context(), "a1b2c3"); err != nil {
		b.Fatal(err)
	}
	if w.tenant, err = w.store.Tenant(b.Context(), "acme"); err != nil {
		b.Fatal(err)
	}
	who, err := w.fresh.Identity.Verify(b.Context(), w.tenant, w.token, at)
	if err != nil {
		b.Fatal(err)
	}
	w.input = engine.NewInput(w.req, w.api, w.tenant, who)
	if w.policy, err = w.compile(b.Context()); err != nil {
		b.Fatal(err)
	}
	return w
}

func (w *warm) compile(ctx context.Context) (*rules.Policy, error) {
	own, err := w.store.TenantBundle("acme")
	if err != nil {
		return nil, err
	}
	return rules.Compile(ctx, w.store.PlatformBundle(), own, rules.Options{})
}

func (w *warm) decode() error {
	req, err := apigw.Gateway{}.Decode(w.event)
	if err == nil && req.Path != "/orders" {
		err = fmt.Errorf("decoded to %q", req.Path)
	}
	return err
}

func (w *warm) verify(ctx context.Context) func() error {
	return func() error {
		who, err := w.fresh.Identity.Verify(ctx, w.tenant, w.token, at)
		if err == nil && who.Subject != "alice" {
			err = fmt.Errorf("verified %q", who.Subject)
		}
		return err
	}
}

// signature is the least that verifying ES256 can cost: the standard library's
// check of the signature, and reading the claims.
func (w *warm) signature() error {
	signed, encoded, _ := cutLast(w.token)
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(signed))
	if !ecdsa.Verify(w.key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return fmt.Errorf("the signature does not verify")
	}
	_, payload, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return err
	}
	var claims map[string]any
	return json.Unmarshal(text, &claims)
}

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:], i > 0
}

func (w *warm) evaluate(ctx context.Context) func() error {
	return func() error { return allows(w.policy.Decide(ctx, w.input, at)) }
}

func allows(d engine.Decision, err error) error {
	if err == nil && !d.Allow {
		err = fmt.Errorf("denied: %v", d.Reasons)
	}
	return err
}

func (w *warm) encode() error {
	reply, err := apigw.Gateway{}.Encode(w.req, w.api, engine.Reply{Allow: true, PrincipalID: "alice", Context: map[string]any{
		"tenantId": "acme", "principalId": "alice", "decisionId": "d", "revision": string(w.tenant.Revision), "plan": "gold", "roles": "viewer",
	}})
	return saysAllow(reply, err)
}

func saysAllow(reply []byte, err error) error {
	if err == nil && !strings.Contains(string(reply), `"Effect":"Allow"`) {
		err = fmt.Errorf("reply %s", reply)
	}
	return err
}

func (w *warm) whole(ctx context.Context, a *engine.Authorizer) func() error {
	return func() error { return saysAllow(a.Authorize(ctx, w.event)) }
}

// inRow runs parts one after another as one, without a pipeline around them.
func inRow(parts ...func() error) func() error {
	return func() error {
		for _, p := range parts {
			if err := p(); err != nil {
				return err
			}
		}
		return nil
	}
}

// compiling is what the published samples do: compile the policy for each request.
func (w *warm) compiling(ctx context.Context) func() error {
	return func() error {
		policy, err := w.compile(ctx)
		if err != nil {
			return err
		}
		return allows(policy.Decide(ctx, w.input, at))
	}
}

// BenchmarkBudget measures rows of DESIGN.md §14 in one run: the parts bare, beside
// the whole from event bytes to reply bytes.
func BenchmarkBudget(b *testing.B) {
	for name, w := range map[string]*warm{
		"policy=small":    newWarm(b, withoutCache(), withSmallPolicy()),
		"policy=embedded": newWarm(b, withoutCache()),
	} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			t := measure.InTurns(b, []measure.Part{
				{Name: "decode", Run: w.decode},
				{Name: "verify", Run: w.verify(ctx)},
				{Name: "signature", Run: w.signature},
				{Name: "evaluate", Run: w.evaluate(ctx)},
				{Name: "encode", Run: w.encode},
				{Name: "row", Run: inRow(w.decode, w.verify(ctx), w.evaluate(ctx), w.encode)},
				{Name: "least", Run: inRow(w.decode, w.signature, w.evaluate(ctx), w.encode)},
				{Name: "whole", Run: w.whole(ctx, w.fresh)},
				{Name: "remembered", Run: w.whole(ctx, w.reminded)},
			})
			b.ReportMetric(t["whole"]/(t["decode"]+t["verify"]+t["evaluate"]+t["encode"]), "whole/sum")
			b.ReportMetric(t["whole"]/t["row"], "whole/row")
			b.ReportMetric(t["whole"]/t["least"], "whole/least")
			b.ReportMetric(t["remembered"]/t["whole"], "remembered/whole")
		})
	}
}

// BenchmarkApart measures whole requests with the rules in a child process. It is by itself, for
// what runs behind a child finds colder caches.
func BenchmarkApart(b *testing.B) {
	for name, w := range map[string]*warm{
		"policy=small":    newWarm(b, withoutCache(), withSmallPolicy()),
		"policy=embedded": newWarm(b, withoutCache()),
	} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			t := measure.InTurns(b, []measure.Part{
				{Name: "whole", Run: w.whole(ctx, w.fresh)},
				{Name: "apart", Run: w.whole(ctx, w.apart)},
				{Name: "apart-remembered", Run: w.whole(ctx, w.apartReminded)},
			})
			b.ReportMetric(t["apart"]/t["whole"], "apart/whole")
			b.ReportMetric(t["apart-remembered"]/t["apart"], "apart-remembered/apart")
		})
	}
}

// BenchmarkCompilePerRequest measures deciding, and answering, with the policy at
// hand beside compiling it each time.
func BenchmarkCompilePerRequest(b *testing.B) {
	ctx := b.Context()
	w := newWarm(b, withoutCache())
	t := measure.InTurns(b, []measure.Part{
		{Name: "compiling", Run: w.compiling(ctx)},
		{Name: "evaluate", Run: w.evaluate(ctx)},
		{Name: "whole", Run: w.whole(ctx, w.fresh)},
		{Name: "remembered", Run: w.whole(ctx, w.reminded)},
	})
	extra := t["compiling"] - t["evaluate"]
	b.ReportMetric(t["compiling"]/t["evaluate"], "decision-x")
	b.ReportMetric((t["whole"]+extra)/t["whole"], "whole-x")
	b.ReportMetric((t["remembered"]+extra)/t["remembered"], "remembered-x")
}

// BenchmarkParts are the same parts one by one, for profiles and allocations.
func BenchmarkParts(b *testing.B) {
	ctx := b.Context()
	w := newWarm(b, withoutCache())
	cached := newWarm(b)
	for _, p := range []measure.Part{
		{Name: "decode", Run: w.decode},
		{Name: "verify", Run: w.verify(ctx)},
		{Name: "signature", Run: w.signature},
		{Name: "evaluate", Run: w.evaluate(ctx)},
		{Name: "encode", Run: w.encode},
		{Name: "whole", Run: w.whole(ctx, w.fresh)},
		{Name: "remembered", Run: w.whole(ctx, w.reminded)},
		{Name: "memoised", Run: cached.whole(ctx, cached.reminded)},
	} {
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
