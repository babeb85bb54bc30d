package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// self is this program's own file, even if another has taken its name since.
func self() (string, error) { return "/proc/self/exe", nil }

// attributes ends the child with the parent, however the parent ends. The system means the
// thread that started the child; Go ends a thread only with a goroutine that was locked to
// it, so nothing in this program may lock one and not unlock it. A signal that a terminal
// sends to the parent's group does not reach the child: the parent may want to finish first.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// start starts a child that can never get more privileges. That is a property of threads,
// which a child has from the one that starts it: this program's one keeps it.
func start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return cmd.Start()
}

// stepBack lets others go first where the processors are busy. Its group makes it all
// of the child's threads; by its id it would be one.
func (p *process) stepBack() {
	const niceness = 10
	_ = unix.Setpriority(unix.PRIO_PGRP, p.cmd.Process.Pid, niceness) // less may always be had
}

// killGroup ends a child and whatever it has started.
func killGroup(pid int) { _ = unix.Kill(-pid, unix.SIGKILL) }

// awaitEnd waits until a child has ended, and leaves its id taken.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// answerPipe returns the two ends of a pipe that blocks: for an answer within microseconds
// a thread that waits for it is faster than Go's poller.
func answerPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// readBefore reads what there is, and waits for it until the time is over; then the
// error is os.ErrDeadlineExceeded.
func readBefore(f *os.File, b []byte, until time.Time) (int, error) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	for {
		left := unix.NsecToTimespec(max(time.Until(until), 0).Nanoseconds())
		switch n, err := unix.Ppoll(fds, &left, nil); {
		case err == unix.EINTR: // Go's scheduler sends signals to its own threads
		case err != nil:
			return 0, err
		case n == 0:
			return 0, os.ErrDeadlineExceeded
		default:
			return f.Read(b)
		}
	}
}

// silent tells that nothing is to be read, the end included.
func silent(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR { // Go's scheduler sends signals to its own threads
			return n == 0 && err == nil
		}
	}
}

// processorTime is what a process has used of the processors; 0 if that is not
// known.
func processorTime(pid int) time.Duration {
	// The clock of a whole process, as clock_getcpuclockid(3) has it.
	clock := int32(^pid<<3 | 2)
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// memoryOf is what a process has in memory, and what counts against its limit of data,
// which is more: Go reserves. Both are in bytes, and 0 if they are not known.
func memoryOf(pid int) (resident, data int64) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, 0
	}
	var size, in, shared, text, lib, counted int64 // in pages
	if _, err := fmt.Sscan(string(content), &size, &in, &shared, &text, &lib, &counted); err != nil {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	return in * page, counted * page
}
