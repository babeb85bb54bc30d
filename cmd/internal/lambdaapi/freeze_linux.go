package lambdaapi

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Freeze stops the process and its children, as Lambda does between events, and
// returns when it stands still. Clocks go on and connections stay open.
func (f *Function) Freeze() error {
	if err := syscall.Kill(-f.Pid(), syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	// A signal takes effect a moment after it is sent. WSTOPPED does not reap, so it
	// does not meddle with the goroutine that waits for the end.
	for {
		err := unix.Waitid(unix.P_PID, f.Pid(), nil, unix.WSTOPPED, nil)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		default:
			return fmt.Errorf("freeze: %w", err)
		}
	}
}

// Thaw lets a frozen process and its children go on.
func (f *Function) Thaw() error {
	if err := syscall.Kill(-f.Pid(), syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}
