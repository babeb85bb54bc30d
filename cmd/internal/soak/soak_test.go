// Package soak lets one authorizer decide for many tenants of one DynamoDB table for a
// while, with less room in memory than there are tenants, while revisions are activated
// and rolled back, tenants are suspended and resumed, and the table fails now and then.
// Every decision is held to the revision that it names, and that revision to the time
// at which it was in force.
//
//	go test ./cmd/internal/soak -v -soak.tenants=10000 -soak.active=1000 -soak.room=300 -soak.for=5m
//
// It has nothing but tests. Without flags the world is small and the time short.
package soak

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"regent/cmd/internal/assemble"
	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants/cache"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
)

var (
	all       = flag.Int("soak.tenants", 120, "tenants in the table")
	active    = flag.Int("soak.active", 60, "tenants that are asked for, in a Zipf pattern")
	room      = flag.Int("soak.room", 20, "compiled policies that are kept")
	length    = flag.Duration("soak.for", 5*time.Second, "how long")
	enough    = flag.Int("soak.decisions", 0, "end after so many decisions, however long that takes; 0 for the time")
	rate      = flag.Int("soak.rate", 400, "decisions begun in a second; 0 is as many as there can be")
	workers   = flag.Int("soak.workers", 4, "decisions at a time")
	changes   = flag.Duration("soak.changes", 50*time.Millisecond, "time between two changes of tenants")
	faults    = flag.Duration("soak.faults", time.Second, "time between two faults of the table; 0 for none")
	refresh   = flag.Duration("soak.refresh", 500*time.Millisecond, "refresh of the cache; must refresh is twice that")
	isolation = flag.String("soak.isolation", "process", "process or none, as REGENT_ISOLATION")
	seed      = flag.Uint64("soak.seed", 1, "of the random choices")
)

func TestMain(m *testing.M) {
	sandbox.Main()
	flag.Parse()
	os.Exit(m.Run())
}

// Limits of the table's store, so wide that a machine with much else to do is not taken
// for a table in trouble.
func patient() dynamo.Limits {
	return dynamo.Limits{Connect: time.Second, Attempt: time.Second, Total: 2 * time.Second}
}

// maxStale is longer than any soak: a fault is never the end of a warm tenant.
const maxStale = 24 * time.Hour

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("not short")
	}
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	table := dynamotest.Table(t)
	w := newWorld(dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Administer: true}), *all)
	started := time.Now()
	w.fill(t)
	t.Logf("%d tenants written in %s", *all, time.Since(started).Round(time.Second))

	store, err := cache.New(cache.Config{
		Store:   dynamotest.OpenAt(t, proxy.URL, dynamo.Options{Table: table, Limits: patient()}),
		Refresh: *refresh, MustRefresh: 2 * *refresh, MaxStale: maxStale, Timeout: patient().Total,
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := assemble.Authorizer(assemble.Parts{
		Store: store, MaxStale: maxStale, Capacity: *room, EvalTimeout: 5 * time.Second,
		InProcess: *isolation == "none", Children: assemble.SeveralChildren(), Log: func(engine.Record) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer assemble.Close(a)

	s := &soak{world: w, authorizer: a, store: store, proxy: proxy, ended: make(chan struct{})}
	s.run(t)
	s.settle(t)
	s.report(t)
}

// soak is one run.
type soak struct {
	*world
	authorizer *engine.Authorizer
	store      *cache.Store
	proxy      *dynamotest.Proxy
	ended      chan struct{}

	mu       sync.Mutex
	elapsed  time.Duration
	outcomes map[string]int
	stale    int
	took     []time.Duration
	heap     []uint64
	made     map[string]int // changes and faults
}

// run asks, changes and breaks until the time is up, or there have been enough decisions.
func (s *soak) run(t *testing.T) {
	s.outcomes, s.made = map[string]int{}, map[string]int{}
	s.took = make([]time.Duration, 0, *enough) // or it would count as memory that grows
	start := time.Now()
	var group sync.WaitGroup
	tickets, issued := make(chan struct{}, *workers), make(chan struct{})
	group.Go(func() {
		s.issue(tickets)
		close(issued)
	})
	for n := range *workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(n)))
			zipf := rand.NewZipf(random, exponent, 1, uint64(*active-1))
			for range tickets {
				s.decide(t, int(zipf.Uint64()), random.IntN(paths))
			}
		})
	}
	group.Go(func() { s.every(*changes, s.change(t)) })
	if *faults > 0 {
		group.Go(func() { s.every(*faults, s.break1()) })
	}
	group.Go(func() { s.every(max(*length/40, 50*time.Millisecond), s.weigh) })
	if *enough == 0 {
		time.Sleep(*length)
	} else {
		<-issued
	}
	close(s.ended)
	group.Wait()
	s.elapsed = time.Since(start)
	s.proxy.Clear()
}

// issue lets decisions begin at the rate that was asked for, until there are enough.
func (s *soak) issue(tickets chan<- struct{}) {
	defer close(tickets)
	start := time.Now()
	for n := 0; *enough == 0 || n < *enough; n++ {
		if *rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(*rate))))
		}
		select {
		case tickets <- struct{}{}:
		case <-s.ended:
			return
		}
	}
}

// every does something again and again until the end.
func (s *soak) every(interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-s.ended:
			return
		}
	}
}

func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[what]++
}

// break1 returns what makes a fault, for half of the time between two.
func (s *soak) break1() func() {
	random := rand.New(rand.NewPCG(*seed, 1<<32))
	kinds := []dynamotest.Kind{
		dynamotest.Throttled, dynamotest.InternalError, dynamotest.Unavailable, dynamotest.Reset,
		dynamotest.Truncated, dynamotest.Stale, dynamotest.Hang, dynamotest.Missing,
	}
	return func() {
		fault := dynamotest.Fault{Kind: kinds[random.IntN(len(kinds))]}
		if fault.Kind == dynamotest.Missing {
			// Records that seem not to be there would be denied, and rightly.
			fault.Operation, fault.Contains = "GetItem", "BUNDLE#"
		}
		s.count(string(fault.Kind))
		if fault.Kind == dynamotest.Stale {
			s.lag()
		}
		s.proxy.Add(fault)
		time.Sleep(*faults / 2)
		s.proxy.Clear()
		if fault.Kind == dynamotest.Stale {
			s.lag()
		}
	}
}

// change returns what changes a tenant.
func (s *soak) change(t *testing.T) func() {
	random := rand.New(rand.NewPCG(*seed, 1<<33))
	// One tenant is suspended at a time: were it half of them, the others had more room.
	suspended := -1
	return func() {
		n := random.IntN(*active)
		what := "activations"
		switch random.IntN(10) {
		case 0, 1:
			what = "suspensions and resumptions"
			if suspended >= 0 {
				n, suspended = suspended, -1
			} else {
				suspended = n
			}
			s.toggle(t, n)
		case 2, 3, 4:
			what = "rollbacks"
			s.rollBack(t, n)
		default:
			s.activate(t, n)
		}
		s.count(what)
	}
}

// weigh notes how much memory is in use.
func (s *soak) weigh() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heap = append(s.heap, m.HeapAlloc)
}

// decide asks for one decision and judges it.
func (s *soak) decide(t *testing.T, n, path int) {
	start := time.Now()
	out := s.authorizer.Explain(t.Context(), request(n, path))
	end := time.Now()
	if wrong := s.judge(n, path, start, end, out); wrong != "" {
		t.Errorf("tenant %s: %s\n%+v", tenantID(n), wrong, out.Record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, end.Sub(start))
	s.outcomes[strings.TrimSpace(out.Record.Result.Outcome+" "+strings.TrimPrefix(out.Record.Result.Code, "policy"))]++
	if out.Record.Stale != nil {
		s.stale++
	}
}

// settle asks for every tenant once more, with a table that is well: what is in force
// must have arrived, and nothing may be in trouble.
func (s *soak) settle(t *testing.T) {
	time.Sleep(2**refresh + 100*time.Millisecond)
	// What failed again and again is left alone for some seconds.
	patience := time.Now().Add(time.Minute)
	for n := range *active {
		out := s.authorizer.Explain(t.Context(), request(n, 0))
		for (out.Err != nil || out.Record.Stale != nil) && time.Now().Before(patience) {
			time.Sleep(50 * time.Millisecond)
			out = s.authorizer.Explain(t.Context(), request(n, 0))
		}
		if out.Err != nil || out.Record.Stale != nil {
			t.Errorf("tenant %s, at the end: %+v %+v %+v", tenantID(n), out.Record.Result, out.Record.Error, out.Record.Stale)
			continue
		}
		revision, suspended := s.inForce(n)
		if got := out.Record.Bundles[tenantID(n)].Revision; got != string(revision) {
			t.Errorf("tenant %s, at the end: revision %s decides, %s is in force", tenantID(n), got, revision)
		}
		if denied := out.Record.Result.Code == engine.CodeTenantSuspended; denied != suspended {
			t.Errorf("tenant %s, at the end: %+v, and suspended is %t", tenantID(n), out.Record.Result, suspended)
		}
	}
}

func (s *soak) report(t *testing.T) {
	decisions := len(s.took)
	if decisions == 0 || s.outcomes["allow"] == 0 || s.outcomes["deny"] == 0 {
		t.Fatalf("nothing was decided: %v", s.outcomes)
	}
	// The table is in trouble half of the time, and on a busy machine seems so for longer.
	if trouble := s.outcomes["trouble store"]; trouble > decisions*4/5 {
		t.Errorf("%d of %d decisions are trouble", trouble, decisions)
	}
	for outcome := range s.outcomes {
		if strings.HasPrefix(outcome, "trouble") && outcome != "trouble store" {
			t.Errorf("%d times %s", s.outcomes[outcome], outcome)
		}
	}
	slices.Sort(s.took)
	at := func(q float64) time.Duration { return s.took[int(q*float64(decisions-1))].Round(time.Microsecond) }
	st := s.store.Stats()
	answers := st.Hits + st.Unknown + st.Refused + st.Read + st.Stale + st.Failed
	t.Logf("%-28s %d in %s, %.0f/s", "decisions", decisions, s.elapsed.Round(time.Second), float64(decisions)/s.elapsed.Seconds())
	for _, outcome := range slices.Sorted(keys(s.outcomes)) {
		t.Logf("%-28s %d", "  "+outcome, s.outcomes[outcome])
	}
	t.Logf("%-28s %d", "  stale among them", s.stale)
	for _, what := range slices.Sorted(keys(s.made)) {
		t.Logf("%-28s %d", what, s.made[what])
	}
	t.Logf("%-28s p50 %s, p90 %s, p99 %s, max %s", "latency", at(0.5), at(0.9), at(0.99), at(1))
	t.Logf("%-28s %.2f %% of %d answers", "records from memory", 100*float64(answers-st.Read-st.Failed)/float64(answers), answers)
	s.remembered(t, st)
	t.Logf("%-28s %.3f a decision, %d of bundles, %d failed, %d older than seen", "reads of the store",
		float64(st.Reads)/float64(decisions), st.Bundles, st.Failures, st.Older)
	s.flat(t)
}

// remembered holds how many policies came from memory to what the pattern lets expect:
// not fewer, but for those that are asked for first and those that could not be read; nor, where
// this process keeps them, so many more that there must have been more room than was
// given. In child processes it is their bundles that this process keeps, and more of them.
func (s *soak) remembered(t *testing.T, st cache.Stats) {
	decided := float64(s.outcomes["allow"] + s.outcomes["deny"]) // by rules
	hits := 1 - float64(st.Bundles)/decided
	expected := zipfHits(*active, *room)
	fresh := float64(*active+s.made["activations"]+s.made["rollbacks"]) + float64(st.Failures)
	least := expected - fresh/decided - 0.05
	t.Logf("%-28s %.2f %%; by the pattern %.2f %%", "policies from memory", 100*hits, 100*expected)
	if hits < least {
		t.Errorf("%.3f of the policies came from memory, want at least %.3f", hits, least)
	}
	if most := expected + 0.1; *isolation == "none" && hits > most {
		t.Errorf("%.3f of the policies came from memory, and %.3f would if %d were kept", hits, most, *room)
	}
}

// flat reports whether memory has grown from the second quarter of the soak, when
// everything is warm, to the last.
func (s *soak) flat(t *testing.T) {
	n := len(s.heap)
	if n < 8 {
		t.Logf("memory was weighed %d times only", n)
		return
	}
	median := func(part []uint64) float64 {
		part = slices.Clone(part)
		slices.Sort(part)
		return float64(part[len(part)/2]) / (1 << 20)
	}
	before, after := median(s.heap[n/4:n/2]), median(s.heap[3*n/4:])
	t.Logf("%-28s %.1f MB in the second quarter, %.1f MB in the last", "heap, collected", before, after)
	// What the test itself keeps: the times, and the answers that the proxy remembers.
	if after > before*1.25+8 {
		t.Errorf("memory grows: %.1f MB, then %.1f MB", before, after)
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func tenantID(n int) string { return fmt.Sprintf("t%05d", n) }
