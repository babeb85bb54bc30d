package dynamo

import (
	"context"
	"slices"

	"regent/tenants"
)

// API returns the registered API with this id.
func (s *Store) API(ctx context.Context, id string) (tenants.API, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := apiKey(id)
	if !ok {
		return tenants.API{}, notFound("API %q", id)
	}
	it, err := s.find(ctx, k)
	if err != nil {
		return tenants.API{}, err
	}
	if it == nil {
		return tenants.API{}, notFound("API %q", id)
	}
	return readAPI(k, it)
}

func readAPI(k key, it item) (tenants.API, error) {
	var a tenants.API
	r, err := readRecord(k, it)
	if err != nil {
		return a, err
	}
	if err := parse(r.doc, &a); err != nil {
		return tenants.API{}, damaged(k, "%s: %v", attrDoc, err)
	}
	if own, ok := apiKey(a.ID); !ok || own != k {
		return tenants.API{}, damaged(k, "it has the document of API %q", a.ID)
	}
	a.Version = r.version
	return a, nil
}

// Tenant returns the tenant with this id, whatever its status.
func (s *Store) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := tenantKey(id)
	if !ok {
		return tenants.Tenant{}, notFound("tenant %q", id)
	}
	it, err := s.find(ctx, k)
	if err != nil {
		return tenants.Tenant{}, err
	}
	if it == nil {
		return tenants.Tenant{}, notFound("tenant %q", id)
	}
	return readTenant(k, it)
}

func readTenant(k key, it item) (tenants.Tenant, error) {
	r, err := readRecord(k, it)
	if err != nil {
		return tenants.Tenant{}, err
	}
	return r.tenant()
}

func (r record) tenant() (tenants.Tenant, error) {
	var t tenants.Tenant
	if err := parse(r.doc, &t); err != nil {
		return tenants.Tenant{}, damaged(r.key, "%s: %v", attrDoc, err)
	}
	if own, ok := tenantKey(t.ID); !ok || own != r.key {
		return tenants.Tenant{}, damaged(r.key, "it has the document of tenant %q", t.ID)
	}
	t.Revision, t.Version = r.revision, r.version
	return t, nil
}

// Select returns the id of the one tenant that holds this selector value.
func (s *Store) Select(ctx context.Context, kind tenants.SelectorKind, value string) (string, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, ok := selectorKey(kind, value)
	if !ok {
		return "", notFound("%s selector %q", kind, value)
	}
	id, err := s.selected(ctx, k, kind, value, s.consistent)
	if err == nil && id == "" && !s.consistent {
		id, err = s.selected(ctx, k, kind, value, true)
	}
	if err == nil && id == "" {
		return "", notFound("%s selector %q", kind, value)
	}
	return id, err
}

// selected returns "" unless the item of the value names a tenant whose record has it.
func (s *Store) selected(ctx context.Context, k key, kind tenants.SelectorKind, value string, consistent bool) (string, error) {
	it, err := s.get(ctx, k, consistent)
	if err != nil || it == nil {
		return "", err
	}
	id := str(it, attrTenant)
	home, ok := tenantKey(id)
	if !ok {
		return "", damaged(k, "%q is not a tenant's id", id)
	}
	it, err = s.get(ctx, home, consistent)
	if err != nil || it == nil {
		return "", err
	}
	t, err := readTenant(home, it)
	if err != nil || !slices.Contains(t.Selectors.Of(kind), value) {
		return "", err
	}
	return id, nil
}

// Platform returns the digest of the active platform bundle. Without one, nothing is to
// be decided: guardrails that were lost must not look like guardrails that never were.
func (s *Store) Platform(ctx context.Context) (tenants.Digest, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	k, _ := ownerKey(tenants.PlatformOwner)
	it, err := s.find(ctx, k)
	if err != nil {
		return "", err
	}
	if it == nil {
		return "", notFound("platform bundle (regent platform publish brings one into force)")
	}
	r, err := readRecord(k, it)
	if err == nil && r.revision == "" {
		err = damaged(k, "no revision is in force")
	}
	return r.revision, err
}
