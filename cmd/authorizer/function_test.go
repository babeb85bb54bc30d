package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regent/engine"
)

// decoder is a gateway whose decoding stands for whatever a decision may get stuck
// in. Nothing behind it is reached.
type decoder struct {
	engine.Gateway
	decode func() error
}

// Decode returns what the function returns, and no request.
func (d decoder) Decode([]byte) (engine.Request, error) { return engine.Request{}, d.decode() }

func newFunction(stdout, stderr io.Writer, decode func() error) *function {
	return &function{
		authorizer: &engine.Authorizer{
			Gateway: decoder{decode: decode},
			Log:     func(engine.Record) {},
			Now:     time.Now,
			NewID:   func() string { return "id" },
		},
		decisions: &decisionLog{w: stdout, id: "environment"},
		messages:  slog.New(slog.NewJSONHandler(stderr, nil)),
		margin:    defaultMargin,
	}
}

// records reads a decision log.
func records(t *testing.T, log string) []engine.Record {
	t.Helper()
	var all []engine.Record
	for line := range strings.Lines(log) {
		var r engine.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// TestInvokeAnswersBeforeTheDeadline holds that a decision that listens to nobody
// still costs one answer in time and one log line, and is told when it comes.
func TestInvokeAnswersBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		stuck := make(chan struct{})
		f := newFunction(&stdout, &stderr, func() error {
			<-stuck
			return errors.New("at last")
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		reply, err := f.Invoke(ctx, []byte(`{}`))
		if reply != nil || err == nil || err.Error() != "trouble: deadline, see decision id" {
			t.Errorf("got %q, %v", reply, err)
		}
		if took := time.Since(start); took != 75*time.Millisecond {
			t.Errorf("answered after %s, want 75ms", took)
		}
		close(stuck)
		synctest.Wait()
		all := records(t, stdout.String())
		if len(all) != 1 {
			t.Fatalf("logged %+v, want one entry", all)
		}
		if all[0].Result.Outcome != "trouble" || all[0].Result.Code != "deadline" {
			t.Errorf("logged as %+v", all[0].Result)
		}
		if !strings.Contains(stderr.String(), "a decision came after its deadline") {
			t.Errorf("nothing told of the late decision: %s", stderr.String())
		}
	})
}

func TestInvokeErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		decode func() error
		want   string
	}{
		{"unauthorized", func() error { return &engine.Unauthorized{Code: "x", Detail: "secret"} }, "Unauthorized"},
		{"trouble", func() error { return engine.Troublef("store", "secret") }, "trouble: store, see decision id"},
		{"unclassified", func() error { return errors.New("secret") }, "trouble: event, see decision id"},
		{"panic", func() error { panic("secret") }, "trouble: panic, see decision id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			f := newFunction(&stdout, io.Discard, tt.decode)
			for name, ctx := range contexts(t) {
				reply, err := f.Invoke(ctx, []byte(`{}`))
				if reply != nil || err == nil || err.Error() != tt.want {
					t.Errorf("%s: got %q, %v; want %q", name, reply, err, tt.want)
				}
			}
			if all := records(t, stdout.String()); len(all) != 2 {
				t.Errorf("%d log entries for 2 events", len(all))
			}
		})
	}
}

// contexts are one without a deadline and one with.
func contexts(t *testing.T) map[string]context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return map[string]context.Context{"no deadline": t.Context(), "a deadline": ctx}
}

// TestInvokeAtOnce holds that log lines of events answered at the same time do not mix.
func TestInvokeAtOnce(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	f := newFunction(&stdout, io.Discard, func() error { return engine.Troublef("store", "%s", strings.Repeat("x", 200)) })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { _, _ = f.Invoke(t.Context(), []byte(`{}`)) })
	}
	wg.Wait()
	if all := records(t, stdout.String()); len(all) != 64 {
		t.Errorf("%d log entries for 64 events", len(all))
	}
}

// TestLinesAreBounded holds that rules with many reasons make no long lines, and that a
// line says so (OPS-03).
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ has, want, leftOut int }{{0, 0, 0}, {1, 1, 0}, {10, 10, 0}, {11, 10, 1}, {100, 10, 90}} {
		var stdout bytes.Buffer
		l := &decisionLog{w: &stdout, id: "environment"}
		reasons := slices.Repeat([]string{strings.Repeat("x", 256)}, tt.has)
		if err := l.write(engine.Record{Result: engine.RecordResult{Outcome: "deny", Code: "policy", Reasons: reasons}}); err != nil {
			t.Fatal(err)
		}
		got := records(t, stdout.String())[0].Result
		if len(got.Reasons) != tt.want || got.ReasonsLeftOut != tt.leftOut {
			t.Errorf("of %d reasons a line has %d, and says that %d are left out; want %d and %d", tt.has, len(got.Reasons), got.ReasonsLeftOut, tt.want, tt.leftOut)
		}
		if len(reasons) != tt.has {
			t.Errorf("the record itself has %d reasons now", len(reasons))
		}
	}
}

// broken is a log that cannot be written.
type broken struct{}

// Write fails.
func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestALogThatFailsIsTold(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	f := newFunction(broken{}, &stderr, func() error { return engine.Troublef("store", "down") })
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); err == nil {
		t.Error("no error")
	}
	if !strings.Contains(stderr.String(), "disk full") {
		t.Errorf("nothing told of it: %s", stderr.String())
	}
}

func TestRuntimeLog(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"an event's error is a detail", `{"errorMessage":"Unauthorized"}` + "\n", ""},
		{"anything else is an error", "cannot reach the runtime API\n", `"level":"ERROR"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			n, err := runtimeLog{slog.New(slog.NewJSONHandler(&out, nil))}.Write([]byte(tt.text))
			if n != len(tt.text) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
			if got := out.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}
