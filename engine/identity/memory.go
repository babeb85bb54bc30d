package identity

import (
	"context"
	"reflect"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"regent/engine"
	"regent/tenants"
)

// defaultRemember is how many verified tokens are remembered.
const defaultRemember = 1024

// memory keeps the proofs of verified tokens. A proof counts only as long as what
// it rests on: the provider as configured then, the key set it was made with, and
// the token's own times.
type memory struct {
	key    digestKey
	proofs *lru.Cache[digest, proof] // nil to remember nothing
}

// proof is what a verified token said. It has neither the token nor its signature.
type proof struct {
	provider tenants.Provider
	keys     *keySet
	kid      keyID
	valid    validity
	identity engine.Identity
}

func newMemory(size int) *memory {
	if size == 0 {
		size = defaultRemember
	}
	m := &memory{key: newDigestKey()}
	if size > 0 {
		m.proofs = newLRU[digest, proof](size)
	}
	return m
}

func (m *memory) add(tenant tenants.Tenant, compact string, p proof) {
	if m.proofs != nil {
		m.proofs.Add(m.key.of(tenant.ID, compact), p)
	}
}

// recall returns the identity that a token was proven to be, if the proof still
// holds. If not, the token is to be verified afresh, which says why.
func (v *Verifier) recall(ctx context.Context, tenant tenants.Tenant, compact string, now time.Time) (engine.Identity, bool) {
	if v.memory.proofs == nil {
		return engine.Identity{}, false
	}
	p, ok := v.memory.proofs.Get(v.memory.key.of(tenant.ID, compact))
	if !ok || !isConfigured(tenant, p.provider) || p.valid.check(now, leeway(p.provider)) != nil {
		return engine.Identity{}, false
	}
	keys, err := v.keys.of(ctx, tenant.ID, p.provider, p.kid, now)
	return p.identity, err == nil && keys == p.keys
}

func isConfigured(tenant tenants.Tenant, p tenants.Provider) bool {
	for _, configured := range tenant.Identity.Providers {
		if reflect.DeepEqual(configured, p) {
			return true
		}
	}
	return false
}
