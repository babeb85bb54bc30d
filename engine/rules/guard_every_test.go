package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"

	"regent/engine/rules"
)

// TestEveryTextIsGuarded calls each function that rules may use with a text that is
// too long, in each place where its declaration has a text: by itself, in a list, in
// a set, in an object, and as many short ones. A function that is newly allowed
// without a guard fails here.
func TestEveryTextIsGuarded(t *testing.T) {
	t.Parallel()
	functions := 0
	for _, b := range rules.Capabilities().Builtins {
		args := b.Decl.FuncArgs().Args
		some := false
		for i, tp := range args {
			for form, long := range longValues(tp) {
				some = true
				t.Run(fmt.Sprintf("%s/%d/%s", b.Name, i, form), func(t *testing.T) {
					t.Parallel()
					err := callBuiltin(b.Name, args, i, long)
					if err == nil || !strings.Contains(err.Error(), "the limit is ") {
						t.Errorf("%s takes a text that is too long as argument %d, %s: %.200v", b.Name, i+1, form, err)
					}
					if err := callBuiltin(b.Name, args, i, shortValue(tp)); err != nil && strings.Contains(err.Error(), "the limit is ") {
						t.Errorf("%s refuses a short text: %v", b.Name, err)
					}
				})
			}
		}
		if some {
			functions++
		}
	}
	if functions < 50 {
		t.Errorf("%d functions take texts", functions)
	}
}

// callBuiltin calls a function as OPA does where the result is used, with one argument
// as given and the others short.
func callBuiltin(name string, args []types.Type, at int, value *ast.Term) error {
	var terms []*ast.Term
	for i, tp := range args {
		if i == at {
			terms = append(terms, value)
		} else {
			terms = append(terms, shortValue(tp))
		}
	}
	terms = append(terms, ast.VarTerm("result"))
	return topdown.GetBuiltin(name)(topdown.BuiltinContext{}, terms, func(*ast.Term) error { return nil })
}

// longValues returns values of a type that have a text of more than 64 KiB, or many
// texts of that size together, by their forms. There are none where a type is open:
// what takes anything does not read texts.
func longValues(tp types.Type) map[string]*ast.Term {
	values := map[string]*ast.Term{}
	add := func(form string, in types.Type, wrap func(elem *ast.Term) *ast.Term) {
		for inner, elem := range longValues(in) {
			values[strings.TrimSpace(form+" "+inner)] = wrap(elem)
		}
	}
	switch tp := unnamed(tp).(type) {
	case types.String:
		values["text"] = ast.StringTerm(strings.Repeat("1", 64<<10+1))
	case types.Any:
		for _, one := range tp {
			add("", one, func(elem *ast.Term) *ast.Term { return elem })
		}
	case *types.Array:
		for i := range tp.Len() {
			add(fmt.Sprint("element ", i), tp.Select(i), func(elem *ast.Term) *ast.Term {
				return shortArray(tp, map[int]*ast.Term{i: elem})
			})
		}
		if tp.Dynamic() != nil {
			add("list", tp.Dynamic(), func(elem *ast.Term) *ast.Term { return ast.ArrayTerm(elem) })
			if many := manyTexts(tp.Dynamic()); many != nil {
				values["list of many"] = ast.ArrayTerm(many...)
			}
		}
	case *types.Set:
		add("set", tp.Of(), func(elem *ast.Term) *ast.Term { return ast.SetTerm(elem) })
		if many := manyTexts(tp.Of()); many != nil {
			values["set of many"] = ast.SetTerm(many...)
		}
	case *types.Object:
		if d := tp.DynamicProperties(); d != nil {
			add("key", d.Key, func(elem *ast.Term) *ast.Term { return ast.ObjectTerm([2]*ast.Term{elem, shortValue(d.Value)}) })
			add("value", d.Value, func(elem *ast.Term) *ast.Term { return ast.ObjectTerm([2]*ast.Term{shortValue(d.Key), elem}) })
		}
	}
	return values
}

// manyTexts are short texts that are too long together; nil if the type is not text.
func manyTexts(tp types.Type) []*ast.Term {
	if _, ok := unnamed(tp).(types.String); !ok {
		return nil
	}
	var texts []*ast.Term
	for i := range 700 {
		texts = append(texts, ast.StringTerm(fmt.Sprintf("%0100d", i)))
	}
	return texts
}

// shortValue is a small value of a type.
func shortValue(tp types.Type) *ast.Term {
	switch tp := unnamed(tp).(type) {
	case types.Number:
		return ast.IntNumberTerm(1)
	case types.Boolean:
		return ast.BooleanTerm(true)
	case types.Null:
		return ast.NullTerm()
	case types.Any:
		if len(tp) > 0 {
			return shortValue(tp[0])
		}
	case *types.Array:
		return shortArray(tp, nil)
	case *types.Set:
		return ast.SetTerm(shortValue(tp.Of()))
	case *types.Object:
		if d := tp.DynamicProperties(); d != nil {
			return ast.ObjectTerm([2]*ast.Term{shortValue(d.Key), shortValue(d.Value)})
		}
		return ast.ObjectTerm()
	}
	return ast.StringTerm("1")
}

func shortArray(tp *types.Array, with map[int]*ast.Term) *ast.Term {
	var elems []*ast.Term
	for i := range tp.Len() {
		elem := with[i]
		if elem == nil {
			elem = shortValue(tp.Select(i))
		}
		elems = append(elems, elem)
	}
	if tp.Len() == 0 && tp.Dynamic() != nil {
		elems = append(elems, shortValue(tp.Dynamic()))
	}
	return ast.ArrayTerm(elems...)
}

// unnamed is a type without its name and description.
func unnamed(tp types.Type) types.Type {
	if named, ok := tp.(*types.NamedType); ok {
		return named.Type
	}
	return tp
}
