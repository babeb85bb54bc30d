package engine

import (
	"context"
	"time"

	"regent/tenants"
)

// IdentityKind says how a caller was proven. The zero value proves nothing.
type IdentityKind string

// The kinds of identity.
const (
	JWT       IdentityKind = "jwt"
	Opaque    IdentityKind = "opaque"
	Anonymous IdentityKind = "anonymous"
)

// Identity is a proven caller. It never contains the credential.
type Identity struct {
	Kind    IdentityKind `json:"kind"`
	Subject string       `json:"subject"`
	Issuer  string       `json:"issuer"`
	Scopes  []string     `json:"scopes"`
	// Claims are JSON values: numbers are json.Number.
	Claims map[string]any `json:"claims"`
	// Expires is when the proof ends; the zero time for an anonymous caller.
	Expires time.Time `json:"-"`
}

// Verifier proves who a credential belongs to.
type Verifier interface {
	// Peek returns the claims that a credential states, unproven: good for finding
	// out whom to ask, never for deciding. It returns false for a credential that
	// states nothing readable.
	Peek(credential string) (claims map[string]any, ok bool)
	// Verify proves a credential with the tenant's own providers and no others, as
	// of the instant now. It returns *Unauthorized for a credential that proves
	// nothing, and *Trouble where a provider could not be asked. It does not retain
	// or reveal the credential.
	Verify(ctx context.Context, tenant tenants.Tenant, credential string, now time.Time) (Identity, error)
}
