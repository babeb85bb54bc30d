package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
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
	files := workspace(b, is, string(is.JWKS()))
	env := []string{"REGENT_STORE=dir:" + files, "REGENT_EVAL_TIMEOUT=5s"}
	table := dynamotest.Table(b)
	storetest.Fill(b, dynamotest.OpenAt(b, dynamotest.Endpoint(b), dynamo.Options{Table: table, Administer: true}), seed(b, files))
	tableEnv := append(dynamotest.Environment(dynamotest.Endpoint(b)), "REGENT_STORE=dynamodb:"+table, "REGENT_EVAL_TIMEOUT=5s")
	expires := time.Now().Add(time.Hour)
	request := event("api.acme.example", "a1b2c3", "GET", "/orders", mint(b, is, issuer, expires))
	other := event("api.slow.example", "a1b2c3", "GET", "/orders", mint(b, is, "https://idp.slow.example", expires))

	var least, isolated, inProcess, fromTable, first, second, cold, next []time.Duration
	run := func(c lambdaapi.Config, starts *[]time.Duration, answers ...answer) {
		f, err := lambdaapi.Start(c)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		*starts = append(*starts, f.InitDuration())
		for _, a := range answers {
			start := time.Now()
			reply, err := f.Invoke(b.Context(), a.event)
			if err != nil || !bytes.Contains(reply.Payload, []byte(`"Allow"`)) {
				b.Fatalf("%v, %v, %s", err, reply.Error, reply.Payload)
			}
			*a.times = append(*a.times, time.Since(start))
		}
	}
	for b.Loop() {
		run(lambdaapi.Config{Path: bare}, &least)
		run(lambdaapi.Config{Path: function, Env: env}, &isolated, answer{request, &first}, answer{request, &second})
		run(lambdaapi.Config{Path: function, Env: append(slices.Clone(env), "REGENT_ISOLATION=none")}, &inProcess)
		run(lambdaapi.Config{Path: function, Env: tableEnv}, &fromTable, answer{request, &cold}, answer{other, &next})
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
	b.ReportMetric(ms(fromTable), "table-start-ms")
	b.ReportMetric(ms(cold), "table-first-ms")
	b.ReportMetric(ms(next), "table-next-tenant-ms")
	b.ReportMetric(megabytes(b, bare), "bare-MB")
	b.ReportMetric(megabytes(b, function), "function-MB")
}

// answer is an event, and where the time of its answer goes.
type answer struct {
	event []byte
	times *[]time.Duration
}

func megabytes(b *testing.B, file string) float64 {
	b.Helper()
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
