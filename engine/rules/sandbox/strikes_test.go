package sandbox

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"regent/engine/rules"
	"regent/tenants"
)

// TestExcuses holds for which kills a revision gets no strike.
func TestExcuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		kill killedError
		want bool
	}{
		{"late", killedError{reason: "deadline"}, true},
		{"without a processor", killedError{reason: "deadline", starved: true}, false},
		{"an invocation that ends", killedError{reason: "deadline", hurried: true}, false},
		{"out of memory", killedError{reason: "memory"}, true},
		{"out of memory that others have", killedError{reason: "memory", crowded: true}, false},
		{"late, beside others", killedError{reason: "deadline", crowded: true}, true},
		{"a stack overflow, beside others", killedError{reason: "stack", crowded: true}, true},
		{"while compiling", killedError{reason: "deadline", compiling: true}, true},
	} {
		p := newPool(t, Config{Store: shelve()})
		h := &policy{pool: p, tenant: "acme"}
		for range strikesToPark {
			_ = h.killed(t.Context(), &tt.kill)
		}
		if _, _, parked := p.parking.parked(revisionKey{h.tenant, h.pair}); parked != tt.want {
			t.Errorf("%s: parked %t after %d kills", tt.name, parked, strikesToPark)
		}
	}
}

// TestParkedWhileCompiling holds that a bundle which had to be ended while it was compiled
// is one that does not compile, parked or not: the last good revision may stand in.
func TestParkedWhileCompiling(t *testing.T) {
	t.Parallel()
	platform, bad := bundle(t, nil), authz(t, small)
	p := newPool(t, Config{Store: shelve(platform, bad)})
	h := &policy{pool: p, tenant: "acme", pair: pairKey{platform.Digest(), bad.Digest()}}
	for i := range strikesToPark + 1 {
		err := h.killed(t.Context(), &killedError{reason: "deadline", compiling: true})
		if i >= strikesToPark {
			_, err = p.Load(t.Context(), "acme", platform.Digest(), bad.Digest())
		}
		if troubleCode(err) != "policy" {
			t.Errorf("got %v, want trouble with the policy", err)
		}
	}
}

// TestGrowthParks holds that rules which answer in time, and leave a child so large that it
// has to be replaced, are parked like those that have to be ended: everybody's policies are
// compiled again each time.
func TestGrowthParks(t *testing.T) {
	if underRace {
		t.Skip("children have no limit of memory under the race detector")
	}
	t.Parallel()
	text := "x0 := [i | some i in numbers.range(1, 8000)]\n\nf(x) := array.concat(x, x)\n\n"
	for i := range 10 {
		text += fmt.Sprintf("x%d := f(x%d)\n\n", i+1, i)
	}
	platform, greedy, good := bundle(t, nil), authz(t, text+"allow if count(x10) > 1\n"), authz(t, small)
	var events []Event
	p := newPool(t, Config{Store: shelve(platform, greedy, good), Timeout: patient, Report: func(e Event) { events = append(events, e) }})
	for range strikesToPark {
		mustAllow(t, p, "globex", platform, good)
		if d, err := decide(t, p, "acme", platform, greedy); err != nil || !d.Allow {
			t.Fatalf("got %+v, %v; want an answer", d, err)
		}
	}
	if _, err := decide(t, p, "acme", platform, greedy); troubleCode(err) != CodeParked {
		t.Errorf("got %v, want it parked; the events are %+v", err, events)
	}
	mustAllow(t, p, "globex", platform, good)
}

// slowLot takes its time to note that something is parked.
type slowLot struct {
	tenants.ParkingLot
	told chan error
}

func (l slowLot) Park(ctx context.Context, _ string, _ tenants.Parked) error {
	<-ctx.Done()
	l.told <- ctx.Err()
	return ctx.Err()
}

// TestTellingIsNotWaitedFor holds that the answer to the last kill is as quick as the others
// when the note of it is slow, and that the note has its time and no more.
func TestTellingIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	lot := slowLot{told: make(chan error, 1)}
	p := newPool(t, Config{Store: shelve(), Parking: lot})
	h := &policy{pool: p, tenant: "acme"}
	for range strikesToPark - 1 {
		_ = h.killed(t.Context(), &killedError{reason: "deadline"})
	}
	mostly(t, "the last kill", func() error {
		return timed("it", answerLimit-CompileLimit/10-50*time.Millisecond, func() {
			_ = h.killed(t.Context(), &killedError{reason: "deadline"})
		})
	})
	if err := <-lot.told; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it was told %v", err)
	}
}

// TestParkingGoesByTheWall holds that a cool-down ends while a function is frozen, where
// the monotonic clock may stand still.
func TestParkingGoesByTheWall(t *testing.T) {
	t.Parallel()
	start := time.Now()
	asleep := time.Duration(0)
	now := func() time.Time {
		// As after a freeze: the wall clock went on, the other one did not.
		return start.Round(0).Add(asleep)
	}
	monotonic := func() time.Time {
		if asleep > 0 {
			return now()
		}
		return start
	}
	p := newPool(t, Config{Store: shelve(), Now: monotonic})
	k := revisionKey{tenant: "acme"}
	for range strikesToPark {
		p.parking.strike(k, false)
	}
	if until, _, parked := p.parking.parked(k); !parked || until != until.Round(0) {
		t.Errorf("parked %t until %v, want it by the wall clock", parked, until)
	}
	asleep = firstCoolDown
	if _, _, parked := p.parking.parked(k); parked {
		t.Error("it is parked for longer than it says")
	}
}

// TestQueueOfTheQuick holds that others cannot fill the queue for the quick.
func TestQueueOfTheQuick(t *testing.T) {
	t.Parallel()
	l := newLanes(2, time.Minute)
	l.queued = maxQueued
	for range provenAfter {
		l.account("good", time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.take(ctx, "good", pairKey{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the quick to wait", err)
	}
	if _, err := l.take(ctx, "new", pairKey{}); troubleCode(err) != CodeBusy || errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want others turned away", err)
	}
	for timeout, want := range map[time.Duration]time.Duration{20 * time.Millisecond: 400 * time.Millisecond, 50 * time.Millisecond: time.Second, 5 * time.Second: 10 * time.Second} {
		if got := patience(timeout); got != want {
			t.Errorf("where an evaluation has %s they wait for %s, want %s", timeout, got, want)
		}
	}
}

// TestKeptProblems holds that a pair which does not compile is remembered with as many
// problems as are told, and what a child could not say is not remembered.
func TestKeptProblems(t *testing.T) {
	t.Parallel()
	text := "allow := true\n"
	for i := range 100 {
		text += fmt.Sprintf("\nx%d if nosuch(%d)\n", i, i)
	}
	platform, bad := bundle(t, nil), authz(t, text)
	p := newPool(t, Config{Store: shelve(platform, bad), Timeout: patient})
	for range 2 {
		_, err := p.Load(t.Context(), "acme", platform.Digest(), bad.Digest())
		if ps, ok := rules.IsProblems(err); !ok || len(ps) != maxKept {
			t.Errorf("%d problems in %v", len(ps), err)
		}
	}
	if p.failed.Len() != 1 {
		t.Errorf("%d pairs are remembered", p.failed.Len())
	}
}
