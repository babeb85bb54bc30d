package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// review judges a proposal: the revision itself, and everybody whom it concerns. A
// tenant's revision concerns that tenant, the platform's every tenant.
type review struct {
	*proposal
	// strict judges by the schema too, and compiles the tests: what is published has to
	// pass that. What is in the store has passed it, by the schema of its day.
	strict bool
	// before and after judge by what is in force, and by what would be.
	before, after *judge
	// checked are the versions of the tenants that were judged under a platform.
	checked map[string]int64
}

func (p *proposal) review(strict bool) (*review, error) {
	r := &review{proposal: p, strict: strict, checked: map[string]int64{}}
	old, now := *p.base, *p.base
	if p.owner == tenants.PlatformOwner {
		now.platform = p.now
	}
	var err error
	if r.before, err = newJudge(&old, p.flags.stage, p.patience); err != nil {
		return nil, err
	}
	r.after, err = newJudge(&now, p.flags.stage, p.patience)
	return r, err
}

// under is a judge of one tenant under a policy.
func under(j *judge, t tenants.Tenant, policy tenants.Bundle) *judge {
	one := *j
	one.snapshot = j.snapshot.(*draft).with(t, policy)
	return &one
}

// check judges the proposal and puts what it finds, and what changes for sample
// callers, into the result.
func (r *review) check(ctx context.Context) error {
	r.out.Changes = diffBundles(r.owner, r.old, r.now, r.was.To)
	found := inspection{
		Workspace: r.flags.from, OK: true, Complete: true, Read: true, APIs: len(r.base.apis),
		Parts: []part{}, Problems: []problem{}, Warnings: []string{}, Cache: []cacheReport{},
	}
	r.out.Check = &found
	var err error
	if r.owner == tenants.PlatformOwner {
		err = r.checkPlatform(ctx)
	} else {
		err = r.checkTenant(ctx)
	}
	slices.SortStableFunc(found.Problems, byPlace)
	return err
}

func (r *review) checkTenant(ctx context.Context) error {
	found := r.out.Check
	j := under(r.after, r.tenant, r.now)
	if r.strict {
		strictly, err := inspectRules(ctx, j.snapshot)
		if err != nil {
			return err
		}
		found.Parts, found.Problems, found.OK, found.Complete = strictly.Parts, strictly.Problems, strictly.OK, strictly.OK
	} else if err := r.checkRules(ctx, j, r.tenant, r.now); err != nil {
		return err
	}
	if !found.OK {
		return nil
	}
	reports, err := j.cacheReports(ctx, r.samples)
	if err != nil {
		return err
	}
	found.addCache(reports, r.flags.allowIncomplete)
	return r.compare(ctx, j, r.tenant, r.old)
}

// compare adds what changes for a tenant's sample callers.
func (r *review) compare(ctx context.Context, after *judge, t tenants.Tenant, old tenants.Bundle) error {
	if len(old.Files()) == 0 {
		old = stub() // without a revision in force nobody is allowed anything
	}
	k := comparison{r.flags.from, under(r.before, t, old), after, r.samples}
	return k.rulings(ctx, t.ID, r.out.Changes)
}

// checkRules compiles a tenant's rules as the function does.
func (r *review) checkRules(ctx context.Context, j *judge, t tenants.Tenant, b tenants.Bundle) error {
	found := r.out.Check
	_, err := j.policies.Load(ctx, t.ID, j.snapshot.PlatformBundle().Digest(), b.Digest())
	var trouble *engine.Trouble
	if ctx.Err() != nil || errors.As(err, &trouble) && trouble.Code == "store" {
		return errors.Join(ctx.Err(), err)
	}
	platform := j.snapshot.PlatformBundle()
	ps, err := problemsOf(ctx, err, policyDir(t.ID), func(file string) string { return inWorkspace(file, policyDir(t.ID), b, platform) })
	if err != nil {
		return err
	}
	found.add(part{Name: t.ID, Kind: "tenant", Revision: b.Digest(), Files: len(b.Files()), OK: len(ps) == 0}, ps)
	found.OK = found.OK && len(ps) == 0
	found.Complete = found.Complete && found.OK
	return nil
}

func (r *review) checkPlatform(ctx context.Context) error {
	found, book := r.out.Check, r.after.snapshot
	var checker sandbox.Checker
	defer checker.Close()
	compile := func() ([]problem, error) { return ruleProblems(ctx, &checker, book, stub(), "") }
	if r.strict {
		compile = func() ([]problem, error) { return compileProblems(ctx, &checker, book, stub(), tenants.Bundle{}, "") }
	}
	ps, err := compile()
	if err != nil {
		return err
	}
	found.add(part{Name: "platform", Kind: "platform", Revision: r.now.Digest(), Files: len(r.now.Files()), OK: len(ps) == 0}, ps)
	if found.OK = len(ps) == 0; !found.OK {
		found.Complete = false
		return nil
	}
	return r.checkTenants(ctx, true)
}

// checkTenants judges every tenant under the proposed platform, but for those that
// were judged before and have not changed since.
func (r *review) checkTenants(ctx context.Context, compare bool) error {
	all, err := r.reg.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("read tenants: %w", err)
	}
	all = slices.DeleteFunc(all, func(t tenants.Tenant) bool {
		version, done := r.checked[t.ID]
		return t.Revision == "" || done && version == t.Version
	})
	// Tenants with the same bundle come one after the other: it is read once.
	slices.SortStableFunc(all, func(a, b tenants.Tenant) int { return strings.Compare(string(a.Revision), string(b.Revision)) })
	verdicts := make([]*review, len(all))
	progress := r.c.newProgress("checked", len(all))
	defer progress.end()
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for i, t := range all {
		workers.Go(func() error {
			verdicts[i] = r.apart()
			if err := verdicts[i].checkUnder(ctx, t, compare); err != nil {
				return fmt.Errorf("check tenant %s: %w", t.ID, err)
			}
			progress.step(t.ID)
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	for i, v := range verdicts {
		if _, again := r.checked[all[i].ID]; again {
			r.forget(all[i].ID)
		}
		r.checked[all[i].ID] = all[i].Version
		r.join(v)
	}
	r.sort()
	return nil
}

// apart is the review with a result of its own.
func (r *review) apart() *review {
	p, own := *r.proposal, *r
	p.out = publication{
		Check:   &inspection{OK: true, Complete: true},
		Changes: &changes{From: r.out.Changes.From, To: r.out.Changes.To},
	}
	own.proposal = &p
	return &own
}

// forget removes what was found of a tenant that was well and has changed since.
func (r *review) forget(id string) {
	found := r.out.Check
	found.Parts = slices.DeleteFunc(found.Parts, func(p part) bool { return p.Kind == "tenant" && p.Name == id })
	found.Cache = slices.DeleteFunc(found.Cache, func(c cacheReport) bool { return c.Tenant == id })
}

// join adds what a review apart has found.
func (r *review) join(v *review) {
	found, more := r.out.Check, v.out.Check
	for _, p := range more.Parts {
		found.add(p, slices.Clone(more.Problems))
	}
	found.Cache = append(found.Cache, more.Cache...)
	found.OK, found.Complete = found.OK && more.OK, found.Complete && more.Complete
	ch, other := r.out.Changes, v.out.Changes
	ch.Unknown = cmp.Or(ch.Unknown, other.Unknown)
	switch {
	case other.Matrix == nil:
	case ch.Matrix == nil:
		ch.Matrix = other.Matrix
	default:
		for _, table := range other.Matrix.Tables {
			ch.Matrix.add(table)
		}
	}
	if ch.Unknown != "" {
		ch.Matrix = nil
	}
}

// sort puts what was found in the order of names.
func (r *review) sort() {
	found := r.out.Check
	slices.SortStableFunc(found.Parts, func(a, b part) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(found.Cache, func(a, b cacheReport) int {
		return cmp.Or(strings.Compare(a.API, b.API), strings.Compare(a.Tenant, b.Tenant))
	})
	if m := r.out.Changes.Matrix; m != nil {
		slices.SortStableFunc(m.Tables, func(a, b matrixTable) int {
			return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.API, b.API))
		})
	}
}

// checkUnder judges one tenant with the revision that it has in force.
func (r *review) checkUnder(ctx context.Context, t tenants.Tenant, compare bool) error {
	b, err := r.reg.Bundle(ctx, t.Revision)
	if err != nil {
		return fmt.Errorf("read revision %s: %w", t.Revision.Short(), err)
	}
	found := r.out.Check
	j := under(r.after, t, b)
	if err := r.checkRules(ctx, j, t, b); err != nil || !found.OK {
		return err
	}
	reports, err := j.cacheReports(ctx, r.samples)
	if err != nil {
		return err
	}
	found.addCache(reports, r.flags.allowIncomplete)
	if !compare {
		return nil
	}
	return r.compare(ctx, j, t, b)
}

// recheck looks, just before the activation, whether what the proposal was judged
// against is still so.
func (r *review) recheck(ctx context.Context) error {
	what, _, err := r.moved(ctx)
	if err != nil {
		return err
	}
	if what != "" {
		return r.end(stateConflict, &failure{
			err:   fmt.Errorf("revision %s of %s is not in force: %s changed meanwhile, and it was not checked under that", r.now.Digest().Short(), ownerName(r.owner), what),
			hints: []string{r.retry + " again is safe: it starts from what is in force now"},
		})
	}
	if r.owner == tenants.PlatformOwner {
		if err := r.checkTenants(ctx, false); err != nil {
			return err
		}
		if !r.out.Check.OK {
			r.showCheck()
			r.c.errorLine("a tenant was changed meanwhile, and is not well under this revision, which is not in force")
			return r.end(stateStored, exitStatus(exitNo))
		}
		return nil
	}
	return nil
}

// moved names what else has come into force since the proposal began, and has a part in
// whether it is well; "" for nothing.
func (r *review) moved(ctx context.Context) (what string, now *draft, err error) {
	now, err = inForce(ctx, r.reg)
	switch {
	case err != nil:
		return "", nil, err
	case r.owner != tenants.PlatformOwner && now.platform.Digest() != r.base.platform.Digest():
		return "the platform was", now, nil
	case !slices.EqualFunc(now.apis, r.base.apis, func(a, b tenants.API) bool { return a.ID == b.ID && a.Version == b.Version }):
		return "the APIs were", now, nil
	default:
		return "", now, nil
	}
}

// afterwards looks for a tenant and the platform that were moved at the same time, each
// checked under what the other was before: whoever looks last sees both.
func (r *review) afterwards(ctx context.Context) error {
	if err := r.again(ctx); err != nil {
		r.c.warn("nobody could look whether something else was changed at the same time: %v", err)
		return nil
	}
	if r.out.Check.OK {
		return nil
	}
	r.showCheck()
	r.c.errorLine(fmt.Sprintf("revision %s of %s is in force, and something that came into force at the same time does not go with it", r.now.Digest().Short(), ownerName(r.owner)))
	r.c.hint(r.command("rollback") + " goes back to what was in force before")
	return exitStatus(exitNo)
}

func (r *review) again(ctx context.Context) error {
	if r.owner == tenants.PlatformOwner {
		return r.checkTenants(ctx, false)
	}
	what, now, err := r.moved(ctx)
	if err != nil || what == "" {
		return err
	}
	r.base = now
	other, err := r.proposal.review(false)
	if err != nil {
		return err
	}
	saved := r.out.Changes
	err = other.check(ctx)
	r.out.Changes = saved
	return err
}

// showCheck writes what the checks found. Of many tenants that are well, people see how
// many they are.
func (p *proposal) showCheck() {
	if p.c.json {
		return
	}
	const most = 20
	shown := *p.out.Check
	if len(shown.Parts) > most {
		well := func(q part) bool { return q.OK && q.Kind == "tenant" }
		shown.Parts = slices.DeleteFunc(slices.Clone(shown.Parts), well)
		shown.unshown = len(p.out.Check.Parts) - len(shown.Parts)
		shown.Cache = slices.DeleteFunc(slices.Clone(shown.Cache), func(r cacheReport) bool { return r.Exact })
		for i := range shown.Cache {
			shown.Cache[i].Reads = nil
		}
	}
	p.c.showChecks(shown)
}
