package main

import (
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

// tenantIDs are the tenants of the workspace that the flags and the environment name;
// nothing if it cannot be read, for a completion has nowhere to say why.
func (c *cli) tenantIDs() []string {
	path, err := c.location(&cobra.Command{}, nil)
	if err != nil {
		return nil
	}
	store, err := openWorkspace(path)
	if err != nil {
		return nil
	}
	var ids []string
	for _, t := range store.Snapshot().Tenants() {
		ids = append(ids, t.ID)
	}
	return ids
}
