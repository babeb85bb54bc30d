package dir_test

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"regent/tenants"
	"regent/tenants/dir"
)

// Whatever the files are, loading ends with Errors or with a workspace in which
// every record is valid and every revision has its bundle.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		content := map[string][]byte{}
		for _, file := range archive.Files {
			content[filepath.Base(file.Name)] = file.Data
		}
		f.Add(content["regent.yaml"], content["tenant.yaml"], content["openapi.yaml"])
	}
	f.Fuzz(func(t *testing.T, registry, tenant, spec []byte) {
		snapshot, err := dir.Load(fstest.MapFS{
			"regent.yaml":                    {Data: registry},
			"tenants/acme/tenant.yaml":       {Data: tenant},
			"tenants/acme/policy/authz.rego": {Data: []byte("package authz\n")},
			"docs/openapi.yaml":              {Data: spec},
		}, "DIR")
		if err != nil {
			var errs dir.Errors
			if snapshot != nil || !errors.As(err, &errs) || len(errs) == 0 || err.Error() == "" {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		for _, a := range snapshot.APIs() {
			if err := a.Validate(); err != nil {
				t.Errorf("API %q: %v", a.ID, err)
			}
		}
		checkFormat(t, snapshot)
		for _, one := range snapshot.Tenants() {
			b, err := snapshot.TenantBundle(one.ID)
			if one.Validate() != nil || err != nil || b.Digest() != one.Revision || one.ID != "acme" {
				t.Errorf("tenant %q: %v, %v", one.ID, one.Validate(), err)
			}
			checkSelect(t, snapshot, one)
		}
	})
}

func checkSelect(t *testing.T, snapshot *dir.Snapshot, tenant tenants.Tenant) {
	t.Helper()
	for _, kind := range []tenants.SelectorKind{tenants.ByHost, tenants.ByIssuer, tenants.ByValue} {
		for _, value := range tenant.Selectors.Of(kind) {
			if id, err := snapshot.Select(t.Context(), kind, value); err != nil || id != tenant.ID {
				t.Errorf("%s %q: %q, %v", kind, value, id, err)
			}
		}
	}
}
