package tenants

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Status says whether a tenant's requests are decided at all. The zero value is
// no status, and a tenant without one is refused like a suspended tenant.
type Status string

// The two statuses a tenant can have.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
)

// Tenant is a customer: how requests are recognised as its own, who may vouch for
// its users, its attributes, and the revision of its rules that is in force.
type Tenant struct {
	// ID is the tenant's name: [a-z0-9][a-z0-9-]{0,62}.
	ID string `json:"id"`
	// Status is active or suspended.
	Status Status `json:"status"`
	// Selectors hold the values that requests of this tenant carry.
	Selectors Selectors `json:"selectors"`
	// Attributes are handed to the rules as input.tenant.attributes. JSON values.
	Attributes map[string]any `json:"attributes,omitempty"`
	// Identity says who may vouch for callers.
	Identity Identity `json:"identity"`
	// Revision is the digest of the bundle in force; empty until one is activated.
	Revision Digest `json:"revision,omitempty"`
	// Version counts changes of the record, for conditional writes.
	Version int64 `json:"version,omitempty"`
}

// Selectors are the values by which an API's tenant selectors find a tenant. No
// two tenants may hold the same value of the same kind.
type Selectors struct {
	// Hosts are lower-case host names without a port.
	Hosts []string `json:"hosts,omitempty"`
	// Issuers are compared with a token's iss, exactly.
	Issuers []string `json:"issuers,omitempty"`
	// Values are what header:, query:, claim:, path:, stage: and api_key selectors
	// are compared with, exactly.
	Values []string `json:"values,omitempty"`
}

// SelectorKind is one of the three name spaces of Selectors.
type SelectorKind string

// The kinds of selector values.
const (
	ByHost   SelectorKind = "host"
	ByIssuer SelectorKind = "issuer"
	ByValue  SelectorKind = "value"
)

// Of returns the selector values of one kind.
func (s Selectors) Of(kind SelectorKind) []string {
	switch kind {
	case ByHost:
		return s.Hosts
	case ByIssuer:
		return s.Issuers
	case ByValue:
		return s.Values
	default:
		return nil
	}
}

// Identity is a tenant's answer to "who may vouch for your callers".
type Identity struct {
	// Anonymous lets requests without a credential reach the rules.
	Anonymous bool `json:"anonymous,omitempty"`
	// Providers are the only parties whose word counts for this tenant.
	Providers []Provider `json:"providers,omitempty"`
}

// Provider vouches for callers: an OIDC issuer whose tokens are verified with its
// key set, or an RFC 7662 introspection endpoint. Exactly one of Issuer with JWKS
// and Introspection is used.
type Provider struct {
	// Issuer must equal the token's iss, byte for byte.
	Issuer string `json:"issuer,omitempty"`
	// Audiences: the token's aud must name at least one. Required with Issuer.
	Audiences []string `json:"audiences,omitempty"`
	// Algorithms are the JWS algorithms accepted, of those in Algorithms().
	Algorithms []string `json:"algorithms,omitempty"`
	// JWKS says where the keys are.
	JWKS KeySource `json:"jwks,omitzero"`
	// Leeway widens exp, nbf and iat; zero means DefaultLeeway, at most MaxLeeway.
	Leeway time.Duration `json:"leeway,omitempty"`
	// Claims must hold in the token, compared as JSON values. They bind an issuer
	// that several tenants share to this tenant.
	Claims map[string]any `json:"claims,omitempty"`

	// Introspection is the RFC 7662 endpoint for opaque tokens.
	Introspection string `json:"introspection,omitempty"`
	// ClientID and ClientSecret authenticate Regent at the endpoint. The secret is
	// a reference that CheckSecret lets this tenant have, never the secret itself.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// AuthMethod says how they are sent: AuthBasic, which is meant by "", or AuthPost.
	AuthMethod string `json:"auth_method,omitempty"`
}

// The client authentication methods, as OAuth names them (RFC 7591 §2).
const (
	AuthBasic = "client_secret_basic" // in the Authorization header
	AuthPost  = "client_secret_post"  // in the body
)

// Bounds of Provider.Leeway.
const (
	DefaultLeeway = 30 * time.Second
	MaxLeeway     = 60 * time.Second
)

// KeySource says where a provider's keys are. One field is set.
type KeySource struct {
	// Discovery reads jwks_uri from the issuer's OIDC discovery document.
	Discovery bool `json:"discovery,omitempty"`
	// URL is the address of the key set.
	URL string `json:"url,omitempty"`
	// Inline is the key set itself, as JSON.
	Inline json.RawMessage `json:"inline,omitempty"`
}

// Algorithms returns the JWS algorithms that a provider may list. All are
// asymmetric: a shared secret in a public key set would let anybody sign.
func Algorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA",
	}
}

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ValidID reports whether id has the form of a tenant id. What has not that form
// is never looked up in a store.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Validate reports everything that is wrong with the record, each as a
// *FieldError, joined.
func (t Tenant) Validate() error {
	var p problems
	if !ValidID(t.ID) {
		p.add("id", "%q is not a tenant id: lower-case letters, digits and hyphens, at most 63, not starting with a hyphen", t.ID)
	}
	if t.Status != Active && t.Status != Suspended {
		p.add("status", "%q is not a status: active or suspended", t.Status)
	}
	for i, h := range t.Selectors.Hosts {
		if h == "" || h != strings.ToLower(h) || strings.ContainsAny(h, ":/ \t") {
			p.add(index("selectors.hosts", i), "%q is not a lower-case host name without a port", h)
		}
	}
	for _, kind := range []SelectorKind{ByHost, ByIssuer, ByValue} {
		for i, v := range t.Selectors.Of(kind) {
			at := index("selectors."+string(kind)+"s", i)
			if v == "" {
				p.add(at, "an empty value would match requests that carry none")
			} else if len(v) > maxSelector {
				p.add(at, "longer than %d bytes", maxSelector)
			}
		}
	}
	for i, provider := range t.Identity.Providers {
		provider.validate(t.ID, index("identity.providers", i), &p)
	}
	if len(t.Identity.Providers) == 0 && !t.Identity.Anonymous {
		p.add("identity.providers", "nobody can vouch for this tenant's callers: name a provider, or set identity.anonymous")
	}
	return p.err()
}

const maxSelector = 512

func (v Provider) validate(id, at string, p *problems) {
	if v.Introspection != "" {
		v.validateIntrospection(id, at, p)
		return
	}
	if v.Issuer == "" {
		p.add(at+".issuer", "required: the iss that tokens of this provider carry (or introspection, for opaque tokens)")
	}
	if len(v.Audiences) == 0 || slices.Contains(v.Audiences, "") {
		p.add(at+".audiences", "required, without empty entries: a token made for somebody else must not count here")
	}
	if len(v.Algorithms) == 0 {
		p.add(at+".algorithms", "required: the algorithms this provider signs with, such as ES256 or RS256")
	}
	for i, a := range v.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			p.add(index(at+".algorithms", i), "%q is not accepted: use one of %s", a, strings.Join(Algorithms(), ", "))
		}
	}
	set := 0
	for _, is := range []bool{v.JWKS.Discovery, v.JWKS.URL != "", len(v.JWKS.Inline) > 0} {
		if is {
			set++
		}
	}
	if set != 1 {
		p.add(at+".jwks", "required: discovery, the URL of a key set, or an inline key set")
	}
	if v.JWKS.URL != "" {
		validateURL(at+".jwks", v.JWKS.URL, p)
	}
	if v.JWKS.Discovery && v.Issuer != "" {
		validateURL(at+".issuer", v.Issuer, p)
	}
	v.validateLeeway(at, p)
	if v.ClientID != "" || v.ClientSecret != "" {
		p.add(at+".client_id", "belongs to introspection only")
	}
	if v.AuthMethod != "" {
		p.add(at+".auth_method", "belongs to introspection only")
	}
}

func (v Provider) validateIntrospection(id, at string, p *problems) {
	validateURL(at+".introspection", v.Introspection, p)
	if v.ClientID == "" {
		p.add(at+".client_id", "required: the endpoint must know who asks (RFC 7662 §2.1)")
	}
	if err := CheckSecret(id, v.ClientSecret); err != nil {
		p.add(at+".client_secret", "%v", err)
	}
	if !slices.Contains([]string{"", AuthBasic, AuthPost}, v.AuthMethod) {
		p.add(at+".auth_method", "%q is not a method: %s or %s", v.AuthMethod, AuthBasic, AuthPost)
	}
	if v.JWKS.Discovery || v.JWKS.URL != "" || len(v.JWKS.Inline) > 0 || len(v.Algorithms) > 0 {
		p.add(at+".jwks", "a provider either signs tokens (jwks, algorithms) or answers introspection: make it two providers")
	}
	v.validateLeeway(at, p)
}

func (v Provider) validateLeeway(at string, p *problems) {
	if v.Leeway < 0 || v.Leeway > MaxLeeway {
		p.add(at+".leeway", "%s is outside 0s to %s", v.Leeway, MaxLeeway)
	}
}

// validateURL checks the form only. Whether the address behind it may be reached
// is judged when it is dialled, and http is refused there unless private
// providers are allowed.
func validateURL(at, s string, p *problems) {
	u, err := url.Parse(s)
	if err != nil {
		p.add(at, "is not a URL") // which may have a password in it, so it is not repeated
		return
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		p.add(at, "%q is not an https URL without user information and fragment", u.Redacted())
	}
}

func index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
