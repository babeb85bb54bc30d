package sandbox

import (
	"context"
	"sync"
	"time"

	"regent/engine"
)

// Who waits, and for how long at most.
const (
	maxQueued       = 1024 // requests of all tenants; as many again of the quick
	maxTenantQueued = 64   // requests of one
)

// patience is how long a request waits, by the time that evaluations have: twenty of them,
// but not for many seconds where they have seconds.
func patience(timeout time.Duration) time.Duration {
	return min(20*timeout, max(time.Second, 2*timeout))
}

// A tenant is quick if its last questions took less than slowAfter of a child's time on
// average; provenAfter is how many have to be known.
const (
	slowAfter   = 10 * time.Millisecond
	provenAfter = 4
	// maxUsage is how many tenants are remembered.
	maxUsage = 4096
)

// lanes hands out children, and is fair to tenants: those who wait take turns, one
// question each, whoever has asked most. Where there are several children, the first
// one is kept for tenants that are known to be quick, and no tenant has all of them. So
// whatever another one does, a quick tenant waits for questions of quick tenants only,
// and hardly for a burst of one of them.
type lanes struct {
	mu    sync.Mutex
	slots []*slot
	// waiting are the queues of tenants, and turns whose turn it is: each of them once.
	waiting map[string][]*waiter
	turns   []string
	queued  int
	usage   map[string]*usage
	maxWait time.Duration
	closed  bool
	// returned is signalled for each slot that is given back.
	returned sync.Cond
}

// slot is the place of one child. Who was handed it has it for himself.
type slot struct {
	number int
	busy   bool
	// tenant has it, or had it last.
	tenant string
	// process is nil where none could be started.
	process *process
}

func (s *slot) has(k pairKey) bool { return s.process != nil && s.process.loaded.Contains(k) }

type waiter struct {
	pair pairKey
	// slot is handed over, or the channel closed at the end of all.
	slot chan *slot
}

// usage is what a tenant did lately.
type usage struct {
	known   int
	average time.Duration
}

func newLanes(n int, maxWait time.Duration) *lanes {
	l := &lanes{waiting: map[string][]*waiter{}, usage: map[string]*usage{}, maxWait: maxWait}
	l.returned.L = &l.mu
	for i := range n {
		l.slots = append(l.slots, &slot{number: i, busy: true})
	}
	return l
}

// take waits for a child. It gives up at once where too many wait already.
func (l *lanes) take(ctx context.Context, tenant string, pair pairKey) (*slot, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed()
	}
	if len(l.waiting[tenant]) == 0 {
		if s := l.pick(tenant, pair); s != nil {
			s.busy, s.tenant = true, tenant
			l.mu.Unlock()
			return s, nil
		}
	}
	room := maxQueued
	if l.quick(tenant) { // whoever has filled the queue, it was not them
		room *= 2
	}
	if l.queued >= room || len(l.waiting[tenant]) >= maxTenantQueued {
		l.mu.Unlock()
		return nil, engine.Troublef(CodeBusy, "too many questions to rules are waiting already")
	}
	w := &waiter{pair, make(chan *slot, 1)}
	if len(l.waiting[tenant]) == 0 {
		l.turns = append(l.turns, tenant)
	}
	l.waiting[tenant] = append(l.waiting[tenant], w)
	l.queued++
	l.mu.Unlock()
	return l.wait(ctx, tenant, w)
}

func (l *lanes) wait(ctx context.Context, tenant string, w *waiter) (*slot, error) {
	timer := time.NewTimer(l.maxWait)
	defer timer.Stop()
	var err error
	select {
	case s, ok := <-w.slot:
		if !ok {
			return nil, errClosed()
		}
		return s, nil
	case <-ctx.Done():
		err = &engine.Trouble{Code: CodeBusy, Err: ctx.Err()}
	case <-timer.C:
		err = engine.Troublef(CodeBusy, "no child was free within %s", l.maxWait)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.forget(tenant, w) {
		// It was handed over meanwhile.
		if s, ok := <-w.slot; ok {
			l.free(s)
		}
	}
	return nil, err
}

// forget takes a waiter out of its queue; false if it is in none any more.
func (l *lanes) forget(tenant string, w *waiter) bool {
	for i, other := range l.waiting[tenant] {
		if other == w {
			l.remove(tenant, i)
			return true
		}
	}
	return false
}

func (l *lanes) remove(tenant string, i int) {
	queue := l.waiting[tenant]
	l.waiting[tenant] = append(queue[:i:i], queue[i+1:]...)
	l.queued--
	if len(l.waiting[tenant]) > 0 {
		return
	}
	delete(l.waiting, tenant)
	for j, name := range l.turns {
		if name == tenant {
			l.turns = append(l.turns[:j:j], l.turns[j+1:]...)
			return
		}
	}
}

// pick chooses a free child that the tenant may have: one that has the pair
// compiled, else the first for the quick and the last for others, so that what
// is killed is seldom what the quick use.
func (l *lanes) pick(tenant string, pair pairKey) *slot {
	if len(l.slots) > 1 && l.held(tenant) >= len(l.slots)-1 {
		return nil
	}
	quick := l.quick(tenant)
	var found *slot
	for _, s := range l.slots {
		switch {
		case s.busy || s.number == 0 && len(l.slots) > 1 && !quick:
		case s.has(pair):
			return s
		case found == nil || !quick:
			found = s
		}
	}
	return found
}

// held is how many children a tenant has.
func (l *lanes) held(tenant string) (n int) {
	for _, s := range l.slots {
		if s.busy && s.tenant == tenant {
			n++
		}
	}
	return n
}

func (l *lanes) quick(tenant string) bool {
	u := l.usage[tenant]
	return u != nil && u.known >= provenAfter && u.average < slowAfter
}

// done gives a child back that a tenant has taken so much of.
func (l *lanes) done(s *slot, tenant string, spent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if spent > 0 {
		l.account(tenant, spent)
	}
	l.free(s)
}

func (l *lanes) free(s *slot) {
	s.busy = false
	l.returned.Broadcast()
	l.dispatch()
}

// account remembers what a tenant's question took.
func (l *lanes) account(tenant string, spent time.Duration) {
	u := l.usage[tenant]
	if u == nil {
		if len(l.usage) >= maxUsage {
			for name := range l.usage { // any one: who is forgotten proves itself anew
				delete(l.usage, name)
				break
			}
		}
		u = &usage{average: spent}
		l.usage[tenant] = u
	}
	u.known++
	u.average += (spent - u.average) / 8
}

// dispatch hands free children to those who wait, in turn.
func (l *lanes) dispatch() {
	for i := 0; i < len(l.turns); {
		tenant := l.turns[i]
		w := l.waiting[tenant][0]
		s := l.pick(tenant, w.pair)
		if s == nil {
			i++ // others may have what this one may not
			continue
		}
		s.busy, s.tenant = true, tenant
		w.slot <- s
		l.turns = append(append(l.turns[:i:i], l.turns[i+1:]...), tenant)
		l.remove(tenant, 0)
		i = 0
	}
}

// loaded tells whether any child has a pair.
func (l *lanes) loaded(k pairKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.slots {
		if s.has(k) {
			return true
		}
	}
	return false
}

// put places a child, or none, where the caller has the slot.
func (l *lanes) put(s *slot, p *process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && p != nil {
		p.kill()
	}
	s.process = p
}

// close ends every child, turns away who waits, and waits until all slots are given
// back. It returns the last children.
func (l *lanes) close() []*process {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for tenant, queue := range l.waiting {
		for _, w := range queue {
			close(w.slot)
		}
		delete(l.waiting, tenant)
	}
	l.turns, l.queued = nil, 0
	var last []*process
	for _, s := range l.slots {
		if s.process != nil {
			s.process.kill()
		}
		for s.busy {
			l.returned.Wait()
		}
		if s.process != nil {
			last = append(last, s.process)
			s.process = nil
		}
	}
	return last
}

func errClosed() error { return engine.Troublef(CodeSandbox, "the pool is closed") }
