package cache

import (
	"math/rand/v2"
	"time"
)

// After a read that failed the next one waits, longer after each failure, less up to
// half of it at random.
const (
	firstRest = 250 * time.Millisecond
	lastRest  = 5 * time.Second
)

// rest is how long something that failed is left alone. It begins with the first
// failure and is over with the next success.
type rest struct {
	failures int
	failed   stamp
	length   time.Duration
	err      error // of the last failure
}

// on tells whether it is too early to try again.
func (r *rest) on(now stamp) bool {
	return r.failures > 0 && now.since(r.failed) < r.length
}

func (r *rest) fail(now stamp, err error) {
	longest := min(firstRest<<min(r.failures, 8), lastRest)
	r.failures++
	r.failed, r.err = now, err
	r.length = longest/2 + rand.N(longest/2)
}

func (r *rest) succeed() { *r = rest{} }
