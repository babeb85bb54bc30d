package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"regent/tenants"
	"regent/tenants/dir"
)

func (c *cli) apisCommand() *cobra.Command {
	return group("apis", "List, show and change the APIs of a table",
		`The APIs that a store has registered. list and get read a workspace too; the other
verbs change a table in DynamoDB, for a workspace is changed in its files.`,
		c.apisListCommand(), c.apisGetCommand(), c.apisPutCommand(), c.apisDeleteCommand())
}

func (c *cli) apisListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the APIs",
		Example: "  regent apis list\n  regent apis list --store dynamodb:regent --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := c.reader(cmd)
			if err != nil {
				return err
			}
			all, err := store.APIs(cmd.Context())
			if err != nil {
				return fmt.Errorf("list APIs: %w", err)
			}
			if c.json {
				return c.out.json(append([]tenants.API{}, all...))
			}
			if len(all) == 0 {
				c.say("there are no APIs")
				return nil
			}
			c.out.table(apiRows(all))
			return nil
		},
	}
}

func apiRows(all []tenants.API) [][]cell {
	rows := [][]cell{{{"API", dim}, {"KIND", dim}, {"CACHE", dim}, {"ROUTES", dim}, {"VERSION", dim}, {"TENANT", dim}}}
	for _, a := range all {
		cache := "off"
		if a.Cache.TTL > 0 {
			cache = a.Cache.TTL.String()
		}
		var selectors []string
		for _, s := range a.Tenant {
			selectors = append(selectors, s.String())
		}
		rows = append(rows, cells(
			printable(a.ID), string(a.Kind), cache, strconv.Itoa(len(a.Routes)),
			strconv.FormatInt(a.Version, 10), printable(strings.Join(selectors, ", ")),
		))
	}
	return rows
}

func (c *cli) apisGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get API",
		Short: "Show an API's registration",
		Long: `Shows an API as an entry of regent.yaml's list, in the form that apis put takes, with
the version of the record before it as a comment.`,
		Example:           "  regent apis get a1b2c3",
		Args:              exactlyOne("API"),
		ValidArgsFunction: c.completeArgument(c.apiIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := c.reader(cmd)
			if err != nil {
				return err
			}
			a, err := apiIn(cmd.Context(), store, args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.out.json(a)
			}
			content, err := dir.FormatAPI(a)
			if err != nil {
				c.warn("%v", err)
				return c.out.json(a)
			}
			c.out.line(c.out.paint(dim, fmt.Sprintf("# version %d", a.Version)))
			c.record(content)
			return nil
		},
	}
}

// apiIn reads an API, or says which one might be meant.
func apiIn(ctx context.Context, store reader, id string) (tenants.API, error) {
	a, err := store.API(ctx, id)
	if err == nil || !errors.Is(err, tenants.ErrNotFound) {
		return a, err
	}
	all, err := store.APIs(ctx)
	if err != nil {
		return a, fmt.Errorf("list APIs: %w", err)
	}
	var ids []string
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return a, absentHere("API", id, ids)
}

func (c *cli) apisDeleteCommand() *cobra.Command {
	var yes bool
	var author string
	cmd := &cobra.Command{
		Use:   "delete API",
		Short: "Remove an API's registration",
		Long: `Removes an API's registration: requests to it are answered with an error from then on,
not decided. It asks first.`,
		Example:           "  regent apis delete a1b2c3",
		Args:              exactlyOne("API"),
		ValidArgsFunction: c.completeArgument(c.apiIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			a, err := apiIn(cmd.Context(), reg, args[0])
			if err != nil {
				return err
			}
			if err := c.confirm(cmd.Context(), fmt.Sprintf("delete API %s?", a.ID), yes); err != nil {
				return err
			}
			if err := reg.DeleteAPI(cmd.Context(), a.ID, a.Version); err != nil {
				return outrun(fmt.Errorf("delete API %s: %w", a.ID, err))
			}
			return c.finish(recordChange{Kind: "API", ID: a.ID, State: recordDeleted})
		},
	}
	yesFlag(cmd, &yes)
	authorFlag(cmd, &author)
	return cmd
}
