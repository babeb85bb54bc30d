package tenants

import (
	"context"
	"sync"
	"time"
)

// Staleness is what the stores behind one request could not read anew and answered
// from memory. The zero value says that nothing was; a nil *Staleness takes notes and
// keeps none. Its methods may be called by many goroutines.
type Staleness struct {
	mu  sync.Mutex
	age time.Duration
	err error
}

// Note says that an answer was of that age, and why there was no younger one.
func (s *Staleness) Note(age time.Duration, err error) {
	if s == nil || err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || age > s.age {
		s.age, s.err = age, err
	}
}

// Oldest returns the age of the oldest answer and why there was no younger one; a nil
// error if every answer was as young as it should be.
func (s *Staleness) Oldest() (time.Duration, error) {
	if s == nil {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.age, s.err
}

type stalenessKey struct{}

// WithStaleness returns a context in which stores note in s what they answer from
// memory for want of anything younger.
func WithStaleness(ctx context.Context, s *Staleness) context.Context {
	return context.WithValue(ctx, stalenessKey{}, s)
}

// StalenessOf returns where a store notes it; nil if nobody wants to know.
func StalenessOf(ctx context.Context) *Staleness {
	s, _ := ctx.Value(stalenessKey{}).(*Staleness)
	return s
}
