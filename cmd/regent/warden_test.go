package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"regent/cmd/internal/config"
	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// puppet is an engine.Policies that answers as it is told.
type puppet struct {
	w *warden
	// loading and asking are the answers, and killed tells that a child is ended over them.
	loading, asking error
	killed          bool
	asked           int
}

func (p *puppet) Load(_ context.Context, tenant string, _, revision tenants.Digest) (engine.Policy, error) {
	p.asked++
	if p.killed {
		p.w.note(sandbox.Event{Kind: sandbox.Killed, Tenant: tenant, Revision: revision, Reason: "deadline"})
	}
	return p, p.loading
}

func (p *puppet) Decide(context.Context, engine.Input, time.Time) (engine.Decision, error) {
	return engine.Decision{}, p.asking
}

func (p *puppet) Permissions(context.Context, engine.Known, []tenants.Route, time.Time) (engine.Permissions, error) {
	return engine.Permissions{}, p.asking
}

// TestWarden: a revision that had to be ended is told by what happened, and not asked
// again; all other errors pass.
func TestWarden(t *testing.T) {
	t.Parallel()
	evaluation := func(code string) error {
		return &engine.Trouble{Code: "evaluation", Err: &rules.EvalError{Code: code, Message: "m"}}
	}
	broken := engine.Troublef("policy", "revision 1: does not compile: %w", rules.Problems{{File: "a.rego", Line: 3, Code: "rego_type_error", Message: "m"}})
	tests := []struct {
		name            string
		loading, asking error
		killed          bool
		// want is what an ended revision is told by; empty if it was not ended. problem is the
		// code of the problem that the error is, if any.
		want, hint, problem string
	}{
		{name: "well"},
		{name: "late", asking: evaluation("timeout"), want: "the rules did not end within 2s; they", hint: "REGENT_EVAL_TIMEOUT"},
		{name: "killed", asking: evaluation("killed"), killed: true, want: "the rules did not end within 2s; they", hint: "REGENT_EVAL_TIMEOUT"},
		{name: "stack", asking: evaluation("stack_overflow"), killed: true, want: "the rules ended in a stack overflow; they", hint: "simpler"},
		{name: "memory", asking: evaluation("out_of_memory"), killed: true, want: "the rules took more than 384 MB of memory; they", hint: "simpler"},
		{name: "crash", asking: evaluation("crashed"), killed: true, want: "the rules ended the process", hint: "simpler"},
		{
			name: "compiling", loading: engine.Troublef("policy", "revision 1: %w", errors.New("compiling it takes longer than 300ms")), killed: true,
			want: "compiling it takes longer than 300ms", hint: "simpler", problem: "limit",
		},
		{name: "compiling, later", asking: engine.Troublef("policy", "revision 1: %w", errors.New("compiling it takes longer")), want: ""},
		{name: "an evaluation error", asking: evaluation("eval_conflict_error")},
		{name: "a contract", asking: evaluation("contract")},
		{name: "rules that do not compile", loading: broken, problem: "rego_type_error"},
		{name: "rules that do not compile after a kill of others", loading: broken, problem: "rego_type_error"},
		{name: "a store", loading: engine.Troublef("store", "away")},
		{name: "a sandbox", asking: engine.Troublef(sandbox.CodeSandbox, "no child stays"), killed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &puppet{loading: tt.loading, asking: tt.asking, killed: tt.killed}
			w := &warden{pools: []engine.Policies{p}, timeout: 2 * time.Second, kills: map[revisionKey]int{}, ended: map[pairKey]*endedError{}}
			p.w = w
			ask := func(tenant string, platform tenants.Digest) error {
				policy, err := w.Load(t.Context(), tenant, platform, "sha256:1")
				if err == nil {
					_, err = policy.Permissions(t.Context(), engine.Known{}, nil, time.Now())
				}
				return err
			}
			err := ask("acme", "p")
			var ended *endedError
			if got := errors.As(err, &ended); got != (tt.want != "") {
				t.Fatalf("ended %t: %v", got, err)
			}
			if ps, _ := rules.IsProblems(err); tt.problem != "" && (len(ps) != 1 || ps[0].Code != tt.problem) || tt.problem == "" && len(ps) > 0 {
				t.Errorf("the problems are %v, want one with code %q", ps, tt.problem)
			}
			if ended == nil {
				if err != tt.loading && err != tt.asking {
					t.Errorf("got %v, want it as it was", err)
				}
				if _ = ask("acme", "p"); p.asked != 2 {
					t.Errorf("asked %d times, want 2", p.asked)
				}
				return
			}
			if !strings.HasPrefix(ended.reason(), tt.want) || !strings.Contains(ended.hint(), tt.hint) || !strings.HasPrefix(err.Error(), "tenant acme, revision 1: ") {
				t.Errorf("got %q, %q", err, ended.hint())
			}
			if again := ask("acme", "p"); again != err || p.asked != 1 {
				t.Errorf("asked %d times; the second answer is %v", p.asked, again)
			}
			_, _ = ask("globex", "p"), ask("acme", "another platform")
			if p.asked != 3 {
				t.Errorf("another tenant and another platform were asked %d times", p.asked-1)
			}
			if n := len(w.told()); n != 3 {
				t.Errorf("%d are told of, want 3", n)
			}
		})
	}
}

// TestInterrupted: when a run is interrupted the rules are, and they are not to blame.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	text := `package authz

allow if {
	some a in numbers.range(1, 9000)
	some b in numbers.range(1, 9000)
	some c in numbers.range(1, 9000)
	a + b + c < 0
}
`
	bundle, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	store := &draft{platform: emptyBundle(), bundles: map[tenants.Digest]tenants.Bundle{bundle.Digest(): bundle}}
	ctx, cancel := context.WithCancel(t.Context())
	w, err := newWarden(ctx, store, config.Config{EvalTimeout: atMost}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	policy, err := w.Load(ctx, "acme", store.platform.Digest(), bundle.Digest())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	// Whenever it comes, it is heard.
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err = policy.Decide(ctx, engine.Input{}, time.Now())
	if !errors.Is(err, context.Canceled) || time.Since(start) > atMost/2 || len(w.told()) > 0 {
		t.Errorf("after %s: %v, and %v are told of", time.Since(start), err, w.told())
	}
}

// TestWardenInProcess: whoever trusts all rules has no children.
func TestWardenInProcess(t *testing.T) {
	t.Parallel()
	bundle := stub()
	store := &draft{platform: emptyBundle(), bundles: map[tenants.Digest]tenants.Bundle{bundle.Digest(): bundle}}
	w, err := newWarden(t.Context(), store, config.Config{EvalTimeout: atMost, InProcess: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, ok := w.pools[0].(*rules.Engine); !ok {
		t.Errorf("the policies are %T", w.pools[0])
	}
	policy, err := w.Load(t.Context(), "acme", store.platform.Digest(), bundle.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if d, err := policy.Decide(t.Context(), engine.Input{}, time.Now()); err != nil || d.Allow {
		t.Errorf("allow %t, %v", d.Allow, err)
	}
}

// TestTraceClipped: a trace that is too long ends with a whole line, and says so.
func TestTraceClipped(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"what there is room for", "12345678\n0123456\n", "12345678\n0123456\n"},
		{"more", "12345678\n01234567\n", "12345678\nthe rest of the trace is left out: it has more than 0 MB\n"},
		{"one line", strings.Repeat("x", 40), "the rest of the trace is left out: it has more than 0 MB\n"},
	}
	for _, tt := range tests {
		c := &clipped{room: 17}
		for half := range strings.SplitAfterSeq(tt.text, "4") {
			if n, err := c.Write([]byte(half)); n != len(half) || err != nil {
				t.Errorf("%s: wrote %d, %v", tt.name, n, err)
			}
		}
		if got := c.String(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
