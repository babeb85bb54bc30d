package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"regent/engine"
	"regent/tenants"
)

// read is a place where a rule reads a part of the request that a cache key leaves open
// and that no route fixes.
type read struct {
	// File is the path inside the workspace.
	File string
	Line int
	// What is input.source_ip, input.headers.NAME, input.query.NAME, or one of the
	// collections as a whole; or a builtin function that changes with time.
	What string
}

// volatileBuiltins have another value at every request.
func volatileBuiltins() []string { return []string{"time.now_ns", "rand.intn", "uuid.rfc4122"} }

// reads finds what the rules of a bundle read, in the order of files and lines. Tests
// are left out. at is the bundle's directory in the workspace, empty for the platform.
func reads(b tenants.Bundle, at string) (found []read) {
	for _, f := range b.Files() {
		if !strings.HasSuffix(f.Path, ".rego") || tenants.IsTest(f.Path) {
			continue
		}
		m, err := ast.ParseModule(f.Path, string(f.Content))
		if err != nil {
			continue // compiling tells of it
		}
		file := f.Path
		if at != "" {
			file = at + "/" + f.Path
		}
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if what := openPart(r); what != "" {
				one := read{file, r[0].Location.Row, what}
				if !slices.Contains(found, one) {
					found = append(found, one)
				}
			}
			return false
		})
	}
	return found
}

// openPart names the part of the request that a reference reads, if no route fixes it.
func openPart(r ast.Ref) string {
	if slices.Contains(volatileBuiltins(), r.String()) {
		return r.String()
	}
	if len(r) < 2 || !r[0].Equal(ast.InputRootDocument) {
		return ""
	}
	part, _ := r[1].Value.(ast.String)
	switch part {
	case "source_ip":
		return "input.source_ip"
	case "headers", "query":
		if len(r) > 2 {
			if name, ok := r[2].Value.(ast.String); ok {
				return fmt.Sprintf("input.%s.%s", string(part), string(name))
			}
		}
		return "input." + string(part)
	default:
		return ""
	}
}

// limit is what the read means for a cached reply.
func (r read) limit() engine.Limit {
	l := engine.Limit{File: r.File, Line: r.Line, Reason: r.What + " is not part of the cache key"}
	if !strings.HasPrefix(r.What, "input.") {
		l.Reason = r.What + " changes from one request to the next"
	}
	return l
}

// ruleAt finds the rule "authz.context" of a bundle: one of that name that reads what
// differs from request to request, else the first.
func ruleAt(b tenants.Bundle, at, name string) (file string, line int) {
	for _, f := range b.Files() {
		if !strings.HasSuffix(f.Path, ".rego") || tenants.IsTest(f.Path) {
			continue
		}
		m, err := ast.ParseModule(f.Path, string(f.Content))
		if err != nil {
			continue
		}
		pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
		for _, r := range m.Rules {
			if pkg+"."+string(r.Head.Name) != name && !strings.HasPrefix(pkg+"."+r.Head.Ref().String(), name+"[") {
				continue
			}
			open := variesByRequest(r)
			if line == 0 || open {
				if file, line = f.Path, r.Location.Row; at != "" {
					file = at + "/" + f.Path
				}
			}
			if open {
				return file, line
			}
		}
	}
	return file, line
}

// variesByRequest reports whether a rule reads the request itself.
func variesByRequest(rule *ast.Rule) (varies bool) {
	ast.WalkRefs(rule, func(r ast.Ref) bool {
		if r[0].Equal(ast.InputRootDocument) {
			part := ""
			if len(r) > 1 {
				s, _ := r[1].Value.(ast.String)
				part = string(s)
			}
			varies = varies || !slices.Contains([]string{"tenant", "identity", "api"}, part)
		}
		return varies
	})
	return varies
}

// fixed reports whether an API's cache key fixes what is read.
func (r read) fixed(api tenants.API) bool {
	_, rest, _ := strings.Cut(r.What, "input.")
	part, name, _ := strings.Cut(rest, ".")
	switch part {
	case "source_ip":
		return slices.Contains(api.Cache.Identity, tenants.Source{Kind: "context", Name: "sourceIp"})
	case "headers":
		return slices.Contains(api.Cache.Identity, tenants.Source{Kind: "header", Name: name})
	case "query":
		return slices.Contains(api.Cache.Identity, tenants.Source{Kind: "query", Name: name})
	default:
		return false
	}
}
