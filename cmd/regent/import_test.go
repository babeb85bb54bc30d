package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"regent/policies"
	"regent/tenants"
	"regent/tenants/dir"
	"regent/tenants/dynamo/dynamotest"
)

// quiet is a command line whose output nobody reads.
func quiet() *cli {
	return &cli{stdin: strings.NewReader(""), out: newWriter(&bytes.Buffer{}), err: newWriter(&bytes.Buffer{})}
}

// placeFiles writes files below a new directory.
func placeFiles(t *testing.T, files fs.FS) string {
	t.Helper()
	path := t.TempDir()
	if _, err := copyFiles(path, files); err != nil {
		t.Fatal(err)
	}
	return path
}

// bring imports a workspace without the checks of its rules.
func bring(t *testing.T, reg tenants.Registry, path string) error {
	t.Helper()
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	i := &importing{reg: reg, snapshot: store.Snapshot(), author: "tester", message: "a test"}
	if i.files, i.leftOut, err = filesOf(path, i.snapshot); err != nil {
		t.Fatal(err)
	}
	if err := i.plan(t.Context()); err != nil {
		return err
	}
	return i.run(t.Context(), func(recordChange) {})
}

// content are the files below a directory.
func content(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(path), ".", func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, p))
		all[p] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// answers is everything that a registry says, without versions and times.
func answers(t *testing.T, reg tenants.Registry) map[string]any {
	t.Helper()
	all := map[string]any{}
	apis, err := reg.APIs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apis {
		a.Version = 0
		all["API "+a.ID] = jsonText(a)
	}
	records, err := reg.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(name string, digest tenants.Digest) {
		b, err := reg.Bundle(t.Context(), digest)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range b.Files() {
			all[name+" "+f.Path] = string(f.Content)
		}
	}
	for _, r := range records {
		if r.Revision != "" {
			bundle("policy of "+r.ID, r.Revision)
		}
		for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
			for _, value := range r.Selectors.Of(kind) {
				id, err := reg.Select(t.Context(), kind, value)
				if err != nil || id != r.ID {
					t.Errorf("%s %q names %q, %v", kind, value, id, err)
				}
			}
		}
		r.Version = 0
		all["tenant "+r.ID] = jsonText(r)
	}
	for _, owner := range []string{tenants.PlatformOwner, tenants.WorkspaceOwner} {
		a, err := reg.Active(t.Context(), owner)
		if err == nil {
			bundle(owner, a.To)
		} else if !errors.Is(err, tenants.ErrNotFound) {
			t.Fatal(err)
		}
	}
	return all
}

// odd is a workspace with everything that is easily lost on the way.
func odd() fstest.MapFS {
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	return fstest.MapFS{
		"regent.yaml":                                 text("# APIs\r\napis:\r\n  - {id: b, kind: http, credential: header:authorization, tenant: [host], routes: docs/openapi.yaml}\r\n  - id: a\r\n    kind: rest\r\n    credential: query:t\r\n    tenant: [stage:tenant]\r\n"),
		"docs/openapi.yaml":                           text("openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths:\n  /a: {get: {responses: {default: {description: d}}}}\n"),
		"README.md":                                   text("no newline at the end"),
		"empty.txt":                                   text(""),
		"bytes.bin":                                   text("\x00\xff\xfe"),
		"callers.yaml":                                text("callers: []\n"),
		"schema/input.json":                           text("{}"),
		"lib/words/words.rego":                        text("package lib.words\n"),
		"platform/notes.md":                           text("kept, and no rule\n"),
		"tenants/acme/tenant.yaml":                    text("identity: {anonymous: true}   # everybody\nid: acme\nstatus: active\nselectors: {values: [x, y]}\n"),
		"tenants/acme/policy/authz.rego":              text("package authz\r\n"),
		"tenants/acme/policy/.manifest":               text(`{"roots": ["authz", "acme"]}`),
		"tenants/acme/policy/acme/data.json":          text(`{"a":  1}`),
		"tenants/acme/policy/acme/other.json":         text(`{"no": "data"}`),
		"tenants/acme/policy/authz_test.rego":         text("package authz_test\n"),
		"tenants/acme/policy/.hidden/deep.rego":       text("package acme.deep\n"),
		"tenants/acme/policy/node_modules/x/m.rego":   text("package acme.m\n"),
		"tenants/globex-eu/tenant.yaml":               text("id: globex-eu\nstatus: suspended\nidentity:\n  anonymous: true\n"),
		"tenants/globex-eu/policy/authz.rego":         text("package authz\n\nallow := true\n"),
		"tenants/globex-eu/notes/why suspended?.txt~": text("they did not pay"),
	}
}

// TestRoundTrip: a workspace that is imported comes back byte for byte.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	worlds := map[string]fs.FS{"embedded": policies.FS, "odd": odd()}
	cases, err := filepath.Glob("../../testdata/e2e/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no workspaces in testdata/e2e (%v)", err)
	}
	for _, name := range cases {
		worlds[filepath.Base(name)] = parseCase(t, name).workspace
	}
	if cases, err = filepath.Glob("../../tenants/dir/testdata/*.txtar"); err != nil || len(cases) == 0 {
		t.Fatalf("no workspaces in tenants/dir/testdata (%v)", err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if worlds[filepath.Base(name)], err = txtar.FS(archive); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for name, world := range worlds {
		if _, err := dir.Load(world, name); err != nil {
			continue // it is one of the broken ones
		}
		tried++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, reg, back := placeFiles(t, world), newMemory(), filepath.Join(t.TempDir(), "back")
			if err := bring(t, reg, path); err != nil {
				t.Fatal(err)
			}
			if err := quiet().exportWorkspace(t.Context(), reg, back, false); err != nil {
				t.Fatal(err)
			}
			want := content(t, path)
			for _, name := range hidden(t, path) {
				delete(want, name)
			}
			if diff := cmp.Diff(want, content(t, back)); diff != "" {
				t.Errorf("(-imported +exported)\n%s", diff)
			}
			again := newMemory()
			if err := bring(t, again, back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(answers(t, reg), answers(t, again)); diff != "" {
				t.Errorf("a table that the export is imported into (-first +second)\n%s", diff)
			}
		})
	}
	if tried < 20 {
		t.Errorf("only %d workspaces were tried", tried)
	}
}

// hidden are the files of a workspace that an import says it leaves out.
func hidden(t *testing.T, path string) []string {
	t.Helper()
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	_, leftOut, err := filesOf(path, store.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return leftOut
}

// What is in a workspace's directory and no part of it is left out, and said.
func TestKeptFilesLeaveOut(t *testing.T) {
	t.Parallel()
	files := odd()
	for _, name := range []string{".git/HEAD", ".env", "node_modules/x/index.js", "tenants/acme/.secret", "tenants/acme/policy/.swp"} {
		files[name] = &fstest.MapFile{Data: []byte("canary"), Mode: 0o644}
	}
	path := placeFiles(t, files)
	if err := errors.Join(os.Symlink("README.md", filepath.Join(path, "LINK.md")), os.Symlink("docs", filepath.Join(path, "linked")), os.Symlink("/etc/passwd", filepath.Join(path, "away"))); err != nil {
		t.Fatal(err)
	}
	leftOut := hidden(t, path)
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := filesOf(path, store.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".env", ".git", "away", "linked", "node_modules", "tenants/acme/.secret", "tenants/acme/policy/.hidden", "tenants/acme/policy/.swp", "tenants/acme/policy/node_modules"}
	slices.Sort(leftOut)
	if diff := cmp.Diff(want, leftOut); diff != "" {
		t.Errorf("left out (-want +got)\n%s", diff)
	}
	for _, f := range kept.Files() {
		if bytes.Contains(f.Content, []byte("canary")) || strings.Contains(f.Path, "passwd") {
			t.Errorf("%s is kept", f.Path)
		}
	}
	if !slices.ContainsFunc(kept.Files(), func(f tenants.File) bool {
		return f.Path == "LINK.md" && string(f.Content) == "no newline at the end"
	}) {
		t.Error("a link to a file is not kept as the file")
	}
}

// Workspaces of many tenants are imported although their YAML together is larger than a
// bundle, as long as an export makes the same of the records.
func TestKeptFilesAreBounded(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"regent.yaml": {Data: []byte("apis: []\n")}}
	for n := range 60 {
		one := tenants.Tenant{
			ID: fmt.Sprintf("t%02d", n), Status: tenants.Active, Identity: tenants.Identity{Anonymous: true},
			Attributes: map[string]any{"long": strings.Repeat("x", 20<<10)},
		}
		text, err := dir.FormatTenant(one)
		if err != nil {
			t.Fatal(err)
		}
		files["tenants/"+one.ID+"/tenant.yaml"] = &fstest.MapFile{Data: text, Mode: 0o644}
		files["tenants/"+one.ID+"/policy/authz.rego"] = &fstest.MapFile{Data: []byte("package authz\n"), Mode: 0o644}
	}
	path, back := placeFiles(t, files), filepath.Join(t.TempDir(), "back")
	reg := newMemory()
	if err := bring(t, reg, path); err != nil {
		t.Fatal(err)
	}
	if err := quiet().exportWorkspace(t.Context(), reg, back, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(content(t, path), content(t, back)); diff != "" {
		t.Errorf("(-imported +exported)\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(path, "large.bin"), make([]byte, tenants.MaxBundle+1), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var f *failure
	if _, _, err = filesOf(path, store.Snapshot()); !errors.As(err, &f) || !strings.Contains(err.Error(), "large.bin") {
		t.Errorf("a file that is too large to keep: %v", err)
	}
}

// next is a later state of smallShop: rules, a record, an API and a file differ, a
// tenant is new, and a host goes from one tenant to another.
func next() fstest.MapFS {
	files := fstest.MapFS{}
	for name, text := range smallShop() {
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	replace := func(name, old, with string) {
		files[name].Data = []byte(strings.Replace(string(files[name].Data), old, with, 1))
	}
	replace("tenants/acme/policy/authz.rego", "/orders", "/reports")
	replace("tenants/acme/tenant.yaml", "gold", "silver")
	replace("tenants/acme/tenant.yaml", "acme.localhost", "globex.localhost")
	replace("tenants/globex/tenant.yaml", "globex.localhost", "acme-eu.localhost")
	replace("platform/guardrails.rego", "mallory", "eve")
	replace("regent.yaml", "GET /reports", "GET /report")
	files["tenants/initech/tenant.yaml"] = &fstest.MapFile{Data: []byte("id: initech\nstatus: active\nidentity: {anonymous: true}\nselectors: {hosts: [acme.localhost]}\n"), Mode: 0o644}
	files["tenants/initech/policy/authz.rego"] = &fstest.MapFile{Data: []byte("package authz\n\nallow := true\n"), Mode: 0o644}
	files["README.md"] = &fstest.MapFile{Data: []byte("# new\n"), Mode: 0o644}
	return files
}

var errCut = errors.New("the line is cut")

// TestImportInterrupted cuts an import off before and after each of its writes. Every
// tenant is on a whole revision of before or of now, and running it again finishes.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	before := fstest.MapFS{}
	for name, text := range smallShop() {
		before[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	first, second := placeFiles(t, before), placeFiles(t, next())
	whole := newMemory()
	revisions := map[string][]tenants.Digest{}
	for _, path := range []string{first, second} {
		if err := bring(t, whole, path); err != nil {
			t.Fatal(err)
		}
		for _, r := range sorted(whole.records) {
			revisions[r.ID] = append(revisions[r.ID], r.Revision)
		}
	}
	want := answers(t, whole)
	cuts := 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			reg := newMemory()
			if n%2 == 0 { // else into an empty table
				if err := bring(t, reg, first); err != nil {
					t.Fatal(err)
				}
			}
			cut := cutAt(reg, n, after)
			err := bring(t, reg, second)
			if !*cut {
				if err != nil {
					t.Fatal(err)
				}
				if n%2 == 0 {
					break // both kinds of table have fewer writes than n
				}
				continue
			}
			cuts++
			if !errors.Is(err, errCut) {
				t.Fatalf("write %d: %v, want that the line is cut", n, err)
			}
			reg.before, reg.after = nil, nil
			for _, r := range sorted(reg.records) {
				if _, err := reg.Bundle(t.Context(), r.Revision); r.Revision != "" && (err != nil || !slices.Contains(revisions[r.ID], r.Revision)) {
					t.Errorf("cut at write %d: tenant %s is on %s, %v", n, r.ID, r.Revision.Short(), err)
				}
			}
			if err := bring(t, reg, second); err != nil {
				t.Fatalf("once more after a cut at write %d: %v", n, err)
			}
			if diff := cmp.Diff(want, answers(t, reg)); diff != "" {
				t.Errorf("once more after a cut at write %d (-want +got)\n%s", n, diff)
			}
		}
	}
	if cuts < 20 {
		t.Errorf("only %d writes were cut", cuts)
	}
}

// cutAt cuts the line at the n-th write: before it, or after it so that only the answer
// is lost. It returns whether that happened.
func cutAt(reg *memory, n int, after bool) *bool {
	cut, writes := false, 0
	hook := func(method string) error {
		if cut {
			return errCut
		}
		if slices.Contains([]string{"PutAPI", "PutTenant", "PutRevision", "Activate"}, method) {
			if writes++; writes == n {
				cut = true
				return errCut
			}
		}
		return nil
	}
	if after {
		reg.after = hook
	} else {
		reg.before = hook
	}
	return &cut
}

// Somebody who publishes while an import runs is not overrun, whenever that is.
func TestImportOvertaken(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"PutRevision", "Activate"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			first, second := placeFiles(t, policies.FS), placeFiles(t, policies.FS)
			edit(t, second, "tenants/acme/policy/authz.rego", "# theirs")
			edit(t, first, "tenants/acme/policy/authz.rego", "# ours")
			reg := newMemory()
			if err := bring(t, reg, placeFiles(t, policies.FS)); err != nil {
				t.Fatal(err)
			}
			var once bool
			reg.before = func(method string) error {
				if method == moment && !once {
					once = true
					return bring(t, reg, second)
				}
				return nil
			}
			err := bring(t, reg, first)
			var f *failure
			if !errors.Is(err, tenants.ErrConflict) || !errors.As(err, &f) {
				t.Fatalf("got %v, want a conflict with a hint", err)
			}
			store, err := dir.Open(second)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := store.Tenant(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			if now := active(t, reg, "acme"); now.To != theirs.Revision {
				t.Errorf("%s is in force, want theirs, %s", now.To.Short(), theirs.Revision.Short())
			}
		})
	}
}

// TestImportTables: what one table has, another has after an export and an import, both
// on a server, with a tenant put in between.
func TestImportTables(t *testing.T) {
	t.Parallel()
	one, two := dynamotest.Open(t), dynamotest.Open(t)
	back := filepath.Join(t.TempDir(), "back")
	if err := bring(t, one, placeFiles(t, odd())); err != nil {
		t.Fatal(err)
	}
	if err := bring(t, one, placeFiles(t, next())); err != nil {
		t.Fatal(err)
	}
	acme, err := one.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	acme.Attributes = map[string]any{"plan": "lead"}
	if _, err := one.PutTenant(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := quiet()
	c.err = newWriter(&said)
	if err := c.exportWorkspace(context.Background(), one, back, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "tenants/acme/tenant.yaml is written anew") {
		t.Errorf("it is not said which file was written anew: %s", said.String())
	}
	if err := bring(t, two, back); err != nil {
		t.Fatal(err)
	}
	want, got := answers(t, one), answers(t, two)
	// The files that are kept are those of the last import, without YAML that says no more
	// than the records.
	for _, all := range []map[string]any{want, got} {
		for name := range all {
			if strings.HasPrefix(name, tenants.WorkspaceOwner) {
				delete(all, name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-first +second)\n%s", diff)
	}
}
