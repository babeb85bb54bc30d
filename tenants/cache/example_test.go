package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"regent/tenants"
	"regent/tenants/cache"
	"regent/tenants/dir"
)

// A cache stands in front of any store. What it had to answer from memory for want of
// anything younger is noted where the context says.
func Example() {
	behind, err := dir.Load(fstest.MapFS{
		"regent.yaml": {Data: []byte("apis: []\n")},
		"tenants/acme/tenant.yaml": {Data: []byte(`
id: acme
status: active
selectors: {hosts: [api.acme.example]}
identity: {anonymous: true}
`)},
		"tenants/acme/policy/authz.rego": {Data: []byte("package authz\n\nallow := true\n")},
	}, "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := cache.New(cache.Config{Store: behind})
	if err != nil {
		fmt.Println(err)
		return
	}
	var stale tenants.Staleness
	ctx := tenants.WithStaleness(context.Background(), &stale)
	for _, host := range []string{"api.acme.example", "api.acme.example", "nobody.example", "nobody.example", "no host"} {
		id, err := store.Select(ctx, tenants.ByHost, host)
		fmt.Printf("%q, not found: %t\n", id, errors.Is(err, tenants.ErrNotFound))
	}
	_, why := stale.Oldest()
	stats := store.Stats()
	fmt.Println("stale:", why)
	fmt.Println("reads:", stats.Reads, "hits:", stats.Hits, "unknown:", stats.Unknown, "refused:", stats.Refused)

	// Output:
	// "acme", not found: false
	// "acme", not found: false
	// "", not found: true
	// "", not found: true
	// "", not found: true
	// stale: <nil>
	// reads: 2 hits: 1 unknown: 1 refused: 1
}
