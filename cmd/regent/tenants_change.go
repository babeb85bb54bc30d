package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"regent/tenants"
	"regent/tenants/cache"
)

// statusCommand is suspend or resume.
func (c *cli) statusCommand(verb string, status tenants.Status) *cobra.Command {
	var author string
	about := map[tenants.Status][2]string{
		tenants.Suspended: {"Deny every request of a tenant", `Sets a tenant's status to suspended: every request of it is denied, whatever its rules
and tokens say, until it is resumed.`},
		tenants.Active: {"Let a suspended tenant's rules decide again", `Sets a tenant's status to active: its rules decide again.`},
	}[status]
	cmd := &cobra.Command{
		Use:   verb + " TENANT",
		Short: about[0],
		Long: about[1] + `

Functions that have the tenant in memory see it when they look again, and replies that
API Gateway has cached stand until their time is up; the output says how long that is.`,
		Example:           "  regent tenants " + verb + " acme",
		Args:              exactlyOne("tenant"),
		ValidArgsFunction: c.completeArgument(c.tenantIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			change, err := setStatus(cmd.Context(), reg, args[0], status)
			if err != nil {
				return err
			}
			if err := c.finish(change); err != nil || change.State == recordUnchanged {
				return err
			}
			return c.sayWhen(cmd.Context(), reg)
		},
	}
	authorFlag(cmd, &author)
	return cmd
}

func setStatus(ctx context.Context, reg tenants.Registry, id string, status tenants.Status) (recordChange, error) {
	change := recordChange{Kind: "tenant", ID: id, State: recordUnchanged}
	t, err := tenantIn(ctx, reg, id)
	if err != nil {
		return change, err
	}
	if change.Version = t.Version; t.Status == status {
		return change, nil
	}
	change.State = recordChanged
	change.Fields = []fieldChange{{"status", string(t.Status), string(status)}}
	t.Status = status
	if t, err = reg.PutTenant(ctx, t); err != nil {
		return change, outrun(fmt.Errorf("put tenant %s: %w", id, err))
	}
	change.Version = t.Version
	return change, nil
}

// sayWhen tells when a change of a record has come to everybody.
func (c *cli) sayWhen(ctx context.Context, reg tenants.Registry) error {
	c.say("functions decide as before for about %s (REGENT_REFRESH), and at most %s (REGENT_MUST_REFRESH) while they can read the table, unless set otherwise", cache.DefaultRefresh, cache.DefaultMustRefresh)
	apis, err := reg.APIs(ctx)
	if err != nil {
		return fmt.Errorf("list APIs: %w", err)
	}
	var caches []string
	for _, a := range apis {
		if a.Cache.TTL > 0 {
			caches = append(caches, fmt.Sprintf("%s on API %s", a.Cache.TTL, a.ID))
		}
	}
	if len(caches) > 0 {
		c.say("replies that API Gateway has cached stand for up to %s", strings.Join(caches, ", "))
	}
	return nil
}

func (c *cli) tenantsDeleteCommand() *cobra.Command {
	var yes bool
	var author string
	cmd := &cobra.Command{
		Use:   "delete TENANT",
		Short: "Remove a tenant's record and its selectors",
		Long: `Removes a tenant's record and frees its selector values: its requests are those of an
unknown tenant from then on, and are denied. Its revisions and the record of its
activations stay. It asks first.`,
		Example:           "  regent tenants delete acme",
		Args:              exactlyOne("tenant"),
		ValidArgsFunction: c.completeArgument(c.tenantIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			t, err := tenantIn(cmd.Context(), reg, args[0])
			if err != nil {
				return err
			}
			c.say("tenant %s is %s, its revision in force %s", t.ID, t.Status, orNone(t.Revision.Short()))
			if err := c.confirm(cmd.Context(), fmt.Sprintf("delete tenant %s?", t.ID), yes); err != nil {
				return err
			}
			if err := reg.DeleteTenant(cmd.Context(), t.ID, t.Version); err != nil {
				return outrun(fmt.Errorf("delete tenant %s: %w", t.ID, err))
			}
			if err := c.finish(recordChange{Kind: "tenant", ID: t.ID, State: recordDeleted}); err != nil {
				return err
			}
			return c.sayWhen(cmd.Context(), reg)
		},
	}
	yesFlag(cmd, &yes)
	authorFlag(cmd, &author)
	return cmd
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
