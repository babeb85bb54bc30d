package identity

import "time"

// clock reads the time in two ways. The wall clock is the instant of the request
// and may be set back; the monotonic one may stand still while a function is
// frozen. Of the two the larger elapsed time counts, so nothing is believed longer
// than either allows.
type clock struct {
	monotonic func() time.Duration
}

func newClock() clock {
	start := time.Now()
	return clock{func() time.Duration { return time.Since(start) }}
}

// stamp is one instant on both clocks. The zero stamp is long ago.
type stamp struct {
	wall      time.Time
	monotonic time.Duration
}

// at stamps a request's instant.
func (c clock) at(now time.Time) stamp {
	return stamp{now.Round(0), c.monotonic()}
}

// since is the time from an earlier stamp to s, never negative.
func (s stamp) since(earlier stamp) time.Duration {
	return max(s.wall.Sub(earlier.wall), s.monotonic-earlier.monotonic, 0)
}

// later stamps the present by the time that has passed since an earlier stamp: for
// where there is no request to tell the instant.
func (c clock) later(earlier stamp) stamp {
	passed := c.monotonic() - earlier.monotonic
	return stamp{earlier.wall.Add(passed), earlier.monotonic + passed}
}
