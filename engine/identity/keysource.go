package identity

import (
	"context"
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"regent/engine"
	"regent/tenants"
)

// maxSources bounds each of the caches of inline key sets, of key set URLs and of
// discovery documents.
const maxSources = 1024

// keySources finds a provider's key set and keeps it.
type keySources struct {
	inline *lru.Cache[[sha256.Size]byte, parsedSet]
}

type parsedSet struct {
	set *keySet
	err error
}

func newKeySources() *keySources {
	return &keySources{inline: newLRU[[sha256.Size]byte, parsedSet](maxSources)}
}

// newLRU makes a bounded cache. The only error that lru.New has is for a size that
// is not positive.
func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	cache, err := lru.New[K, V](size)
	if err != nil {
		panic(err)
	}
	return cache
}

// of returns the provider's key set, good enough to look up the token's key in.
func (s *keySources) of(ctx context.Context, p tenants.Provider, t *token, now time.Time) (*keySet, error) {
	if len(p.JWKS.Inline) > 0 {
		return s.ofInline(p.JWKS.Inline)
	}
	return nil, engine.Troublef(CodeProvider, "the provider says nowhere where its keys are")
}

// ofInline parses a key set once for its digest.
func (s *keySources) ofInline(b []byte) (*keySet, error) {
	digest := sha256.Sum256(b)
	parsed, ok := s.inline.Get(digest)
	if !ok {
		parsed.set, parsed.err = parseKeySet(b)
		s.inline.Add(digest, parsed)
	}
	if parsed.err != nil {
		return nil, engine.Troublef(CodeProvider, "the inline key set: %w", parsed.err)
	}
	return parsed.set, nil
}
