package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"regent/engine/rules"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
)

// failure is an error and what the user may do about it. It ends the program with
// status 2.
type failure struct {
	err   error
	hints []string
}

// Error returns the error's own text.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the error.
func (f *failure) Unwrap() error { return f.err }

// exitStatus ends the program when everything has been said.
type exitStatus int

// Error names the status.
func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// report prints an error and returns the exit status it means.
func (c *cli) report(err error) int {
	var status exitStatus
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, context.Canceled):
		c.fail(errors.New("interrupted"))
	default:
		c.fail(err)
	}
	return exitTrouble
}

// fail prints an error as "error:" and "hint:" lines. One that is several is
// printed one by one.
func (c *cli) fail(err error) {
	var many dir.Errors
	if errors.As(err, &many) {
		for _, one := range many {
			hint := one.Hint
			one.Hint = ""
			c.errorLine(one.Error())
			if hint != "" {
				c.hint(hint)
			}
		}
		return
	}
	var problems rules.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			c.errorLine(p.Error())
		}
		return
	}
	c.errorLine(err.Error())
	var f *failure
	if errors.As(err, &f) {
		for _, h := range f.hints {
			c.hint(h)
		}
	}
	var table *dynamo.Error
	if errors.As(err, &table) && table.Hint != "" {
		c.hint(table.Hint)
	}
}

func (c *cli) errorLine(text string) { c.err.line(c.err.paint(red, "error:") + " " + printable(text)) }

func (c *cli) hint(text string) { c.err.line(c.err.paint(cyan, "hint:") + "  " + printable(text)) }

// warn says what is odd but does not stop anything.
func (c *cli) warn(format string, args ...any) {
	c.err.line(c.err.paint(yellow, "warning:") + " " + printable(fmt.Sprintf(format, args...)))
}

// say is a message that is neither.
func (c *cli) say(format string, args ...any) { c.err.line(printable(fmt.Sprintf(format, args...))) }

// didYouMean is the hint for a name that is none of known.
func didYouMean(name string, known []string) string {
	if len(known) == 0 {
		return "there are none yet"
	}
	best := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	if levenshtein.ComputeDistance(name, best) <= max(2, len(name)/3) {
		return fmt.Sprintf("did you mean %s?", best)
	}
	const most = 10
	if len(known) > most {
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:most], ", "), len(known)-most)
	}
	return "there is " + strings.Join(known, ", ")
}
