package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
	"regent/tenants"
)

// BenchmarkChild compares a decision in the process and in a child. DESIGN.md §14: at
// most 40 µs more at p50.
func BenchmarkChild(b *testing.B) {
	platform, tenant := bundle(b, nil), authz(b, small)
	store := shelve(platform, tenant)
	direct, err := rules.Compile(b.Context(), platform, tenant, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	pool := newPool(b, Config{Store: store, Timeout: patient})
	in, now := askedInput("acme"), time.Now()
	ways := []func() (engine.Policy, error){
		func() (engine.Policy, error) { return direct, nil },
		func() (engine.Policy, error) {
			return pool.Load(b.Context(), "acme", platform.Digest(), tenant.Digest())
		},
	}
	times := make([][]time.Duration, len(ways))
	for b.Loop() {
		// They take turns, so that a busy machine slows both.
		for i, load := range ways {
			start := time.Now()
			p, err := load()
			if err != nil {
				b.Fatal(err)
			}
			d, err := p.Decide(b.Context(), in, now)
			if err != nil || !d.Allow {
				b.Fatal(d, err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	p50, p99 := quantiles(times[0])
	p50child, p99child := quantiles(times[1])
	µs := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(µs(p50), "process-p50-µs")
	b.ReportMetric(µs(p99), "process-p99-µs")
	b.ReportMetric(µs(p50child), "child-p50-µs")
	b.ReportMetric(µs(p99child), "child-p99-µs")
	b.ReportMetric(µs(p50child-p50), "more-µs")
}

// quantiles of durations, which are sorted for it.
func quantiles(times []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}

// BenchmarkNeighbours measures what a tenant notices of others: of one that uses up its time
// continuously, by one caller and by many; of one that has to be killed, until it is parked; of
// many who have to be killed and whom nothing parks, for each of them is another; and of a burst
// of quick requests. Rounds with and without them take turns, so that a busy machine slows both.
// DESIGN.md §14: p99 at most twice what it is alone.
func BenchmarkNeighbours(b *testing.B) {
	good := authz(b, small)
	for _, noise := range []struct {
		name    string
		rules   tenants.Bundle
		callers int
		many    bool
	}{
		{"burning", authz(b, nested), 1, false},
		{"burning by many callers", authz(b, nested), 16, false},
		{"killed", authz(b, deaf()), 4, false},
		{"killed and many", authz(b, deaf()), 4, true},
		{"burst", authz(b, small+"\nother := true\n"), 16, false},
	} {
		b.Run(noise.name, func(b *testing.B) {
			n := newNeighbour(b, good, noise.rules)
			for b.Loop() {
				// Fewer questions than this have no p99.
				for range 5 {
					n.round(&n.alone)
					stop := n.besides(noise.callers, noise.many)
					n.round(&n.beside)
					stop()
				}
			}
			n.report()
		})
	}
}

// neighbour is a tenant with quick rules, and how long its answers took.
type neighbour struct {
	b              *testing.B
	pool           *Pool
	platform, good tenants.Bundle
	noisy          tenants.Bundle
	noises, kills  atomic.Int64
	trouble        int
	alone, beside  []time.Duration
}

func newNeighbour(b *testing.B, good, noisy tenants.Bundle) *neighbour {
	b.Helper()
	n := &neighbour{b: b, platform: bundle(b, nil), good: good, noisy: noisy}
	n.pool = newPool(b, Config{Store: shelve(n.platform, good, noisy), Children: max(2, runtime.NumCPU()), Report: func(e Event) {
		if e.Kind == Killed {
			n.kills.Add(1)
		}
	}})
	for range 2 * provenAfter {
		mustAllow(b, n.pool, "good", n.platform, good)
	}
	return n
}

// round asks at a pace, as those do who come through a gateway. What the round before left
// behind, children that start or compile anew, is not measured.
func (n *neighbour) round(times *[]time.Duration) {
	n.b.Helper()
	n.pool.background.Wait()
	for i := range 250 {
		start := time.Now()
		d, err := decide(n.b, n.pool, "good", n.platform, n.good)
		took := time.Since(start)
		switch {
		case err != nil: // a machine may be too busy for a child to be in time
			n.trouble++
		case !d.Allow:
			n.b.Fatal("a no")
		}
		if i >= 50 {
			*times = append(*times, took)
		}
		time.Sleep(time.Millisecond)
	}
}

// besides lets others ask, until it is stopped.
func (n *neighbour) besides(callers int, many bool) (stop func()) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					tenant := "noisy"
					if i := n.noises.Add(1); many {
						tenant += fmt.Sprint(i)
					}
					_, _ = decide(n.b, n.pool, tenant, n.platform, n.noisy)
					time.Sleep(time.Millisecond) // a loop would measure Go's scheduler
				}
			}
		})
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

func (n *neighbour) report() {
	n.b.Helper()
	n.b.ReportMetric(0, "ns/op")
	p50, p99 := quantiles(n.alone)
	p50beside, p99beside := quantiles(n.beside)
	n.b.ReportMetric(float64(p50.Microseconds()), "alone-p50-µs")
	n.b.ReportMetric(float64(p99.Microseconds()), "alone-p99-µs")
	n.b.ReportMetric(float64(p50beside.Microseconds()), "beside-p50-µs")
	n.b.ReportMetric(float64(p99beside.Microseconds()), "beside-p99-µs")
	n.b.ReportMetric(float64(p99beside)/float64(p99), "p99-ratio")
	n.b.ReportMetric(float64(n.kills.Load()), "kills")
	n.b.ReportMetric(float64(n.trouble), "trouble")
}

// BenchmarkHostile measures the time to an answer of every hostile policy that compiles,
// without filters and with a fresh tenant each time; that of those that do not, which is the
// time to the refusal or the end of compiling; and what this process grows by at its highest.
// DESIGN.md §14: 100 ms and 32 MB.
func BenchmarkHostile(b *testing.B) {
	bombs := readBombs(b)
	platform := bundle(b, nil)
	store := shelve(platform)
	p := newPool(b, Config{Store: store, command: unguardedCommand(b)})
	before := resetPeak(b)
	var deciding, loading []time.Duration
	for b.Loop() {
		for i, bomb := range bombs {
			revision, err := bomb.Bundle()
			if err != nil {
				b.Fatal(err)
			}
			store.bundles[revision.Digest()] = revision
			start := time.Now()
			policy, err := p.Load(b.Context(), fmt.Sprint(i), platform.Digest(), revision.Digest())
			if err != nil {
				loading = append(loading, time.Since(start))
				continue
			}
			start = time.Now()
			_, _ = policy.Decide(b.Context(), askedInput("x"), start)
			deciding = append(deciding, time.Since(start))
		}
	}
	p50, p99 := quantiles(deciding)
	quantiles(loading)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(p50), "p50-ms")
	b.ReportMetric(milliseconds(p99), "p99-ms")
	b.ReportMetric(milliseconds(deciding[len(deciding)-1]), "max-ms")
	b.ReportMetric(milliseconds(loading[len(loading)-1]), "max-load-ms")
	b.ReportMetric(float64(peak(b)-before)/(1<<20), "grown-MB")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// resetPeak begins anew with the highest memory of this process, and returns what it has.
func resetPeak(b *testing.B) int64 {
	b.Helper()
	runtime.GC()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip("this system does not tell the highest memory of a process:", err)
	}
	return peak(b)
}

// peak is the highest memory of this process since, in bytes.
func peak(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		b.Fatal(err)
	}
	return kb << 10
}

// BenchmarkReplace measures how long nobody is answered when a child is killed: until
// another one has compiled the policy and decided.
func BenchmarkReplace(b *testing.B) {
	platform, good := bundle(b, nil), authz(b, small)
	p := newPool(b, Config{Store: shelve(platform, good), Timeout: patient})
	mustAllow(b, p, "good", platform, good)
	var times []time.Duration
	for b.Loop() {
		p.lanes.slots[0].process.end()
		start := time.Now()
		mustAllow(b, p, "good", platform, good)
		times = append(times, time.Since(start))
	}
	p50, p99 := quantiles(times)
	b.ReportMetric(milliseconds(p50), "p50-ms")
	b.ReportMetric(milliseconds(p99), "p99-ms")
}

// BenchmarkChildMemory measures what a child grows by for each small policy, its
// collector's garbage included: what counts against its limit.
func BenchmarkChildMemory(b *testing.B) {
	const policies = 300
	platform := bundle(b, nil)
	for b.Loop() {
		store := shelve(platform)
		p := newPool(b, Config{Store: store, Timeout: patient})
		var before int64
		for i := range policies + 1 {
			own := authz(b, small+fmt.Sprintf("\nown := %d\n", i))
			store.bundles[own.Digest()] = own
			mustAllow(b, p, "acme", platform, own)
			if child := p.lanes.slots[0].process; i == 0 {
				before = resident(child.cmd.Process.Pid)
			}
		}
		grown := resident(p.lanes.slots[0].process.cmd.Process.Pid) - before
		b.ReportMetric(float64(grown)/policies/1000, "KB/policy")
		p.Close()
	}
	b.ReportMetric(0, "ns/op")
}
