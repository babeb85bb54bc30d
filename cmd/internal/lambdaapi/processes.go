package lambdaapi

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Process is a process that the function started, or one that such a process started.
type Process struct {
	// ID is its process id.
	ID int
	// parent is the id of who started it, and started when that was, in the kernel's
	// ticks: an id that is given out again is another process.
	parent, started int
	state           byte
	// user and system are the processor time that it has used, in ticks of 10 ms.
	user, system int
}

// State is the letter that proc(5) has for what the process does now, such as T for one
// that is stopped; 0 if it has ended.
func (p Process) State() byte {
	now, err := readProcess(p.ID)
	if err != nil || now.started != p.started || now.state == 'Z' || now.state == 'X' {
		return 0
	}
	return now.state
}

// Used is the processor time that the process has used so far, to 10 ms; 0 if it has
// ended.
func (p Process) Used() time.Duration {
	now, err := readProcess(p.ID)
	if err != nil || now.started != p.started {
		return 0
	}
	return time.Duration(now.user+now.system) * 10 * time.Millisecond
}

// Children returns the processes that descend from the function's, whatever group they
// are in. There are none once it has ended: they are others' children then.
func (f *Function) Children() []Process {
	select {
	case <-f.gone:
		return nil
	default:
		return descendants(f.Pid())
	}
}

// descendants returns the processes below one, parents before children. Without a
// /proc there are none.
func descendants(pid int) []Process {
	entries, _ := os.ReadDir("/proc")
	below := map[int][]Process{}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(id); err == nil && p.state != 'Z' {
			below[p.parent] = append(below[p.parent], p)
		}
	}
	all := slices.Clone(below[pid])
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i].ID]...)
	}
	return all
}

// readProcess reads a process's line in /proc.
func readProcess(pid int) (Process, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	p := Process{ID: pid}
	// The name before the last parenthesis may have anything in it.
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("process %d: %q has too few fields", pid, line)
	}
	p.state = fields[0][0]
	for _, n := range []struct {
		field int
		of    *int
	}{{1, &p.parent}, {11, &p.user}, {12, &p.system}, {19, &p.started}} {
		if *n.of, err = strconv.Atoi(string(fields[n.field])); err != nil {
			return Process{}, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return p, nil
}

// signal sends a signal to the function's group and to its children in groups of their
// own. The error is that of the function's own group.
func (f *Function) signal(s syscall.Signal) error {
	children := f.Children()
	err := syscall.Kill(-f.Pid(), s)
	for _, p := range children {
		// The only error is that it has ended.
		_ = syscall.Kill(p.ID, s)
	}
	return err
}
