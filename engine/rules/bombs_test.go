package rules_test

import (
	"strings"
	"testing"
	"time"

	"regent/engine/rules"
	"regent/engine/rules/corpus"
)

// TestBombsAreRefused compiles the hostile policies that limits and capabilities
// stop. Those that they do not stop are evaluated in a child process only, by the
// tests of package sandbox.
func TestBombsAreRefused(t *testing.T) {
	t.Parallel()
	bombs, err := corpus.Bombs("testdata/bombs")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, b := range bombs {
		if b.Expect != corpus.Refused {
			continue
		}
		refused++
		t.Run(b.Name, func(t *testing.T) {
			bundle, err := b.Bundle()
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() {
				_, err := rules.Compile(t.Context(), mustBundle(t, nil), bundle, rules.Options{})
				result <- err
			}()
			// The compiler cannot be stopped: without a limit some of these take hours.
			select {
			case err = <-result:
			case <-time.After(time.Minute):
				t.Fatal("no answer after a minute")
			}
			ps, ok := rules.IsProblems(err)
			if !ok || !strings.Contains(err.Error(), b.By) {
				t.Fatalf("%v, want a problem with %q", err, b.By)
			}
			if ps[0].File != "policy.rego" || ps[0].Line == 0 {
				t.Errorf("%q does not say where", ps[0])
			}
			if size := len(err.Error()); size > 32<<10 {
				t.Errorf("the error has %d bytes", size)
			}
		})
	}
	if refused < 100 {
		t.Errorf("%d bombs are refused, want at least 100", refused)
	}
}
