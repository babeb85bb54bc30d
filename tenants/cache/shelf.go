package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"regent/tenants"
)

// shelf keeps the answers to one kind of question, and walks the ladder of the package
// comment for each of them.
type shelf[K comparable, V any] struct {
	*common
	// read asks the store.
	read func(context.Context, K) (V, error)
	// name is the key as an error and the memory of unknown keys have it.
	name func(K) string
	// version counts the changes of a record; nil if it has none.
	version func(V) int64
	// unknownFor is how long an unknown key is not asked for again.
	unknownFor time.Duration

	mu      sync.Mutex
	kept    *simplelru.LRU[K, *entry[V]]
	unknown unknowns
	flights map[K]*flight[V]
}

// common is what the shelves of one Store share.
type common struct {
	Config
	clock    clock
	counters counters
	under    underway

	mu sync.Mutex
	// slow is on after a read that failed slowly: the store hangs, and whoever has
	// something to go on need not find that out again for each key.
	slow rest
}

// entry is the last good answer to a question.
type entry[V any] struct {
	value V
	read  stamp         // when the read of value began
	fresh time.Duration // how long it is fresh
	rest  rest          // after reads that failed
	// older is when a record older than value was first read; the zero stamp if the last
	// read had none.
	older stamp
}

// flight is a read of the store on its way.
type flight[V any] struct {
	began stamp
	done  chan struct{} // closed when the fields below are set
	value V
	err   error
}

// errOlder is a record with a lower version than was seen before.
var errOlder = errors.New("the store returned an older record than before")

func newShelf[K comparable, V any](c *common, size int, read func(context.Context, K) (V, error), name func(K) string) *shelf[K, V] {
	kept, err := simplelru.NewLRU[K, *entry[V]](size, nil)
	if err != nil {
		panic(err) // only a size below 1, which New refuses
	}
	return &shelf[K, V]{
		common: c, read: read, name: name, unknownFor: c.Unknown, kept: kept,
		unknown: unknowns{size: c.Unknowns}, flights: map[K]*flight[V]{},
	}
}

// get answers a question by the ladder.
func (s *shelf[K, V]) get(ctx context.Context, key K) (V, error) {
	now := s.clock.now()
	a, f := s.consult(key, now)
	if f == nil {
		return s.answer(ctx, key, a)
	}
	// A read ends by itself, and leaves word for others; only one that does not listen is
	// not waited for.
	timeout := time.NewTimer(s.Timeout + s.Timeout/10)
	defer timeout.Stop()
	select {
	case <-f.done:
		if f.err == nil || errors.Is(f.err, tenants.ErrNotFound) {
			s.counters.read.Add(1)
			return f.value, f.err
		}
		a.err = f.err
	case <-timeout.C:
		a.err = fmt.Errorf("%s: no answer within %s", s.name(key), s.Timeout)
	case <-ctx.Done():
		a.err = fmt.Errorf("%s: the request ended before the store answered: %w", s.name(key), ctx.Err())
	}
	return s.answer(ctx, key, a)
}

// known is what the shelf knows of a question.
type known[V any] struct {
	value V
	// usable tells that value may be answered, and age how old it is.
	usable bool
	age    time.Duration
	// unknown tells that the store does not know the key.
	unknown bool
	// err is why value is not younger.
	err error
}

// consult looks a question up, and returns the flight to wait for if that is needed.
// It begins one if it is time to ask the store.
func (s *shelf[K, V]) consult(key K, now stamp) (known[V], *flight[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.kept.Get(key)
	if !ok {
		asked, ok := s.unknown.since(digestOf(s.name(key)))
		if ok && now.since(asked) < s.unknownFor {
			return known[V]{unknown: true}, nil
		}
		return known[V]{}, s.join(key, now)
	}
	age := now.since(e.read)
	a := known[V]{value: e.value, usable: age < s.MaxStale, age: age, err: e.rest.err}
	switch {
	case age < e.fresh:
		return a, nil
	case a.usable && e.rest.on(now):
		return a, nil
	case a.usable:
		if err := s.hanging(now); err != nil {
			a.err = err
			return a, nil
		}
	}
	f := s.join(key, now)
	if age < s.MustRefresh {
		return a, nil // the flight goes on in the background
	}
	return a, f
}

// answer gives what is known, however old, unless it is nothing.
func (s *shelf[K, V]) answer(ctx context.Context, key K, a known[V]) (V, error) {
	var none V
	switch {
	case a.unknown:
		s.counters.unknown.Add(1)
		return none, fmt.Errorf("%s: %w", s.name(key), tenants.ErrNotFound)
	case !a.usable:
		s.counters.failed.Add(1)
		return none, a.err
	case a.age < s.MustRefresh:
		s.counters.hits.Add(1)
	default:
		s.counters.stale.Add(1)
		tenants.StalenessOf(ctx).Note(a.age, a.err)
	}
	return a.value, nil
}

// dead tells that a flight has taken longer than any can: it was frozen with the
// function. What it comes back with is of before, and says nothing about the store.
func (s *shelf[K, V]) dead(f *flight[V], now stamp) bool { return now.since(f.began) >= 2*s.Timeout }

// join returns the key's flight, a new one if there is none or the one there was is dead.
func (s *shelf[K, V]) join(key K, now stamp) *flight[V] {
	if f := s.flights[key]; f != nil && !s.dead(f, now) {
		return f
	}
	f := &flight[V]{began: now, done: make(chan struct{})}
	s.flights[key] = f
	s.under.begin()
	go s.fly(key, f)
	return f
}

// fly reads on a context of its own: the caller that began it may give up without
// spoiling it for those who joined.
func (s *shelf[K, V]) fly(key K, f *flight[V]) {
	defer s.under.end()
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	s.counters.reads.Add(1)
	value, err := safely(ctx, key, s.read)
	now := s.clock.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	taken := s.flights[key] != f // another one has taken over
	if !taken {
		delete(s.flights, key)
	}
	if taken || s.dead(f, now) {
		f.err = fmt.Errorf("%s: the read was interrupted", s.name(key))
		return
	}
	f.value, f.err = s.land(key, f.began, now, value, err)
}

// land files what a read came back with and returns the answer to those who wait.
func (s *shelf[K, V]) land(key K, began, now stamp, value V, err error) (V, error) {
	var none V
	if errors.Is(err, tenants.ErrNotFound) {
		s.kept.Remove(key)
		s.unknown.add(digestOf(s.name(key)), began)
		s.went(began, now, nil)
		return none, err
	}
	s.went(began, now, err)
	e, ok := s.kept.Peek(key)
	if err == nil && ok && s.isOlder(e, value, began) {
		err = errOlder
		s.counters.older.Add(1)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.name(key), err)
		if ok {
			e.rest.fail(now, err)
		}
		return none, err
	}
	// Somewhat less than Refresh, so that keys read together are not read together again.
	fresh := s.Refresh - rand.N(s.Refresh/5+1)
	s.kept.Add(key, &entry[V]{value: value, read: began, fresh: fresh})
	s.unknown.remove(digestOf(s.name(key)))
	return value, nil
}

// isOlder tells whether a record is to be left alone because a later one was seen: an
// eventually consistent read may lag. A record that stays the lower one for MustRefresh
// does not lag; it was deleted and made anew, and counts from then on.
func (s *shelf[K, V]) isOlder(e *entry[V], value V, began stamp) bool {
	if s.version == nil || s.version(value) >= s.version(e.value) {
		return false
	}
	if e.older == (stamp{}) {
		e.older = began
	}
	return began.since(e.older) < s.MustRefresh
}

// went notes how a read of the store went.
func (c *common) went(began, now stamp, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.slow.succeed()
		return
	}
	c.counters.failures.Add(1)
	if now.since(began) >= c.Timeout/4 {
		c.slow.fail(now, err)
	}
}

// hanging returns why the store need not be asked now; nil if it may be.
func (c *common) hanging(now stamp) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow.on(now) {
		return c.slow.err
	}
	return nil
}

// safely turns a panic over what the store sent into an error: nobody else could
// recover it on this goroutine.
func safely[K, V any](ctx context.Context, key K, read func(context.Context, K) (V, error)) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T over the store's answer", p)
		}
	}()
	return read(ctx, key)
}
