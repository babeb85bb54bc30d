package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// MaxErrand is how many bytes of a child that runs an errand are read at most.
const MaxErrand = 64 << 20

// EndedError says that a child did not finish its errand.
type EndedError struct {
	// Reason is "deadline", "memory", "stack", "crash", "signal" or "protocol".
	Reason string
}

// Error says what happened to the child.
func (e *EndedError) Error() string { return "the child was ended: " + e.Reason }

// Serve makes the process a child for one errand, if argument is its only one, and
// then does not return. do reads what Errand sent until its end and writes the answer; it runs
// under the limits of every child. A program that calls Errand calls this first in main.
func Serve(argument string, do func(from io.Reader, to io.Writer) error) {
	if len(os.Args) != 2 || os.Args[1] != argument {
		return
	}
	err := confine(configuration{memory: DefaultMemory, capacity: 1})
	if err == nil {
		err = do(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(2)
	}
	os.Exit(0)
}

// Errand starts this program as the child that Serve makes of it by this argument,
// sends it the request, and lets read have at most MaxErrand bytes of its answer, all of
// them hostile. The child is gone when Errand returns, whatever it was doing: it has
// ended by itself, or is killed when limit is over, when ctx ends, or when read returns.
//
// The error is an *EndedError if the child was ended or ended itself early or read made
// nothing of what it said, and the context's if that ended first.
func Errand(ctx context.Context, argument string, request []byte, limit time.Duration, read func(io.Reader) error) error {
	command, err := ownCommand()
	if err != nil {
		return err
	}
	command[len(command)-1] = argument
	p, err := spawn(command)
	if err != nil {
		return fmt.Errorf("start a child: %w", err)
	}
	defer p.end()
	var late atomic.Bool
	timer := time.AfterFunc(limit, func() { late.Store(true); p.kill() })
	defer timer.Stop()
	defer context.AfterFunc(ctx, p.kill)()

	_, err = p.to.Write(request)
	_ = p.to.Close() // the end of the request
	if err == nil {
		err = read(bufio.NewReader(io.LimitReader(p.out, MaxErrand)))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case late.Load():
		return &EndedError{Reason: "deadline"}
	}
	return &EndedError{Reason: p.lastReason()}
}

// lastReason is why a child ended that was not killed; "protocol" if it goes on.
func (p *process) lastReason() string {
	const soon = 2 * time.Second // a program with much memory takes a while to die
	select {
	case <-p.exited:
		return p.last.reason()
	case <-time.After(soon):
		return "protocol"
	}
}
