package residue

import (
	"context"
	"time"
)

// Clock tells when an evaluation's time is up. It goes by the deadline itself, not by
// what the context says: a child process has one thread, and while that is busy, timers
// are up to 10 ms late. A clock is for one goroutine.
type Clock struct {
	ctx      context.Context
	deadline time.Time
	bounded  bool
	// spent is the work since the last look.
	spent int
	err   error
}

// unit is what a unit of work takes, about, and perLook the work between two looks.
const (
	unit    = 100 * time.Nanosecond
	perLook = 128
)

// NewClock returns a clock that runs until a context's deadline or end.
func NewClock(ctx context.Context) *Clock {
	c := &Clock{ctx: ctx}
	c.deadline, c.bounded = ctx.Deadline()
	return c
}

// Spend notes work, in units of about 100 ns, and looks at the time now and then. Once
// the time is up, every call returns the same error.
func (c *Clock) Spend(units int) error {
	if c.spent += units; c.spent < perLook {
		return c.err
	}
	return c.Look()
}

// Look looks at the time at once.
func (c *Clock) Look() error { return c.need(0) }

// afford is Spend for work that cannot be interrupted.
func (c *Clock) afford(units int) error {
	if units < perLook {
		return c.Spend(units)
	}
	return c.need(units)
}

// need looks whether there is time for work that cannot be interrupted. Where there is
// not, the time is up.
func (c *Clock) need(units int) error {
	c.spent = 0
	if c.err == nil && c.bounded && time.Until(c.deadline) <= time.Duration(units)*unit {
		c.err = context.DeadlineExceeded
	}
	if c.err == nil {
		c.err = c.ctx.Err()
	}
	return c.err
}
