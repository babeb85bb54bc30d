package dynamo

import (
	"context"
	"fmt"

	"regent/tenants"
)

// Tenants returns every tenant, sorted by id.
func (s *Store) Tenants(ctx context.Context) ([]tenants.Tenant, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return listed(ctx, s, tenantList, tenantKey, readTenant)
}

// PutTenant writes a tenant's record in place of the one that has its Version; Version 0
// writes a new one. The revision in force is not touched.
//
// Selector values are reserved first and released last. What a call that lost, or that
// ended in between, leaves reserved names nobody, and is the next one's to take.
func (s *Store) PutTenant(ctx context.Context, t tenants.Tenant) (tenants.Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, min(s.limits.Total, maxReserving))
	defer cancel()
	what := fmt.Sprintf("tenant %q", t.ID)
	k, ok := tenantKey(t.ID)
	if !ok || t.Version < 0 {
		return tenants.Tenant{}, fmt.Errorf("%s: not a tenant's id and version", what)
	}
	stored := t
	stored.Version, stored.Revision = 0, ""
	doc, err := readable(stored)
	if err != nil {
		return tenants.Tenant{}, fmt.Errorf("%s: %w", what, err)
	}
	before, old, err := s.before(ctx, k, what, t.Version)
	if err != nil {
		return tenants.Tenant{}, err
	}
	first := int64(1)
	if t.Version == 0 {
		if first, err = s.firstVersion(ctx, listKey(tenantList, t.ID)); err != nil {
			return tenants.Tenant{}, err
		}
	}
	values, err := s.holdings(ctx, old.Selectors, t.Selectors)
	if err != nil {
		return tenants.Tenant{}, err
	}
	if err := s.reserve(ctx, t.ID, values); err != nil {
		return tenants.Tenant{}, s.undo(ctx, t.ID, values, err)
	}
	stored.Version, err = s.store(ctx, k, what, doc, t.Version, first)
	if err != nil {
		return tenants.Tenant{}, s.undo(ctx, t.ID, values, err)
	}
	stored.Revision = before.revision
	return stored, s.release(ctx, t.ID, values)
}

// before returns the record that is to be replaced.
func (s *Store) before(ctx context.Context, k key, what string, version int64) (record, tenants.Tenant, error) {
	r, there, err := s.load(ctx, k)
	switch {
	case err != nil:
		return record{}, tenants.Tenant{}, err
	case !there && version == 0:
		return record{}, tenants.Tenant{}, nil
	case !there:
		return record{}, tenants.Tenant{}, gone(what)
	case r.version != version:
		return record{}, tenants.Tenant{}, r.conflict(what)
	}
	t, err := r.tenant()
	return r, t, err
}

// DeleteTenant removes the record and its selectors if its version is still the one
// given. Revisions and activations stay.
func (s *Store) DeleteTenant(ctx context.Context, id string, version int64) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	what := fmt.Sprintf("tenant %q", id)
	k, ok := tenantKey(id)
	if !ok {
		return notFound("%s", what)
	}
	r, there, err := s.load(ctx, k)
	if err != nil {
		return err
	}
	if !there {
		return notFound("%s", what)
	}
	t, err := r.tenant()
	if err != nil {
		return err
	}
	values, err := s.holdings(ctx, t.Selectors, tenants.Selectors{})
	if err != nil {
		return err
	}
	if err := s.erase(ctx, r, listKey(tenantList, id), what, version); err != nil {
		return err
	}
	return s.release(ctx, id, values)
}
