package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"regent/tenants"
)

// job is what one process does, from reading on. It may be done again.
type job struct {
	name string
	do   func(ctx context.Context, r tenants.Registry) error
	// done looks whether it is whole.
	done func(t testing.TB, r tenants.Registry)
}

// maxWrites is more than any job needs.
const maxWrites = 40

// Each job is killed after its first write, its second and so on, looked at, and done
// again by another process.
func killed(t testing.TB, b Backend) {
	r := b.Open(t)
	tenant, _ := begin(t, r, "acme", 1)
	for i := range jobs(t, 0) {
		for n := 0; ; n++ {
			j := jobs(t, n)[i]
			err := j.do(t.Context(), b.OpenKilled(t, n))
			whole(t, fmt.Sprintf("%s killed after %d writes", j.name, n), b.Open(t))
			check(t, fmt.Sprintf("%s again, after it was killed after %d writes", j.name, n), j.do(t.Context(), b.Open(t)))
			j.done(t, b.Open(t))
			if err == nil {
				break
			}
			if n == maxWrites {
				t.Errorf("%s: not finished after %d writes: %v", j.name, n, err)
				break
			}
			reset(t, r, tenant)
		}
		reset(t, r, tenant)
	}
}

// whole holds what a process left to being usable: the tenant has a revision whose
// bundle is there, and every activation an audit item.
func whole(t testing.TB, name string, r tenants.Registry) {
	got, err := r.Tenant(t.Context(), "acme")
	if errors.Is(err, tenants.ErrNotFound) { // deleted
		wants(t, name+": Select", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		return
	}
	check(t, name, err)
	if got.Revision != "" {
		if b, err := r.Bundle(t.Context(), got.Revision); err != nil || b.Digest() != got.Revision {
			t.Errorf("%s: the bundle in force: %v", name, err)
		}
	}
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByValue} {
		for _, v := range []string{"acme.example", "second.example", "acme"} {
			id, err := r.Select(t.Context(), kind, v)
			has := slices.Contains(got.Selectors.Of(kind), v)
			if has != (id == "acme") || has != (err == nil) {
				t.Errorf("%s: %s %s names %q (%v); that the record has it is %v", name, kind, v, id, err, has)
			}
		}
	}
	active := must[tenants.Activation](t)(r.Active(t.Context(), "acme"))
	audit := must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme"))
	if active.To != "" && (len(audit) == 0 || audit[0].To != active.To || audit[0].Author != active.Author) {
		t.Errorf("%s: %s is in force, and its audit item is not there", name, active.To.Short())
	}
}

// reset brings the tenant back to where it was.
func reset(t testing.TB, r tenants.Registry, want tenants.Tenant) {
	got, err := r.Tenant(t.Context(), want.ID)
	if errors.Is(err, tenants.ErrNotFound) {
		err = nil
	}
	check(t, "Tenant", err)
	want.Version = got.Version
	stored := must[tenants.Tenant](t)(r.PutTenant(t.Context(), want))
	if stored.Revision != want.Revision {
		a := tenants.Activation{To: want.Revision, Author: "reset", Version: stored.Version}
		check(t, "Activate", second(r.Activate(t.Context(), want.ID, a)))
	}
}

// jobs are the same each time, but that each publishes another bundle for each n: one of
// a piece, and one that needs several wherever items are small.
func jobs(t testing.TB, n int) []job {
	rules := fmt.Appendf(nil, "package authz\n\nallow := %d > 1\n", n)
	noise := make([]byte, 360<<10)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(noise) // never fails
	return []job{
		publishJob("publish", build(t, []tenants.File{{Path: "authz.rego", Content: rules}})),
		publishJob("publish much", build(t, []tenants.File{{Path: "authz.rego", Content: rules}, {Path: "noise.bin", Content: noise}})),
		{"put", func(ctx context.Context, r tenants.Registry) error {
			tenant, err := r.Tenant(ctx, "acme")
			if err != nil {
				return err
			}
			tenant.Selectors = tenants.Selectors{Hosts: []string{"second.example"}, Values: []string{"acme"}}
			return second(r.PutTenant(ctx, tenant))
		}, func(t testing.TB, r tenants.Registry) {
			same(t, "the new host", "acme", must[string](t)(r.Select(t.Context(), tenants.ByHost, "second.example")))
			wants(t, "the old host", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		}},
		{"delete", func(ctx context.Context, r tenants.Registry) error {
			tenant, err := r.Tenant(ctx, "acme")
			if errors.Is(err, tenants.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return r.DeleteTenant(ctx, "acme", tenant.Version)
		}, func(t testing.TB, r tenants.Registry) {
			wants(t, "the tenant", second(r.Tenant(t.Context(), "acme")), tenants.ErrNotFound)
			wants(t, "its host", second(r.Select(t.Context(), tenants.ByHost, "acme.example")), tenants.ErrNotFound)
		}},
		{"register", func(ctx context.Context, r tenants.Registry) error {
			api, err := r.API(ctx, "a1b2c3")
			if errors.Is(err, tenants.ErrNotFound) {
				api = apiOf("a1b2c3")
			} else if err != nil {
				return err
			}
			return second(r.PutAPI(ctx, api))
		}, func(t testing.TB, r tenants.Registry) {
			all := must[[]tenants.API](t)(r.APIs(t.Context()))
			if len(all) != 1 {
				t.Errorf("%d APIs, want 1", len(all))
				return
			}
			check(t, "DeleteAPI", r.DeleteAPI(t.Context(), all[0].ID, all[0].Version))
		}},
	}
}

func publishJob(name string, b tenants.Bundle) job {
	do := func(ctx context.Context, r tenants.Registry) error {
		active, err := r.Active(ctx, "acme")
		if err != nil {
			return err
		}
		if err := r.PutRevision(ctx, "acme", b, revisionOf(b, 9)); err != nil {
			return err
		}
		if active.To == b.Digest() {
			return nil
		}
		return second(r.Activate(ctx, "acme", activationOf(b, active.Version, name)))
	}
	done := func(t testing.TB, r tenants.Registry) {
		got := must[tenants.Tenant](t)(r.Tenant(t.Context(), "acme"))
		if got.Revision != b.Digest() {
			t.Errorf("%s: revision %s, want %s", name, got.Revision.Short(), b.Digest().Short())
		}
		holds(t, r, b)
		n := 0
		for _, a := range must[[]tenants.Activation](t)(r.Activations(t.Context(), "acme")) {
			if a.Version == must[tenants.Activation](t)(r.Active(t.Context(), "acme")).Version && a.To == b.Digest() {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d audit items for the activation, want 1", name, n)
		}
	}
	return job{name, do, done}
}
