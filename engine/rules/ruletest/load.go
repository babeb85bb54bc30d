package ruletest

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"

	"regent/engine/rules"
	"regent/tenants"
)

// sources are the files of a run, ready to compile.
type sources struct {
	modules map[string]*ast.Module
	data    map[string]any
	// own are the modules that the run is about: their tests run, their lines count.
	own      map[string]bool
	problems rules.Problems
}

// load parses the bundles of a run. The run is about the tenant's bundle, or about
// the platform's if the tenant's is empty.
func load(platform, tenant tenants.Bundle, dir string) (*sources, error) {
	s := &sources{modules: map[string]*ast.Module{}, data: map[string]any{}, own: map[string]bool{}}
	alone := len(tenant.Files()) == 0
	for _, f := range platform.Files() {
		// platform and lib are directories that OPA is given by name, so their data
		// belongs at the root, not below the directory.
		_, inside, _ := strings.Cut(f.Path, "/")
		if alone || !tenants.IsTest(f.Path) {
			s.add(f, f.Path, path.Dir(inside), alone)
		}
	}
	for _, f := range tenant.Files() {
		s.add(f, path.Join(dir, f.Path), path.Dir(f.Path), true)
	}
	return s, s.err()
}

// add reads a file under the name it is reported by. A data file's content belongs
// at the path of its directory, dir.
func (s *sources) add(f tenants.File, name, dir string, own bool) {
	base := path.Base(f.Path)
	switch {
	case strings.HasSuffix(base, ".rego"):
		if s.modules[name] != nil {
			s.problem(name, "tenant and platform both have this file: rename the tenant's")
			return
		}
		m, err := ast.ParseModuleWithOpts(name, string(f.Content), ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			s.failed(name, err)
			return
		}
		s.modules[name] = m
		s.own[name] = own
	case base == "data.json" || base == "data.yaml" || base == "data.yml":
		var doc any
		unmarshal := util.Unmarshal
		if path.Ext(base) == ".json" {
			unmarshal = util.UnmarshalJSON // YAML is lenient about JSON's mistakes
		}
		if err := unmarshal(f.Content, &doc); err != nil {
			s.failed(name, err)
			return
		}
		for _, key := range slices.Backward(keys(dir)) {
			doc = map[string]any{key: doc}
		}
		top, ok := doc.(map[string]any)
		if !ok {
			s.problem(name, "the top of a data file must be an object")
			return
		}
		if at, ok := merge(s.data, top); !ok {
			s.problem(name, "another data file has "+at+" already")
		}
	}
}

func keys(dir string) []string {
	if dir == "." {
		return nil
	}
	return strings.Split(dir, "/")
}

// merge adds src to dst; it returns the path of a value that both have.
func merge(dst, src map[string]any) (string, bool) {
	for key, value := range src {
		have, exists := dst[key]
		if !exists {
			dst[key] = value
			continue
		}
		a, aok := have.(map[string]any)
		b, bok := value.(map[string]any)
		if !aok || !bok {
			return key, false
		}
		if rest, ok := merge(a, b); !ok {
			return key + "." + rest, false
		}
	}
	return "", true
}

func (s *sources) problem(file, message string) {
	s.problems = append(s.problems, &rules.Problem{File: file, Code: "data", Message: message})
}

func (s *sources) failed(file string, err error) {
	s.problems = append(s.problems, problems(file, err)...)
}

func (s *sources) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	return sorted(s.problems)
}

// problems takes apart the errors of OPA's parser and compiler.
func problems(file string, err error) rules.Problems {
	var many ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = ast.Errors{one}
	default:
		return rules.Problems{{File: file, Code: "data", Message: err.Error()}}
	}
	var ps rules.Problems
	for _, e := range many {
		p := &rules.Problem{File: file, Code: e.Code, Message: e.Message}
		if e.Location != nil {
			p.File, p.Line, p.Column = cmp.Or(e.Location.File, file), e.Location.Row, e.Location.Col
		}
		ps = append(ps, p)
	}
	return sorted(ps)
}

func sorted(ps rules.Problems) rules.Problems {
	slices.SortStableFunc(ps, func(a, b *rules.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	return ps
}
