package sandbox

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"regent/tenants"
)

var soakFlag = flag.Duration("soak", 2*time.Second, "how long TestSoak lasts")

// TestSoak holds that under hostile load everybody else is answered, rightly, and that
// nothing grows: no goroutine, no descriptor, no process, no child's memory (REG-06,
// TEN-11, SOAK-01, SOAK-03). It is not parallel, for it counts what the program has.
func TestSoak(t *testing.T) {
	const quickTenants = 40
	platform := bundle(t, nil)
	store := shelve(platform)
	var quick []tenants.Bundle
	for i := range quickTenants {
		b := authz(t, fmt.Sprintf("%s\nprincipal_id := \"tenant%d\"\n", small, i))
		store.bundles[b.Digest()] = b
		quick = append(quick, b)
	}
	hostile := []tenants.Bundle{authz(t, deaf()), authz(t, nested), authz(t, "allow if {\n\tx := [y | some i in numbers.range(1, 1000); some j in numbers.range(1, 1000); y := sprintf(\"%d\", [i * j])]\n\tcount(x) == 0\n}\n")}
	for _, b := range hostile {
		store.bundles[b.Digest()] = b
	}
	var killed, now atomic.Int64
	p, err := New(Config{Store: store, Timeout: 250 * time.Millisecond, Children: 3, Capacity: 30,
		// Time passes fast, so that cool-downs end.
		Now: func() time.Time { return time.Unix(1_700_000_000+now.Add(1), 0) },
		Report: func(e Event) {
			if e.Kind == Killed {
				killed.Add(1)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.background.Wait() // for the other children: what they have counts as before
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	var right, late, wrong atomic.Int64
	end := time.Now().Add(*soakFlag)
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 1))
			for time.Now().Before(end) {
				i := rng.IntN(quickTenants)
				tenant := fmt.Sprint("tenant", i)
				d, err := decide(t, p, tenant, platform, quick[i])
				switch {
				case err == nil && d.Allow && d.PrincipalID == tenant && len(d.Reasons) == 0:
					right.Add(1)
				case err != nil && late.Add(1) < 3:
					t.Log(err) // a busy machine; never an answer that is not one's own
				case err == nil:
					wrong.Add(1)
				}
			}
		})
	}
	for bad := range 4 {
		callers.Go(func() {
			for time.Now().Before(end) {
				if d, err := decide(t, p, fmt.Sprint("bad", bad), platform, hostile[bad%len(hostile)]); err == nil && d.Allow {
					wrong.Add(1)
				}
			}
		})
	}
	callers.Wait()
	p.background.Wait() // for children that are being replaced
	t.Logf("%d right, %d in trouble, %d killed", right.Load(), late.Load(), killed.Load())
	if wrong.Load() > 0 || right.Load() < 20 || late.Load() > right.Load()/20 {
		t.Errorf("%d wrong, %d right, %d in trouble", wrong.Load(), right.Load(), late.Load())
	}
	if killed.Load() == 0 {
		t.Error("nothing was killed: the load was not hostile")
	}
	if n := len(childrenOf(t, os.Getpid())); n > 2*3 {
		t.Errorf("%d children are left", n)
	}
	for _, s := range p.lanes.slots {
		if s.process != nil && uint64(resident(s.process.cmd.Process.Pid)) > DefaultMemory {
			t.Errorf("child %d has %d MB", s.number, resident(s.process.cmd.Process.Pid)>>20)
		}
	}
	for range 200 { // children that are being replaced take a moment
		if runtime.NumGoroutine() <= goroutines && openFiles(t) <= files {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines and %d files; %d and %d before", runtime.NumGoroutine(), openFiles(t), goroutines, files)
}

// childrenOf returns the processes whose parent is pid, each with its state; 'Z' is a
// zombie.
func childrenOf(t *testing.T, pid int) map[int]byte {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("there is no /proc")
	}
	found := map[int]byte{}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may have anything in it.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found[child] = fields[0][0]
		}
	}
	return found
}

// TestSignalsAreNoEnd holds that a child is not taken for dead because Go's scheduler
// interrupts the look at it.
func TestSignalsAreNoEnd(t *testing.T) {
	t.Parallel()
	var replaced atomic.Int64
	platform, good := bundle(t, nil), authz(t, small)
	p := newPool(t, Config{Store: shelve(platform, good), Timeout: patient, Report: func(e Event) {
		if e.Kind == Replaced {
			replaced.Add(1)
		}
	}})
	for range 1000 {
		mustAllow(t, p, "acme", platform, good)
		time.Sleep(time.Millisecond) // questions at a pace are what it happens to
	}
	if n := replaced.Load(); n > 0 {
		t.Errorf("%d children were replaced", n)
	}
}
