package corpus_test

import (
	"context"
	"testing"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/corpus"
	"regent/tenants"
)

// TestEndedEvaluationsDoNotPass holds that no case is right because its evaluation was
// stopped.
func TestEndedEvaluationsDoNotPass(t *testing.T) {
	t.Parallel()
	cases, err := corpus.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"timeout", "killed", "stack_overflow", "out_of_memory", "crashed", "contract", "eval_error", "eval_cancel_error"} {
		got := corpus.RunConformance(t.Context(), cases, func(context.Context, tenants.Bundle) (engine.Decision, error) {
			return engine.Decision{}, &rules.EvalError{Code: code}
		})
		if asked := len(cases) - got.Excluded["the input is undefined"]; got.Passed > 0 || len(got.Failed) < asked*9/10 {
			t.Errorf("%s: %d cases passed, %d of %d failed", code, got.Passed, len(got.Failed), asked)
		}
	}
}
