package main

import (
	"log/slog"
	"strconv"
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

// childWatch logs and counts what happens to child processes.
type childWatch struct {
	messages                         *slog.Logger
	killed, parked, replaced, failed atomic.Uint64
}

func (w *childWatch) report(e sandbox.Event) {
	attrs := []any{"reason", e.Reason}
	if e.Tenant != "" {
		attrs = append(attrs, "tenant", e.Tenant, "revision", string(e.Revision))
	}
	switch e.Kind {
	case sandbox.Killed:
		w.killed.Add(1)
		w.messages.Warn("an evaluation was ended together with its process", attrs...)
	case sandbox.Parked:
		w.parked.Add(1)
		w.messages.Error("a revision is parked: it is not evaluated for a while", append(attrs, "until", e.Until.UTC().Format(time.RFC3339))...)
	case sandbox.Replaced:
		w.replaced.Add(1)
		w.messages.Info("a child process was replaced", attrs...)
	case sandbox.Failed:
		w.failed.Add(1)
		w.messages.Error("a child process failed", attrs...)
	}
}

// count adds the metrics.
func (w *childWatch) count(m *metrics) {
	m.count("EvaluationsKilled", w.killed.Load)
	m.count("RevisionsParked", w.parked.Load)
	m.count("ChildrenReplaced", w.replaced.Load)
	m.count("ChildrenFailed", w.failed.Load)
}
