package dir

import (
	"fmt"

	"regent/tenants"
)

// crossCheck finds contradictions between values that are each fine by themselves.
func (l *loading) crossCheck() {
	l.uniqueAPIs()
	l.uniqueSelectors()
	l.providers()
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

// providers reports what tenants.CheckProviders finds, where it is written.
func (l *loading) providers() {
	all := make([]tenants.Tenant, len(l.tenants))
	for i, t := range l.tenants {
		all[i] = t.value
	}
	joined, _ := tenants.CheckProviders(all).(interface{ Unwrap() []error })
	if joined == nil {
		return
	}
	for _, err := range joined.Unwrap() {
		switch err := err.(type) {
		case *tenants.SharedIssuerError:
			a, b := l.tenants[err.First.Tenant], l.tenants[err.Second.Tenant]
			b.fail(err.Second.Field(), "give each tenant's provider claims that only its own tokens carry, such as claims: {org_id: ...}, or an audience of its own",
				"tenants %q (%s) and %q (%s) both accept tokens of %s for the same audience, so a token of one would count at the other",
				err.First.ID, a.position(err.First.Field()), err.Second.ID, b.position(err.Second.Field()), err.Authority)
		case *tenants.ForeignSecretError:
			l.tenants[err.At.Tenant].fail(err.At.Field()+".client_secret", "rename the variable, or put the secret in a file",
				"the name of this variable makes it a secret of tenant %q", err.Owner)
		default:
			l.errs.addf("tenants", "%v", err)
		}
	}
}
