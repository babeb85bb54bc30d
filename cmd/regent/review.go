package main

import (
	"context"
	"errors"
	"slices"

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

// review is a review of the proposal. Close it.
func (p *proposal) review(ctx context.Context, strict bool) (*review, error) {
	r := &review{proposal: p, strict: strict, checked: map[string]int64{}}
	old, now := *p.base, *p.base
	children := 1
	if p.owner == tenants.PlatformOwner {
		now.platform = p.now
		children = reviewers()
	}
	var err error
	if r.before, err = newJudge(ctx, &old, p.flags.stage, p.conf, children); err != nil {
		return nil, err
	}
	r.after = r.before.of(&now)
	return r, nil
}

// close ends the review's child processes.
func (r *review) close() { r.before.close() }

// under is a judge of one tenant under a policy.
func under(j *judge, t tenants.Tenant, policy tenants.Bundle) *judge {
	return j.of(j.snapshot.(*draft).with(t, policy))
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
	_, err := j.warden.Load(ctx, t.ID, j.snapshot.PlatformBundle().Digest(), b.Digest())
	var trouble *engine.Trouble
	if ctx.Err() != nil || errors.As(err, &trouble) && trouble.Code != "policy" {
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
