package ruletest_test

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/format"

	"regent/engine/rules"
	"regent/engine/rules/ruletest"
	"regent/policies"
	"regent/tenants"
)

// read collects the files below the directories; their paths start after strip.
func read(t *testing.T, strip string, dirs ...string) tenants.Bundle {
	t.Helper()
	var files []tenants.File
	for _, dir := range dirs {
		err := fs.WalkDir(policies.FS, dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(policies.FS, p)
			files = append(files, tenants.File{Path: strings.TrimPrefix(p, strip), Content: b})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return bundle(t, files...)
}

func workspaceTenants(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(policies.FS, "tenants")
	if err != nil || len(entries) == 0 {
		t.Fatalf("no tenants in the workspace: %v", err)
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// Every rule of the embedded workspace is tested: it is what people start from.
func TestWorkspaceIsTested(t *testing.T) {
	t.Parallel()
	platform := read(t, "", "platform", "lib")
	bundles := map[string]tenants.Bundle{"platform": {}}
	for _, id := range workspaceTenants(t) {
		dir := path.Join("tenants", id, "policy")
		bundles[id] = read(t, dir+"/", dir)
	}
	for name, tenant := range bundles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := ruletest.Run(t.Context(), platform, tenant, ruletest.Options{Coverage: true})
			if err != nil {
				t.Fatal(err)
			}
			if !report.OK() || report.Ran() == 0 || report.Skipped != 0 || report.Coverage.Percent != 100 {
				var text bytes.Buffer
				if err := ruletest.WritePretty(&text, []ruletest.Suite{{Name: name, Report: report}}, ruletest.Style{}); err != nil {
					t.Fatal(err)
				}
				t.Errorf("want all tests to pass and cover every line:\n%s", text.String())
			}
		})
	}
}

// The rules compile as the function compiles them, under the schema of the input.
func TestWorkspaceCompiles(t *testing.T) {
	t.Parallel()
	schema, err := fs.ReadFile(policies.FS, "schema/input.json")
	if err != nil {
		t.Fatal(err)
	}
	platform := read(t, "", "platform", "lib")
	for _, id := range workspaceTenants(t) {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			dir := path.Join("tenants", id, "policy")
			tenant := read(t, dir+"/", dir)
			if _, err := rules.Compile(t.Context(), platform, tenant, rules.Options{Schema: schema}); err != nil {
				t.Fatal(err)
			}
			wrong := append([]tenants.File{module("wrong.rego", `# METADATA
# schemas:
#   - input: schema.input
package authz.wrong

allow if input.request.verb == "GET"
`)}, tenant.Files()...)
			_, err := rules.Compile(t.Context(), platform, bundle(t, wrong...), rules.Options{Schema: schema})
			if err == nil || !strings.Contains(err.Error(), "wrong.rego:6") {
				t.Errorf("error %v, want input.request.verb to be refused at wrong.rego:6", err)
			}
		})
	}
}

func TestWorkspaceIsFormatted(t *testing.T) {
	t.Parallel()
	seen := 0
	err := fs.WalkDir(policies.FS, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(p) != ".rego" {
			return err
		}
		seen++
		b, err := fs.ReadFile(policies.FS, p)
		if err != nil {
			return err
		}
		formatted, err := format.Source(p, b)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, formatted) {
			t.Errorf("%s is not as `opa fmt` writes it", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no Rego in the workspace")
	}
}
