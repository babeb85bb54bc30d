package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"regent/engine"
)

// freeLanes are lanes whose slots are free and have no child: who is next does not
// depend on one.
func freeLanes(n int) *lanes {
	l := newLanes(n, time.Second)
	for _, s := range l.slots {
		s.busy = false
	}
	return l
}

// prove makes a tenant known as one whose questions take so long.
func (l *lanes) prove(tenant string, held time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range provenAfter {
		l.account(tenant, held)
	}
}

func mustTake(t *testing.T, l *lanes, tenant string) *slot {
	t.Helper()
	s, err := l.take(t.Context(), tenant, pairKey{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTurns holds that tenants who wait take turns, however many questions one has.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := freeLanes(1)
		first := mustTake(t, l, "z")
		served := make(chan string, 100)
		ask := func(tenant string) {
			go func() {
				s := mustTake(t, l, tenant)
				served <- tenant
				l.done(s, tenant, time.Millisecond)
			}()
			synctest.Wait()
		}
		for range 5 {
			ask("greedy")
		}
		ask("a")
		ask("b")
		ask("a")
		l.done(first, "z", time.Millisecond)
		synctest.Wait()
		close(served)
		got := slices.Collect(func(yield func(string) bool) {
			for s := range served {
				if !yield(s) {
					return
				}
			}
		})
		want := []string{"greedy", "a", "b", "greedy", "a", "greedy", "greedy", "greedy"}
		if !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
	})
}

// TestFirstChildIsForTheQuick holds that neither slow nor new tenants get the first of
// several children, and that nobody gets all of several, and everybody the only one.
func TestFirstChildIsForTheQuick(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		slots int
		known time.Duration // 0 for a tenant that nobody knows
		want  []int         // the slots that it gets one after another
	}{
		{"new, two", 2, 0, []int{1}},
		{"slow, two", 2, slowAfter, []int{1}},
		{"slow, four", 4, time.Second, []int{3, 2, 1}},
		{"quick, four", 4, time.Millisecond, []int{0, 1, 2}}, // and never all
		{"quick, two", 2, time.Millisecond, []int{0}},
		{"slow, one", 1, time.Second, []int{0}},
		{"new, one", 1, 0, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := freeLanes(tt.slots)
			if tt.known > 0 {
				l.prove("acme", tt.known)
			}
			var got []int
			for range tt.want {
				got = append(got, mustTake(t, l, "acme").number)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got slots %v, want %v", got, tt.want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if s, err := l.take(ctx, "acme", pairKey{}); err == nil {
				t.Errorf("and then slot %d", s.number)
			}
		})
	}
}

// TestSlowBecomesQuick holds that a tenant is judged by what it does now.
func TestSlowBecomesQuick(t *testing.T) {
	t.Parallel()
	l := freeLanes(2)
	l.prove("acme", 80*time.Millisecond)
	if l.quick("acme") {
		t.Fatal("slow as it is, it counts as quick")
	}
	n := 0
	for ; !l.quick("acme") && n < 1000; n++ {
		l.account("acme", time.Millisecond)
	}
	if n == 0 || n > 30 {
		t.Errorf("it took %d quick questions", n)
	}
}

// TestBusy holds that queues are bounded, by tenant and in all, and in time.
func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := freeLanes(1)
		held := mustTake(t, l, "holder")
		results := make(chan error, maxQueued+maxTenantQueued)
		wait := func(tenant string) {
			go func() {
				_, err := l.take(t.Context(), tenant, pairKey{})
				results <- err
			}()
		}
		busy := func(tenant string) bool {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := l.take(ctx, tenant, pairKey{})
			var trouble *engine.Trouble
			return errors.As(err, &trouble) && trouble.Code == CodeBusy && !errors.Is(err, context.Canceled)
		}
		for range maxTenantQueued {
			wait("greedy")
		}
		synctest.Wait()
		if !busy("greedy") || busy("other") {
			t.Errorf("greedy is turned away: %t, another: %t; want true, false", busy("greedy"), busy("other"))
		}
		for i := range maxQueued - maxTenantQueued {
			wait(fmt.Sprint("tenant", i))
		}
		synctest.Wait()
		if !busy("other") {
			t.Error("nobody is turned away though the queue is full")
		}
		// All of them give up in time, and leave nothing behind.
		for range maxQueued {
			if err := <-results; err == nil {
				t.Fatal("somebody got a child that is held")
			}
		}
		if l.queued != 0 || len(l.turns) != 0 || len(l.waiting) != 0 {
			t.Errorf("%d, %d and %d are left", l.queued, len(l.turns), len(l.waiting))
		}
		l.done(held, "holder", 0)
		mustTake(t, l, "other")
	})
}

// TestLanesClose holds that who waits is turned away, and that nobody is let in.
func TestLanesClose(t *testing.T) {
	t.Parallel()
	l := freeLanes(1)
	held := mustTake(t, l, "holder")
	waited := make(chan error, 1)
	go func() {
		_, err := l.take(t.Context(), "acme", pairKey{})
		waited <- err
	}()
	for l.length() == 0 {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan struct{})
	go func() {
		l.close()
		close(closed)
	}()
	if err := <-waited; err == nil {
		t.Error("who waited got a child")
	}
	select {
	case <-closed:
		t.Error("closed while a child is held")
	default:
	}
	l.done(held, "holder", 0)
	<-closed
	if _, err := l.take(t.Context(), "acme", pairKey{}); err == nil {
		t.Error("who came later got a child")
	}
}

func (l *lanes) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued
}

// TestForgottenTenants holds that the memory of tenants is bounded.
func TestForgottenTenants(t *testing.T) {
	t.Parallel()
	l := freeLanes(2)
	for i := range 3 * maxUsage {
		l.account(fmt.Sprint(i), time.Millisecond)
	}
	if len(l.usage) > maxUsage {
		t.Errorf("%d tenants are remembered", len(l.usage))
	}
}
