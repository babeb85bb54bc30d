package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
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

// BenchmarkNeighbours measures what a tenant notices of another: one that uses up its
// time continuously, one that has to be killed, and one with a burst of quick requests.
// Rounds with and without it take turns, so that a busy machine slows both. DESIGN.md
// §14: p99 at most twice what it is alone.
func BenchmarkNeighbours(b *testing.B) {
	platform, good := bundle(b, nil), authz(b, small)
	for _, noise := range []struct {
		name    string
		rules   tenants.Bundle
		callers int
	}{
		{"burning", authz(b, nested), 1},
		{"burning by many", authz(b, nested), 16},
		{"killed", authz(b, deaf()), 4},
		{"burst", authz(b, small+"\nother := true\n"), 16},
	} {
		b.Run(noise.name, func(b *testing.B) {
			p := newPool(b, Config{Store: shelve(platform, good, noise.rules), Children: max(2, runtime.NumCPU())})
			for range 2 * provenAfter {
				mustAllow(b, p, "good", platform, good)
			}
			trouble := 0
			// Requests come at a pace, as those of a gateway do.
			round := func(times *[]time.Duration) {
				for range 200 {
					start := time.Now()
					d, err := decide(b, p, "good", platform, good)
					if err != nil {
						trouble++
					} else if !d.Allow {
						b.Fatal("a no")
					}
					*times = append(*times, time.Since(start))
					time.Sleep(time.Millisecond)
				}
			}
			var alone, beside []time.Duration
			// What the round before left behind, children that start or compile anew, is not
			// measured.
			settle := func() {
				p.background.Wait()
				for range 50 {
					_, _ = decide(b, p, "good", platform, good)
				}
			}
			for b.Loop() {
				settle()
				round(&alone)
				stop := make(chan struct{})
				var callers sync.WaitGroup
				for range noise.callers {
					callers.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
								_, _ = decide(b, p, "noisy", platform, noise.rules)
								time.Sleep(time.Millisecond) // a loop would measure Go's scheduler
							}
						}
					})
				}
				settle()
				round(&beside)
				close(stop)
				callers.Wait()
			}
			b.ReportMetric(0, "ns/op")
			p50, p99 := quantiles(alone)
			p50beside, p99beside := quantiles(beside)
			b.ReportMetric(float64(p50.Microseconds()), "alone-p50-µs")
			b.ReportMetric(float64(p99.Microseconds()), "alone-p99-µs")
			b.ReportMetric(float64(p50beside.Microseconds()), "beside-p50-µs")
			b.ReportMetric(float64(p99beside.Microseconds()), "beside-p99-µs")
			b.ReportMetric(float64(p99beside)/float64(p99), "p99-ratio")
			b.ReportMetric(float64(trouble), "trouble")
		})
	}
}

// BenchmarkHostile measures the time to an answer of every hostile policy, without
// filters and with a fresh tenant each time, and what this process grows by. DESIGN.md
// §14: 100 ms and 32 MB.
func BenchmarkHostile(b *testing.B) {
	bombs := readBombs(b)
	platform := bundle(b, nil)
	store := shelve(platform)
	p := newPool(b, Config{Store: store, command: unguardedCommand(b)})
	before, most := resident(os.Getpid()), int64(0)
	var times []time.Duration
	for b.Loop() {
		for i, bomb := range bombs {
			revision, err := bomb.Bundle()
			if err != nil {
				b.Fatal(err)
			}
			store.bundles[revision.Digest()] = revision
			policy, err := p.Load(b.Context(), fmt.Sprint(i), platform.Digest(), revision.Digest())
			if err != nil {
				continue
			}
			start := time.Now()
			_, _ = policy.Decide(b.Context(), askedInput("x"), start)
			times = append(times, time.Since(start))
			most = max(most, resident(os.Getpid())-before)
		}
	}
	p50, p99 := quantiles(times)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(p50.Milliseconds()), "p50-ms")
	b.ReportMetric(float64(p99.Milliseconds()), "p99-ms")
	b.ReportMetric(float64(times[len(times)-1].Milliseconds()), "max-ms")
	b.ReportMetric(float64(most>>20), "grown-MB")
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
	b.ReportMetric(float64(p50.Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(p99.Microseconds())/1000, "p99-ms")
}
