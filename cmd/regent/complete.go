package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// completeFlag offers values for a flag in the shell.
func (c *cli) completeFlag(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag is not there: a mistake in this package
	}
}

// completeArgument offers values for the first argument.
func (c *cli) completeArgument(values func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values(), cobra.ShellCompDirectiveNoFileComp
	}
}

// tenantIDs are the tenants of the store that the flags and the environment name; nothing
// if it cannot be read, for a completion has nowhere to say why.
func (c *cli) tenantIDs() (ids []string) {
	c.completing(func(ctx context.Context, store reader) {
		all, _ := store.Tenants(ctx)
		for _, t := range all {
			ids = append(ids, t.ID)
		}
	})
	return ids
}

// apiIDs are the APIs of that store.
func (c *cli) apiIDs() (ids []string) {
	c.completing(func(ctx context.Context, store reader) {
		all, _ := store.APIs(ctx)
		for _, a := range all {
			ids = append(ids, a.ID)
		}
	})
	return ids
}

// completing lists something for somebody who waits for a table no longer than this.
func (c *cli) completing(list func(context.Context, reader)) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	if store, err := c.reader(cmd); err == nil {
		list(ctx, store)
	}
}
