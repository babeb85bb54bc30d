package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

var childWorlds = flag.Int("childworlds", 15, "random worlds whose answers in a child and in the process are compared")

// TestMain lets the test binary be a child of package sandbox.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// bookcase is a store of bundles that grows.
type bookcase struct {
	tenants.Store
	bundles sync.Map
}

func (b *bookcase) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	v, ok := b.bundles.Load(d)
	if !ok {
		return tenants.Bundle{}, tenants.ErrNotFound
	}
	return v.(tenants.Bundle), nil
}

// add stores a world's bundles.
func (b *bookcase) add(tb testing.TB, w world) (platform, revision tenants.Digest) {
	tb.Helper()
	var digests []tenants.Digest
	for _, files := range [][]tenants.File{
		{{Path: "platform/platform.rego", Content: []byte(w.guardrails())}, {Path: "lib/paths.rego", Content: []byte(lib)}},
		{{Path: "authz.rego", Content: []byte(w.source())}, {Path: "data.json", Content: []byte(w.data)}},
	} {
		bundle, err := tenants.NewBundle(files)
		if err != nil {
			tb.Fatal(err)
		}
		b.bundles.Store(bundle.Digest(), bundle)
		digests = append(digests, bundle.Digest())
	}
	return digests[0], digests[1]
}

// answers is what rules say of one request and of its cache key.
type answers struct {
	Decision    engine.Decision
	Permissions engine.Permissions
	Errors      []string
}

func asked(ctx context.Context, policy engine.Policy, api tenants.API, r request) (a answers) {
	note := func(err error) {
		if err != nil {
			a.Errors = append(a.Errors, err.Error())
		}
	}
	var err error
	a.Decision, err = policy.Decide(ctx, r.Input, at)
	note(err)
	a.Permissions, err = policy.Permissions(ctx, engine.NewKnown(api, r.Input, routeMethod(api, r.Input)), api.Routes, at)
	note(err)
	return a
}

// sampleWorlds are the worlds that once failed, and random ones.
func sampleWorlds(tb testing.TB) map[string]world {
	tb.Helper()
	files, err := filepath.Glob("testdata/worlds/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("worlds: %v, %v", files, err)
	}
	worlds := map[string]world{}
	for _, file := range files {
		worlds[filepath.Base(file)] = readWorld(tb, file)
	}
	first := *seedFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for i := range uint64(*childWorlds) {
		worlds[fmt.Sprint("seed ", first+i)] = newWorld(rand.New(rand.NewPCG(first+i, 0)))
	}
	return worlds
}

// TestChildAgrees holds that rules say the same in a child as in the process, over the
// worlds of TestCompletePolicies; and that many callers at a time are told what one is.
func TestChildAgrees(t *testing.T) {
	t.Parallel()
	store := &bookcase{}
	pool, err := sandbox.New(sandbox.Config{Store: store, Timeout: time.Minute, Children: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	type ask struct {
		name               string
		platform, revision tenants.Digest
		api                tenants.API
		request            request
		want               answers
	}
	same := func(a ask) string {
		policy, err := pool.Load(t.Context(), "acme", a.platform, a.revision)
		if err != nil {
			return err.Error()
		}
		return cmp.Diff(a.want, asked(t.Context(), policy, a.api, a.request), cmpopts.EquateEmpty())
	}
	var all []ask
	for name, w := range sampleWorlds(t) {
		direct, err := w.compile(t.Context())
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, w.txtar())
		}
		platform, revision := store.add(t, w)
		api := w.api(t)
		for _, r := range w.requests(rand.New(rand.NewPCG(1, 1)), api, 4) {
			a := ask{name, platform, revision, api, r, asked(t.Context(), direct, api, r)}
			if diff := same(a); diff != "" {
				t.Fatalf("%s: %s %s (-process +child)\n%s\n%s", name, r.Method, r.Path, diff, w.txtar())
			}
			all = append(all, a)
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d requests were asked", len(all))
	}
	var callers sync.WaitGroup
	for caller := range 64 {
		callers.Go(func() {
			for i := range 2 {
				a := all[(caller*7+i*13)%len(all)]
				if diff := same(a); diff != "" {
					t.Errorf("%s: %s %s, one of many (-one +many)\n%s", a.name, a.request.Method, a.request.Path, diff)
				}
			}
		})
	}
	callers.Wait()
}
