package identity

import (
	"context"
	"errors"
	"sync"
	"time"
)

// perTenant is how many key fetches, and how many introspections, of one tenant may
// be under way at a time. Those of different tenants never wait for each other.
const perTenant = 2

var errBusy = errors.New("too many requests to the tenant's providers are under way")

// turns keep each tenant's exchanges with providers to perTenant at a time. They hold
// nothing for tenants that have none under way and none waiting.
type turns struct {
	mu sync.Mutex
	of map[string]*turn // by the tenant's id
}

// turn is a tenant's share: taken has a value for each exchange under way.
type turn struct {
	taken chan struct{}
	users int // under way or waiting
}

func newTurns() *turns { return &turns{of: map[string]*turn{}} }

// take waits for the tenant's turn, no longer than given and not at all for zero. Its
// holder calls done once.
func (t *turns) take(ctx context.Context, tenant string, longest time.Duration) (done func(), err error) {
	share := t.join(tenant)
	done = func() { <-share.taken; t.leave(tenant, share) }
	select {
	case share.taken <- struct{}{}:
		return done, nil
	default:
	}
	if longest > 0 {
		timeout := time.NewTimer(longest)
		defer timeout.Stop()
		select {
		case share.taken <- struct{}{}:
			return done, nil
		case <-timeout.C:
		case <-ctx.Done():
		}
	}
	t.leave(tenant, share)
	return nil, errBusy
}

func (t *turns) join(tenant string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	share := t.of[tenant]
	if share == nil {
		share = &turn{taken: make(chan struct{}, perTenant)}
		t.of[tenant] = share
	}
	share.users++
	return share
}

func (t *turns) leave(tenant string, share *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if share.users--; share.users == 0 {
		delete(t.of, tenant)
	}
}
