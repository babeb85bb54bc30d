package dir

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Event is what became of a save.
type Event struct {
	// Snapshot is the one in force now: the new one, or, if Err is set, the last
	// good one.
	Snapshot *Snapshot
	// Err says why what is on disk is not in force. It is Errors if the workspace is
	// at fault.
	Err error
}

// Saves come in bursts: an editor writes, renames and sets modes; a checkout
// touches many files. A burst ends when nothing happened for quiet, and is acted on
// after patience even if it goes on.
const (
	quiet    = 50 * time.Millisecond
	patience = time.Second
)

// Watch reloads the workspace whenever its files change, until the context ends,
// and reports each change that made a difference: a new Snapshot, or a reason why
// there is none. Changes since Open count too, so nothing falls between the two.
// It calls report from the goroutine that it was called in, one event at a time.
//
// Watch returns nil when the context ends, and an error if files cannot be watched.
func (s *Store) Watch(ctx context.Context, report func(Event)) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.path, err)
	}
	defer notify.Close()
	w := &watch{Store: s, notify: notify, root: filepath.Clean(s.path), dirs: map[string]bool{".": true}}
	// The directory itself may be renamed or replaced, which its parent notices.
	if w.root, err = filepath.Abs(w.root); err == nil {
		err = notify.Add(filepath.Dir(w.root))
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.path, err)
	}
	return w.run(ctx, report)
}

// watch is one call of Watch.
type watch struct {
	*Store
	notify *fsnotify.Watcher
	root   string
	// dirs are the directories to watch, relative to root.
	dirs map[string]bool
}

func (w *watch) run(ctx context.Context, report func(Event)) error {
	timer := time.NewTimer(0) // the first look, for changes since Open
	defer timer.Stop()
	var since time.Time // when the burst began; zero outside of one
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.notify.Events:
			if !ok {
				return fmt.Errorf("watch %s: the watcher closed", w.path)
			}
			if !w.relevant(event) {
				continue
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return fmt.Errorf("watch %s: the watcher closed", w.path)
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				report(Event{Snapshot: w.Snapshot(), Err: fmt.Errorf("watch %s: %w", w.path, err)})
			}
			// Events were lost: look, whatever they were.
		case <-timer.C:
			since = time.Time{}
			w.look(report)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		// A timer's channel holds no stale tick after Reset.
		timer.Reset(min(quiet, max(0, patience-time.Since(since))))
	}
}

// relevant leaves out the neighbours of the workspace.
func (w *watch) relevant(event fsnotify.Event) bool {
	return filepath.Dir(event.Name) != filepath.Dir(w.root) || event.Name == w.root
}

// look reloads the workspace and reports if what is on disk is not what it was.
func (w *watch) look(report func(Event)) {
	w.reload.Lock()
	event, changed := w.refresh()
	w.reload.Unlock()
	if changed {
		report(event)
	}
}

// refresh is a reload that knows whether anything has changed. The caller holds
// w.reload.
func (w *watch) refresh() (Event, bool) {
	l, err := w.settle()
	var now [32]byte
	if err != nil {
		now = sha256.Sum256([]byte(err.Error()))
	} else {
		now = l.fingerprint()
	}
	if now == w.last {
		return Event{}, false
	}
	w.last = now
	if err == nil {
		err = w.adopt(l)
	}
	return Event{Snapshot: w.Snapshot(), Err: err}, true
}

// settle reads the workspace at a moment when every directory that matters is
// being watched: whatever changes during or after the reading is an event. A
// reading that finds further directories is therefore followed by another.
func (w *watch) settle() (*loading, error) {
	for {
		if err := w.add(); err != nil {
			return nil, err
		}
		l, err := load(w.path)
		if err != nil {
			return nil, err
		}
		watched := w.dirs
		w.dirs = l.dirs
		if contains(watched, l.dirs) {
			return l, nil
		}
	}
}

func contains(all, some map[string]bool) bool {
	for dir := range some {
		if !all[dir] {
			return false
		}
	}
	return true
}

// add watches every directory, again if need be: one that was replaced is a new
// one. Those that are not there are noticed by the directory above when they come,
// and those that may not be read are for the reading to report.
func (w *watch) add() error {
	for dir := range w.dirs {
		p := filepath.Join(w.root, filepath.FromSlash(dir))
		err := w.notify.Add(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("watch %s: %w", p, err)
		}
	}
	return nil
}
