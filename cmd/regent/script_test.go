package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"regent/engine/rules/ruletest"
	"regent/engine/rules/sandbox"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/script")

// TestMain lets scripts run the real main as `exec regent`.
func TestMain(m *testing.M) {
	sandbox.Main()
	ruletest.Main()
	traceMain()
	testscript.Main(m, map[string]func(){"regent": main, "soon": soon})
}

// ended is how long a verb may take over rules that never end: 5 s, and more where the
// machine is busy. What it must not do takes hours.
const ended = 15 * time.Second

// soon is the program `soon STATUS PROGRAM ARG...`: it succeeds if the program ends in time
// and with that status, and kills it otherwise.
func soon() {
	ctx, cancel := context.WithTimeout(context.Background(), ended)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	_ = cmd.Run() // the state has the status; without one it could not be started
	switch status := strconv.Itoa(cmd.ProcessState.ExitCode()); {
	case ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "soon: no end within %s\n", ended)
	case status != os.Args[1]:
		fmt.Fprintf(os.Stderr, "soon: the status is %s, want %s\n", status, os.Args[1])
	default:
		return
	}
	os.Exit(1)
}

// bombs is where the hostile policies are, for scripts.
const bombs = "../../engine/rules/testdata/bombs"

// setBombs sets $BOMBS.
func setBombs(env *testscript.Env) error {
	path, err := filepath.Abs(bombs)
	env.Setenv("BOMBS", path)
	return err
}

// TestScript runs testdata/script: the command line through its real surface. The
// first word of a script's name is the verb that it tests.
func TestScript(t *testing.T) {
	t.Parallel()
	const scripts = "testdata/script"
	testscript.Run(t, testscript.Params{
		Files:               scriptsIn(t, scripts),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// The machine may be busy; scripts about the limit set it themselves.
			env.Setenv("REGENT_EVAL_TIMEOUT", "5s")
			env.Setenv("GORACE", noSleep)
			return setBombs(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "await": cmdAwait, "end": cmdEnd, "http": cmdHTTP,
			"normalize": cmdNormalize, "append": cmdAppend, "mode": cmdMode, "fill": cmdFill,
		},
	})
}

// scriptsIn are the scripts of a directory. Those about rules that have to be ended take
// many times as long under the race detector, which finds nothing in a child: the step "wall"
// has them.
func scriptsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	if underRace {
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_ended.txtar") })
	}
	return files
}

// noSleep, as $GORACE, keeps a program with the race detector from sleeping for a second
// when it ends.
const noSleep = "atexit_sleep_ms=0"

// patience for what must come at once on any machine.
const atMost = 30 * time.Second

// process is a `regent serve` in the background.
type process struct {
	cmd *exec.Cmd
	// out is everything that it writes, for those who wait.
	out            transcript
	stdout, stderr bytes.Buffer
	exited         chan struct{}
}

// cmdServe is `serve ARG...`: it starts `regent serve ARG...`, waits until it is
// ready, and sets $ID for every API to its address.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("use ! exec regent serve")
	}
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command("regent", append([]string{"serve"}, args...)...)
	// testscript puts a copy of the test binary called regent on its PATH.
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if name := filepath.Join(dir, "regent"); isFile(name) {
			p.cmd = exec.Command(name, append([]string{"serve"}, args...)...)
			break
		}
	}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "REGENT_EVAL_TIMEOUT="+ts.Getenv("REGENT_EVAL_TIMEOUT"), "NO_COLOR=1")
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(&p.out, &p.stdout), io.MultiWriter(&p.out, &p.stderr)
	ts.Check(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // the state has the status
		close(p.exited)
	}()
	ts.Defer(func() { _ = p.cmd.Process.Kill() })
	processes.Store(ts, p)
	// The two lines may come in either order, for they come through two pipes.
	for _, want := range []*regexp.Regexp{regexp.MustCompile(`ready; serving|"event":"ready"`), addresses} {
		p.await(ts, want)
		p.out.rewind()
	}
	for _, found := range addresses.FindAllStringSubmatch(p.out.String(), -1) {
		ts.Setenv(found[1]+found[3], found[2]+found[4])
	}
}

var (
	// addresses are found in the table, or in the JSON line.
	addresses = regexp.MustCompile(`(?:(\w+) +(?:rest|http|websocket) +(?:http|ws)://(\S+))|(?:"id":"(\w+)","kind":"\w+","address":"(?:http|ws)://([^"]+)")`)
	// processes holds the server of each script.
	processes sync.Map
)

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func running(ts *testscript.TestScript) *process {
	p, ok := processes.Load(ts)
	if !ok {
		ts.Fatalf("no serve is running")
	}
	return p.(*process)
}

// await waits until the output has a match, and forgets what came before its end.
func (p *process) await(ts *testscript.TestScript, want *regexp.Regexp) {
	deadline := time.After(atMost)
	for {
		changed := p.out.changed()
		if p.out.consume(want) {
			return
		}
		select {
		case <-changed:
		case <-p.exited:
			if !p.out.consume(want) {
				ts.Fatalf("serve ended without %q:\n%s", want, p.out.String())
			}
			return
		case <-deadline:
			ts.Fatalf("no %q within %s:\n%s", want, atMost, p.out.String())
		}
	}
}

// cmdAwait is `await REGEXP`: it waits until serve writes a match, after those that
// were awaited before.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await REGEXP")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	running(ts).await(ts, want)
}

// cmdEnd is `end SIGNAL`: it ends serve, checks that it ends with status 0, and
// leaves what it wrote in the files serve.out and serve.err.
func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: end INT|TERM")
	}
	p := running(ts)
	ts.Check(p.cmd.Process.Signal(signals[args[0]]))
	select {
	case <-p.exited: // and with it the copying of its output
	case <-time.After(atMost):
		ts.Fatalf("serve does not end:\n%s", p.out.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs("serve.out"), p.stdout.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("serve.err"), p.stderr.Bytes(), 0o600))
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("serve ended with status %d:\n%s", code, p.out.String())
	}
}

var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}

// transcript is what a process has written, for those who wait for it.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	// seen is how much has been consumed.
	seen int
	wake chan struct{}
}

// Write adds to the transcript.
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake != nil {
		close(o.wake)
		o.wake = nil
	}
	return o.text.Write(p)
}

// changed is closed at the next Write.
func (o *transcript) changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		o.wake = make(chan struct{})
	}
	return o.wake
}

func (o *transcript) consume(want *regexp.Regexp) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := want.FindIndex(o.text.Bytes()[o.seen:])
	if at == nil {
		return false
	}
	o.seen += at[1]
	return true
}

// rewind makes everything that was consumed count again.
func (o *transcript) rewind() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = 0
}

// String is everything that was written.
func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// cmdHTTP is `http STATUS METHOD URL [NAME:VALUE...]`: it sends a request, checks the
// status, and leaves the body in the file body. A value @FILE is the file's content.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD URL [NAME:VALUE...]")
	}
	req, err := http.NewRequest(args[1], args[2], nil)
	ts.Check(err)
	for _, header := range args[3:] {
		name, value, _ := strings.Cut(header, ":")
		if file, ok := strings.CutPrefix(value, "@"); ok {
			value = strings.TrimSpace(ts.ReadFile(file))
		}
		if strings.EqualFold(name, "host") {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: atMost, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("%s %s: got status %d, want %s: %s", args[1], args[2], res.StatusCode, args[0], body)
	}
}

// volatile is what differs from run to run, and what stands for it in golden files.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`"(duration_ns|ms|timer_\w+)": ?[0-9.]+`), `"$1": 0`},
	{regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+\.[\w-]+`), "TOKEN"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`"(exp|iat)": \d+`), `"$1": 0`},
	{regexp.MustCompile(`"subject": "[0-9a-f]{16}"`), `"subject": "MASKED"`},
	{regexp.MustCompile(`\b20[2-9][0-9]-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\.localhost:\d+`), ".localhost:PORT"},
	{regexp.MustCompile(`"(version|revision|go|opa|platform)": "[^"]*"`), `"$1": "..."`},
	{regexp.MustCompile(`(passed|failed) in [0-9.]+(ns|µs|ms|s)\b`), "$1 in DURATION"},
	{regexp.MustCompile(`"jti": "[^"]*"`), `"jti": "..."`},
}

// cmdNormalize is `normalize FILE [OUT]`: it replaces what differs from run to run.
func cmdNormalize(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: normalize FILE [OUT]")
	}
	text := ts.ReadFile(args[0])
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[len(args)-1]), []byte(text), 0o600))
}

// cmdAppend is `append FILE TEXT`: it adds a line to a file in one write.
func cmdAppend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append FILE TEXT")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString(args[1] + "\n")
	ts.Check(err)
	ts.Check(f.Close())
}

// cmdMode is `mode FILE OCTAL`: it checks a file's permission bits.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// cmdFill is `fill FILE TOKEN`: it puts the content of the file TOKEN in place of the
// word CREDENTIAL in a file.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE TOKEN")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "CREDENTIAL", strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
