package sandbox

import (
	"context"
	"errors"
	"sync"

	"regent/engine/rules"
	"regent/tenants"
)

// CheckMemory is what a child may allocate to compile bundles for a Checker, in
// bytes: less than the function's children, so that what passes compiles there too.
const CheckMemory = 256 << 20

// Checker compiles bundles in a child process, so that those on which the compiler
// never ends, or takes all memory, are refused like others that do not compile. The
// zero value is ready, and may be used by many goroutines. Close it.
type Checker struct {
	mu    sync.Mutex
	child *process
	// command is what starts a child; nil means this program.
	command []string
}

// Check compiles a tenant's bundle under the platform's and forgets it. The error is
// rules.Problems if the fault is in the bundles, as that of rules.Compile is; the code
// of a problem is "limit" where the child had to be ended.
func (c *Checker) Check(ctx context.Context, platform, tenant tenants.Bundle, opts rules.Options) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fault, err := c.compile(platform, tenant, opts)
	if errors.Is(err, errIdle) {
		fault, err = c.compile(platform, tenant, opts)
	}
	var killed *killedError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &killed) && killed.starved:
		return killed
	case errors.As(err, &killed):
		return rules.Problems{{File: "policy", Code: "limit", Message: killed.compileError().Error()}}
	case err != nil:
		return err
	default:
		return fault
	}
}

func (c *Checker) compile(platform, tenant tenants.Bundle, opts rules.Options) (fault, err error) {
	if c.child == nil {
		if c.command == nil {
			if c.command, err = ownCommand(); err != nil {
				return nil, err
			}
		}
		if c.child, err = startProcess(c.command, configuration{memory: CheckMemory, capacity: 1}, false); err != nil {
			return nil, err
		}
	}
	fault, err = c.child.load(pairKey{platform.Digest(), tenant.Digest()},
		load{platform: platform.Files(), tenant: tenant.Files(), schema: opts.Schema})
	if err != nil {
		c.child.end()
		c.child = nil
	}
	return fault, err
}

// Close ends the child. The Checker may be used again.
func (c *Checker) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child != nil {
		c.child.end()
		c.child = nil
	}
}
