package dir

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"regent/tenants"
)

// crossCheck finds contradictions between values that are each fine by themselves.
func (l *loading) crossCheck() {
	l.uniqueAPIs()
	l.uniqueSelectors()
	l.boundIssuers()
}

func (l *loading) uniqueAPIs() {
	first := map[string]placed[tenants.API]{}
	for _, r := range l.regs {
		id := r.value.ID
		if other, twice := first[id]; twice && id != "" {
			r.fail("id", "", "API %q is there twice, first at %s", id, other.position("id"))
			continue
		}
		first[id] = r
	}
}

// uniqueSelectors sees to it that a selector value names one tenant.
func (l *loading) uniqueSelectors() {
	type holder struct {
		tenant placed[tenants.Tenant]
		field  string
	}
	first := map[selector]holder{}
	for _, t := range l.tenants {
		for _, kind := range selectorKinds() {
			for i, value := range t.value.Selectors.Of(kind) {
				field := fmt.Sprintf("selectors.%ss[%d]", kind, i)
				if other, twice := first[selector{kind, value}]; twice && value != "" {
					t.fail(field, "", "%q already names tenant %q (%s)", value, other.tenant.value.ID, other.tenant.position(other.field))
					continue
				}
				first[selector{kind, value}] = holder{t, field}
			}
		}
	}
}

// voucher is a provider of a tenant, as far as it matters for telling its tokens
// from those of another tenant.
type voucher struct {
	tenant placed[tenants.Tenant]
	field  string
	// authority is the issuer, or the introspection endpoint.
	authority string
	// audiences are those accepted; none means any.
	audiences []string
	// claims are the binding claims as JSON.
	claims map[string]string
}

// boundIssuers refuses two tenants that a single token could serve: the same
// authority, an audience in common, and binding claims that do not keep them
// apart, because one tenant's claims all hold for the other's tokens too.
func (l *loading) boundIssuers() {
	byAuthority := map[string]*vouchers{}
	for _, t := range l.tenants {
		for i, p := range t.value.Identity.Providers {
			v := newVoucher(t, fmt.Sprintf("identity.providers[%d]", i), p)
			if v.authority == "" {
				continue // an error by itself, reported elsewhere
			}
			if byAuthority[v.authority] == nil {
				byAuthority[v.authority] = &vouchers{having: map[claim][]voucher{}}
			}
			if other, clash := byAuthority[v.authority].add(v); clash {
				v.fail(other)
			}
		}
	}
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

func newVoucher(t placed[tenants.Tenant], field string, p tenants.Provider) voucher {
	v := voucher{tenant: t, field: field, authority: p.Issuer, audiences: p.Audiences, claims: map[string]string{}}
	if p.Introspection != "" {
		v.authority = p.Introspection
	}
	for name, value := range p.Claims {
		b, _ := json.Marshal(value) // values come from YAML and are JSON
		v.claims[name] = string(b)
	}
	return v
}

// clash returns the first of others that a token could serve as well as v.
func (v voucher) clash(others []voucher) (voucher, bool) {
	for _, other := range others {
		if other.tenant.doc != v.tenant.doc && v.shares(other) && (v.within(other) || other.within(v)) {
			return other, true
		}
	}
	return voucher{}, false
}

// shares reports whether one token can have an audience of both.
func (v voucher) shares(other voucher) bool {
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

func (v voucher) fail(other voucher) {
	a, b := other.tenant, v.tenant
	v.tenant.fail(v.field, "give each tenant's provider claims that only its own tokens carry, such as claims: {org_id: ...}, or an audience of its own",
		"tenants %q (%s) and %q (%s) both accept tokens of %s for the same audience, so a token of one would count at the other",
		a.value.ID, a.position(other.field), b.value.ID, b.position(v.field), v.authority)
}
