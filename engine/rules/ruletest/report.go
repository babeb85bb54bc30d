package ruletest

import (
	"fmt"
	"math"
	"time"
)

// Outcome is how a test ended. The zero value is no outcome.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	// Fail: the test is false or undefined.
	Fail Outcome = "fail"
	// Error: the test could not be evaluated, or did not end in time.
	Error Outcome = "error"
	// Skip: the test's name starts with todo_test_.
	Skip Outcome = "skip"
)

// Report is what a run of one bundle's tests found. Its JSON form is stable, except
// for the durations.
type Report struct {
	// Passed, Failed, Errors and Skipped count tests; the cases of a table are one test.
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Errors  int `json:"errors"`
	Skipped int `json:"skipped"`
	// Duration is the whole run's, compiling included.
	Duration time.Duration `json:"duration_ns"`
	// Tests are sorted by file, line and name.
	Tests []Test `json:"tests"`
	// Stopped says why the run was ended by force, if it was: see Confined.
	Stopped string `json:"stopped,omitempty"`
	// Coverage is nil unless Options.Coverage asked for it.
	Coverage *Coverage `json:"coverage,omitempty"`
}

// OK reports whether nothing failed. It is true of a run without tests: see Ran.
func (r Report) OK() bool { return r.Failed == 0 && r.Errors == 0 && r.Stopped == "" }

// Ran returns the number of tests that were evaluated. Zero means that the run proves
// nothing: there are no tests, or the filter matches none, or all are skipped.
func (r Report) Ran() int { return r.Passed + r.Failed + r.Errors }

func (r *Report) add(t Test) {
	r.Tests = append(r.Tests, t)
	switch t.Outcome {
	case Pass:
		r.Passed++
	case Fail:
		r.Failed++
	case Skip:
		r.Skipped++
	default:
		r.Errors++
	}
}

// Test is one test rule.
type Test struct {
	// Package is the package's path, such as data.authz_test.
	Package string `json:"package"`
	// Name is the rule's name. The second rule of a name in a package has #01 at its end.
	Name string `json:"name"`
	// File and Line are where the rule is; Line counts from 1.
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Outcome Outcome `json:"outcome"`
	// Duration is the evaluation's.
	Duration time.Duration `json:"duration_ns"`
	// Error says why the outcome is Error.
	Error string `json:"error,omitempty"`
	// Failure is where a failed test stopped; nil if that is not known.
	Failure *Failure `json:"failure,omitempty"`
	// Output is what print wrote.
	Output string `json:"output,omitempty"`
	// Cases are the cases of a table, sorted by name.
	Cases []Case `json:"cases,omitempty"`
}

// Case is one case of a table.
type Case struct {
	// Name has a slash between the levels of a nested table.
	Name    string   `json:"name"`
	Outcome Outcome  `json:"outcome"`
	Failure *Failure `json:"failure,omitempty"`
}

// Failure is the last expression that was not true.
type Failure struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Text is the expression and, below it, the values of its variables.
	Text string `json:"text"`
}

// Coverage tells which lines of the rules were evaluated. Lines without an
// expression, such as comments and imports, do not count.
type Coverage struct {
	// Percent is from 0 to 100, rounded down to two decimals.
	Percent float64 `json:"percent"`
	// Covered and Uncovered count lines. A line may be in both.
	Covered   int `json:"covered"`
	Uncovered int `json:"uncovered"`
	// Files are sorted by name; test files are left out.
	Files []FileCoverage `json:"files"`
}

// FileCoverage is the coverage of one file.
type FileCoverage struct {
	File      string  `json:"file"`
	Percent   float64 `json:"percent"`
	Covered   int     `json:"covered"`
	Uncovered int     `json:"uncovered"`
	// Missed are the uncovered lines, in order.
	Missed []Lines `json:"missed,omitempty"`
}

// Lines are the lines from First to Last, both included.
type Lines struct {
	First int `json:"first"`
	Last  int `json:"last"`
}

// String returns 7 or 7-9.
func (l Lines) String() string {
	if l.First == l.Last {
		return fmt.Sprint(l.First)
	}
	return fmt.Sprintf("%d-%d", l.First, l.Last)
}

// percent is 100 where there is nothing to cover.
func percent(covered, uncovered int) float64 {
	if uncovered == 0 {
		return 100
	}
	return math.Floor(10000*float64(covered)/float64(covered+uncovered)) / 100
}
