package ruletest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine/rules"
	"regent/engine/rules/ruletest"
	"regent/tenants"
)

// TestConfinedIsRun holds the child to what a run in this process reports.
func TestConfinedIsRun(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t, "run") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, file)
			want, err := ruletest.Run(t.Context(), c.platform, c.tenant, c.options)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ruletest.Confined(t.Context(), c.platform, c.tenant, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(timeless(want), timeless(got)); diff != "" {
				t.Errorf("in a child (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfinedProblemsAreRuns(t *testing.T) {
	t.Parallel()
	b := bundle(t, module("authz_test.rego", "package authz_test\n\ntest_a if undefined_function(1)\n"))
	_, want := ruletest.Run(t.Context(), tenants.Bundle{}, b, ruletest.Options{})
	_, got := ruletest.Confined(t.Context(), tenants.Bundle{}, b, ruletest.Options{})
	ps, ok := rules.IsProblems(got)
	if !ok || want == nil {
		t.Fatalf("%v in a child, %v in the process; want problems", got, want)
	}
	if diff := cmp.Diff(want.Error(), ps.Error()); diff != "" {
		t.Errorf("in a child (-want +got):\n%s", diff)
	}
}

// bomb is a stored hostile policy as a test: its rule allow becomes test_bomb.
func bomb(t *testing.T, name string) tenants.File {
	t.Helper()
	content, err := os.ReadFile("../testdata/bombs/" + name + ".rego")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(content), "\nallow if", "\ntest_bomb if", 1)
	text = strings.Replace(text, "package authz\n", "package bomb_test\n", 1)
	if !strings.Contains(text, "test_bomb") || !strings.Contains(text, "bomb_test") {
		t.Fatalf("%s has no rule allow", name)
	}
	return module("bomb_test.rego", text)
}

// endless takes hours, and little memory.
const endless = "package bomb_test\n\ntest_bomb if {\n\tsome a in numbers.range(1, 9000)\n\tsome b in numbers.range(1, 9000)\n\tsome c in numbers.range(1, 9000)\n\ta + b + c < 0\n}\n"

// deep compares two long arrays, which takes a level of the stack for each element, and
// little memory besides.
const deep = `package bomb_test

test_bomb if {
	a0 := numbers.range(1, 500)
	a1 := array.concat(a0, a0)
	a2 := array.concat(a1, a1)
	a3 := array.concat(a2, a2)
	a4 := array.concat(a3, a3)
	a5 := array.concat(a4, a4)
	a6 := array.concat(a5, a5)
	a7 := array.concat(a6, a6)
	a8 := array.concat(a7, a7)
	b := array.concat(a7, a7)
	a8 == b
}
`

// hoarder keeps everything that it makes.
const hoarder = "package bomb_test\n\ntest_bomb if count([[i, j, k] | some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); some k in [1, 2]]) == 0\n"

// TestConfinedEndsBombs does not run beside others: its children are counted.
func TestConfinedEndsBombs(t *testing.T) {
	for _, c := range []struct {
		name, reason, test string
		file               tenants.File
	}{
		{"compiling", "deadline", "", bomb(t, "d01_dag_equal")},
		{"time", "deadline", "data.bomb_test.test_bomb", module("bomb_test.rego", endless)},
		{"memory", "memory", "data.bomb_test.test_bomb", module("bomb_test.rego", hoarder)},
		{"stack", "stack", "data.bomb_test.test_bomb", module("bomb_test.rego", deep)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.reason == "memory" && unlimited() {
				t.Skip("the system cannot hold this binary to its memory")
			}
			fine := module("fine_test.rego", "package fine_test\n\ntest_fine if true\n")
			total := 4 * time.Second
			if c.reason != "deadline" {
				total = time.Minute
			}
			report, err := ruletest.Confined(t.Context(), tenants.Bundle{}, bundle(t, c.file, fine),
				ruletest.Options{Total: total, Timeout: time.Minute, Coverage: true})
			var stopped *ruletest.StoppedError
			if !errors.As(err, &stopped) {
				t.Fatalf("%+v, %v; want it ended", report, err)
			}
			want := ruletest.StoppedError{Reason: c.reason, Test: c.test, Compiling: c.test == "", Limit: total}
			if *stopped != want {
				t.Errorf("ended as %+v, want %+v", *stopped, want)
			}
			if report.OK() || report.Stopped != stopped.Error() || report.Ran() == 0 || report.Tests[0].Outcome != ruletest.Error {
				t.Errorf("report %+v", report)
			}
			noChildren(t)
		})
	}
}

// TestConfinedEndsWithItsContext does not run beside others either.
func TestConfinedEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b := bundle(t, module("bomb_test.rego", endless))
	_, err := ruletest.Confined(ctx, tenants.Bundle{}, b, ruletest.Options{Timeout: time.Minute, Total: time.Minute})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's end", err)
	}
	noChildren(t)
}

// noChildren holds that no process is left that this one started, a zombie included.
func noChildren(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(content), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			t.Errorf("a child is left: %s", content)
		}
	}
}
