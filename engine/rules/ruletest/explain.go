package ruletest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// explain evaluates a failed test once more and returns the last expression that was
// not true, by the name of the case; the name is empty outside a table. It is best
// effort: a test that does not end, or fails in another way this time, is explained
// by less or by nothing.
func (r run) explain(ctx context.Context, query ast.Ref) map[string]*Failure {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	last := &lastFail{events: map[string]topdown.Event{}}
	prepared, err := rego.New(
		rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(query)))),
		rego.Compiler(r.compiler),
		rego.Store(r.store),
	).PrepareForEval(ctx)
	if err != nil {
		return nil
	}
	if _, err := prepared.Eval(ctx, rego.EvalQueryTracer(last)); err != nil {
		return nil
	}
	failures := map[string]*Failure{}
	for name, event := range last.events {
		failures[name] = failure(event)
	}
	return failures
}

// lastFail keeps one event for each case, where a whole trace would not be bounded.
type lastFail struct {
	name   string
	events map[string]topdown.Event
}

// Enabled is part of topdown.QueryTracer.
func (*lastFail) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (*lastFail) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

// TraceEvent is part of topdown.QueryTracer.
func (t *lastFail) TraceEvent(e topdown.Event) {
	expr, ok := e.Node.(*ast.Expr)
	if !ok {
		return
	}
	switch e.Op {
	case topdown.TestCaseOp:
		if path, ok := expr.Operand(0).Value.(*ast.Array); ok {
			t.name = caseName(path)
		}
	case topdown.FailOp:
		// `every` fails after the expression in its body did, which says more.
		if e.Location != nil && e.QueryID != 0 && !expr.IsEvery() {
			t.events[t.name] = e
		}
	}
}

// caseName joins the elements by which the runner names a case.
func caseName(path *ast.Array) string {
	var names []string
	path.Foreach(func(term *ast.Term) {
		if s, ok := term.Value.(ast.String); ok {
			names = append(names, string(s))
			return
		}
		var text []byte
		if v, err := ast.JSON(term.Value); err == nil {
			text, _ = json.Marshal(v)
		}
		names = append(names, string(text))
	})
	return strings.Join(names, "/")
}

func failure(e topdown.Event) *Failure {
	var text bytes.Buffer
	if err := topdown.PrettyEvent(&text, &e, topdown.PrettyEventOpts{PrettyVars: true}); err != nil {
		text.Reset()
		text.Write(e.Location.Text)
	}
	return &Failure{File: e.Location.File, Line: e.Location.Row, Text: trim(text.String())}
}

// trim takes off what all lines are indented by, and what is blank around them.
func trim(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " ")
	}
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
	for i, line := range lines {
		cut := min(indent, len(line)-len(strings.TrimLeft(line, " ")))
		lines[i] = line[cut:]
	}
	return strings.Join(lines, "\n")
}
