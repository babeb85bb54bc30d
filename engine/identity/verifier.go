package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
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
	// Secret reads the secret that a tenant's configuration refers to, at every use.
	// Nil means ReadSecret. Its errors are logged and must not have the secret in them.
	Secret func(ctx context.Context, reference string) (string, error)
}

// Verifier proves who a credential belongs to. Make it with New; it implements
// engine.Verifier and may be used by many goroutines.
type Verifier struct {
	config Config
	keys   *keySources
}

var _ engine.Verifier = (*Verifier)(nil)

// New builds a Verifier with empty caches.
func New(config Config) *Verifier {
	return &Verifier{config: config, keys: newKeySources()}
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
	t, err := parse(credential)
	if err != nil {
		return engine.Identity{}, err
	}
	return v.verifyJWT(ctx, tenant, t, now)
}

// verifyJWT asks the providers that the token's issuer and audience fit, in the
// order of the configuration. One that could not be asked might have accepted, so
// its trouble outweighs the others' refusals.
func (v *Verifier) verifyJWT(ctx context.Context, tenant tenants.Tenant, t *token, now time.Time) (engine.Identity, error) {
	providers, err := candidates(tenant.Identity.Providers, t.claims)
	if err != nil {
		return engine.Identity{}, err
	}
	var refusal error
	for _, p := range providers {
		identity, err := v.verifyWith(ctx, p, t, now)
		if err == nil {
			return identity, nil
		}
		refusal = graver(refusal, err)
	}
	return engine.Identity{}, refusal
}

// candidates are the providers with keys whose issuer the token states, and one of
// whose audiences it names.
func candidates(providers []tenants.Provider, claims map[string]any) ([]tenants.Provider, error) {
	issuer, _ := claims["iss"].(string)
	if issuer == "" {
		return nil, refuse(CodeClaimMalformed, "iss is absent or not a string")
	}
	var issued, fit []tenants.Provider
	for _, p := range providers {
		if p.Introspection == "" && p.Issuer == issuer {
			issued = append(issued, p)
			if isAudience(claims["aud"], p.Audiences) {
				fit = append(fit, p)
			}
		}
	}
	switch {
	case len(issued) == 0:
		return nil, refuse(CodeIssuerUnknown, "no provider of the tenant has the issuer that the token states")
	case len(fit) == 0:
		return nil, refuse(CodeAudienceMismatch, "aud names none of the provider's audiences")
	}
	return fit, nil
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
func (v *Verifier) verifyWith(ctx context.Context, p tenants.Provider, t *token, now time.Time) (engine.Identity, error) {
	if !slices.Contains(p.Algorithms, t.alg) || !slices.Contains(tenants.Algorithms(), t.alg) {
		return engine.Identity{}, refuse(CodeAlgorithmNotAllowed, "alg is not among the provider's algorithms")
	}
	identity, _, err := v.judge(p, t.claims, now)
	if err != nil {
		return engine.Identity{}, err
	}
	set, err := v.keys.of(ctx, p, t, now)
	if err != nil {
		return engine.Identity{}, err
	}
	key, err := set.find(t)
	if err != nil {
		return engine.Identity{}, err
	}
	if err := t.verify(key); err != nil {
		return engine.Identity{}, err
	}
	return identity, nil
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
