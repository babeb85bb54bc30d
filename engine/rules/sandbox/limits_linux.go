package sandbox

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// Gaps lists what this system cannot hold a child to; nil on Linux.
func Gaps() []string { return nil }

// confineSystem sets what the system enforces, whatever the child does: memory,
// open files, no core dump, and no descriptor that the parent was started with. That it can
// get no new privileges, start saw to.
func confineSystem(memory uint64) error {
	for _, l := range []struct {
		name     string
		resource int
		limit    uint64
	}{
		{"data", unix.RLIMIT_DATA, memory},
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, 0},
		{"nofile", unix.RLIMIT_NOFILE, 32},
	} {
		if underRace && l.resource == unix.RLIMIT_DATA {
			continue
		}
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	closeInherited()
	return nil
}

// closeInherited closes descriptors that came with the process. Go opens its own
// with close-on-exec, which none can have that survived the exec.
func closeInherited() {
	const own = 256 // far more than a Go program has at its start
	for fd := 3; fd < own; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	_ = unix.CloseRange(own, math.MaxUint32, 0) // kernels before 5.9 have none
}

// conceal keeps what this process has in its environment and its memory from its children,
// which the system lets read it as the same user otherwise.
func conceal() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
