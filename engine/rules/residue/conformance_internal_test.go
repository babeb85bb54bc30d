package residue

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// TestConformance evaluates OPA's own cases with everything known. Where the
// interpreter gives an answer without a doubt, it is OPA's, and never one where OPA
// reports an error.
func TestConformance(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	set, err := cases.Load(filepath.Join(strings.TrimSpace(string(out)), "v1/test/cases/testdata/v1"))
	if err != nil {
		t.Fatal(err)
	}
	settled := 0
	for _, c := range set.Cases {
		got, err := interpreted(t.Context(), c)
		if err != nil {
			continue
		}
		settled++
		want, err := byOPA(t.Context(), c)
		if err != nil {
			t.Errorf("%s: OPA fails: %v; got %v", c.Note, err, got)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-OPA +got):\n%s", c.Note, diff)
		}
	}
	t.Logf("%d of %d cases without a doubt", settled, len(set.Cases))
	if settled < 900 {
		t.Errorf("only %d of %d cases were evaluated without a doubt", settled, len(set.Cases))
	}
}

func compiled(c cases.TestCase) (*ast.Compiler, ast.Body, error) {
	modules := map[string]*ast.Module{}
	for i, text := range c.Modules {
		m, err := ast.ParseModule(fmt.Sprintf("%d.rego", i), text)
		if err != nil {
			return nil, nil, err
		}
		modules[fmt.Sprint(i)] = m
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		return nil, nil, compiler.Errors
	}
	query, err := ast.ParseBody(c.Query)
	return compiler, query, err
}

func base(c cases.TestCase) map[string]any {
	if c.Data == nil {
		return map[string]any{}
	}
	return *c.Data
}

// interpreted are the values of a query's variables for each way to satisfy it. An
// error means that there is a doubt.
func interpreted(ctx context.Context, c cases.TestCase) ([]string, error) {
	compiler, query, err := compiled(c)
	if err != nil {
		return nil, err
	}
	p := &Program{Input: map[string]ast.Value{}, shared: newShared()}
	if p.Data, err = ast.InterfaceToValue(base(c)); err != nil {
		return nil, err
	}
	input, err := inputOf(c)
	if err != nil {
		return nil, err
	}
	x := &evaluation{Program: p, clock: NewClock(ctx), cancel: topdown.NewCancel(), general: true, careful: true, input: dict{entries: map[string]value{}}}
	if o, ok := input.(ast.Object); ok {
		o.Foreach(func(k, v *ast.Term) {
			if name, ok := k.Value.(ast.String); ok {
				p.Input[string(name)], x.input.entries[string(name)] = v.Value, known{v.Value}
			}
		})
	}
	byRef, below := map[string][]*ast.Rule{}, map[string]bool{}
	for _, m := range compiler.Modules {
		for i := 1; i <= len(m.Package.Path); i++ {
			below[m.Package.Path[:i].String()] = true
		}
		for _, r := range m.Rules {
			ref := r.Ref().GroundPrefix()
			byRef[ref.String()] = append(byRef[ref.String()], r)
			for i := 1; i < len(ref); i++ {
				below[ref[:i].String()] = true
			}
		}
	}
	p.Base = NewRules(byRef, below)
	if err := p.Base.Prepare(x.clock, Analysis{Open: func(any) bool { return true }, Harmless: func(*ast.Rule) bool { return false }}); err != nil {
		return nil, err
	}
	p.Rules, p.Within = p.Base.rulesOf, p.Base.isBelow
	rewritten, err := compiler.QueryCompiler().Compile(query)
	if err != nil {
		return nil, err
	}
	return x.solutions(rewritten, query)
}

func (x *evaluation) solutions(query, written ast.Body) ([]string, error) {
	names := written.Vars(ast.VarVisitorParams{SkipRefHead: true, SkipRefCallHead: true, SkipClosures: true})
	found := []string{}
	_, err := x.body(query, nil, func(e *env) (truth, error) {
		var values []string
		for name := range names {
			v, _ := e.get(name)
			if k, ok := v.(known); ok && !name.IsWildcard() {
				values = append(values, string(name)+"="+k.Value.String())
			}
		}
		slices.Sort(values)
		found = append(found, strings.Join(values, " "))
		return no, nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(x.doubts) > 0, x.failure != nil:
		return nil, errors.New("a doubt")
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func inputOf(c cases.TestCase) (ast.Value, error) {
	if c.InputTerm != nil {
		t, err := ast.ParseTerm(*c.InputTerm)
		if err != nil {
			return nil, err
		}
		return t.Value, nil
	}
	if c.Input == nil {
		return ast.NewObject(), nil
	}
	return ast.InterfaceToValue(*c.Input)
}

// byOPA are the same values as OPA gives them.
func byOPA(ctx context.Context, c cases.TestCase) ([]string, error) {
	compiler, query, err := compiled(c)
	if err != nil {
		return nil, err
	}
	input, err := inputOf(c)
	if err != nil {
		return nil, err
	}
	document, err := ast.InterfaceToValue(base(c))
	if err != nil {
		return nil, err
	}
	// The store that policies are compiled with.
	store := inmem.NewFromASTObject(document.(ast.Object))
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	rewritten, err := compiler.QueryCompiler().Compile(query)
	if err != nil {
		return nil, err
	}
	results, err := topdown.NewQuery(rewritten).WithCompiler(compiler).WithStore(store).WithTransaction(txn).
		WithInput(ast.NewTerm(input)).WithStrictBuiltinErrors(true).Run(ctx)
	if err != nil {
		return nil, err
	}
	names := query.Vars(ast.VarVisitorParams{SkipRefHead: true, SkipRefCallHead: true, SkipClosures: true})
	found := []string{}
	for _, r := range results {
		var values []string
		for name := range names {
			if t, ok := r[name]; ok && !name.IsWildcard() {
				values = append(values, string(name)+"="+t.Value.String())
			}
		}
		slices.Sort(values)
		found = append(found, strings.Join(values, " "))
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
