//go:build linux

package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"regent/tenants"
)

// probeArgument starts the test binary as a child that says what it has.
const probeArgument = "probing-child"

// belongings are what a child has of the machine.
type belongings struct {
	Environment []string
	Directory   string
	// Files are the targets of its descriptors beyond the three pipes.
	Files  []string
	Limits map[string]uint64
	// Dumpable is 0 where others of the same user may not look into it.
	Dumpable int
	// Privileged are its threads that may get more privileges.
	Privileged []string
	Stack      int
}

func runProbe() int {
	if err := confine(configuration{memory: MinMemory}); err != nil {
		return 2
	}
	b := belongings{Environment: os.Environ(), Limits: map[string]uint64{}, Stack: debug.SetMaxStack(maxStack)}
	b.Directory, _ = os.Getwd()
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if n, _ := strconv.Atoi(e.Name()); n > 2 && err == nil {
			b.Files = append(b.Files, target)
		}
	}
	for name, resource := range map[string]int{"data": unix.RLIMIT_DATA, "core": unix.RLIMIT_CORE, "files": unix.RLIMIT_NOFILE, "size": unix.RLIMIT_FSIZE} {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			b.Limits[name] = l.Max
		}
	}
	b.Dumpable, _ = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	b.Privileged = privileged()
	if json.NewEncoder(os.Stdout).Encode(b) != nil {
		return 2
	}
	return 0
}

// privileged lists the threads of this process without no_new_privs.
func privileged() []string {
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	found := []string{}
	for _, name := range threads {
		// A thread that has ended since is none.
		if text, err := os.ReadFile(name); err == nil && !strings.Contains(string(text), "NoNewPrivs:\t1") {
			found = append(found, name)
		}
	}
	if len(threads) == 0 {
		found = append(found, "nothing is known of threads")
	}
	return found
}

// TestBelongings holds that a child has nothing of its parent's: no variable, no
// descriptor, and the limits that it was given (REG-13).
func TestBelongings(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary")
	t.Setenv("REGENT_STORE", "canary")
	// A descriptor that this process was started with has no close-on-exec.
	leak, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(leak)
	file, err := self()
	if err != nil {
		t.Fatal(err)
	}
	p, err := spawn([]string{file, "regent", probeArgument, "-"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.end()
	text, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	var b belongings
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(b.Environment) > 0 || b.Directory != "/" || strings.Contains(string(text), "canary") {
		t.Errorf("the environment is %q, the directory %s", b.Environment, b.Directory)
	}
	for _, f := range b.Files {
		// What Go's runtime opens, and what this probe reads the directory with.
		if !strings.HasPrefix(f, "anon_inode:") && !strings.HasPrefix(f, "/proc/") && !strings.HasPrefix(f, "/sys/fs/cgroup") {
			t.Errorf("%s is open", f)
		}
	}
	want := map[string]uint64{"data": MinMemory, "core": 0, "files": 32, "size": 0}
	if underRace {
		delete(want, "data")
	}
	for name, limit := range want {
		if got, ok := b.Limits[name]; !ok || got != limit {
			t.Errorf("the limit on %s is %d, want %d", name, got, limit)
		}
	}
	if len(b.Privileged) > 0 {
		t.Errorf("threads with privileges: %v", b.Privileged)
	}
	if b.Dumpable != 0 || b.Stack != maxStack {
		t.Errorf("dumpable %d, stack %d", b.Dumpable, b.Stack)
	}
	// Nor may it look at its parent, whose environment has credentials.
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("this process is dumpable %d, %v", dumpable, err)
	}
}

// TestParentEnds holds that a child that waits for a question ends with its input.
func TestParentEnds(t *testing.T) {
	t.Parallel()
	command, err := ownCommand()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(command, configuration{memory: DefaultMemory, capacity: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	p.to.Close() // as the system does for a parent that ended
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with status %d", code)
	}
	p.end()
}

// parentArgument starts the test binary as a parent that says which its child is, while that
// works on a question without an end.
const parentArgument = "parent-of-a-child"

func runParent() int {
	command, err := ownCommand()
	if err != nil {
		return 2
	}
	p, err := startProcess(command, configuration{memory: DefaultMemory, capacity: 1}, false)
	if err != nil {
		return 2
	}
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		return 2
	}
	tenant, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\n" + nested)}})
	if err != nil {
		return 2
	}
	k := pairKey{platform.Digest(), tenant.Digest()}
	if fault, err := p.load(k, load{tenant: tenant.Files()}); fault != nil || err != nil {
		return 2
	}
	w := newFrame()
	w.question(question{pair: k, timeout: time.Hour})
	if w.input(askedInput("acme")) != nil {
		return 2
	}
	fmt.Println(p.cmd.Process.Pid)
	_, _ = p.exchange(opDecide, w, maxDecision, budget{time: time.Hour})
	return 2
}

// TestParentIsKilled holds that a child that works ends with its parent, however that ends
// (Pdeathsig).
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	parent := exec.Command("/proc/self/exe", parentArgument, "-")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	_, err = fmt.Fscan(out, &pid)
	if err == nil {
		awaitWork(t, pid)
	}
	_ = parent.Process.Kill() // its one error is that it has ended
	_ = parent.Wait()         // it was killed
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); lives(pid); time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatal("the child outlives its parent")
		}
	}
}

// awaitWork waits until a process has used some of a processor.
func awaitWork(t *testing.T, pid int) {
	t.Helper()
	used := processorTime(pid)
	for start := time.Now(); processorTime(pid) < used+50*time.Millisecond; time.Sleep(time.Millisecond) {
		if time.Since(start) > atMost {
			t.Errorf("process %d does nothing within %s", pid, atMost)
			return
		}
	}
}

// lives tells that a process has not ended: nobody may have waited for it yet.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	return len(fields) > 0 && string(fields[0]) != "Z"
}
