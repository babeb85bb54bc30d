package ruletest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// DefaultTotal is how long a whole run may take in a child: a test that cannot be
// interrupted is given up after 11 s, and others want to run too.
const DefaultTotal = 30 * time.Second

// childArgument is the one argument of a child that runs tests.
const childArgument = "regent-ruletest-child"

// Main makes the process a child if Confined started it as one, and then does not
// return. Every program that calls Confined calls this first in main, and its test
// binary first in TestMain.
func Main() { sandbox.Serve(childArgument, runChild) }

// StoppedError says that a run was ended by force.
type StoppedError struct {
	// Reason is "deadline", "memory", "stack", "crash", "signal" or "protocol".
	Reason string
	// Test is the full name of the test that was running; empty if that is not known.
	Test string
	// Compiling tells that no test had begun.
	Compiling bool
	// Limit is the time that the whole run had.
	Limit time.Duration
}

// Error says what was going on and why it was ended.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("the run was ended while %s: %s", e.doing(), e.reason())
}

func (e *StoppedError) doing() string {
	switch {
	case e.Compiling:
		return "compiling"
	case e.Test == "":
		return "testing"
	default:
		return e.Test + " was running"
	}
}

func (e *StoppedError) reason() string {
	switch e.Reason {
	case "deadline":
		return fmt.Sprintf("all the tests together did not end within %s", e.Limit)
	case "memory":
		return fmt.Sprintf("it took more than %d MB of memory", sandbox.DefaultMemory>>20)
	case "stack":
		return "stack overflow"
	case "protocol":
		return "its process answered with something else, or with too much"
	default:
		return "its process ended (" + e.Reason + ")"
	}
}

// Confined does what Run does, in a child process with limits on memory and stack that
// is killed if the whole run does not end within Options.Total. A run that was ended by
// force is a *StoppedError, and the report has what there was until then: tests
// that did not end, or not begin, are errors in it.
func Confined(ctx context.Context, platform, tenant tenants.Bundle, opts Options) (Report, error) {
	opts.Total = cmp.Or(opts.Total, DefaultTotal)
	if opts.Total < 0 {
		return Report{}, fmt.Errorf("total %s: must be more than 0s", opts.Total)
	}
	start := time.Now()
	sent, err := json.Marshal(request{Platform: platform.Files(), Tenant: tenant.Files(), Options: opts})
	if err != nil {
		return Report{}, err
	}
	a := answer{open: map[string]Test{}, report: Report{Tests: []Test{}}}
	err = sandbox.Errand(ctx, childArgument, sent, opts.Total, a.read)
	if ended := (*sandbox.EndedError)(nil); errors.As(err, &ended) {
		stopped := &StoppedError{Reason: ended.Reason, Test: strings.ReplaceAll(a.current(), "\x00", "."), Compiling: !a.listed, Limit: opts.Total}
		a.stop(stopped, cmp.Or(opts.Dir, "platform"))
		a.report.Duration = time.Since(start)
		return a.report, stopped
	}
	if err == nil {
		err = a.fault
	}
	if err != nil {
		return Report{}, err
	}
	return a.report, nil
}

// request is what a child is asked.
type request struct {
	Platform, Tenant []tenants.File
	Options          Options
}

// message is one of those that a child answers with; one of its fields is set.
type message struct {
	// List are all tests, before any runs.
	List []Test `json:",omitempty"`
	// Running is the key of the test that begins.
	Running string `json:",omitempty"`
	// Test has ended.
	Test *Test `json:",omitempty"`
	// Problems and Error are why there is no report.
	Problems rules.Problems `json:",omitempty"`
	Error    string         `json:",omitempty"`
	// Report is the last message; its tests have been sent already.
	Report *Report `json:",omitempty"`
}

// runChild is the child's side.
func runChild(from io.Reader, to io.Writer) error {
	var q request
	if err := json.NewDecoder(from).Decode(&q); err != nil {
		return errors.New("the request cannot be read")
	}
	platform, err := tenants.NewBundle(q.Platform)
	if err != nil {
		return err
	}
	tenant, err := tenants.NewBundle(q.Tenant)
	if err != nil {
		return err
	}
	out := json.NewEncoder(to)
	report, err := runTold(context.Background(), platform, tenant, q.Options, func(m message) { _ = out.Encode(m) })
	report.Tests = nil
	last := message{Report: &report}
	if ps, ok := rules.IsProblems(err); ok {
		last = message{Problems: ps}
	} else if err != nil {
		last = message{Error: err.Error()}
	}
	return out.Encode(last)
}

// answer puts a child's messages together. It takes none of them on trust: a test is
// one of the list, once, and has one of the outcomes.
type answer struct {
	listed bool
	// open are the tests that have not ended, by key.
	open map[string]Test
	// running are those that began, the last one last: one that failed is evaluated again
	// to explain it, while the next begins.
	running []string
	report  Report
	// fault is why there is no report.
	fault error
}

var errProtocol = errors.New("not an answer")

// read reads messages until the last.
func (a *answer) read(from io.Reader) error {
	for d := json.NewDecoder(from); ; {
		var m message
		if err := d.Decode(&m); err != nil {
			return err
		}
		last, err := a.take(m)
		if last || err != nil {
			return err
		}
	}
}

func (a *answer) take(m message) (last bool, err error) {
	switch {
	case m.Test != nil:
		k := key(m.Test.Package, m.Test.Name)
		if _, ok := a.open[k]; !ok || !slices.Contains([]Outcome{Pass, Fail, Error, Skip}, m.Test.Outcome) {
			return false, errProtocol
		}
		delete(a.open, k)
		a.running = slices.DeleteFunc(a.running, func(r string) bool { return r == k })
		a.report.add(*m.Test)
	case m.Running != "":
		if _, ok := a.open[m.Running]; ok && !slices.Contains(a.running, m.Running) {
			a.running = append(a.running, m.Running)
		}
	case m.Problems != nil:
		if slices.Contains(m.Problems, nil) {
			return false, errProtocol
		}
		a.fault = m.Problems
		return true, nil
	case m.Error != "":
		a.fault = errors.New(m.Error)
		return true, nil
	case m.Report != nil:
		if len(a.open) > 0 {
			return false, errProtocol
		}
		a.report.Duration, a.report.Coverage = m.Report.Duration, m.Report.Coverage
		sortTests(a.report.Tests)
		return true, nil
	case m.List != nil && !a.listed:
		a.listed = true
		for _, t := range m.List {
			a.open[key(t.Package, t.Name)] = t
		}
	default:
		return false, errProtocol
	}
	return false, nil
}

func (a *answer) current() string {
	if len(a.running) == 0 {
		return ""
	}
	return a.running[len(a.running)-1]
}

// stop gives every test that has not ended its reason.
func (a *answer) stop(why *StoppedError, dir string) {
	a.report.Stopped = why.Error()
	if !a.listed {
		a.open = map[string]Test{"": {Name: "compile", File: dir}}
	}
	for _, k := range slices.Sorted(maps.Keys(a.open)) {
		t := a.open[k]
		t.Outcome = Error
		t.Error = "did not run: " + why.Error()
		if k == a.current() || !a.listed {
			t.Error = why.reason()
		}
		a.report.add(t)
	}
	sortTests(a.report.Tests)
}
