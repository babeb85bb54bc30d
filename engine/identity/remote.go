package identity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Ages of what is fetched from providers.
const (
	softAge = 10 * time.Minute       // then it is refreshed in passing
	hardAge = 6 * time.Hour          // then it is no longer used
	passing = 150 * time.Millisecond // what a refresh in passing may cost a request
	// coolDown is between two fetches because of an unknown kid: anybody can name one.
	coolDown = 10 * time.Second
	// A failed fetch is retried after a back-off that doubles from firstRetry to
	// lastRetry, less up to half of it at random. With nothing to go on meanwhile it
	// stays at firstRetry, so that a tenant is back within two seconds of its provider.
	firstRetry = 2 * time.Second
	lastRetry  = 30 * time.Second
	// zombie is when a flight is given up for dead: it was frozen with the function.
	zombie = totalBudget + time.Second
)

// remote keeps values fetched from providers, each under its source: a URL or an
// issuer. Every source has its own state and at most one flight.
type remote[T any] struct {
	fetch   func(ctx context.Context, source string) (T, error)
	entries *lru.Cache[string, *entry[T]]
	turns   *turns
	clock   clock
}

func newRemote[T any](clock clock, turns *turns, fetch func(context.Context, string) (T, error)) *remote[T] {
	return &remote[T]{fetch: fetch, entries: newLRU[string, *entry[T]](maxSources), turns: turns, clock: clock}
}

// entry is the state of one source.
type entry[T any] struct {
	mu        sync.Mutex
	value     T
	have      bool
	fetched   stamp // when the fetch of value began
	attempted stamp // when the last fetch began
	failures  int   // since the last success
	failed    stamp // when the last failed fetch ended
	backoff   time.Duration
	err       error // of the last fetch
	flight    *flight
}

// flight is a fetch on its way.
type flight struct {
	began stamp
	done  chan struct{}
}

// get returns the source's value, for a tenant. satisfies says whether a value has what the
// caller is after; one that has not is fetched anew, at most once per cool-down, and
// returned even if it still has not. An error means that the provider could not be
// asked, and that no value is young enough to do without.
func (r *remote[T]) get(ctx context.Context, tenant, source string, now time.Time, satisfies func(T) bool) (T, error) {
	e := r.entry(source)
	at := r.clock.at(now)
	flight, patience := r.consult(e, source, at, satisfies, nil)
	if flight == nil && patience > 0 {
		// A flight of one's own takes a turn, and nobody joins it before it has that:
		// else one tenant would wait for another's.
		done, err := r.turns.take(ctx, tenant, turnFor(patience))
		if err != nil {
			return e.verdict(at, satisfies, err)
		}
		at = r.clock.later(at)
		flight, patience = r.consult(e, source, at, satisfies, done)
	}
	if flight == nil {
		return e.verdict(at, satisfies, nil)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-flight.done:
		return e.verdict(at, satisfies, nil)
	case <-timeout.C:
		return e.verdict(at, satisfies, fmt.Errorf("no answer within %s", patience))
	case <-ctx.Done():
		return e.verdict(at, satisfies, fmt.Errorf("the request ended before the provider answered: %w", ctx.Err()))
	}
}

func (r *remote[T]) entry(source string) *entry[T] {
	e := &entry[T]{}
	if was, there, _ := r.entries.PeekOrAdd(source, e); there {
		r.entries.Get(source) // for its recency
		return was
	}
	return e
}

// turnFor is how long to wait for a turn: a refresh in passing is left to the next
// request.
func turnFor(patience time.Duration) time.Duration {
	if patience == passing {
		return 0
	}
	return totalBudget
}

// consult decides under the entry's lock whether to go by its value. If not, it
// returns the flight to wait for, and for how long; a new one begins if there is a
// turn for it, which is over when done is called. Without one it says how long only.
func (r *remote[T]) consult(e *entry[T], source string, at stamp, satisfies func(T) bool, done func()) (*flight, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	began := false
	defer func() {
		if done != nil && !began {
			done()
		}
	}()
	age := at.since(e.fetched)
	patience := 2 * zombie // a flight ends by itself long before
	switch {
	case !e.have || age >= hardAge:
	case !satisfies(e.value):
		if e.flight == nil && at.since(e.attempted) < coolDown {
			return nil, 0
		}
	case age >= softAge:
		patience = passing
	default:
		return nil, 0
	}
	if e.flight != nil && at.since(e.flight.began) < zombie {
		return e.flight, patience
	}
	if e.failures > 0 && at.since(e.failed) < e.backoff {
		return nil, 0
	}
	if done == nil {
		return nil, patience
	}
	began = true
	e.flight = &flight{began: at, done: make(chan struct{})}
	e.attempted = at
	go r.fly(e, source, e.flight, done)
	return e.flight, patience
}

// verdict returns the value as it now is, and an error if it will not do. unanswered
// says why the caller did not see its flight end; nil if it did, or had none.
func (e *entry[T]) verdict(at stamp, satisfies func(T) bool, unanswered error) (T, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	usable := e.have && at.since(e.fetched) < hardAge
	switch {
	case usable && satisfies(e.value):
		return e.value, nil
	case unanswered != nil:
		return e.value, unanswered
	case usable && e.failures == 0: // the provider was asked, and has not got it
		return e.value, nil
	case e.err != nil:
		return e.value, e.err
	default:
		return e.value, errTransport
	}
}

// fly fetches on a context of its own: the caller that began it may give up without
// spoiling it for those who joined.
func (r *remote[T]) fly(e *entry[T], source string, f *flight, done func()) {
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), totalBudget)
	defer cancel()
	value, err := r.safely(ctx, source)
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(f.done)
	if e.flight != f {
		return // given up for dead; another one has taken over
	}
	e.flight = nil
	if e.err = err; err != nil {
		e.failures++
		e.failed = r.clock.later(f.began)
		e.backoff = e.nextBackoff()
		return
	}
	e.value, e.have, e.fetched, e.failures = value, true, f.began, 0
}

// safely turns a panic over what a provider sent into an error: nobody else could
// recover it on this goroutine.
func (r *remote[T]) safely(ctx context.Context, source string) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic of type %T over the provider's answer", p)
		}
	}()
	return r.fetch(ctx, source)
}

// nextBackoff is how long after a failed fetch the next may begin.
func (e *entry[T]) nextBackoff() time.Duration {
	longest := firstRetry
	if e.have && e.failed.since(e.fetched) < hardAge {
		longest = min(firstRetry<<min(e.failures-1, 8), lastRetry)
	}
	return longest/2 + rand.N(longest/2)
}
