package main

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"regent/engine/rules/sandbox"
)

// ownMemory is what the function needs beside its child process, in bytes.
const ownMemory = 128 << 20

// childMemory is what a child may allocate in a function of so many megabytes: what
// the function itself leaves over, within the bounds of package sandbox. Without a
// number it is the default.
func childMemory(megabytes string) uint64 {
	size, err := strconv.ParseUint(megabytes, 10, 32)
	if err != nil {
		return sandbox.DefaultMemory
	}
	left := uint64(0)
	if size<<20 > ownMemory {
		left = size<<20 - ownMemory
	}
	return min(max(left, sandbox.MinMemory), sandbox.DefaultMemory)
}

// wholeProcessor is the memory with which Lambda gives a function one processor, in
// megabytes; others have theirs in proportion.
const wholeProcessor = 1769

// processor is the part of one processor that a function of so many megabytes has; 0,
// which is a whole one, without a number.
func processor(megabytes string) float64 {
	size, err := strconv.ParseUint(megabytes, 10, 32)
	if err != nil {
		return 0
	}
	return min(float64(size)/wholeProcessor, 1)
}

// What is written about children of one kind and tenant at most: a tenant whose rules are
// killed again and again must not bury what is said of others.
const (
	maxMessages   = 5
	messageWindow = time.Minute
)

// childWatch logs and counts what happens to child processes.
type childWatch struct {
	messages                         *slog.Logger
	now                              func() time.Time
	killed, parked, replaced, failed atomic.Uint64

	mu sync.Mutex
	// began is when the first message of this window was written, and written has how
	// many there were of each source. It is as large as a minute has tenants in trouble.
	began   time.Time
	written map[source]int
}

// source is what messages are about.
type source struct {
	kind   sandbox.EventKind
	tenant string
}

func (w *childWatch) report(e sandbox.Event) {
	told := w.passes(source{e.Kind, e.Tenant})
	say := func(level slog.Level, text string, more ...any) {
		if told {
			w.messages.Log(context.Background(), level, text, append(about(e), more...)...)
		}
	}
	switch e.Kind {
	case sandbox.Killed:
		w.killed.Add(1)
		say(slog.LevelWarn, "an evaluation was ended together with its process")
	case sandbox.Parked:
		w.parked.Add(1)
		say(slog.LevelError, "a revision is parked: it is not evaluated for a while", "until", e.Until.UTC().Format(time.RFC3339))
	case sandbox.Replaced:
		w.replaced.Add(1)
		say(slog.LevelInfo, "a child process was replaced")
	case sandbox.Failed:
		w.failed.Add(1)
		say(slog.LevelError, "a child process failed")
	}
}

func about(e sandbox.Event) []any {
	if e.Tenant == "" {
		return []any{"reason", e.Reason}
	}
	return []any{"reason", e.Reason, "tenant", e.Tenant, "revision", string(e.Revision)}
}

// passes counts a message, and tells whether it is written.
func (w *childWatch) passes(s source) bool {
	w.tick(w.now())
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.written) == 0 {
		w.began, w.written = w.now(), map[source]int{}
	}
	w.written[s]++
	return w.written[s] <= maxMessages
}

// tick says what was left out, once the minute is over. It is called after every event,
// for a frozen function has no timer. A nil *childWatch does nothing.
func (w *childWatch) tick(now time.Time) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// The wall clock may be set back: then the minute is over early.
	if passed := now.Sub(w.began); len(w.written) == 0 || passed >= 0 && passed < messageWindow {
		return
	}
	for s, n := range w.written {
		if n > maxMessages {
			w.messages.Warn("messages about child processes were left out",
				"event", string(s.kind), "tenant", s.tenant, "left_out", n-maxMessages, "since", w.began.UTC().Format(time.RFC3339))
		}
	}
	w.written = nil
}

// count adds the metrics.
func (w *childWatch) count(m *metrics) {
	m.count("EvaluationsKilled", w.killed.Load)
	m.count("RevisionsParked", w.parked.Load)
	m.count("ChildrenReplaced", w.replaced.Load)
	m.count("ChildrenFailed", w.failed.Load)
}
