package dir

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"regent/tenants"
)

// anyMethod is how API Gateway writes ANY in the documents that it exports.
const anyMethod = "x-amazon-apigateway-any-method"

// routes reads the routes of the document that an API names.
func (f *files) routes(reg placed[tenants.API], p string) []tenants.Route {
	switch f.look(p) {
	case absent:
		reg.fail("routes", "write a list for routes in this file", "there is no file %q in the workspace", p)
	case directory:
		reg.fail("routes", "", "%q is a directory", p)
	case file:
		return f.spec(p)
	}
	return nil
}

// spec reads the routes of an OpenAPI 3 document. Server URLs are not looked at:
// the stage and a custom domain's base path are not part of a route.
func (f *files) spec(p string) []tenants.Route {
	content, ok := f.read(p, maxSpec)
	if !ok {
		return nil
	}
	if e, twice := duplicateKey(content); twice {
		e.File = p
		f.errs.add(e)
		return nil
	}
	doc, err := parseSpec(content)
	if err != nil {
		f.errs.add(unreadable(p, err))
		return nil
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		f.errs.addf(p, "not an OpenAPI 3 document: openapi is %q", doc.OpenAPI)
		return nil
	}
	var routes []tenants.Route
	for template, item := range doc.Paths.Map() {
		for _, method := range methods(item) {
			route, err := specRoute(method, template)
			if err != nil {
				f.errs.add(specError(p, item, err))
				continue
			}
			routes = append(routes, route)
		}
	}
	slices.SortFunc(routes, func(a, b tenants.Route) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return slices.Compact(routes)
}

// duplicateKey finds a key that is there twice. It has to be found before parsing,
// whose time and memory grow with the square of the number of repeats.
func duplicateKey(content []byte) (FileError, bool) {
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return FileError{}, false // the parser will say it
	}
	return duplicateIn(&root)
}

func duplicateIn(n *yaml.Node) (FileError, bool) {
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode {
			if seen[child.Value] {
				return FileError{Line: child.Line, Column: child.Column, Message: fmt.Sprintf("key %q is there twice", cut(child.Value))}, true
			}
			seen[child.Value] = true
		}
		if e, twice := duplicateIn(child); twice {
			return e, true
		}
	}
	return FileError{}, false
}

// parseSpec parses a document that comes from outside: the parser may not take the
// process with it.
func parseSpec(content []byte) (doc *openapi3.T, err error) {
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	loader := &openapi3.Loader{IncludeOrigin: true} // external references stay refused
	return loader.LoadFromData(content)
}

func unreadable(p string, err error) FileError {
	e := FileError{File: p}
	text := err.Error()
	if strings.Contains(text, "disallowed external reference") {
		e.Hint = "references to other files are not followed: bundle the document into one file"
	}
	// The parser tries JSON first and tells of both; YAML includes JSON.
	if _, after, both := strings.Cut(text, ", yaml error: "); both {
		text = after
	}
	e.Message = "not an OpenAPI 3 document: " + text
	return e
}

// methods returns the methods of a path item, in no order.
func methods(item *openapi3.PathItem) []string {
	var found []string
	for method := range item.Operations() {
		found = append(found, method)
	}
	if _, ok := item.Extensions[anyMethod]; ok {
		found = append(found, tenants.AnyMethod)
	}
	return found
}

func specRoute(method, template string) (tenants.Route, error) {
	// API Gateway exports an HTTP API's $default route under this path.
	if template == "/"+tenants.DefaultRoute {
		return tenants.ParseRoute(tenants.DefaultRoute)
	}
	return tenants.ParseRoute(method + " " + template)
}

func specError(p string, item *openapi3.PathItem, err error) FileError {
	e := FileError{File: p, Message: err.Error()}
	if item.Origin != nil && item.Origin.Key != nil {
		e.Line, e.Column = item.Origin.Key.Line, item.Origin.Key.Column
	}
	return e
}

// specPath checks the path of a document named in regent.yaml.
func specPath(p string) (string, error) {
	if !fs.ValidPath(p) || p == "." {
		return "", fmt.Errorf("%q is neither a list of routes nor a path inside the workspace, such as openapi.yaml", p)
	}
	return p, nil
}
