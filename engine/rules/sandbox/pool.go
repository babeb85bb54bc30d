package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// Budgets.
const (
	// Slack is what a child has beyond the time of an evaluation to come to its own
	// end; then it is killed. Evaluations that heed their deadline have needed 23 ms.
	Slack = 30 * time.Millisecond
	// CompileLimit is what compiling a pair of bundles may take.
	CompileLimit = 300 * time.Millisecond
	// parkLimit bounds how long administrators are told of a parked revision, and
	// parkWait how long the answer waits for that.
	parkLimit = 100 * time.Millisecond
	parkWait  = 10 * time.Millisecond
)

// Codes of trouble.
const (
	// CodeSandbox is trouble with the children themselves.
	CodeSandbox = "sandbox"
	// CodeBusy is a question that found too many before it.
	CodeBusy = "busy"
	// CodeParked is a question about a revision that is parked.
	CodeParked = "policy_parked"
)

// Config says where bundles come from and what children may cost. Fields without a
// default are required.
type Config struct {
	// Store holds the bundles.
	Store tenants.Store
	// Timeout bounds what the rules may take for one event; zero means
	// rules.DefaultTimeout.
	Timeout time.Duration
	// Capacity is how many compiled policies each child keeps, least recently used
	// first out; zero means rules.DefaultCapacity.
	Capacity int
	// Children is how many questions are answered at a time; zero means 1.
	Children int
	// Memory is what each child may allocate, in bytes, from MinMemory to
	// DefaultMemory; zero means DefaultMemory.
	Memory uint64
	// Processor is the part of one processor that this program is granted, where that is
	// less than a whole one: what children do not get for that reason is no excuse for
	// being late. Zero means a whole one.
	Processor float64
	// Parking is told about parked revisions; nil for nobody.
	Parking tenants.ParkingLot
	// Report is told what happens to children, one call at a time; nil for nobody.
	Report func(Event)
	// Now tells the time for parking; nil means time.Now.
	Now func() time.Time

	// command is what starts a child: a file and its arguments from the 0th on.
	command []string
	// strict counts kills of starved children too: tests run on busy machines.
	strict bool
}

// Event is something that happened to a child.
type Event struct {
	// Kind is Killed, Parked, Replaced or Failed.
	Kind EventKind
	// Tenant and Revision say whose rules were being evaluated; empty if none were.
	Tenant   string
	Revision tenants.Digest
	// Reason is a word for why, or an error's text where Kind is Failed.
	Reason string
	// Until is the end of the cool-down where Kind is Parked.
	Until time.Time
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	// Killed is a child that ended, or was ended, over a question.
	Killed EventKind = "killed"
	// Parked is a revision that is not evaluated for a while.
	Parked EventKind = "parked"
	// Replaced is a child that ended while it was idle, or had grown too large.
	Replaced EventKind = "replaced"
	// Failed is a child that could not be started.
	Failed EventKind = "failed"
)

// Pool evaluates policies in child processes. It implements engine.Policies.
type Pool struct {
	config  Config
	lanes   *lanes
	parking *parking
	// failed are pairs that do not compile, and why: their content does not change.
	failed  *lru.Cache[pairKey, error]
	bundles *bundleCache
	flight  singleflight.Group

	background sync.WaitGroup
	reporting  sync.Mutex
	// first is closed when the first child is up, or could not be started; then
	// firstErr says why.
	first     chan struct{}
	firstOnce sync.Once
	firstErr  error
}

// New starts the children in the background and returns at once. Close ends them.
func New(c Config) (*Pool, error) {
	if c.Store == nil {
		return nil, errors.New("sandbox: Config.Store is not set")
	}
	if c.Timeout == 0 {
		c.Timeout = rules.DefaultTimeout
	}
	if c.Capacity == 0 {
		c.Capacity = rules.DefaultCapacity
	}
	c.Capacity = min(c.Capacity, 0xffff)
	c.Children = max(c.Children, 1)
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.command == nil {
		command, err := ownCommand()
		if err != nil {
			return nil, err
		}
		c.command = command
	}
	p := &Pool{config: c, lanes: newLanes(c.Children, patience(c.Timeout)), bundles: newBundleCache(), first: make(chan struct{})}
	var err error
	// By the wall clock: the other one may stand still while a function is frozen.
	if p.parking, err = newParking(func() time.Time { return c.Now().Round(0) }); err != nil {
		return nil, err
	}
	if p.failed, err = lru.New[pairKey, error](c.Capacity); err != nil {
		return nil, err
	}
	for _, s := range p.lanes.slots {
		p.background.Go(func() { p.refill(s, "", 0) })
	}
	return p, nil
}

// ownCommand starts this program as a child.
func ownCommand() ([]string, error) {
	if isChild() {
		return nil, errors.New("sandbox: a child was started by a program whose main does not call sandbox.Main first")
	}
	file, err := self()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return []string{file, "regent", childArgument}, nil
}

// Ready waits until the first child is up. Its error says why none can be started;
// then nothing can be evaluated.
func (p *Pool) Ready(ctx context.Context) error {
	select {
	case <-p.first:
		return p.firstErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all children and waits until nothing is left of them. Questions that are
// being answered are trouble.
func (p *Pool) Close() {
	for _, child := range p.lanes.close() {
		child.end()
	}
	p.background.Wait()
}

// Load returns the policy of a revision under a platform revision, for one event of a
// tenant: all questions to it together have Config.Timeout. Where no child has the
// pair compiled, the bundles are read and a child compiles them.
func (p *Pool) Load(ctx context.Context, tenant string, platform, revision tenants.Digest) (engine.Policy, error) {
	h := &policy{pool: p, tenant: tenant, pair: pairKey{platform, revision}}
	if err, ok := p.failed.Get(h.pair); ok {
		return nil, err
	}
	if err := p.checkParked(tenant, h.pair); err != nil {
		return nil, err
	}
	if p.lanes.loaded(h.pair) {
		return h, nil
	}
	if err := h.fetch(ctx); err != nil {
		return nil, err
	}
	if err := h.hold(ctx, h.compile); err != nil {
		return nil, err
	}
	return h, nil
}

// refill gives a slot a new child and gives the slot back.
func (p *Pool) refill(s *slot, tenant string, spent time.Duration) {
	child, err := p.start(s)
	p.lanes.put(s, child)
	p.firstOnce.Do(func() {
		p.firstErr = err
		close(p.first)
	})
	if err != nil {
		p.report(Event{Kind: Failed, Reason: err.Error()})
	}
	p.lanes.done(s, tenant, spent)
}

// start starts a child for a slot. All but the first, which is for the quick, are behind
// it and behind this process where there are not enough processors.
func (p *Pool) start(s *slot) (*process, error) {
	child, err := startProcess(p.config.command, configuration{p.config.Memory, p.config.Capacity}, s.number > 0)
	if err == nil {
		child.share = p.config.Processor
	}
	return child, err
}

// replace ends a slot's child and starts another, in the background.
func (p *Pool) replace(s *slot, tenant string, spent time.Duration) {
	if old := s.process; old != nil {
		old.kill()
		p.background.Go(old.end)
	}
	p.lanes.put(s, nil)
	p.background.Go(func() { p.refill(s, tenant, spent) })
}

func (p *Pool) report(e Event) {
	if p.config.Report == nil {
		return
	}
	p.reporting.Lock()
	defer p.reporting.Unlock()
	p.config.Report(e)
}
