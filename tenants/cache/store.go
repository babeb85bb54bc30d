package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"regent/tenants"
)

// Defaults of Config.
const (
	DefaultRefresh     = 10 * time.Second
	DefaultMustRefresh = time.Minute
	DefaultMaxStale    = time.Hour
	DefaultUnknown     = 30 * time.Second
	DefaultTimeout     = 500 * time.Millisecond
	DefaultTenants     = 5_000
	DefaultSelectors   = 20_000
	DefaultAPIs        = 500
	DefaultUnknowns    = 1 << 16
)

const (
	// maxBundles bounds how many bundles are read at the same time.
	maxBundles = 4
	// bundleTimeouts is how many times as long as a record a bundle may take, with its
	// turn: it is in several pieces.
	bundleTimeouts = 4
)

// Config says what is kept and for how long. Zero fields mean the defaults.
type Config struct {
	// Store is asked for what is not kept. Required.
	Store tenants.Store
	// Refresh, MustRefresh and MaxStale are the steps of the ladder, by the age of an
	// answer: fresh; read anew in the background; read anew before answering; not
	// answered at all. They must not decrease.
	Refresh, MustRefresh, MaxStale time.Duration
	// Unknown is how long a name that the store does not know is not asked for again.
	Unknown time.Duration
	// Timeout bounds one read of a record, and how long an answer waits for it.
	Timeout time.Duration
	// Tenants, Selectors and APIs are how many of each are kept, least recently used
	// first out.
	Tenants, Selectors, APIs int
	// Unknowns is how many unknown names are remembered of each kind, up to twice that.
	Unknowns int
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Store is a tenants.Store in front of another one. Its methods may be called by many
// goroutines.
type Store struct {
	common    *common
	tenants   *shelf[string, tenants.Tenant]
	apis      *shelf[string, tenants.API]
	selectors *shelf[selector, string]
	platform  *shelf[struct{}, tenants.Digest]

	reading chan struct{} // a place for each bundle that is being read
	mu      sync.Mutex
	shared  tenants.Bundle // the platform's, which every tenant's rules are compiled with
}

type selector struct {
	kind  tenants.SelectorKind
	value string
}

func (s selector) String() string { return fmt.Sprintf("%s %q", s.kind, s.value) }

// New returns a store that has read nothing yet. It does not ask c.Store.
func New(c Config) (*Store, error) {
	if c.Store == nil {
		return nil, errors.New("cache: Config.Store is not set")
	}
	c = c.withDefaults()
	if c.Refresh > c.MustRefresh || c.MustRefresh > c.MaxStale {
		return nil, fmt.Errorf("cache: refresh %s, must refresh %s and max stale %s decrease", c.Refresh, c.MustRefresh, c.MaxStale)
	}
	if min(c.Refresh, c.Unknown, c.Timeout) < 0 || min(c.Tenants, c.Selectors, c.APIs, c.Unknowns) < 0 {
		return nil, errors.New("cache: a duration or a size is negative")
	}
	s := &Store{
		common:  &common{Config: c, clock: newClock(c.Now)},
		reading: make(chan struct{}, maxBundles),
	}
	s.tenants = newShelf(s.common, c.Tenants, c.Store.Tenant, func(id string) string { return fmt.Sprintf("tenant %q", id) })
	s.tenants.version = func(t tenants.Tenant) int64 { return t.Version }
	s.apis = newShelf(s.common, c.APIs, c.Store.API, func(id string) string { return fmt.Sprintf("API %q", id) })
	s.apis.version = func(a tenants.API) int64 { return a.Version }
	s.selectors = newShelf(s.common, c.Selectors, s.readSelector, selector.String)
	s.platform = newShelf(s.common, 1, s.readPlatform, func(struct{}) string { return "platform" })
	s.platform.unknownFor = 0 // nobody can ask for another one, and everybody waits for this
	return s, nil
}

func (c Config) withDefaults() Config {
	durations := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Refresh, DefaultRefresh}, {&c.MustRefresh, DefaultMustRefresh}, {&c.MaxStale, DefaultMaxStale},
		{&c.Unknown, DefaultUnknown}, {&c.Timeout, DefaultTimeout},
	}
	for _, d := range durations {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	sizes := []struct {
		field *int
		value int
	}{
		{&c.Tenants, DefaultTenants}, {&c.Selectors, DefaultSelectors}, {&c.APIs, DefaultAPIs}, {&c.Unknowns, DefaultUnknowns},
	}
	for _, size := range sizes {
		if *size.field == 0 {
			*size.field = size.value
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (s *Store) readSelector(ctx context.Context, key selector) (string, error) {
	return s.common.Store.Select(ctx, key.kind, key.value)
}

func (s *Store) readPlatform(ctx context.Context, _ struct{}) (tenants.Digest, error) {
	return s.common.Store.Platform(ctx)
}

// API returns the registered API with this id.
func (s *Store) API(ctx context.Context, id string) (tenants.API, error) {
	if !tenants.ValidAPI(id) {
		return tenants.API{}, s.refuse("API", id)
	}
	return s.apis.get(ctx, id)
}

// Tenant returns the tenant with this id, whatever its status.
func (s *Store) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	if !tenants.ValidID(id) {
		return tenants.Tenant{}, s.refuse("tenant", id)
	}
	return s.tenants.get(ctx, id)
}

// Select returns the id of the one tenant that holds this selector value.
func (s *Store) Select(ctx context.Context, kind tenants.SelectorKind, value string) (string, error) {
	if !tenants.ValidSelector(kind, value) {
		return "", s.refuse("selector", value)
	}
	return s.selectors.get(ctx, selector{kind, value})
}

// Platform returns the digest of the active platform bundle.
func (s *Store) Platform(ctx context.Context) (tenants.Digest, error) {
	return s.platform.get(ctx, struct{}{})
}

// Bundle returns the bundle with this digest. Bundles are not kept, for who asks keeps
// what it made of them; except the last one that Platform named, which is part of
// every policy. A few are read at a time, and the others wait.
func (s *Store) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	if !tenants.ValidDigest(digest) {
		return tenants.Bundle{}, s.refuse("bundle", string(digest))
	}
	if b := s.sharedBundle(); b.Digest() == digest {
		return b, nil
	}
	// Whoever compiles for several callers has no deadline of its own.
	ctx, cancel := context.WithTimeout(ctx, bundleTimeouts*s.common.Timeout)
	defer cancel()
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return tenants.Bundle{}, fmt.Errorf("bundle %s: not read, for others are being read: %w", digest.Short(), ctx.Err())
	}
	s.common.counters.reads.Add(1)
	s.common.counters.bundles.Add(1)
	b, err := s.common.Store.Bundle(ctx, digest)
	if err != nil {
		s.common.counters.failures.Add(1)
		return tenants.Bundle{}, err
	}
	if s.isPlatform(digest) {
		s.mu.Lock()
		s.shared = b
		s.mu.Unlock()
	}
	return b, nil
}

func (s *Store) sharedBundle() tenants.Bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

// isPlatform tells whether a digest is the platform's, as far as is known.
func (s *Store) isPlatform(digest tenants.Digest) bool {
	s.platform.mu.Lock()
	defer s.platform.mu.Unlock()
	e, ok := s.platform.kept.Peek(struct{}{})
	return ok && e.value == digest
}

func (s *Store) refuse(what, name string) error {
	s.common.counters.refused.Add(1)
	return fmt.Errorf("%s %.80q: %w", what, name, tenants.ErrNotFound)
}

// Settle waits until no read is on its way in the background, or until the context
// ends. A function that is frozen between events calls it before it answers, so that
// what one event began helps the next.
func (s *Store) Settle(ctx context.Context) { s.common.under.wait(ctx) }

// Stats returns the counts as they are now.
func (s *Store) Stats() Stats { return s.common.counters.stats() }
