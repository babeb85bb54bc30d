package lambdaapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the function under test as well: started with BE_FUNCTION, the test
// binary speaks the Runtime API's client side, by hand, so that the protocol is
// checked and not one library's use of it.
func TestMain(m *testing.M) {
	switch os.Getenv("BE_FUNCTION") {
	case "":
		os.Exit(m.Run())
	case "broken":
		fmt.Fprintln(os.Stderr, "no configuration")
		os.Exit(3)
	case "slow":
		select {}
	}
	if err := function("http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func function(base string) error {
	for {
		resp, err := http.Get(base + "next")
		if err != nil {
			return err
		}
		event, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		path, body := "/response", string(event)
		switch string(event) {
		case `"deadline"`:
			body = resp.Header.Get("Lambda-Runtime-Deadline-Ms")
		case `"fail"`:
			path, body = "/error", `{"errorMessage":"Unauthorized","errorType":"errorString"}`
		case `"garbled"`:
			path, body = "/error", `no JSON`
		case `"environment"`:
			list, _ := json.Marshal(os.Environ())
			body = string(list)
		case `"log"`:
			fmt.Print("line one\nline ")
			fmt.Println("two")
		case `"child"`:
			pid, err := startChild()
			if err != nil {
				return err
			}
			body = strconv.Itoa(pid)
		case `"exit"`:
			os.Exit(1)
		case `"hang"`:
			select {}
		}
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		resp, err = http.Post(base+id+path, "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusAccepted {
			return fmt.Errorf("%s: %s, want 202", path, resp.Status)
		}
		_ = resp.Body.Close()
	}
}

// startChild starts a child that is in a group of its own, as the children are in which
// rules are evaluated, and does nothing.
func startChild() (pid int, err error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"BE_FUNCTION=slow"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid, nil
}

func start(t *testing.T) *Function {
	t.Helper()
	f, err := Start(Config{Path: executable(t), Env: []string{"BE_FUNCTION=yes"}, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	f := start(t)
	for i := range 3 {
		event := fmt.Sprintf(`{"n":%d}`, i)
		reply, err := f.Invoke(t.Context(), []byte(event))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(reply.Payload); got != event || reply.Error != nil {
			t.Errorf("got %q, %v; want %q back", got, reply.Error, event)
		}
	}
	if f.InitDuration() <= 0 {
		t.Errorf("the init took %s", f.InitDuration())
	}
}

func TestInvokeTellsTheDeadline(t *testing.T) {
	t.Parallel()
	deadline := time.Now().Add(20 * time.Second)
	reply, err := start(t).InvokeBy(t.Context(), []byte(`"deadline"`), deadline)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(reply.Payload), fmt.Sprint(deadline.UnixMilli()); got != want {
		t.Errorf("the function was told %s, want %s", got, want)
	}
}

func TestInvokeReturnsTheFunctionsError(t *testing.T) {
	t.Parallel()
	f := start(t)
	reply, err := f.Invoke(t.Context(), []byte(`"fail"`))
	if err != nil {
		t.Fatal(err)
	}
	if reply.Payload != nil || reply.Error == nil || reply.Error.Message != "Unauthorized" || reply.Error.Type != "errorString" {
		t.Errorf("got %+v", reply)
	}
	reply, err = f.Invoke(t.Context(), []byte(`"garbled"`))
	if err != nil {
		t.Fatal(err)
	}
	if reply.Error == nil || reply.Error.Type != "lambdaapi.BadErrorDocument" {
		t.Errorf("got %+v for an error document that is no JSON", reply)
	}
}

func TestInvokeInTurn(t *testing.T) {
	t.Parallel()
	f := start(t)
	errs := make(chan error)
	for i := range 8 {
		go func() {
			event := fmt.Sprintf(`{"n":%d}`, i)
			reply, err := f.Invoke(t.Context(), []byte(event))
			if err == nil && string(reply.Payload) != event {
				err = fmt.Errorf("got %s for %s", reply.Payload, event)
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestInvokeOfAProcessThatEnds(t *testing.T) {
	t.Parallel()
	f := start(t)
	if _, err := f.Invoke(t.Context(), []byte(`"exit"`)); !errors.Is(err, ErrExited) {
		t.Errorf("got %v, want %v", err, ErrExited)
	}
	if f.Wait() == nil {
		t.Error("the process ended without an error, want exit status 1")
	}
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrExited) {
		t.Errorf("afterwards: got %v, want %v", err, ErrExited)
	}
}

func TestInvokeBeyondTheDeadlineKills(t *testing.T) {
	t.Parallel()
	f := start(t)
	if _, err := f.InvokeBy(t.Context(), []byte(`"hang"`), time.Now().Add(100*time.Millisecond)); !errors.Is(err, ErrTimedOut) {
		t.Errorf("got %v, want %v", err, ErrTimedOut)
	}
	if f.Wait() == nil {
		t.Error("the process ended by itself, want it killed")
	}
}

func TestInvokeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.Invoke(ctx, []byte(`"hang"`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestNothingIsInherited(t *testing.T) {
	t.Parallel()
	reply, err := start(t).Invoke(t.Context(), []byte(`"environment"`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := json.Unmarshal(reply.Payload, &names); err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		if strings.HasPrefix(entry, "HOME=") || strings.HasPrefix(entry, "GO") {
			t.Errorf("the function sees %s of this process", entry)
		}
	}
	if want := "BE_FUNCTION=yes"; !strings.Contains(string(reply.Payload), want) {
		t.Errorf("the function does not see %s", want)
	}
}

func TestAwaitLines(t *testing.T) {
	t.Parallel()
	f := start(t)
	if _, err := f.Invoke(t.Context(), []byte(`"log"`)); err != nil {
		t.Fatal(err)
	}
	lines, err := f.AwaitLines(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(lines, "|"), "line one\n|line two\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.AwaitLines(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a line that is not there: got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	f := start(t)
	if err := f.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if reply, err := f.Invoke(ctx, []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen function answered %+v, %v", reply, err)
	}
	if err := f.Thaw(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Errorf("after the thaw: %v", err)
	}
	f.Kill()
	if err := f.Freeze(); err == nil {
		t.Error("a process that ended can be frozen")
	}
}

// TestChildren holds that a child in a group of its own is frozen, goes on and ends with
// the function.
func TestChildren(t *testing.T) {
	t.Parallel()
	f := start(t)
	if all := f.Children(); len(all) != 0 {
		t.Fatalf("the function has the children %+v before it starts one", all)
	}
	reply, err := f.Invoke(t.Context(), []byte(`"child"`))
	if err != nil {
		t.Fatal(err)
	}
	all := f.Children()
	if len(all) != 1 || strconv.Itoa(all[0].ID) != string(reply.Payload) {
		t.Fatalf("got the children %+v, want process %s", all, reply.Payload)
	}
	child := all[0]
	for range 3 {
		if err := f.Freeze(); err != nil {
			t.Fatal(err)
		}
		if state := child.State(); state != 'T' {
			t.Errorf("frozen: the child's state is %q", state)
		}
		if err := f.Thaw(); err != nil {
			t.Fatal(err)
		}
		awaitState(t, "after the thaw", child, func(state byte) bool { return state != 'T' && state != 0 })
	}
	if err := f.Freeze(); err != nil {
		t.Fatal(err)
	}
	f.Kill()
	awaitState(t, "after the end", child, func(state byte) bool { return state == 0 })
	if all := f.Children(); len(all) != 0 {
		t.Errorf("a function that ended has the children %+v", all)
	}
}

// awaitState waits until a process is in a state: a signal takes effect a moment after
// it is sent.
func awaitState(t *testing.T, when string, p Process, as func(byte) bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !as(p.State()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: the child's state is %q", when, p.State())
		}
	}
}

func TestStartReportsABrokenInit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		mode string
		want string
	}{
		{"it exits", "broken", "no configuration"},
		{"it never asks", "slow", "no event asked for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(Config{Path: executable(t), Env: []string{"BE_FUNCTION=" + tt.mode}, InitTimeout: 500 * time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := Start(Config{Path: "/nonexistent"}); err == nil {
		t.Error("a binary that is not there was started")
	}
}

func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	f := start(t)
	base := "http://" + strings.TrimPrefix(f.cmd.Env[0], "AWS_LAMBDA_RUNTIME_API=") + "/2018-06-01/runtime/"
	tests := []struct {
		name string
		path string
		want int
	}{
		{"an answer to nothing", "invocation/none/response", http.StatusBadRequest},
		{"an error to nothing", "invocation/none/error", http.StatusBadRequest},
		{"another path", "invocation/none/other", http.StatusNotFound},
		{"an init error is taken", "init/error", http.StatusAccepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, err := http.Post(base+tt.path, "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tt.want {
				t.Errorf("got %d, want %d", resp.StatusCode, tt.want)
			}
		})
	}
}
