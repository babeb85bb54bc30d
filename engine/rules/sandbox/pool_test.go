package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

func troubleCode(err error) string {
	var t *engine.Trouble
	if !errors.As(err, &t) {
		return ""
	}
	return t.Code
}

// TestSameAnswers holds that a child says what package rules says, errors included.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	platform := bundle(t, map[string]string{"platform/guard.rego": "package platform\n\ndeny contains \"blocked\" if input.headers.host == \"evil\"\n\ncontext := {\"p\": 1}\n"})
	tests := map[string]string{
		"small":                     small,
		"denied":                    "allow := true\n\ndeny contains x if some x in [\"b\", \"a\"]\n",
		"wrong type":                "allow := \"true\"\n",
		"two values":                "allow := true\n\nprincipal_id := input.path\nprincipal_id := input.method\n",
		"failing builtin":           "allow if not to_number(input.path)\n",
		"reserved key":              "allow := true\n\ncontext := {\"tenantId\": \"x\"}\n",
		"depends on the path":       "allow := true\n\ncontext := {\"at\": input.path}\n",
		"principal":                 "allow := true\n\nprincipal_id := \"p\"\n\nusage_key := \"k\"\n",
		"numbers":                   "allow := true\n\ncontext := {\"b\": 0.1, \"c\": 123456789012345678901234567890, \"d\": input.identity.claims.exp}\n",
		"time":                      "allow if time.now_ns() == 1700000000000000000\n",
		"by parameter":              "allow if input.params.id == \"17\"\n\nallow if glob.match(\"/x/*\", [\"/\"], input.path)\n",
		"what cannot be expressed":  "allow if count(input.path) == 10\n",
		"does not compile":          "allow if nosuch(1)\n",
		"does not parse":            "allow if {\n",
		"no allow":                  "x := 1\n",
		"another tenant's document": "allow if data.platform.deny\n",
	}
	routes := []tenants.Route{{Method: "GET", Path: "/orders/{id}"}, {Method: "ANY", Path: "/{proxy+}"}}
	api := tenants.API{Kind: tenants.REST, Credential: tenants.Source{Kind: "header", Name: "authorization"},
		Cache: tenants.Cache{Identity: []tenants.Source{{Kind: "header", Name: "host"}}}}
	now := time.Unix(1_700_000_000, 0)
	store := shelve(platform)
	for _, text := range tests {
		b := authz(t, text)
		store.bundles[b.Digest()] = b
	}
	pool := newPool(t, Config{Store: store, Timeout: patient})
	direct, err := rules.New(rules.Config{Store: store, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Loading, Deciding, Judging string
		Decision                   engine.Decision
		Permissions                engine.Permissions
	}
	ask := func(from engine.Policies, revision tenants.Digest) (a answer) {
		policy, err := from.Load(t.Context(), "acme", platform.Digest(), revision)
		if err != nil {
			return answer{Loading: err.Error()}
		}
		a.Decision, err = policy.Decide(t.Context(), askedInput("acme"), now)
		a.Deciding = explained(err)
		a.Permissions, err = policy.Permissions(t.Context(), engine.Known{
			Input: askedInput("acme"), Headers: map[string]string{"host": "x"}, AbsentHeader: api.Credential.Name,
		}, routes, now)
		a.Judging = explained(err)
		return a
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			revision := authz(t, text).Digest()
			want, got := ask(direct, revision), ask(pool, revision)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-process +child)\n%s", diff)
			}
			if again := ask(pool, revision); !cmp.Equal(got, again) {
				t.Errorf("asked again: %+v", again)
			}
		})
	}
}

// explained is an error with what only its author sees.
func explained(err error) string {
	if err == nil {
		return ""
	}
	var e *rules.EvalError
	if errors.As(err, &e) {
		return err.Error() + "; " + e.Message
	}
	return err.Error()
}

// TestChildEndsWhileIdle holds that a child that was killed between two events, as
// when a function is frozen, costs nobody an answer (LAM-04).
func TestChildEndsWhileIdle(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	var replaced atomic.Int64
	p := newPool(t, Config{Store: shelve(platform, tenant), Timeout: patient, Report: func(e Event) {
		if e.Kind == Replaced {
			replaced.Add(1)
		}
	}})
	mustAllow(t, p, "acme", platform, tenant)
	for i := range int64(3) {
		child := p.lanes.slots[0].process
		if err := child.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		awaitWord(t, child) // it is still ending
		mustAllow(t, p, "acme", platform, tenant)
		if got := replaced.Load(); got != i+1 {
			t.Errorf("%d children were replaced, want %d", got, i+1)
		}
	}
}

// TestStopsAtDeadline holds that what heeds its deadline is no reason to kill, and
// leaves no strike.
func TestStopsAtDeadline(t *testing.T) {
	t.Parallel()
	platform, slow, good := bundle(t, nil), authz(t, nested), authz(t, small)
	attempts(t, "four evaluations", 1, 5, func() error { // a busy machine may have a child killed
		p := newPool(t, Config{Store: shelve(platform, slow, good), Timeout: 300 * time.Millisecond})
		defer p.Close()
		if _, err := decide(t, p, "globex", platform, good); err != nil {
			return err
		}
		child := p.lanes.slots[0].process
		for range strikesToPark + 1 {
			if _, err := decide(t, p, "acme", platform, slow); evalCode(err) != "timeout" {
				return fmt.Errorf("got %v, want a timeout", explained(err))
			}
		}
		if p.lanes.slots[0].process != child {
			return errors.New("the child was replaced")
		}
		return nil
	})
}

// TestOneTimeForAnEvent holds that an event's questions share one time.
func TestOneTimeForAnEvent(t *testing.T) {
	t.Parallel()
	platform, slow := bundle(t, nil), authz(t, nested)
	p := newPool(t, Config{Store: shelve(platform, slow), Timeout: 100 * time.Millisecond})
	policy, err := p.Load(t.Context(), "acme", platform.Digest(), slow.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Decide(t.Context(), askedInput("acme"), time.Now()); err == nil {
		t.Fatal("an answer in no time")
	}
	_, err = policy.Permissions(t.Context(), engine.Known{Input: askedInput("acme")}, nil, time.Now())
	if err == nil || !strings.Contains(explained(err), "no time was left") {
		t.Errorf("got %v; want that no time was left", err)
	}
}

// TestInvocationDeadline holds that an event that is about to end gets no more than
// that, and that nobody is blamed, whether they heed their deadline or have to be killed.
func TestInvocationDeadline(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"nested": nested, "deaf": deaf()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform, tenant := bundle(t, nil), authz(t, text)
			var killed atomic.Int64
			p := newPool(t, Config{Store: shelve(platform, tenant), Timeout: patient, strict: true, Report: func(e Event) {
				if e.Kind == Killed {
					killed.Add(1)
				}
			}})
			for range strikesToPark + 1 {
				policy, err := p.Load(t.Context(), "acme", platform.Digest(), tenant.Digest())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				start := time.Now()
				if _, err := policy.Decide(ctx, askedInput("acme"), start); err == nil {
					t.Error("an answer in no time")
				}
				cancel()
				if took := time.Since(start); took > patient/2 {
					t.Errorf("it took %s", took)
				}
			}
			if n := p.parking.records.Len(); n > 0 {
				t.Errorf("there are strikes after %d kills", killed.Load())
			}
			if name == "deaf" && killed.Load() == 0 {
				t.Error("nothing was killed")
			}
		})
	}
}

// broken is a store that fails for a while.
type broken struct {
	shelf
	fail  *atomic.Bool
	reads *atomic.Int64
}

func (b broken) Bundle(ctx context.Context, d tenants.Digest) (tenants.Bundle, error) {
	b.reads.Add(1)
	if b.fail.Load() {
		return tenants.Bundle{}, errors.New("down")
	}
	return b.shelf.Bundle(ctx, d)
}

// TestStore holds that a store is asked once for each bundle, and not again when a
// child was ended; and that its failure is not remembered.
func TestStore(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	store := broken{shelve(platform, tenant), &atomic.Bool{}, &atomic.Int64{}}
	p := newPool(t, Config{Store: store, Timeout: patient})
	store.fail.Store(true)
	if _, err := p.Load(t.Context(), "acme", platform.Digest(), tenant.Digest()); troubleCode(err) != "store" {
		t.Fatalf("got %v, want trouble with the store", err)
	}
	store.fail.Store(false)
	store.reads.Store(0)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { mustAllow(t, p, "acme", platform, tenant) })
	}
	all.Wait()
	store.fail.Store(true)
	p.lanes.slots[0].process.kill()
	mustAllow(t, p, "acme", platform, tenant)
	if n := store.reads.Load(); n != 2 {
		t.Errorf("the store was asked %d times, want 2", n)
	}
}

// TestCapacity holds that a child forgets what was used least, and is told it again.
func TestCapacity(t *testing.T) {
	t.Parallel()
	platform := bundle(t, nil)
	store := shelve(platform)
	var all []tenants.Bundle
	for i := range 5 {
		b := authz(t, small+"\nunused := "+string(rune('0'+i))+"\n")
		store.bundles[b.Digest()] = b
		all = append(all, b)
	}
	p := newPool(t, Config{Store: store, Timeout: patient, Capacity: 2})
	for range 3 {
		for _, b := range all {
			mustAllow(t, p, "acme", platform, b)
		}
	}
	// The mirror may be wrong: then the child says so.
	child := p.lanes.slots[0].process
	child.loaded.Remove(pairKey{platform.Digest(), all[4].Digest()})
	child.loaded.Remove(pairKey{platform.Digest(), all[3].Digest()})
	child.loaded.Add(pairKey{platform.Digest(), all[0].Digest()}, struct{}{})
	mustAllow(t, p, "acme", platform, all[0])
	if p.lanes.slots[0].process != child {
		t.Error("the child was replaced")
	}
}

// TestNoChild holds that a pool without children says so, and answers nothing.
func TestNoChild(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	for name, command := range map[string][]string{
		"no such file":    {"/nonexistent", "regent", childArgument},
		"another program": {"/bin/true", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, Config{Store: shelve(platform, tenant), command: command})
			if err := p.Ready(t.Context()); err == nil {
				t.Error("it is ready")
			}
			if d, err := decide(t, p, "acme", platform, tenant); troubleCode(err) != CodeSandbox || d.Allow {
				t.Errorf("got %+v, %v; want trouble", d, err)
			}
		})
	}
}

// TestClose holds that nothing is left: no process, no goroutine, no descriptor. It is
// not parallel, for it counts those of the whole program.
func TestClose(t *testing.T) {
	platform, tenant, bad := bundle(t, nil), authz(t, small), authz(t, deaf())
	store := shelve(platform, tenant, bad)
	cycle := func() {
		p, err := New(Config{Store: store, Children: 3})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _, _ = decide(t, p, "bad", platform, bad) })
		}
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		pids := []int{}
		p.lanes.mu.Lock()
		for _, s := range p.lanes.slots {
			if s.process != nil {
				pids = append(pids, s.process.cmd.Process.Pid)
			}
		}
		p.lanes.mu.Unlock()
		p.Close()
		for _, pid := range pids {
			if processTime := processorTime(pid); processTime > 0 {
				t.Errorf("child %d is still there", pid)
			}
		}
		if _, err := decide(t, p, "acme", platform, tenant); err == nil {
			t.Error("a closed pool answers")
		}
	}
	cycle() // what is made once is made now
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 3 {
		cycle()
	}
	for range 100 { // a goroutine that has nothing left to do takes a moment to end
		if runtime.NumGoroutine() <= goroutines {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 64<<10)
		t.Errorf("%d goroutines, %d before\n%s", n, goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d files are open, %d before", n, files)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc")
	}
	return len(entries)
}
