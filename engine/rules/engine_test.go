package rules_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// bundles is a store that has nothing but bundles and counts what is read.
type bundles struct {
	tenants.Store
	byDigest map[tenants.Digest]tenants.Bundle
	reads    atomic.Int64
	fail     atomic.Bool
}

func (b *bundles) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	b.reads.Add(1)
	if b.fail.Load() {
		return tenants.Bundle{}, errors.New("the store is down")
	}
	bundle, ok := b.byDigest[d]
	if !ok {
		return tenants.Bundle{}, tenants.ErrNotFound
	}
	return bundle, nil
}

func storeOf(tb testing.TB, policies ...string) (*bundles, []tenants.Digest) {
	tb.Helper()
	s := &bundles{byDigest: map[tenants.Digest]tenants.Bundle{}}
	var digests []tenants.Digest
	for _, p := range append([]string{""}, policies...) {
		var files []tenants.File
		if p != "" {
			files = []tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\n" + p)}}
		}
		b := mustBundle(tb, files)
		s.byDigest[b.Digest()] = b
		digests = append(digests, b.Digest())
	}
	return s, digests
}

func newEngine(tb testing.TB, c rules.Config) *rules.Engine {
	tb.Helper()
	e, err := rules.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestEngineCompilesOnce(t *testing.T) {
	t.Parallel()
	store, d := storeOf(t, `allow if input.method == "GET"`)
	e := newEngine(t, rules.Config{Store: store})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			p, err := e.Load(t.Context(), "acme", d[0], d[1])
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := p.Decide(t.Context(), baseInput(), now); err != nil || !got.Allow {
				t.Errorf("decision %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := store.reads.Load(); n != 2 {
		t.Errorf("%d bundles read, want the platform's and the tenant's, once", n)
	}
}

func TestEngineForgetsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	store, d := storeOf(t, `allow := true`, `allow := false`)
	e := newEngine(t, rules.Config{Store: store, Capacity: 1})
	for _, i := range []int{1, 2, 2, 1} {
		if _, err := e.Load(t.Context(), "acme", d[0], d[i]); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.reads.Load(); n != 6 {
		t.Errorf("%d bundles read, want 6: three loads with room for one policy", n)
	}
}

func TestEngineRemembersThatABundleDoesNotCompile(t *testing.T) {
	t.Parallel()
	store, d := storeOf(t, `allow if {`)
	e := newEngine(t, rules.Config{Store: store})
	for range 3 {
		_, err := e.Load(t.Context(), "acme", d[0], d[1])
		var trouble *engine.Trouble
		if !errors.As(err, &trouble) || trouble.Code != "policy" || !strings.Contains(err.Error(), "authz.rego:") {
			t.Fatalf("error %v, want trouble that names the file", err)
		}
	}
	if n := store.reads.Load(); n != 2 {
		t.Errorf("%d bundles read, want 2", n)
	}
}

func TestEngineDoesNotRememberAStoreFailure(t *testing.T) {
	t.Parallel()
	store, d := storeOf(t, `allow := true`)
	e := newEngine(t, rules.Config{Store: store})
	store.fail.Store(true)
	if _, err := e.Load(t.Context(), "acme", d[0], d[1]); err == nil {
		t.Fatal("no error")
	}
	store.fail.Store(false)
	if _, err := e.Load(t.Context(), "acme", d[0], d[1]); err != nil {
		t.Fatal(err)
	}
}

func TestEngineTimeout(t *testing.T) {
	t.Parallel()
	store, d := storeOf(t, `allow if {
	some a in numbers.range(1, 10000)
	some b in numbers.range(1, 10000)
	a * b == -1
}`)
	e := newEngine(t, rules.Config{Store: store, Timeout: 20 * time.Millisecond})
	p, err := e.Load(t.Context(), "acme", d[0], d[1])
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Decide(t.Context(), baseInput(), now)
	var trouble *engine.Trouble
	if !errors.As(err, &trouble) || !strings.Contains(err.Error(), "timeout") || got.Allow {
		t.Fatalf("decision %+v, error %v, want trouble: timeout", got, err)
	}
}

// TestTenantsShareNothing loads two tenants into one engine: what one declares under
// the other's name, and reads from there, concerns and finds nothing of the other's.
func TestTenantsShareNothing(t *testing.T) {
	t.Parallel()
	store, platform := storeOf(t)
	add := func(policy string, others ...tenants.File) tenants.Digest {
		b := mustBundle(t, append(others, tenants.File{Path: "authz.rego", Content: []byte("package authz\n\n" + policy)}))
		store.byDigest[b.Digest()] = b
		return b.Digest()
	}
	acme := add("allow if data.globex.secret == \"4711\"\n\nallow if data.secret\n",
		tenants.File{Path: "globex.rego", Content: []byte("package globex\n\nallow := true\n\ndeny contains \"all\"\n")})
	globex := add("allow if data.globex.secret == data.secret\n\ndeny contains \"seen\" if data.globex.allow\n",
		tenants.File{Path: "data.json", Content: []byte(`{"secret": "4711", "globex": {"secret": "4711"}}`)})
	e := newEngine(t, rules.Config{Store: store})
	for range 2 {
		for name, want := range map[string]bool{"acme": false, "globex": true} {
			digest := map[string]tenants.Digest{"acme": acme, "globex": globex}[name]
			p, err := e.Load(t.Context(), name, platform[0], digest)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Decide(t.Context(), baseInput(), now); err != nil || got.Allow != want || len(got.Reasons) > 0 {
				t.Errorf("%s: %+v, %v; want %t without reasons", name, got, err, want)
			}
		}
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	c := readCase(t, "testdata/decide/deny_wins.txtar")
	p, err := rules.Compile(t.Context(), c.platform, c.tenant, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var w strings.Builder
	d, err := p.Trace(t.Context(), c.input, now, &w)
	if err != nil || d.Allow || !strings.Contains(w.String(), "data.authz.deny") {
		t.Errorf("decision %+v, %v, trace:\n%s", d, err, w.String())
	}
}

func BenchmarkDecide(b *testing.B) {
	c := readCase(b, "testdata/decide/own_data.txtar")
	p, err := rules.Compile(b.Context(), c.platform, c.tenant, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := p.Decide(b.Context(), c.input, now); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	c := readCase(b, "testdata/decide/own_data.txtar")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Compile(b.Context(), c.platform, c.tenant, rules.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
