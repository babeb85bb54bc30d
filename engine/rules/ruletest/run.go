package ruletest

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine/rules"
	"regent/tenants"
)

// DefaultTimeout is how long one test may take, as in `opa test`.
const DefaultTimeout = 5 * time.Second

// Options say what to run.
type Options struct {
	// Run selects tests by a regular expression, which is looked for in the full name,
	// such as data.authz_test.test_viewer. Empty selects all.
	Run string
	// Timeout bounds each test; zero means DefaultTimeout.
	Timeout time.Duration
	// Total bounds a whole run by Confined, starting and compiling included; zero means
	// DefaultTotal. Run does not look at it.
	Total time.Duration
	// Coverage asks for Report.Coverage. It makes tests slower.
	Coverage bool
	// Dir is put before the tenant's file names in the report, such as
	// tenants/acme/policy. Empty leaves them as they are in the bundle. The platform's
	// names start with platform or lib in any case.
	Dir string
}

// Run runs the tests of the tenant's bundle together with the platform's rules, or
// the platform's tests if the tenant's bundle is empty.
//
// Tests that fail are no error. The error is rules.Problems if the bundles cannot be
// parsed or compiled, and the context's if that ends first.
//
// Run holds the tests to their time only as far as they can be interrupted, and to
// nothing else: tests of people you do not trust are for Confined.
func Run(ctx context.Context, platform, tenant tenants.Bundle, opts Options) (Report, error) {
	return runTold(ctx, platform, tenant, opts, nil)
}

// runTold is Run, and tells how it goes where tell is not nil. Then the tests run one
// after the other, so that the one that begins is the one that runs.
func runTold(ctx context.Context, platform, tenant tenants.Bundle, opts Options, tell func(message)) (Report, error) {
	start := time.Now()
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	if opts.Timeout < 0 {
		return Report{}, fmt.Errorf("timeout %s: must be more than 0s", opts.Timeout)
	}
	filter, err := regexp.Compile(opts.Run)
	if err != nil {
		return Report{}, fmt.Errorf("run %q: %w", opts.Run, err)
	}
	src, err := load(platform, tenant, opts.Dir)
	if err != nil {
		return Report{}, err
	}
	r := run{
		src:      src,
		opts:     opts,
		store:    inmem.NewFromObjectWithOpts(src.data, inmem.OptRoundTripOnWrite(false)),
		compiler: ast.NewCompiler().WithCapabilities(capabilities()).WithEnablePrintStatements(true).WithDefaultRegoVersion(ast.RegoV1),
	}
	if opts.Coverage {
		r.cover = cover.New()
	}
	r.teller = newTeller(tell, r.cover)
	report, err := r.all(ctx, filter)
	report.Duration = time.Since(start)
	return report, err
}

// capabilities are all of OPA's functions but those that reach out of the process.
// Tests may use more than rules may; what rules may use is for package rules to say.
func capabilities() *ast.Capabilities {
	rules.InstallGuards()
	outside := []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "json.match_schema", "json.verify_schema"}
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return slices.Contains(outside, b.Name) })
	c.AllowNet = []string{} // references in schemas, should annotations ever be read here
	return c
}

type run struct {
	src      *sources
	opts     Options
	store    storage.Store
	compiler *ast.Compiler
	cover    *cover.Cover
	teller   *teller
}

func (r run) all(ctx context.Context, filter *regexp.Regexp) (Report, error) {
	results, err := r.begin(ctx)
	if err != nil {
		return Report{}, err
	}
	report := Report{Tests: []Test{}}
	pending := r.discover(filter)
	r.teller.list(pending)
	r.collect(results, func(res *tester.Result) {
		k := key(res.Package, res.Name)
		if ref, own := pending[k]; own {
			delete(pending, k)
			if res.Fail {
				r.teller.running(k) // once more, to explain it
			}
			t := r.test(ctx, res, ref.query)
			report.add(t)
			r.teller.ended(t)
		}
	})
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	for k, t := range pending {
		t.test.Outcome = Error
		t.test.Error = fmt.Sprintf("did not end within %s, and cannot be interrupted", r.opts.Timeout)
		if r.teller.waited(k) {
			t.test.Error = "did not run: another test did not end, and cannot be interrupted"
		}
		report.add(t.test)
		r.teller.ended(t.test)
	}
	sortTests(report.Tests)
	if r.cover != nil {
		report.Coverage = coverage(r.cover, r.src)
	}
	return report, nil
}

func sortTests(tests []Test) {
	slices.SortFunc(tests, func(a, b Test) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Name, b.Name))
	})
}

// begin compiles and starts the tests.
func (r run) begin(ctx context.Context) (<-chan *tester.Result, error) {
	txn, err := r.store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	defer r.store.Abort(ctx, txn)
	runner := tester.NewRunner().
		SetCompiler(r.compiler.WithPathConflictsCheck(storage.NonEmpty(ctx, r.store, txn))).
		SetStore(r.store).
		SetModules(r.src.modules).
		SetTimeout(r.opts.Timeout).
		RaiseBuiltinErrors(true).
		Filter(r.opts.Run)
	if r.cover != nil {
		runner.SetCoverageQueryTracer(r.cover).SetCoverageRuns(nil)
	}
	if r.teller.tell != nil {
		runner.SetParallel(1).SetCoverageQueryTracer(r.teller)
	}
	results, err := runner.RunTests(ctx, nil)
	if err != nil {
		return nil, problems("", err)
	}
	return results, nil
}

// collect hands over results until all are there. Evaluation looks at its deadline
// between expressions and in some builtin functions; a test that is caught in another
// never reports. So collect stops when nothing has come for longer than every test
// may take.
func (r run) collect(results <-chan *tester.Result, each func(*tester.Result)) {
	silence := 2*r.opts.Timeout + time.Second
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case res, ok := <-results:
			if !ok {
				return
			}
			each(res)
			timer.Reset(silence)
		case <-timer.C:
			go func() {
				for range results { // lets the runner end if the tests do
				}
			}()
			return
		}
	}
}

// pending is a test that has not reported.
type pending struct {
	test  Test
	query ast.Ref
}

func key(pkg, name string) string { return pkg + "\x00" + name }

// discover lists the tests that the run is about, skipped ones included, by the names
// that results have.
func (r run) discover(filter *regexp.Regexp) map[string]pending {
	found := map[string]pending{}
	for file, module := range r.compiler.Modules {
		if !r.src.own[file] {
			continue
		}
		for _, rule := range module.Rules {
			name, ok := testName(rule.Head.Ref().GroundPrefix())
			if !ok {
				continue
			}
			query := module.Package.Path.Extend(name)
			if !filter.MatchString(query.String()) {
				continue
			}
			t := Test{Package: module.Package.Path.String(), Name: name.String(), File: file, Line: rule.Loc().Row}
			found[key(t.Package, t.Name)] = pending{t, query}
		}
	}
	return found
}

// testName returns a rule's reference up to the part that makes it a test.
func testName(ref ast.Ref) (ast.Ref, bool) {
	for i, term := range ref {
		var word string
		switch v := term.Value.(type) {
		case ast.Var:
			word = string(v)
		case ast.String:
			word = string(v)
		}
		if strings.HasPrefix(word, tester.TestPrefix) || strings.HasPrefix(word, tester.SkipTestPrefix) {
			return ref[:i+1], true
		}
	}
	return nil, false
}

func (r run) test(ctx context.Context, res *tester.Result, query ast.Ref) Test {
	t := Test{
		Package: res.Package, Name: res.Name, Duration: res.Duration, Output: string(res.Output),
		File: res.Location.File, Line: res.Location.Row,
	}
	switch {
	case res.Skip:
		t.Outcome = Skip
		return t
	case topdown.IsCancel(res.Error):
		t.Outcome = Error
		t.Error = fmt.Sprintf("did not end within %s", r.opts.Timeout)
		return t
	case res.Error != nil:
		t.Outcome = Error
		t.Error = res.Error.Error()
		return t
	case res.Fail:
		t.Outcome = Fail
	default:
		t.Outcome = Pass
	}
	failures := map[string]*Failure{}
	if res.Fail {
		failures = r.explain(ctx, query)
	}
	for path, sub := range res.SubResults.Iter {
		if len(sub.SubResults) > 0 {
			continue // a level of a nested table: it is what its cases are
		}
		c := Case{Name: strings.Join(path, "/"), Outcome: Pass}
		if sub.Fail {
			c.Outcome = Fail
			c.Failure = failures[c.Name]
		}
		t.Cases = append(t.Cases, c)
	}
	if len(t.Cases) == 0 {
		t.Failure = failures[""]
	}
	return t
}
