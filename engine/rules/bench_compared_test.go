package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"regent/internal/measure"
)

// BenchmarkCompared is one decision of the small policy, as Regent makes it and as
// others do: with one prepared query of OPA that is asked for allow alone, with the
// policy compiled for each request, and by asking an OPA server over loopback.
func BenchmarkCompared(b *testing.B) {
	p, in, at := small(b), request(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ask := opaServer(b)
	text, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		b.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(smallData), &data); err != nil {
		b.Fatal(err)
	}
	source := []func(*rego.Rego){rego.Query("data.authz.allow"), rego.Module("authz.rego", rbac), rego.Store(inmem.NewFromObject(data))}
	query, err := rego.New(source...).PrepareForEval(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	t := measure.InTurns(b, []measure.Part{
		{Name: "regent", Run: func() error {
			d, err := p.Decide(b.Context(), in, at)
			if err == nil && !d.Allow {
				err = fmt.Errorf("denied: %v", d.Reasons)
			}
			return err
		}},
		{Name: "prepared", Run: func() error { return allowed(query.Eval(b.Context(), rego.EvalInput(doc), rego.EvalTime(at))) }},
		{Name: "compiled", Run: func() error {
			return allowed(rego.New(slices.Concat(source, []func(*rego.Rego){rego.Input(doc)})...).Eval(b.Context()))
		}},
		{Name: "server", Run: func() error { return ask(text) }},
	})
	b.ReportMetric(t["regent"]/t["prepared"], "regent/prepared")
	b.ReportMetric(t["compiled"]/t["regent"], "compiled/regent")
	b.ReportMetric(t["server"]/t["regent"], "server/regent")
}

func allowed(rs rego.ResultSet, err error) error {
	if err == nil && !rs.Allowed() {
		err = errors.New("denied")
	}
	return err
}

// opaServer starts OPA's own server with the small policy, and returns what asks it.
func opaServer(b *testing.B) func(input []byte) error {
	b.Helper()
	out, err := exec.Command("../../.ci/opa").Output()
	if err != nil {
		b.Fatalf("building OPA: %v", err)
	}
	dir := b.TempDir()
	for name, text := range map[string]string{"authz.rego": rbac, "data.json": smallData} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	addr := freeAddress(b)
	cmd := exec.Command(strings.TrimSpace(string(out)), "run", "--server", "--addr", addr, "--skip-version-check", "--log-level", "error", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	await(b, addr)
	url := "http://" + addr + "/v1/data/authz/allow"
	return func(input []byte) error {
		resp, err := http.Post(url, "application/json", bytes.NewReader(slices.Concat([]byte(`{"input":`), input, []byte("}"))))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && !bytes.Contains(text, []byte(`"result":true`)) {
			err = fmt.Errorf("answer %s", text)
		}
		return err
	}
}

// freeAddress is one that nobody listened on a moment ago: OPA does not tell which
// port it took by itself.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits until the server says that it is well.
func await(b *testing.B, addr string) {
	b.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/health")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	b.Fatal("OPA's server does not start")
}
