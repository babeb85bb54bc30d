package dir

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// Load reads the workspace at the root of a file system. The name stands for it in
// messages, such as the directory's path. What is wrong comes back as Errors, all
// of it at once.
//
// Load does not hold back symbolic links by itself: fsys has to, as os.Root's does
// and Open's therefore does. os.DirFS does not.
func Load(fsys fs.FS, name string) (*Snapshot, error) {
	l := newLoading(fsys, name)
	return l.snapshot()
}

// loading is one reading of a workspace.
type loading struct {
	*files
	name    string
	errs    Errors
	regs    []placed[tenants.API]
	tenants []placed[tenants.Tenant]
	bundles map[tenants.Digest]tenants.Bundle
	// platform is the digest of the platform bundle.
	platform tenants.Digest
	schema   []byte
}

// placed is a value and where it was read, for the checks between files.
type placed[T any] struct {
	value T
	doc   *document
	// at is the field path of the value in its document.
	at string
}

func (p placed[T]) fail(field, hint, format string, args ...any) {
	field = join(p.at, field)
	if !p.doc.covered(field) {
		p.doc.failHint(p.doc.nearest(field), field, hint, format, args...)
	}
}

// position is "file:line" of a field.
func (p placed[T]) position(field string) string {
	return fmt.Sprintf("%s:%d", p.doc.file, p.doc.nearest(join(p.at, field)).Line)
}

func newLoading(fsys fs.FS, name string) *loading {
	l := &loading{name: name, bundles: map[tenants.Digest]tenants.Bundle{}}
	l.files = newFiles(fsys, &l.errs)
	l.readAPIs()
	l.readTenants()
	l.readPlatform()
	l.readSchema()
	l.crossCheck()
	return l
}

// yaml reads and parses a file. It returns nil if there is nothing to go on with.
func (l *loading) yaml(p string) (*document, *yaml.Node) {
	content, ok := l.read(p, maxYAML)
	if !ok {
		return nil, nil
	}
	return parseDocument(p, content, &l.errs)
}

const registry = "regent.yaml"

func (l *loading) readAPIs() {
	switch l.look(registry) {
	case absent:
		l.errs.add(FileError{
			File: registry, Message: fmt.Sprintf("there is no workspace at %s", l.name),
			Hint: "create one: regent init " + l.name,
		})
		return
	case directory:
		l.errs.addf(registry, "is a directory")
		return
	case refused:
		return
	}
	d, root := l.yaml(registry)
	if root == nil {
		return
	}
	for i, r := range d.readAPIs(root) {
		reg := placed[tenants.API]{value: r.api, doc: d, at: fmt.Sprintf("apis[%d]", i)}
		if r.spec != "" {
			reg.value.Routes = l.routes(reg, r.spec)
		}
		l.regs = append(l.regs, reg)
	}
}

func (l *loading) readTenants() {
	const dir = "tenants"
	if !l.directory(dir) {
		return
	}
	for _, entry := range l.list(dir) {
		p := path.Join(dir, entry.Name())
		switch k := l.look(p); {
		case strings.HasPrefix(entry.Name(), "."):
		case k == directory:
			l.readTenant(p, entry.Name())
		case k == file:
			l.warnings = append(l.warnings, Warning{File: p, Message: "not a tenant: tenants have a directory each"})
		}
	}
}

// directory reports whether there is a directory, which is optional.
func (l *loading) directory(p string) bool {
	switch l.look(p) {
	case directory:
		return true
	case file:
		l.errs.addf(p, "is a file and should be a directory")
	}
	return false
}

func (l *loading) readTenant(dir, id string) {
	bundle, ok := l.readPolicy(dir)
	p := dir + "/tenant.yaml"
	switch l.look(p) {
	case absent:
		l.errs.add(FileError{File: p, Message: "there is no such file, and a directory below tenants/ is a tenant", Hint: "write it, or move the directory elsewhere"})
		return
	case directory:
		l.errs.addf(p, "is a directory")
		return
	case refused:
		return
	}
	d, root := l.yaml(p)
	if root == nil {
		return
	}
	t := placed[tenants.Tenant]{value: d.readTenant(root), doc: d}
	if t.value.ID != id && d.where["id"] != nil {
		t.fail("id", fmt.Sprintf("write id: %s, or rename the directory", id), "%q is not the name of the directory, %q", t.value.ID, id)
	}
	if ok {
		t.value.Revision, t.value.Version = bundle.Digest(), 1
	}
	l.tenants = append(l.tenants, t)
}

func (l *loading) readPolicy(dir string) (tenants.Bundle, bool) {
	p := dir + "/policy"
	k := l.look(p)
	if k == refused {
		return tenants.Bundle{}, false
	}
	left := tenants.MaxBundle
	var found []tenants.File
	if k == directory {
		found = l.tree(p, p, &left)
	}
	if left >= 0 && !slices.ContainsFunc(found, func(f tenants.File) bool { return path.Ext(f.Path) == ".rego" && !tenants.IsTest(f.Path) }) {
		l.errs.add(FileError{File: p, Message: "there are no rules: a tenant needs a directory policy/ with a *.rego file", Hint: "write policy/authz.rego with package authz"})
		return tenants.Bundle{}, false
	}
	return l.bundle(p, found)
}

func (l *loading) bundle(p string, found []tenants.File) (tenants.Bundle, bool) {
	b, err := tenants.NewBundle(found)
	if err != nil {
		l.errs.addf(p, "%v", err)
		return tenants.Bundle{}, false
	}
	l.bundles[b.Digest()] = b
	return b, true
}

func (l *loading) readPlatform() {
	var found []tenants.File
	left := tenants.MaxBundle
	for _, dir := range []string{"platform", "lib"} {
		if l.directory(dir) {
			found = append(found, l.tree("", dir, &left)...)
		}
	}
	b, _ := l.bundle("platform", found)
	l.platform = b.Digest()
}

func (l *loading) readSchema() {
	const p = "schema/input.json"
	if !l.directory(path.Dir(p)) || l.look(p) != file {
		return
	}
	content, ok := l.read(p, maxSchema)
	if ok && !json.Valid(content) {
		l.errs.addf(p, "not JSON")
	}
	l.schema = content
}

// snapshot returns what was read, if nothing is wrong with it.
func (l *loading) snapshot() (*Snapshot, error) {
	if err := l.errs.sorted(); err != nil {
		return nil, err
	}
	s := &Snapshot{
		byAPI:     make(map[string]int, len(l.regs)),
		byTenant:  make(map[string]int, len(l.tenants)),
		selectors: map[selector]string{},
		bundles:   l.bundles,
		platform:  l.platform,
		schema:    l.schema,
		warnings:  l.warnings,
	}
	slices.SortFunc(s.warnings, func(a, b Warning) int { return strings.Compare(a.File, b.File) })
	for _, r := range l.regs {
		s.apis = append(s.apis, r.value)
	}
	slices.SortFunc(s.apis, func(a, b tenants.API) int { return strings.Compare(a.ID, b.ID) })
	for i, a := range s.apis {
		s.byAPI[a.ID] = i
	}
	for _, t := range l.tenants {
		s.tenants = append(s.tenants, t.value)
	}
	slices.SortFunc(s.tenants, func(a, b tenants.Tenant) int { return strings.Compare(a.ID, b.ID) })
	for i, t := range s.tenants {
		s.byTenant[t.ID] = i
		for _, kind := range selectorKinds() {
			for _, value := range t.Selectors.Of(kind) {
				s.selectors[selector{kind, value}] = t.ID
			}
		}
	}
	return s, nil
}

func selectorKinds() []tenants.SelectorKind {
	return []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue}
}
