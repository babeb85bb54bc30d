package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"regent/tenants"
)

// draft is a table as it would be with certain revisions in force: the rulebook that a
// publication is judged in. It does not change.
type draft struct {
	// Store has what the draft has not.
	tenants.Store
	apis     []tenants.API
	tenants  []tenants.Tenant
	platform tenants.Bundle
	// bundles are the policies of tenants, and what is not in the store yet.
	bundles map[tenants.Digest]tenants.Bundle
	schema  []byte
}

var _ rulebook = (*draft)(nil)

// API returns the registered API with this id.
func (d *draft) API(_ context.Context, id string) (tenants.API, error) {
	i := slices.IndexFunc(d.apis, func(a tenants.API) bool { return a.ID == id })
	if i < 0 {
		return tenants.API{}, fmt.Errorf("API %q: %w", id, tenants.ErrNotFound)
	}
	return d.apis[i], nil
}

// Tenant returns the tenant with this id.
func (d *draft) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	i := slices.IndexFunc(d.tenants, func(t tenants.Tenant) bool { return t.ID == id })
	if i < 0 {
		return tenants.Tenant{}, fmt.Errorf("tenant %q: %w", id, tenants.ErrNotFound)
	}
	return d.tenants[i], nil
}

// Bundle returns the bundle with this digest.
func (d *draft) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	if digest == d.platform.Digest() {
		return d.platform, nil
	}
	if b, ok := d.bundles[digest]; ok {
		return b, nil
	}
	return d.Store.Bundle(ctx, digest)
}

// Platform returns the digest of the platform bundle.
func (d *draft) Platform(context.Context) (tenants.Digest, error) { return d.platform.Digest(), nil }

// APIs returns every API, sorted by id.
func (d *draft) APIs() []tenants.API { return d.apis }

// Tenants returns the draft's tenants, sorted by id.
func (d *draft) Tenants() []tenants.Tenant { return d.tenants }

// TenantBundle returns the policy of a tenant.
func (d *draft) TenantBundle(id string) (tenants.Bundle, error) {
	for _, t := range d.tenants {
		if b, ok := d.bundles[t.Revision]; ok && t.ID == id {
			return b, nil
		}
	}
	return tenants.Bundle{}, fmt.Errorf("policy of tenant %q: %w", id, tenants.ErrNotFound)
}

// PlatformBundle returns the files of platform/ and lib/.
func (d *draft) PlatformBundle() tenants.Bundle { return d.platform }

// Schema returns the input document's schema, or nil.
func (d *draft) Schema() []byte { return d.schema }

// with is the draft with one tenant, under a policy.
func (d *draft) with(t tenants.Tenant, policy tenants.Bundle) *draft {
	one := *d
	t.Revision = policy.Digest()
	// A tenant that is suspended today is judged as it will be when it is resumed.
	t.Status = tenants.Active
	one.tenants = []tenants.Tenant{t}
	one.bundles = map[tenants.Digest]tenants.Bundle{policy.Digest(): policy}
	return &one
}

// shelf is a registry that keeps the few bundles that were read last, and has those
// that are not stored yet.
type shelf struct {
	tenants.Registry
	// unstored is set before the shelf is used.
	unstored []tenants.Bundle

	mu   sync.Mutex
	last []tenants.Bundle
}

// shelfSize is enough for a platform and the revisions that are judged at a time.
const shelfSize = 16

// Bundle returns the bundle with this digest.
func (s *shelf) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	s.mu.Lock()
	for _, b := range slices.Concat(s.unstored, s.last) {
		if b.Digest() == digest {
			s.mu.Unlock()
			return b, nil
		}
	}
	s.mu.Unlock()
	b, err := s.Registry.Bundle(ctx, digest)
	if err != nil {
		return tenants.Bundle{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last[max(0, len(s.last)-shelfSize+1):], b)
	return b, nil
}

// emptyBundle has no files: the platform of a table that none was published to.
func emptyBundle() tenants.Bundle {
	b, err := tenants.NewBundle(nil)
	if err != nil {
		panic(err) // no files have no faults
	}
	return b
}

// inForce is what the store has in force: its APIs and its platform. The tenants are
// for the caller to add.
func inForce(ctx context.Context, store tenants.Registry) (*draft, error) {
	apis, err := store.APIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read APIs: %w", err)
	}
	d := &draft{Store: store, apis: apis, platform: emptyBundle()}
	digest, err := store.Platform(ctx)
	switch {
	case errors.Is(err, tenants.ErrNotFound), err == nil && digest == d.platform.Digest():
		return d, nil
	case err != nil:
		return nil, fmt.Errorf("read platform: %w", err)
	}
	if d.platform, err = store.Bundle(ctx, digest); err != nil {
		return nil, fmt.Errorf("read platform revision %s: %w", digest.Short(), err)
	}
	return d, nil
}
