package cache

import (
	"context"
	"fmt"
	"sync"
	"time"

	"regent/tenants"
)

// double is a store in memory that can be in any state a real one can be in.
type double struct {
	mu      sync.Mutex
	state   string
	version int64
	tenants map[string]tenants.Tenant
	apis    map[string]tenants.API
	bundles map[tenants.Digest]tenants.Bundle
	active  tenants.Digest
	reads   map[string]int // by what was read
	// waiting is how many reads of bundles are under way, and most how many ever were.
	waiting, most int
	gate          chan struct{} // bundles wait for it, if it is there
}

func newDouble() *double {
	return &double{
		tenants: map[string]tenants.Tenant{}, apis: map[string]tenants.API{},
		bundles: map[tenants.Digest]tenants.Bundle{}, reads: map[string]int{}, version: 5,
	}
}

// set puts the store in a state: "" as it should be, "down", "hangs", "panics", "gone".
func (d *double) set(state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = state
}

// total is how often the store was read.
func (d *double) total() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, reads := range d.reads {
		n += reads
	}
	return n
}

func (d *double) read(ctx context.Context, what string) error {
	d.mu.Lock()
	d.reads[what]++
	state := d.state
	d.mu.Unlock()
	switch state {
	case "down":
		return fmt.Errorf("throttled")
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	case "panics":
		panic("what the store sent is too much")
	case "gone":
		return fmt.Errorf("%s: %w", what, tenants.ErrNotFound)
	}
	return ctx.Err()
}

func get[K comparable, V any](d *double, m map[K]V, key K) (V, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := m[key]
	if !ok {
		return v, fmt.Errorf("%v: %w", key, tenants.ErrNotFound)
	}
	return v, nil
}

func (d *double) API(ctx context.Context, id string) (tenants.API, error) {
	if err := d.read(ctx, "API "+id); err != nil {
		return tenants.API{}, err
	}
	return get(d, d.apis, id)
}

func (d *double) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	if err := d.read(ctx, "tenant "+id); err != nil {
		return tenants.Tenant{}, err
	}
	t, err := get(d, d.tenants, id)
	if err != nil {
		return tenants.Tenant{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t.Version = d.version
	return t, nil
}

func (d *double) Select(ctx context.Context, kind tenants.SelectorKind, value string) (string, error) {
	if err := d.read(ctx, string(kind)+" "+value); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, t := range d.tenants {
		for _, v := range t.Selectors.Of(kind) {
			if v == value {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("%s %q: %w", kind, value, tenants.ErrNotFound)
}

func (d *double) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	if err := d.read(ctx, "bundle "+digest.Short()); err != nil {
		return tenants.Bundle{}, err
	}
	d.mu.Lock()
	d.waiting++
	d.most = max(d.most, d.waiting)
	gate := d.gate
	d.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	d.waiting--
	d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return tenants.Bundle{}, err
	}
	return get(d, d.bundles, digest)
}

func (d *double) Platform(ctx context.Context) (tenants.Digest, error) {
	if err := d.read(ctx, "platform"); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.active, nil
}

// twoClocks are a wall clock and a monotonic one that need not agree.
type twoClocks struct {
	mu        sync.Mutex
	wall      time.Time
	monotonic time.Duration
}

func (c *twoClocks) pass(wall, monotonic time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.monotonic = c.wall.Add(wall), c.monotonic+monotonic
}

func (c *twoClocks) clock() clock {
	return clock{
		wall:      func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall },
		monotonic: func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.monotonic },
	}
}
