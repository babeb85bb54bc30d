package ruletest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"regent/engine/rules"
	"regent/engine/rules/ruletest"
	"regent/tenants"
)

var update = flag.Bool("update", false, "write what the runs report into testdata/run")

// caseFile is a txtar archive: policy/… is the tenant's bundle, platform/… and lib/…
// the platform's, options.json the options, and want.json (a report without
// durations) or want-problem (the start of the error's only line) what is expected.
type caseFile struct {
	archive          *txtar.Archive
	platform, tenant tenants.Bundle
	options          ruletest.Options
	want             string
}

func readCase(t *testing.T, file string) caseFile {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := caseFile{archive: archive}
	var own, shared []tenants.File
	for _, f := range archive.Files {
		switch {
		case strings.HasPrefix(f.Name, "policy/"):
			own = append(own, tenants.File{Path: strings.TrimPrefix(f.Name, "policy/"), Content: f.Data})
		case strings.HasPrefix(f.Name, "platform/"), strings.HasPrefix(f.Name, "lib/"):
			shared = append(shared, tenants.File{Path: f.Name, Content: f.Data})
		case f.Name == "options.json":
			c.options = readOptions(t, f.Data)
		case f.Name == "want.json", f.Name == "want-problem":
			c.want = strings.TrimSpace(string(f.Data))
		default:
			t.Fatalf("%s: unknown file %s", file, f.Name)
		}
	}
	c.tenant, c.platform = bundle(t, own...), bundle(t, shared...)
	return c
}

func readOptions(t *testing.T, b []byte) ruletest.Options {
	t.Helper()
	var o struct {
		Run, Dir, Timeout string
		Coverage          bool
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("options.json: %v", err)
	}
	opts := ruletest.Options{Run: o.Run, Dir: o.Dir, Coverage: o.Coverage}
	if o.Timeout != "" {
		timeout, err := time.ParseDuration(o.Timeout)
		if err != nil {
			t.Fatalf("options.json: %v", err)
		}
		opts.Timeout = timeout
	}
	return opts
}

func bundle(t *testing.T, files ...tenants.File) tenants.Bundle {
	t.Helper()
	b, err := tenants.NewBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func module(name, text string) tenants.File {
	return tenants.File{Path: name, Content: []byte(text)}
}

// timeless is the report without what differs from run to run.
func timeless(r ruletest.Report) ruletest.Report {
	r.Duration = 0
	for i := range r.Tests {
		r.Tests[i].Duration = 0
	}
	return r
}

func cases(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata/%s: %v", dir, err)
	}
	return files
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t, "run") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, file)
			report, err := ruletest.Run(t.Context(), c.platform, c.tenant, c.options)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(timeless(report)); err != nil {
				t.Fatal(err)
			}
			if *update {
				write(t, file, c.archive, got.Bytes())
				return
			}
			if diff := cmp.Diff(c.want, strings.TrimSpace(got.String())); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func write(t *testing.T, file string, archive *txtar.Archive, want []byte) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name != "want.json" {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: "want.json", Data: want})
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t, "problem") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, file)
			_, err := ruletest.Run(t.Context(), c.platform, c.tenant, c.options)
			var ps rules.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("error %v, want rules.Problems", err)
			}
			if c.want == "" || len(ps) != 1 || !strings.HasPrefix(ps[0].Error(), c.want) {
				t.Errorf("problems:\n%v\nwant one that starts with\n%s", ps, c.want)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts ruletest.Options
		want string
	}{
		{"expression", ruletest.Options{Run: "("}, `run "("`},
		{"timeout", ruletest.Options{Timeout: -time.Second}, "timeout -1s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ruletest.Run(t.Context(), tenants.Bundle{}, tenants.Bundle{}, tt.opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// bits.lsh computes for seconds without looking at its deadline.
func TestTestThatCannotBeInterrupted(t *testing.T) {
	t.Parallel()
	tenant := bundle(t, module("stuck_test.rego", `package stuck_test

test_stuck if bits.lsh(1, 50000000 + input.n) > 0 with input.n as 1

test_passes if true
`))
	report, err := ruletest.Run(t.Context(), tenants.Bundle{}, tenant, ruletest.Options{Timeout: 250 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	want := ruletest.Report{Passed: 1, Errors: 1, Tests: []ruletest.Test{
		{Package: "data.stuck_test", Name: "test_stuck", File: "stuck_test.rego", Line: 3, Outcome: ruletest.Error, Error: "did not end within 250ms, and cannot be interrupted"},
		{Package: "data.stuck_test", Name: "test_passes", File: "stuck_test.rego", Line: 5, Outcome: ruletest.Pass},
	}}
	if diff := cmp.Diff(want, timeless(report)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if report.OK() {
		t.Error("OK is true")
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	tenant := bundle(t, module("endless_test.rego", `package endless_test

test_endless if {
	some a in numbers.range(1, 9000)
	some b in numbers.range(1, 9000)
	some c in numbers.range(1, 9000)
	a + b + c < 0
}
`))
	_, err := ruletest.Run(ctx, tenants.Bundle{}, tenant, ruletest.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestZeroReport(t *testing.T) {
	t.Parallel()
	report, err := ruletest.Run(t.Context(), tenants.Bundle{}, tenants.Bundle{}, ruletest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Ran() != 0 || !report.OK() {
		t.Errorf("ran %d, ok %t; want 0, true", report.Ran(), report.OK())
	}
}

func ExampleRun() {
	tenant, err := tenants.NewBundle([]tenants.File{
		{Path: "authz.rego", Content: []byte(`package authz

allow if input.method == "GET"

allow if "admin" in input.identity.claims.roles
`)},
		{Path: "authz_test.rego", Content: []byte(`package authz_test

import data.authz

test_anybody_reads if authz.allow with input.method as "GET"

test_nobody_writes if not authz.allow with input.method as "PUT"
`)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := ruletest.Run(context.Background(), tenants.Bundle{}, tenant, ruletest.Options{Coverage: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range report.Tests {
		fmt.Println(t.Outcome, t.Name)
	}
	fmt.Printf("%d passed, coverage %g %%\n", report.Passed, report.Coverage.Percent)
	for _, f := range report.Coverage.Files {
		fmt.Println("not covered:", f.File, f.Missed)
	}
	// Output:
	// pass test_anybody_reads
	// pass test_nobody_writes
	// 2 passed, coverage 50 %
	// not covered: authz.rego [5]
}
