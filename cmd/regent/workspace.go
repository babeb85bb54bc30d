package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"regent/tenants"
	"regent/tenants/dir"
)

// registry is the file that makes a directory a workspace.
const registry = "regent.yaml"

// openWorkspace opens the workspace at a directory. What is wrong with it comes back
// as dir.Errors; a directory that is none is a failure with a hint.
func openWorkspace(path string) (*dir.Store, error) {
	_, err := os.Stat(filepath.Join(path, registry))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noWorkspace(path)
	}
	return dir.Open(path)
}

func noWorkspace(path string) error {
	f := &failure{err: fmt.Errorf("there is no workspace at %s: it has no %s", path, registry)}
	if above, ok := workspaceAbove(path); ok {
		f.hints = append(f.hints, fmt.Sprintf("there is one at %s: go there, or say --store dir:%s", above, above))
	}
	name := path
	if info, err := os.Stat(path); err == nil && info.IsDir() && !isEmpty(path) {
		name = "DIR"
	}
	f.hints = append(f.hints, "make one with regent init "+name)
	return f
}

// workspaceAbove looks for a workspace that a directory is inside of.
func workspaceAbove(path string) (string, bool) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	for up := filepath.Dir(path); up != path; path, up = up, filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, registry)); err == nil {
			return up, true
		}
	}
	return "", false
}

func isEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) == 0
}

// tenantNamed finds a tenant, or says which one might be meant.
func tenantNamed(s rulebook, id string) (tenants.Tenant, error) {
	var ids []string
	for _, t := range s.Tenants() {
		if t.ID == id {
			return t, nil
		}
		ids = append(ids, t.ID)
	}
	return tenants.Tenant{}, &failure{err: fmt.Errorf("there is no tenant %q", id), hints: []string{didYouMean(id, ids)}}
}

// policyDir is where a tenant's policy is in a workspace.
func policyDir(tenant string) string { return "tenants/" + tenant + "/policy" }
