package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"regent/engine"
	"regent/tenants"
)

// Config is what an operator chooses. The zero value is right for production.
type Config struct {
	// AllowPrivate lets providers be reached over http, on any port and at private
	// and loopback addresses: for development and tests.
	AllowPrivate bool
	// RootCAs are the authorities that providers' certificates are checked with;
	// nil means the system's.
	RootCAs *x509.CertPool
	// MaxLifetime is the longest exp may be after iat; zero means no limit. With a
	// limit, tokens without iat are refused.
	MaxLifetime time.Duration
	// Remember is how many verified tokens are remembered. Zero means 1024, a
	// negative number none.
	Remember int
	// Secret reads the secret that the configuration of the tenant with this id refers
	// to, at every use. Nil means ReadSecret, which knows env: and file:. Another one
	// must hold references to tenants.CheckSecret, as ReadSecret does, for a record is
	// not always validated where it was written. Its errors are logged and must not have
	// the secret in them.
	Secret func(ctx context.Context, tenant, reference string) (string, error)
}

// Verifier proves who a credential belongs to. Make it with New; it implements
// engine.Verifier and may be used by many goroutines.
type Verifier struct {
	config       Config
	counters     *counters
	keys         *keySources
	memory       *memory
	introspector *introspector
}

var _ engine.Verifier = (*Verifier)(nil)

// New builds a Verifier with empty caches.
func New(config Config) *Verifier { return newVerifier(config, newClock()) }

func newVerifier(config Config, c clock) *Verifier {
	counted := &counters{}
	f := newFetcher(config, counted)
	return &Verifier{
		config:       config,
		counters:     counted,
		keys:         newKeySources(f, c),
		memory:       newMemory(config.Remember),
		introspector: newIntrospector(config, f, c),
	}
}

// Peek returns the claims that a JWT states, unproven. It returns false for opaque
// tokens and for everything that is not strict compact serialization.
func (v *Verifier) Peek(credential string) (map[string]any, bool) { return peek(credential) }

// Verify proves a credential with the tenant's own providers, as of the instant
// now. It returns *engine.Unauthorized with one of this package's codes, or
// *engine.Trouble with CodeProvider. The claims it returns are shared: they must
// not be changed.
func (v *Verifier) Verify(ctx context.Context, tenant tenants.Tenant, credential string, now time.Time) (engine.Identity, error) {
	if now.IsZero() {
		return engine.Identity{}, engine.Troublef(CodeProvider, "no instant to judge the token at")
	}
	if len(credential) > maxToken {
		return engine.Identity{}, refuse(CodeTokenTooLong, "the token has more than 8192 bytes")
	}
	if endpoints := introspecting(tenant); len(endpoints) > 0 && !isJWTShaped(credential) {
		return v.introspect(ctx, tenant, endpoints, credential, now)
	}
	if identity, ok := v.recall(ctx, tenant, credential, now); ok {
		return identity, nil
	}
	t, err := parse(credential)
	if err != nil {
		return engine.Identity{}, err
	}
	if t.bringsKey {
		v.counters.keysInHeader.Add(1)
	}
	return v.verifyJWT(ctx, tenant, t, now)
}

// verifyJWT asks the providers that the token's issuer and audience fit, in the
// order of the configuration. One that could not be asked might have accepted, so
// its trouble outweighs the others' refusals.
func (v *Verifier) verifyJWT(ctx context.Context, tenant tenants.Tenant, t *token, now time.Time) (engine.Identity, error) {
	issuer, _ := t.claims["iss"].(string)
	if issuer == "" {
		return engine.Identity{}, refuse(CodeClaimMalformed, "iss is absent or not a string")
	}
	signing, introspecting := issuing(tenant, issuer)
	switch {
	case len(signing) > 0:
	case len(introspecting) > 0:
		return v.introspect(ctx, tenant, introspecting, t.compact, now)
	default:
		return engine.Identity{}, refuse(CodeIssuerUnknown, "no provider of the tenant has the issuer that the token states")
	}
	var verdict error
	for _, p := range signing {
		if !isAudience(t.claims["aud"], p.Audiences) {
			continue
		}
		proof, err := v.verifyWith(ctx, tenant.ID, p, t, now)
		if err == nil {
			v.memory.add(tenant, t.compact, proof)
			return proof.identity, nil
		}
		verdict = graver(verdict, err)
	}
	if verdict == nil {
		verdict = refuse(CodeAudienceMismatch, "aud names none of the provider's audiences")
	}
	return engine.Identity{}, verdict
}

// introspect asks endpoints in order until one says yes.
func (v *Verifier) introspect(ctx context.Context, tenant tenants.Tenant, endpoints []tenants.Provider, token string, now time.Time) (engine.Identity, error) {
	var verdict error
	for _, p := range endpoints {
		identity, err := v.introspector.prove(ctx, tenant, p, token, now)
		if err == nil {
			return identity, nil
		}
		verdict = graver(verdict, err)
	}
	return engine.Identity{}, verdict
}

func introspecting(tenant tenants.Tenant) (endpoints []tenants.Provider) {
	for _, p := range tenant.Identity.Providers {
		if p.Introspection != "" {
			endpoints = append(endpoints, p)
		}
	}
	return endpoints
}

// issuing returns the providers with an issuer: those with keys, and endpoints.
func issuing(tenant tenants.Tenant, issuer string) (signing, introspecting []tenants.Provider) {
	for _, p := range tenant.Identity.Providers {
		switch {
		case p.Issuer != issuer:
		case p.Introspection != "":
			introspecting = append(introspecting, p)
		default:
			signing = append(signing, p)
		}
	}
	return signing, introspecting
}

// graver returns the first refusal, or the first trouble if there is any.
func graver(a, b error) error {
	var trouble *engine.Trouble
	if a == nil || (!errors.As(a, &trouble) && errors.As(b, &trouble)) {
		return b
	}
	return a
}

// verifyWith judges a token by one provider's rules. Issuer and audience are known
// to fit.
func (v *Verifier) verifyWith(ctx context.Context, tenant string, p tenants.Provider, t *token, now time.Time) (proof, error) {
	if err := t.checkAlgorithm(p.Algorithms); err != nil {
		return proof{}, err
	}
	identity, valid, err := v.judge(p, t.claims, now)
	if err != nil {
		return proof{}, err
	}
	keys, err := v.keys.of(ctx, tenant, p, t.kid, now)
	if err != nil {
		return proof{}, err
	}
	if err := t.verifyBy(keys, p.Algorithms); err != nil {
		return proof{}, err
	}
	return proof{provider: p, keys: keys, kid: t.kid, valid: valid, identity: identity}, nil
}

// judge applies every rule on a JWT's claims but iss and aud, and says whose
// identity they would be, were they signed.
func (v *Verifier) judge(p tenants.Provider, claims map[string]any, now time.Time) (engine.Identity, validity, error) {
	if err := checkKind(claims); err != nil {
		return engine.Identity{}, validity{}, err
	}
	valid, err := readValidity(claims, v.config.MaxLifetime)
	if err != nil {
		return engine.Identity{}, valid, err
	}
	if valid.expires.IsZero() {
		return engine.Identity{}, valid, refuse(CodeClaimMalformed, "exp is absent")
	}
	if err := valid.check(now, leeway(p)); err != nil {
		return engine.Identity{}, valid, err
	}
	if err := checkBinding(p.Claims, claims); err != nil {
		return engine.Identity{}, valid, err
	}
	identity := engine.Identity{Kind: engine.JWT, Issuer: p.Issuer, Claims: claims, Expires: valid.expires}
	if identity.Subject, err = readSubject(claims); err != nil {
		return engine.Identity{}, valid, err
	}
	identity.Scopes, err = readScopes(claims)
	return identity, valid, err
}
