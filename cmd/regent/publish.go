package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/engine/rules/ruletest"
	"regent/tenants"
	"regent/tenants/dir"
)

func (c *cli) publishCommand() *cobra.Command {
	var f proposalFlags
	cmd := &cobra.Command{
		Use:   "publish TENANT",
		Short: "Check, test and store a tenant's policy, and bring it into force",
		Long: `Takes tenants/TENANT/policy of a workspace and publishes it to a table:

  1. checks it, as regent check does, against the APIs, the platform and the tenant's
     record that the table has
  2. runs its tests, with coverage
  3. shows what it changes: files, data, and who may do what
  4. stores it as a revision, named by the digest of its content
  5. asks, and brings the revision into force

Nothing is stored if the checks or the tests fail. Nothing is overwritten: the revision
that was in force stays, and regent rollback goes back to it. If somebody else moved the
tenant since this began, nothing is brought into force, and it says who. Whatever stops
it, the tenant is on a whole revision, and doing the same again finishes it.

Without a terminal nobody can be asked: --yes goes on, --no-activate only stores.`,
		Example: `  regent publish acme --store dynamodb:regent
  regent publish acme --from shop -m 'clerks may export' --yes
  regent publish acme --no-activate`,
		Args:              exactlyOne("tenant"),
		ValidArgsFunction: c.completeOwner(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, _, err := ownerOf(cmd, false, args)
			if err != nil {
				return err
			}
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.publish(cmd.Context(), reg, id, f)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.noActivate, "no-activate", false, "only store the revision")
	cmd.MarkFlagsMutuallyExclusive("yes", "no-activate")
	return cmd
}

// publish publishes a tenant's policy from a workspace.
func (c *cli) publish(ctx context.Context, reg tenants.Registry, id string, f proposalFlags) error {
	ws, b, err := policyFrom(f.from, id)
	if err != nil {
		return err
	}
	p, err := c.propose(ctx, reg, id, f)
	if err != nil {
		return err
	}
	p.retry = p.command("publish")
	p.revise(b, ws.Schema())
	return p.publish(ctx, testJob{name: id, dir: policyDir(id), bundle: b}, slices.Concat(warnings(ws, tenantsDir+"/"+id+"/"), p.records(ws)))
}

// warnings are a workspace's warnings about files below certain directories.
func warnings(ws *dir.Snapshot, below ...string) (found []string) {
	for _, w := range ws.Warnings() {
		if slices.ContainsFunc(below, func(dir string) bool { return strings.HasPrefix(w.File, dir) }) {
			found = append(found, w.String())
		}
	}
	return found
}

// records are warnings about records, and a platform, that the workspace and the store do
// not have alike: publishing a policy leaves them as they are.
func (p *proposal) records(ws *dir.Snapshot) (found []string) {
	const counts = "%s: the store has another record of %s %s, which is what counts: %s differ; %s writes this one"
	fields := func(stored, own any) string {
		var names []string
		for _, f := range compareRecords(stored, own) {
			names = append(names, f.Field)
		}
		return listed(names)
	}
	for _, t := range ws.Tenants() {
		t.Version, t.Revision = p.tenant.Version, p.tenant.Revision
		if differ := fields(p.tenant, t); differ != "" {
			file := tenantsDir + "/" + t.ID + "/tenant.yaml"
			found = append(found, fmt.Sprintf(counts, file, "tenant", t.ID, differ, "regent tenants put "+file))
		}
	}
	for _, own := range ws.APIs() {
		for _, stored := range p.base.apis {
			own.Version = stored.Version
			if differ := fields(stored, own); stored.ID == own.ID && differ != "" {
				found = append(found, fmt.Sprintf(counts, registry, "API", own.ID, differ, "regent apis put --from"))
			}
		}
	}
	if other := p.otherPlatform(ws); other != "" {
		found = append(found, "platform/ and lib/: the store has "+other+" what counts; regent platform publish publishes this one")
	}
	return found
}

// otherPlatform says what platform the store has, in place of the workspace's; "" if the
// workspace has none or the same.
func (p *proposal) otherPlatform(ws *dir.Snapshot) string {
	own, stored := ws.PlatformBundle(), p.base.platform
	switch {
	case len(own.Files()) == 0, own.Digest() == stored.Digest():
		return ""
	case len(stored.Files()) == 0:
		return "no platform, and that is"
	default:
		return "another platform, revision " + stored.Digest().Short() + ", which is"
	}
}

// publish checks, tests, shows and stores the proposed revision, and brings it into
// force.
func (p *proposal) publish(ctx context.Context, tests testJob, warnings []string) error {
	p.publishes = true
	if p.inForceAlready() {
		return p.nothingToDo()
	}
	r, err := p.review(ctx, true)
	if err != nil {
		return err
	}
	defer r.close()
	if err := p.during("checking", func() error { return r.check(ctx) }); err != nil {
		return err
	}
	p.out.Check.Warnings = append(p.out.Check.Warnings, warnings...)
	p.showCheck()
	if !p.out.Check.OK {
		return p.refuse("nothing was stored: the checks failed")
	}
	if err := p.during("testing", func() error { return r.test(ctx, tests) }); err != nil {
		return err
	}
	if err := p.showTests(); err != nil {
		return err
	}
	if bad := shortcomings(p.out.Tests, testFlags{}); p.ran() > 0 && len(bad) > 0 {
		err := p.refuse("nothing was stored: " + strings.Join(bad, ", "))
		if anyStopped(p.out.Tests) {
			p.c.hint(stoppedHint)
		}
		return err
	}
	if !p.c.json {
		p.c.showSummary(p.out.Changes, "regent diff shows all of it")
	}
	p.c.warnEnded(r.before.warden)
	if err := p.during("storing", func() error { return p.store(ctx) }); err != nil {
		return err
	}
	p.say("")
	p.say("revision %s is stored", p.now.Digest().Short())
	if p.flags.noActivate {
		p.say("%s brings it into force", p.command("activate", p.now.Digest().Short()))
		return p.end(stateStored, nil)
	}
	return r.bring(ctx)
}

// nothingToDo ends a proposal of what is in force.
func (p *proposal) nothingToDo() error {
	p.out.InForce = &p.was
	p.say("revision %s of %s is in force already, %s: there is nothing to do", p.was.To.Short(), ownerName(p.owner), since(p.was))
	return p.end(stateUnchanged, nil)
}

// test runs the bundle's own tests.
func (r *review) test(ctx context.Context, job testJob) error {
	suites, err := r.c.runTests(ctx, r.after.snapshot.PlatformBundle(), []testJob{job}, testFlags{coverage: true})
	if err != nil {
		return err
	}
	r.out.Tests = suites
	return nil
}

// showTests writes what the tests said.
func (p *proposal) showTests() error {
	if p.ran() == 0 {
		p.c.warn("%s has no tests", ownerName(p.owner))
	}
	if p.c.json || p.ran() == 0 {
		return nil
	}
	p.say("")
	short := slices.Clone(p.out.Tests)
	for i, s := range short {
		if s.Report.Coverage != nil {
			covered := *s.Report.Coverage
			covered.Files = nil // regent test --coverage lists the lines
			short[i].Report.Coverage = &covered
		}
	}
	return ruletest.WritePretty(p.c.out, short, ruletest.Style{Color: p.c.out.color})
}

// ran counts the tests that were run.
func (p *proposal) ran() (n int) {
	for _, s := range p.out.Tests {
		n += s.Report.Ran()
	}
	return n
}

// store stores the revision. Storing it again changes nothing.
func (p *proposal) store(ctx context.Context) error {
	rev := tenants.Revision{
		Digest: p.now.Digest(), Author: p.author(ctx), Time: time.Now().UTC(), Message: p.flags.message,
		Files: len(p.now.Files()),
	}
	for _, f := range p.now.Files() {
		rev.Bytes += int64(len(f.Content))
	}
	for _, s := range p.out.Tests {
		rev.Tests.Passed += s.Report.Passed
		rev.Tests.Failed += s.Report.Failed + s.Report.Errors
		rev.Tests.Skipped += s.Report.Skipped
		if s.Report.Coverage != nil {
			rev.Tests.Coverage = s.Report.Coverage.Percent
		}
	}
	if err := p.reg.PutRevision(ctx, p.owner, p.now, rev); err != nil {
		return &failure{
			err:   fmt.Errorf("store revision %s of %s: %w", rev.Digest.Short(), ownerName(p.owner), err),
			hints: []string{"nothing was brought into force; " + p.retry + " again goes on from here"},
		}
	}
	return nil
}
