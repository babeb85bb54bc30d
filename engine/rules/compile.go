package rules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"

	"regent/tenants"
)

// entrypointFile is a path that no bundle's file can have.
const entrypointFile = "/regent.rego"

// entrypoint gathers the contract's rules, DESIGN.md §4, in one document that has
// a key for each rule that is defined. It is asked for as a whole, so one query
// answers everything.
const entrypoint = `package regent

decision["allow"] := data.authz.allow
decision["deny"] := data.authz.deny
decision["context"] := data.authz.context
decision["principal_id"] := data.authz.principal_id
decision["usage_key"] := data.authz.usage_key
decision["platform_deny"] := data.platform.deny
decision["platform_context"] := data.platform.context
`

// Policy is a tenant's bundle and the platform's, compiled together. It is
// immutable.
type Policy struct {
	compiler *ast.Compiler
	store    storage.Store
	query    rego.PreparedEvalQuery
	// data is the base document that store holds.
	data     ast.Value
	prepared prepared
}

// Options change how Compile judges a bundle.
type Options struct {
	// Schema is the input document's JSON schema; with it, references to input that
	// the schema does not know are problems. The function compiles without: what was
	// published has been checked.
	Schema []byte
}

// Compile confines and compiles a tenant's bundle under the platform's. The error
// is Problems if the fault is in the bundles.
func Compile(ctx context.Context, platform, tenant tenants.Bundle, opts Options) (*Policy, error) {
	var ps Problems
	own := parse(tenant, nil, &ps)
	shared := parse(platform, []string{"platform", "lib"}, &ps)
	confine(own, manifestRoots(tenant, &ps), &ps)
	confinePlatform(shared, &ps)
	checkContract(own, "authz", []string{"allow", "deny", "context", "principal_id", "usage_key"}, &ps)
	checkContract(shared, "platform", []string{"deny", "context"}, &ps)
	if err := ps.err(); err != nil {
		return nil, err
	}

	modules := maps.Clone(shared.modules)
	for path, m := range own.modules {
		// The tenant's file would take the place of the platform's, guardrails and all.
		if _, taken := modules[path]; taken {
			ps.add("confinement", m.Package.Loc(), "the platform has a file %s: rename the tenant's", path)
		}
		modules[path] = m
	}
	if err := ps.err(); err != nil {
		return nil, err
	}
	if len(opts.Schema) == 0 {
		dropAnnotations(modules)
	}
	modules[entrypointFile] = ast.MustParseModuleWithOpts(entrypoint, ast.ParserOptions{RegoVersion: ast.RegoV1})
	data := own.data
	if key, ok := mergeInto(data, shared.data); !ok {
		return nil, fmt.Errorf("data: the tenant and the platform both have %s", key)
	}

	document, err := ast.InterfaceToValue(data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	store := inmem.NewFromASTObject(document.(ast.Object))
	compiler, err := compile(ctx, modules, store, opts)
	if err != nil {
		return nil, err
	}
	query, err := rego.New(
		rego.ParsedQuery(ast.MustParseBody("data.regent.decision")),
		rego.Compiler(compiler),
		rego.Store(store),
		rego.StrictBuiltinErrors(true),
		rego.Capabilities(Capabilities()),
		// The contract is checked on Rego's own values: JSON does not know a set.
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return &Policy{compiler: compiler, store: store, query: query, data: document, prepared: prepared{turn: make(chan struct{}, 1)}}, nil
}

func compile(ctx context.Context, modules map[string]*ast.Module, store storage.Store, opts Options) (*ast.Compiler, error) {
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer store.Abort(ctx, txn)
	c := ast.NewCompiler().
		WithCapabilities(Capabilities()).
		WithStrict(true).
		WithDefaultRegoVersion(ast.RegoV1).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn)).
		WithStageAfterID(ast.StageRewriteLocalVars, ast.CompilerStageDefinition{Name: "CheckExpansion", MetricName: "compile_stage_check_expansion", Stage: checkExpansion})
	if len(opts.Schema) > 0 {
		var doc any
		if err := util.Unmarshal(opts.Schema, &doc); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		set := ast.NewSchemaSet()
		set.Put(ast.SchemaRootRef, doc)
		set.Put(ast.MustParseRef("schema.input"), doc)
		c = c.WithSchemas(set).WithUseTypeCheckAnnotations(true)
	}
	if c.Compile(modules); c.Failed() {
		var ps Problems
		ps.addError("", c.Errors)
		return nil, ps.err()
	}
	if len(c.GetRulesExact(ast.MustParseRef("data.authz.allow"))) == 0 {
		return nil, Problems{{File: "policy", Code: "contract", Message: "no rule data.authz.allow: every request would be denied; declare `package authz` and a rule `allow`"}}
	}
	return c, nil
}

// dropAnnotations removes comments and metadata, which nothing but schemas looks at: each
// compiled policy would keep its own copy of them.
func dropAnnotations(modules map[string]*ast.Module) {
	for _, m := range modules {
		m.Comments, m.Annotations = nil, nil
		for _, r := range m.Rules {
			r.Annotations = nil
		}
	}
}

// confinePlatform checks that the platform's files declare what their directories say.
func confinePlatform(s source, ps *Problems) {
	for path, m := range s.modules {
		dir, _, _ := strings.Cut(path, "/")
		if pkg := constants(m.Package.Path[1:]); len(pkg) == 0 || pkg[0] != dir {
			ps.add("confinement", m.Package.Loc(), "files in %s/ declare package %s or packages below it", dir, dir)
		}
	}
	for key := range s.data {
		if key != "platform" && key != "lib" {
			*ps = append(*ps, &Problem{File: "platform", Code: "confinement", Message: "platform and lib may have data below platform and lib only, not " + key})
		}
	}
}

// checkContract reports what in the modules can never keep the contract.
func checkContract(s source, root string, names []string, ps *Problems) {
	for _, m := range s.modules {
		if !m.Package.Path.Equal(ast.MustParseRef("data." + root)) {
			continue
		}
		for _, rule := range m.Rules {
			if name := rule.Head.Ref()[0].String(); len(rule.Head.Args) > 0 && slices.Contains(names, name) {
				ps.add("contract", rule.Loc(), "%s.%s is a function; the contract wants a rule", root, name)
			}
		}
	}
}

// Files returns the paths of the modules that a policy was compiled from, sorted.
func (p *Policy) Files() []string {
	files := slices.Sorted(maps.Keys(p.compiler.Modules))
	return slices.DeleteFunc(files, func(f string) bool { return f == entrypointFile })
}

// IsProblems reports whether an error is about a bundle's content.
func IsProblems(err error) (Problems, bool) {
	var ps Problems
	ok := errors.As(err, &ps)
	return ps, ok
}
