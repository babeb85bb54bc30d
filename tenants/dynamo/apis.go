package dynamo

import (
	"context"
	"fmt"

	"regent/tenants"
)

// APIs returns every API, sorted by id.
func (s *Store) APIs(ctx context.Context) ([]tenants.API, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return listed(ctx, s, apiList, apiKey, readAPI)
}

// PutAPI writes an API in place of the one that has its Version; Version 0 writes a new
// one. It returns what is stored, with its new version.
func (s *Store) PutAPI(ctx context.Context, api tenants.API) (tenants.API, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	what := fmt.Sprintf("API %q", api.ID)
	k, ok := apiKey(api.ID)
	if !ok || api.Version < 0 {
		return tenants.API{}, fmt.Errorf("%s: not an API's id and version", what)
	}
	stored := api
	stored.Version = 0
	doc, err := readable(stored)
	if err != nil {
		return tenants.API{}, fmt.Errorf("%s: %w", what, err)
	}
	first := int64(1)
	if api.Version == 0 {
		r, there, err := s.load(ctx, k)
		if err != nil {
			return tenants.API{}, err
		}
		if there {
			return tenants.API{}, r.conflict(what)
		}
		if first, err = s.firstVersion(ctx, listKey(apiList, api.ID)); err != nil {
			return tenants.API{}, err
		}
	}
	stored.Version, err = s.store(ctx, k, what, doc, api.Version, first)
	if err != nil {
		return tenants.API{}, err
	}
	return stored, nil
}

// DeleteAPI removes the API if its version is still the one given.
func (s *Store) DeleteAPI(ctx context.Context, id string, version int64) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	what := fmt.Sprintf("API %q", id)
	k, ok := apiKey(id)
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
	return s.erase(ctx, r, listKey(apiList, id), what, version)
}
