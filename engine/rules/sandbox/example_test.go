package sandbox_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"regent/engine"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// store has two bundles and nothing else.
type store struct {
	tenants.Store
	bundles map[tenants.Digest]tenants.Bundle
}

func (s store) Bundle(_ context.Context, d tenants.Digest) (tenants.Bundle, error) {
	b, ok := s.bundles[d]
	if !ok {
		return tenants.Bundle{}, tenants.ErrNotFound
	}
	return b, nil
}

// A program that uses a Pool calls sandbox.Main first thing in main.
func ExamplePool() {
	platform, err := tenants.NewBundle(nil)
	if err != nil {
		log.Fatal(err)
	}
	tenant, err := tenants.NewBundle([]tenants.File{
		{Path: "authz.rego", Content: []byte("package authz\n\nallow if input.method == \"GET\"\n")},
	})
	if err != nil {
		log.Fatal(err)
	}
	pool, err := sandbox.New(sandbox.Config{
		Store:   store{bundles: map[tenants.Digest]tenants.Bundle{platform.Digest(): platform, tenant.Digest(): tenant}},
		Timeout: 10 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	ctx := context.Background()
	for _, method := range []string{"GET", "DELETE"} {
		policy, err := pool.Load(ctx, "acme", platform.Digest(), tenant.Digest())
		if err != nil {
			log.Fatal(err)
		}
		decision, err := policy.Decide(ctx, engine.Input{Method: method}, time.Now())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(method, decision.Allow)
	}
	// Output:
	// GET true
	// DELETE false
}
