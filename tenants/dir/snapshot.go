package dir

import (
	"context"
	"fmt"
	"slices"

	"regent/tenants"
)

// Snapshot is a workspace as it was when it was loaded. It does not change, and
// what it returns must not be changed.
type Snapshot struct {
	apis      []tenants.API
	tenants   []tenants.Tenant
	byAPI     map[string]int
	byTenant  map[string]int
	selectors map[selector]string
	bundles   map[tenants.Digest]tenants.Bundle
	platform  tenants.Digest
	schema    []byte
	warnings  []Warning
}

var _ tenants.Store = (*Snapshot)(nil)

// selector is a value that names a tenant, in its own name space.
type selector struct {
	kind  tenants.SelectorKind
	value string
}

// API returns the registered API with this id.
func (s *Snapshot) API(_ context.Context, id string) (tenants.API, error) {
	i, ok := s.byAPI[id]
	if !ok {
		return tenants.API{}, fmt.Errorf("API %q: %w", id, tenants.ErrNotFound)
	}
	return s.apis[i], nil
}

// Tenant returns the tenant with this id, whatever its status. Its revision is the
// digest of the policy on disk.
func (s *Snapshot) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	i, ok := s.byTenant[id]
	if !ok {
		return tenants.Tenant{}, fmt.Errorf("tenant %q: %w", id, tenants.ErrNotFound)
	}
	return s.tenants[i], nil
}

// Select returns the id of the one tenant that holds this selector value.
func (s *Snapshot) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	id, ok := s.selectors[selector{kind, value}]
	if !ok {
		return "", fmt.Errorf("%s selector %q: %w", kind, value, tenants.ErrNotFound)
	}
	return id, nil
}

// Bundle returns the bundle with this digest.
func (s *Snapshot) Bundle(_ context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	b, ok := s.bundles[digest]
	if !ok {
		return tenants.Bundle{}, fmt.Errorf("bundle %q: %w", digest, tenants.ErrNotFound)
	}
	return b, nil
}

// Platform returns the digest of the platform bundle.
func (s *Snapshot) Platform(context.Context) (tenants.Digest, error) { return s.platform, nil }

// APIs returns every API, sorted by id.
func (s *Snapshot) APIs() []tenants.API { return slices.Clone(s.apis) }

// Tenants returns every tenant, sorted by id.
func (s *Snapshot) Tenants() []tenants.Tenant { return slices.Clone(s.tenants) }

// TenantBundle returns the policy of a tenant, with paths relative to its policy/
// directory, or an error that wraps tenants.ErrNotFound.
func (s *Snapshot) TenantBundle(id string) (tenants.Bundle, error) {
	i, ok := s.byTenant[id]
	if !ok {
		return tenants.Bundle{}, fmt.Errorf("tenant %q: %w", id, tenants.ErrNotFound)
	}
	return s.bundles[s.tenants[i].Revision], nil
}

// PlatformBundle returns the files of platform/ and lib/, under these names. It is
// a bundle without files if the workspace has neither.
func (s *Snapshot) PlatformBundle() tenants.Bundle { return s.bundles[s.platform] }

// Schema returns schema/input.json, or nil if the workspace has none.
func (s *Snapshot) Schema() []byte { return s.schema }

// Warnings returns what is in the workspace without having an effect, by file.
func (s *Snapshot) Warnings() []Warning { return slices.Clone(s.warnings) }
