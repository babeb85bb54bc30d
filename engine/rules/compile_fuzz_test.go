package rules_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"regent/engine/rules"
	"regent/engine/rules/corpus"
	"regent/tenants"
)

// fuzzBytes bounds a fuzzed module, fuzzTime the time to an answer, and fuzzHeap what
// is allocated for it. The time is that of a busy machine with the code instrumented: at
// the limits compiling takes 0.3 s, and a module that somebody wrote 30 ms and 6 MB. With
// the race detector everything takes ten times as long.
const (
	fuzzBytes = 8 << 10
	fuzzTime  = 2 * time.Second
	fuzzHeap  = 96 << 20
)

// timeToAnswer is fuzzTime, as it is with the race detector where that is on.
func timeToAnswer() time.Duration {
	if raceEnabled {
		return 10 * fuzzTime
	}
	return fuzzTime
}

// FuzzCompile compiles modules that nobody wrote. Whatever they are, there is an
// answer in time, of bounded size and with bounded memory, and what is refused says where. They are not
// evaluated: what compiles may still need a process of its own.
func FuzzCompile(f *testing.F) {
	// A fuzzer runs all of its seeds before the first input of its own, slowly: a few
	// of each kind are enough to mutate, and the others have tests of their own.
	for i, seed := range fuzzSeeds(f) {
		if len(seed) <= fuzzBytes && i%8 == 0 {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		if len(module) > fuzzBytes {
			t.Skip()
		}
		bundle, err := tenants.NewBundle([]tenants.File{{Path: "policy.rego", Content: module}})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		result := make(chan error, 1)
		go func() {
			_, err := rules.Compile(t.Context(), tenants.Bundle{}, bundle, rules.Options{})
			result <- err
		}()
		select {
		case err = <-result:
		case <-time.After(timeToAnswer()):
			t.Fatalf("no answer after %v", timeToAnswer())
		}
		runtime.ReadMemStats(&after)
		// Nothing else runs: what was allocated is the compiler's.
		if size := after.TotalAlloc - before.TotalAlloc; size > fuzzHeap {
			t.Errorf("compiling allocated %d MB, the bound is %d MB", size>>20, fuzzHeap>>20)
		}
		if err == nil {
			return
		}
		ps, ok := rules.IsProblems(err)
		if !ok || len(ps) == 0 {
			t.Fatalf("refused without a problem: %v", err)
		}
		if len(err.Error()) > 32<<10 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
		for _, p := range ps {
			if p.File == "" || p.Code == "" || p.Message == "" {
				t.Errorf("problem %+v says too little", p)
			}
		}
	})
}

// fuzzSeeds are the hostile and the ordinary policies, the cases of decisions, and
// some of OPA's conformance cases.
func fuzzSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	var seeds [][]byte
	bombs, err := corpus.Bombs("testdata/bombs")
	if err != nil {
		tb.Fatal(err)
	}
	for _, b := range bombs {
		seeds = append(seeds, b.Rego)
	}
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no policies: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range txtar.Parse(content).Files {
			if filepath.Ext(f.Name) == ".rego" {
				seeds = append(seeds, f.Data)
			}
		}
	}
	conformance, err := corpus.Cases(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for i, c := range conformance {
		if files := c.Bundle.Files(); i%60 == 0 {
			seeds = append(seeds, slices.Clone(files[len(files)-1].Content))
		}
	}
	return seeds
}
