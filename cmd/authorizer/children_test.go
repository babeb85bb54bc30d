package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine/rules/sandbox"
)

// TestChildWatch holds what each event is written as, and that it is counted.
func TestChildWatch(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 30, 12, 1, 0, 0, time.FixedZone("CET", 3600))
	tests := []struct {
		event sandbox.Event
		want  map[string]any // the message
		count string         // the metric that has it
	}{
		{
			sandbox.Event{Kind: sandbox.Killed, Tenant: "acme", Revision: "sha256:aa", Reason: "deadline"},
			map[string]any{"level": "WARN", "msg": "an evaluation was ended together with its process", "reason": "deadline", "tenant": "acme", "revision": "sha256:aa"},
			"EvaluationsKilled",
		},
		{
			sandbox.Event{Kind: sandbox.Parked, Tenant: "acme", Revision: "sha256:aa", Reason: "deadline", Until: until},
			map[string]any{"level": "ERROR", "msg": "a revision is parked: it is not evaluated for a while", "reason": "deadline", "tenant": "acme", "revision": "sha256:aa", "until": "2026-11-30T11:01:00Z"},
			"RevisionsParked",
		},
		{
			sandbox.Event{Kind: sandbox.Replaced, Reason: "memory"},
			map[string]any{"level": "INFO", "msg": "a child process was replaced", "reason": "memory"},
			"ChildrenReplaced",
		},
		{
			sandbox.Event{Kind: sandbox.Failed, Reason: "start a child: no memory"},
			map[string]any{"level": "ERROR", "msg": "a child process failed", "reason": "start a child: no memory"},
			"ChildrenFailed",
		},
	}
	for _, tt := range tests {
		t.Run(string(tt.event.Kind), func(t *testing.T) {
			t.Parallel()
			var stderr, lines bytes.Buffer
			watch := &childWatch{messages: slog.New(slog.NewJSONHandler(&stderr, nil)), now: time.Now}
			counts := newMetrics(&lines, "authorizer", time.Time{})
			watch.count(counts)
			watch.report(tt.event)
			got := objects(t, stderr.String())
			if len(got) != 1 {
				t.Fatalf("got %d messages, want 1: %s", len(got), stderr.String())
			}
			delete(got[0], "time")
			if diff := cmp.Diff(tt.want, got[0]); diff != "" {
				t.Errorf("the message (-want +got)\n%s", diff)
			}
			if err := counts.tick(time.Now()); err != nil {
				t.Fatal(err)
			}
			line := objects(t, lines.String())[0]
			for _, name := range []string{"EvaluationsKilled", "RevisionsParked", "ChildrenReplaced", "ChildrenFailed"} {
				want := 0.0
				if name == tt.count {
					want = 1
				}
				if line[name] != want {
					t.Errorf("%s is %v, want %v", name, line[name], want)
				}
			}
		})
	}
}

// TestChildWatchIsBounded holds that one tenant's kills are told a few times a minute, all
// of them counted, and those of others told besides (OPS-03).
func TestChildWatchIsBounded(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	watch := &childWatch{messages: slog.New(slog.NewJSONHandler(&stderr, nil)), now: func() time.Time { return now }}
	report := func(n int, kind sandbox.EventKind, tenant string) {
		for range n {
			watch.report(sandbox.Event{Kind: kind, Tenant: tenant, Revision: "sha256:aa", Reason: "deadline", Until: now})
		}
	}
	steps := []struct {
		name string
		do   func()
		want []string // message, tenant and what was left out
	}{
		{"as many as are told", func() { report(maxMessages, sandbox.Killed, "acme") }, slices.Repeat([]string{"an evaluation was ended together with its process acme"}, maxMessages)},
		{"a flood", func() { report(1000, sandbox.Killed, "acme") }, nil},
		{"another kind", func() { report(1, sandbox.Parked, "acme") }, []string{"a revision is parked: it is not evaluated for a while acme"}},
		{"another tenant", func() { report(1, sandbox.Killed, "beta") }, []string{"an evaluation was ended together with its process beta"}},
		{"an event within the minute", func() { now = now.Add(messageWindow - 1); watch.tick(now) }, nil},
		{"an event after it", func() { now = now.Add(1); watch.tick(now) }, []string{"messages about child processes were left out acme 1000"}},
		{"another event", func() { watch.tick(now) }, nil},
		{"the next kill", func() { report(maxMessages+1, sandbox.Killed, "acme") }, slices.Repeat([]string{"an evaluation was ended together with its process acme"}, maxMessages)},
		{"a kill after an hour without events", func() { now = now.Add(time.Hour); report(1, sandbox.Killed, "acme") },
			[]string{"messages about child processes were left out acme 1", "an evaluation was ended together with its process acme"}},
		{"the clock was set back", func() {
			report(maxMessages, sandbox.Killed, "acme")
			now = now.Add(-time.Hour)
			stderr.Reset()
			watch.tick(now)
		},
			[]string{"messages about child processes were left out acme 1"}},
	}
	for _, step := range steps {
		stderr.Reset()
		step.do()
		var got []string
		for _, o := range objects(t, stderr.String()) {
			line := fmt.Sprint(o["msg"], " ", o["tenant"])
			if n, ok := o["left_out"]; ok {
				line += fmt.Sprint(" ", n)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", step.name, diff)
		}
	}
	const kills = maxMessages + 1000 + 1 + maxMessages + 1 + 1 + maxMessages
	if got := watch.killed.Load(); got != kills {
		t.Errorf("%d kills were counted, want %d", got, kills)
	}
}

// objects reads JSON objects, one a line.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, one)
	}
	return all
}
