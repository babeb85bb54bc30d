package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"regent/engine"
)

// defaultMargin is how long before the invocation's deadline a decision that is not
// there yet is given up: an answer on time is a 500 that says so in the log, one
// too late is a killed environment.
const defaultMargin = 50 * time.Millisecond

// codeDeadline is the code of a decision that came too late.
const codeDeadline = "deadline"

// errUnauthorized is what API Gateway turns into a 401: it compares the text.
var errUnauthorized = errors.New("Unauthorized")

// trouble is every other error. Its text is for who looks at the invocation; the
// cause is in the decision log.
type trouble struct{ code, decision string }

// Error names the kind of trouble and the decision-log entry.
func (t trouble) Error() string { return "trouble: " + t.code + ", see decision " + t.decision }

// function answers invocations. It may be called by many goroutines.
type function struct {
	authorizer *engine.Authorizer
	decisions  *decisionLog
	messages   *slog.Logger
	metrics    *metrics    // nil for none
	watch      *childWatch // nil for none
	// settle waits a moment for what the event began in the background; nil for nothing.
	settle func(context.Context)
	margin time.Duration
}

// Invoke answers one event before the context's deadline, and logs the decision
// before it returns. It implements lambda.Handler.
func (f *function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	out := f.decide(ctx, event)
	if err := f.decisions.write(out.Record); err != nil {
		f.messages.Error("decision not logged", "decision_id", out.Record.DecisionID, "error", err.Error())
	}
	if err := f.metrics.tick(f.authorizer.Now()); err != nil {
		f.messages.Error("metrics not written", "error", err.Error())
	}
	f.watch.tick(f.authorizer.Now())
	if f.settle != nil {
		f.settle(ctx)
	}
	var unauthorized *engine.Unauthorized
	switch {
	case errors.As(out.Err, &unauthorized):
		return nil, errUnauthorized
	case out.Err != nil:
		return nil, trouble{code: out.Record.Result.Code, decision: out.Record.DecisionID}
	default:
		return out.Reply, nil
	}
}

// decide asks the engine and gives it up where it runs into the deadline. The
// engine is told to end a margin before the deadline; if it does not listen, its
// answer is not waited for beyond half the margin.
func (f *function) decide(ctx context.Context, event []byte) engine.Outcome {
	deadline, ok := ctx.Deadline()
	if !ok {
		return f.authorizer.Explain(ctx, event)
	}
	inner, cancel := context.WithDeadline(ctx, deadline.Add(-f.margin))
	defer cancel()
	outer, cancelOuter := context.WithDeadline(ctx, deadline.Add(-f.margin/2))
	defer cancelOuter()

	start := f.authorizer.Now()
	done := make(chan engine.Outcome, 1)
	go func() { done <- f.authorizer.Explain(inner, event) }()
	select {
	case out := <-done:
		return out
	case <-outer.Done():
		return f.late(start, done)
	}
}

// late is the outcome of an event whose decision did not come in time. When it
// comes after all, it is told as a message, for it names the tenant.
func (f *function) late(start time.Time, done <-chan engine.Outcome) engine.Outcome {
	id := f.authorizer.NewID()
	go func() {
		out := <-done
		f.messages.Warn("a decision came after its deadline", "decision_id", id, "late", bounded(out.Record))
	}()
	err := engine.Troublef(codeDeadline, "not decided before the invocation's deadline")
	return engine.Outcome{Err: err, Record: engine.Record{
		DecisionID: id,
		Timestamp:  start.UTC(),
		Path:       "authz",
		Result:     engine.RecordResult{Outcome: "trouble", Code: err.Code},
		Error:      &engine.RecordError{Code: err.Code, Message: err.Error()},
		Metrics:    map[string]int64{"timer_authorizer_ns": f.authorizer.Now().Sub(start).Nanoseconds()},
	}}
}

// maxReasons is how many of the rules' reasons a line has. Rules may give a hundred of 256
// bytes, for every event.
const maxReasons = 10

// bounded is a record of which a tenant's rules cannot make a long line.
func bounded(r engine.Record) engine.Record {
	if more := len(r.Result.Reasons) - maxReasons; more > 0 {
		r.Result.Reasons, r.Result.ReasonsLeftOut = r.Result.Reasons[:maxReasons], more
	}
	return r
}

// decisionLog writes one JSON line for each decision.
type decisionLog struct {
	mu sync.Mutex
	w  io.Writer
	// id names this execution environment, as the label id does in OPA's log:
	// digests of subjects compare only within one.
	id string
}

func (l *decisionLog) write(r engine.Record) error {
	r.Labels = map[string]string{"id": l.id}
	line, err := json.Marshal(bounded(r))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.w.Write(append(line, '\n'))
	return err
}
