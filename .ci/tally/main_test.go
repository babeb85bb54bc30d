package main

import (
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		in    string
		want  count
		asked []string
		shows string
	}{
		{
			name: "cases below a test count, the test itself does not",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/GET_/x"}
{"Action":"pass","Package":"p","Test":"TestA/GET_/x"}
{"Action":"run","Package":"p","Test":"TestA/b"}
{"Action":"skip","Package":"p","Test":"TestA/b"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			want: count{1, 0, 1},
		},
		{
			name: "a failed case counts once",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/b"}
{"Action":"output","Package":"p","Test":"TestA/b","Output":"want 1\n"}
{"Action":"fail","Package":"p","Test":"TestA/b"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want:  count{0, 1, 0},
			shows: "want 1",
		},
		{
			name: "a test that fails beside its cases counts too",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/b"}
{"Action":"pass","Package":"p","Test":"TestA/b"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: count{1, 1, 0},
		},
		{
			name: "a case that never ends is a failure",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: count{0, 1, 0},
		},
		{
			name: "a package that does not build is a failure",
			in: `{"ImportPath":"p","Action":"build-output","Output":"undefined: x\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			want:  count{0, 1, 0},
			shows: "undefined: x",
		},
		{
			name: "a benchmark is a case",
			in: `{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"BenchmarkA\n"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"BenchmarkA-2   \t"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"       1\t       390.0 ns/op\n"}
{"Action":"pass","Package":"p"}`,
			want: count{1, 0, 0},
		},
		{
			name: "a benchmark that reports something else than time is a case",
			in: `{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"output","Package":"p","Test":"BenchmarkA","Output":"BenchmarkA-2   \t       1\t   2415126 whole-ns\t  1.028 logged/whole\n"}
{"Action":"pass","Package":"p"}`,
			want: count{1, 0, 0},
		},
		{
			name: "a benchmark of benchmarks is not",
			in: `{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"run","Package":"p","Test":"BenchmarkA/x"}
{"Action":"output","Package":"p","Test":"BenchmarkA/x","Output":"BenchmarkA/x-2   \t       1\t       390.0 ns/op\n"}
{"Action":"pass","Package":"p"}`,
			want: count{1, 0, 0},
		},
		{
			name: "a benchmark without a result is a failure",
			in: `{"Action":"run","Package":"p","Test":"BenchmarkA"}
{"Action":"pass","Package":"p"}`,
			want: count{0, 1, 0},
		},
		{
			name:  "a package that was to run and did not is a failure",
			in:    `{"Action":"skip","Package":"p"}`,
			want:  count{0, 1, 0},
			asked: []string{"p"},
			shows: "p ran no case",
		},
		{
			name: "a package whose cases are all skipped is a failure",
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}`,
			want: count{0, 1, 1},
		},
		{
			name: "nothing at all is a failure",
			want: count{0, 1, 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sum, err := read(strings.NewReader(tt.in), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			var shown strings.Builder
			if got := sum.report(&shown, tt.asked); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if !strings.Contains(shown.String(), tt.shows) {
				t.Errorf("the report does not show %q:\n%s", tt.shows, shown.String())
			}
		})
	}
}
