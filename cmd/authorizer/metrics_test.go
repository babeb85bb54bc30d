package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1_800_000_000_000)
	var out bytes.Buffer
	m := newMetrics(&out, "authorizer", start)
	var reads, stale uint64
	m.count("StoreReads", func() uint64 { return reads })
	m.count("StoreStale", func() uint64 { return stale })
	line := func(at, reads, stale string) string {
		return `{"FunctionName":"authorizer","StoreReads":` + reads + `,"StoreStale":` + stale +
			`,"_aws":{"CloudWatchMetrics":[{"Namespace":"Regent","Dimensions":[["FunctionName"]],"Metrics":[{"Name":"StoreReads","Unit":"Count"},{"Name":"StoreStale","Unit":"Count"}]}],"Timestamp":` + at + `},"msg":"metrics"}` + "\n"
	}
	tests := []struct {
		name  string
		after time.Duration // since the start
		reads uint64        // by then
		want  string
	}{
		{"within the first minute", 59 * time.Second, 3, ""},
		{"after a minute", 60 * time.Second, 5, line("1800000060000", "5", "0")},
		{"at once again", 61 * time.Second, 7, ""},
		{"what was added since", 2 * time.Minute, 8, line("1800000120000", "3", "0")},
		{"after hours", 5 * time.Hour, 8, line("1800018000000", "0", "0")},
		{"the clock was set back", 4 * time.Hour, 9, line("1800014400000", "1", "0")},
	}
	for _, tt := range tests {
		out.Reset()
		reads = tt.reads
		if err := m.tick(start.Add(tt.after)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestNoMetrics(t *testing.T) {
	t.Parallel()
	var none *metrics
	if err := none.tick(time.Now()); err != nil {
		t.Error(err)
	}
	m := newMetrics(broken{}, "f", time.Time{})
	if err := m.tick(time.Now()); err != nil {
		t.Errorf("a line without metrics: %v", err)
	}
	m.count("X", func() uint64 { return 1 })
	if err := m.tick(time.Now()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}

// TestMetricsAreDocumented holds that docs/function.md has the metrics that a function
// with a table writes, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1") // the SDK reads it
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_PROFILE", "")
	f, err := setUp([]string{
		"REGENT_STORE=dynamodb:regent", "REGENT_ISOLATION=none", "AWS_LAMBDA_FUNCTION_NAME=authorizer",
	}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, c := range f.metrics.counts {
		written = append(written, c.name)
	}
	text, err := os.ReadFile("../../docs/function.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Metrics\n")
	if !found {
		t.Fatal("docs/function.md has no section Metrics")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented = append(documented, name[1])
			}
		}
	}
	slices.Sort(written)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, written); len(written) == 0 || diff != "" {
		t.Errorf("documented and written (-documented +written)\n%s", diff)
	}
	if f.metrics.function != "authorizer" {
		t.Errorf("the dimension is %q", f.metrics.function)
	}
}
