package dir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"regent/tenants"
	"regent/tenants/dir"
)

// minimal writes a workspace with one tenant.
func minimal(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	write(t, filepath.Join(path, "regent.yaml"), "apis: []\n")
	write(t, filepath.Join(path, "tenants/acme/tenant.yaml"), tenantText("acme", 0))
	write(t, filepath.Join(path, "tenants/acme/policy/authz.rego"), rules(0))
	return path
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "secret.rego"), "package secret\n")
	link := func(t *testing.T, to, at string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		do   func(t *testing.T, path string)
		want string
	}{
		{"rules linked from outside", func(t *testing.T, path string) {
			link(t, filepath.Join(outside, "secret.rego"), filepath.Join(path, "tenants/acme/policy/x.rego"))
		}, "tenants/acme/policy/x.rego: this symbolic link leads out of the workspace, or nowhere"},
		{"rules linked from outside by a relative path", func(t *testing.T, path string) {
			to, err := filepath.Rel(filepath.Join(path, "lib"), filepath.Join(outside, "secret.rego"))
			if err != nil {
				t.Fatal(err)
			}
			link(t, to, filepath.Join(path, "lib/x.rego"))
		}, "lib/x.rego: this symbolic link leads out of the workspace, or nowhere"},
		{"a directory linked from outside", func(t *testing.T, path string) {
			link(t, outside, filepath.Join(path, "platform"))
		}, "platform: this symbolic link leads out of the workspace, or nowhere"},
		{"a tenant linked from outside", func(t *testing.T, path string) {
			link(t, outside, filepath.Join(path, "tenants/bolt"))
		}, "tenants/bolt: this symbolic link leads out of the workspace, or nowhere"},
		{"a link to nothing", func(t *testing.T, path string) {
			link(t, "nothing.rego", filepath.Join(path, "tenants/acme/policy/x.rego"))
		}, "tenants/acme/policy/x.rego: this symbolic link leads out of the workspace, or nowhere"},
		{"a link to itself", func(t *testing.T, path string) {
			link(t, "x.rego", filepath.Join(path, "tenants/acme/policy/x.rego"))
		}, "tenants/acme/policy/x.rego: this symbolic link leads out of the workspace, or nowhere"},
		{"a directory linked inside", func(t *testing.T, path string) {
			link(t, "../acme/policy", filepath.Join(path, "tenants/acme/policy/again"))
		}, "tenants/acme/policy/again: this symbolic link leads out of the workspace, or nowhere"},
		{"a sibling linked inside", func(t *testing.T, path string) {
			link(t, "acme", filepath.Join(path, "tenants/bolt"))
		}, "tenants/bolt: symbolic links to directories are not followed"},
		{"a pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(filepath.Join(path, "tenants/acme/policy/x.rego"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "tenants/acme/policy/x.rego: neither a file nor a directory"},
		{"too many rules", func(t *testing.T, path string) {
			write(t, filepath.Join(path, "tenants/acme/policy/data.json"), `"`+strings.Repeat("x", tenants.MaxBundle-100)+`"`)
			write(t, filepath.Join(path, "tenants/acme/policy/more.rego"), "package more\n"+strings.Repeat("#", 100))
		}, "tenants/acme/policy: the files of a bundle may have 1048576 bytes together, and tenants/acme/policy/more.rego is past that"},
		{"a registry too large", func(t *testing.T, path string) {
			write(t, filepath.Join(path, "regent.yaml"), "apis: []\n"+strings.Repeat("#\n", 1<<20))
		}, "regent.yaml: larger than 1048576 bytes"},
		{"no regent.yaml", func(t *testing.T, path string) {
			remove(t, filepath.Join(path, "regent.yaml"))
		}, "create one: regent init "},
		{"no directory", func(t *testing.T, path string) { remove(t, path) }, "create one: regent init "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := minimal(t)
			tt.do(t, path)
			store, err := dir.Open(path)
			var errs dir.Errors
			if store != nil || !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one error with %q", err, tt.want)
			}
		})
	}
}

// A link inside the workspace is as good as the file: mounted volumes have them.
func TestOpenFollowsLinksInside(t *testing.T) {
	t.Parallel()
	path := minimal(t)
	if err := os.Mkdir(filepath.Join(path, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	rename(t, filepath.Join(path, "regent.yaml"), filepath.Join(path, "..data/regent.yaml"))
	if err := os.Symlink("..data/regent.yaml", filepath.Join(path, "regent.yaml")); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	workspace, _, _ := parseCase(t, "testdata/complete.txtar")
	snapshot, err := dir.Load(workspace, "DIR")
	if err != nil {
		t.Fatal(err)
	}
	var apis, ids, policy, platform []string
	for _, a := range snapshot.APIs() {
		apis = append(apis, a.ID)
	}
	for _, tenant := range snapshot.Tenants() {
		ids = append(ids, tenant.ID)
	}
	bundle, err := snapshot.TenantBundle("acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range bundle.Files() {
		policy = append(policy, f.Path)
	}
	for _, f := range snapshot.PlatformBundle().Files() {
		platform = append(platform, f.Path)
	}
	for name, tt := range map[string]struct{ got, want any }{
		"apis":     {apis, []string{"a1b2c3", "d4e5f6"}},
		"tenants":  {ids, []string{"acme"}},
		"policy":   {policy, []string{".manifest", "authz.rego", "authz_test.rego", "data.yaml", "users/data.json"}},
		"platform": {platform, []string{"lib/strings.rego", "platform/guard.rego"}},
		"schema":   {string(snapshot.Schema()), "{\"type\": \"object\"}\n"},
		"revision": {snapshot.Tenants()[0].Revision, bundle.Digest()},
		"routes of a document": {snapshot.APIs()[0].Routes, []tenants.Route{
			{Method: tenants.AnyMethod, Path: tenants.DefaultRoute},
			{Method: "GET", Path: "/orders"}, {Method: "POST", Path: "/orders"}, {Method: tenants.AnyMethod, Path: "/{proxy+}"},
		}},
		"routes listed": {snapshot.APIs()[1].Routes, []tenants.Route{
			{Method: "GET", Path: "/orders/{id}"}, {Method: tenants.AnyMethod, Path: tenants.DefaultRoute},
		}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := snapshot.TenantBundle("nobody"); !errors.Is(err, tenants.ErrNotFound) {
		t.Errorf("bundle of nobody: %v", err)
	}
}

// The order of the errors does not depend on the order of reading.
func TestErrorsAreSorted(t *testing.T) {
	t.Parallel()
	workspace := fstest.MapFS{
		"regent.yaml":                    {Data: []byte("apis: []\nx: 1\n")},
		"lib":                            {Data: []byte("a file\n")},
		"tenants/acme/tenant.yaml":       {Data: []byte("y: 1\n")},
		"tenants/acme/policy/authz.rego": {Data: []byte("package authz\n")},
	}
	_, err := dir.Load(workspace, "DIR")
	var errs dir.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error is a %T", err)
	}
	var files []string
	for _, e := range errs {
		files = append(files, e.File)
	}
	want := []string{"lib", "regent.yaml", "tenants/acme/tenant.yaml", "tenants/acme/tenant.yaml", "tenants/acme/tenant.yaml", "tenants/acme/tenant.yaml"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	var one dir.FileError
	if !errors.As(err, &one) || one.File != "lib" {
		t.Errorf("the first FileError is %v", one)
	}
}

// unreadable is a file system in which one path is there and cannot be opened.
type unreadable struct {
	inner fstest.MapFS
	path  string
}

func (u unreadable) Open(name string) (fs.File, error) {
	if name == u.path {
		return nil, &fs.PathError{Op: "openat", Path: name, Err: fs.ErrPermission}
	}
	return u.inner.Open(name)
}

func (u unreadable) Stat(name string) (fs.FileInfo, error) { return u.inner.Stat(name) }

// What cannot be read is an error and never taken for absent: guardrails would be
// missing.
func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	workspace := fstest.MapFS{
		"regent.yaml":                       {Data: []byte("apis: [{id: a, kind: rest, credential: 'header:x', tenant: [host], routes: openapi.yaml}]\n")},
		"openapi.yaml":                      {Data: []byte("openapi: 3.0.1\ninfo: {title: x, version: '1'}\npaths: {}\n")},
		"schema/input.json":                 {Data: []byte("{}")},
		"platform/guard.rego":               {Data: []byte("package platform\n")},
		"lib/deep/strings.rego":             {Data: []byte("package lib.strings\n")},
		"tenants/acme/tenant.yaml":          {Data: []byte(tenantText("acme", 0))},
		"tenants/acme/policy/authz.rego":    {Data: []byte(rules(0))},
		"tenants/acme/policy/sub/data.json": {Data: []byte("{}")},
	}
	if _, err := dir.Load(unreadable{workspace, ""}, "DIR"); err != nil {
		t.Fatal(err)
	}
	paths := []string{"platform", "lib", "lib/deep", "tenants", "tenants/acme/policy", "tenants/acme/policy/sub"}
	for path := range workspace {
		paths = append(paths, path)
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			_, err := dir.Load(unreadable{workspace, path}, "DIR")
			want := path + ": cannot open: permission denied"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := dir.Load(fstest.MapFS{"regent.yaml": {Data: []byte("apis:\n" + strings.Repeat("- x\n", 2000))}}, "DIR")
	var errs dir.Errors
	if !errors.As(err, &errs) || len(errs) != 1001 || errs[1000].Message != "and 1000 errors more" {
		t.Errorf("%d errors, the last is %v", len(errs), errs[len(errs)-1])
	}
}
