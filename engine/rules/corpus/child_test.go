package corpus_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/rules/corpus"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

var full = flag.Bool("full", false, "run all of OPA's cases in the child, not one in ten")

// TestMain makes the test binary a child where it was started as one.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// shelf is a store of one bundle after the other, and of an empty platform.
type shelf struct {
	tenants.Store
	platform, tenant tenants.Bundle
}

func (s *shelf) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	if d == s.platform.Digest() {
		return s.platform, nil
	}
	return s.tenant, nil
}

// TestConformanceInTheChild holds that OPA's cases come out in a child as they do in
// the process. It is not parallel: cases wait for each other.
func TestConformanceInTheChild(t *testing.T) {
	cases, err := corpus.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !*full {
		var some []corpus.Case
		for i := 0; i < len(cases); i += 10 {
			some = append(some, cases[i])
		}
		cases = some
	}
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		t.Fatal(err)
	}
	store := &shelf{platform: platform}
	pool, err := sandbox.New(sandbox.Config{Store: store, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	got := corpus.RunConformance(t.Context(), cases, func(ctx context.Context, b tenants.Bundle) (engine.Decision, error) {
		store.tenant = b
		policy, err := pool.Load(ctx, "acme", platform.Digest(), b.Digest())
		if err != nil {
			return engine.Decision{}, err
		}
		return policy.Decide(ctx, engine.Input{}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	})
	for note, what := range got.Failed {
		t.Errorf("%s: %s", note, what)
	}
	if diff := cmp.Diff(corpus.ExpectedConformance(), got); *full && len(got.Failed) == 0 && diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.Passed == 0 {
		t.Error("nothing passed")
	}
}
