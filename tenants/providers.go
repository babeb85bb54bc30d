package tenants

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CheckProviders finds what no tenant's record shows by itself: two tenants that one
// token could serve, and a tenant that names another's secret. Its error joins a
// *SharedIssuerError or *ForeignSecretError for each. It holds for records of any
// store; each is taken to be valid.
func CheckProviders(all []Tenant) error {
	return errors.Join(append(sharedIssuers(all), foreignSecrets(all)...)...)
}

// ProviderAt is a provider's place among the tenants that were checked.
type ProviderAt struct {
	// ID is the tenant's id, and Tenant its index in the list.
	ID     string
	Tenant int
	// Provider is the index in Identity.Providers.
	Provider int
}

// Field is the path of the provider in its tenant's record.
func (p ProviderAt) Field() string { return index("identity.providers", p.Provider) }

// SharedIssuerError is two tenants' providers whose tokens cannot be told apart: the
// same issuer or introspection endpoint, an audience in common, and claims of which
// one's all hold for the other's tokens too.
type SharedIssuerError struct {
	First, Second ProviderAt
	// Authority is the issuer or the endpoint.
	Authority string
}

// Error says which two, and what to do.
func (e *SharedIssuerError) Error() string {
	return fmt.Sprintf("tenants %q (%s) and %q (%s) both accept tokens of %s for the same audience, so a token of one would count at the other: give each tenant's provider claims that only its own tokens carry, or an audience of its own",
		e.First.ID, e.First.Field(), e.Second.ID, e.Second.Field(), e.Authority)
}

// ForeignSecretError is a provider that refers to another tenant's secret.
type ForeignSecretError struct {
	At ProviderAt
	// Owner is the id of the tenant whose secret it is.
	Owner string
}

// Error says whose secret it is.
func (e *ForeignSecretError) Error() string {
	return fmt.Sprintf("tenant %q (%s.client_secret) refers to a secret of tenant %q: its name begins with that tenant's prefix %s",
		e.At.ID, e.At.Field(), e.Owner, environmentPrefix(e.Owner))
}

// foreignSecrets gives each environment variable to the tenant with the longest
// prefix. The other kinds of reference name one tenant by themselves.
func foreignSecrets(all []Tenant) (found []error) {
	owners := map[string]string{}
	for _, t := range all {
		owners[environmentPrefix(t.ID)] = t.ID
	}
	for i, t := range all {
		for j, p := range t.Identity.Providers {
			name, ok := strings.CutPrefix(p.ClientSecret, "env:")
			if !ok {
				continue
			}
			if owner := longest(owners, name); owner != "" && owner != t.ID {
				found = append(found, &ForeignSecretError{At: ProviderAt{t.ID, i, j}, Owner: owner})
			}
		}
	}
	return found
}

// longest returns the value of the longest key that ends with an underscore of name
// and begins it.
func longest(owners map[string]string, name string) string {
	for end := strings.LastIndexByte(name, '_'); end >= 0; end = strings.LastIndexByte(name[:end], '_') {
		if owner, there := owners[name[:end+1]]; there {
			return owner
		}
	}
	return ""
}

// voucher is a provider of a tenant, as far as it matters for telling its tokens
// from those of another tenant.
type voucher struct {
	at     ProviderAt
	issuer string
	// audiences are those accepted; none means any.
	audiences []string
	// claims are the binding claims as JSON.
	claims map[string]string
}

func newVoucher(at ProviderAt, p Provider) voucher {
	v := voucher{at: at, issuer: p.Issuer, audiences: p.Audiences, claims: map[string]string{}}
	for name, value := range p.Claims {
		b, _ := json.Marshal(value) // a valid record's claims are JSON
		v.claims[name] = string(b)
	}
	return v
}

// sharedIssuers finds the first that each provider's tokens cannot be told apart from.
func sharedIssuers(all []Tenant) (found []error) {
	byAuthority := map[string]*vouchers{}
	for i, t := range all {
		for j, p := range t.Identity.Providers {
			v, told := newVoucher(ProviderAt{t.ID, i, j}, p), false
			for _, authority := range authorities(p) {
				if byAuthority[authority] == nil {
					byAuthority[authority] = &vouchers{having: map[claim][]voucher{}}
				}
				if other, clash := byAuthority[authority].add(v); clash && !told {
					found = append(found, &SharedIssuerError{First: other.at, Second: v.at, Authority: authority})
					told = true
				}
			}
		}
	}
	return found
}

// authorities are the endpoint and the issuer. An endpoint that is configured with an
// issuer is asked about that issuer's JWTs too, as another tenant may verify them.
func authorities(p Provider) (found []string) {
	for _, authority := range []string{p.Introspection, p.Issuer} {
		if authority != "" {
			found = append(found, authority)
		}
	}
	return found
}

// claim is a binding claim, its value as JSON.
type claim struct{ name, value string }

// vouchers are those of one authority. Only two that have a claim in common, or of
// which one has none, can clash: with the index, a thousand tenants that are bound
// to one issuer by a claim each are not compared in pairs.
type vouchers struct {
	all, unbound []voucher
	having       map[claim][]voucher
}

// add adds a voucher, and returns one that it clashes with.
func (vs *vouchers) add(v voucher) (other voucher, clash bool) {
	other, clash = v.clash(vs.unbound)
	if len(v.claims) == 0 {
		other, clash = v.clash(vs.all)
		vs.unbound = append(vs.unbound, v)
	}
	for _, name := range slices.Sorted(maps.Keys(v.claims)) {
		c := claim{name, v.claims[name]}
		if !clash {
			other, clash = v.clash(vs.having[c])
		}
		vs.having[c] = append(vs.having[c], v)
	}
	vs.all = append(vs.all, v)
	return other, clash
}

// clash returns the first of others that a token could serve as well as v.
func (v voucher) clash(others []voucher) (voucher, bool) {
	for _, other := range others {
		if other.at.Tenant != v.at.Tenant && v.shares(other) && (v.within(other) || other.within(v)) {
			return other, true
		}
	}
	return voucher{}, false
}

// shares reports whether one token can have an issuer and an audience of both.
func (v voucher) shares(other voucher) bool {
	if v.issuer != "" && other.issuer != "" && v.issuer != other.issuer {
		return false
	}
	if len(v.audiences) == 0 || len(other.audiences) == 0 {
		return true
	}
	return slices.ContainsFunc(v.audiences, func(a string) bool { return slices.Contains(other.audiences, a) })
}

// within reports whether every claim that v asks for is one that other asks for.
func (v voucher) within(other voucher) bool {
	for name, value := range v.claims {
		if found, ok := other.claims[name]; !ok || found != value {
			return false
		}
	}
	return true
}
