package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
)

// BenchmarkStart measures from the start of the process to its asking for the first
// event, against the least that an authorizer with OPA and the SDK is, and to its first
// and second answers. The programs take turns, so that a busy machine slows all.
// DESIGN.md §14: at most twice the bare one.
func BenchmarkStart(b *testing.B) {
	function := bootstrap(b)
	bare := filepath.Join(b.TempDir(), "bare")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "lambda.norpc", "-o", bare, "./testdata/bare")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+runtime.GOARCH)
	if text, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	is, err := devissuer.New()
	if err != nil {
		b.Fatal(err)
	}
	env := []string{"REGENT_STORE=dir:" + workspace(b, is, "https://idp.slow.example/keys"), "REGENT_EVAL_TIMEOUT=5s"}
	request := event("api.acme.example", "a1b2c3", "GET", "/orders", mint(b, is, issuer, time.Now().Add(time.Hour)))

	var least, isolated, inProcess, first, second []time.Duration
	run := func(c lambdaapi.Config, starts *[]time.Duration, answers bool) {
		f, err := lambdaapi.Start(c)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		*starts = append(*starts, f.InitDuration())
		for _, times := range []*[]time.Duration{&first, &second} {
			if !answers {
				return
			}
			start := time.Now()
			if reply, err := f.Invoke(b.Context(), request); err != nil || reply.Error != nil {
				b.Fatal(err, reply.Error)
			}
			*times = append(*times, time.Since(start))
		}
	}
	for b.Loop() {
		run(lambdaapi.Config{Path: bare}, &least, false)
		run(lambdaapi.Config{Path: function, Env: env}, &isolated, true)
		run(lambdaapi.Config{Path: function, Env: append(slices.Clone(env), "REGENT_ISOLATION=none")}, &inProcess, false)
	}
	ms := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/4].Microseconds()) / 1000 // the lower quartile
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(least), "bare-ms")
	b.ReportMetric(ms(inProcess), "in-process-ms")
	b.ReportMetric(ms(isolated), "start-ms")
	b.ReportMetric(ms(isolated)/ms(least), "start/bare")
	b.ReportMetric(ms(first), "first-ms")
	b.ReportMetric(ms(second), "second-ms")
	b.ReportMetric(megabytes(b, bare), "bare-MB")
	b.ReportMetric(megabytes(b, function), "function-MB")
}

func megabytes(b *testing.B, file string) float64 {
	b.Helper()
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
