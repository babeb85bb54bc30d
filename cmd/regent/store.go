package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/tenants"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
)

// storeVariable names the store where --store does not.
const storeVariable = "REGENT_STORE"

// storeNamed is the store that --store or else the environment names.
func (c *cli) storeNamed() (config.Store, error) {
	store, err := config.ParseStore(cmp.Or(c.store, os.Getenv(storeVariable), "dir:."))
	if err != nil {
		err = &failure{err: err, hints: []string{"dir:PATH is a workspace in a directory, dynamodb:TABLE a table in DynamoDB"}}
	}
	return store, err
}

// location is the workspace's directory that the flags and arguments name. An argument
// says more than the environment, and contradicts --store. A table has no directory: one
// that --store names is refused, and one that the environment names is for other verbs.
func (c *cli) location(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) > 0 && c.store != "":
		return "", usage(cmd, fmt.Errorf("the workspace is given twice: %s and --store %s", args[0], c.store))
	case len(args) > 0:
		return args[0], nil
	}
	store, err := c.storeNamed()
	if err != nil {
		return "", err
	}
	switch {
	case store.Scheme == config.SchemeDir:
		return store.Name, nil
	case c.store == "":
		return ".", nil
	default:
		return "", &failure{
			err:   fmt.Errorf("%s needs a workspace in a directory, and the store is %s", cmd.CommandPath(), store),
			hints: []string{"name the directory, as --store dir:PATH", "regent export DIR writes what is in a table as a workspace"},
		}
	}
}

// registry opens the table that the flags name, for verbs that administer it. A
// workspace is no registry: it is edited in its files.
func (c *cli) registry(cmd *cobra.Command) (tenants.Registry, error) {
	store, err := c.storeNamed()
	if err != nil {
		return nil, err
	}
	if store.Scheme == config.SchemeDir {
		return nil, &failure{
			err: fmt.Errorf("%s needs a table, and the store is %s", cmd.CommandPath(), store),
			hints: []string{
				"name the table, as --store dynamodb:TABLE",
				"a workspace in a directory is edited in its files, and regent import brings it into a table",
			},
		}
	}
	return c.openTable(cmd, store.Name)
}

// tableSettings reads the REGENT_ variables as a function would that has the table which
// the flags name.
func (c *cli) tableSettings() (config.Config, error) {
	store, err := c.storeNamed()
	if err != nil {
		return config.Config{}, err
	}
	return settingsWith(store.String())
}

// reader is what verbs that only read ask: a table or a workspace.
type reader interface {
	tenants.Store
	APIs(ctx context.Context) ([]tenants.API, error)
	Tenants(ctx context.Context) ([]tenants.Tenant, error)
}

// reader opens the store that the flags name, of either kind, for reading.
func (c *cli) reader(cmd *cobra.Command) (reader, error) {
	store, err := c.storeNamed()
	if err != nil {
		return nil, err
	}
	if store.Scheme == config.SchemeDynamoDB {
		return c.openTable(cmd, store.Name)
	}
	workspace, err := openWorkspace(store.Name)
	if err != nil {
		return nil, err
	}
	return snapshotReader{workspace.Snapshot()}, nil
}

// snapshotReader lists a workspace's values as a registry lists a table's.
type snapshotReader struct{ *dir.Snapshot }

// APIs returns every API, sorted by id.
func (s snapshotReader) APIs(context.Context) ([]tenants.API, error) { return s.Snapshot.APIs(), nil }

// Tenants returns every tenant, sorted by id.
func (s snapshotReader) Tenants(context.Context) ([]tenants.Tenant, error) {
	return s.Snapshot.Tenants(), nil
}

// openTable opens a table of DynamoDB, with limits for people who wait. It makes no
// request yet.
func (c *cli) openTable(cmd *cobra.Command, table string) (tenants.Registry, error) {
	if c.tables != nil {
		return c.tables(table)
	}
	store, err := dynamo.Open(cmd.Context(), dynamo.Options{Table: table, Administer: true, Author: author(cmd)})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// author is who a record that a verb writes is by: as --author says, if the verb has it,
// else as Git or the system calls the user.
func author(cmd *cobra.Command) string {
	given, _ := cmd.Flags().GetString("author") // "" where there is no such flag
	return proposalFlags{from: ".", author: given}.who(cmd.Context())
}
