package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"regent/tenants"
)

// bundles are the two revisions that decide together.
type bundles struct{ platform, tenant tenants.Digest }

// load loads the bundles that are in force, or what was in force before if these do
// not load.
func (w *work) load(ctx context.Context) (Policy, error) {
	if w.tenant.Revision == "" {
		return nil, Troublef("no_revision", "tenant %q has no active revision: publish one", w.tenant.ID)
	}
	var err error
	if w.platform, err = w.Store.Platform(ctx); err != nil {
		return nil, asTrouble("store", err)
	}
	active := bundles{w.platform, w.tenant.Revision}
	before, failed := w.last.consult(w.tenant.ID, active, w.now, w.MaxStale)
	if failed != nil && before != nil {
		if policy, err := w.standIn(ctx, *before, failed); err == nil {
			return policy, nil
		}
	}
	policy, err := w.Policies.Load(ctx, w.tenant.ID, active.platform, active.tenant)
	if err == nil {
		// Records from memory named them when they were read, not now.
		age, _ := w.stale.Oldest()
		w.last.loaded(w.tenant.ID, active, w.now.Add(-age))
		return policy, nil
	}
	err = asTrouble("policy", err)
	if before == nil || ctx.Err() != nil || !mayStandIn(err) {
		return nil, err
	}
	w.last.failed(w.tenant.ID, active, w.now, err)
	if policy, other := w.standIn(ctx, *before, err); other == nil {
		return policy, nil
	}
	return nil, err
}

// mayStandIn tells whether what was in force before may decide in place of what failed
// in this way: a bundle that cannot be read, is not what its digest says, or does not
// compile. Rules that had to be stopped are no such case.
func mayStandIn(err error) bool {
	var t *Trouble
	return errors.As(err, &t) && (t.Code == "store" || t.Code == "policy")
}

// stoodIn is what was in force before and still loads.
type stoodIn struct {
	bundles
	// age is how long ago records last named them.
	age time.Duration
}

// standIn lets what was in force before decide, and says so in the log. Everything else
// of the tenant's record counts as it is now: who may call, and whether at all.
func (w *work) standIn(ctx context.Context, before stoodIn, cause error) (Policy, error) {
	policy, err := w.Policies.Load(ctx, w.tenant.ID, before.platform, before.tenant)
	if err != nil {
		return nil, err
	}
	w.stale.Note(before.age, cause)
	w.instead = bundles{w.platform, w.tenant.Revision}
	w.platform, w.tenant.Revision = before.platform, before.tenant
	return policy, nil
}

const (
	// lastSize is how many tenants each of the two generations of a lastGood holds.
	lastSize = 5_000
	// retryLoad is how long bundles that did not load are not tried again where others
	// can stand in.
	retryLoad = time.Second
)

// lastGood remembers for each tenant the bundles that were in force and did load, in
// two generations. The zero value is empty.
type lastGood struct {
	mu           sync.Mutex
	young, older map[string]*good
}

type good struct {
	bundles
	named time.Time // when records last named them
	// failing are bundles in force since, which did not load when they were tried; the
	// zero value for none.
	failing bundles
	tried   time.Time
	err     error
}

// consult returns what may stand in for the active bundles, if there is anything, and
// the error if they need not be tried again yet.
func (l *lastGood) consult(tenant string, active bundles, now time.Time, longest time.Duration) (*stoodIn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.of(tenant)
	if g == nil || g.bundles == active {
		return nil, nil
	}
	age := elapsed(g.named, now)
	if age >= longest {
		return nil, nil
	}
	if g.failing == active && elapsed(g.tried, now) < retryLoad {
		return &stoodIn{g.bundles, age}, g.err
	}
	return &stoodIn{g.bundles, age}, nil
}

func (l *lastGood) loaded(tenant string, b bundles, named time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.of(tenant)
	if g == nil {
		g = &good{}
		l.add(tenant, g)
	}
	*g = good{bundles: b, named: named}
}

func (l *lastGood) failed(tenant string, b bundles, now time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.of(tenant); g != nil {
		g.failing, g.tried, g.err = b, now, err
	}
}

// forget drops a tenant that there is no more: another one may have its id later.
func (l *lastGood) forget(tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.young, tenant)
	delete(l.older, tenant)
}

func (l *lastGood) of(tenant string) *good {
	g, ok := l.young[tenant]
	if !ok {
		if g, ok = l.older[tenant]; ok {
			l.add(tenant, g)
		}
	}
	return g
}

func (l *lastGood) add(tenant string, g *good) {
	if l.young == nil || len(l.young) >= lastSize {
		l.older, l.young = l.young, make(map[string]*good)
	}
	l.young[tenant] = g
}

// elapsed is the time between two instants on the clock that says more: the wall clock
// may be set back, and the monotonic one stands still in a frozen function.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)), 0)
}
