package engine_test

import (
	"math/rand/v2"
	"testing"
)

// FuzzPartition makes worlds of what the fuzzer finds, and holds their documents to
// their rules.
func FuzzPartition(f *testing.F) {
	for seed := range byte(30) {
		rng := rand.New(rand.NewPCG(uint64(seed), 4))
		data := make([]byte, 120)
		for i := range data {
			data[i] = byte(rng.IntN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newWorld(rand.New(&bytesSource{data: data, rest: rand.NewPCG(uint64(len(data)), 5)}))
		if v := w.check(t, rand.New(rand.NewPCG(uint64(len(data)), 6)), double{}); v != nil {
			t.Fatalf("%s\n%s", v, w.txtar())
		}
	})
}

// bytesSource takes random numbers from what the fuzzer made, as long as there is
// any.
type bytesSource struct {
	data []byte
	rest rand.Source
}

// Uint64 has the next byte in its upper and its lower bits: numbers below a power of
// two are taken from the lower ones.
func (s *bytesSource) Uint64() uint64 {
	if len(s.data) == 0 {
		return s.rest.Uint64()
	}
	b := uint64(s.data[0])
	s.data = s.data[1:]
	return b<<56 | b<<28 | b
}
