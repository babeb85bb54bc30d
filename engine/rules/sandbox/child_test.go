package sandbox

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	lru "github.com/hashicorp/golang-lru/v2"

	"regent/engine/rules"
	"regent/tenants"
)

// TestPanicIsAnAnswer holds that a panic of OPA in a child is the answer to its question,
// without what was panicked with, and that the policy is not asked again.
func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	policies, err := lru.New[pairKey, *rules.Policy](2)
	if err != nil {
		t.Fatal(err)
	}
	c, k, other := &child{policies: policies}, pairKey{"p", "bad"}, pairKey{"p", "good"}
	policies.Add(k, nil)
	policies.Add(other, nil)
	w := newFrame()
	status := c.guard(w, k, func() error {
		w.text("half of an answer")
		panic("a claim of the input")
	})
	r := newReader(w.b[headerSize:], roomLoaded)
	if text := r.text(); status != statusError || r.end() != nil || text != "panic: string" {
		t.Errorf("got status %d, %q", status, text)
	}
	ask := newFrame()
	ask.question(question{pair: k})
	if _, status, err := c.answer(frame{code: opDecide, payload: ask.b[headerSize:]}); status != statusNotLoaded || err != nil {
		t.Errorf("asked again: status %d, %v; want that it is not loaded", status, err)
	}
	if !policies.Contains(other) {
		t.Error("another policy is gone too")
	}
}

// TestGrownChildIsReplaced holds that a child with much memory is replaced between two
// questions, and that all have their answers but those that a busy machine had no time for. It
// is not parallel: it is the child's collector that takes the time.
func TestGrownChildIsReplaced(t *testing.T) {
	const (
		most      = 200
		tolerable = 5
	)
	platform := bundle(t, nil)
	store := shelve(platform)
	var replaced atomic.Int64
	p := newPool(t, Config{Store: store, Timeout: patient, Report: func(e Event) {
		if e.Kind == Replaced && e.Reason == "memory" {
			replaced.Add(1)
		}
	}})
	table := strings.Repeat("7, ", 50_000) // some 5 MB in the child
	n, trouble := 0, 0
	for ; replaced.Load() == 0 && n < most; n++ {
		b := heavy(t, n, table)
		store.bundles[b.Digest()] = b
		if d, err := decide(t, p, "acme", platform, b); err != nil {
			trouble++
			t.Log(explained(err))
		} else if !d.Allow {
			t.Fatal("a no")
		}
	}
	if p.background.Wait(); replaced.Load() == 0 || n < 2 && !underRace {
		t.Fatalf("%d children were replaced after %d tables", replaced.Load(), n)
	}
	if got := resident(p.lanes.slots[0].process.cmd.Process.Pid); uint64(got) > DefaultMemory/3 && !underRace {
		t.Errorf("the child that followed has %d MB", got>>20)
	}
	if trouble > tolerable {
		t.Errorf("%d of %d questions were trouble", trouble, n)
	}
	small := heavy(t, 0, "")
	store.bundles[small.Digest()] = small
	mustAllow(t, p, "acme", platform, small)
}

// heavy are small rules with a large table.
func heavy(t *testing.T, n int, table string) tenants.Bundle {
	t.Helper()
	return bundle(t, map[string]string{
		"authz.rego": "package authz\n\n" + small,
		"data.json":  fmt.Sprintf("{\"authz\": {\"table%d\": [%s0]}}", n, table),
	})
}
