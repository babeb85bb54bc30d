package rules_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// guardHelpers make long texts from short ones, by means that are not guarded
// below their own limits.
const guardHelpers = `
ten := "aaaaaaaaaa"

thousand := concat("", [ten | some i in numbers.range(1, 100)])

long(n) := substring(concat("", [thousand | some i in numbers.range(1, ceil(n / 1000))]), 0, n) if n <= 65000

long(n) := s if {
	n > 65000
	s := input.identity.claims.long[format_int(n, 10)]
}

deep(n, s) := concat("", [s | some i in numbers.range(1, n)])
`

func guardedPolicy(tb testing.TB, expression string) *rules.Policy {
	tb.Helper()
	rego := "package authz\n\nallow if " + expression + "\n" + guardHelpers
	p, err := rules.Compile(tb.Context(), mustBundle(tb, nil), mustBundle(tb, []tenants.File{{Path: "policy.rego", Content: []byte(rego)}}), rules.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestGuards(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/guards.txt")
	if err != nil {
		t.Fatal(err)
	}
	in := baseInput()
	long := map[string]any{}
	for _, n := range []int{65536, 65537} {
		long[fmt.Sprint(n)] = strings.Repeat("a", n)
	}
	in.Identity.Claims["long"] = long
	in.Identity.Claims["n"] = 5
	cases := 0
	for i, line := range strings.Split(string(content), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		expression, want, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("line %d: no =>", i+1)
		}
		cases++
		t.Run(fmt.Sprint("line ", i+1), func(t *testing.T) {
			t.Parallel()
			got, err := guardedPolicy(t, expression).Decide(t.Context(), in, now)
			if want == "yes" {
				if err != nil || !got.Allow {
					t.Errorf("%s: %+v, %v: %s", expression, got, err, messageOf(err))
				}
				return
			}
			if err == nil || got.Allow || !strings.Contains(messageOf(err), want) {
				t.Errorf("%s: %+v, %v: %s, want an error with %q", expression, got, err, messageOf(err), want)
			}
		})
	}
	if cases < 50 {
		t.Errorf("%d cases", cases)
	}
}

func messageOf(err error) string {
	var trouble *engine.Trouble
	var e *rules.EvalError
	if !errors.As(err, &trouble) || !errors.As(trouble.Err, &e) {
		return ""
	}
	return e.Message
}
