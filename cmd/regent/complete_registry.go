package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"regent/tenants"
)

// completionPatience is how long a completion may keep somebody waiting.
const completionPatience = 2 * time.Second

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeOwner completes a tenant, unless --platform stands for it, and then as many
// revisions of it. A store that does not answer completes nothing.
func (c *cli) completeOwner(revisions int) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		platform, err := cmd.Flags().GetBool("platform")
		owner := tenants.PlatformOwner
		if err != nil || !platform {
			if len(args) == 0 {
				return c.registeredIDs(cmd), cobra.ShellCompDirectiveNoFileComp
			}
			owner, args = args[0], args[1:]
		}
		if len(args) >= revisions {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.revisionNames(cmd, owner), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeRevisionFlag completes a flag with the revisions of the verb's owner.
func (c *cli) completeRevisionFlag(cmd *cobra.Command, flag string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		platform, _ := cmd.Flags().GetBool("platform")
		owner := tenants.PlatformOwner
		switch {
		case platform:
		case len(args) > 0:
			owner = args[0]
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.revisionNames(cmd, owner), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	})
	if err != nil {
		panic(err) // the flag is not there: a mistake in this package
	}
}

// registeredIDs are the tenants of the store.
func (c *cli) registeredIDs(cmd *cobra.Command) (ids []string) {
	reg, ctx, cancel := c.quick(cmd)
	defer cancel()
	if reg == nil {
		return nil
	}
	all, err := reg.Tenants(ctx)
	if err != nil {
		return nil
	}
	for _, t := range all {
		ids = append(ids, t.ID)
	}
	return ids
}

// revisionNames are the revisions of an owner, newest first, each with its message.
func (c *cli) revisionNames(cmd *cobra.Command, owner string) (names []string) {
	reg, ctx, cancel := c.quick(cmd)
	defer cancel()
	if reg == nil {
		return nil
	}
	all, err := reg.Revisions(ctx, owner)
	if err != nil {
		return nil
	}
	for _, r := range all {
		names = append(names, fmt.Sprintf("%s\t%s %s", r.Digest.Short(), stamp(r.Time), oneLine(firstLine(r.Message))))
	}
	return slices.Clip(names)
}

// quick opens the registry for a completion, or returns none.
func (c *cli) quick(cmd *cobra.Command) (tenants.Registry, context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	reg, err := c.registry(cmd)
	if err != nil {
		return nil, ctx, cancel
	}
	return reg, ctx, cancel
}
