package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"regent/tenants/dir"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [DIR]",
		Short: "Check the workspace and compile every tenant's rules strictly",
		Long: `Reads the workspace strictly and compiles the rules of the platform and of every
tenant: against the schema, with the builtin functions that the function allows, and
against the policy contract. Everything that is wrong is reported at once, with its
file, line and column. The exit status is 1 if anything is.`,
		Example:           "  regent check\n  regent check shop --json",
		Args:              maxOne("directory"),
		ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := c.location(cmd, args)
			if err != nil {
				return err
			}
			found, err := checkWorkspace(cmd, path)
			if err != nil {
				return err
			}
			if c.json {
				err = c.out.json(found)
			} else {
				c.showChecks(found)
			}
			if err == nil && !found.OK {
				err = exitStatus(exitNo)
			}
			return err
		},
	}
}

// checkWorkspace checks the workspace at a directory. What is wrong with its content
// is in the report; an error means that there is none.
func checkWorkspace(cmd *cobra.Command, path string) (inspection, error) {
	store, err := openWorkspace(path)
	var broken dir.Errors
	if errors.As(err, &broken) {
		return unreadable(path, broken), nil
	}
	if err != nil {
		return inspection{}, err
	}
	found, err := inspect(cmd.Context(), store.Snapshot())
	found.Workspace = path
	return found, err
}

func (c *cli) showChecks(found inspection) {
	for _, w := range found.Warnings {
		c.warn("%s", w)
	}
	for _, p := range found.Problems {
		c.out.line(c.out.paint(bold, printable(p.place())) + ": " + printable(p.Message) + " " + c.out.paint(dim, "["+p.Code+"]"))
		if p.Hint != "" {
			c.err.line("  " + c.err.paint(cyan, "hint:") + " " + printable(p.Hint))
		}
	}
	if len(found.Problems) > 0 {
		c.out.line("")
	}
	var rows [][]cell
	for _, p := range found.Parts {
		rows = append(rows, partRow(p))
	}
	c.out.table(rows)
	if !found.Read {
		c.say("the rules were not compiled, because the workspace cannot be read")
	}
	if found.OK {
		c.out.line(fmt.Sprintf("%s, %s: all is well", plural(len(found.Parts)-1, "tenant"), plural(found.APIs, "API")))
		return
	}
	c.out.line(c.out.paint(red, plural(len(found.Problems), "problem")))
}

// partRow is a part's line: its verdict and what it is about.
func partRow(p part) []cell {
	if !p.OK && p.Problems == 0 {
		return []cell{{"FAIL", red}, {text: p.Name}, {text: "not checked, for the platform does not compile"}}
	}
	if !p.OK {
		return []cell{{"FAIL", red}, {text: p.Name}, {text: plural(p.Problems, "problem")}}
	}
	return []cell{{"OK", green}, {text: p.Name}, {text: plural(p.Files, "file")}, {p.Revision.Short(), dim}}
}
