package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"regent/tenants"
)

// TestOneRead holds that many who ask for the same thing at once cost one read, and
// that the one who began it may give up.
func TestOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDouble()
		d.tenants["acme"] = tenants.Tenant{ID: "acme"}
		s, _ := open(t, held{d, 100 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.Tenant(ctx, "acme"); !errors.Is(err, context.Canceled) || errors.Is(err, tenants.ErrNotFound) {
				t.Errorf("the one who gave up got %v", err)
			}
		})
		synctest.Wait()
		for range 99 {
			group.Go(func() {
				if _, err := s.Tenant(t.Context(), "acme"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		group.Wait()
		if d.total() != 1 {
			t.Errorf("%d reads", d.total())
		}
	})
}

// held is a store whose tenants take a while, whatever the context says.
type held struct {
	*double
	takes time.Duration
}

func (h held) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	time.Sleep(h.takes)
	return h.double.Tenant(context.WithoutCancel(ctx), id)
}

// TestCaughtByAFreeze holds that a read on its way when the function froze is replaced,
// and that what it comes back with is dropped: an old answer, or an error for which the
// store is not to blame, before or after the first question.
func TestCaughtByAFreeze(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("fails=%t,before=%t", fails, before), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { catch(t, fails, before) })
			})
		}
	}
}

func catch(t *testing.T, fails, ended bool) {
	d := newDouble()
	d.tenants["acme"] = tenants.Tenant{ID: "acme"}
	slow := &frozen{double: d, thaw: make(chan struct{}), fails: fails}
	s, clocks := open(t, slow)
	if _, err := s.Tenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	clocks.pass(11*time.Second, 11*time.Second)
	slow.catch.Store(true)
	if _, err := s.Tenant(t.Context(), "acme"); err != nil { // begins the read that is caught
		t.Fatal(err)
	}
	synctest.Wait()
	slow.catch.Store(false)
	clocks.pass(10*time.Minute, 0)
	d.version = 6
	if ended {
		close(slow.thaw)
		synctest.Wait()
	}
	before := time.Now()
	stale := &tenants.Staleness{}
	ask := func() string {
		got, err := s.Tenant(tenants.WithStaleness(t.Context(), stale), "acme")
		return described(got.Version, err, stale)
	}
	if got := ask(); got != "v6" || time.Since(before) != 0 {
		t.Errorf("after the freeze: %s, after %s", got, time.Since(before))
	}
	if !ended {
		close(slow.thaw) // and the caught read returns version 5
		synctest.Wait()
	}
	if got := ask(); got != "v6" {
		t.Errorf("after the read that was caught: %s", got)
	}
	if err := s.common.hanging(s.common.clock.now()); err != nil {
		t.Errorf("the store is taken to hang: %v", err)
	}
}

// frozen is a store whose reads of tenants stand still while catch is set, until the thaw.
type frozen struct {
	*double
	catch atomic.Bool
	thaw  chan struct{}
	fails bool // as a read does whose deadline passed meanwhile
}

func (f *frozen) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	t, err := f.double.Tenant(ctx, id)
	if f.catch.Load() {
		<-f.thaw
		if f.fails {
			return tenants.Tenant{}, context.DeadlineExceeded
		}
	}
	return t, err
}

// TestHangingStore holds that one request finds out that the store hangs, and that the
// others do not wait.
func TestHangingStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDouble()
		s, _ := open(t, d)
		for i := range 20 {
			id := fmt.Sprintf("t%d", i)
			d.tenants[id] = tenants.Tenant{ID: id}
			if _, err := s.Tenant(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		d.set("hangs")
		s.common.clock = newClock(time.Now) // the bubble's, which passes while somebody waits
		for _, shelf := range s.tenants.kept.Values() {
			shelf.read = s.common.clock.now()
			shelf.read.wall -= int64(2 * time.Minute)
		}
		start := time.Now()
		for i := range 20 {
			if _, err := s.Tenant(t.Context(), fmt.Sprintf("t%d", i)); err != nil {
				t.Error(err)
			}
		}
		waited := time.Since(start)
		if waited != s.common.Timeout {
			t.Errorf("20 tenants waited %s for a store that hangs", waited)
		}
	})
}

// TestUnknownNames holds that a hundred thousand random names, each asked for twice,
// cost one read each and that what is kept of them is bounded (TEN-06).
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	d := newDouble()
	s, clocks := open(t, d)
	const names = 100_000
	for round := range 2 {
		for i := range names {
			if _, err := s.Select(t.Context(), tenants.ByValue, fmt.Sprintf("name-%d", i)); !errors.Is(err, tenants.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if d.total() != names {
			t.Errorf("%d reads after round %d", d.total(), round)
		}
	}
	if kept := s.selectors.kept.Len(); kept != 0 {
		t.Errorf("%d unknown names take the place of known ones", kept)
	}
	last := fmt.Sprintf("name-%d", names-1)
	d.tenants["acme"] = tenants.Tenant{ID: "acme", Selectors: tenants.Selectors{Values: []string{last}}}
	if _, err := s.Select(t.Context(), tenants.ByValue, last); err == nil {
		t.Error("a name was asked for again at once")
	}
	clocks.pass(30*time.Second, 0)
	if id, err := s.Select(t.Context(), tenants.ByValue, last); id != "acme" || err != nil {
		t.Errorf("half a minute later: %q, %v", id, err)
	}
}

// TestUnknownNamesAreBounded holds that memory is flat however many names there are.
func TestUnknownNamesAreBounded(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Store: newDouble(), Unknowns: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		_, _ = s.Tenant(t.Context(), fmt.Sprintf("name-%d", i))
		if kept := s.tenants.unknown.len(); kept > 200 {
			t.Fatalf("%d names are remembered", kept)
		}
	}
}

// TestNamesThatCannotBe holds that what fails the grammar is not looked up (TEN-07).
func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	d := newDouble()
	s, _ := open(t, d)
	ctx := t.Context()
	for _, id := range []string{"", "a#b", "a/b", "..", "A", "ａ", "a\x00", strings.Repeat("a", 300), "T#x", "-a", "a ", "\xff"} {
		if _, err := s.Tenant(ctx, id); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("tenant %q: %v", id, err)
		}
		if _, err := s.Bundle(ctx, tenants.Digest(id)); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("bundle %q: %v", id, err)
		}
	}
	for _, host := range []string{"", "A.example", "a.example:443", "a/b", strings.Repeat("a", 513), "\xff"} {
		if _, err := s.Select(ctx, tenants.ByHost, host); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("host %q: %v", host, err)
		}
	}
	for _, id := range []string{"", "a/b", "a#b", "a*", "\xff"} {
		if _, err := s.API(ctx, id); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("API %q: %v", id, err)
		}
	}
	if _, err := s.Select(ctx, "tenant", "acme"); !errors.Is(err, tenants.ErrNotFound) {
		t.Error(err)
	}
	if d.total() != 0 {
		t.Errorf("the store was read %d times: %v", d.total(), d.reads)
	}
	if got := s.Stats().Refused; got != 36 {
		t.Errorf("%d refusals counted, want 36", got)
	}
}

// TestNamesDoNotCollide holds that names whose parts add up to the same text are kept
// apart (TEN-09).
func TestNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	d := newDouble()
	d.tenants["one"] = tenants.Tenant{ID: "one", Selectors: tenants.Selectors{Hosts: []string{"shared"}, Values: []string{`x`}}}
	d.tenants["two"] = tenants.Tenant{ID: "two", Selectors: tenants.Selectors{Issuers: []string{"shared"}, Values: []string{`x" value "y`}}}
	s, _ := open(t, d)
	for _, tt := range []struct {
		kind  tenants.SelectorKind
		value string
		want  string
	}{
		{tenants.ByHost, "shared", "one"}, {tenants.ByIssuer, "shared", "two"}, {tenants.ByValue, "shared", ""},
		{tenants.ByValue, "x", "one"}, {tenants.ByValue, `x" value "y`, "two"}, {tenants.ByValue, `y`, ""},
	} {
		for range 2 {
			if id, _ := s.Select(t.Context(), tt.kind, tt.value); id != tt.want {
				t.Errorf("%s %q is %q, want %q", tt.kind, tt.value, id, tt.want)
			}
		}
	}
}

// TestBoundedRecords holds that no more is kept than Config says.
func TestBoundedRecords(t *testing.T) {
	t.Parallel()
	d := newDouble()
	s, err := New(Config{Store: d, Tenants: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		id := fmt.Sprintf("t%d", i)
		d.tenants[id] = tenants.Tenant{ID: id}
		if _, err := s.Tenant(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.tenants.kept.Len(); got != 10 {
		t.Errorf("%d tenants are kept", got)
	}
	if _, err := s.Tenant(t.Context(), "t99"); err != nil || d.total() != 100 {
		t.Errorf("the last one was read again: %d reads, %v", d.total(), err)
	}
}

// TestBundles holds that a few are read at a time, and that the platform's is kept.
func TestBundles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDouble()
		var digests []tenants.Digest
		for i := range 20 {
			b, err := tenants.NewBundle([]tenants.File{{Path: fmt.Sprintf("%d.rego", i), Content: []byte("package authz\n")}})
			if err != nil {
				t.Fatal(err)
			}
			d.bundles[b.Digest()] = b
			digests = append(digests, b.Digest())
		}
		d.active, d.gate = digests[0], make(chan struct{})
		s, _ := open(t, d)
		var group sync.WaitGroup
		for _, digest := range digests {
			group.Go(func() {
				if b, err := s.Bundle(t.Context(), digest); err != nil || b.Digest() != digest {
					t.Errorf("%s: %v", digest.Short(), err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Bundle(ctx, digests[0]); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for a turn with a context that ended: %v", err)
		}
		close(d.gate)
		group.Wait()
		if d.most != maxBundles {
			t.Errorf("%d bundles were read at the same time, want %d", d.most, maxBundles)
		}

		reads := func(digest tenants.Digest) int { return d.reads["bundle "+digest.Short()] }
		for range 3 {
			for _, digest := range digests[:2] {
				if _, err := s.Platform(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Bundle(t.Context(), digest); err != nil {
					t.Fatal(err)
				}
			}
		}
		if reads(digests[0]) != 2 || reads(digests[1]) != 4 {
			t.Errorf("the platform's was read %d times, another %d times, want 2 and 4", reads(digests[0]), reads(digests[1]))
		}
	})
}

// TestSettle holds that what one event began in the background is there for the next.
func TestSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDouble()
		d.tenants["acme"] = tenants.Tenant{ID: "acme"}
		s, clocks := open(t, held{d, 5 * time.Millisecond})
		settle := func(limit time.Duration) time.Duration {
			before := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			s.Settle(ctx)
			return time.Since(before)
		}
		if waited := settle(time.Second); waited != 0 {
			t.Errorf("waited %s for nothing", waited)
		}
		ask := func() int64 {
			got, err := s.Tenant(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			return got.Version
		}
		ask()
		clocks.pass(11*time.Second, 11*time.Second)
		d.version = 6
		if got := ask(); got != 5 {
			t.Errorf("version %d, want the old one", got)
		}
		if waited := settle(2 * time.Millisecond); waited != 2*time.Millisecond {
			t.Errorf("waited %s, want no more than the limit", waited)
		}
		if waited := settle(time.Second); waited != 3*time.Millisecond {
			t.Errorf("waited %s, want until the read was there", waited)
		}
		if got := ask(); got != 6 {
			t.Errorf("version %d, want the new one", got)
		}
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDouble()
		d.tenants["acme"] = tenants.Tenant{ID: "acme"}
		s, clocks := open(t, d)
		ask := func(id string) { _, _ = s.Tenant(t.Context(), id); synctest.Wait() }
		ask("acme")   // read
		ask("acme")   // hit
		ask("nobody") // read
		ask("nobody") // unknown
		ask("NOBODY") // refused
		d.set("down")
		clocks.pass(time.Minute, time.Minute)
		ask("acme")     // stale, after a failed read
		ask("stranger") // failed
		got := s.Stats()
		want := Stats{Hits: 1, Unknown: 1, Refused: 1, Read: 2, Stale: 1, Failed: 1, Reads: 4, Failures: 2}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	d := newDouble()
	tests := []struct {
		name   string
		config Config
		want   string
	}{
		{"no store", Config{}, "Config.Store is not set"},
		{"refresh after must refresh", Config{Store: d, Refresh: 2 * time.Minute}, "decrease"},
		{"must refresh after max stale", Config{Store: d, MaxStale: 30 * time.Second}, "decrease"},
		{"a negative duration", Config{Store: d, Refresh: -1}, "negative"},
		{"a negative size", Config{Store: d, APIs: -1}, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if s, err := New(tt.config); s != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
