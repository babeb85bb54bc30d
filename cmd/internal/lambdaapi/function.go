package lambdaapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrExited is returned for an event whose function ended before it answered.
var ErrExited = errors.New("the function's process ended")

// ErrTimedOut is returned for an event that was not answered by its deadline. The
// process has been killed, as Lambda does it.
var ErrTimedOut = errors.New("the function did not answer by its deadline")

// Config says what to run.
type Config struct {
	// Path is the bootstrap binary.
	Path string
	// Dir is its working directory, Lambda's /var/task. Empty is this process's own.
	Dir string
	// Env is added to the variables that Lambda sets. Nothing is inherited.
	Env []string
	// Timeout is the function's own; zero means 5 s.
	Timeout time.Duration
	// InitTimeout bounds the time until the first event is asked for; zero means the
	// 10 s that Lambda gives.
	InitTimeout time.Duration
}

// Function is a running function: one execution environment.
type Function struct {
	api     *api
	server  *http.Server
	cmd     *exec.Cmd
	timeout time.Duration
	ready   time.Duration
	stdout  output
	stderr  output
	gone    chan struct{}
	exit    error
}

// Start starts the process and waits until it asks for its first event. A process
// that ends before is an error with what it wrote to stderr.
func Start(c Config) (*Function, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Function{api: newAPI(), timeout: orDefault(c.Timeout, 5*time.Second), gone: make(chan struct{})}
	f.server = &http.Server{Handler: f.api.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(listener) }() // ends with Close, and says only that

	f.cmd = exec.Command(c.Path)
	f.cmd.Dir = c.Dir
	f.cmd.Env = append(environment(listener.Addr().String()), c.Env...)
	f.cmd.Stdout, f.cmd.Stderr = &f.stdout, &f.stderr
	// Whatever is in the function's group is frozen and killed with it; children in groups
	// of their own are looked for.
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := time.Now()
	if err := f.cmd.Start(); err != nil {
		_ = f.server.Close()
		return nil, err
	}
	go func() {
		f.exit = f.cmd.Wait()
		close(f.gone)
	}()
	if err := f.awaitInit(orDefault(c.InitTimeout, 10*time.Second)); err != nil {
		f.Close()
		return nil, err
	}
	f.ready = time.Since(start)
	return f, nil
}

func (f *Function) awaitInit(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-f.api.ready:
		return nil
	case <-f.gone:
		return fmt.Errorf("%w during init: %v\n%s", ErrExited, f.exit, f.stderr.String())
	case <-timer.C:
		return fmt.Errorf("init: no event asked for within %s\n%s", limit, f.stderr.String())
	}
}

// environment is what Lambda sets for a function on provided.al2023, apart from
// credentials.
func environment(addr string) []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + addr,
		"AWS_LAMBDA_FUNCTION_NAME=authorizer",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_REGION=eu-west-1",
		"LAMBDA_TASK_ROOT=/var/task",
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"_HANDLER=bootstrap",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
	}
}

// Invoke sends one event with the function's own timeout.
func (f *Function) Invoke(ctx context.Context, event []byte) (Reply, error) {
	return f.InvokeBy(ctx, event, time.Now().Add(f.timeout))
}

// InvokeBy sends one event that must be answered by a deadline. It returns
// ErrExited if the process ended, ErrTimedOut if it did not answer in time, and the
// context's error if that ended first.
func (f *Function) InvokeBy(ctx context.Context, event []byte, deadline time.Time) (Reply, error) {
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	reply, err := f.api.send(limited, f.api.add(event, deadline), f.gone)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		f.Kill()
		return Reply{}, ErrTimedOut
	}
	return reply, err
}

// InitDuration is how long the process took from its start to asking for the first
// event.
func (f *Function) InitDuration() time.Duration { return f.ready }

// Pid is the process's id.
func (f *Function) Pid() int { return f.cmd.Process.Pid }

// Stdout returns what the process has written to standard output so far. What it
// wrote before a reply may still be on its way; see AwaitLines.
func (f *Function) Stdout() string { return f.stdout.String() }

// AwaitLines waits until the process has written n whole lines to standard output
// and returns all there are.
func (f *Function) AwaitLines(ctx context.Context, n int) ([]string, error) {
	for {
		text, changed := f.stdout.watch()
		lines := strings.SplitAfter(text, "\n")
		if lines = lines[:len(lines)-1]; len(lines) >= n {
			return lines, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return lines, fmt.Errorf("%d of %d lines: %w", len(lines), n, ctx.Err())
		}
	}
}

// Stderr returns what the process has written to standard error so far.
func (f *Function) Stderr() string { return f.stderr.String() }

// Kill ends the process and its children at once and waits for the end.
func (f *Function) Kill() {
	// The only error is that the group has ended already.
	_ = f.signal(syscall.SIGKILL)
	<-f.gone
}

// Signal sends a signal to the process alone. Its error is that the process has ended.
func (f *Function) Signal(s os.Signal) error { return f.cmd.Process.Signal(s) }

// Wait waits for the process to end by itself and returns its exit error.
func (f *Function) Wait() error {
	<-f.gone
	return f.exit
}

// Close kills the process and closes the port.
func (f *Function) Close() {
	f.Kill()
	_ = f.server.Close()
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// output collects what a process writes while others read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// changed is closed by the next write; nil if nobody watches.
	changed chan struct{}
}

// Write appends p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.buf.Write(p)
}

// String returns everything written so far.
func (o *output) String() string {
	text, _ := o.watch()
	return text
}

// watch returns everything written so far and a channel that the next write closes.
func (o *output) watch() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return o.buf.String(), o.changed
}
