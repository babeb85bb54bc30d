package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
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

// tried are the bombs that are tried: all of them, but one of so many under the race
// detector, which slows everything down and finds nothing in a child.
func tried(tb testing.TB, underRaceOneOf int) []corpus.Bomb {
	tb.Helper()
	all := readBombs(tb)
	if *full || !underRace {
		return all
	}
	var some []corpus.Bomb
	for i := 0; i < len(all); i += underRaceOneOf {
		some = append(some, all[i])
	}
	return some
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
	// attempts counts bombs, of which each has a tenant and a revision of its own: nobody is
	// parked, and nothing is remembered.
	attempts int
	// ends counts the children that were ended, by reason.
	ends map[string]int
}

func newBombed(t *testing.T, c Config) *bombed {
	t.Helper()
	b := &bombed{platform: bundle(t, nil), good: authz(t, small), ends: map[string]int{}}
	b.store = shelve(b.platform, b.good)
	c.Store = b.store
	c.Report = func(e Event) {
		if e.Kind == Killed {
			b.ends[e.Reason]++
		}
	}
	b.Pool = newPool(t, c)
	if err := b.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.memory = resident(os.Getpid())
	return b
}

// outcome is what became of a bomb.
type outcome struct {
	loading, deciding error
	decision          engine.Decision
}

// tell asks about a bomb that the child has not seen: it is compiled, and it is evaluated,
// each within its limit, or there is an error.
func (b *bombed) tell(t *testing.T, bomb corpus.Bomb, limit time.Duration) (o outcome, late error) {
	t.Helper()
	b.attempts++
	bomb.Rego = fmt.Appendf(bomb.Rego[:len(bomb.Rego):len(bomb.Rego)], "\n# %d\n", b.attempts)
	revision, err := bomb.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	b.store.bundles[revision.Digest()] = revision
	defer delete(b.store.bundles, revision.Digest())
	tenant := fmt.Sprint("tenant", b.attempts)
	var policy engine.Policy
	late = timed("loading", compileLimit, func() {
		policy, o.loading = b.Load(t.Context(), tenant, b.platform.Digest(), revision.Digest())
	})
	if o.loading != nil || late != nil {
		return o, late
	}
	late = timed("deciding", limit, func() {
		o.decision, o.deciding = policy.Decide(t.Context(), askedInput(tenant), time.Now())
	})
	return o, late
}

// as returns an error where a bomb did not come to what the index says.
func (o outcome) as(bomb corpus.Bomb) error {
	switch {
	case bomb.Expect == corpus.Refused, o.loading != nil:
		return compiled(bomb, o.loading)
	case bomb.Expect == corpus.Contained:
	case fatal[evalCode(o.deciding)]:
		return fmt.Errorf("%s, want that it does its child no harm", explained(o.deciding))
	case (bomb.By == "") != (o.deciding == nil) || !strings.Contains(explained(o.deciding), bomb.By):
		return fmt.Errorf("got %q, want an error with %q", explained(o.deciding), bomb.By)
	case o.decision.Allow != bomb.Allows:
		return fmt.Errorf("it allows: %t", o.decision.Allow)
	}
	return nil
}

// compiled returns an error where the compiler did not make of a bomb what the index says.
func compiled(bomb corpus.Bomb, err error) error {
	if bomb.Expect != corpus.Refused {
		return err
	}
	if _, ok := rules.IsProblems(err); !ok || !strings.Contains(err.Error(), bomb.By) {
		return fmt.Errorf("got %v, want a refusal by %s", err, bomb.By)
	}
	return nil
}

// fatal are the codes of evaluations that ended together with their child.
var fatal = map[string]bool{"killed": true, "stack_overflow": true, "out_of_memory": true, "crashed": true}

func evalCode(err error) string {
	var e *rules.EvalError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

func wantCode(err error, code string) error {
	if got := evalCode(err); got != code {
		return fmt.Errorf("got %q, %v; want %s", got, explained(err), code)
	}
	return nil
}

// next asks the next question, which is another tenant's.
func (b *bombed) next(t *testing.T) error {
	t.Helper()
	d, err := decide(t, b.Pool, "good", b.platform, b.good)
	if err == nil && !d.Allow {
		t.Error("the next tenant got a no")
	}
	return err
}

// check holds what is to be so after every bomb: this process has not grown.
func (b *bombed) check(t *testing.T) {
	t.Helper()
	if grown := resident(os.Getpid()) - b.memory; grown > memoryLimit && !underRace {
		t.Errorf("this process grew by %d MB", grown>>20)
	}
}

// onlyChildren holds that a pool's children are all that this process has, and that none
// of them has ended.
func onlyChildren(t *testing.T, p *Pool) {
	t.Helper()
	p.background.Wait() // for children that are being replaced
	found := childrenOf(t, os.Getpid())
	for _, s := range p.lanes.slots {
		pid := s.process.cmd.Process.Pid
		if state, ok := found[pid]; !ok || state == 'Z' {
			t.Errorf("child %d, %d, is not there, or has ended: %q", s.number, pid, state)
		}
		delete(found, pid)
	}
	if len(found) > 0 {
		t.Errorf("processes are left: %v", found)
	}
}

// TestBombs holds that every hostile policy is refused, decided or ended as its line in
// the index says, in time, that none allows, that the next question of another tenant has
// its answer, that this process does not grow, and that no process is left (REG-01,
// REG-02, REG-04). It is not parallel, for it takes time.
func TestBombs(t *testing.T) {
	b := newBombed(t, Config{})
	for _, bomb := range tried(t, 5) {
		t.Run(bomb.Name, func(t *testing.T) {
			mostly(t, bomb.Name, func() error {
				o, late := b.tell(t, bomb, answerLimit)
				if o.deciding == nil && o.decision.Allow && !bomb.Allows {
					t.Error("it allows")
				}
				return errors.Join(late, o.as(bomb), b.next(t))
			})
			b.check(t)
		})
	}
	onlyChildren(t, b.Pool)
}

// TestWallAlone is the same without filters: whatever OPA does with a policy, the
// child's limits and its end hold it.
func TestWallAlone(t *testing.T) {
	if underRace {
		t.Skip("the race detector finds nothing in a child; the step wall runs it without")
	}
	b := newBombed(t, Config{command: unguardedCommand(t)})
	for _, bomb := range tried(t, 20) {
		t.Run(bomb.Name, func(t *testing.T) {
			attempt := func() error {
				_, late := b.tell(t, bomb, answerLimit)
				return errors.Join(late, b.next(t))
			}
			if forChecker(bomb) {
				attempts(t, bomb.Name, 1, 1, attempt) // TestCheckerAndBombs is the other one
			} else {
				mostly(t, bomb.Name, attempt)
			}
			b.check(t)
		})
	}
	onlyChildren(t, b.Pool)
	t.Logf("children ended by %v", b.ends)
	// A stack that overflows takes most of a child's time; TestWaysToEnd gives it more.
	reasons := []string{"deadline", "memory", "crash"}
	if underRace { // few bombs, and no limit of memory
		reasons = reasons[:1]
	}
	for _, reason := range reasons {
		if b.ends[reason] == 0 {
			t.Errorf("no child ended by %s: that part of the wall was not tried", reason)
		}
	}
}

// TestWaysToEnd holds that the trouble says which way an evaluation took its child with
// it, where it has the time for it.
func TestWaysToEnd(t *testing.T) {
	t.Parallel()
	bombs := map[string]corpus.Bomb{}
	for _, bomb := range readBombs(t) {
		bombs[bomb.Name] = bomb
	}
	for _, tt := range []struct {
		bomb, code string
		timeout    time.Duration
	}{
		{"b01_gate_bypass_func_dag", "killed", rules.DefaultTimeout},
		{"j02_schema_ref_loop", "stack_overflow", patient},
		{"n03_bits_lsh_1e11", "out_of_memory", patient},
		{"z04_panic_rand", "crashed", patient},
	} {
		if tt.code == "out_of_memory" && underRace {
			continue // its own memory is more than the limit
		}
		t.Run(tt.code, func(t *testing.T) {
			t.Parallel()
			revision, err := bombs[tt.bomb].Bundle()
			if err != nil {
				t.Fatal(err)
			}
			platform := bundle(t, nil)
			p := newPool(t, Config{Store: shelve(platform, revision), Timeout: tt.timeout, command: unguardedCommand(t)})
			attempts(t, tt.bomb, 1, 1, func() error {
				_, err := decide(t, p, "acme", platform, revision)
				return wantCode(err, tt.code)
			})
		})
	}
}

// TestControls holds that policies which OPA stops by itself are stopped by it, soon
// after their time, and that their child stays (REG-04).
func TestControls(t *testing.T) {
	const soon = 75 * time.Millisecond // of 50
	controls := 0
	for _, bomb := range readBombs(t) {
		if !strings.HasPrefix(bomb.Name, "c") {
			continue
		}
		controls++
		b := newBombed(t, Config{})
		mostly(t, bomb.Name, func() error {
			b.background.Wait() // for a child that is being replaced
			child := b.lanes.slots[0].process
			o, late := b.tell(t, bomb, soon)
			if b.background.Wait(); b.lanes.slots[0].process != child {
				return errors.New("its child was replaced")
			}
			return errors.Join(late, o.as(bomb))
		})
	}
	if controls < 4 {
		t.Errorf("%d controls", controls)
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
		attempts(t, "a kill", 1, 5, func() error { // on a busy machine it may not have begun in its time
			if _, err := decide(t, p, "acme", platform, bad); !fatal[evalCode(err)] {
				return fmt.Errorf("got %v, want a killed evaluation", err)
			}
			return nil
		})
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
	p.background.Wait() // they are told meanwhile
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
}

// forChecker tells that it may be the compiler that a bomb is for.
func forChecker(bomb corpus.Bomb) bool { return bomb.Name[0] == 'k' || bomb.Name[0] == 'd' }

// TestCheckerAndBombs holds that whatever the compiler makes of a bundle, it is refused
// within its time, by the filters or by the child's end, and that this process does not grow
// (REG-02). It is not parallel, for it measures.
func TestCheckerAndBombs(t *testing.T) {
	if underRace {
		t.Skip("the race detector finds nothing in a child; the step wall runs it without")
	}
	var c Checker
	wall := Checker{command: unguardedCommand(t)}
	t.Cleanup(c.Close)
	t.Cleanup(wall.Close)
	platform, before := bundle(t, nil), resident(os.Getpid())
	ended := 0
	for _, bomb := range tried(t, 5) {
		if !forChecker(bomb) {
			continue
		}
		revision, err := bomb.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		check := func(c *Checker) error {
			var found error
			late := timed("checking", compileLimit, func() { found = c.Check(t.Context(), platform, revision, rules.Options{}) })
			if c == &wall {
				if ps, ok := rules.IsProblems(found); ok && ps[0].Code == "limit" {
					ended++
				}
				return late
			}
			return errors.Join(late, compiled(bomb, found))
		}
		attempts(t, bomb.Name, 1, 1, func() error { return check(&c) })
		attempts(t, bomb.Name+" without filters", 1, 1, func() error { return check(&wall) })
		if grown := resident(os.Getpid()) - before; grown > memoryLimit && !underRace {
			t.Fatalf("%s: this process grew by %d MB", bomb.Name, grown>>20)
		}
	}
	if ended == 0 || ended < 20 && !underRace {
		t.Errorf("%d bundles ended their child: the wall was not tried", ended)
	}
}

// TestMemoryOfChildren holds that a child has the memory that its configuration says, and
// that a Checker's has less than the least of a pool's by default.
func TestMemoryOfChildren(t *testing.T) {
	t.Parallel()
	if underRace {
		return // there is no limit
	}
	platform, huge := bundle(t, nil), authz(t, "allow if bits.lsh(1, 2000000000) == 1\n")
	for _, command := range [][]string{nil, unguardedCommand(t)} {
		c := Checker{command: command}
		t.Cleanup(c.Close)
		if err := c.Check(t.Context(), platform, authz(t, small), rules.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := dataLimit(t, c.child); got != CheckMemory || got >= DefaultMemory {
			t.Errorf("a Checker's child has %d bytes, want %d", got, CheckMemory)
		}
	}
	for _, memory := range []uint64{0, DefaultMemory / 2} {
		p := newPool(t, Config{Store: shelve(platform, huge), Timeout: patient, Memory: memory, command: unguardedCommand(t)})
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := memory
		if memory == 0 {
			want = DefaultMemory
		}
		if got := dataLimit(t, p.lanes.slots[0].process); got != want {
			t.Errorf("a child for %d bytes has %d", memory, got)
		}
		if memory == 0 {
			continue // there it has 250 MB, and takes its time over them
		}
		// Where it is the collector that gets no memory, Go ends the program as one that crashed.
		if _, err := decide(t, p, "acme", platform, huge); evalCode(err) != "out_of_memory" && evalCode(err) != "crashed" {
			t.Errorf("with %d bytes: %q", memory, explained(err))
		}
	}
}

// dataLimit is what the system holds a child's memory to.
func dataLimit(t *testing.T, p *process) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(text), "Max data size")
	limit, err := strconv.ParseUint(strings.Fields(line)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return limit
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
	// It was waited for, and has taken nothing.
	if child.process.spent >= slowAfter {
		t.Errorf("a child without a processor has taken %s", child.process.spent)
	}
}
