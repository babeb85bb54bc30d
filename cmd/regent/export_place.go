package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// canExport refuses a directory with something in it, unless it may be replaced.
func canExport(path string, force bool) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && (force || len(entries) == 0):
		return nil
	case err != nil:
		return fmt.Errorf("export: %w", err)
	default:
		return &failure{
			err:   fmt.Errorf("%s is not empty: it has %s", path, entries[0].Name()),
			hints: []string{"name a directory that does not exist yet, or replace the workspace that is there with --force"},
		}
	}
}

// place is where a workspace is written to: first into a directory beside it or in it
// that nobody takes for a workspace, and then by renaming.
type place struct {
	path string
	// stage has what is to be.
	stage string
	// made tells that there was no directory.
	made bool
}

// workspaceParts are what is replaced, whether the export has it or not.
func workspaceParts() []string {
	// regent.yaml is the first to go and the last to come: without it what a crash
	// leaves behind is no workspace.
	return []string{registry, "tenants", "platform", "lib", "schema", callersFile}
}

func newPlace(path string) (*place, error) {
	p := &place{path: path}
	_, err := os.Lstat(path)
	p.made = errors.Is(err, fs.ErrNotExist)
	in := path
	if p.made {
		if in = filepath.Dir(path); in != "." {
			err = os.MkdirAll(in, 0o755)
		} else {
			err = nil
		}
	}
	if err == nil {
		p.stage, err = os.MkdirTemp(in, ".regent-export-*")
	}
	if err == nil {
		err = os.Chmod(p.stage, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return p, nil
}

// close removes what is left of the stage.
func (p *place) close() { _ = os.RemoveAll(p.stage) }

// swap puts what was staged in its place. If it fails, what was there is there again.
func (p *place) swap() error {
	if p.made {
		if err := os.Rename(p.stage, p.path); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		return nil
	}
	names, err := topLevel(p.stage)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	old, err := os.MkdirTemp(p.path, ".regent-export-old-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	var moves moves
	for _, name := range union(workspaceParts(), names) {
		if err == nil {
			err = moves.move(filepath.Join(p.path, name), filepath.Join(old, name), true)
		}
	}
	for _, name := range names {
		if err == nil {
			err = moves.move(filepath.Join(p.stage, name), filepath.Join(p.path, name), false)
		}
	}
	if err != nil {
		if undo := moves.undo(); undo != nil {
			return errors.Join(fmt.Errorf("export: %w", err), fmt.Errorf("what was there before is in %s: %w", old, undo))
		}
		err = fmt.Errorf("export: %w", err)
	}
	_ = os.RemoveAll(old)
	return err
}

// union is a with those of b that it has not.
func union(a, b []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, name := range append(a, b...) {
		if !seen[name] {
			all = append(all, name)
		}
		seen[name] = true
	}
	return all
}

// moves are renames that can be undone.
type moves [][2]string

func (m *moves) move(from, to string, mayMiss bool) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) && mayMiss {
		return nil
	}
	if err == nil {
		*m = append(*m, [2]string{from, to})
	}
	return err
}

func (m *moves) undo() error {
	var all error
	for i := len(*m) - 1; i >= 0; i-- {
		all = errors.Join(all, os.Rename((*m)[i][1], (*m)[i][0]))
	}
	return all
}
