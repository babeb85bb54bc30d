package rules

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"regent/tenants"
)

// source is a bundle taken apart: modules by path, and the data document.
type source struct {
	modules map[string]*ast.Module
	data    map[string]any
}

// parse reads the Rego and data files of a bundle as `opa test DIR` does: a data
// file's content is merged at the path of its directory. Tests are left out.
// prefix is put before paths in problems; roots are directories that are bundle
// roots of their own, as platform and lib are.
func parse(b tenants.Bundle, roots []string, ps *Problems) source {
	s := source{modules: map[string]*ast.Module{}, data: map[string]any{}}
	opts := ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true, Capabilities: Capabilities()}
	rego := 0
	// tooLong is the file with which there is too much Rego.
	var tooLong *ast.Location
	for _, f := range b.Files() {
		base := path.Base(f.Path)
		switch {
		case tenants.IsTest(f.Path):
		case strings.HasSuffix(base, ".rego"):
			rego += len(f.Content)
			if rego > bundleRego.Max {
				if tooLong == nil {
					tooLong = &ast.Location{File: f.Path, Row: 1, Col: 1}
				}
				continue
			}
			if !scan(f.Path, f.Content, ps) {
				continue
			}
			m, err := ast.ParseModuleWithOpts(f.Path, string(f.Content), opts)
			if err != nil {
				ps.addError(f.Path, err)
				continue
			}
			confineSchemas(m, ps)
			s.modules[f.Path] = m
		case base == "data.json" || base == "data.yaml" || base == "data.yml":
			var doc any
			if err := unmarshal(base, f.Content, &doc); err != nil {
				ps.addError(f.Path, err)
				continue
			}
			if checkData(f, doc, ps) {
				s.merge(f.Path, directory(f.Path, roots), doc, ps)
			}
		}
	}
	ps.exceeded(bundleRego, rego, tooLong)
	checkShape(s.modules, ps)
	return s
}

// directory returns the path elements under which a data file's content belongs.
func directory(file string, roots []string) []string {
	dir := path.Dir(file)
	for _, root := range roots {
		if rest, ok := strings.CutPrefix(dir+"/", root+"/"); ok {
			dir = strings.TrimSuffix(rest, "/")
			break
		}
	}
	if dir == "." || dir == "" {
		return nil
	}
	return strings.Split(dir, "/")
}

func (s source) merge(file string, at []string, doc any, ps *Problems) {
	for i := len(at) - 1; i >= 0; i-- {
		doc = map[string]any{at[i]: doc}
	}
	top, ok := doc.(map[string]any)
	if !ok {
		*ps = append(*ps, &Problem{File: file, Code: "data", Message: "the top of a data file must be an object"})
		return
	}
	if key, ok := mergeInto(s.data, top); !ok {
		*ps = append(*ps, &Problem{File: file, Code: "data", Message: "another data file has " + key + " already"})
	}
}

// mergeInto adds src to dst; it returns the path of a value that both have.
func mergeInto(dst, src map[string]any) (string, bool) {
	for k, v := range src {
		have, exists := dst[k]
		if !exists {
			dst[k] = v
			continue
		}
		a, aok := have.(map[string]any)
		b, bok := v.(map[string]any)
		if !aok || !bok {
			return k, false
		}
		if rest, ok := mergeInto(a, b); !ok {
			return k + "." + rest, false
		}
	}
	return "", true
}

// manifestRoots returns the roots that a bundle's .manifest declares; nil for none.
func manifestRoots(b tenants.Bundle, ps *Problems) []string {
	for _, f := range b.Files() {
		if f.Path != ".manifest" {
			continue
		}
		var m struct {
			Roots []string `json:"roots"`
		}
		if err := json.Unmarshal(f.Content, &m); err != nil {
			ps.addError(f.Path, err)
		}
		return m.Roots
	}
	return nil
}

// unmarshal reads JSON strictly as JSON: OPA's YAML reader takes more.
func unmarshal(name string, content []byte, doc *any) error {
	if strings.HasSuffix(name, ".json") {
		return util.UnmarshalJSON(content, doc)
	}
	return util.Unmarshal(content, doc)
}
