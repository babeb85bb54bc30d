package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"regent/cmd/internal/devissuer"
	"regent/cmd/internal/lambdaapi"
)

// testTerminated holds that a function which is told to end with an event in flight ends
// at once, by the signal: its caller gets an error, every line that it wrote is whole,
// and its children end with it (OPS-02).
func testTerminated(t *testing.T, path string) {
	t.Parallel()
	is, err := devissuer.New()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	root := workspace(t, is, hanging.URL+"/keys")
	writeTenant(t, root, "failing", "active", keyProvider("https://idp.failing.example", string(is.JWKS())))
	writeFailing(t, root)
	later := time.Now().Add(time.Hour)
	token := mint(t, is, "https://idp.failing.example", later)
	// The event before has the rules compiled.
	before := event("api.failing.example", "a1b2c3", "GET", "/orders/17", token)
	tests := []struct {
		name     string
		event    []byte
		inFlight func(child lambdaapi.Process, used time.Duration) bool // of the processor, before
	}{
		{
			"a provider is asked",
			event("api.slow.example", "a1b2c3", "GET", "/orders/17", mint(t, is, "https://idp.slow.example", later)),
			func(lambdaapi.Process, time.Duration) bool { return len(asked) > 0 },
		},
		{
			"rules are evaluated",
			event("api.failing.example", "a1b2c3", "GET", "/orders/loop", token),
			func(child lambdaapi.Process, used time.Duration) bool { return child.Used() > used+30*time.Millisecond },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := lambdaapi.Start(lambdaapi.Config{
				Path: path, Dir: root, Env: []string{"REGENT_STORE=dir:.", "REGENT_ALLOW_PRIVATE_PROVIDERS=true", "REGENT_EVAL_TIMEOUT=5s"},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.Close)
			deadline := time.Now().Add(10 * time.Second)
			if _, err := f.InvokeBy(t.Context(), before, deadline); err != nil {
				t.Fatal(err)
			}
			children := f.Children()
			used := children[0].Used()
			answered := make(chan error, 1)
			go func() {
				_, err := f.InvokeBy(t.Context(), tt.event, deadline)
				answered <- err
			}()
			for !tt.inFlight(children[0], used) && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			if err := f.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-answered; !errors.Is(err, lambdaapi.ErrExited) {
				t.Errorf("the event came to %v, want %v", err, lambdaapi.ErrExited)
			}
			checkTerminated(t, f)
			awaitEnd(t, children)
		})
	}
}

// checkTerminated holds that a function ended by the signal and wrote whole lines: one
// for the event before.
func checkTerminated(t *testing.T, f *lambdaapi.Function) {
	t.Helper()
	var exit *exec.ExitError
	if err := f.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want the signal", err)
	}
	if n := len(records(t, f.Stdout())); n != 1 || !strings.HasSuffix(f.Stdout(), "\n") {
		t.Errorf("the log has %d lines, want 1 and no part of another: %q", n, f.Stdout())
	}
	if n := len(objects(t, f.Stderr())); n == 0 || !strings.HasSuffix(f.Stderr(), "\n") {
		t.Errorf("messages: %q", f.Stderr())
	}
}
