package sandbox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"regent/engine"
	"regent/engine/rules"
	"regent/engine/rules/corpus"
	"regent/tenants"
)

// soaked is a pool with good and hostile tenants, and what came of their questions.
type soaked struct {
	*Pool
	platform tenants.Bundle
	good     []good
	hostile  []tenants.Bundle
	// oracle is held while one is asked: they answer one question at a time.
	oracle sync.Mutex
	// bombs were asked, by as many tenants; ended children were killed over them.
	bombs, ended atomic.Int64
	// What good tenants were answered.
	yes, no, wrong, trouble atomic.Int64
}

// good is a tenant whose rules do no harm, and the same rules in this process.
type good struct {
	tenant string
	bundle tenants.Bundle
	oracle *rules.Policy
}

func newSoaked(t *testing.T) *soaked {
	t.Helper()
	s := &soaked{platform: bundle(t, nil)}
	store := shelve(s.platform)
	for i := range 20 {
		g := good{tenant: fmt.Sprint("tenant", i)}
		g.bundle = authz(t, fmt.Sprintf("%s\nprincipal_id := concat(\"/\", [\"%s\", input.identity.sub])\n", small, g.tenant))
		var err error
		if g.oracle, err = rules.Compile(t.Context(), s.platform, g.bundle, rules.Options{}); err != nil {
			t.Fatal(err)
		}
		store.bundles[g.bundle.Digest()] = g.bundle
		s.good = append(s.good, g)
	}
	for _, bomb := range readBombs(t) {
		if bomb.Expect != corpus.Contained {
			continue
		}
		b, err := bomb.Bundle()
		if err != nil {
			t.Fatal(err)
		}
		store.bundles[b.Digest()] = b
		s.hostile = append(s.hostile, b)
	}
	c := Config{Store: store, Children: max(2, runtime.NumCPU()), Report: func(e Event) {
		if e.Kind == Killed {
			s.ended.Add(1)
		}
	}}
	if underRace {
		c.Timeout = 5 * rules.DefaultTimeout
	}
	s.Pool = newPool(t, c)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.background.Wait() // for the other children: what they have counts as before
	s.introduce(t)
	return s
}

// introduce has the good tenants known as quick.
func (s *soaked) introduce(t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(0, 0))
	for range 2 * provenAfter {
		for _, g := range s.good {
			s.ask(t, g, rng)
		}
	}
	if s.wrong.Load() > 0 {
		t.Fatal("there are wrong answers before the first bomb")
	}
	s.trouble.Store(0)
}

// ask puts some question of a good tenant to the pool and to the oracle, and counts how
// they agree. It returns how long the pool took.
func (s *soaked) ask(t *testing.T, g good, rng *rand.Rand) time.Duration {
	in, now := someInput(rng, g.tenant), time.Unix(1_700_000_000, 0)
	s.oracle.Lock()
	want, err := g.oracle.Decide(t.Context(), in, now)
	s.oracle.Unlock()
	if err != nil {
		t.Errorf("the oracle: %v", explained(err))
		return 0
	}
	start := time.Now()
	got, err := s.decide(t, g, in, now)
	took := time.Since(start)
	switch {
	case err != nil:
		if s.trouble.Add(1) < 4 {
			t.Log(explained(err))
		}
	case !cmp.Equal(want, got):
		if s.wrong.Add(1) < 4 {
			t.Errorf("%s: %s %s by %v: (-process +child)\n%s", g.tenant, in.Method, in.Path, in.Identity.Claims, cmp.Diff(want, got))
		}
	case got.Allow:
		s.yes.Add(1)
	default:
		s.no.Add(1)
	}
	return took
}

func (s *soaked) decide(t *testing.T, g good, in engine.Input, now time.Time) (engine.Decision, error) {
	policy, err := s.Load(t.Context(), g.tenant, s.platform.Digest(), g.bundle.Digest())
	if err != nil {
		return engine.Decision{}, err
	}
	return policy.Decide(t.Context(), in, now)
}

// someInput is a request of somebody to somewhere, which may be allowed or not.
func someInput(rng *rand.Rand, tenant string) engine.Input {
	in := askedInput(tenant)
	roles := []any{}
	for _, role := range []string{"viewer", "admin", "guest"} {
		if rng.IntN(2) == 0 {
			roles = append(roles, role)
		}
	}
	in.Identity.Subject = fmt.Sprint("user", rng.IntN(1000))
	in.Identity.Claims = map[string]any{"sub": in.Identity.Subject, "roles": roles, "n": rng.Float64()}
	in.Method = []string{"GET", "POST", "DELETE", "PATCH"}[rng.IntN(4)]
	in.Path = fmt.Sprintf("/%s/%d", []string{"orders", "orders", "users"}[rng.IntN(3)], rng.IntN(1000))
	in.Tenant.Attributes = map[string]any{"plan": []string{"gold", "free"}[rng.IntN(2)]}
	if rng.IntN(8) == 0 {
		in.Headers = map[string]string{"host": "api.acme.example", "x-no": "1"}
	}
	return in
}

// bomb asks a question of a hostile tenant that nobody has heard of, so none is parked.
func (s *soaked) bomb(t *testing.T) {
	n := s.bombs.Add(1)
	d, err := decide(t, s.Pool, fmt.Sprint("stranger", n), s.platform, s.hostile[int(n)%len(s.hostile)])
	if err == nil && d.Allow {
		t.Error("a hostile policy allows")
	}
}

// holds checks what is to be so whatever the load was: each answer is the oracle's, answers
// of both kinds were seen, no more questions than tolerable had none, children were ended, and
// those of the pool are there and no others.
func (s *soaked) holds(t *testing.T, tolerable int64) {
	t.Helper()
	onlyChildren(t, s.Pool)
	yes, no, wrong, trouble := s.yes.Load(), s.no.Load(), s.wrong.Load(), s.trouble.Load()
	t.Logf("%d yes, %d no, %d wrong, %d in trouble; %d bombs, %d children ended", yes, no, wrong, trouble, s.bombs.Load(), s.ended.Load())
	if wrong > 0 || trouble > tolerable {
		t.Errorf("%d answers are wrong, %d are trouble", wrong, trouble)
	}
	if least := (yes + no + trouble) / 10; yes < least || no < least {
		t.Errorf("%d yes and %d no, want both", yes, no)
	}
	if bombs := s.bombs.Load(); bombs == 0 || s.ended.Load() < bombs/4 {
		t.Errorf("%d children were ended over %d bombs: the load was not hostile", s.ended.Load(), bombs)
	}
	for _, slot := range s.lanes.slots {
		if got := resident(slot.process.cmd.Process.Pid); uint64(got) > DefaultMemory && !underRace {
			t.Errorf("child %d has %d MB", slot.number, got>>20)
		}
	}
}

// TestNeighbours holds that good tenants are answered rightly and soon while others set
// off bombs (REG-06). It is not parallel, for it measures.
func TestNeighbours(t *testing.T) {
	const (
		soon = 25 * time.Millisecond
		pace = 3 * time.Millisecond
	)
	bombs := 100
	switch {
	case *full:
		bombs = 10_000
	case underRace:
		bombs = 8
	}
	s := newSoaked(t)
	before, start := pressure(), time.Now()
	hostile := make(chan struct{})
	go func() {
		defer close(hostile)
		for range bombs {
			s.bomb(t)
		}
	}()
	rng := rand.New(rand.NewPCG(1, 1))
	var took, late []time.Duration
	for over := false; !over; {
		// Requests come at a pace, as those of a gateway do.
		asleep := time.Now()
		time.Sleep(pace)
		late = append(late, time.Since(asleep)-pace)
		took = append(took, s.ask(t, s.good[rng.IntN(len(s.good))], rng))
		select {
		case <-hostile:
			over = true
		default:
		}
	}
	p50, p99 := quantiles(took)
	_, machine := quantiles(late)
	// A bomb of its own and its neighbour fit two processors: who waits, waits for others.
	waited := float64(pressure()-before) / float64(time.Since(start))
	t.Logf("%d questions: p50 %s, p99 %s; the machine: late by %s, waited for in %.0f %% of the time", len(took), p50, p99, machine, 100*waited)
	if len(took) < 10*bombs && !underRace {
		t.Errorf("%d questions beside %d bombs are too few", len(took), bombs)
	}
	if p99 > soon+min(machine, soon) && !underRace {
		t.Errorf("the p99 is %s, want %s (the machine was late by %s)", p99, soon, machine)
	}
	tolerable := 0
	if underRace || waited > 0.5 {
		tolerable = len(took) / 200
	}
	s.holds(t, int64(tolerable))
}

// TestSoak holds that parallel callers are answered as one would be in this process, while
// others set off bombs, and that nothing grows: no memory, no goroutine, no descriptor, no
// process (SOAK-01, SOAK-03, TEN-11). It is not parallel, for it counts what the program has.
func TestSoak(t *testing.T) {
	const (
		callers = 64
		bombers = 2
		growth  = 8 << 20
	)
	questions := 20_000
	switch {
	case *full:
		questions = 1_000_000
	case underRace:
		questions = 400
	}
	s := newSoaked(t)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	var quarters []int64
	for quarter := range 4 {
		var good, hostile sync.WaitGroup
		left := atomic.Int64{}
		left.Store(int64(questions / 4))
		for caller := range callers - bombers {
			good.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(quarter), uint64(caller)))
				for left.Add(-1) >= 0 {
					s.ask(t, s.good[rng.IntN(len(s.good))], rng)
				}
			})
		}
		for range bombers {
			hostile.Go(func() {
				for left.Load() > 0 {
					s.bomb(t)
				}
			})
		}
		good.Wait()
		hostile.Wait()
		debug.FreeOSMemory() // what is held is measured, not what the collector has not looked at
		quarters = append(quarters, resident(os.Getpid()))
	}
	t.Logf("this process has %d MB after each quarter", mb(quarters))
	// In the first quarter there is much that is made once.
	if grown := quarters[3] - quarters[1]; grown > growth {
		t.Errorf("this process grew by %d MB in half of the time", grown>>20)
	}
	s.holds(t, int64(questions/50)) // there are far more callers than children
	for range 200 {                 // a goroutine that has nothing left to do takes a moment to end
		if runtime.NumGoroutine() <= goroutines && openFiles(t) <= files {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines and %d files; %d and %d before", runtime.NumGoroutine(), openFiles(t), goroutines, files)
}

func mb(bytes []int64) []int64 {
	list := make([]int64, len(bytes))
	for i, n := range bytes {
		list[i] = n >> 20
	}
	return list
}

// childrenOf returns the processes whose parent is pid, each with its state; 'Z' is a
// zombie.
func childrenOf(t *testing.T, pid int) map[int]byte {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("there is no /proc")
	}
	found := map[int]byte{}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may have anything in it.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found[child] = fields[0][0]
		}
	}
	return found
}

// TestSignalsAreNoEnd holds that a child is not taken for dead because a signal interrupts
// the look at it, as Go's scheduler does with its own.
func TestSignalsAreNoEnd(t *testing.T) {
	t.Parallel()
	var replaced atomic.Int64
	platform, good := bundle(t, nil), authz(t, small)
	p := newPool(t, Config{Store: shelve(platform, good), Timeout: patient, Report: func(e Event) {
		if e.Kind == Replaced {
			replaced.Add(1)
		}
	}})
	runtime.LockOSThread() // the one that looks
	defer runtime.UnlockOSThread()
	thread, stop, stopped := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	for range 200 {
		mustAllow(t, p, "acme", platform, good)
	}
	child := p.lanes.slots[0].process
	for n := range 1_000_000 {
		if !silent(child.out) {
			t.Errorf("look %d at an idle child found something", n)
			break
		}
	}
	close(stop)
	<-stopped
	if replaced := replaced.Load(); replaced > 0 {
		t.Errorf("%d children were replaced", replaced)
	}
}
