package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"regent/cmd/internal/config"
	"regent/tenants"
)

// againstTable opens the table that --against names a revision of, or returns nil if
// it names a directory: where the store is one, or a directory of that name exists.
func (c *cli) againstTable(cmd *cobra.Command, f matrixFlags) (tenants.Registry, error) {
	info, err := os.Stat(f.against)
	if f.against == "" || strings.HasPrefix(f.against, "dir:") || err == nil && info.IsDir() {
		return nil, nil
	}
	store, err := c.storeNamed()
	if err != nil || store.Scheme != config.SchemeDynamoDB {
		return nil, err
	}
	return c.registry(cmd)
}

// revisionsAgainst is a judge of what the store has: its APIs, its platform, its
// records, and for each tenant the revision that --against names. Tenants that have no
// such revision are left out, unless that leaves nobody.
func revisionsAgainst(ctx context.Context, reg tenants.Registry, f matrixFlags, chosen []tenants.Tenant, conf config.Config) (*judge, []tenants.Tenant, error) {
	d, err := inForce(ctx, &shelf{Registry: reg})
	if err != nil {
		return nil, nil, err
	}
	d.bundles = map[tenants.Digest]tenants.Bundle{}
	var found []tenants.Tenant
	var missing error
	for _, t := range chosen {
		record, b, err := recordWith(ctx, reg, t.ID, f.against)
		var f *failure
		switch {
		case errors.As(err, &f):
			missing = err
			continue
		case errors.Is(err, tenants.ErrNotFound):
			found = append(found, t) // new: the store knows nothing of it
			continue
		case err != nil:
			return nil, nil, err
		}
		found = append(found, t)
		d.tenants = append(d.tenants, record)
		d.bundles[b.Digest()] = b
	}
	if len(d.tenants) == 0 && missing != nil {
		return nil, nil, missing
	}
	j, err := newJudge(ctx, d, f.stage, conf, 1)
	return j, found, err
}

// recordWith is a tenant's record with the revision that a word names. The error is a
// failure if there is no such revision, and wraps tenants.ErrNotFound if there is no
// such tenant.
func recordWith(ctx context.Context, reg tenants.Registry, id, word string) (tenants.Tenant, tenants.Bundle, error) {
	record, err := reg.Tenant(ctx, id)
	if err != nil {
		return record, tenants.Bundle{}, fmt.Errorf("read tenant %s: %w", id, err)
	}
	a, err := reg.Active(ctx, id)
	if err != nil {
		return record, tenants.Bundle{}, fmt.Errorf("read what is in force for %s: %w", id, err)
	}
	b := stub() // without a revision in force nobody is allowed anything
	if word != wordActive || a.To != "" {
		if record.Revision, err = findRevision(ctx, reg, id, a, word); err != nil {
			return record, b, err
		}
		if b, err = reg.Bundle(ctx, record.Revision); errors.Is(err, tenants.ErrNotFound) {
			err = &failure{err: fmt.Errorf("the content of revision %s is not in the store", record.Revision.Short())}
		}
	}
	record.Revision = b.Digest()
	return record, b, err
}
