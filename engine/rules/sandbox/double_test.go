package sandbox

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"regent/engine"
	"regent/tenants"
)

// doubleArgument starts the test binary as a child that misbehaves.
const doubleArgument = "misbehaving-child"

// double are the ways to misbehave, each after the honest answer to the first request
// and to those that load. It returns what is written in place of an answer.
func doubles() map[string]func(f frame) []byte {
	yes := func(f frame) []byte {
		w := newFrame()
		_ = w.decision(engine.Decision{Allow: true})
		return w.seal(f.id, statusOK)
	}
	return map[string]func(f frame) []byte{
		"garbage":          func(frame) []byte { return bytes.Repeat([]byte{0xa5}, 4096) },
		"text":             func(frame) []byte { return []byte("panic: runtime error: index out of range\n\ngoroutine 1\n") },
		"a partial frame":  func(f frame) []byte { return yes(f)[:headerSize+1] },
		"a partial header": func(f frame) []byte { return yes(f)[:3] },
		"another id":       func(f frame) []byte { return yes(frame{id: f.id + 1}) },
		"the id before":    func(f frame) []byte { return yes(frame{id: f.id - 1}) },
		"1 GB":             func(f frame) []byte { b := yes(f); binary.BigEndian.PutUint32(b, 1<<30); return b },
		"4 GB":             func(f frame) []byte { b := yes(f); binary.BigEndian.PutUint32(b, 1<<32-1); return b },
		"no length":        func(f frame) []byte { b := yes(f); binary.BigEndian.PutUint32(b, 0); return b },
		"more than allowed": func(f frame) []byte {
			w := newFrame()
			w.b = append(w.b, make([]byte, maxDecision+1)...)
			return w.seal(f.id, statusOK)
		},
		"an unknown status": func(f frame) []byte { b := yes(f); b[headerSize-1] = 99; return b },
		"no status":         func(f frame) []byte { b := yes(f); b[headerSize-1] = 0; return b },
		"something left": func(f frame) []byte {
			w := newFrame()
			_ = w.decision(engine.Decision{Allow: true})
			w.byte(0)
			return w.seal(f.id, statusOK)
		},
		"no payload": func(f frame) []byte { return newFrame().seal(f.id, statusOK) },
		"yes with reasons": func(f frame) []byte {
			w := newFrame()
			_ = w.decision(engine.Decision{Allow: true, Reasons: []string{"x"}})
			return w.seal(f.id, statusOK)
		},
		"a boolean 2": func(f frame) []byte { b := yes(f); b[headerSize] = 2; return b },
		"an object inside": func(f frame) []byte {
			w := newFrame()
			_ = w.decision(engine.Decision{Allow: true, Context: map[string]any{"a": map[string]any{}}})
			return w.seal(f.id, statusOK)
		},
		"two answers":        func(f frame) []byte { return append(yes(f), yes(frame{id: f.id + 1})...) },
		"silence":            func(frame) []byte { select {} },
		"a late answer":      func(f frame) []byte { time.Sleep(time.Second); return yes(f) },
		"the end":            func(frame) []byte { os.Exit(0); return nil },
		"a closed pipe":      func(frame) []byte { os.Stdout.Close(); select {} },
		"a signal":           func(frame) []byte { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
		"forgetting forever": func(f frame) []byte { return newFrame().seal(f.id, statusNotLoaded) },
		"drop by drop": func(f frame) []byte {
			w := newFrame()
			_ = w.decision(engine.Decision{Reasons: []string{strings.Repeat("x", 1<<14)}})
			for _, b := range w.seal(f.id, statusOK) {
				os.Stdout.Write([]byte{b})
				time.Sleep(time.Millisecond)
			}
			select {}
		},
		follower:         func(frame) []byte { startSleep(false); select {} },
		fugitive:         func(frame) []byte { startSleep(true); os.Exit(0); return nil },
		"much on stderr": func(frame) []byte { os.Stderr.WriteString(strings.Repeat("x", 1<<20)); os.Exit(2); return nil },
	}
}

// follower and fugitive are children that start a program which has what they have open,
// and outlives them; that of a fugitive is in no group of theirs.
const (
	follower = "a program of its own"
	fugitive = "a program in a session of its own"
)

func startSleep(session bool) {
	cmd := exec.Command("/bin/sleep", "10")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	_ = cmd.Start()
}

// TestNothingStays holds that a kill reaches what a child has started, and that what it does
// not reach holds nobody up.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	for _, way := range []string{follower, fugitive} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, Config{Store: shelve(platform, tenant), Timeout: 200 * time.Millisecond, command: doubleCommand(t, way)})
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			group := p.lanes.slots[0].process.cmd.Process.Pid
			if _, err := decide(t, p, "acme", platform, tenant); err == nil {
				t.Error("it answers")
			}
			start := time.Now()
			p.Close()
			if took := time.Since(start); took > 7*time.Second {
				t.Errorf("closing took %s", took)
			}
			for alive(t, group) {
				if time.Since(start) > 7*time.Second {
					t.Fatal("something is left of the child's group")
				}
				runtime.Gosched()
			}
		})
	}
}

// alive tells that a process of a group runs; one that nobody has waited for does not.
func alive(t *testing.T, group int) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(all) == 0 {
		t.Skip("there is no /proc")
	}
	for _, name := range all {
		text, _ := os.ReadFile(name) // it may have ended since
		_, fields, _ := strings.Cut(string(text), ") ")
		var state string
		var parent, in int
		if n, _ := fmt.Sscan(fields, &state, &parent, &in); n == 3 && in == group && state != "Z" {
			return true
		}
	}
	return false
}

// unasked is a child that answers, and then the next question before it is asked.
const unasked = "unasked"

// runDouble is the main of a child that misbehaves.
func runDouble(way string) int {
	from := bufio.NewReader(os.Stdin)
	for {
		f, err := readFrame(from, maxRequest, nil)
		if err != nil {
			return 0
		}
		w := newFrame()
		switch f.code {
		case opConfigure:
			os.Stdout.Write(w.seal(f.id, statusOK))
		case opLoad:
			w.pair(newReader(f.payload, roomRequest).pair())
			os.Stdout.Write(w.seal(f.id, statusOK))
		default:
			if way == unasked {
				w := newFrame()
				_ = w.decision(engine.Decision{Allow: true})
				os.Stdout.Write(w.seal(f.id, statusOK))
				awaitRead(os.Stdout)
				os.Stdout.Write(w.seal(f.id+1, statusOK)) // for a question that was not asked
				continue
			}
			os.Stdout.Write(doubles()[way](f))
		}
	}
}

// awaitRead waits until what was written to a pipe has been read: two answers at once are
// another way to misbehave.
func awaitRead(pipe *os.File) {
	for range 30_000 {
		left, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		if err != nil || left == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestMisbehavingChild holds that no child makes an answer that is not the request's
// own, or hangs, or grows the parent; and that an honest child that follows it is asked
// (REG-05). It is not parallel, for it measures.
func TestMisbehavingChild(t *testing.T) {
	const timeout = 200 * time.Millisecond
	platform, tenant := bundle(t, nil), authz(t, small)
	honest, err := ownCommand()
	if err != nil {
		t.Fatal(err)
	}
	for way := range doubles() {
		t.Run(way, func(t *testing.T) {
			before := allocated()
			p := newPool(t, Config{Store: shelve(platform, tenant), Timeout: timeout, command: doubleCommand(t, way)})
			for range 2 { // the child that follows is asked like the first one
				start := time.Now()
				d, err := decide(t, p, "acme", platform, tenant)
				var trouble *engine.Trouble
				if !errors.As(err, &trouble) || d.Allow || d.Context != nil {
					t.Fatalf("got %+v, %v; want trouble", d, err)
				}
				if took := time.Since(start); took > timeout+Slack+time.Second {
					t.Errorf("it took %s", took)
				}
			}
			p.background.Wait() // nobody is starting a child
			if grown := allocated() - before; grown > memoryLimit {
				t.Errorf("this process took %d MB", grown>>20)
			}
			p.config.command, p.config.Timeout = honest, patient
			p.lanes.slots[0].process.kill() // it is one that misbehaves
			mustAllow(t, p, "acme", platform, tenant)
			onlyChildren(t, p)
		})
	}
}

// allocated is all memory that this process ever took, whether it has written to it or not.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestKilledInAnEvaluation holds that a child that somebody kills while it evaluates is
// trouble for that question alone, at once.
func TestKilledInAnEvaluation(t *testing.T) {
	t.Parallel()
	platform, slow, good := bundle(t, nil), authz(t, nested), authz(t, small)
	p := newPool(t, Config{Store: shelve(platform, slow, good), Timeout: patient})
	policy, err := p.Load(t.Context(), "acme", platform.Digest(), slow.Digest())
	if err != nil {
		t.Fatal(err)
	}
	child := p.lanes.slots[0].process.cmd.Process
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		awaitWork(t, child.Pid)
		_ = child.Kill()
	}()
	start := time.Now()
	if _, err := policy.Decide(t.Context(), askedInput("acme"), start); evalCode(err) != "crashed" {
		t.Errorf("got %v, want a crash", explained(err))
	}
	if took := time.Since(start); took > patient/2 {
		t.Errorf("it took %s", took)
	}
	<-killed
	mustAllow(t, p, "globex", platform, good)
}

// atMost is far more than anything here takes, and far less than forever.
const atMost = 30 * time.Second

// TestWrongDigest holds that a child's word for what it compiled counts.
func TestWrongDigest(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	p := newPool(t, Config{Store: shelve(platform, tenant)})
	wrong := tenants.Digest("sha256:" + strings.Repeat("0", 64))
	p.bundles.put(wrong, tenant)
	_, err := p.Load(t.Context(), "acme", platform.Digest(), wrong)
	if err == nil || !strings.Contains(err.Error(), "digests") {
		t.Errorf("got %v; want an error about digests", err)
	}
}

func doubleCommand(tb testing.TB, way string) []string {
	tb.Helper()
	file, err := self()
	if err != nil {
		tb.Fatal(err)
	}
	return []string{file, "regent", doubleArgument, way}
}

// TestAnswerUnasked holds that an answer which was there before its question is none,
// and that the question is put to another child.
func TestAnswerUnasked(t *testing.T) {
	t.Parallel()
	platform, tenant := bundle(t, nil), authz(t, small)
	replaced := 0
	p := newPool(t, Config{Store: shelve(platform, tenant), Timeout: patient, command: doubleCommand(t, unasked),
		Report: func(e Event) {
			if e.Kind == Replaced {
				replaced++
			}
		}})
	for i := range 3 {
		mustAllow(t, p, "acme", platform, tenant)
		if replaced != i {
			t.Errorf("%d children were replaced, want %d", replaced, i)
		}
		awaitWord(t, p.lanes.slots[0].process)
	}
}

// awaitWord waits until there is something to read from a child that nobody asks, its end
// included.
func awaitWord(t *testing.T, p *process) {
	t.Helper()
	for start := time.Now(); silent(p.out); time.Sleep(time.Millisecond) {
		if time.Since(start) > atMost {
			t.Fatalf("it says nothing within %s", atMost)
		}
	}
}

// TestFrameLimit holds that a frame beyond its limit is not read, at the boundaries.
func TestFrameLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		limit, bytes int
		length       uint32 // 0 for the true one
		ok           bool
	}{
		{"empty", 0, 0, 0, true},
		{"at the limit", 100, 100, 0, true},
		{"one more", 100, 101, 0, false},
		{"a large one", 70_000, 70_000, 0, true},
		{"1 GB that is not there", 100, 10, 1 << 30, false},
		{"shorter than a header", 100, 10, 8, false},
		{"more than there is", 100, 10, 50, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFrame()
			w.b = append(w.b, make([]byte, tt.bytes)...)
			b := w.seal(7, statusOK)
			if tt.length > 0 {
				binary.BigEndian.PutUint32(b, tt.length)
			}
			f, err := readFrame(bufio.NewReader(bytes.NewReader(b)), tt.limit, nil)
			if (err == nil) != tt.ok || tt.ok && (f.id != 7 || f.code != statusOK || len(f.payload) != tt.bytes) {
				t.Errorf("got %d bytes, %v; want ok %t", len(f.payload), err, tt.ok)
			}
		})
	}
}
