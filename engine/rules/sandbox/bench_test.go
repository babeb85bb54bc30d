package sandbox

import (
	"slices"
	"testing"
	"time"

	"regent/engine"
	"regent/engine/rules"
)

func BenchmarkChild(b *testing.B) {
	platform, tenant := bundle(b, nil), authz(b, small)
	store := shelve(platform, tenant)
	direct, err := rules.Compile(b.Context(), platform, tenant, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	pool := newPool(b, Config{Store: store, Timeout: patient})
	in, now := askedInput("acme"), time.Now()
	for _, way := range []struct {
		name string
		load func() (engine.Policy, error)
	}{
		{"process", func() (engine.Policy, error) { return direct, nil }},
		{"child", func() (engine.Policy, error) {
			return pool.Load(b.Context(), "acme", platform.Digest(), tenant.Digest())
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				p, err := way.load()
				if err != nil {
					b.Fatal(err)
				}
				d, err := p.Decide(b.Context(), in, now)
				if err != nil || !d.Allow {
					b.Fatal(d, err)
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}
