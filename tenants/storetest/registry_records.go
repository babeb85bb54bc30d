package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"regent/tenants"
)

func versionsGrow(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	api := must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
	for range 2 {
		last, lastAPI := tenant.Version, api.Version
		check(t, "DeleteTenant", r.DeleteTenant(t.Context(), tenant.ID, tenant.Version))
		check(t, "DeleteAPI", r.DeleteAPI(t.Context(), api.ID, api.Version))
		tenant = must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
		api = must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
		if tenant.Version <= last || api.Version <= lastAPI {
			t.Errorf("tenant: version %d after %d, API: %d after %d", tenant.Version, last, api.Version, lastAPI)
		}
		a := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", activationOf(bundles[1], tenant.Version, "ann")))
		tenant.Version = a.Version
	}
}

func everyAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	same(t, "APIs of nothing", []tenants.API(nil), must[[]tenants.API](t)(r.APIs(t.Context())))
	var want []tenants.API
	for _, a := range append(standardAPIs(), apiOf("zz"), apiOf("0"), apiOf("a1")) {
		want = append(want, must[tenants.API](t)(r.PutAPI(t.Context(), a)))
	}
	slices.SortFunc(want, func(a, b tenants.API) int { return cmp.Compare(a.ID, b.ID) })
	same(t, "APIs", want, must[[]tenants.API](t)(r.APIs(t.Context())))
	check(t, "DeleteAPI", r.DeleteAPI(t.Context(), want[1].ID, want[1].Version))
	same(t, "APIs without one", slices.Delete(want, 1, 2), must[[]tenants.API](t)(r.APIs(t.Context())))
}

func putAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.API](t)(r.PutAPI(t.Context(), standardAPIs()[0]))
	next := standardAPIs()[1]
	next.ID, next.Version = stored.ID, stored.Version
	next = must[tenants.API](t)(r.PutAPI(t.Context(), next))
	same(t, "the API", next, must[tenants.API](t)(r.API(t.Context(), stored.ID)))
	if len(next.Routes) != 0 || next.Upstream != "" {
		t.Errorf("something of the old one is left: %+v", next)
	}
}

func apiReturned(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, a := range standardAPIs() {
		last := int64(0)
		for range 2 {
			stored := must[tenants.API](t)(r.PutAPI(t.Context(), a))
			if stored.Version <= last {
				t.Errorf("API %s: version %d after %d", a.ID, stored.Version, last)
			}
			a.Version, last = stored.Version, stored.Version
			same(t, "what PutAPI returns", a, stored)
			same(t, "what is stored", stored, must[tenants.API](t)(r.API(t.Context(), a.ID)))
		}
	}
}

func deleteAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.API](t)(r.PutAPI(t.Context(), apiOf("a1b2c3")))
	wants(t, "DeleteAPI of another version", r.DeleteAPI(t.Context(), stored.ID, stored.Version+1), tenants.ErrConflict)
	check(t, "DeleteAPI", r.DeleteAPI(t.Context(), stored.ID, stored.Version))
	wants(t, "API after that", second(r.API(t.Context(), stored.ID)), tenants.ErrNotFound)
}

func deleteNoAPI(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, id := range strangers() {
		wants(t, fmt.Sprintf("DeleteAPI of %q", id), r.DeleteAPI(t.Context(), id, 1), tenants.ErrNotFound)
	}
}

func everyTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	same(t, "Tenants of nothing", []tenants.Tenant(nil), must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
	var want []tenants.Tenant
	for _, tenant := range Standard().Tenants {
		want = append(want, must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenant.Record)))
	}
	// More than one page of anything that pages.
	for n := range 120 {
		want = append(want, must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf(fmt.Sprint("t", n)))))
	}
	slices.SortFunc(want, func(a, b tenants.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	same(t, "Tenants", want, must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), want[1].ID, want[1].Version))
	same(t, "Tenants without one", slices.Delete(want, 1, 2), must[[]tenants.Tenant](t)(r.Tenants(t.Context())))
}

func putTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), acme()))
	same(t, "the new tenant", stored, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	next := tenantOf("acme", "other.example")
	next.Version = stored.Version
	next = must[tenants.Tenant](t)(r.PutTenant(t.Context(), next))
	same(t, "the tenant", next, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for _, v := range acme().Selectors.Of(kind) {
			wants(t, fmt.Sprintf("%s %q, which it had", kind, v), second(r.Select(t.Context(), kind, v)), tenants.ErrNotFound)
		}
	}
	same(t, "the host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "other.example")))
}

func revisionUntouched(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	change := tenant
	change.Status, change.Revision = tenants.Suspended, bundles[1].Digest()
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), change))
	if stored.Revision != bundles[0].Digest() || stored.Status != tenants.Suspended {
		t.Errorf("PutTenant returned %s with revision %s", stored.Status, stored.Revision.Short())
	}
	same(t, "the tenant", stored, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
	active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	if active.To != bundles[0].Digest() || active.Version != stored.Version {
		t.Errorf("Active: %s at version %d, want %s at %d", active.To.Short(), active.Version, bundles[0].Digest().Short(), stored.Version)
	}
	fresh := tenantOf("bolt")
	fresh.Revision = bundles[1].Digest()
	if stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), fresh)); stored.Revision != "" {
		t.Errorf("a new tenant has revision %s", stored.Revision.Short())
	}
}

func taken(t testing.TB, b Backend) {
	r := b.Open(t)
	check(t, "PutTenant", second(r.PutTenant(t.Context(), tenantOf("acme", "shared.example"))))
	bolt := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("bolt", "bolt.example")))
	for _, version := range []int64{0, bolt.Version} {
		rival := tenantOf("bolt", "bolt.example", "shared.example", "free.example")
		if version == 0 {
			rival.ID = "carl"
			rival.Selectors.Hosts = rival.Selectors.Hosts[1:]
		}
		rival.Version = version
		_, err := r.PutTenant(t.Context(), rival)
		var taken *tenants.TakenError
		if !errors.As(err, &taken) || *taken != (tenants.TakenError{Kind: tenants.ByHost, Value: "shared.example", Tenant: "acme"}) {
			t.Errorf("PutTenant %s: %v, want that host shared.example names acme", rival.ID, err)
		}
	}
	same(t, "the host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "shared.example")))
	wants(t, "what was not written", second(r.Select(t.Context(), tenants.ByHost, "free.example")), tenants.ErrNotFound)
	same(t, "bolt", bolt, must[tenants.Tenant](t)(r.Tenant(t.Context(), "bolt")))
	wants(t, "carl", second(r.Tenant(t.Context(), "carl")), tenants.ErrNotFound)
	// The other kinds are other name spaces.
	bolt.Selectors.Values = []string{"shared.example"}
	check(t, "PutTenant with a value", second(r.PutTenant(t.Context(), bolt)))
}

func deleteTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), acme()))
	wants(t, "DeleteTenant of another version", r.DeleteTenant(t.Context(), "acme", stored.Version+1), tenants.ErrConflict)
	same(t, "a host after that", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "api.acme.example")))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), "acme", stored.Version))
	wants(t, "Tenant after that", second(r.Tenant(t.Context(), "acme")), tenants.ErrNotFound)
	wants(t, "Select after that", second(r.Select(t.Context(), tenants.ByHost, "api.acme.example")), tenants.ErrNotFound)
	// What it held is free.
	heir := acme()
	heir.ID = "heir"
	check(t, "PutTenant of another with the same selectors", second(r.PutTenant(t.Context(), heir)))
	same(t, "the host", "heir", must[string](t)(r.Select(t.Context(), tenants.ByHost, "api.acme.example")))
}

func deleteNoTenant(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, id := range strangers() {
		wants(t, fmt.Sprintf("DeleteTenant of %q", id), r.DeleteTenant(t.Context(), id, 1), tenants.ErrNotFound)
	}
}
