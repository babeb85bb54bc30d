package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"regent/tenants"
)

// memory is a tenants.Registry in memory, with a place to interfere before and after
// each call. What tenants.Registry says of conflicts holds here too.
type memory struct {
	mu       sync.Mutex
	apis     map[string]tenants.API
	records  map[string]tenants.Tenant
	bundles  map[tenants.Digest]tenants.Bundle
	owned    map[string][]tenants.Revision
	log      map[string][]tenants.Activation
	versions map[string]int64

	// before and after are called around every method, with its name. An error of before
	// keeps the method from happening, one of after is its answer all the same.
	before, after func(method string) error
}

var _ tenants.Registry = (*memory)(nil)

func newMemory() *memory {
	return &memory{
		apis: map[string]tenants.API{}, records: map[string]tenants.Tenant{}, bundles: map[tenants.Digest]tenants.Bundle{},
		owned: map[string][]tenants.Revision{}, log: map[string][]tenants.Activation{}, versions: map[string]int64{},
	}
}

// during runs a method between before and after.
func during[T any](m *memory, method string, do func() (T, error)) (T, error) {
	var none T
	if m.before != nil {
		if err := m.before(method); err != nil {
			return none, err
		}
	}
	m.mu.Lock()
	v, err := do()
	m.mu.Unlock()
	if err == nil && m.after != nil {
		if err := m.after(method); err != nil {
			return none, err
		}
	}
	return v, err
}

func get[K comparable, V any](from map[K]V, key K) (V, error) {
	v, ok := from[key]
	if !ok {
		return v, fmt.Errorf("%v: %w", key, tenants.ErrNotFound)
	}
	return v, nil
}

func sorted[V any](from map[string]V) []V {
	var all []V
	for _, key := range sortedKeys(from) {
		all = append(all, from[key])
	}
	return all
}

func (m *memory) API(_ context.Context, id string) (tenants.API, error) {
	return during(m, "API", func() (tenants.API, error) { return get(m.apis, id) })
}

func (m *memory) APIs(context.Context) ([]tenants.API, error) {
	return during(m, "APIs", func() ([]tenants.API, error) { return sorted(m.apis), nil })
}

func (m *memory) PutAPI(_ context.Context, api tenants.API) (tenants.API, error) {
	return during(m, "PutAPI", func() (tenants.API, error) {
		if m.apis[api.ID].Version != api.Version {
			return api, &tenants.ConflictError{What: "API " + api.ID}
		}
		api.Version++
		m.apis[api.ID] = api
		return api, nil
	})
}

func (m *memory) DeleteAPI(_ context.Context, id string, version int64) error {
	_, err := during(m, "DeleteAPI", func() (any, error) {
		if m.apis[id].Version != version {
			return nil, &tenants.ConflictError{What: "API " + id}
		}
		delete(m.apis, id)
		return nil, nil
	})
	return err
}

func (m *memory) Tenant(_ context.Context, id string) (tenants.Tenant, error) {
	return during(m, "Tenant", func() (tenants.Tenant, error) { return get(m.records, id) })
}

func (m *memory) Tenants(context.Context) ([]tenants.Tenant, error) {
	return during(m, "Tenants", func() ([]tenants.Tenant, error) { return sorted(m.records), nil })
}

func (m *memory) PutTenant(_ context.Context, t tenants.Tenant) (tenants.Tenant, error) {
	return during(m, "PutTenant", func() (tenants.Tenant, error) {
		have := m.records[t.ID]
		if have.Version != t.Version {
			return t, &tenants.ConflictError{What: fmt.Sprintf("tenant %q", t.ID)}
		}
		for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
			for _, other := range sorted(m.records) {
				for _, value := range t.Selectors.Of(kind) {
					if other.ID != t.ID && slices.Contains(other.Selectors.Of(kind), value) {
						return t, &tenants.TakenError{Kind: kind, Value: value, Tenant: other.ID}
					}
				}
			}
		}
		t.Revision = have.Revision
		t.Version++
		m.records[t.ID], m.versions[t.ID] = t, t.Version
		return t, nil
	})
}

func (m *memory) DeleteTenant(_ context.Context, id string, version int64) error {
	_, err := during(m, "DeleteTenant", func() (any, error) {
		if m.records[id].Version != version {
			return nil, &tenants.ConflictError{What: fmt.Sprintf("tenant %q", id)}
		}
		delete(m.records, id)
		return nil, nil
	})
	return err
}

func (m *memory) Select(_ context.Context, kind tenants.SelectorKind, value string) (string, error) {
	return during(m, "Select", func() (string, error) {
		for _, t := range sorted(m.records) {
			if slices.Contains(t.Selectors.Of(kind), value) {
				return t.ID, nil
			}
		}
		return "", fmt.Errorf("%s %q: %w", kind, value, tenants.ErrNotFound)
	})
}

func (m *memory) Bundle(_ context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	return during(m, "Bundle", func() (tenants.Bundle, error) { return get(m.bundles, digest) })
}

func (m *memory) Platform(context.Context) (tenants.Digest, error) {
	return during(m, "Platform", func() (tenants.Digest, error) {
		a, err := m.active(tenants.PlatformOwner)
		return a.To, err
	})
}

func (m *memory) PutRevision(_ context.Context, owner string, b tenants.Bundle, r tenants.Revision) error {
	_, err := during(m, "PutRevision", func() (any, error) {
		if r.Digest != b.Digest() {
			return nil, fmt.Errorf("%s is not the bundle's digest", r.Digest)
		}
		m.bundles[b.Digest()] = b
		if !slices.ContainsFunc(m.owned[owner], func(o tenants.Revision) bool { return o.Digest == r.Digest }) {
			m.owned[owner] = append([]tenants.Revision{r}, m.owned[owner]...)
		}
		return nil, nil
	})
	return err
}

func (m *memory) Revisions(_ context.Context, owner string) ([]tenants.Revision, error) {
	return during(m, "Revisions", func() ([]tenants.Revision, error) { return slices.Clone(m.owned[owner]), nil })
}

// active is the last activation. The caller holds m.mu.
func (m *memory) active(owner string) (tenants.Activation, error) {
	t, registered := m.records[owner]
	log := m.log[owner]
	switch {
	case !registered && (tenants.ValidID(owner) || len(log) == 0):
		return tenants.Activation{}, fmt.Errorf("%s: %w", owner, tenants.ErrNotFound)
	case len(log) == 0:
		return tenants.Activation{Version: t.Version}, nil
	}
	a := log[0]
	a.Version = m.versions[owner]
	return a, nil
}

func (m *memory) Active(_ context.Context, owner string) (tenants.Activation, error) {
	return during(m, "Active", func() (tenants.Activation, error) { return m.active(owner) })
}

func (m *memory) Activate(_ context.Context, owner string, a tenants.Activation) (tenants.Activation, error) {
	return during(m, "Activate", func() (tenants.Activation, error) {
		now, err := m.active(owner)
		if err != nil && tenants.ValidID(owner) {
			return a, err
		}
		if now.Version != a.Version {
			return a, &tenants.ConflictError{What: cmp.Or(map[string]string{tenants.PlatformOwner: "the platform"}[owner], fmt.Sprintf("tenant %q", owner)), By: now.Author, At: now.Time, To: now.To}
		}
		if !slices.ContainsFunc(m.owned[owner], func(r tenants.Revision) bool { return r.Digest == a.To }) {
			return a, fmt.Errorf("revision %s: %w", a.To, tenants.ErrNotFound)
		}
		a.From = now.To
		a.Version++
		m.versions[owner] = a.Version
		m.log[owner] = append([]tenants.Activation{a}, m.log[owner]...)
		if t, ok := m.records[owner]; ok {
			t.Revision, t.Version = a.To, a.Version
			m.records[owner] = t
		}
		return a, nil
	})
}

func (m *memory) Activations(_ context.Context, owner string) ([]tenants.Activation, error) {
	return during(m, "Activations", func() ([]tenants.Activation, error) { return slices.Clone(m.log[owner]), nil })
}

// String tells what is in force, for messages of tests.
func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, owner := range sortedKeys(m.log) {
		fmt.Fprintf(&b, "%s: %s; ", owner, m.log[owner][0].To.Short())
	}
	return b.String()
}
