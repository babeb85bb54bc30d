package storetest

import (
	"testing"
	"time"

	"regent/tenants"
)

// Fill writes a seed into an empty registry, as publishing does: records, revisions,
// activations.
func Fill(t testing.TB, r tenants.Registry, seed Seed) {
	t.Helper()
	for _, a := range seed.APIs {
		if _, err := r.PutAPI(t.Context(), a); err != nil {
			t.Fatalf("PutAPI %s: %v", a.ID, err)
		}
	}
	for _, tenant := range seed.Tenants {
		stored, err := r.PutTenant(t.Context(), tenant.Record)
		if err != nil {
			t.Fatalf("PutTenant %s: %v", tenant.Record.ID, err)
		}
		publish(t, r, tenant.Record.ID, stored.Version, tenant.Policy)
	}
	publish(t, r, tenants.PlatformOwner, 0, seed.Platform)
}

// publish stores files as a revision and brings it into force.
func publish(t testing.TB, r tenants.Registry, owner string, version int64, files []tenants.File) {
	t.Helper()
	b := build(t, files)
	if err := r.PutRevision(t.Context(), owner, b, revision(b)); err != nil {
		t.Fatalf("PutRevision of %s: %v", owner, err)
	}
	a := tenants.Activation{To: b.Digest(), Author: "seed", Version: version}
	if _, err := r.Activate(t.Context(), owner, a); err != nil {
		t.Fatalf("Activate for %s: %v", owner, err)
	}
}

func revision(b tenants.Bundle) tenants.Revision {
	r := tenants.Revision{
		Digest: b.Digest(), Author: "seed", Message: "first", Files: len(b.Files()),
		Time:  time.Date(2026, 11, 22, 9, 30, 0, 123456789, time.UTC),
		Tests: tenants.TestSummary{Passed: 3, Skipped: 1, Coverage: 87.5},
	}
	for _, f := range b.Files() {
		r.Bytes += int64(len(f.Content))
	}
	return r
}
