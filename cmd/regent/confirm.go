package main

import (
	"bufio"
	"context"
	"errors"
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
	in, ok := c.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return &failure{
			err:   errors.New("nothing was changed: standard input is not a terminal, so nobody can be asked to go on"),
			hints: []string{"--yes goes on without asking"},
		}
	}
	_, _ = c.err.Write([]byte(printable(question) + " [y/N] ")) // a terminal that is gone answers nothing
	answered := make(chan string, 1)
	go func() { // it outlives an interrupt, which ends the program
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answered:
		if answer == "y" || answer == "yes" {
			return nil
		}
		c.say("nothing was changed")
		return exitStatus(exitNo)
	case <-ctx.Done():
		return ctx.Err()
	}
}
