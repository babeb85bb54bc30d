package lambdaapi

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Freeze stops the process and its children, as Lambda does between events, and
// returns when they stand still. Clocks go on and connections stay open.
func (f *Function) Freeze() error {
	// Not its group yet: a process that waits for a child to start stops when the child has
	// started, and one that is stopped before never has.
	if err := syscall.Kill(f.Pid(), syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	// A signal takes effect a moment after it is sent. WSTOPPED does not reap, so it
	// does not meddle with the goroutine that waits for the end.
	for {
		err := unix.Waitid(unix.P_PID, f.Pid(), nil, unix.WSTOPPED, nil)
		switch err {
		case nil:
			f.freezeChildren()
			return nil
		case unix.EINTR:
			continue
		default:
			return fmt.Errorf("freeze: %w", err)
		}
	}
}

// freezeChildren stops the children of a process that is stopped and starts no more of
// them. They are not this process's children, so they are looked at until they are.
func (f *Function) freezeChildren() {
	for stopped := false; !stopped; {
		stopped = true
		for _, p := range f.Children() {
			if p.state == 'T' {
				continue
			}
			stopped = false
			_ = syscall.Kill(p.ID, syscall.SIGSTOP) // its only error is that it has ended
		}
		if !stopped {
			time.Sleep(time.Millisecond)
		}
	}
}

// Thaw lets a frozen process and its children go on.
func (f *Function) Thaw() error {
	if err := f.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}
