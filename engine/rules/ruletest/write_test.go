package ruletest_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine/rules/ruletest"
)

// suites have one of everything, and a tenant that tries to steer the terminal.
func suites() []ruletest.Suite {
	return []ruletest.Suite{
		{Name: "acme", Report: ruletest.Report{
			Passed: 1, Failed: 2, Errors: 1, Skipped: 1, Duration: 12345 * time.Microsecond,
			Tests: []ruletest.Test{
				{Package: "data.authz_test", Name: "test_passes", File: "authz_test.rego", Line: 3, Outcome: ruletest.Pass, Duration: 400 * time.Microsecond, Output: "hello\x1b[2J\n"},
				{Package: "data.authz_test", Name: "test_fails", File: "authz_test.rego", Line: 5, Outcome: ruletest.Fail, Duration: time.Millisecond,
					Failure: &ruletest.Failure{File: "authz_test.rego", Line: 6, Text: "n == 2\n|\n1"}},
				{Package: "data.authz_test", Name: "test_table", File: "authz_test.rego", Line: 9, Outcome: ruletest.Fail, Duration: time.Millisecond, Cases: []ruletest.Case{
					{Name: "one", Outcome: ruletest.Pass},
					{Name: "two <&>", Outcome: ruletest.Fail, Failure: &ruletest.Failure{File: "authz_test.rego", Line: 11, Text: "n < 2"}},
					{Name: "three", Outcome: ruletest.Fail},
				}},
				{Package: "data.authz_test", Name: "test_error", File: "authz_test.rego", Line: 14, Outcome: ruletest.Error, Error: "did not end within 5s"},
				{Package: "data.authz_test", Name: "todo_test_later", File: "authz_test.rego", Line: 16, Outcome: ruletest.Skip},
			},
			Coverage: &ruletest.Coverage{Percent: 62.5, Covered: 5, Uncovered: 3, Files: []ruletest.FileCoverage{
				{File: "authz.rego", Percent: 50, Covered: 3, Uncovered: 3, Missed: []ruletest.Lines{{First: 5, Last: 5}, {First: 7, Last: 8}}},
				{File: "roles.rego", Percent: 100, Covered: 2},
			}},
		}},
		{Name: "globex", Report: ruletest.Report{Tests: []ruletest.Test{}}},
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		write func(*bytes.Buffer) error
		want  string
	}{
		{"plain", func(b *bytes.Buffer) error { return ruletest.WritePretty(b, suites(), ruletest.Style{}) }, "pretty.txt"},
		{"verbose", func(b *bytes.Buffer) error { return ruletest.WritePretty(b, suites(), ruletest.Style{Verbose: true}) }, "pretty-verbose.txt"},
		{"junit", func(b *bytes.Buffer) error { return ruletest.WriteJUnit(b, suites()) }, "junit.xml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			if err := tt.write(&got); err != nil {
				t.Fatal(err)
			}
			file := "testdata/write/" + tt.want
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if strings.ContainsRune(got.String(), '\x1b') {
				t.Error("an escape sequence of a test reached the output")
			}
		})
	}
}

func TestColorIsOnlyAdded(t *testing.T) {
	t.Parallel()
	var plain, color bytes.Buffer
	if err := ruletest.WritePretty(&plain, suites(), ruletest.Style{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	if err := ruletest.WritePretty(&color, suites(), ruletest.Style{Verbose: true, Color: true}); err != nil {
		t.Fatal(err)
	}
	stripped := color.String()
	for _, code := range []string{"0", "1", "2", "31", "32", "33"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+code+"m", "")
	}
	if stripped == color.String() {
		t.Error("no colour")
	}
	if diff := cmp.Diff(plain.String(), stripped); diff != "" {
		t.Errorf("without its colours the output differs (-want +got):\n%s", diff)
	}
}

func TestJUnitIsXML(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := ruletest.WriteJUnit(&got, suites()); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Tests  int `xml:"tests,attr"`
		Suites []struct {
			Cases []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(got.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 5 || len(doc.Suites) != 2 || len(doc.Suites[0].Cases) != 5 {
		t.Errorf("read back %+v, want 2 suites with 5 tests", doc)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteReportsTheWritersError(t *testing.T) {
	t.Parallel()
	if err := ruletest.WritePretty(brokenWriter{}, suites(), ruletest.Style{}); !errors.Is(err, errBroken) {
		t.Errorf("WritePretty: %v, want the writer's error", err)
	}
	if err := ruletest.WriteJUnit(brokenWriter{}, suites()); !errors.Is(err, errBroken) {
		t.Errorf("WriteJUnit: %v, want the writer's error", err)
	}
}
