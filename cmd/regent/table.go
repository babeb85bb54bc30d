package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/tenants"
	"regent/tenants/dynamo"
)

func (c *cli) tableCommand() *cobra.Command {
	return group("table", "Make a table in DynamoDB", "The table that tenants and their rules are kept in.", c.tableCreateCommand())
}

func (c *cli) tableCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "create",
		Short: "Make the table that --store names, and wait until it can be used",
		Long: `Makes the table that --store dynamodb:TABLE names: on-demand, with point-in-time
recovery and time to live, and waits until it can be used. A table that is there already
is left as it is if it has the right key, and gets the two settings; one that has another
key is an error.

It is for development and for small installations; template.yaml makes the table together
with the function.`,
		Example: "  regent table create --store dynamodb:regent\n  AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 regent table create --store dynamodb:regent",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			named, err := c.storeNamed()
			if err != nil {
				return err
			}
			if named.Scheme != config.SchemeDynamoDB {
				return &failure{err: fmt.Errorf("table create needs the name of a table, and the store is %s", named), hints: []string{"name the table, as --store dynamodb:TABLE"}}
			}
			store, err := dynamo.Open(cmd.Context(), dynamo.Options{Table: named.Name, Administer: true})
			if err != nil {
				return err
			}
			// Any read tells whether there is a table; what it finds does not matter.
			_, err = store.Platform(cmd.Context())
			there := err == nil || errors.Is(err, tenants.ErrNotFound)
			warnings, err := store.CreateTable(cmd.Context())
			if err != nil {
				return err
			}
			for _, w := range warnings {
				c.warn("%s", w)
			}
			if c.json {
				return c.out.json(struct {
					Table    string   `json:"table"`
					Created  bool     `json:"created"`
					Warnings []string `json:"warnings"`
				}{named.Name, !there, append([]string{}, warnings...)})
			}
			if there {
				c.out.line("table " + named.Name + " is there already, and has the right key")
			} else {
				c.out.line("made table " + named.Name)
			}
			return nil
		},
	}
}
