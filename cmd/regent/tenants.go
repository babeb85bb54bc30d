package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/tenants"
	"regent/tenants/dir"
)

func (c *cli) tenantsCommand() *cobra.Command {
	return group("tenants", "List, show and change the tenants of a table",
		`The tenants of a store. list and get read a workspace too; the other verbs change a
table in DynamoDB, for a workspace is changed in its files.`,
		c.tenantsListCommand(), c.tenantsGetCommand(), c.tenantsPutCommand(),
		c.statusCommand("suspend", tenants.Suspended), c.statusCommand("resume", tenants.Active),
		c.tenantsDeleteCommand())
}

func (c *cli) tenantsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenants",
		Example: "  regent tenants list\n  regent tenants list --store dynamodb:regent --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := c.reader(cmd)
			if err != nil {
				return err
			}
			all, err := store.Tenants(cmd.Context())
			if err != nil {
				return fmt.Errorf("list tenants: %w", err)
			}
			if c.json {
				return c.out.json(append([]tenants.Tenant{}, all...))
			}
			if len(all) == 0 {
				c.say("there are no tenants")
				return nil
			}
			c.out.table(tenantRows(all))
			return nil
		},
	}
}

func tenantRows(all []tenants.Tenant) [][]cell {
	rows := [][]cell{{{"TENANT", dim}, {"STATUS", dim}, {"REVISION", dim}, {"VERSION", dim}, {"SELECTORS", dim}}}
	for _, t := range all {
		revision := t.Revision.Short()
		if revision == "" {
			revision = "none"
		}
		color := green
		if t.Status != tenants.Active {
			color = yellow
		}
		var selectors []string
		for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
			selectors = append(selectors, t.Selectors.Of(kind)...)
		}
		const most = 3
		if more := len(selectors) - most; more > 0 {
			selectors = append(selectors[:most], fmt.Sprintf("and %d more", more))
		}
		rows = append(rows, []cell{
			{text: printable(t.ID)}, {printable(string(t.Status)), color}, {text: revision},
			{text: strconv.FormatInt(t.Version, 10)}, {text: printable(strings.Join(selectors, ", "))},
		})
	}
	return rows
}

// tenantDetail is what `regent tenants get` shows. Its JSON form is the record's with
// further fields.
type tenantDetail struct {
	tenants.Tenant
	// Activation is the last one; nil in a workspace, and where there was none.
	Activation *tenants.Activation `json:"activation,omitempty"`
	// Parked are the revisions that functions have stopped evaluating for a while.
	Parked []tenants.Parked `json:"parked,omitempty"`
}

func (c *cli) tenantsGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get TENANT",
		Short: "Show a tenant's record, and what is in force",
		Long: `Shows a tenant's record as a tenant.yaml, which tenants put takes. What else is known of
the tenant comes before it, as comments: the version of the record, the revision in
force and who brought it into force when, and the revisions that functions have stopped
evaluating for a while because they had to be killed.`,
		Example:           "  regent tenants get acme\n  regent tenants get acme > acme.yaml    # edit it, then: regent tenants put acme.yaml",
		Args:              exactlyOne("tenant"),
		ValidArgsFunction: c.completeArgument(c.tenantIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := c.reader(cmd)
			if err != nil {
				return err
			}
			d, err := detail(cmd.Context(), store, args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.out.json(d)
			}
			return c.showTenant(d)
		},
	}
}

// tenantIn reads a tenant's record, or says which one might be meant.
func tenantIn(ctx context.Context, store reader, id string) (tenants.Tenant, error) {
	t, err := store.Tenant(ctx, id)
	if err == nil || !errors.Is(err, tenants.ErrNotFound) {
		return t, err
	}
	all, err := store.Tenants(ctx)
	if err != nil {
		return t, fmt.Errorf("list tenants: %w", err)
	}
	var ids []string
	for _, t := range all {
		ids = append(ids, t.ID)
	}
	return t, absentHere("tenant", id, ids)
}

func detail(ctx context.Context, store reader, id string) (tenantDetail, error) {
	t, err := tenantIn(ctx, store, id)
	if err != nil {
		return tenantDetail{}, err
	}
	d := tenantDetail{Tenant: t}
	if reg, ok := store.(tenants.Registry); ok {
		a, err := reg.Active(ctx, id)
		if err != nil && !errors.Is(err, tenants.ErrNotFound) {
			return d, fmt.Errorf("read what is in force: %w", err)
		}
		if a.To != "" {
			d.Activation = &a
		}
	}
	if lot, ok := store.(tenants.ParkingLot); ok {
		if d.Parked, err = lot.Parked(ctx, id, time.Now()); err != nil {
			return d, fmt.Errorf("read parked revisions: %w", err)
		}
	}
	return d, nil
}

func (c *cli) showTenant(d tenantDetail) error {
	content, err := dir.FormatTenant(d.Tenant)
	if err != nil {
		c.warn("%v", err)
		return c.out.json(d)
	}
	comment := func(format string, args ...any) {
		c.out.line(c.out.paint(dim, "# "+printable(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))))
	}
	comment("version %d", d.Version)
	switch {
	case d.Revision == "":
		comment("no revision is in force: regent publish %s", d.ID)
	case d.Activation == nil:
		comment("revision %s", d.Revision)
	default:
		comment("revision %s, in force since %s%s", d.Revision, d.Activation.Time.UTC().Format(time.RFC3339), authorAndWhy(*d.Activation))
	}
	for _, p := range d.Parked {
		comment("revision %s is parked until %s: %s", p.Revision.Short(), p.Until.UTC().Format(time.RFC3339), p.Reason)
	}
	c.record(content)
	return nil
}

// record writes YAML as it is, but for a terminal, which it must not steer.
func (c *cli) record(content []byte) {
	text := string(content)
	if c.out.terminal {
		text = printable(text)
	}
	c.out.line(strings.TrimSuffix(text, "\n"))
}

// authorAndWhy is " by AUTHOR: MESSAGE", as far as it is known.
func authorAndWhy(a tenants.Activation) (text string) {
	if a.Author != "" {
		text = " by " + a.Author
	}
	if a.Message != "" {
		text += ": " + a.Message
	}
	return text
}
