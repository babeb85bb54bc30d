// Package measure compares how long things take, on a machine that has other work
// too. It is for benchmarks only, and it says nothing about memory.
package measure

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Part is one thing to measure. Run returns an error unless it did what it is
// measured for, so that no benchmark measures a failure.
type Part struct {
	Name string
	Run  func() error
}

// InTurns runs parts in turns and returns the lower quartile of each one's times, in
// nanoseconds, by name; it reports them too. What else the machine does only ever
// adds, and it hits all alike, so ratios hold where times do not. One iteration of
// the benchmark is one round. The order changes, for who runs behind a part cleans up
// after it; and each runs once in a round, for a part longer than a time slice would
// be interrupted more often than a short one.
func InTurns(b *testing.B, parts []Part) map[string]float64 {
	b.Helper()
	samples := make(map[string][]float64, len(parts))
	round := func() {
		for _, i := range rand.Perm(len(parts)) {
			p, start := parts[i], time.Now()
			if err := p.Run(); err != nil {
				b.Fatalf("%s: %v", p.Name, err)
			}
			samples[p.Name] = append(samples[p.Name], float64(time.Since(start).Nanoseconds()))
		}
	}
	round() // warm up
	clear(samples)
	for b.Loop() {
		round()
	}
	times := make(map[string]float64, len(parts))
	for name, s := range samples {
		slices.Sort(s)
		times[name] = s[len(s)/4]
		b.ReportMetric(times[name], name+"-ns")
	}
	b.ReportMetric(0, "ns/op") // a round's time says nothing
	return times
}
