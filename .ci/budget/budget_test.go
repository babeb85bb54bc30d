package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const output = `goos: linux
pkg: regent/engine
BenchmarkBudget/policy=small-2         	     100	         0 ns/op	         1.12 whole/sum	         0.49 remembered/whole
BenchmarkBudget/policy=small-2         	     120	         0 ns/op	         1.50 whole/sum	         0.51 remembered/whole
BenchmarkMemo-2 	--- FAIL: no result
PASS
`

func TestParse(t *testing.T) {
	t.Parallel()
	want := results{"BenchmarkBudget/policy=small": {"ns/op": {0, 0}, "whole/sum": {1.12, 1.5}, "remembered/whole": {0.49, 0.51}}}
	if diff := cmp.Diff(want, parse(output)); diff != "" {
		t.Error(diff)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	base := row{what: "w", pkg: "p", bench: "b", unit: "u"}
	for _, tt := range []struct {
		name   string
		change func(*row)
		values []float64
		want   string
	}{
		{"holds", func(r *row) { r.limit = 1.3 }, []float64{1.1, 1.2, 1.9}, "| w | ≤ 1.30 | 1.10–1.90 | yes |"},
		{"missed", func(r *row) { r.limit = 1.3 }, []float64{1.1, 1.4, 1.9}, "| w | ≤ 1.30 | 1.10–1.90 | **no** |"},
		{"at least", func(r *row) { r.limit, r.atLeast = 20, true }, []float64{31.26}, "| w | ≥ 20 | 31.3 | yes |"},
		{"too little", func(r *row) { r.limit, r.atLeast = 20, true }, []float64{12}, "| w | ≥ 20 | 12 | **no** |"},
		{"unit", func(r *row) { r.limit, r.show = 100, " ms" }, []float64{250.4}, "| w | ≤ 100 ms | 250 ms | **no** |"},
		{"comparison", func(r *row) { r.unbounded = true }, []float64{3}, "| w | – | 3 |  |"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := base
			tt.change(&r)
			got, err := report([]row{r}, map[string]results{"p": {"b": {"u": tt.values}}})
			if err != nil || !strings.HasSuffix(got, tt.want+"\n") {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestReportWithoutNumber(t *testing.T) {
	t.Parallel()
	_, err := report([]row{{pkg: "p", bench: "b", unit: "u"}}, map[string]results{"p": {"b": {"v": {1}}}})
	if err == nil {
		t.Error("a row without a number is no error")
	}
}

func TestReplaced(t *testing.T) {
	t.Parallel()
	page := "head\n" + begin + "\nold\n" + end + "\ntail\n"
	got, err := replaced(page, "new\n")
	if want := "head\n" + begin + "\nnew\n" + end + "\ntail\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaced("head\n"+begin+"\n", "new"); err == nil {
		t.Error("a page without an end mark is no error")
	}
}

// TestRows holds each row to one metric of one benchmark.
func TestRows(t *testing.T) {
	t.Parallel()
	seen := map[[3]string]bool{}
	for _, r := range rows() {
		key := [3]string{r.pkg, r.bench, r.unit}
		if r.what == "" || r.pkg == "" || r.bench == "" || r.unit == "" || seen[key] {
			t.Errorf("row %+v", r)
		}
		if r.unbounded == (r.limit != 0) {
			t.Errorf("row %q has a limit and none", r.what)
		}
		seen[key] = true
	}
}
