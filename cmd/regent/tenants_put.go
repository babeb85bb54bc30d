package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"regent/engine/identity"
	"regent/tenants"
	"regent/tenants/dir"
)

// putFlags are the flags of `tenants put` and `apis put`.
type putFlags struct {
	yes          bool
	allowPrivate bool
	author       string
}

// allowPrivateFlag adds --allow-private-providers.
func allowPrivateFlag(cmd *cobra.Command, allow *bool) {
	cmd.Flags().BoolVar(allow, "allow-private-providers", false, "accept identity providers without TLS, on any port and at private addresses, as $REGENT_ALLOW_PRIVATE_PROVIDERS does")
}

// authorFlag adds --author, which openTable looks for.
func authorFlag(cmd *cobra.Command, author *string) {
	cmd.Flags().StringVar(author, "author", "", "who does it (default: Git's user, else the system's)")
}

func (c *cli) tenantsPutCommand() *cobra.Command {
	var f putFlags
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Write a tenant's record, a new one or in place of the one that is there",
		Long: `Writes the record of the tenant that a tenant.yaml describes, or - for standard input.
The file is read as strictly as a workspace's, the record is held against all other
tenants' (no selector value and no token may be two tenants'), and identity providers
that could never be asked are refused. It shows what changes and asks.

The revision in force is not touched: a new tenant has none until regent publish.`,
		Example: "  regent tenants put tenants/acme/tenant.yaml\n  regent tenants get acme | sed 's/gold/silver/' | regent tenants put - --yes",
		Args:    exactlyOne("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			reg, err := c.registry(cmd)
			if err != nil {
				return err
			}
			allow, err := c.allowsPrivate(f.allowPrivate)
			if err != nil {
				return err
			}
			name, content, err := c.readRecord(args[0])
			if err != nil {
				return err
			}
			file, err := dir.ReadTenant(name, content)
			if err != nil {
				return err
			}
			if errs := unreachable(file, allow); len(errs) > 0 {
				return errs
			}
			change, err := c.putTenant(cmd.Context(), reg, file, f.yes)
			if err != nil {
				return err
			}
			return c.finish(change)
		},
	}
	yesFlag(cmd, &f.yes)
	allowPrivateFlag(cmd, &f.allowPrivate)
	authorFlag(cmd, &f.author)
	return cmd
}

// allowsPrivate is --allow-private-providers, or else what the function's own setting says.
func (c *cli) allowsPrivate(flag bool) (bool, error) {
	if flag {
		return true, nil
	}
	conf, err := c.tableSettings()
	return conf.AllowPrivate, err
}

// unreachable are the providers of a tenant that no function would ever ask.
func unreachable(f dir.TenantFile, allowPrivate bool) (errs dir.Errors) {
	for i, p := range f.Tenant.Identity.Providers {
		for _, err := range each(identity.CheckProvider(p, allowPrivate)) {
			var at *tenants.FieldError
			if errors.As(err, &at) {
				field := fmt.Sprintf("identity.providers[%d].%s", i, at.Field)
				errs = append(errs, f.Fail(field, at.Message, "for development only: --allow-private-providers"))
			}
		}
	}
	return errs
}

// each takes a joined error apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// putTenant writes a record if it differs from what is there, and somebody says yes.
func (c *cli) putTenant(ctx context.Context, reg tenants.Registry, file dir.TenantFile, yes bool) (recordChange, error) {
	record := file.Tenant
	change := recordChange{Kind: "tenant", ID: record.ID, State: recordNew}
	all, err := reg.Tenants(ctx)
	if err != nil {
		return change, fmt.Errorf("list tenants: %w", err)
	}
	var before any
	others := all
	if i := indexOf(all, record.ID); i >= 0 {
		change.State, before = recordChanged, all[i]
		record.Version, record.Revision = all[i].Version, all[i].Revision
		others = slices.Delete(slices.Clone(all), i, i+1)
		if dir.SameTenant(all[i], record) {
			change.State, change.Version = recordUnchanged, record.Version
			return change, nil
		}
	}
	var errs dir.Errors
	for _, clash := range clashes([]tenants.Tenant{record}, others) {
		errs = append(errs, file.Fail(clash.field, clash.message, ""))
	}
	if len(errs) > 0 {
		return change, errs
	}
	change.Fields = compareRecords(before, record)
	if !c.json || !yes {
		c.preview(change)
	}
	if err := c.confirm(ctx, fmt.Sprintf("put tenant %s?", record.ID), yes); err != nil {
		return change, err
	}
	written, err := reg.PutTenant(ctx, record)
	if err != nil {
		return change, outrun(fmt.Errorf("put tenant %s: %w", record.ID, err))
	}
	change.Version = written.Version
	if record.Revision == "" {
		c.hint(fmt.Sprintf("no revision is in force yet: regent publish %s", record.ID))
	}
	change.Clashes, err = clashesNow(ctx, reg, written)
	return change, err
}

func indexOf(all []tenants.Tenant, id string) int {
	return slices.IndexFunc(all, func(t tenants.Tenant) bool { return t.ID == id })
}

// clash is something that a tenant's record and another's cannot both have.
type clash struct {
	tenant string
	// field is the tenant's.
	field   string
	message string
}

// clashes are those of some tenants with others, in time that grows with their number.
func clashes(mine, others []tenants.Tenant) (found []clash) {
	held, ours := map[string]string{}, map[string]bool{}
	for _, other := range others {
		eachSelector(other, func(kind tenants.SelectorKind, _ int, value string) { held[string(kind)+":"+value] = other.ID })
	}
	for _, t := range mine {
		ours[t.ID] = true
		eachSelector(t, func(kind tenants.SelectorKind, i int, value string) {
			if holder, taken := held[string(kind)+":"+value]; taken {
				err := tenants.TakenError{Kind: kind, Value: value, Tenant: holder}
				found = append(found, clash{t.ID, fmt.Sprintf("selectors.%ss[%d]", kind, i), err.Error()})
			}
		})
	}
	// They come last, for of two tenants that share an issuer the second is told.
	for _, err := range each(tenants.CheckProviders(slices.Concat(others, mine))) {
		switch err := err.(type) {
		case *tenants.SharedIssuerError:
			if ours[err.Second.ID] {
				found = append(found, clash{err.Second.ID, err.Second.Field(), err.Error()})
			}
		case *tenants.ForeignSecretError:
			if ours[err.At.ID] {
				found = append(found, clash{err.At.ID, err.At.Field() + ".client_secret", err.Error()})
			} else if ours[err.Owner] {
				found = append(found, clash{err.Owner, "id", err.Error()})
			}
		}
	}
	return found
}

func eachSelector(t tenants.Tenant, visit func(kind tenants.SelectorKind, i int, value string)) {
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for i, value := range t.Selectors.Of(kind) {
			visit(kind, i, value)
		}
	}
}

// clashesNow are those of a tenant that was just written with what others wrote at the
// same time: what the store does not judge.
func clashesNow(ctx context.Context, reg tenants.Registry, t tenants.Tenant) (found []string, err error) {
	all, err := reg.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("tenant %s was put, but whether another was put at the same time that it clashes with is not known: %w", t.ID, err)
	}
	if i := indexOf(all, t.ID); i >= 0 {
		all = slices.Delete(slices.Clone(all), i, i+1)
	}
	for _, clash := range clashes([]tenants.Tenant{t}, all) {
		found = append(found, fmt.Sprintf("tenant %s was put while another was that it clashes with: %s: %s: change one of them, or suspend %s", t.ID, clash.field, clash.message, t.ID))
	}
	return found, nil
}
