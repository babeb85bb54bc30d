package main

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"regent/engine"
	"regent/tenants"
	"regent/tenants/cache"
)

// slowStore is a store whose reads of the platform take a while.
type slowStore struct {
	tenants.Store
	takes time.Duration
}

// Platform returns a digest, after a while.
func (s slowStore) Platform(ctx context.Context) (tenants.Digest, error) {
	select {
	case <-time.After(s.takes):
		return "sha256:platform", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// TestSettle holds that the function waits for what is read in the background before it
// answers, and not for long.
func TestSettle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		takes, want time.Duration
	}{
		{"a read as usual", 5 * time.Millisecond, 5 * time.Millisecond},
		{"a slow read", 300 * time.Millisecond, settleTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				front, err := cache.New(cache.Config{Store: slowStore{takes: tt.takes}})
				if err != nil {
					t.Fatal(err)
				}
				f := newFunction(io.Discard, io.Discard, func() error {
					ctx, cancel := context.WithCancel(t.Context())
					cancel() // the read goes on without whoever began it
					_, err := front.Platform(ctx)
					return err
				})
				f.settle = opened{Store: front, cache: front}.settle
				start := time.Now()
				if _, err := f.Invoke(t.Context(), []byte(`{}`)); err == nil {
					t.Error("no error")
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("answered after %s, want %s", took, tt.want)
				}
				time.Sleep(time.Second) // the read ends
			})
		})
	}
}

func TestSettleWithoutACache(t *testing.T) {
	t.Parallel()
	var out opened
	out.settle(t.Context())
	f := newFunction(io.Discard, io.Discard, func() error { return engine.Troublef("store", "down") })
	if _, err := f.Invoke(t.Context(), []byte(`{}`)); err == nil {
		t.Error("no error")
	}
}
