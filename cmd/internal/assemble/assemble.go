// Package assemble puts the parts of an engine.Authorizer together, in one way for
// the function and the command line, so that what is tried locally is what is
// deployed. It chooses nothing: the store and the settings come from its callers.
package assemble

import (
	"crypto/rand"
	"fmt"
	"time"

	"regent/cmd/internal/secrets"
	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/tenants"
)

// Parts is what an authorizer is made of. Fields without a default are required.
type Parts struct {
	// Store says which APIs and tenants there are, and holds their bundles.
	Store tenants.Store
	// AllowPrivate lets identity providers be at private addresses and without TLS.
	AllowPrivate bool
	// EvalTimeout bounds one evaluation of rules; zero means rules.DefaultTimeout.
	EvalTimeout time.Duration
	// Log is called with every decision.
	Log func(engine.Record)
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Authorizer returns a complete authorizer with empty caches. Subjects in its log
// are keyed by a salt of its own: they compare within one Authorizer and nowhere else.
func Authorizer(p Parts) (*engine.Authorizer, error) {
	if p.Now == nil {
		p.Now = time.Now
	}
	policies, err := rules.New(rules.Config{Store: p.Store, Timeout: p.EvalTimeout})
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 32)
	rand.Read(salt) // it ends the program rather than fail
	a := &engine.Authorizer{
		Gateway:  apigw.Gateway{},
		Store:    p.Store,
		Identity: identity.New(identity.Config{AllowPrivate: p.AllowPrivate, Secret: secrets.New().Read}),
		Policies: policies,
		Log:      p.Log,
		Now:      p.Now,
		NewID:    NewID,
		Salt:     salt,
	}
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("assemble %w", err)
	}
	return a, nil
}

// NewID returns a random UUID (version 4), as OPA's decision ids are.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // it ends the program rather than fail
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
