package rules

import (
	"context"
	"time"
)

// lookEvery is how many of OPA's questions whether to stop are answered without a look at
// the clock. It asks before each expression; a look costs as much as a short one.
const lookEvery = 16

// cancel is a topdown.Cancel that looks at the clock by itself. A timer has to wait for the
// processor that the evaluation has: with one, as a child has it, 20 ms and more. It
// belongs to one evaluation, which asks in one goroutine.
type cancel struct {
	ctx context.Context
	// until is the context's deadline; the zero time for none.
	until time.Time
	asked int
	over  bool
}

func newCancel(ctx context.Context) *cancel {
	until, _ := ctx.Deadline()
	return &cancel{ctx: ctx, until: until}
}

// Cancel stops the evaluation.
func (c *cancel) Cancel() { c.over = true }

// Cancelled tells whether to stop: the context has ended, or its time is over.
func (c *cancel) Cancelled() bool {
	if !c.over && c.asked%lookEvery == 0 {
		c.over = c.ctx.Err() != nil || !c.until.IsZero() && !time.Now().Before(c.until)
	}
	c.asked++
	return c.over
}
