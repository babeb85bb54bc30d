package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"regent/tenants"
	"regent/tenants/dir"
)

// importing is a workspace on its way into a registry.
type importing struct {
	reg             tenants.Registry
	snapshot        *dir.Snapshot
	author, message string
	// files are kept for the export; nil if they are not.
	files *tenants.Bundle
	// leftOut are the paths that are no part of the workspace.
	leftOut []string

	// changes are all that the workspace has, compared with what the registry has, and
	// writes are those that make it so, in their order.
	changes []recordChange
	writes  []write
	// stays are what only the registry has.
	stays []string
}

// write is one write to the registry.
type write struct {
	// change is the index in changes; -1 for a write that by itself changes nothing.
	change int
	do     func(context.Context) (version int64, err error)
	// tenant is the id of the tenant whose record is written; empty for other writes.
	tenant string
}

// plan compares the workspace with the registry. The writes that it makes are ordered so
// that no request is decided by half of an import into an empty table: an API that is
// not registered yet is trouble, which is not cached, while an unknown tenant is a Deny.
// So come first what nobody sees (bundles), then the platform, the records, the
// activations, the APIs, and last the files, whose activation says that all is done.
func (i *importing) plan(ctx context.Context) error {
	all, err := i.reg.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	if err := i.clashes(all); err != nil {
		return err
	}
	var activations []write
	bring := func(kind, id, owner string, b tenants.Bundle) error {
		put, activate, err := i.revision(ctx, kind, id, owner, b)
		if put != nil {
			i.writes = append(i.writes, *put)
			activations = append(activations, *activate)
		}
		return err
	}
	if err := bring("platform", "", tenants.PlatformOwner, i.snapshot.PlatformBundle()); err != nil {
		return err
	}
	for _, t := range i.snapshot.Tenants() {
		b, err := i.snapshot.TenantBundle(t.ID)
		if err != nil {
			return err
		}
		if err := bring("policy", t.ID, t.ID, b); err != nil {
			return err
		}
	}
	var last []write
	if i.files != nil {
		put, activate, err := i.revision(ctx, "files", "", tenants.WorkspaceOwner, *i.files)
		if err != nil {
			return err
		}
		if put != nil {
			last = append(last, *put, *activate)
		}
	}
	for _, t := range i.snapshot.Tenants() {
		i.record(t, all)
	}
	i.writes = append(i.writes, activations...)
	if err := i.apis(ctx); err != nil {
		return err
	}
	i.writes = append(i.writes, last...)
	i.staying(all)
	return nil
}

// clashes are between the workspace's tenants and those that only the registry has;
// those within the workspace were found when it was read.
func (i *importing) clashes(all []tenants.Tenant) error {
	mine := i.snapshot.Tenants()
	others := slices.DeleteFunc(slices.Clone(all), func(t tenants.Tenant) bool { return indexOf(mine, t.ID) >= 0 })
	var errs dir.Errors
	for _, clash := range clashes(mine, others) {
		errs = append(errs, dir.FileError{File: "tenants/" + clash.tenant + "/" + tenantFile, Message: clash.field + ": " + clash.message})
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// revision compares a bundle with what is in force, and returns the writes that bring it
// into force, if they are needed.
func (i *importing) revision(ctx context.Context, kind, id, owner string, b tenants.Bundle) (put, activate *write, err error) {
	now, err := i.reg.Active(ctx, owner)
	if err != nil && !errors.Is(err, tenants.ErrNotFound) {
		return nil, nil, fmt.Errorf("read what is in force for %s: %w", ownerName(owner), err)
	}
	change := recordChange{Kind: kind, ID: id, State: recordChanged}
	switch now.To {
	case b.Digest():
		change.State = recordUnchanged
	case "":
		change.State = recordNew
		change.Fields = []fieldChange{{Field: "revision", After: string(b.Digest())}}
	default:
		change.Fields = []fieldChange{{"revision", string(now.To), string(b.Digest())}}
	}
	i.changes = append(i.changes, change)
	if change.State == recordUnchanged {
		return nil, nil, nil
	}
	put = &write{change: -1, do: func(ctx context.Context) (int64, error) { return 0, i.putRevision(ctx, owner, b) }}
	activate = &write{change: len(i.changes) - 1, do: func(ctx context.Context) (int64, error) {
		return i.activate(ctx, owner, now.To, b.Digest())
	}}
	return put, activate, nil
}

// record compares a tenant's record.
func (i *importing) record(t tenants.Tenant, all []tenants.Tenant) {
	change := recordChange{Kind: "tenant", ID: t.ID, State: recordNew}
	t.Revision, t.Version = "", 0
	if at := indexOf(all, t.ID); at >= 0 {
		now := all[at]
		t.Revision, t.Version = now.Revision, now.Version
		if dir.SameTenant(now, t) {
			change.State = recordUnchanged
		} else {
			change.State, change.Fields = recordChanged, compareRecords(now, t)
		}
	}
	i.changes = append(i.changes, change)
	if change.State == recordUnchanged {
		return
	}
	i.writes = append(i.writes, write{change: len(i.changes) - 1, tenant: t.ID, do: func(ctx context.Context) (int64, error) {
		written, err := i.reg.PutTenant(ctx, t)
		return written.Version, err
	}})
}

// apis compares the APIs.
func (i *importing) apis(ctx context.Context) error {
	all, err := i.reg.APIs(ctx)
	if err != nil {
		return fmt.Errorf("list APIs: %w", err)
	}
	for _, a := range i.snapshot.APIs() {
		at := slices.IndexFunc(all, func(b tenants.API) bool { return b.ID == a.ID })
		var now tenants.API
		if at >= 0 {
			now = all[at]
		}
		change := compareAPIs(at >= 0, now, a)
		i.changes = append(i.changes, change)
		if change.State == recordUnchanged {
			continue
		}
		a.Version = now.Version
		i.writes = append(i.writes, write{change: len(i.changes) - 1, do: func(ctx context.Context) (int64, error) {
			written, err := i.reg.PutAPI(ctx, a)
			return written.Version, err
		}})
	}
	for _, a := range all {
		if !slices.ContainsFunc(i.snapshot.APIs(), func(b tenants.API) bool { return b.ID == a.ID }) {
			i.stays = append(i.stays, "API "+a.ID)
		}
	}
	return nil
}

func (i *importing) staying(all []tenants.Tenant) {
	for _, t := range all {
		if indexOf(i.snapshot.Tenants(), t.ID) < 0 {
			i.stays = append(i.stays, "tenant "+t.ID)
		}
	}
}
