package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/config"
	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// warden is the engine.Policies of judges: it has rules compiled and evaluated in child
// processes that can be killed, as the function does. A tenant's revision that had to be
// ended once is not asked again, so that it costs a run one evaluation's time, however
// many callers and APIs there are; every further question gets the same answer.
type warden struct {
	// pools have a child each. A tenant is always asked in the same one, which then has its
	// rules compiled. In a pool of several, all children but the first step back on a busy
	// machine, which is right for events and would make questions here late.
	pools   []engine.Policies
	timeout time.Duration
	// unwatch stops what ends the children when the run is interrupted.
	unwatch func() bool

	mu sync.Mutex
	// kills counts how often a child was ended over a revision.
	kills map[revisionKey]int
	ended map[pairKey]*endedError
	// order has the ended ones in the order in which they were.
	order []*endedError
}

// revisionKey is a tenant's revision, and pairKey that under a platform.
type revisionKey struct {
	tenant   string
	revision tenants.Digest
}

type pairKey struct {
	revisionKey
	platform tenants.Digest
}

// newWarden starts children, as many as questions are asked at a time. Close it. When ctx
// ends, whatever they are doing ends.
func newWarden(ctx context.Context, store tenants.Store, conf config.Config, children int) (*warden, error) {
	w := &warden{timeout: conf.EvalTimeout, kills: map[revisionKey]int{}, ended: map[pairKey]*endedError{}}
	parts := assemble.Parts{Store: store, EvalTimeout: conf.EvalTimeout, InProcess: conf.InProcess, Report: w.note}
	for range children {
		pool, err := assemble.Policies(parts)
		if err != nil {
			w.end()
			return nil, err
		}
		w.pools = append(w.pools, pool)
	}
	w.unwatch = context.AfterFunc(ctx, w.end)
	return w, nil
}

// close ends the children and waits until nothing is left of them.
func (w *warden) close() {
	w.unwatch()
	w.end()
}

func (w *warden) end() {
	for _, pool := range w.pools {
		assemble.End(pool)
	}
}

// pool is where a tenant is asked.
func (w *warden) pool(tenant string) engine.Policies {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tenant)) // it never fails
	return w.pools[h.Sum32()%uint32(len(w.pools))]
}

// note hears what happens to children.
func (w *warden) note(e sandbox.Event) {
	if e.Kind != sandbox.Killed {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kills[revisionKey{e.Tenant, e.Revision}]++
}

func (w *warden) killed(k revisionKey) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kills[k]
}

// Load returns a tenant's policy, for one question. The error is an *endedError if the
// revision had to be ended, now or before.
func (w *warden) Load(ctx context.Context, tenant string, platform, revision tenants.Digest) (engine.Policy, error) {
	a := asked{warden: w, pairKey: pairKey{revisionKey{tenant, revision}, platform}}
	err := a.do(ctx, func() (err error) {
		a.policy, err = w.pool(tenant).Load(ctx, tenant, platform, revision)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// asked is a policy that a warden watches.
type asked struct {
	pairKey
	warden *warden
	policy engine.Policy
}

// Decide decides on one input.
func (a asked) Decide(ctx context.Context, in engine.Input, now time.Time) (d engine.Decision, err error) {
	err = a.do(ctx, func() (err error) {
		d, err = a.policy.Decide(ctx, in, now)
		return err
	})
	return d, err
}

// Permissions judges the routes.
func (a asked) Permissions(ctx context.Context, known engine.Known, routes []tenants.Route, now time.Time) (perms engine.Permissions, err error) {
	err = a.do(ctx, func() (err error) {
		perms, err = a.policy.Permissions(ctx, known, routes, now)
		return err
	})
	return perms, err
}

// do asks something, unless the revision had to be ended before, and tells the error of
// one that had to be ended now from others.
func (a asked) do(ctx context.Context, ask func() error) error {
	w := a.warden
	w.mu.Lock()
	before := w.ended[a.pairKey]
	w.mu.Unlock()
	if before != nil {
		return before
	}
	kills := w.killed(a.revisionKey)
	err := ask()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the children were ended, and no rule was to blame
	}
	e := a.verdict(err, w.killed(a.revisionKey) > kills)
	if e == nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended[a.pairKey] = e
	w.order = append(w.order, e)
	return e
}

// verdict is what an error says of a revision that had to be ended; nil if it was not.
func (a asked) verdict(err error, killed bool) *endedError {
	e := &endedError{tenant: a.tenant, revision: a.revision}
	var eval *rules.EvalError
	var trouble *engine.Trouble
	switch {
	case errors.As(err, &eval):
		e.what, e.code = endings(a.warden.timeout)[eval.Code], eval.Code
	case killed && errors.As(err, &trouble) && trouble.Code == "policy":
		// The sandbox names the revision first, and then says what compiling came to.
		e.what, e.compiling = trouble.Err.Error(), true
		if why := errors.Unwrap(trouble.Err); why != nil {
			e.what = why.Error()
		}
	}
	if e.what == "" {
		return nil
	}
	return e
}

// endings are the codes of evaluations that had to be ended, or ended their process, in
// words.
func endings(timeout time.Duration) map[string]string {
	return map[string]string{
		"timeout":        fmt.Sprintf("the rules did not end within %s", timeout),
		"killed":         fmt.Sprintf("the rules did not end within %s", timeout),
		"stack_overflow": "the rules ended in a stack overflow",
		"out_of_memory":  fmt.Sprintf("the rules took more than %d MB of memory", sandbox.DefaultMemory>>20),
		"crashed":        "the rules ended the process that they were evaluated in",
	}
}

// endedError is about a revision that had to be ended.
type endedError struct {
	tenant   string
	revision tenants.Digest
	// code is the evaluation error's, and what says in words what happened.
	code, what string
	// compiling tells that it was being compiled.
	compiling bool
}

// Error names the tenant and the revision and says what happened.
func (e *endedError) Error() string {
	return fmt.Sprintf("tenant %s, revision %s: %s", e.tenant, e.revision.Short(), e.reason())
}

// reason says what happened, and that nobody asked again.
func (e *endedError) reason() string {
	if e.compiling {
		return e.what
	}
	return e.what + "; they were asked nothing more"
}

// Unwrap returns the problem that a bundle is which cannot be compiled.
func (e *endedError) Unwrap() error {
	if !e.compiling {
		return nil
	}
	return rules.Problems{{File: "policy", Code: "limit", Message: e.what}}
}

// hint says what to do about it.
func (e *endedError) hint() string { return endedHint(e.code) }

// endedHint is what to do about rules that had to be ended, by the code.
func endedHint(code string) string {
	const simpler = "make the rules simpler: the function answers such a request with a 500"
	if code == "timeout" || code == "killed" {
		return simpler + "; REGENT_EVAL_TIMEOUT is the time that they have"
	}
	return simpler
}

// told are the revisions that had to be ended, in that order.
func (w *warden) told() []*endedError {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.order)
}

// tellEnded tells of revisions that had to be ended, of each once though it was under two
// platforms, and of every hint.
func (c *cli) tellEnded(all []*endedError, tell func(text string)) {
	var texts, hints []string
	for _, e := range all {
		texts, hints = appendNew(texts, e.Error()), appendNew(hints, e.hint())
	}
	for _, text := range texts {
		tell(text)
	}
	for _, h := range hints {
		c.hint(h)
	}
}

// warnEnded tells of revisions that had to be ended where that decides nothing.
func (c *cli) warnEnded(w *warden) {
	c.tellEnded(w.told(), func(text string) { c.warn("%s", text) })
}
