package cache

import "time"

// clock reads the time in two ways. The wall clock may be set back or forth; the
// monotonic one may stand still while a function is frozen. Of the two the larger
// elapsed time counts, so nothing is believed longer than either allows.
type clock struct {
	wall      func() time.Time
	monotonic func() time.Duration
}

// newClock reads both from now: time.Now, or a test's own.
func newClock(now func() time.Time) clock {
	start := now()
	return clock{now, func() time.Duration { return now().Sub(start) }}
}

// stamp is one instant on both clocks. It is small, for there are many.
type stamp struct{ wall, monotonic int64 } // nanoseconds

func (c clock) now() stamp {
	return stamp{c.wall().UnixNano(), int64(c.monotonic())}
}

// since is the time from an earlier stamp to s, never negative.
func (s stamp) since(earlier stamp) time.Duration {
	return time.Duration(max(s.wall-earlier.wall, s.monotonic-earlier.monotonic, 0))
}
