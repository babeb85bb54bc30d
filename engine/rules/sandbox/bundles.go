package sandbox

import (
	"context"
	"sync"

	"regent/engine"
	"regent/tenants"
)

// maxBundles bounds the bundles that the parent keeps, in bytes of content: after a
// child was ended, the others' policies are compiled again without asking the store.
const maxBundles = 16 << 20

// pair is what is compiled together.
type pair struct{ platform, tenant tenants.Bundle }

// bundleCache keeps bundles in two generations: when the younger one is full the
// older one is forgotten.
type bundleCache struct {
	mu           sync.Mutex
	young, older map[tenants.Digest]tenants.Bundle
	size         int
}

func newBundleCache() *bundleCache {
	return &bundleCache{young: map[tenants.Digest]tenants.Bundle{}}
}

func (c *bundleCache) get(d tenants.Digest) (tenants.Bundle, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.young[d]; ok {
		return b, true
	}
	b, ok := c.older[d]
	if ok {
		c.add(d, b)
	}
	return b, ok
}

func (c *bundleCache) put(d tenants.Digest, b tenants.Bundle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[d]; !ok {
		c.add(d, b)
	}
}

func (c *bundleCache) add(d tenants.Digest, b tenants.Bundle) {
	size := 0
	for _, f := range b.Files() {
		size += len(f.Path) + len(f.Content)
	}
	if c.size+size > maxBundles/2 {
		c.older, c.young, c.size = c.young, map[tenants.Digest]tenants.Bundle{}, 0
	}
	c.young[d] = b
	c.size += size
}

// fetch returns a pair's bundles, from memory or from the store.
func (p *Pool) fetch(ctx context.Context, k pairKey) (*pair, error) {
	platform, err := p.bundle(ctx, k.platform)
	if err != nil {
		return nil, engine.Troublef("store", "platform bundle: %w", err)
	}
	tenant, err := p.bundle(ctx, k.revision)
	if err != nil {
		return nil, engine.Troublef("store", "bundle: %w", err)
	}
	return &pair{platform, tenant}, nil
}

// bundle returns one bundle. It is read once, however many ask at a time.
func (p *Pool) bundle(ctx context.Context, d tenants.Digest) (tenants.Bundle, error) {
	if b, ok := p.bundles.get(d); ok {
		return b, nil
	}
	// One caller's cancellation must not fail the others that wait for the same bundle.
	shared := context.WithoutCancel(ctx)
	done := p.flight.DoChan(string(d), func() (any, error) {
		// The flight before may have ended since this caller looked.
		if b, ok := p.bundles.get(d); ok {
			return b, nil
		}
		b, err := p.config.Store.Bundle(shared, d)
		if err == nil {
			p.bundles.put(d, b)
		}
		return b, err
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return tenants.Bundle{}, r.Err
		}
		return r.Val.(tenants.Bundle), nil
	case <-ctx.Done():
		return tenants.Bundle{}, ctx.Err()
	}
}
