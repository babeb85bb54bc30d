package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"regent/engine"
	"regent/engine/rules"
)

// unguardedArgument starts the test binary as a child that has a child's limits and
// none of package rules' filters: OPA as it is, with all its builtin functions. What it
// is told to evaluate meets the wall alone.
const unguardedArgument = "unguarded-child"

func unguardedCommand(tb testing.TB) []string {
	tb.Helper()
	file, err := self()
	if err != nil {
		tb.Fatal(err)
	}
	return []string{file, "regent", unguardedArgument, "-"}
}

func runUnguarded() int {
	if confine(configuration{memory: DefaultMemory}) != nil {
		return 2
	}
	from := bufio.NewReader(os.Stdin)
	kept := map[pairKey]rego.PreparedEvalQuery{}
	for {
		f, err := readFrame(from, maxRequest, nil)
		if err != nil {
			return 0
		}
		r, w, status := newReader(f.payload, roomRequest), newFrame(), byte(statusOK)
		switch f.code {
		case opConfigure:
			if confine(r.configuration()) != nil {
				return 2
			}
		case opLoad:
			k, l := r.pair(), r.load()
			query, err := compileUnguarded(l)
			if err != nil {
				w.text(cut(err.Error()))
				status = statusError
				break
			}
			kept[k] = query
			w.pair(k)
		default:
			q := r.question()
			query, ok := kept[q.pair]
			if !ok {
				status = statusNotLoaded
				break
			}
			d, err := decideUnguarded(query, q.timeout, r.input())
			if err != nil {
				w.evalError(&rules.EvalError{Code: "eval_error", Message: cut(err.Error())})
				status = statusEval
				break
			}
			_ = w.decision(d)
		}
		os.Stdout.Write(w.seal(f.id, status))
	}
}

func compileUnguarded(l load) (rego.PreparedEvalQuery, error) {
	modules := map[string]*ast.Module{}
	for _, f := range l.tenant {
		m, err := ast.ParseModuleWithOpts(f.Path, string(f.Content), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		if err != nil {
			return rego.PreparedEvalQuery{}, err
		}
		modules[f.Path] = m
	}
	c := ast.NewCompiler()
	if c.Compile(modules); c.Failed() {
		return rego.PreparedEvalQuery{}, c.Errors
	}
	return rego.New(rego.Query("data.authz"), rego.Compiler(c)).PrepareForEval(context.Background())
}

// decideUnguarded asks for the whole document, and takes from it whether it allows.
func decideUnguarded(query rego.PreparedEvalQuery, timeout time.Duration, in engine.Input) (d engine.Decision, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	text, err := json.Marshal(in)
	if err != nil {
		return d, err
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return d, err
	}
	results, err := query.Eval(ctx, rego.EvalInput(document))
	if err != nil || len(results) == 0 {
		return d, err
	}
	authz, _ := results[0].Expressions[0].Value.(map[string]any)
	d.Allow = authz["allow"] == true
	return d, nil
}
