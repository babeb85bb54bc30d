package cache

import (
	"context"
	"sync"
)

// underway counts reads on their way, for those who want to wait for them.
type underway struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0 again
}

func (u *underway) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n++; u.n == 1 {
		u.idle = make(chan struct{})
	}
}

func (u *underway) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n--; u.n == 0 {
		close(u.idle)
	}
}

// wait waits until nothing is on its way, or the context ends.
func (u *underway) wait(ctx context.Context) {
	u.mu.Lock()
	n, idle := u.n, u.idle
	u.mu.Unlock()
	if n == 0 {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
