package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"regent/engine"
	"regent/tenants"
)

// maxSources bounds each of the caches of inline key sets, of key set URLs and of
// discovery documents.
const maxSources = 1024

const wellKnown = "/.well-known/openid-configuration"

// keySources finds providers' key sets and keeps them. What is kept under a URL or
// an issuer is public and the same for every tenant that names it.
type keySources struct {
	fetcher *fetcher
	counted *counters
	inline  *lru.Cache[[sha256.Size]byte, parsedSet]
	sets    *remote[*keySet] // by URL
	uris    *remote[string]  // jwks_uri, by issuer
}

type parsedSet struct {
	set *keySet
	err error
}

func newKeySources(f *fetcher, c clock) *keySources {
	s := &keySources{fetcher: f, counted: f.counted, inline: newLRU[[sha256.Size]byte, parsedSet](maxSources)}
	waiting := newTurns()
	s.sets = newRemote(c, waiting, s.fetchSet)
	s.uris = newRemote(c, waiting, s.discover)
	return s
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

// keyID is a token's kid, or that it has none.
type keyID struct {
	id  string
	has bool
}

// of returns the key set of a provider of the tenant with this id. One that was fetched and has not got the key is
// fetched anew, if that was not done just now.
func (s *keySources) of(ctx context.Context, tenant string, p tenants.Provider, kid keyID, now time.Time) (*keySet, error) {
	set, err := s.find(ctx, tenant, p, kid, now)
	if err != nil {
		return nil, &engine.Trouble{Code: CodeProvider, Err: err}
	}
	return set, nil
}

func (s *keySources) find(ctx context.Context, tenant string, p tenants.Provider, kid keyID, now time.Time) (*keySet, error) {
	url := p.JWKS.URL
	switch {
	case len(p.JWKS.Inline) > 0:
		return s.ofInline(p.JWKS.Inline)
	case p.JWKS.Discovery:
		var err error
		url, err = s.uris.get(ctx, tenant, p.Issuer, now, func(string) bool { return true })
		if err != nil {
			return nil, err
		}
	case url == "":
		return nil, errors.New("the provider's configuration does not say where its keys are")
	}
	return s.sets.get(ctx, tenant, url, now, func(set *keySet) bool { return !kid.has || set.byID[kid.id] != nil })
}

// ofInline parses a key set once for its digest.
func (s *keySources) ofInline(b []byte) (*keySet, error) {
	digest := sha256.Sum256(b)
	parsed, ok := s.inline.Get(digest)
	if !ok {
		parsed.set, parsed.err = s.parse(b)
		s.inline.Add(digest, parsed)
	}
	return parsed.set, parsed.err
}

func (s *keySources) fetchSet(ctx context.Context, url string) (*keySet, error) {
	b, err := s.fetcher.get(ctx, url, maxKeySet)
	if err != nil {
		return nil, err
	}
	return s.parse(b)
}

func (s *keySources) parse(b []byte) (*keySet, error) {
	set, err := parseKeySet(b)
	if err == nil {
		s.counted.unusableKeys.Add(uint64(set.unusable))
	}
	return set, err
}

var errNoDocument = errors.New("an issuer with a query or a fragment has no discovery document")

func discoveryURL(issuer string) string { return strings.TrimSuffix(issuer, "/") + wellKnown }

// discover reads jwks_uri from an issuer's discovery document, which must be of that
// very issuer (OpenID Connect Discovery 1.0 §4.3).
func (s *keySources) discover(ctx context.Context, issuer string) (string, error) {
	if strings.ContainsAny(issuer, "?#") {
		return "", errNoDocument
	}
	b, err := s.fetcher.get(ctx, discoveryURL(issuer), maxKeySet)
	if err != nil {
		return "", err
	}
	document, err := decodeObject(b, maxKeySetDepth)
	if err != nil {
		return "", fmt.Errorf("the discovery document: %w", err)
	}
	if document["issuer"] != issuer {
		return "", errors.New("the discovery document is another issuer's: its issuer must be the configured one, byte for byte")
	}
	uri, _ := document["jwks_uri"].(string)
	if uri == "" {
		return "", errors.New("the discovery document has no jwks_uri")
	}
	if _, err := s.fetcher.checkURL(uri); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return uri, nil
}
