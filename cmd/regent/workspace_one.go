package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"regent/tenants"
	"regent/tenants/dir"
)

// policyFrom reads a workspace without the directories of other tenants, and a tenant's
// policy in it. What is wrong with other tenants' files is not this tenant's business,
// and a workspace may have thousands.
func policyFrom(path, id string) (*dir.Snapshot, tenants.Bundle, error) {
	if _, err := os.Stat(filepath.Join(path, registry)); errors.Is(err, fs.ErrNotExist) {
		return nil, tenants.Bundle{}, noWorkspace(path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, tenants.Bundle{}, fmt.Errorf("open workspace: %w", err)
	}
	defer root.Close()
	ws, err := dir.Load(oneTenant{root.FS().(fileSystem), id}, path)
	if err != nil {
		return nil, tenants.Bundle{}, err
	}
	b, err := ws.TenantBundle(id)
	if errors.Is(err, tenants.ErrNotFound) {
		f := &failure{err: fmt.Errorf("the workspace at %s has no %s", path, policyDir(id))}
		if entries, err := fs.ReadDir(root.FS(), tenantsDir); err == nil {
			var ids []string
			for _, e := range entries {
				if e.IsDir() && tenants.ValidID(e.Name()) {
					ids = append(ids, e.Name())
				}
			}
			f.hints = []string{didYouMean(id, ids)}
		}
		err = f
	}
	return ws, b, err
}

// tenantsDir has a directory for each tenant of a workspace.
const tenantsDir = "tenants"

// fileSystem is what dir.Load asks of an os.Root's file system.
type fileSystem interface {
	fs.ReadDirFS
	fs.ReadLinkFS
	fs.StatFS
}

// oneTenant is a workspace in which other tenants are not listed.
type oneTenant struct {
	fileSystem
	id string
}

// ReadDir lists a directory.
func (o oneTenant) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := o.fileSystem.ReadDir(name)
	if name != tenantsDir {
		return entries, err
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() != o.id }), err
}
