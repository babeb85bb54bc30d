package cache_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"regent/tenants"
	"regent/tenants/cache"
	"regent/tenants/dir"
	"regent/tenants/dynamo"
	"regent/tenants/dynamo/dynamotest"
	"regent/tenants/storetest"
)

func TestStoreContractOverDir(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
		store, err := dir.Open(writeWorkspace(t, seed))
		if err != nil {
			t.Fatal(err)
		}
		return front(t, store)
	})
}

func TestStoreContractOverDynamo(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, seed storetest.Seed) tenants.Store {
		table := dynamotest.Table(t)
		storetest.Fill(t, dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Administer: true}), seed)
		// Patient, for many cases run at a time; the contract has no time in it.
		behind := dynamotest.OpenAt(t, dynamotest.Endpoint(t), dynamo.Options{Table: table, Limits: dynamo.PatientLimits()})
		return front(t, behind)
	})
}

// front returns a cache that answers from memory.
func front(t *testing.T, behind tenants.Store) tenants.Store {
	t.Helper()
	store, err := cache.New(cache.Config{Store: behind, Timeout: dynamo.PatientLimits().Total})
	if err != nil {
		t.Fatal(err)
	}
	return twice{store}
}

// twice asks everything twice, and gives the second answer: the one from memory.
type twice struct{ behind *cache.Store }

func (s twice) API(ctx context.Context, id string) (tenants.API, error) {
	_, _ = s.behind.API(ctx, id)
	return s.behind.API(ctx, id)
}

func (s twice) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	_, _ = s.behind.Tenant(ctx, id)
	return s.behind.Tenant(ctx, id)
}

func (s twice) Select(ctx context.Context, kind tenants.SelectorKind, value string) (string, error) {
	_, _ = s.behind.Select(ctx, kind, value)
	return s.behind.Select(ctx, kind, value)
}

func (s twice) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	_, _ = s.behind.Bundle(ctx, digest)
	return s.behind.Bundle(ctx, digest)
}

func (s twice) Platform(ctx context.Context) (tenants.Digest, error) {
	_, _ = s.behind.Platform(ctx)
	return s.behind.Platform(ctx)
}

// writeWorkspace writes a seed as a workspace and returns its path.
func writeWorkspace(t *testing.T, seed storetest.Seed) string {
	t.Helper()
	root := t.TempDir()
	write := func(path string, content []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apis, err := dir.FormatAPIs(seed.APIs)
	write("regent.yaml", apis, err)
	for _, f := range seed.Platform {
		write(f.Path, f.Content, nil)
	}
	for _, tenant := range seed.Tenants {
		home := "tenants/" + tenant.Record.ID + "/"
		record, err := dir.FormatTenant(tenant.Record)
		write(home+"tenant.yaml", record, err)
		for _, f := range tenant.Policy {
			write(home+"policy/"+f.Path, f.Content, nil)
		}
	}
	return root
}
