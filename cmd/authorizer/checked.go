package main

import (
	"context"
	"fmt"

	"regent/tenants"
)

// checked holds the records of a table to what a workspace is held to when it is read.
// This release's tools write valid ones only. One that was written by other means, or by
// a release that knew less, must not decide: an API whose cache key lacks the credential
// would serve one caller's reply to another.
type checked struct{ tenants.Store }

// API returns a valid record; one that is not is trouble with the store.
func (s checked) API(ctx context.Context, id string) (tenants.API, error) {
	a, err := s.Store.API(ctx, id)
	if err != nil {
		return tenants.API{}, err
	}
	if err := a.Validate(); err != nil {
		return tenants.API{}, fmt.Errorf("the record is not valid: %w", err)
	}
	return a, nil
}

// Tenant returns a valid record, or one that is not active, which denies whatever else
// it says; any other is trouble with the store.
func (s checked) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	t, err := s.Store.Tenant(ctx, id)
	if err != nil || t.Status != tenants.Active {
		return t, err
	}
	if err := t.Validate(); err != nil {
		return tenants.Tenant{}, fmt.Errorf("the record is not valid: %w", err)
	}
	return t, nil
}
