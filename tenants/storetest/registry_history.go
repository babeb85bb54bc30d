package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"regent/tenants"
)

func historyStays(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	revisions := must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme"))
	audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme"))
	check(t, "DeleteTenant", r.DeleteTenant(t.Context(), "acme", tenant.Version))
	same(t, "Revisions", revisions, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	same(t, "Activations", audit, must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")))
	holds(t, r, bundles[1])
	wants(t, "Active", second(r.Active(t.Context(), "acme")), tenants.ErrNotFound)
	again := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
	if again.Revision != "" {
		t.Errorf("the new tenant begins with revision %s", again.Revision.Short())
	}
	check(t, "Activate", second(r.Activate(t.Context(), "acme", activationOf(bundles[1], again.Version, "ann"))))
	if audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")); len(audit) != 2 {
		t.Errorf("%d audit items, want 2", len(audit))
	}
}

func putRevision(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{"acme", tenants.PlatformOwner, tenants.WorkspaceOwner} {
		bundle := bundleOf(t, len(owner))
		want := revisionOf(bundle, 1)
		check(t, "PutRevision", r.PutRevision(t.Context(), owner, bundle, want))
		same(t, "Revisions of "+owner, []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), owner)))
		holds(t, r, bundle)
	}
	for _, owner := range []string{"", "Acme", "acme#x", "a/b", "platform "} {
		if err := r.PutRevision(t.Context(), owner, bundleOf(t, 1), revisionOf(bundleOf(t, 1), 1)); err == nil {
			t.Errorf("PutRevision for owner %q: no error", owner)
		}
	}
}

func putRevisionAgain(t testing.TB, b Backend) {
	r := b.Open(t)
	bundle := bundleOf(t, 1)
	want := revisionOf(bundle, 1)
	check(t, "PutRevision", r.PutRevision(t.Context(), "acme", bundle, want))
	later := revisionOf(bundle, 2)
	later.Author = "somebody else"
	check(t, "PutRevision again", r.PutRevision(t.Context(), "acme", bundle, later))
	same(t, "Revisions", []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	wrong := revisionOf(bundleOf(t, 2), 3)
	if err := r.PutRevision(t.Context(), "acme", bundle, wrong); err == nil {
		t.Error("PutRevision with another bundle's digest: no error")
	}
	same(t, "Revisions after that", []tenants.Revision{want}, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
}

func revisionsNewestFirst(t testing.TB, b Backend) {
	r := b.Open(t)
	var want []tenants.Revision
	for i := range 8 {
		bundle := bundleOf(t, i)
		rev := revisionOf(bundle, (i*5)%8)
		check(t, "PutRevision", r.PutRevision(t.Context(), "acme", bundle, rev))
		want = append(want, rev)
	}
	slices.SortFunc(want, func(a, b tenants.Revision) int { return b.Time.Compare(a.Time) })
	same(t, "Revisions", want, must[[]tenants.Revision](t)(r.Revisions(t.Context(), "acme")))
	same(t, "Revisions of nobody", []tenants.Revision(nil), must[[]tenants.Revision](t)(r.Revisions(t.Context(), "bolt")))
}

func activeIsLast(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 3)
	version := tenant.Version
	for _, n := range []int{1, 2, 0, 0} {
		a := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", activationOf(bundles[n], version, "bob")))
		active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
		same(t, "Active", a, active)
		got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme"))
		if got.Revision != bundles[n].Digest() || got.Version != active.Version {
			t.Errorf("tenant at %s, version %d; Active says %s, %d", got.Revision.Short(), got.Version, active.To.Short(), active.Version)
		}
		version = active.Version
	}
}

func neverActive(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{tenants.PlatformOwner, tenants.WorkspaceOwner, "nobody", "", "a#b", "TENANT"} {
		wants(t, "Active of "+owner, second(r.Active(t.Context(), owner)), tenants.ErrNotFound)
	}
	tenant := must[tenants.Tenant](t)(r.PutTenant(t.Context(), tenantOf("acme")))
	same(t, "Active of a new tenant", tenants.Activation{Version: tenant.Version}, must[tenants.Activation](t)(r.Active(t.Context(), "acme")))
}

func activate(t testing.TB, b Backend) {
	r := b.Open(t)
	for _, owner := range []string{tenants.PlatformOwner, tenants.WorkspaceOwner} {
		bundles := store(t, r, owner, 2)
		wants(t, "Activate at a version that is not there", second(r.Activate(t.Context(), owner, activationOf(bundles[0], 1, "ann"))), tenants.ErrConflict)
		first := must[tenants.Activation](t)(r.Activate(t.Context(), owner, activationOf(bundles[0], 0, "ann")))
		wants(t, "Activate as the first, again", second(r.Activate(t.Context(), owner, activationOf(bundles[1], 0, "bob"))), tenants.ErrConflict)
		next := must[tenants.Activation](t)(r.Activate(t.Context(), owner, activationOf(bundles[1], first.Version, "bob")))
		same(t, "Active", next, must[tenants.Activation](t)(r.Active(t.Context(), owner)))
		same(t, "Activations", []tenants.Activation{next, first}, must[[]tenants.Activation](t)(r.Activations(t.Context(), owner)))
	}
	same(t, "Platform", bundleOf(t, 1).Digest(), must[tenants.Digest](t)(r.Platform(t.Context())))
	tenant, bundles := begin(t, r, "acme", 2)
	check(t, "Activate", second(r.Activate(t.Context(), "acme", activationOf(bundles[1], tenant.Version, "bob"))))
	if got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")); got.Revision != bundles[1].Digest() {
		t.Errorf("revision %s, want %s", got.Revision.Short(), bundles[1].Digest().Short())
	}
}

func activateUnknown(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, _ := begin(t, r, "acme", 1)
	elsewhere := bundleOf(t, 7)
	check(t, "PutRevision for another", r.PutRevision(t.Context(), tenants.PlatformOwner, elsewhere, revisionOf(elsewhere, 7)))
	for _, to := range []tenants.Digest{"", "sha256:", elsewhere.Digest(), bundleOf(t, 8).Digest(), "REVISION#x"} {
		a := tenants.Activation{To: to, Version: tenant.Version}
		wants(t, fmt.Sprintf("Activate %q", to), second(r.Activate(t.Context(), "acme", a)), tenants.ErrNotFound)
	}
	wants(t, "Activate for nobody", second(r.Activate(t.Context(), "nobody", activationOf(elsewhere, 0, "ann"))), tenants.ErrNotFound)
	same(t, "the tenant", tenant, must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme")))
}

func activationReturned(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 2)
	asked := activationOf(bundles[1], tenant.Version, "bob")
	asked.From = bundles[1].Digest() // is not the caller's to say
	got := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", asked))
	if got.Version <= tenant.Version {
		t.Errorf("version %d after %d", got.Version, tenant.Version)
	}
	asked.From, asked.Version = bundles[0].Digest(), got.Version
	same(t, "the activation", asked, got)
	before := time.Now()
	now := must[tenants.Activation](t)(r.Activate(t.Context(), "acme", tenants.Activation{To: bundles[0].Digest(), Version: got.Version}))
	if now.Time.Before(before.Add(-time.Minute)) || now.Time.After(time.Now().Add(time.Minute)) {
		t.Errorf("the time of an activation without one is %s", now.Time)
	}
}

func auditNewestFirst(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, bundles := begin(t, r, "acme", 3)
	first := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	want := []tenants.Activation{first}
	version := tenant.Version
	// The clocks of publishers differ, and one of them stands still.
	for _, clock := range []time.Duration{3, 3, 3, -48, 0} {
		for _, bundle := range bundles[1:] {
			a := activationOf(bundle, version, "bob")
			a.Time = morning.Add(clock * time.Hour)
			a = must[tenants.Activation](t)(r.Activate(t.Context(), "acme", a))
			want, version = append(want, a), a.Version
		}
	}
	slices.Reverse(want)
	same(t, "Activations", want, must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")))
	same(t, "Activations of nobody", []tenants.Activation(nil), must[[]tenants.Activation](t)(r.Activations(t.Context(), "bolt")))
}
