package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// yesFlag adds --yes, by which nobody is asked.
func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do it without asking")
}

// confirm asks a question such as "put tenant acme?" and returns nil if the answer is
// yes, or if yes, which is --yes, answers it beforehand. Without a terminal there is
// nobody to ask, and it is a failure.
func (c *cli) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	answer, err := c.ask(ctx, question)
	switch {
	case errors.Is(err, errNobody):
		return &failure{
			err:   fmt.Errorf("nothing was changed: %w", err),
			hints: []string{"--yes goes on without asking"},
		}
	case err == nil && !answer:
		c.say("nothing was changed")
		return exitStatus(exitNo)
	}
	return err
}

// errNobody is the error of a question without a terminal.
var errNobody = errors.New("standard input is not a terminal, so nobody can be asked to go on")

// ask asks a person a question and reports whether the answer is yes. The error is
// errNobody if there is nobody to ask.
func (c *cli) ask(ctx context.Context, question string) (yes bool, err error) {
	in, ok := c.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return false, errNobody
	}
	_, _ = c.err.Write([]byte(printable(question) + " [y/N] ")) // a terminal that is gone answers nothing
	answered := make(chan string, 1)
	go func() { // it outlives an interrupt, which ends the program
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- line
	}()
	select {
	case line := <-answered:
		if !strings.HasSuffix(line, "\n") {
			c.err.line("") // the terminal is still behind the question
		}
		answer := strings.ToLower(strings.TrimSpace(line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		c.err.line("")
		return false, ctx.Err()
	}
}
