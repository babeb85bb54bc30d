package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"regent/tenants"
)

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
	workers.SetLimit(reviewers())
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

// reviewers is how many tenants are judged at a time.
func reviewers() int { return max(2, runtime.GOMAXPROCS(0)) }

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
