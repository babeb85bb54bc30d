package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"regent/tenants"
)

func (c *cli) platformCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "platform",
		Short: "Publish the platform's guardrails and helpers",
		Args:  unknownVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return missing(cmd, "a verb: publish") },
	}
	cmd.AddCommand(c.platformPublishCommand())
	return cmd
}

func (c *cli) platformPublishCommand() *cobra.Command {
	var f proposalFlags
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Check the platform against every tenant, store it, and bring it into force",
		Long: `Takes platform/ and lib/ of a workspace and publishes them to a table, as regent publish
does for a tenant. They are evaluated together with every tenant's rules, so every
tenant's revision in force is compiled under them and its cached replies are judged. If
one tenant is not well, nothing is stored, and the report names the tenant, the file and
the line.

regent revisions, diff, activate and rollback take --platform in place of a tenant.`,
		Example: `  regent platform publish --store dynamodb:regent
  regent platform publish --from shop -m 'no internal routes for partners' --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			return c.publishPlatform(cmd.Context(), reg, f)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.noActivate, "no-activate", false, "only store the revision")
	cmd.Flags().BoolVar(&f.allowEmpty, "allow-empty", false, "accept a workspace without guardrails and helpers where there are some in force")
	cmd.MarkFlagsMutuallyExclusive("yes", "no-activate")
	return cmd
}

// publishPlatform publishes a workspace's platform/ and lib/.
func (c *cli) publishPlatform(ctx context.Context, reg tenants.Registry, f proposalFlags) error {
	store, err := openWorkspace(f.from)
	if err != nil {
		return err
	}
	ws := store.Snapshot()
	p, err := c.propose(ctx, reg, tenants.PlatformOwner, f)
	if err != nil {
		return err
	}
	p.retry = "regent platform publish"
	p.revise(ws.PlatformBundle(), ws.Schema())
	if len(p.now.Files()) == 0 && len(p.old.Files()) > 0 && !f.allowEmpty {
		return &failure{
			err:   fmt.Errorf("the workspace at %s has neither platform/ nor lib/, and revision %s, which is in force, has %s", f.from, p.was.To.Short(), plural(len(p.old.Files()), "file")),
			hints: []string{"--allow-empty takes all guardrails away"},
		}
	}
	return p.publish(ctx, testJob{name: "platform"}, warnings(ws, "platform/", "lib/"))
}
