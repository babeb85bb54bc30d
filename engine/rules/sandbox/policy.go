package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// policy is a pair of bundles for one event. It implements engine.Policy.
type policy struct {
	pool   *Pool
	tenant string
	pair   pairKey
	// bundles are there if they had to be read.
	bundles atomic.Pointer[pair]
	// spent is what the event's questions took so far, in nanoseconds.
	spent atomic.Int64
}

// fetch reads the bundles, whoever asks and however many at a time.
func (h *policy) fetch(ctx context.Context) error {
	b, err := h.pool.fetch(ctx, h.pair)
	if err == nil {
		h.bundles.Store(b)
	}
	return err
}

// Decide asks a child for the decision on one input.
func (h *policy) Decide(ctx context.Context, in engine.Input, now time.Time) (d engine.Decision, err error) {
	q := ask{op: opDecide, limit: maxDecision, room: roomDecision, now: now,
		write: func(w *writer) error { return w.input(in) },
		read:  func(r *reader) { d = r.decision() },
	}
	if err := h.hold(ctx, func(ctx context.Context, child *process) error { return h.ask(ctx, child, q) }); err != nil {
		return engine.Decision{}, err
	}
	return d, nil
}

// Permissions asks a child to judge the routes.
func (h *policy) Permissions(ctx context.Context, known engine.Known, routes []tenants.Route, now time.Time) (perms engine.Permissions, err error) {
	q := ask{op: opPermissions, limit: maxPermissions, room: roomPermissions, now: now,
		write: func(w *writer) error {
			err := w.known(known)
			w.routes(routes)
			return err
		},
		read: func(r *reader) { perms = r.permissions() },
	}
	if err := h.hold(ctx, func(ctx context.Context, child *process) error { return h.ask(ctx, child, q) }); err != nil {
		return engine.Permissions{}, err
	}
	return perms, nil
}

// ask is a question for a child.
type ask struct {
	op byte
	// limit and room bound the answer, in a message and in memory.
	limit, room int
	now         time.Time
	write       func(*writer) error
	read        func(*reader)
}

// hold does something with a child that the tenant has for so long.
func (h *policy) hold(ctx context.Context, do func(context.Context, *process) error) error {
	p := h.pool
	// The first child may still be starting. If it cannot, the slot's user tries again.
	if err := p.Ready(ctx); err != nil && ctx.Err() != nil {
		return engine.Troublef(CodeSandbox, "no child is up yet: %w", err)
	}
	s, err := p.lanes.take(ctx, h.tenant, h.pair)
	if err != nil {
		return err
	}
	if h.bundles.Load() == nil && !s.has(h.pair) {
		// The store may take its time: not while others wait for the child.
		p.lanes.done(s, h.tenant, 0)
		if err := h.fetch(ctx); err != nil {
			return err
		}
		if s, err = p.lanes.take(ctx, h.tenant, h.pair); err != nil {
			return err
		}
	}
	start := time.Now()
	whole := false
	defer func() {
		if !whole { // a panic: nobody knows what the child is doing
			p.replace(s, h.tenant, time.Since(start))
		}
	}()
	if s.process != nil {
		s.process.spent = 0
	}
	err = h.with(ctx, s, do)
	whole = true
	if s.process == nil {
		p.lanes.done(s, h.tenant, time.Since(start))
		return err
	}
	// Who had to wait for a processor was not slow.
	spent := s.process.spent
	var killed *killedError
	if errors.As(err, &killed) {
		killed.crowded = !s.process.roomy(p.config.Memory)
		p.replace(s, h.tenant, spent)
		return h.killed(ctx, killed)
	}
	grown, byThis := s.process.grown(time.Since(start), p.config.Memory)
	if !grown {
		p.lanes.done(s, h.tenant, spent)
		return err
	}
	p.report(Event{Kind: Replaced, Tenant: h.tenant, Revision: h.pair.revision, Reason: "memory"})
	p.replace(s, h.tenant, spent)
	if byThis { // an answer in time, and the end of what everybody had compiled
		h.strike(ctx, "memory", false)
	}
	return err
}

// with does it with the slot's child. A child that ended while it was idle is
// replaced, and one that has forgotten the pair is told it again; each can happen
// once.
func (h *policy) with(ctx context.Context, s *slot, do func(context.Context, *process) error) error {
	// It may have been parked while this one waited.
	if err := h.pool.checkParked(h.tenant, h.pair); err != nil {
		return err
	}
	for range 3 {
		if s.process == nil {
			child, err := h.pool.start(s)
			h.pool.lanes.put(s, child)
			if err != nil {
				h.pool.report(Event{Kind: Failed, Reason: err.Error()})
				return &engine.Trouble{Code: CodeSandbox, Err: err}
			}
		}
		err := do(ctx, s.process)
		switch {
		case errors.Is(err, errIdle):
			h.pool.report(Event{Kind: Replaced, Reason: "ended while idle"})
			old := s.process
			h.pool.lanes.put(s, nil)
			h.pool.background.Go(old.end)
		case !errors.Is(err, errForgotten):
			return err
		}
	}
	if s.process == nil {
		return engine.Troublef(CodeSandbox, "no child stays")
	}
	return &killedError{reason: "protocol"} // it forgets what it has just been told
}

// errForgotten means that a child has dropped a pair that this side thought it had.
var errForgotten = errors.New("the child does not have the policy")

// ask asks one child once.
func (h *policy) ask(ctx context.Context, child *process, q ask) error {
	if err := h.compile(ctx, child); err != nil {
		return err
	}
	timeout, hurried := h.left(ctx)
	if timeout <= 0 {
		return evaluation(&rules.EvalError{Code: "timeout", Message: "no time was left for it"})
	}
	w := newFrame()
	w.question(question{h.pair, q.now, timeout})
	if err := q.write(w); err != nil {
		return evaluation(&rules.EvalError{Code: "eval_error", Message: err.Error()})
	}
	if len(w.b) > maxRequest {
		return engine.Troublef(CodeSandbox, "the question has %d bytes; at most %d are asked", len(w.b), maxRequest)
	}
	start := time.Now()
	f, err := child.exchange(q.op, w, max(q.limit, maxError), budget{time: timeout + Slack})
	h.spent.Add(int64(time.Since(start)))
	if err != nil {
		var killed *killedError
		if errors.As(err, &killed) {
			killed.hurried = hurried
		}
		return err
	}
	r := newReader(f.payload, q.room)
	switch f.code {
	case statusOK:
		q.read(r)
	case statusNotLoaded:
		child.loaded.Remove(h.pair)
		err = errForgotten
	case statusEval:
		err = evaluation(r.evalError())
	case statusError:
		err = evaluation(&rules.EvalError{Code: "eval_error", Message: r.text()})
	default:
		r.fail()
	}
	if r.end() != nil {
		return &killedError{reason: "protocol"}
	}
	return err
}

// left is what the event's rules have of their time. The invocation may leave them less:
// then they are hurried.
func (h *policy) left(ctx context.Context) (left time.Duration, hurried bool) {
	if ctx.Err() != nil {
		return 0, true
	}
	left = h.pool.config.Timeout - time.Duration(h.spent.Load())
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < left {
		return time.Until(deadline), true
	}
	return left, false
}

func evaluation(e *rules.EvalError) error { return &engine.Trouble{Code: "evaluation", Err: e} }

// compile has a child compile the bundles, unless it did. What does not compile is
// remembered.
func (h *policy) compile(ctx context.Context, child *process) error {
	if _, ok := child.loaded.Get(h.pair); ok { // it counts as a use, as in the child
		return nil
	}
	b := h.bundles.Load()
	if b == nil {
		// The child that had it has just ended.
		if err := h.fetch(ctx); err != nil {
			return err
		}
		b = h.bundles.Load()
	}
	fault, err := child.load(h.pair, load{platform: b.platform.Files(), tenant: b.tenant.Files()})
	var killed *killedError
	if errors.As(err, &killed) {
		killed.compiling = true
	}
	if err != nil {
		return err
	}
	if fault == nil {
		return nil
	}
	problems, ok := rules.IsProblems(fault)
	if ok { // they are kept
		fault = slices.Clone(problems[:min(len(problems), maxKept)])
	}
	err = engine.Troublef("policy", "revision %s does not compile: %w", h.pair.revision.Short(), fault)
	if ok {
		h.pool.failed.Add(h.pair, err)
	}
	return err
}

// maxKept is how many problems of a pair that does not compile are remembered: as many as
// are told.
const maxKept = 10

// compileBudget lets a child on a busy machine, or in a function with little of a
// processor, have the time that it was meant to have.
func compileBudget() budget { return budget{time: CompileLimit, extensions: 9} }

// load sends bundles to be compiled. What is wrong with them is fault; err is a
// failure of the child.
func (p *process) load(k pairKey, l load) (fault, err error) {
	w := newFrame()
	w.pair(k)
	w.load(l)
	if len(w.b) > maxRequest {
		return fmt.Errorf("the bundles take %d bytes; at most %d are taken", len(w.b), maxRequest), nil
	}
	f, err := p.exchange(opLoad, w, maxLoaded, compileBudget())
	if err != nil {
		return nil, err
	}
	r := newReader(f.payload, roomLoaded)
	switch f.code {
	case statusOK:
		if r.pair() != k {
			r.fail()
		}
	case statusProblems:
		fault = r.problems()
	case statusError:
		fault = errors.New(r.short())
	default:
		r.fail()
	}
	if r.end() != nil {
		return nil, &killedError{reason: "protocol"}
	}
	if fault == nil {
		p.loaded.Add(k, struct{}{})
		_, p.size = memoryOf(p.cmd.Process.Pid)
	}
	return fault, nil
}

// checkParked is the trouble of a revision that is parked. One that could not be compiled
// is trouble like any other that does not compile: the last good revision may stand in.
func (p *Pool) checkParked(tenant string, k pairKey) error {
	until, compiling, yes := p.parking.parked(revisionKey{tenant, k})
	if !yes {
		return nil
	}
	code, what := CodeParked, "evaluated"
	if compiling {
		code, what = "policy", "compiled"
	}
	return engine.Troublef(code, "revision %s of tenant %s is not %s until %s, because it had to be ended again and again: activate another revision",
		k.revision.Short(), tenant, what, until.UTC().Format(time.RFC3339))
}

// killed counts a kill against the revision, and is the trouble that it comes to.
func (h *policy) killed(ctx context.Context, k *killedError) error {
	p := h.pool
	p.report(Event{Kind: Killed, Tenant: h.tenant, Revision: h.pair.revision, Reason: k.reason})
	if !k.excused() || p.config.strict && !k.hurried {
		h.strike(ctx, k.reason, k.compiling)
	}
	if k.compiling {
		return engine.Troublef("policy", "revision %s: %w", h.pair.revision.Short(), k.compileError())
	}
	switch k.reason {
	case "deadline":
		return evaluation(&rules.EvalError{Code: "killed", Message: "it did not stop at its deadline"})
	case "stack":
		return evaluation(&rules.EvalError{Code: "stack_overflow", Message: "its process ended with a stack overflow"})
	case "memory":
		return evaluation(&rules.EvalError{Code: "out_of_memory", Message: "its process ran out of memory"})
	case "protocol":
		return &engine.Trouble{Code: CodeSandbox, Err: k}
	default:
		return evaluation(&rules.EvalError{Code: "crashed", Message: "its process ended"})
	}
}

// strike counts something against the revision that must not go on.
func (h *policy) strike(ctx context.Context, reason string, compiling bool) {
	p := h.pool
	until, yes := p.parking.strike(revisionKey{h.tenant, h.pair}, compiling)
	if !yes {
		return
	}
	p.report(Event{Kind: Parked, Tenant: h.tenant, Revision: h.pair.revision, Reason: reason, Until: until})
	p.tell(ctx, h.tenant, tenants.Parked{Revision: h.pair.revision, Since: p.config.Now(), Until: until, Reason: reason})
}

// tell notes a parked revision where administrators look. It is no matter for the
// answer whether that succeeds, nor when: a function that is frozen meanwhile may lose it.
func (p *Pool) tell(ctx context.Context, tenant string, parked tenants.Parked) {
	if p.config.Parking == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkLimit)
	told := make(chan struct{})
	p.background.Go(func() {
		defer close(told)
		defer cancel()
		if err := p.config.Parking.Park(ctx, tenant, parked); err != nil {
			p.report(Event{Kind: Failed, Tenant: tenant, Revision: parked.Revision, Reason: "note that it is parked: " + err.Error()})
		}
	})
	select {
	case <-told:
	case <-time.After(parkWait):
	}
}
