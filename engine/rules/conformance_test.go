package rules_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/corpus"
	"regent/tenants"
)

// TestConformance runs OPA's own cases under Regent's limits, capabilities and
// guards. Those that cannot run are counted by reason: a change of a number is a
// change of what rules may do, or of OPA.
func TestConformance(t *testing.T) {
	t.Parallel()
	list, err := corpus.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := corpus.RunConformance(t.Context(), list, func(ctx context.Context, b tenants.Bundle) (engine.Decision, error) {
		policy, err := rules.Compile(ctx, tenants.Bundle{}, b, rules.Options{})
		if err != nil {
			return engine.Decision{}, err
		}
		return policy.Decide(ctx, engine.Input{}, now)
	})
	for note, what := range got.Failed {
		t.Errorf("%s: %s", note, what)
	}
	want := corpus.ExpectedConformance()
	if diff := cmp.Diff(want, got); len(got.Failed) == 0 && diff != "" {
		t.Errorf("of %d cases (-want +got)\n%s", len(list), diff)
	}
}
