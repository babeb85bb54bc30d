package cfn_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/tenants/dynamo"
)

const service = "github.com/aws/aws-sdk-go-v2/service/"

// TestActionsAreThoseThatAreCalled holds the lists of actions, which template.yaml is
// held to, to the operations of AWS that the code names: it reads every file that is no
// test and looks for the SDK's inputs, dynamodb.GetItemInput{} and the like.
func TestActionsAreThoseThatAreCalled(t *testing.T) {
	t.Parallel()
	want := slices.Concat(dynamo.ReadActions(), dynamo.ParkActions(), dynamo.PublishActions(), dynamo.TableActions(),
		[]string{"secretsmanager:GetSecretValue"})
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), called(t)); diff != "" {
		t.Errorf("the lists and the calls (-lists +calls)\n%s", diff)
	}
	for _, a := range dynamo.ReadActions() {
		if a != "dynamodb:GetItem" && a != "dynamodb:BatchGetItem" {
			t.Errorf("deciding needs %s: it should read items by their keys alone", a)
		}
	}
}

// called are the operations that the code calls, as IAM actions.
func called(t *testing.T) []string {
	t.Helper()
	var actions []string
	for _, dir := range []string{"cmd", "engine", "tenants"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasSuffix(d.Name(), "test")):
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			actions = append(actions, operations(file)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// operations are those whose inputs a file makes.
func operations(file *ast.File) (actions []string) {
	services := map[string]string{} // by the name that the file has for the package
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name, ok := strings.CutPrefix(path, service)
		if !ok || strings.Contains(name, "/") {
			continue
		}
		local := name
		if spec.Name != nil {
			local = spec.Name.Name
		}
		services[local] = name
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		selector, ok := literal.Type.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := selector.X.(*ast.Ident)
		if !ok || services[pkg.Name] == "" {
			return true
		}
		if operation, ok := strings.CutSuffix(selector.Sel.Name, "Input"); ok {
			actions = append(actions, services[pkg.Name]+":"+operation)
		}
		return true
	})
	return actions
}
