package dynamo

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// within bounds a method.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.limits.Total)
}

// call makes a request and repeats it while that may help: no longer than ctx, no more
// often than the limits say, and no more than the budget has. op names it in errors.
func call[Out any](ctx context.Context, s *Store, op string, send func(context.Context) (Out, error)) (Out, error) {
	fresh := false // whether a dead connection has been blamed already
	for retries := 0; ; retries++ {
		out, reused, err := attempt(ctx, s.limits, send)
		if err == nil {
			s.budget.succeeded()
			return out, nil
		}
		failure := s.classify(ctx, op, err)
		if !failure.retry || retries >= s.limits.Retries {
			return out, failure.err
		}
		if reused && failure.connection && !fresh {
			// The connection was good once and may have died while the process was frozen. So
			// may all the others: the retry gets a new one, and is not the service's fault.
			fresh = true
			s.transport.CloseIdleConnections()
			continue
		}
		if !s.budget.take() || !sleep(ctx, jitter(s.limits.Backoff, retries)) {
			return out, failure.err
		}
	}
}

var (
	errConnect = errors.New("no connection in time")
	errAttempt = errors.New("no answer in time")
)

// attempt makes one request. Its time starts when there is a connection, so that a
// handshake does not eat it; the making of the connection has a limit of its own.
func attempt[Out any](ctx context.Context, l Limits, send func(context.Context) (Out, error)) (out Out, reused bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var connected, again atomic.Bool
	timer := time.AfterFunc(l.Connect, func() {
		if connected.Load() {
			cancel(errAttempt)
		} else {
			cancel(errConnect)
		}
	})
	defer timer.Stop()
	out, err = send(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			again.Store(c.Reused)
			connected.Store(true)
			timer.Reset(l.Attempt)
		},
	}))
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errConnect) || errors.Is(cause, errAttempt)) {
		err = cause
	}
	return out, again.Load(), err
}

// jitter returns a wait before a retry: full jitter.
func jitter(backoff time.Duration, retries int) time.Duration {
	return rand.N(backoff<<min(retries, 8) + 1)
}

// sleep waits, and reports whether there is time left.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// budget is what retries are paid from. Its zero value pays none; with most below zero
// it pays all.
type budget struct {
	mu     sync.Mutex
	tokens float64
	most   float64
}

// earned is what a success adds: below 0.1, so that the tokens there are at the start do
// not carry the average above 1.1 attempts a request.
const earned = 0.09

func (b *budget) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.most, b.tokens+earned)
}

func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most < 0 {
		return true
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
