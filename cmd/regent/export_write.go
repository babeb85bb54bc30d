package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"regent/tenants"
	"regent/tenants/dir"
)

// holdings are everything that a registry has in force.
type holdings struct {
	apis []tenants.API
	// tenants have a revision in force each; bare have none.
	tenants  []tenants.Tenant
	bare     []string
	policies map[tenants.Digest]tenants.Bundle
	platform tenants.Bundle
	// files are those that were kept of an imported workspace; without files if none were.
	files tenants.Bundle
}

func readHoldings(ctx context.Context, reg tenants.Registry) (*holdings, error) {
	base, err := inForce(ctx, reg)
	if err != nil {
		return nil, err
	}
	h := &holdings{apis: base.apis, platform: base.platform, policies: map[tenants.Digest]tenants.Bundle{}, files: emptyBundle()}
	all, err := reg.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	for _, t := range all {
		if t.Revision == "" {
			h.bare = append(h.bare, t.ID)
			continue
		}
		h.tenants = append(h.tenants, t)
		if _, done := h.policies[t.Revision]; done {
			continue
		}
		if h.policies[t.Revision], err = reg.Bundle(ctx, t.Revision); err != nil {
			return nil, fmt.Errorf("read revision %s of tenant %s: %w", t.Revision.Short(), t.ID, err)
		}
	}
	kept, err := reg.Active(ctx, tenants.WorkspaceOwner)
	switch {
	case errors.Is(err, tenants.ErrNotFound) || err == nil && kept.To == "":
		return h, nil
	case err != nil:
		return nil, fmt.Errorf("read the kept files: %w", err)
	}
	if h.files, err = reg.Bundle(ctx, kept.To); err != nil {
		return nil, fmt.Errorf("read the kept files, revision %s: %w", kept.To.Short(), err)
	}
	return h, nil
}

// exporting writes holdings as a workspace.
type exporting struct {
	*holdings
	// to is the directory.
	to string
	// written counts the files.
	written int
	// notes say what came out otherwise than it went in.
	notes []string
}

func (e *exporting) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

func (e *exporting) write() error {
	for _, id := range e.bare {
		e.note("tenant %s is left out: it has no revision in force, and a workspace has no tenant without rules", id)
	}
	if err := e.writeKept(); err != nil {
		return err
	}
	if err := e.bundle("", e.platform); err != nil {
		return err
	}
	for _, t := range e.tenants {
		if err := e.bundle(policyDir(t.ID), e.policies[t.Revision]); err != nil {
			return err
		}
		if err := e.tenant(t); err != nil {
			return err
		}
	}
	return e.registry()
}

func (e *exporting) writeKept() error {
	gone := map[string]bool{}
	for _, f := range e.files.Files() {
		if !mayKeep(f.Path) {
			// No import keeps such a file. Somebody else wrote it, and a shell, an editor or
			// Git might do what it says.
			e.note("the kept file %s is left out: hidden files and node_modules are no part of a workspace", f.Path)
			continue
		}
		if id := tenantOf(f.Path); id != "" && indexOf(e.tenants, id) < 0 {
			if !gone[id] {
				e.note("the kept files of tenants/%s are left out, for there is no such tenant with a revision in force", id)
			}
			gone[id] = true
			continue
		}
		if err := e.file(f.Path, f.Content); err != nil {
			return err
		}
	}
	return nil
}

// tenantOf is the id in tenants/ID/..., or empty for what is in no tenant's directory.
func tenantOf(path string) string {
	rest, ok := strings.CutPrefix(path, "tenants/")
	id, _, below := strings.Cut(rest, "/")
	if !ok || !below {
		return ""
	}
	return id
}

func (e *exporting) bundle(at string, b tenants.Bundle) error {
	for _, f := range b.Files() {
		name := f.Path
		if at != "" {
			name = at + "/" + name
		}
		if err := e.file(name, f.Content); err != nil {
			return err
		}
	}
	return nil
}

// file writes a file, in place of a kept one of that name. Paths are a bundle's, which
// do not lead out of it.
func (e *exporting) file(name string, content []byte) error {
	target := filepath.Join(e.to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if _, err := os.Lstat(target); err != nil {
		e.written++
	}
	if err := os.WriteFile(target, content, 0o644); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// kept is the content of a kept file; nil if there is none.
func (h *holdings) kept(name string) []byte {
	i, found := slices.BinarySearchFunc(h.files.Files(), name, func(f tenants.File, name string) int { return strings.Compare(f.Path, name) })
	if !found {
		return nil
	}
	return h.files.Files()[i].Content
}

// tenant writes a tenant.yaml of the record, unless the kept one still says the same.
func (e *exporting) tenant(t tenants.Tenant) error {
	name := "tenants/" + t.ID + "/" + tenantFile
	old := e.kept(name)
	if old != nil {
		if f, err := dir.ReadTenant(name, old); err == nil && dir.SameTenant(f.Tenant, t) {
			return nil
		}
	}
	content, err := dir.FormatTenant(t)
	if err != nil {
		return err
	}
	e.anew(name, old)
	return e.file(name, content)
}

// registry writes a regent.yaml of the APIs, unless the kept one, with the OpenAPI
// documents that were kept, still says the same.
func (e *exporting) registry() error {
	old := e.kept(registry)
	if old != nil {
		if apis, err := e.keptAPIs(); err == nil && sameAPIs(apis, e.apis) {
			return nil
		}
	}
	content, err := dir.FormatAPIs(e.apis)
	if err != nil {
		return err
	}
	e.anew(registry, old)
	return e.file(registry, content)
}

func (e *exporting) keptAPIs() ([]tenants.API, error) {
	root, err := os.OpenRoot(e.to)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	apis, err := dir.ReadAPIs(root.FS(), e.to)
	slices.SortFunc(apis, func(a, b tenants.API) int { return strings.Compare(a.ID, b.ID) })
	return apis, err
}

func sameAPIs(a, b []tenants.API) bool { return slices.EqualFunc(a, b, dir.SameAPI) }

// anew notes that a file is not as it was kept.
func (e *exporting) anew(name string, old []byte) {
	if len(old) > 0 && bytes.Contains(old, []byte("#")) {
		e.note("%s is written anew, for the record was changed since it was imported: its comments are lost", name)
	} else if old != nil {
		e.note("%s is written anew, for the record was changed since it was imported", name)
	}
}

// verify reads what was written as a workspace, and holds it to what the registry has.
func (e *exporting) verify() error {
	store, err := dir.Open(e.to)
	if err != nil {
		return fmt.Errorf("what is in the table is no valid workspace, and was not exported: %w", err)
	}
	s := store.Snapshot()
	same := slices.EqualFunc(s.Tenants(), e.tenants, func(a, b tenants.Tenant) bool {
		return a.Revision == b.Revision && dir.SameTenant(a, b)
	})
	platform, err := s.Platform(context.Background())
	if err == nil && same && sameAPIs(s.APIs(), e.apis) && platform == e.platform.Digest() {
		return nil
	}
	return errors.New("the workspace would not say the same as the table, and was not exported: its tenants' or the platform's rules have files that no workspace has")
}
