package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"regent/tenants"
	"regent/tenants/dir"
)

func (c *cli) apisPutCommand() *cobra.Command {
	var f putFlags
	var from string
	cmd := &cobra.Command{
		Use:   "put FILE | put --from DIR [API...]",
		Short: "Register APIs, new ones or in place of those that are there",
		Long: `Registers the API that a file describes, which is an entry of regent.yaml's list, or -
for standard input. Routes are listed in it, or are in the OpenAPI document that it names
by a path relative to the file. --from takes APIs from a workspace's regent.yaml: those
that are named, or all.

It shows what changes and asks.`,
		Example: "  regent apis put orders-api.yaml\n  regent apis put --from shop\n  regent apis put --from shop a1b2c3 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			var apis []tenants.API
			if from == "" {
				apis, err = c.apiFile(cmd, args)
			} else {
				apis, err = apisFrom(from, args)
			}
			if err != nil {
				return err
			}
			return c.putAPIs(cmd.Context(), reg, apis, f.yes)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "take the APIs from the workspace in this `directory`")
	_ = cmd.MarkFlagDirname("from") // the flag is there
	yesFlag(cmd, &f.yes)
	authorFlag(cmd, &f.author)
	return cmd
}

// apiFile reads the API that the only argument names. Its OpenAPI document is looked for
// beside it, or in the working directory for standard input.
func (c *cli) apiFile(cmd *cobra.Command, args []string) ([]tenants.API, error) {
	if err := exactlyOne("file")(cmd, args); err != nil {
		return nil, err
	}
	name, content, err := c.readRecord(args[0])
	if err != nil {
		return nil, err
	}
	beside := "."
	if args[0] != "-" {
		beside = filepath.Dir(args[0])
	}
	root, err := os.OpenRoot(beside)
	if err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	defer root.Close()
	file, err := dir.ReadAPI(name, content, root.FS())
	if err != nil && filepath.Base(name) == registry {
		return nil, &failure{
			err:   fmt.Errorf("%s is a list of APIs, and this takes one of them", name),
			hints: []string{"regent apis put --from " + beside + " takes all of them, or those that are named after it"},
		}
	}
	return []tenants.API{file.API}, err
}

// apisFrom reads the APIs of a workspace: those that are named, or all.
func apisFrom(path string, names []string) ([]tenants.API, error) {
	if _, err := os.Stat(filepath.Join(path, registry)); errors.Is(err, os.ErrNotExist) {
		return nil, noWorkspace(path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	defer root.Close()
	all, err := dir.ReadAPIs(root.FS(), path)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var ids []string
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	var chosen []tenants.API
	for _, name := range names {
		i := slices.Index(ids, name)
		if i < 0 {
			return nil, absentHere("API", name, ids)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// putAPIs writes those registrations that differ from what is there, if somebody says
// yes. With --json the answer is a list.
func (c *cli) putAPIs(ctx context.Context, reg tenants.Registry, apis []tenants.API, yes bool) error {
	changes := make([]recordChange, len(apis))
	todo := 0
	for i, a := range apis {
		now, err := reg.API(ctx, a.ID)
		if err != nil && !errors.Is(err, tenants.ErrNotFound) {
			return fmt.Errorf("read API %s: %w", a.ID, err)
		}
		changes[i] = compareAPIs(err == nil, now, a)
		if apis[i].Version = now.Version; changes[i].State == recordUnchanged {
			continue
		}
		if todo++; !c.json || !yes {
			c.preview(changes[i])
		}
	}
	if todo > 0 {
		question := "put " + plural(todo, "API") + "?"
		if len(apis) == 1 {
			question = "put API " + apis[0].ID + "?"
		}
		if err := c.confirm(ctx, question, yes); err != nil {
			return err
		}
	}
	return c.writeAPIs(ctx, reg, apis, changes)
}

// compareAPIs is what putting an API would change.
func compareAPIs(there bool, now, a tenants.API) recordChange {
	change := recordChange{Kind: "API", ID: a.ID, State: recordNew}
	switch {
	case !there:
		change.Fields = compareRecords(nil, a)
	case dir.SameAPI(now, a):
		change.State, change.Version = recordUnchanged, now.Version
	default:
		a.Version = now.Version
		change.State, change.Fields = recordChanged, compareRecords(now, a)
	}
	return change
}

// writeAPIs puts what is to be put, and tells of each when it is done.
func (c *cli) writeAPIs(ctx context.Context, reg tenants.Registry, apis []tenants.API, changes []recordChange) (err error) {
	done := []recordChange{}
	for i, a := range apis {
		if changes[i].State != recordUnchanged {
			written, failed := reg.PutAPI(ctx, a)
			if failed != nil {
				err = outrun(fmt.Errorf("put API %s: %w", a.ID, failed))
				break
			}
			changes[i].Version = written.Version
		}
		if done = append(done, changes[i]); !c.json {
			c.recordLine(changes[i])
		}
	}
	if c.json {
		err = cmp.Or(err, c.out.json(done))
	}
	return err
}
