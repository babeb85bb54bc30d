package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"regent/tenants"
)

// Store serves the newest good Snapshot of a directory. Use Open to make one.
type Store struct {
	// Check, if set, is asked about every new Snapshot before it comes into force:
	// whether its rules compile, for one. An error keeps the one before. Set it
	// before the first call of Reload or Watch; Open does not ask it.
	Check func(*Snapshot) error

	path string
	// reload serialises reloads.
	reload sync.Mutex
	last   [32]byte // what the last reload read, guarded by reload
	state  atomic.Pointer[state]
}

var _ tenants.Store = (*Store)(nil)

// state is what readers see, swapped as one.
type state struct {
	current *Snapshot
	// before is the Snapshot that was replaced. A request that read a tenant just
	// before the swap finds its bundle here.
	before *Snapshot
}

// Open loads the workspace at a directory. It fails with Errors if anything is
// wrong with the workspace. Files outside the directory are not read, not even
// through symbolic links.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	l, err := load(path)
	if err != nil {
		return nil, err
	}
	snapshot, err := l.snapshot()
	if err != nil {
		return nil, err
	}
	s.last = l.fingerprint()
	s.state.Store(&state{current: snapshot})
	return s, nil
}

// load reads a directory as it is now. The directory is opened anew each time, for
// it may have been replaced as a whole.
func load(path string) (*loading, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Errors{{File: registry, Message: fmt.Sprintf("there is no workspace at %s", path), Hint: "create one: regent init " + path}}
	}
	if err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	defer root.Close()
	return newLoading(root.FS(), path), nil
}

// fingerprint tells apart what was read from what was read before, errors included.
func (l *loading) fingerprint() [32]byte {
	if err := l.errs.sorted(); err != nil {
		l.account("", []byte(err.Error()))
	}
	return [32]byte(l.seen.Sum(nil))
}

// Reload reads the directory again and brings what it finds into force. If
// anything is wrong, it returns the error and the last good Snapshot stays.
func (s *Store) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	l, err := load(s.path)
	if err != nil {
		return err
	}
	s.last = l.fingerprint()
	return s.adopt(l)
}

// adopt brings a loading into force. The caller holds s.reload.
func (s *Store) adopt(l *loading) error {
	snapshot, err := l.snapshot()
	if err != nil {
		return err
	}
	if s.Check != nil {
		if err := s.Check(snapshot); err != nil {
			return err
		}
	}
	s.state.Store(&state{current: snapshot, before: s.Snapshot()})
	return nil
}

// Snapshot returns the one in force. Use it where several answers must belong
// together.
func (s *Store) Snapshot() *Snapshot { return s.state.Load().current }

// API returns the registered API with this id.
func (s *Store) API(ctx context.Context, id string) (tenants.API, error) {
	return s.Snapshot().API(ctx, id)
}

// Tenant returns the tenant with this id, whatever its status.
func (s *Store) Tenant(ctx context.Context, id string) (tenants.Tenant, error) {
	return s.Snapshot().Tenant(ctx, id)
}

// Select returns the id of the one tenant that holds this selector value.
func (s *Store) Select(ctx context.Context, kind tenants.SelectorKind, value string) (string, error) {
	return s.Snapshot().Select(ctx, kind, value)
}

// Bundle returns the bundle with this digest, from the Snapshot in force or the one
// before it.
func (s *Store) Bundle(ctx context.Context, digest tenants.Digest) (tenants.Bundle, error) {
	now := s.state.Load()
	b, err := now.current.Bundle(ctx, digest)
	if errors.Is(err, tenants.ErrNotFound) && now.before != nil {
		return now.before.Bundle(ctx, digest)
	}
	return b, err
}

// Platform returns the digest of the platform bundle.
func (s *Store) Platform(ctx context.Context) (tenants.Digest, error) {
	return s.Snapshot().Platform(ctx)
}
