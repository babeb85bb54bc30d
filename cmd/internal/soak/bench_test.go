package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"regent/cmd/internal/assemble"
	"regent/engine"
	rego "regent/engine/rules"
	"regent/policies"
	"regent/tenants"
	"regent/tenants/cache"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

var inTable = flag.Int("soak.table", 0, "tenants in the larger table of BenchmarkFirstDecision; 0 is no table at all")

// memory is a store in this process.
type memory struct {
	apis     map[string]tenants.API
	tenants  map[string]tenants.Tenant
	hosts    map[string]string
	bundles  map[tenants.Digest]tenants.Bundle
	platform tenants.Digest
}

func found[K comparable, V any](m map[K]V, key K) (V, error) {
	v, ok := m[key]
	if !ok {
		return v, fmt.Errorf("%v: %w", key, tenants.ErrNotFound)
	}
	return v, nil
}

func (m *memory) API(_ context.Context, id string) (tenants.API, error) { return found(m.apis, id) }

func (m *memory) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	return found(m.tenants, id)
}

func (m *memory) Select(_ context.Context, _ tenants.SelectorKind, value string) (string, error) {
	return found(m.hosts, value)
}

func (m *memory) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	return found(m.bundles, d)
}

func (m *memory) Platform(context.Context) (tenants.Digest, error) { return m.platform, nil }

// example is the embedded workspace's platform and the policy of its tenant acme.
func example(b *testing.B) (platform tenants.Bundle, acme []tenants.File) {
	b.Helper()
	sub, err := fs.Sub(policies.FS, ".")
	if err != nil {
		b.Fatal(err)
	}
	snapshot, err := dir.Load(sub, "policies")
	if err != nil {
		b.Fatal(err)
	}
	own, err := snapshot.TenantBundle("acme")
	if err != nil {
		b.Fatal(err)
	}
	return snapshot.PlatformBundle(), own.Files()
}

// small is an RBAC policy as the budgets mean it.
func small() []tenants.File {
	return []tenants.File{{Path: "authz.rego", Content: []byte(`package authz

roles := {"viewer": {"GET"}, "editor": {"GET", "POST", "PUT"}}

allow if {
	some role in input.identity.claims.roles
	input.method in roles[role]
	input.segments[0] == "orders"
}

allow if {
	input.method == "GET"
	input.segments == ["health"]
}

context := {"plan": input.tenant.attributes.plan}
`)}}
}

// own makes files a tenant's own: another content, another digest.
func own(b *testing.B, files []tenants.File, n int) tenants.Bundle {
	b.Helper()
	files = append(slices.Clone(files), tenants.File{Path: "own.rego", Content: fmt.Appendf(nil, "package authz.own\n\nnumber := %d\n", n)})
	bundle, err := tenants.NewBundle(files)
	if err != nil {
		b.Fatal(err)
	}
	return bundle
}

// newMemory is a store of n tenants; shared gives them all one bundle.
func newMemory(b *testing.B, n int, platform tenants.Bundle, policy []tenants.File, shared bool) *memory {
	b.Helper()
	m := &memory{
		apis: map[string]tenants.API{}, tenants: map[string]tenants.Tenant{}, hosts: map[string]string{},
		bundles: map[tenants.Digest]tenants.Bundle{platform.Digest(): platform}, platform: platform.Digest(),
	}
	for _, api := range apis(b) {
		m.apis[api.ID] = api
	}
	for i := range n {
		number := i
		if shared {
			number = 0
		}
		bundle := own(b, policy, number)
		m.bundles[bundle.Digest()] = bundle
		t := record(i)
		t.Revision, t.Version = bundle.Digest(), 1
		m.tenants[t.ID], m.hosts[host(i)] = t, t.ID
	}
	return m
}

// newAuthorizer is an authorizer with a cache in front of a store, and room for all.
func newAuthorizer(b *testing.B, behind tenants.Store) *engine.Authorizer {
	b.Helper()
	store, err := cache.New(cache.Config{Store: behind, Tenants: 100_000, Selectors: 100_000, Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	a, err := assemble.Authorizer(assemble.Parts{
		Store: store, InProcess: true, Capacity: 100_000, MaxStale: time.Hour, EvalTimeout: 5 * time.Second, Log: func(engine.Record) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// decideOn asks for a decision, which the rules must have made.
func decideOn(a *engine.Authorizer, event []byte) error {
	out := a.Explain(context.Background(), event)
	if out.Err != nil {
		return out.Err
	}
	if code := out.Record.Result.Code; code != "policy" && code != engine.CodeIncomplete {
		return errors.New("decided for " + code)
	}
	return nil
}

// BenchmarkMemoryPerTenant reports what a tenant that was decided for adds to the
// collected heap: its record, its selector and its compiled policy, which is its own or
// shared by all, with the embedded workspace's platform or without one. DESIGN.md §14.
func BenchmarkMemoryPerTenant(b *testing.B) {
	platform, acme := example(b)
	none, err := tenants.NewBundle(nil) // a platform without files
	if err != nil {
		b.Fatal(err)
	}
	for _, world := range []struct {
		name     string
		n        int
		platform tenants.Bundle
		policy   []tenants.File
		shared   bool
	}{
		{"small", 60, none, small(), false},
		{"small-platform", 40, platform, small(), false},
		{"acme", 40, platform, acme, false},
		{"shared", 1000, platform, acme, true},
	} {
		for _, cached := range []bool{false, true} {
			api := "exact"
			if cached {
				api = "cached"
			}
			b.Run("policy="+world.name+"/api="+api, func(b *testing.B) {
				var perTenant float64
				for b.Loop() {
					store := newMemory(b, world.n, world.platform, world.policy, world.shared)
					a := newAuthorizer(b, store)
					ask := func(i int) {
						path := i % 2 // of the exact API
						if cached {
							path = (i + 1) % 2
						}
						if err := decideOn(a, request(i, path)); err != nil {
							b.Fatal(err)
						}
					}
					ask(0) // what is there for all of them
					before := collected()
					for i := 1; i < world.n; i++ {
						ask(i)
					}
					perTenant = float64(collected()-before) / float64(world.n-1)
					runtime.KeepAlive(a)
					runtime.KeepAlive(store)
				}
				b.ReportMetric(perTenant/1000, "KB/tenant")
				b.ReportMetric(0, "ns/op") // of no interest
			})
		}
	}
}

func collected() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sample is something to be timed, after something that is not.
type sample struct {
	name    string
	prepare func() error
	run     func() error
}

// BenchmarkFirstDecision compares the first decision for a tenant whose policy is not
// loaded, among few tenants and among many, with compiling that policy: in a warm
// function, which knows the API and the platform. DESIGN.md §14.
func BenchmarkFirstDecision(b *testing.B) {
	policy := small()
	platform, _ := example(b)
	bundle := own(b, policy, 1)
	samples := []sample{{
		name:    "compile",
		prepare: func() error { return nil },
		run: func() error {
			_, err := rego.Compile(context.Background(), platform, bundle, rego.Options{})
			return err
		},
	}}
	first := func(name string, store tenants.Store, n int) {
		var a *engine.Authorizer
		var which int
		samples = append(samples, sample{
			name: name,
			prepare: func() error {
				a = newAuthorizer(b, store)
				which = 2 + 2*rand.IntN((n-1)/2) // even, and not the one that warms up
				return decideOn(a, request(0, 0))
			},
			run: func() error { return decideOn(a, request(which, 0)) },
		})
	}
	const few, many = 10, 10_000
	first("first-of-10", newMemory(b, few, platform, policy, false), few)
	first("first-of-10000", newMemory(b, many, platform, policy, false), many)
	if *inTable > 0 {
		first("table-of-10", newTable(b, few, policy), few)
		first(fmt.Sprintf("table-of-%d", *inTable), newTable(b, *inTable, policy), *inTable)
	}
	times := map[string][]float64{}
	for b.Loop() {
		for _, i := range rand.Perm(len(samples)) {
			s := samples[i]
			if err := s.prepare(); err != nil {
				b.Fatalf("%s: %v", s.name, err)
			}
			start := time.Now()
			if err := s.run(); err != nil {
				b.Fatalf("%s: %v", s.name, err)
			}
			times[s.name] = append(times[s.name], float64(time.Since(start).Nanoseconds()))
		}
	}
	quartile := func(name string) float64 {
		slices.Sort(times[name])
		return times[name][len(times[name])/4]
	}
	for _, s := range samples {
		b.ReportMetric(quartile(s.name)/1e6, s.name+"-ms")
	}
	report := func(of, than string) {
		b.ReportMetric(quartile(of)/quartile(than), of+"/"+than)
	}
	report("first-of-10000", "first-of-10")
	report("first-of-10000", "compile")
	if *inTable > 0 {
		larger := samples[len(samples)-1].name
		report(larger, "table-of-10")
		report(larger, "compile")
	}
	b.ReportMetric(0, "ns/op") // a round's time says nothing
}

// newTable is a store on a table of n tenants.
func newTable(b *testing.B, n int, policy []tenants.File) tenants.Store {
	b.Helper()
	name := dynamotest.Table(b)
	w := newWorld(dynamotest.OpenAt(b, dynamotest.Endpoint(b), dynamo.Options{Table: name, Administer: true}), n)
	platform, _ := example(b)
	w.fillWith(b, platform, func(n int) tenants.Bundle { return own(b, policy, n) })
	return dynamotest.OpenAt(b, dynamotest.Endpoint(b), dynamo.Options{Table: name, Limits: patient()})
}
