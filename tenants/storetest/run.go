package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/tenants"
)

// New makes a fresh store that holds a seed and nothing else. What it needs to
// stop or remove it registers with t.Cleanup.
type New func(t *testing.T, seed Seed) tenants.Store

// Run runs the suite against the stores that make makes, one for each case. The
// cases run in parallel.
func Run(t *testing.T, make New) {
	for _, c := range cases() {
		t.Run(c.sentence, func(t *testing.T) {
			t.Parallel()
			seed := c.seed()
			c.check(t, make(t, seed), seed)
		})
	}
}

// testCase holds a store to one sentence of the contract.
type testCase struct {
	sentence string
	seed     func() Seed
	check    func(t testing.TB, store tenants.Store, seed Seed)
}

// cases are in the order of the contract.
func cases() []testCase {
	return []testCase{
		{"Its methods may be called by many goroutines.", Standard, manyGoroutines},
		{"A method returns an error that wraps ErrNotFound when what was asked for does not exist, and any other error when the answer is not known.", Standard, notFound},
		{"It never returns part of a value.", Standard, neverPart},
		{"API returns the registered API with this id.", Standard, apiByID},
		{"Tenant returns the tenant with this id, whatever its status.", Standard, tenantByID},
		{"Select returns the id of the one tenant that holds this selector value.", Standard, selects},
		{"Bundle returns the bundle with this digest, verified against it.", Standard, bundleByDigest},
		{"Platform returns the digest of the active platform bundle: the files platform/ and lib/ of a workspace.", Standard, platform},
		{"A platform without files has a bundle too.", func() Seed { return Seed{} }, platform},
	}
}

func manyGoroutines(t testing.TB, store tenants.Store, seed Seed) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			apiByID(t, store, seed)
			tenantByID(t, store, seed)
			selects(t, store, seed)
			bundleByDigest(t, store, seed)
			platform(t, store, seed)
		})
	}
	group.Wait()
}

// strangers are ids and values that no seed has: parts and spellings of those it
// has, and what could mean something to the store itself.
func strangers() []string {
	return []string{
		"", "acm", "acme1", "Bolt", "BOLT", "bolt ", " bolt", "a1b2c", "A1B2C3", "a1b2c3 ", "nobody",
		"..", "../acme", "./acme", "acme/", "acme/policy", "acme#x", "TENANT#acme", "acme\x00", "*", "%", "Ａcme",
		"SHARED.EXAMPLE", "shared.example.", "a#", "a#b#c", "HOST#shared.example", strings.Repeat("a", 300), "\xff",
	}
}

func notFound(t testing.TB, store tenants.Store, seed Seed) {
	everyMiss(t, store, func(what string, err error, _ bool) {
		if !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("%s: error %v does not wrap ErrNotFound", what, err)
		}
	})
	// Nobody may be told that there is no such tenant because time was short.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	everyHit(ctx, store, seed, func(what string, err error, _ bool) {
		if errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("%s with a context that ended: %v, and it is there", what, err)
		}
	})
}

func neverPart(t testing.TB, store tenants.Store, seed Seed) {
	whole := func(what string, err error, zero bool) {
		if err != nil && !zero {
			t.Errorf("%s: a value beside the error %v", what, err)
		}
		if err == nil && zero {
			t.Errorf("%s: neither a value nor an error", what)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	everyHit(ctx, store, seed, whole)
	cancel()
	everyHit(ctx, store, seed, whole)
	everyMiss(t, store, whole)
}

// seen gets the error of one call, and whether its value is the zero value.
type seen func(what string, err error, zero bool)

func everyMiss(t testing.TB, store tenants.Store, see seen) {
	ctx := t.Context()
	for _, s := range strangers() {
		api, err := store.API(ctx, s)
		see("API "+s, err, cmp.Equal(api, tenants.API{}))
		tenant, err := store.Tenant(ctx, s)
		see("Tenant "+s, err, cmp.Equal(tenant, tenants.Tenant{}))
		for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue, "", "tenant"} {
			id, err := store.Select(ctx, kind, s)
			see("Select "+string(kind)+" "+s, err, id == "")
		}
		bundle, err := store.Bundle(ctx, tenants.Digest(s))
		see("Bundle "+s, err, bundle.Digest() == "" && bundle.Files() == nil)
	}
	other, _ := tenants.NewBundle([]tenants.File{{Path: "never.rego", Content: []byte("package never")}})
	bundle, err := store.Bundle(ctx, other.Digest())
	see("Bundle of other content", err, bundle.Digest() == "" && bundle.Files() == nil)
}

func everyHit(ctx context.Context, store tenants.Store, seed Seed, see seen) {
	for _, a := range seed.APIs {
		got, err := store.API(ctx, a.ID)
		see("API "+a.ID, err, cmp.Equal(got, tenants.API{}))
	}
	for _, tenant := range seed.Tenants {
		got, err := store.Tenant(ctx, tenant.Record.ID)
		see("Tenant "+tenant.Record.ID, err, cmp.Equal(got, tenants.Tenant{}))
		for _, value := range tenant.Record.Selectors.Values {
			id, err := store.Select(ctx, tenants.ByValue, value)
			see("Select "+value, err, id == "")
		}
		policy, _ := tenants.NewBundle(tenant.Policy)
		bundle, err := store.Bundle(ctx, policy.Digest())
		see("Bundle of "+tenant.Record.ID, err, bundle.Digest() == "")
	}
	digest, err := store.Platform(ctx)
	see("Platform", err, digest == "")
}

func apiByID(t testing.TB, store tenants.Store, seed Seed) {
	for _, want := range seed.APIs {
		got, err := store.API(t.Context(), want.ID)
		want.Version = got.Version // 0 in a workspace
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("API %s: error %v (-want +got):\n%s", want.ID, err, diff)
		}
	}
}

func tenantByID(t testing.TB, store tenants.Store, seed Seed) {
	for _, tenant := range seed.Tenants {
		want := tenant.Record
		want.Revision = build(t, tenant.Policy).Digest()
		got, err := store.Tenant(t.Context(), want.ID)
		if got.Version < 1 {
			t.Errorf("tenant %s: version %d, want 1 or more", want.ID, got.Version)
		}
		want.Version = got.Version
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), sameJSON()); err != nil || diff != "" {
			t.Errorf("tenant %s: error %v (-want +got):\n%s", want.ID, err, diff)
		}
	}
}

// sameJSON compares inline key sets by what they mean.
func sameJSON() cmp.Option {
	return cmp.FilterValues(func(a, b json.RawMessage) bool { return json.Valid(a) && json.Valid(b) },
		cmp.Transformer("JSON", func(raw json.RawMessage) (v any) {
			_ = json.Unmarshal(raw, &v) // valid, by the filter
			return v
		}))
}

func selects(t testing.TB, store tenants.Store, seed Seed) {
	kinds := []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue}
	held := map[tenants.SelectorKind]map[string]string{}
	var all []string
	for _, kind := range kinds {
		held[kind] = map[string]string{}
		for _, tenant := range seed.Tenants {
			for _, value := range tenant.Record.Selectors.Of(kind) {
				held[kind][value] = tenant.Record.ID
				all = append(all, value)
			}
		}
	}
	// Each value is asked for under every kind: the kinds are separate name spaces.
	for _, kind := range kinds {
		for _, value := range all {
			id, err := store.Select(t.Context(), kind, value)
			want, ok := held[kind][value]
			if id != want || (err == nil) != ok || (!ok && !errors.Is(err, tenants.ErrNotFound)) {
				t.Errorf("Select %s %q: %q, %v; want %q", kind, value, id, err, want)
			}
		}
	}
}

func bundleByDigest(t testing.TB, store tenants.Store, seed Seed) {
	for _, tenant := range seed.Tenants {
		holds(t, store, build(t, tenant.Policy))
	}
}

func platform(t testing.TB, store tenants.Store, seed Seed) {
	want := build(t, seed.Platform)
	digest, err := store.Platform(t.Context())
	if err != nil || digest != want.Digest() {
		t.Errorf("Platform: %s, %v; want %s", digest, err, want.Digest())
	}
	holds(t, store, want)
}

// holds checks that a store has a bundle, and that the bundle it gives is what its
// digest says.
func holds(t testing.TB, store tenants.Store, want tenants.Bundle) {
	got, err := store.Bundle(t.Context(), want.Digest())
	if err != nil {
		t.Errorf("Bundle %s: %v", want.Digest().Short(), err)
		return
	}
	if diff := cmp.Diff(texts(want.Files()), texts(got.Files())); diff != "" {
		t.Errorf("Bundle %s (-want +got):\n%s", want.Digest().Short(), diff)
	}
	if again := build(t, got.Files()); again.Digest() != want.Digest() || got.Digest() != want.Digest() {
		t.Errorf("Bundle %s is named %s and digests to %s", want.Digest().Short(), got.Digest().Short(), again.Digest().Short())
	}
}

// texts are files by path. Comparing byte by byte would take seconds.
func texts(files []tenants.File) map[string]string {
	found := map[string]string{}
	for _, f := range files {
		found[f.Path] = string(f.Content)
	}
	return found
}

func build(t testing.TB, files []tenants.File) tenants.Bundle {
	b, err := tenants.NewBundle(files)
	if err != nil {
		t.Errorf("the seed's bundle: %v", err)
	}
	return b
}
