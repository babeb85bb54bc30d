package rules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
)

// EvalError is an evaluation that came to no answer.
type EvalError struct {
	// Code is OPA's error code, "timeout", or "contract" for a value of a wrong type.
	Code string
	// File and Line are where; empty and 0 if unknown.
	File string
	Line int
	// Message explains it to the author of the rules. OPA's own messages may quote
	// values of the input, so Error leaves them out.
	Message string
}

// Error returns the code and the place, and the message where it is Regent's own.
func (e *EvalError) Error() string {
	s := e.Code
	if e.Code == "contract" {
		s += ": " + e.Message
	}
	if e.File != "" {
		s += fmt.Sprintf(" at %s:%d", e.File, e.Line)
	}
	return s
}

// Decide evaluates the rules for one input as of the instant now. Errors are
// *EvalError in an *engine.Trouble.
func (p *Policy) Decide(ctx context.Context, in engine.Input, now time.Time) (engine.Decision, error) {
	return p.decide(ctx, in, now)
}

// Trace evaluates like Decide and writes OPA's trace of how the answer came about.
func (p *Policy) Trace(ctx context.Context, in engine.Input, now time.Time, w io.Writer) (engine.Decision, error) {
	tracer := topdown.NewBufferTracer()
	d, err := p.decide(ctx, in, now, rego.EvalQueryTracer(tracer))
	topdown.PrettyTraceWithLocation(w, *tracer)
	return d, err
}

func (p *Policy) decide(ctx context.Context, in engine.Input, now time.Time, opts ...rego.EvalOption) (engine.Decision, error) {
	input, err := value(in)
	if err != nil {
		return engine.Decision{}, trouble(err)
	}
	// By itself rego starts a goroutine for each evaluation, to wait for the context's
	// end. For short evaluations that is a third of their time.
	results, err := p.query.Eval(ctx, append(opts, rego.EvalParsedInput(input), rego.EvalTime(now), rego.EvalExternalCancel(newCancel(ctx)))...)
	if err != nil {
		return engine.Decision{}, trouble(err)
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return engine.Decision{}, trouble(&EvalError{Code: "contract", Message: "the entrypoint has no single value"})
	}
	doc, ok := results[0].Expressions[0].Value.(ast.Object)
	if !ok {
		return engine.Decision{}, trouble(&EvalError{Code: "contract", Message: "the entrypoint is no object"})
	}
	d, err := decision(doc)
	if err != nil {
		return engine.Decision{}, trouble(err)
	}
	return d, nil
}

func trouble(err error) error {
	return &engine.Trouble{Code: "evaluation", Err: evalError(err)}
}

func evalError(err error) error {
	var own *EvalError
	if errors.As(err, &own) {
		return own
	}
	var e *topdown.Error
	switch {
	case errors.As(err, &e):
		own = &EvalError{Code: e.Code, Message: e.Message}
		if e.Location != nil {
			own.File, own.Line = e.Location.File, e.Location.Row
		}
		if e.Code == topdown.CancelErr {
			own.Code = "timeout"
		}
		return own
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &EvalError{Code: "timeout", Message: err.Error()}
	default:
		return &EvalError{Code: "eval_error", Message: err.Error()}
	}
}
