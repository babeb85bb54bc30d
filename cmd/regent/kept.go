package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"regent/tenants"
	"regent/tenants/dir"
)

// keptFiles are a workspace's files that are in no bundle: YAML as it was written,
// OpenAPI documents, the schema, sample callers, README and so on. A YAML file that says
// no more than what would be made of the record is not among them, so that the files of
// thousands of tenants fit. leftOut are what is in the directory and no part of the
// workspace: hidden files, node_modules, links to directories.
func keptFiles(fsys fs.FS, s *dir.Snapshot) (kept []tenants.File, leftOut []string, err error) {
	bundled := bundledPaths(s)
	err = fs.WalkDir(fsys, ".", func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == "." || bundled[p]:
			return nil
		case strings.HasPrefix(entry.Name(), ".") || entry.IsDir() && entry.Name() == "node_modules":
			leftOut = append(leftOut, p)
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		info, err := fs.Stat(fsys, p) // of what a link leads to
		if err != nil || !info.Mode().IsRegular() {
			leftOut = append(leftOut, p)
			return nil
		}
		content, err := readLimited(fsys, p)
		if err == nil {
			kept = append(kept, tenants.File{Path: p, Content: content})
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read workspace: %w", err)
	}
	kept = slices.DeleteFunc(kept, func(f tenants.File) bool { return derived(f, s) })
	return kept, leftOut, nil
}

// mayKeep reports whether keptFiles would take a file by its path.
func mayKeep(p string) bool {
	parts := strings.Split(p, "/")
	return !slices.ContainsFunc(parts, func(part string) bool { return strings.HasPrefix(part, ".") }) &&
		!slices.Contains(parts[:len(parts)-1], "node_modules")
}

// bundledPaths are the files of the platform's and the tenants' bundles.
func bundledPaths(s *dir.Snapshot) map[string]bool {
	all := map[string]bool{}
	for _, f := range s.PlatformBundle().Files() {
		all[f.Path] = true
	}
	for _, t := range s.Tenants() {
		b, err := s.TenantBundle(t.ID)
		if err != nil {
			panic(err) // a snapshot has its tenants' bundles
		}
		for _, f := range b.Files() {
			all[policyDir(t.ID)+"/"+f.Path] = true
		}
	}
	return all
}

// readLimited reads a file, a little past what any bundle takes.
func readLimited(fsys fs.FS, p string) ([]byte, error) {
	in, err := fsys.Open(p)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(io.LimitReader(in, tenants.MaxBundle+1))
}

// derived reports whether an export makes the very same file of the records.
func derived(f tenants.File, s *dir.Snapshot) bool {
	if f.Path == registry {
		made, err := dir.FormatAPIs(s.APIs())
		return err == nil && bytes.Equal(made, f.Content)
	}
	id, ok := strings.CutPrefix(path.Dir(f.Path), "tenants/")
	if !ok || path.Base(f.Path) != tenantFile {
		return false
	}
	for _, t := range s.Tenants() {
		if t.ID == id {
			made, err := dir.FormatTenant(t)
			return err == nil && bytes.Equal(made, f.Content)
		}
	}
	return false
}

// tenantFile is the name of the file that has a tenant's record.
const tenantFile = "tenant.yaml"

// keep makes the bundle of the kept files.
func keep(kept []tenants.File) (tenants.Bundle, error) {
	b, err := tenants.NewBundle(kept)
	if err == nil {
		return b, nil
	}
	largest := slices.Clone(kept)
	slices.SortFunc(largest, func(a, b tenants.File) int { return len(b.Content) - len(a.Content) })
	var names []string
	for _, f := range largest[:min(3, len(largest))] {
		names = append(names, f.Path)
	}
	return b, &failure{
		err: fmt.Errorf("the files of the workspace besides rules and data, which are kept for the export, are more than %d bytes; the largest are %s", tenants.MaxBundle, strings.Join(names, ", ")),
		hints: []string{
			"move what is no part of the workspace out of it, or hide it: files whose names begin with a dot are left out",
			"--no-files imports without them; an export then makes its YAML from the records",
		},
	}
}
