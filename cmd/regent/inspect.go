package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"regent/engine/rules"
	"regent/engine/rules/ruletest"
	"regent/engine/rules/sandbox"
	"regent/tenants"
	"regent/tenants/dir"
)

// inspection is what a strict look at a workspace found. Its JSON form is stable;
// further fields may come.
type inspection struct {
	Workspace string `json:"workspace"`
	OK        bool   `json:"ok"`
	// Read tells that the workspace could be read; only then rules were compiled.
	Read bool `json:"read"`
	// APIs counts the registered APIs.
	APIs int `json:"apis"`
	// Parts are the platform and then the tenants by id.
	Parts []part `json:"parts"`
	// unshown counts tenants that are well and were taken from Parts, for people.
	unshown int
	// Problems are sorted by place.
	Problems []problem `json:"problems"`
	Warnings []string  `json:"warnings"`
	// Cache is about the APIs with a cache, by API and tenant; empty if there are
	// problems. Complete tells that every cached reply grants what the rules do.
	Cache    []cacheReport `json:"cache"`
	Complete bool          `json:"complete"`
}

// part is one bundle's verdict.
type part struct {
	// Name is the tenant's id, or platform.
	Name string `json:"name"`
	// Kind is platform or tenant.
	Kind     string         `json:"kind"`
	Revision tenants.Digest `json:"revision"`
	// Files counts the bundle's files.
	Files int  `json:"files"`
	OK    bool `json:"ok"`
	// Problems counts the part's own. A tenant that is not ok and has none could not be
	// checked, because the platform does not compile.
	Problems int `json:"problems"`
}

// problem is one thing wrong with one place.
type problem struct {
	// File is the path inside the workspace.
	File string `json:"file"`
	// Line and Column count from 1; 0 if the whole file is meant.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Code is "workspace" for files that are not Rego, else as in rules.Problem.
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// place is file:line:column as far as known.
func (p problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error returns "file:line:column: message".
func (p problem) Error() string { return p.place() + ": " + p.Message }

// unreadable is the inspection of a workspace that does not load.
func unreadable(path string, errs dir.Errors) inspection {
	found := inspection{Workspace: path, Parts: []part{}, Warnings: []string{}, Cache: []cacheReport{}}
	for _, e := range errs {
		found.Problems = append(found.Problems, problem{e.File, e.Line, e.Column, "workspace", e.Message, e.Hint})
	}
	return found
}

// stub is the smallest tenant: with it the platform's bundle compiles by itself.
func stub() tenants.Bundle {
	b, err := tenants.NewBundle([]tenants.File{{Path: "authz.rego", Content: []byte("package authz\n\ndefault allow := false\n")}})
	if err != nil {
		panic(err) // the bundle is a constant
	}
	return b
}

// inspect compiles the platform's rules and every tenant's. Bundles that several
// tenants share are compiled once.
func inspect(ctx context.Context, s *dir.Snapshot) (inspection, error) {
	var warnings []string
	for _, w := range s.Warnings() {
		warnings = append(warnings, w.String())
	}
	if s.Schema() == nil {
		warnings = append(warnings, "schema/input.json: there is none, so nobody checks what rules read of the input")
	}
	found, err := inspectRules(ctx, s)
	found.Warnings = append(found.Warnings, warnings...)
	return found, err
}

// inspectRules is inspect for whatever rules come from.
func inspectRules(ctx context.Context, s rulebook) (inspection, error) {
	found := inspection{Read: true, APIs: len(s.APIs()), Parts: []part{}, Problems: []problem{}, Warnings: []string{}, Cache: []cacheReport{}}
	platform := s.PlatformBundle()
	var checker sandbox.Checker
	defer checker.Close()
	ps, err := compileProblems(ctx, &checker, s, stub(), tenants.Bundle{}, "")
	if err != nil {
		return found, err
	}
	found.add(part{Name: "platform", Kind: "platform", Revision: platform.Digest(), Files: len(platform.Files()), OK: len(ps) == 0}, ps)
	// Under a platform that does not compile a tenant's bundle cannot either.
	shared := ps
	known := map[tenants.Digest][]problem{}
	for _, t := range s.Tenants() {
		b, err := s.TenantBundle(t.ID)
		if err != nil {
			return found, err
		}
		if _, done := known[b.Digest()]; !done {
			if known[b.Digest()], err = compileProblems(ctx, &checker, s, b, b, policyDir(t.ID)); err != nil {
				return found, err
			}
		}
		all := known[b.Digest()]
		own := slices.DeleteFunc(slices.Clone(all), func(p problem) bool { return slices.Contains(shared, p) })
		found.add(part{Name: t.ID, Kind: "tenant", Revision: b.Digest(), Files: len(b.Files()), OK: len(all) == 0}, own)
	}
	slices.SortStableFunc(found.Problems, byPlace)
	found.OK = len(found.Problems) == 0
	found.Complete = found.OK
	return found, nil
}

func byPlace(a, b problem) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
}

func (found *inspection) add(p part, ps []problem) {
	p.Problems = len(ps)
	found.Parts = append(found.Parts, p)
	for _, one := range ps {
		if !slices.Contains(found.Problems, one) {
			found.Problems = append(found.Problems, one)
		}
	}
}

// compileProblems returns what is wrong with a bundle: with its rules as the function
// evaluates them, and if those are fine, with its tests. at is the directory of the
// bundle in the workspace; tests is the bundle whose tests count, empty for the
// platform's.
func compileProblems(ctx context.Context, checker *sandbox.Checker, s rulebook, b, tests tenants.Bundle, at string) ([]problem, error) {
	found, err := ruleProblems(ctx, checker, s, b, at)
	if err != nil || len(found) > 0 {
		return found, err
	}
	_, err = ruletest.Confined(ctx, s.PlatformBundle(), tests, ruletest.Options{Run: "^$", Dir: at})
	if stopped := (*ruletest.StoppedError)(nil); errors.As(err, &stopped) {
		return []problem{{File: cmp.Or(at, "platform"), Code: "limit", Message: "its tests: " + stopped.Error()}}, nil
	}
	return problemsOf(ctx, err, at, func(file string) string { return file })
}

// ruleProblems returns what is wrong with a bundle's rules as the function evaluates
// them. They are compiled in a child process first: a bundle on which the compiler does
// not end is a problem like others.
func ruleProblems(ctx context.Context, checker *sandbox.Checker, s rulebook, b tenants.Bundle, at string) ([]problem, error) {
	platform := s.PlatformBundle()
	err := checker.Check(ctx, platform, b, rules.Options{Schema: s.Schema()})
	return problemsOf(ctx, err, at, func(file string) string { return inWorkspace(file, at, b, platform) })
}

// problemsOf are the problems that an error of compiling is about. own is a file's path
// in the workspace.
func problemsOf(ctx context.Context, err error, at string, own func(file string) string) ([]problem, error) {
	if err == nil {
		return nil, nil
	}
	all, ok := rules.IsProblems(err)
	if !ok {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return []problem{{File: cmp.Or(at, "platform"), Code: "data", Message: err.Error()}}, nil
	}
	var found []problem
	for _, p := range all {
		found = append(found, problem{File: own(p.File), Line: p.Line, Column: p.Column, Code: p.Code, Message: p.Message})
	}
	return found, nil
}

// inWorkspace is the path of a bundle's file in the workspace. The platform's files
// have their path already.
func inWorkspace(file, at string, own, platform tenants.Bundle) string {
	has := func(b tenants.Bundle) bool {
		return slices.ContainsFunc(b.Files(), func(f tenants.File) bool { return f.Path == file })
	}
	switch {
	case at == "" || file == "platform":
		return cmp.Or(file, "platform")
	case file == "" || file == "policy" || file == "data":
		// A problem of the bundle as a whole.
		return at
	case !has(own) && has(platform):
		return file
	default:
		return at + "/" + file
	}
}

// err turns an inspection into an error: nil if all is well.
func (found inspection) err() error {
	if found.OK {
		return nil
	}
	var errs dir.Errors
	for _, p := range found.Problems {
		errs = append(errs, dir.FileError{File: p.File, Line: p.Line, Column: p.Column, Message: p.Message, Hint: p.Hint})
	}
	if len(errs) == 0 {
		return errors.New("the workspace does not check")
	}
	return errs
}
