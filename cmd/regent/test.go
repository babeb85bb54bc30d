package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"regent/engine/rules/ruletest"
	"regent/tenants"
	"regent/tenants/dir"
)

// testFlags are the flags of `regent test`.
type testFlags struct {
	run       string
	tenants   []string
	coverage  bool
	threshold float64
	format    string
	verbose   bool
	// timeout bounds the run of one bundle; 0 means ruletest.DefaultTotal.
	timeout time.Duration
}

func (c *cli) testCommand() *cobra.Command {
	var f testFlags
	cmd := c.onWorkspace(&cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the tests of the platform and of every tenant",
		Long: `Runs every test rule in the workspace's *_test.rego files: the platform's and lib's
once, and each tenant's on its own, together with the platform's rules, in a child
process that is killed if they do not end. The exit status is 1 if a test fails, if
none runs, or if coverage is below the threshold.`,
		Example: `  regent test
  regent test --run viewer -v
  regent test --threshold 90 --format junit > report.xml`,
	}, func(cmd *cobra.Command, path string) error {
		if err := f.validate(cmd, c.json); err != nil {
			return err
		}
		return c.test(cmd.Context(), path, f)
	})
	cmd.Flags().StringVar(&f.run, "run", "", "only tests whose name, such as data.authz_test.test_viewer, matches this regular expression")
	cmd.Flags().StringSliceVar(&f.tenants, "tenant", nil, "only this tenant's tests (repeatable)")
	cmd.Flags().BoolVar(&f.coverage, "coverage", false, "show the lines of the rules that no test reached")
	cmd.Flags().Float64Var(&f.threshold, "threshold", 0, "fail if the coverage of a tenant or of the platform is below this percentage; implies --coverage")
	cmd.Flags().StringVar(&f.format, "format", "", "pretty, json or junit (default pretty)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show tests that pass and the cases of tables")
	cmd.Flags().DurationVar(&f.timeout, "timeout", ruletest.DefaultTotal, "how long all the tests of a tenant, or of the platform, may take together")
	c.completeFlag(cmd, "format", func() []string { return formats() })
	c.completeFlag(cmd, "tenant", c.tenantIDs)
	return cmd
}

func formats() []string { return []string{"pretty", "json", "junit"} }

func (f *testFlags) validate(cmd *cobra.Command, json bool) error {
	if json && f.format != "" && f.format != "json" {
		return usage(cmd, fmt.Errorf("--json contradicts --format %s", f.format))
	}
	if json {
		f.format = "json"
	}
	f.format = cmp.Or(f.format, "pretty")
	if !slices.Contains(formats(), f.format) {
		return usage(cmd, fmt.Errorf("--format %q is none of %s", f.format, strings.Join(formats(), ", ")))
	}
	if _, err := regexp.Compile(f.run); err != nil {
		return usage(cmd, fmt.Errorf("--run: %w", err))
	}
	if f.timeout <= 0 {
		return usage(cmd, fmt.Errorf("--timeout %s is not above 0s", f.timeout))
	}
	if f.threshold < 0 || f.threshold > 100 {
		return usage(cmd, fmt.Errorf("--threshold %g is not a percentage from 0 to 100", f.threshold))
	}
	f.coverage = f.coverage || f.threshold > 0
	return nil
}

func (c *cli) test(ctx context.Context, path string, f testFlags) error {
	store, err := openWorkspace(path)
	if err != nil {
		return err
	}
	jobs, err := testJobs(store.Snapshot(), f.tenants)
	if err != nil {
		return err
	}
	suites, err := c.runTests(ctx, store.Snapshot().PlatformBundle(), jobs, f)
	if err != nil {
		return err
	}
	if err := c.writeSuites(suites, f); err != nil {
		return err
	}
	return c.judgeTests(suites, f)
}

// testJob is one bundle to test.
type testJob struct {
	name, dir string
	bundle    tenants.Bundle
}

// testJobs are the platform and the tenants, or only the tenants named.
func testJobs(s *dir.Snapshot, only []string) ([]testJob, error) {
	var jobs []testJob
	if len(only) == 0 {
		if len(s.PlatformBundle().Files()) > 0 {
			jobs = append(jobs, testJob{name: "platform"})
		}
		for _, t := range s.Tenants() {
			only = append(only, t.ID)
		}
	}
	for _, id := range only {
		if _, err := tenantNamed(s, id); err != nil {
			return nil, err
		}
		b, err := s.TenantBundle(id)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, testJob{name: id, dir: policyDir(id), bundle: b})
	}
	return jobs, nil
}

// runTests runs the jobs, as many at a time as there are processors. A bundle that
// does not compile is in the error, and the others are run all the same. A run that was
// ended by force is a report that says so.
func (c *cli) runTests(ctx context.Context, platform tenants.Bundle, jobs []testJob, f testFlags) ([]ruletest.Suite, error) {
	suites := make([]ruletest.Suite, len(jobs))
	errs := make([]error, len(jobs))
	progress := c.newProgress("tested", len(jobs))
	defer progress.end()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(jobs); i = int(next.Add(1)) - 1 {
				j := jobs[i]
				report, err := ruletest.Confined(ctx, platform, j.bundle, ruletest.Options{Run: f.run, Coverage: f.coverage, Dir: j.dir, Total: f.timeout})
				if stopped := (*ruletest.StoppedError)(nil); errors.As(err, &stopped) {
					err = nil
				}
				suites[i], errs[i] = ruletest.Suite{Name: j.name, Report: report}, err
				progress.step(j.name)
			}
		})
	}
	wg.Wait()
	return suites, errors.Join(errs...)
}

func (c *cli) writeSuites(suites []ruletest.Suite, f testFlags) error {
	switch f.format {
	case "json":
		return c.out.json(struct {
			OK     bool             `json:"ok"`
			Suites []ruletest.Suite `json:"suites"`
		}{len(shortcomings(suites, f)) == 0, suites})
	case "junit":
		return ruletest.WriteJUnit(c.out, suites)
	}
	if f.run != "" {
		// Who looks for one test is not interested in who has none.
		suites = slices.DeleteFunc(slices.Clone(suites), func(s ruletest.Suite) bool { return len(s.Report.Tests) == 0 })
	}
	if err := ruletest.WritePretty(c.out, suites, ruletest.Style{Color: c.out.color, Verbose: f.verbose}); err != nil {
		return err
	}
	if len(suites) > 1 && len(shortcomings(suites, f)) == 0 {
		c.out.line("\n" + c.out.paint(green, allPassed(suites)))
	}
	return nil
}

func allPassed(suites []ruletest.Suite) string {
	passed := 0
	for _, s := range suites {
		passed += s.Report.Passed
	}
	return fmt.Sprintf("%s passed in %s", plural(passed, "test"), plural(len(suites), "bundle"))
}

// judgeTests says why the run is not good enough, if it is not.
func (c *cli) judgeTests(suites []ruletest.Suite, f testFlags) error {
	if f.run == "" {
		for _, s := range suites {
			if s.Report.Ran() == 0 && s.Name != "platform" {
				c.warn("tenant %s has no tests", s.Name)
			}
		}
	}
	short := shortcomings(suites, f)
	for _, s := range short {
		c.errorLine(s)
	}
	if len(short) > 0 {
		if anyStopped(suites) {
			c.hint(stoppedHint)
		}
		return exitStatus(exitNo)
	}
	return nil
}

// stoppedHint is what to do about a run that was ended by force.
const stoppedHint = "make that test simpler; regent test --run NAME runs others without it, and its --timeout gives more time"

func anyStopped(suites []ruletest.Suite) bool {
	return slices.ContainsFunc(suites, func(s ruletest.Suite) bool { return s.Report.Stopped != "" })
}

func shortcomings(suites []ruletest.Suite, f testFlags) []string {
	var short []string
	ran, bad := 0, 0
	for _, s := range suites {
		ran += s.Report.Ran()
		bad += s.Report.Failed + s.Report.Errors
		if s.Report.Stopped != "" {
			short = append(short, s.Name+": "+s.Report.Stopped)
		}
		if cov := s.Report.Coverage; cov != nil && cov.Percent < f.threshold {
			short = append(short, fmt.Sprintf("%s: coverage %g %% is below %g %%", s.Name, cov.Percent, f.threshold))
		}
	}
	switch {
	case ran == 0 && f.run != "":
		return []string{fmt.Sprintf("no test ran: --run %q matches none", f.run)}
	case ran == 0:
		return []string{"no test ran: there are none"}
	case bad > 0:
		short = append([]string{plural(bad, "test") + " failed"}, short...)
	}
	return short
}

// progress counts on a terminal, for those who wait.
type progress struct {
	c     *cli
	mu    sync.Mutex
	verb  string
	total int
	done  int
	start time.Time
	shown bool
}

func (c *cli) newProgress(verb string, total int) *progress {
	return &progress{c: c, verb: verb, total: total, start: time.Now()}
}

// step counts one more. Nothing is shown for the first second.
func (p *progress) step(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if !p.c.err.terminal || time.Since(p.start) < time.Second {
		return
	}
	p.shown = true
	_, _ = fmt.Fprintf(p.c.err, "\r\x1b[K%s %d of %d: %s", p.verb, p.done, p.total, printable(name))
}

// end wipes the count away.
func (p *progress) end() {
	if p.shown {
		_, _ = fmt.Fprint(p.c.err, "\r\x1b[K")
	}
}
