package identity

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

const jwx = "github.com/lestrrat-go/jwx/"

// Of jwx this package may use what DESIGN.md §9 names and nothing else: the rest
// accepts too much, or keeps goroutines and global settings.
func TestOnlyTheseOfJWX(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"jwa": {"SignatureAlgorithm"},
		"jwk": {"ParseKey"},
		"jws": {"Verify", "WithKey", "WithCompact"},
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read, used := 0, 0
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		read++
		f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		used += checkJWX(t, name, f, allowed)
	}
	if read == 0 || used == 0 {
		t.Errorf("%d files with %d uses of jwx were read", read, used)
	}
}

// checkJWX reports uses of jwx that are not allowed, and counts those that are.
func checkJWX(t *testing.T, name string, f *ast.File, allowed map[string][]string) (used int) {
	t.Helper()
	packages := map[string]bool{}
	for _, spec := range f.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if !strings.HasPrefix(path, jwx) {
			continue
		}
		base := path[strings.LastIndex(path, "/")+1:]
		if allowed[base] == nil || spec.Name != nil {
			t.Errorf("%s imports %s", name, path)
		}
		packages[base] = true
	}
	ast.Inspect(f, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && packages[x.Name] {
			used++
			if !slices.Contains(allowed[x.Name], selector.Sel.Name) {
				t.Errorf("%s uses %s.%s", name, x.Name, selector.Sel.Name)
			}
		}
		return true
	})
	return used
}
