// Package regent_test holds what DESIGN.md §13 says of the repository as a whole:
// imports point inward, heavy dependencies stay in their one place, and every
// package says what it is for.
package regent_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	module = "regent"
	opa    = "github.com/open-policy-agent/opa"
)

// guarded are dependencies that only some packages may import.
func guarded() []guard {
	return []guard{
		{opa, []string{"engine/rules/...", "cmd/..."}, "Rego is evaluated in one place, so that it can move into a sandbox"},
		{"github.com/aws/aws-sdk-go-v2", []string{"tenants/dynamo/...", "cmd/..."}, "the engine reads tenants through tenants.Store"},
		{"github.com/lestrrat-go/jwx", []string{"engine/identity/...", "cmd/internal/devissuer"}, "tokens are verified in one place, with its checks around the library"},
		{"github.com/aws/aws-lambda-go", []string{"cmd/authorizer"}, "the engine does not know what runs it"},
	}
}

type guard struct {
	module  string
	allowed []string
	why     string
}

// layers are the rings from the inside out, by the directory a package is in. A
// package may import the packages of this module that its ring lists, and no
// others; the first ring that matches counts.
func layers() []layer {
	return []layer{
		{in: "internal/measure"}, // for benchmarks: nothing but tests imports it
		{in: "internal/leaks"},   // for TestMain, likewise
		{in: "internal/jsontext"},
		{in: "tenants"},
		{in: "tenants/dynamo/...", may: []string{"tenants", "tenants/dynamo"}},
		{in: "tenants/...", may: []string{"tenants"}},
		{in: "engine", may: []string{"tenants"}},
		{in: "engine/apigw", may: []string{"tenants", "engine", "engine/iam", "internal/jsontext"}},
		{in: "engine/iam", may: []string{"engine", "tenants", "internal/jsontext"}},
		{in: "engine/rules/...", may: []string{"tenants", "engine", "engine/rules/..."}},
		{in: "engine/...", may: []string{"tenants", "engine"}},
		{in: "policies"},
		{in: "cmd/...", may: []string{"tenants/...", "engine/...", "policies", "cmd/internal/..."}},
	}
}

type layer struct {
	in  string
	may []string
}

// pure are packages that import this module and the standard library alone.
func pure() []string { return []string{"tenants", "engine", "engine/apigw", "engine/iam", "policies"} }

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath                         string
	Name, Doc                          string
	Standard                           bool
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// dir is the package's directory below the module's root.
func (p goPackage) dir() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func (p goPackage) allImports() []string {
	return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
}

// list runs `go list -json` with args.
func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	fields := "-json=ImportPath,Name,Doc,Standard,GoFiles,Imports,TestImports,XTestImports"
	cmd := exec.Command("go", append([]string{"list", fields}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatalf("go list %s lists nothing", strings.Join(args, " "))
	}
	return packages
}

// matches reports whether a directory is one of patterns: DIR, or DIR/... for it
// and everything below.
func matches(dir string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, below := strings.CutSuffix(pattern, "/...")
		return dir == prefix || below && strings.HasPrefix(dir, prefix+"/")
	})
}

func TestImportsPointInward(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) == 0 {
			continue
		}
		ring := slices.IndexFunc(layers(), func(l layer) bool { return matches(p.dir(), l.in) })
		if ring < 0 {
			t.Errorf("%s is in no layer: give it one here and in DESIGN.md §13", p.ImportPath)
			continue
		}
		may := layers()[ring].may
		for _, imported := range p.Imports {
			if dir, ours := strings.CutPrefix(imported, module+"/"); ours && !matches(dir, may...) {
				t.Errorf("%s imports %s: it may import %v (DESIGN.md §13)", p.ImportPath, imported, may)
			}
		}
	}
}

func TestPurePackagesImportTheStandardLibrary(t *testing.T) {
	t.Parallel()
	var args []string
	for _, dir := range pure() {
		args = append(args, module+"/"+dir)
	}
	for _, p := range list(t, args...) {
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if first != module && strings.Contains(first, ".") {
				t.Errorf("%s imports %s: it may import this module and the standard library alone", p.ImportPath, imported)
			}
		}
	}
}

func TestGuardedDependencies(t *testing.T) {
	t.Parallel()
	packages := list(t, "./...")
	for _, g := range guarded() {
		used := false
		home := false
		for _, p := range packages {
			here := matches(p.dir(), g.allowed...)
			home = home || matches(p.dir(), g.allowed[0])
			for _, imported := range p.allImports() {
				if !matches(imported, g.module+"/...") {
					continue
				}
				used = true
				if !here {
					t.Errorf("%s imports %s: only %v may, for %s", p.ImportPath, imported, g.allowed, g.why)
				}
			}
		}
		// A rule about a module that has gone or changed its name holds nothing.
		if home && !used {
			t.Errorf("nothing imports %s, though %s is there: has it another name now?", g.module, g.allowed[0])
		}
	}
}

// TestFunctionLinksNoMore keeps `testing`, and with it what registers flags and reads the
// environment for tests, out of the deployed binary, and what only the command line needs.
func TestFunctionLinksNoMore(t *testing.T) {
	t.Parallel()
	forbidden := []string{
		"testing", "testing/...", "net/http/httptest", module + "/engine/rules/ruletest",
		module + "/internal/leaks", module + "/tenants/storetest", module + "/tenants/dynamo/dynamotest", module + "/cmd/internal/lambdaapi", module + "/cmd/internal/devissuer",
		opa + "/v1/sdk/...", opa + "/v1/server/...", opa + "/v1/plugins/...", opa + "/v1/tester/...",
		"github.com/santhosh-tekuri/jsonschema/...", "github.com/spf13/cobra/...", "github.com/google/go-cmp/...",
	}
	linked := false
	for _, p := range list(t, "-deps", module+"/cmd/authorizer") {
		linked = linked || p.ImportPath == module+"/engine"
		if matches(p.ImportPath, forbidden...) {
			t.Errorf("cmd/authorizer links %s", p.ImportPath)
		}
	}
	if !linked {
		t.Error("cmd/authorizer does not link the engine: is this still the function?")
	}
}

// TestPackagesHaveDocs asks for a doc comment that starts the way godoc shows it.
func TestPackagesHaveDocs(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...", "./.ci/tally", "./.ci/sbom") {
		if len(p.GoFiles) == 0 {
			continue
		}
		start := "Package " + p.Name + " "
		if p.Name == "main" {
			start = "Command " + path.Base(p.ImportPath) + " "
		}
		if !strings.HasPrefix(p.Doc, start) {
			t.Errorf("%s: the package comment starts with %q, want %q and what it is for", p.ImportPath, p.Doc, start)
		}
	}
}
