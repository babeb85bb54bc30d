package devissuer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxKeyFile bounds what Open reads, in bytes; a key file has about 300.
const maxKeyFile = 4096

// Open returns the issuer whose private key is in the file at path. If there is no
// such file, it makes a key and the file, with mode 0600, and the file's directory
// with mode 0700.
//
// Of several processes that open a new path at once, one makes the key and all get
// it; nobody ever sees half a file, and a file that is there is never overwritten.
// Open refuses a file that others than its owner may read or write, that is not a
// regular file, or that is not a key.
func Open(path string) (*Issuer, error) {
	is, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return is, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("make development key file: %w", err)
	}
	// The file may be another process's: what counts is what is in it.
	return Load(path)
}

// Load is Open for a file that must be there. If it is not, the error wraps
// fs.ErrNotExist.
func Load(path string) (*Issuer, error) {
	// A link or a device is refused before it is opened: opening a FIFO would wait.
	if info, err := os.Lstat(path); err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("development key: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	}
	// Windows has no such bits; there the user's profile directory is the guard.
	if loose := info.Mode().Perm() & 0o077; loose != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("development key: %s has mode %#o and others could use it: chmod 600, or remove it to get a new one", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("development key: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("development key: %s has more than %d bytes", path, maxKeyFile)
	}
	is, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to get a new one", path, err)
	}
	return is, nil
}

// create writes a new key to path unless something is there already. The key is
// written under another name first and then linked: a link, unlike a rename, never
// replaces what is there.
func create(path string) error {
	is, err := New()
	if err != nil {
		return err
	}
	text, err := is.private()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// CreateTemp makes files with mode 0600.
	f, err := os.CreateTemp(dir, ".dev-key-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
