package rules_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// TestMain makes the test binary a child where it was started as one.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// question is an input for rules.
type question struct {
	bundlePair
	input engine.Input
}

// questions are the cases of decide, those of the ordinary policies, and the golden
// decisions.
func questions(t *testing.T) map[string][]question {
	t.Helper()
	all := map[string][]question{}
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		c := readCase(t, file)
		all[file] = []question{{bundlePair{c.platform, c.tenant}, c.input}}
	}
	for _, o := range readOrdinary(t) {
		for _, c := range o.cases {
			all["cases of "+o.name] = append(all["cases of "+o.name], question{bundlePair{mustBundle(t, nil), o.bundle}, laidOver(t, c.Input)})
		}
	}
	inputs := goldenInputs()
	for name, b := range goldenBundles(t) {
		for _, in := range inputs {
			all[name] = append(all[name], question{b, in})
		}
	}
	return all
}

// TestAnswersInAChild holds that a child says what this process says, errors included. It
// is not parallel: the child answers one question at a time.
func TestAnswersInAChild(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector finds nothing in a child; the step wall runs it without")
	}
	all := questions(t)
	store := &bundles{byDigest: map[tenants.Digest]tenants.Bundle{}}
	for _, list := range all {
		for _, q := range list {
			store.byDigest[q.platform.Digest()], store.byDigest[q.tenant.Digest()] = q.platform, q.tenant
		}
	}
	const patient = 30 * time.Second
	process, err := rules.New(rules.Config{Store: store, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	child, err := sandbox.New(sandbox.Config{Store: store, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Close)
	yes := 0
	for name, list := range all {
		t.Run(name, func(t *testing.T) {
			for i, q := range list {
				want, got := answerOf(t, process, q), answerOf(t, child, q)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%d: (-process +child)\n%s", i, diff)
				}
				if got.Decision.Allow {
					yes++
				}
			}
		})
	}
	if yes < 100 {
		t.Errorf("%d answers are a yes", yes)
	}
}

// answer is all that there is to say to a question.
type answer struct {
	Decision engine.Decision
	Err      string
	Eval     rules.EvalError
}

func answerOf(t *testing.T, from engine.Policies, q question) (a answer) {
	t.Helper()
	policy, err := from.Load(t.Context(), "acme", q.platform.Digest(), q.tenant.Digest())
	if err == nil {
		a.Decision, err = policy.Decide(t.Context(), q.input, now)
	}
	var e *rules.EvalError
	if errors.As(err, &e) {
		a.Eval = *e
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}
