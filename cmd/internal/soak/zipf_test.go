package soak

import (
	"math"
	"testing"
)

// exponent is how much more the first tenants are asked for than the others.
const exponent = 1.1

// zipfHits is the part of questions that a store with room for so many policies answers
// from memory, where n tenants are asked for in the pattern of rand.Zipf and the least
// recently used policy goes: Che's approximation. A policy stays for the time in which
// so many different ones are asked for.
func zipfHits(n, room int) float64 {
	if room >= n {
		return 1
	}
	shares, sum := make([]float64, n), 0.0
	for k := range shares {
		shares[k] = math.Pow(1+float64(k), -exponent)
		sum += shares[k]
	}
	for k := range shares {
		shares[k] /= sum
	}
	kept := func(questions float64) (policies, hits float64) {
		for _, p := range shares {
			there := -math.Expm1(-p * questions)
			policies += there
			hits += p * there
		}
		return policies, hits
	}
	low, high := 0.0, 1.0
	for policies, _ := kept(high); policies < float64(room); policies, _ = kept(high) {
		high *= 2
	}
	for range 60 {
		middle := (low + high) / 2
		if policies, _ := kept(middle); policies < float64(room) {
			low = middle
		} else {
			high = middle
		}
	}
	_, hits := kept(low)
	return hits
}

// TestZipfHits compares the approximation with what has been simulated once, with five
// million questions.
func TestZipfHits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n, room int
		want    float64
	}{{60, 20, 0.721}, {1000, 100, 0.673}, {1000, 300, 0.834}, {10, 10, 1}, {10, 20, 1}} {
		if got := zipfHits(tt.n, tt.room); math.Abs(got-tt.want) > 0.01 {
			t.Errorf("%d tenants, room for %d: %.3f, want %.3f", tt.n, tt.room, got, tt.want)
		}
	}
}
