package sandbox

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/corpus"
	"regent/tenants"
)

// What a hostile policy may cost, DESIGN.md §14.
const (
	answerLimit  = 100 * time.Millisecond
	compileLimit = 400 * time.Millisecond
	memoryLimit  = 32 << 20
)

// sample says that one of so many is tried: under the race detector, which slows
// everything down and finds nothing in a child, fewer are.
func sample(n int) int {
	if underRace {
		return 5 * n
	}
	return n
}

func readBombs(tb testing.TB) []corpus.Bomb {
	tb.Helper()
	bombs, err := corpus.Bombs("../testdata/bombs")
	if err != nil || len(bombs) < 100 {
		tb.Fatalf("%d bombs, %v", len(bombs), err)
	}
	return bombs
}

// bombed is a pool among whose tenants somebody is hostile.
type bombed struct {
	*Pool
	platform, good tenants.Bundle
	store          shelf
	// memory is this process's before the first bomb.
	memory int64
}

func newBombed(t *testing.T, c Config) *bombed {
	t.Helper()
	b := &bombed{platform: bundle(t, nil), good: authz(t, small)}
	b.store = shelve(b.platform, b.good)
	c.Store = b.store
	b.Pool = newPool(t, c)
	b.memory = resident(os.Getpid())
	return b
}

// tell asks about a bomb: it is loaded and evaluated, each within its limit, and the
// next question is answered. What it says is returned.
func (b *bombed) tell(t *testing.T, bomb corpus.Bomb) (d engine.Decision, loading, deciding error) {
	t.Helper()
	revision, err := bomb.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	b.store.bundles[revision.Digest()] = revision
	n := 0
	tenant := ""
	load := func() (policy engine.Policy, err error) {
		n++
		tenant = bomb.Name + strings.Repeat("'", n) // another one each time: nobody is parked
		return b.Load(t.Context(), tenant, b.platform.Digest(), revision.Digest())
	}
	within(t, bomb.Name+" loading", compileLimit, func() { _, loading = load() })
	if loading != nil {
		return d, loading, nil
	}
	within(t, bomb.Name, answerLimit, func() {
		policy, err := load()
		if err != nil {
			return
		}
		d, deciding = policy.Decide(t.Context(), askedInput(tenant), time.Now())
	})
	return d, nil, deciding
}

func (b *bombed) check(t *testing.T, bomb corpus.Bomb, good bool) {
	t.Helper()
	if good {
		mustAllow(t, b.Pool, "good", b.platform, b.good)
	}
	if grown := resident(os.Getpid()) - b.memory; grown > memoryLimit && !underRace {
		t.Errorf("%s: this process grew by %d MB", bomb.Name, grown>>20)
		b.memory += grown // once is enough
	}
}

// TestBombs holds that every hostile policy is refused, decided or ended in time, that
// none allows, that the next question of another tenant has its answer, and that this
// process does not grow (REG-01, REG-02, REG-04). It is not parallel, for it takes time.
func TestBombs(t *testing.T) {
	b := newBombed(t, Config{})
	for i, bomb := range readBombs(t) {
		if !*full && i%sample(1) != 0 {
			continue
		}
		d, loading, deciding := b.tell(t, bomb)
		if bomb.Expect != corpus.Harmless && d.Allow && deciding == nil {
			t.Errorf("%s: it allows", bomb.Name)
		}
		if bomb.Expect == corpus.Refused && (loading == nil || !strings.Contains(loading.Error(), bomb.By)) {
			t.Errorf("%s: got %v, want a refusal by %s", bomb.Name, loading, bomb.By)
		}
		b.check(t, bomb, true)
	}
}

// TestWallAlone is the same without filters: whatever OPA does with a policy, the
// child's limits and its end hold it.
func TestWallAlone(t *testing.T) {
	b := newBombed(t, Config{command: unguardedCommand(t)})
	killed := 0
	for i, bomb := range readBombs(t) {
		if !*full && i%sample(4) != 0 {
			continue
		}
		_, loading, deciding := b.tell(t, bomb)
		if err := errors.Join(loading, deciding); err != nil {
			killed++
		}
		b.check(t, bomb, false)
	}
	if killed < 2 {
		t.Errorf("only %d were killed: the wall was not tried", killed)
	}
}

// TestControls holds that policies which OPA stops by itself are stopped by it, and
// their child stays (REG-04).
func TestControls(t *testing.T) {
	for _, bomb := range readBombs(t) {
		if !strings.HasPrefix(bomb.Name, "c") {
			continue
		}
		b := newBombed(t, Config{})
		stopped := false
		for range 5 { // a busy machine may stop it first
			_, loading, deciding := b.tell(t, bomb)
			var e *rules.EvalError
			stopped = stopped || loading == nil && (deciding == nil || errors.As(deciding, &e) && e.Code != "killed")
			if stopped {
				break
			}
		}
		if !stopped {
			t.Errorf("%s: it was always killed", bomb.Name)
		}
	}
}

// lot remembers what it is told.
type lot struct {
	mu     sync.Mutex
	tenant string
	all    []tenants.Parked
}

func (l *lot) Park(_ context.Context, tenant string, p tenants.Parked) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenant = tenant
	l.all = append(l.all, p)
	return errors.New("nobody home")
}

func (l *lot) Parked(context.Context, string, time.Time) ([]tenants.Parked, error) { return nil, nil }

// TestThreeKillsPark holds that a revision is not evaluated after three kills, until
// its cool-down ends, and that nobody else notices (REG-03).
func TestThreeKillsPark(t *testing.T) {
	t.Parallel()
	var clock sync.Mutex
	now := time.Unix(1_700_000_000, 0)
	pass := func(d time.Duration) time.Time {
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(d)
		return now
	}
	var events []Event
	parking := &lot{}
	platform, bad, better, good := bundle(t, nil), authz(t, deaf()), authz(t, small+"\nfixed := true\n"), authz(t, small)
	p := newPool(t, Config{
		Store: shelve(platform, bad, better, good), Timeout: 20 * time.Millisecond, Parking: parking, strict: true,
		Report: func(e Event) { events = append(events, e) },
		Now:    func() time.Time { return pass(0) },
	})
	key := revisionKey{"acme", pairKey{platform.Digest(), bad.Digest()}}
	kill := func() {
		t.Helper()
		if _, err := decide(t, p, "acme", platform, bad); troubleCode(err) != "evaluation" {
			t.Fatalf("got %v, want a killed evaluation", err)
		}
	}
	parked := func(tenant string, b tenants.Bundle) bool {
		t.Helper()
		start := time.Now()
		_, err := decide(t, p, tenant, platform, b)
		is := troubleCode(err) == CodeParked
		if is && time.Since(start) > atMost {
			t.Errorf("it took %s to say so", time.Since(start))
		}
		return is
	}
	for range strikesToPark {
		if until, _, yes := p.parking.parked(key); yes {
			t.Fatalf("parked until %s, too early", until)
		}
		kill()
	}
	if !parked("acme", bad) {
		t.Error("three kills did not park it")
	}
	if parked("acme", better) || parked("acme", good) || parked("globex", good) {
		t.Error("somebody else is parked too")
	}
	mustAllow(t, p, "globex", platform, good)
	mustAllow(t, p, "acme", platform, better)
	if len(parking.all) != 1 || parking.tenant != "acme" || parking.all[0].Revision != bad.Digest() ||
		!parking.all[0].Until.Equal(pass(0).Add(firstCoolDown)) || parking.all[0].Reason != "deadline" {
		t.Errorf("administrators were told %s %+v", parking.tenant, parking.all)
	}
	var kinds []EventKind
	for _, e := range events {
		if e.Kind == Parked && (e.Tenant != "acme" || e.Revision != bad.Digest()) {
			t.Errorf("got %+v", e)
		}
		kinds = append(kinds, e.Kind)
	}
	if n := len(kinds); n < 5 || kinds[n-2] != Parked || kinds[n-1] != Failed {
		t.Errorf("the events are %v; want kills, parked, and that the note failed", kinds)
	}
	pass(firstCoolDown)
	kill()
	if !parked("acme", bad) {
		t.Error("one more kill did not park it again")
	}
}

// TestResults holds what results may be (REG-12).
func TestResults(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"large context", "context := {\"a\": concat(\"\", [\"x\" | some i in numbers.range(1, 10000)])}\n", "the limit is 8192"},
		{"many keys", "context := {sprintf(\"k%d\", [i]): \"value\" | some i in numbers.range(1, 5000)}\n", "the limit is 8192"},
		{"nested", "context := {\"a\": [[1]]}\n", "is array"},
		{"a set", "context := {\"a\": {1}}\n", "is set"},
		{"null", "context := {\"a\": null}\n", "is null"},
		{"a reserved key", "context := {\"principalId\": \"x\"}\n", "set by Regent"},
	}
	platform := bundle(t, nil)
	store := shelve(platform)
	for _, tt := range tests {
		b := authz(t, "allow := true\n\n"+tt.text)
		store.bundles[b.Digest()] = b
	}
	p := newPool(t, Config{Store: store, Timeout: patient})
	for _, tt := range tests {
		d, err := decide(t, p, "acme", platform, authz(t, "allow := true\n\n"+tt.text))
		if err == nil || d.Allow || !strings.Contains(explained(err), tt.want) {
			t.Errorf("%s: got %+v, %v; want an error with %q", tt.name, d, explained(err), tt.want)
		}
	}
}

// TestChecker holds that what the compiler does not survive is refused as a problem of
// the bundle, and other problems as they are (REG-02).
func TestChecker(t *testing.T) {
	t.Parallel()
	var c Checker
	t.Cleanup(c.Close)
	platform := bundle(t, nil)
	for range 2 {
		if err := c.Check(t.Context(), platform, authz(t, small), rules.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	broken := authz(t, "allow if nosuch(1)\n\nallow if input.x\n")
	schema := []byte(`{"type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": false}`)
	for _, opts := range []rules.Options{{}, {Schema: schema}} {
		_, want := rules.Compile(t.Context(), platform, broken, opts)
		if got := c.Check(t.Context(), platform, broken, opts); got == nil || want == nil || got.Error() != want.Error() {
			t.Errorf("got %v\nwant %v", got, want)
		} else if _, ok := rules.IsProblems(got); !ok {
			t.Errorf("%T is no problems", got)
		}
	}
	// The wall without filters: these need it.
	wall := Checker{command: unguardedCommand(t)}
	t.Cleanup(wall.Close)
	bombs := 0
	for _, bomb := range readBombs(t) {
		if !strings.HasPrefix(bomb.Name, "k") || !*full && bombs == 1 {
			continue
		}
		revision, err := bomb.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		within(t, bomb.Name, compileLimit, func() { err = wall.Check(t.Context(), platform, revision, rules.Options{}) })
		if ps, ok := rules.IsProblems(err); ok && ps[0].Code == "limit" {
			bombs++
		}
	}
	if bombs == 0 {
		t.Error("nothing was ended: the wall was not tried")
	}
}

// TestStarvedIsNotBlamed holds that a child that got little of a processor leaves no
// strike.
func TestStarvedIsNotBlamed(t *testing.T) {
	t.Parallel()
	platform, bad := bundle(t, nil), authz(t, deaf())
	p := newPool(t, Config{Store: shelve(platform, bad), Timeout: 50 * time.Millisecond, strict: false})
	h := &policy{pool: p, tenant: "acme", pair: pairKey{platform.Digest(), bad.Digest()}}
	for range 2 * strikesToPark {
		if err := h.killed(t.Context(), &killedError{reason: "deadline", starved: true}); troubleCode(err) != "evaluation" {
			t.Fatal(err)
		}
	}
	if _, _, parked := p.parking.parked(revisionKey{h.tenant, h.pair}); parked {
		t.Error("it is parked")
	}
	// A stopped child gets nothing at all, and one that computes gets what there is.
	child := p.lanes.slots[0]
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := child.process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w := newFrame()
	w.question(question{})
	_, err := child.process.exchange(opDecide, w, maxDecision, budget{time: 20 * time.Millisecond, extensions: 2})
	var killed *killedError
	if !errors.As(err, &killed) || !killed.starved || killed.reason != "deadline" {
		t.Errorf("got %+v, want a starved child", err)
	}
}
