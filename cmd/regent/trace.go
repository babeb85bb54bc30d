package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// traceArgument is the one argument of a child that traces.
const traceArgument = "regent-trace-child"

// What a trace may take. Tracing takes several times what the evaluation does.
const (
	// traceTime is what the rules have, and traceLimit the child in all; then it is killed.
	traceTime  = 2 * time.Second
	traceLimit = 3 * time.Second
	// maxTrace is how many bytes of a trace are kept.
	maxTrace = 4 << 20
)

// traceMain makes the process a child if trace started it as one, and then does not
// return.
func traceMain() { sandbox.Serve(traceArgument, runTrace) }

// traceRequest is what a child is asked, and traceAnswer what it says.
type traceRequest struct {
	Platform, Tenant []tenants.File
	Input            engine.Input
	Now              time.Time
}

type traceAnswer struct {
	Trace string
	// Error is why the evaluation came to no answer; empty if it did.
	Error string
}

// trace evaluates the rules again, those that decided, and tells how the answer came
// about. It does so in a child process that is killed if it does not end; what had to be
// ended when it decided is not tried again.
func trace(ctx context.Context, store tenants.Store, v verdict, out engine.Outcome, now time.Time) string {
	if out.Err != nil && !traceable(out.Err) {
		return "there is no trace: " + v.Detail + "\n"
	}
	text, err := traced(ctx, store, v, now)
	if err != nil {
		return "there is no trace: " + err.Error() + "\n"
	}
	return text
}

// traceable tells whether rules that came to no answer ended by themselves.
func traceable(err error) bool {
	var eval *rules.EvalError
	return errors.As(err, &eval) && endings(0)[eval.Code] == ""
}

// traced has a child trace the revisions that the decision log names.
func traced(ctx context.Context, store tenants.Store, v verdict, now time.Time) (string, error) {
	platform, err := store.Bundle(ctx, tenants.Digest(v.Log.Bundles["platform"].Revision))
	if err != nil {
		return "", err
	}
	bundle, err := store.Bundle(ctx, tenants.Digest(v.Log.Bundles[v.Input.Tenant.ID].Revision))
	if err != nil {
		return "", err
	}
	sent, err := json.Marshal(traceRequest{Platform: platform.Files(), Tenant: bundle.Files(), Input: *v.Input, Now: now})
	if err != nil {
		return "", err
	}
	var a traceAnswer
	err = sandbox.Errand(ctx, traceArgument, sent, traceLimit, func(from io.Reader) error { return json.NewDecoder(from).Decode(&a) })
	if ended := (*sandbox.EndedError)(nil); errors.As(err, &ended) {
		return "", errors.New(untraced(ended.Reason))
	}
	if err == nil && a.Error != "" {
		a.Trace += a.Error + "\n"
	}
	return a.Trace, err
}

// untraced says why a child that traced was ended.
func untraced(reason string) string {
	switch reason {
	case "deadline":
		return fmt.Sprintf("the rules did not end within %s when they were traced", traceLimit)
	case "stack":
		return "the rules ended in a stack overflow when they were traced"
	case "memory":
		return fmt.Sprintf("tracing the rules took more than %d MB of memory", sandbox.DefaultMemory>>20)
	default:
		return "the process that traced the rules ended (" + reason + ")"
	}
}

// runTrace is the child's side.
func runTrace(from io.Reader, to io.Writer) error {
	var q traceRequest
	d := json.NewDecoder(from)
	d.UseNumber()
	if err := d.Decode(&q); err != nil {
		return errors.New("the request cannot be read")
	}
	platform, err := tenants.NewBundle(q.Platform)
	if err != nil {
		return err
	}
	tenant, err := tenants.NewBundle(q.Tenant)
	if err != nil {
		return err
	}
	var a traceAnswer
	text := &clipped{room: maxTrace}
	policy, err := rules.Compile(context.Background(), platform, tenant, rules.Options{})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), traceTime)
		defer cancel()
		_, err = policy.Trace(ctx, q.Input, q.Now, text)
	}
	var eval *rules.EvalError
	if errors.As(err, &eval) {
		a.Error = eval.Error() + ": " + eval.Message
	} else if err != nil {
		a.Error = err.Error()
	}
	a.Trace = text.String()
	return json.NewEncoder(to).Encode(a)
}

// clipped keeps what there is room for, as whole lines, and says so where more came.
type clipped struct {
	text bytes.Buffer
	room int
	more bool
}

// Write keeps the text or a part of it.
func (c *clipped) Write(p []byte) (int, error) {
	if left := c.room - c.text.Len(); len(p) > left {
		c.more = true
		c.text.Write(p[:max(left, 0)])
	} else {
		c.text.Write(p)
	}
	return len(p), nil
}

// String is what was kept.
func (c *clipped) String() string {
	text := c.text.String()
	if !c.more {
		return text
	}
	text = text[:strings.LastIndexByte(text, '\n')+1]
	return text + fmt.Sprintf("the rest of the trace is left out: it has more than %d MB\n", c.room>>20)
}
