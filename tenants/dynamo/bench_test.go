package dynamo_test

import (
	"fmt"
	"testing"

	"regent/tenants"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

// BenchmarkRead asks a server on loopback: what is measured is the client's work and
// dynalite's. Allocations are the client's alone.
func BenchmarkRead(b *testing.B) {
	f := newFixture(b, 3)
	store := dynamotest.OpenAt(b, dynamotest.Endpoint(b), dynamo.Options{Table: f.table, Limits: patient()})
	for _, what := range []string{"Tenant", "API", "Platform", "Select", "Bundle", "Large"} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.ask(b.Context(), store, what); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTenantAmong reads one tenant of a table that has few or many: it must not
// matter.
func BenchmarkTenantAmong(b *testing.B) {
	for _, n := range []int{10, 300} {
		b.Run(fmt.Sprintf("tenants=%d", n), func(b *testing.B) {
			admin := dynamotest.Open(b)
			for i := range n {
				id := fmt.Sprint("tenant-", i)
				if _, err := admin.PutTenant(b.Context(), tenants.Tenant{ID: id, Selectors: tenants.Selectors{Hosts: []string{id + ".example"}}}); err != nil {
					b.Fatal(err)
				}
			}
			store := dynamotest.OpenAt(b, dynamotest.Endpoint(b), dynamo.Options{Table: admin.Table(), Limits: patient()})
			for b.Loop() {
				if _, err := store.Tenant(b.Context(), "tenant-7"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPublish stores a small bundle and brings it into force.
func BenchmarkPublish(b *testing.B) {
	f := newFixture(b, 0)
	admin := administrator(b, dynamotest.Endpoint(b), f.table, "ann")
	active, err := admin.Active(b.Context(), f.tenant)
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		files := []tenants.File{{Path: "authz.rego", Content: fmt.Appendf(nil, "package authz\n\nallow := %d > 0\n", n)}}
		publish(b, admin, f.tenant, active.Version, files)
		active.Version++
	}
}
