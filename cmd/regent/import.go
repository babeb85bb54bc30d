package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"regent/tenants"
	"regent/tenants/dir"
)

// importFlags are the flags of `regent import`.
type importFlags struct {
	check   checkFlags
	yes     bool
	noFiles bool
	author  string
	message string
}

func (c *cli) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import [DIR]",
		Short: "Bring a whole workspace into a table",
		Long: `Brings the workspace at DIR, or the working directory, into the table that --store
names: its APIs, its tenants, and their rules, which are brought into force. It checks as
regent check does first, shows what will change, and asks.

What the table has besides stays as it is. The files of the workspace that are neither
rules nor data are kept too, so that regent export returns it byte for byte; hidden files
and node_modules are no part of it.

Whatever is in the table already is not written again: an import that was interrupted is
finished by running it once more.`,
		Example:           "  regent import shop --store dynamodb:regent\n  regent import --yes -m 'from the old account'",
		Args:              maxOne("directory"),
		ValidArgsFunction: directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			f.author = author(cmd)
			path := "."
			if len(args) > 0 {
				path = args[0]
			}
			return c.importWorkspace(cmd.Context(), reg, path, f)
		},
	}
	yesFlag(cmd, &f.yes)
	cmd.Flags().BoolVar(&f.noFiles, "no-files", false, "do not keep the files that are neither rules nor data")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why, for the record")
	authorFlag(cmd, &f.author)
	f.check.add(cmd)
	return cmd
}

// importWorkspace checks a workspace, shows what importing it changes, and does it.
func (c *cli) importWorkspace(ctx context.Context, reg tenants.Registry, path string, f importFlags) error {
	store, err := openWorkspace(path)
	if err != nil {
		return err
	}
	snapshot := store.Snapshot()
	conf, err := c.tableSettings()
	if err != nil {
		return err
	}
	found, err := checkSnapshot(ctx, snapshot, path, conf, f.check)
	if err != nil {
		return err
	}
	if !found.OK {
		c.showChecks(found)
		c.say("nothing was imported")
		return exitStatus(exitNo)
	}
	i := &importing{reg: reg, snapshot: snapshot, author: f.author, message: f.message}
	if !f.noFiles {
		if i.files, i.leftOut, err = filesOf(path, snapshot); err != nil {
			return err
		}
	}
	if err := i.plan(ctx); err != nil {
		return err
	}
	if !c.json || !f.yes {
		c.showPlan(i)
	}
	if len(i.writes) > 0 {
		if err := c.confirm(ctx, fmt.Sprintf("import %s?", path), f.yes); err != nil {
			return err
		}
	}
	err = i.run(ctx, func(done recordChange) {
		if !c.json {
			c.recordLine(done)
		}
	})
	if err != nil {
		var f *failure
		if !errors.As(err, &f) {
			err = &failure{err: err, hints: []string{"run it again to finish: what is done is not done twice"}}
		}
		return err
	}
	return c.showImported(i, path)
}

// filesOf are the files of a workspace to be kept, as a bundle.
func filesOf(path string, s *dir.Snapshot) (*tenants.Bundle, []string, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read workspace: %w", err)
	}
	defer root.Close()
	kept, leftOut, err := keptFiles(root.FS(), s)
	if err != nil {
		return nil, nil, err
	}
	b, err := keep(kept)
	return &b, leftOut, err
}

// showPlan shows on standard error what will change, and what stays.
func (c *cli) showPlan(i *importing) {
	for _, p := range i.leftOut {
		c.say("left out, for it is no part of the workspace: %s", p)
	}
	for _, name := range i.stays {
		c.say("stays in the table, though the workspace has it not: %s", name)
	}
	unchanged, fresh := 0, map[string]int{}
	for _, change := range i.changes {
		switch change.State {
		case recordUnchanged:
			unchanged++
			continue
		case recordNew:
			if fresh[change.Kind]++; fresh[change.Kind] > mostNew {
				continue
			}
		}
		c.say("%s: %s", change.name(), change.State)
		if change.State == recordChanged {
			c.err.table(fieldRows(change.Fields, "  "))
		}
	}
	for _, kind := range []string{"policy", "tenant", "API"} {
		if more := fresh[kind] - mostNew; more > 0 {
			c.say("%s: %d more are new", kind, more)
		}
	}
	if unchanged > 0 {
		c.say("%d unchanged", unchanged)
	}
}

// mostNew is how many new things of a kind are listed: the first import of thousands is
// told in numbers.
const mostNew = 10

// showImported says what came of it.
func (c *cli) showImported(i *importing, path string) error {
	if c.json {
		return c.out.json(struct {
			Workspace string         `json:"workspace"`
			Changes   []recordChange `json:"changes"`
			Stays     []string       `json:"stays"`
			LeftOut   []string       `json:"left_out"`
		}{path, append([]recordChange{}, i.changes...), append([]string{}, i.stays...), append([]string{}, i.leftOut...)})
	}
	what := plural(len(i.snapshot.Tenants()), "tenant") + ", " + plural(len(i.snapshot.APIs()), "API")
	if len(i.writes) == 0 {
		c.out.line(what + ": all of it is in the table already")
		return nil
	}
	c.out.line(fmt.Sprintf("imported %s: %s", filepath.Clean(path), what))
	return nil
}
