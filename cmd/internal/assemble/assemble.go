// Package assemble puts the parts of an engine.Authorizer together, in one way for
// the function and the command line, so that what is tried locally is what is
// deployed. It chooses nothing: the store and the settings come from its callers.
package assemble

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"time"

	"regent/cmd/internal/secrets"
	"regent/engine"
	"regent/engine/apigw"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/engine/rules/sandbox"
	"regent/tenants"
)

// Parts is what an authorizer is made of. Fields without a default are required.
type Parts struct {
	// Store says which APIs and tenants there are, and holds their bundles.
	Store tenants.Store
	// AllowPrivate lets identity providers be at private addresses and without TLS.
	AllowPrivate bool
	// MaxStale is how long a revision may decide in place of a later one that does not
	// load; zero is not at all.
	MaxStale time.Duration
	// EvalTimeout bounds one evaluation of rules; zero means rules.DefaultTimeout.
	EvalTimeout time.Duration
	// Capacity is how many compiled policies are kept; zero means
	// rules.DefaultCapacity.
	Capacity int
	// InProcess has rules evaluated in this process. Otherwise they are evaluated in
	// child processes, which are of this program: its main calls sandbox.Main first.
	InProcess bool
	// Children is how many child processes there are; zero means 1. Whoever answers
	// several events at a time wants SeveralChildren.
	Children int
	// Memory is what each child may allocate, in bytes; zero means
	// sandbox.DefaultMemory.
	Memory uint64
	// Processor is the part of a processor that the program is granted; zero means a
	// whole one.
	Processor float64
	// Parking is told about parked revisions, and Report about what happens to
	// children; nil for nobody.
	Parking tenants.ParkingLot
	Report  func(sandbox.Event)
	// Log is called with every decision.
	Log func(engine.Record)
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Authorizer returns a complete authorizer with empty caches. Close it. Subjects in its log
// are keyed by a salt of its own: they compare within one Authorizer and nowhere else.
func Authorizer(p Parts) (*engine.Authorizer, error) {
	if p.Now == nil {
		p.Now = time.Now
	}
	policies, err := Policies(p)
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
		MaxStale: p.MaxStale,
	}
	if err := a.Validate(); err != nil {
		Close(a)
		return nil, fmt.Errorf("assemble %w", err)
	}
	return a, nil
}

// Policies returns what an authorizer of these parts asks about rules. Of Parts it takes
// the store, what bounds evaluations, and what children are like. End it with End.
func Policies(p Parts) (engine.Policies, error) {
	if p.InProcess {
		return rules.New(rules.Config{Store: p.Store, Timeout: p.EvalTimeout, Capacity: p.Capacity})
	}
	return sandbox.New(sandbox.Config{
		Store: p.Store, Timeout: p.EvalTimeout, Capacity: p.Capacity, Children: p.Children, Memory: p.Memory, Processor: p.Processor,
		Parking: p.Parking, Report: p.Report,
	})
}

// SeveralChildren is Parts.Children for a program that answers several events at a
// time: one for each processor, and never one alone, so that a tenant's slow rules do
// not hold up the others'.
func SeveralChildren() int { return max(2, runtime.NumCPU()) }

// Ready waits until the authorizer can evaluate rules. Its error says why it cannot.
func Ready(ctx context.Context, a *engine.Authorizer) error {
	if pool, ok := a.Policies.(*sandbox.Pool); ok {
		return pool.Ready(ctx)
	}
	return nil
}

// Close ends the authorizer's child processes.
func Close(a *engine.Authorizer) { End(a.Policies) }

// End ends the child processes of what Policies returned, and waits until nothing is left
// of them. Doing it again does nothing.
func End(policies engine.Policies) {
	if pool, ok := policies.(*sandbox.Pool); ok {
		pool.Close()
	}
}

// NewID returns a random UUID (version 4), as OPA's decision ids are.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // it ends the program rather than fail
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
