package rules

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"regent/engine"
	"regent/tenants"
)

// Defaults of Config.
const (
	DefaultTimeout  = 50 * time.Millisecond
	DefaultCapacity = 300
)

// Config says where bundles come from and what an evaluation may cost.
type Config struct {
	// Store holds the bundles.
	Store tenants.Store
	// Timeout bounds one evaluation; zero means DefaultTimeout.
	Timeout time.Duration
	// Capacity is how many compiled policies are kept, least recently used first
	// out; zero means DefaultCapacity.
	Capacity int
}

// Engine loads policies and evaluates them in this process. It implements
// engine.Policies.
type Engine struct {
	store   tenants.Store
	timeout time.Duration
	kept    *lru.Cache[pairKey, kept]
	flight  singleflight.Group
}

type pairKey struct{ platform, revision tenants.Digest }

// kept is a policy, or why there is none: the content behind a digest does not
// change, so neither does its error.
type kept struct {
	policy engine.Policy
	err    error
}

// New returns an engine without policies.
func New(c Config) (*Engine, error) {
	if c.Store == nil {
		return nil, errors.New("rules: Config.Store is not set")
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Capacity == 0 {
		c.Capacity = DefaultCapacity
	}
	cache, err := lru.New[pairKey, kept](c.Capacity)
	if err != nil {
		return nil, err
	}
	return &Engine{store: c.Store, timeout: c.Timeout, kept: cache}, nil
}

// Load returns the compiled policy of a revision under a platform revision. Both
// bundles are read and compiled once, whoever asks and however many at a time.
func (e *Engine) Load(ctx context.Context, _ string, platform, revision tenants.Digest) (engine.Policy, error) {
	key := pairKey{platform, revision}
	if k, ok := e.kept.Get(key); ok {
		return k.policy, k.err
	}
	// One caller's cancellation must not fail the others that wait for the same pair.
	shared := context.WithoutCancel(ctx)
	done := e.flight.DoChan(string(platform)+" "+string(revision), func() (any, error) {
		return e.load(shared, key)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		k := r.Val.(kept)
		return k.policy, k.err
	case <-ctx.Done():
		return nil, &engine.Trouble{Code: "policy", Err: ctx.Err()}
	}
}

func (e *Engine) load(ctx context.Context, key pairKey) (kept, error) {
	// The flight before may have ended since this caller looked.
	if k, ok := e.kept.Get(key); ok {
		return k, nil
	}
	platform, err := e.store.Bundle(ctx, key.platform)
	if err != nil {
		return kept{}, engine.Troublef("store", "platform bundle: %w", err)
	}
	tenant, err := e.store.Bundle(ctx, key.revision)
	if err != nil {
		return kept{}, engine.Troublef("store", "bundle: %w", err)
	}
	var k kept
	policy, err := Compile(ctx, platform, tenant, Options{})
	if err != nil {
		k.err = engine.Troublef("policy", "revision %s does not compile: %w", key.revision.Short(), err)
	} else {
		k.policy = bounded{policy, e.timeout}
	}
	e.kept.Add(key, k)
	return k, nil
}

// bounded is a policy under the engine's deadline.
type bounded struct {
	*Policy
	timeout time.Duration
}

// Decide evaluates within the deadline; an evaluation that takes longer is trouble.
func (b bounded) Decide(ctx context.Context, in engine.Input, now time.Time) (engine.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.Policy.Decide(ctx, in, now)
}

// Permissions judges the routes within the deadline.
func (b bounded) Permissions(ctx context.Context, known engine.Known, routes []tenants.Route, now time.Time) (engine.Permissions, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.Policy.Permissions(ctx, known, routes, now)
}
