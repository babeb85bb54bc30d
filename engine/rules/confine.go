package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reserved are the roots of data that no tenant may declare: the platform's, the
// shared library, OPA's own, and Regent's entrypoint.
var reserved = []string{"platform", "lib", "system", "regent"}

// confine checks that a tenant's bundle declares only what is its own and reads
// only data.lib and its own data.
func confine(s source, roots []string, ps *Problems) {
	for key := range s.data {
		if slices.Contains(reserved, key) {
			*ps = append(*ps, &Problem{File: "data", Code: "confinement", Message: "data." + key + " is not the tenant's: " + reservedList()})
		}
	}
	for _, path := range leaves(s.data, nil) {
		if !owned(path, roots) {
			*ps = append(*ps, &Problem{File: "data", Code: "confinement", Message: "data." + strings.Join(path, ".") + " is outside the roots of .manifest"})
		}
	}
	for _, m := range s.modules {
		confinePackage(m, roots, ps)
		for _, imp := range m.Imports {
			if ref, ok := imp.Path.Value.(ast.Ref); ok {
				confineRef(ref, ps)
			}
		}
		confineRefs(m, ps)
	}
}

// confineRefs checks every reference in a module. A bare `data` is refused because
// whoever holds it can reach everything.
func confineRefs(m *ast.Module, ps *Problems) {
	for _, rule := range m.Rules {
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			confineRef(ref, ps)
			return false
		})
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			if v, ok := t.Value.(ast.Var); ok && v.Equal(ast.DefaultRootDocument.Value) {
				confineRef(ast.Ref{t}, ps)
			}
			// The head of a reference is a term too, and is judged with the reference.
			_, isRef := t.Value.(ast.Ref)
			return isRef
		})
	}
}

// confineSchemas refuses schemas that are written out in annotations: the compiler
// would follow their references to files and over the network.
func confineSchemas(m *ast.Module, ps *Problems) {
	for _, a := range m.Annotations {
		for _, schema := range a.Schemas {
			if schema.Definition != nil {
				ps.add("confinement", a.Loc(), "a schema in METADATA may reach files and the network: refer to schema.input")
			}
		}
	}
}

func confinePackage(m *ast.Module, roots []string, ps *Problems) {
	path := constants(m.Package.Path[1:])
	if len(path) > 0 && slices.Contains(reserved, path[0]) {
		ps.add("confinement", m.Package.Loc(), "package %s is not the tenant's: %s", strings.Join(path, "."), reservedList())
	} else if !owned(path, roots) {
		ps.add("confinement", m.Package.Loc(), "package %s is outside the roots of .manifest", strings.Join(path, "."))
	}
}

func confineRef(ref ast.Ref, ps *Problems) {
	if len(ref) == 0 || !ref[0].Equal(ast.DefaultRootDocument) {
		return
	}
	loc := ref[0].Loc()
	if len(ref) == 1 {
		ps.add("confinement", loc, "data as a whole may not be read: name the document, as data.NAME")
		return
	}
	name, ok := ref[1].Value.(ast.String)
	if !ok {
		ps.add("confinement", loc, "data[%s] may be any document: name it, as data.NAME", ref[1])
		return
	}
	if name != "lib" && slices.Contains(reserved, string(name)) {
		ps.add("confinement", loc, "data.%s may not be read: rules read data.lib and the tenant's own data", string(name))
	}
}

func reservedList() string { return strings.Join(reserved, ", ") + " are the platform's" }

// owned reports whether a path lies under one of the roots; without roots
// everything does.
func owned(path, roots []string) bool {
	if len(roots) == 0 {
		return true
	}
	joined := strings.Join(path, "/") + "/"
	return slices.ContainsFunc(roots, func(root string) bool {
		return root == "" || strings.HasPrefix(joined, strings.Trim(root, "/")+"/")
	})
}

// leaves returns the paths of a document's values that are not objects.
func leaves(doc map[string]any, at []string) [][]string {
	var paths [][]string
	for k, v := range doc {
		path := append(slices.Clone(at), k)
		if inner, ok := v.(map[string]any); ok && len(inner) > 0 {
			paths = append(paths, leaves(inner, path)...)
			continue
		}
		paths = append(paths, path)
	}
	return paths
}

func constants(ref []*ast.Term) []string {
	var path []string
	for _, t := range ref {
		if s, ok := t.Value.(ast.String); ok {
			path = append(path, string(s))
		}
	}
	return path
}
