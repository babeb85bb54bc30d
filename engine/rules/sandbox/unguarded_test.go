package sandbox

import (
	"bufio"
	"context"
	"os"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"regent/engine"
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
			ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
			_, err := query.Eval(ctx, rego.EvalInput(map[string]any{"path": r.input().Path}))
			cancel()
			_ = err // whatever it came to, it is not asked for
			_ = w.decision(engine.Decision{})
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

// stall measures how much later than it should a goroutine goes on, while something is
// being timed: what is beyond the machine is beyond the code.
type stall struct {
	stop chan struct{}
	most chan time.Duration
}

func watchStall() stall {
	s := stall{make(chan struct{}), make(chan time.Duration, 1)}
	go func() {
		const pause = time.Millisecond
		most := time.Duration(0)
		for {
			start := time.Now()
			select {
			case <-s.stop:
				s.most <- most
				return
			case <-time.After(pause):
				most += max(time.Since(start)-2*pause, 0)
			}
		}
	}()
	return s
}

// end returns the sum of the delays.
func (s stall) end() time.Duration {
	close(s.stop)
	return <-s.most
}

// within does something again until it takes at most limit and what the machine was
// late, and fails after some attempts. A limit that is always exceeded is found, a busy
// machine is not.
func within(t *testing.T, name string, limit time.Duration, do func()) {
	t.Helper()
	const attempts = 6
	if underRace {
		limit *= 3
	}
	var took, late time.Duration
	for range attempts {
		s := watchStall()
		start := time.Now()
		do()
		took = time.Since(start)
		if late = s.end(); took <= limit+late {
			return
		}
	}
	t.Errorf("%s: took %s, %d times more than %s (the machine was %s late)", name, took, attempts, limit, late)
}
