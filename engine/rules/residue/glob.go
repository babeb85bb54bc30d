package residue

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"regent/engine"
)

// globMatch tells whether a text matches a pattern of glob.match with "/" as its
// only delimiter.
func (x *evaluation) globMatch(pattern, delimiters, v value) (truth, error) {
	t, isText := v.(text)
	p, isString := asString(pattern)
	d, isKnown := delimiters.(known)
	if !isText || !isString || !isKnown || d.Compare(ast.NewArray(ast.StringTerm("/"))) != 0 {
		return maybe, nil
	}
	// A delimiter inside braces or brackets would break the pattern apart wrongly.
	if strings.ContainsAny(p, `{}[]\?!`) {
		return maybe, nil
	}
	comps := strings.Split(p, "/")
	last := len(comps) - 1
	for _, c := range comps[:last] {
		if strings.Contains(c, "**") {
			return maybe, nil
		}
	}
	if prefix, deep := strings.CutSuffix(comps[last], "**"); deep {
		if strings.Contains(prefix, "*") {
			return maybe, nil
		}
		return x.globDeep(t, comps[:last], prefix)
	}
	if strings.Contains(comps[last], "**") {
		return maybe, nil
	}
	return x.globFlat(t, comps)
}

// globFlat matches component by component.
func (x *evaluation) globFlat(t text, comps []string) (truth, error) {
	if len(comps) < len(t.parts) || (len(comps) == len(t.parts)) == t.rest {
		return no, nil
	}
	answer, err := x.globComponents(t.parts, comps[:len(t.parts)])
	if answer == no || err != nil || !t.rest {
		return answer, err
	}
	return maybe, x.lengthen()
}

// globDeep matches a pattern that ends in **, which crosses delimiters.
func (x *evaluation) globDeep(t text, comps []string, prefix string) (truth, error) {
	n := len(comps)
	if n >= len(t.parts) {
		if !t.rest {
			return no, nil
		}
		answer, err := x.globComponents(t.parts, comps[:len(t.parts)])
		if answer == no || err != nil || (n == len(t.parts) && prefix == "" && answer == yes) {
			return answer, err
		}
		return maybe, x.lengthen()
	}
	answer, err := x.globComponents(t.parts[:n], comps)
	if answer != yes || err != nil {
		return answer, err
	}
	return x.hasAffix(t.parts[n], engine.Affix{Prefix: prefix})
}

// globComponents matches texts with patterns of the same number.
func (x *evaluation) globComponents(parts []component, comps []string) (truth, error) {
	return allOf(len(parts), func(i int) (truth, error) { return x.globComponent(parts[i], comps[i]) })
}

func (x *evaluation) globComponent(c component, pattern string) (truth, error) {
	if c.free == isWord {
		return globWord(pattern, c.word)
	}
	prefix, suffix, star := strings.Cut(pattern, "*")
	switch {
	case strings.Contains(suffix, "*"):
		return maybe, nil
	case star:
		return x.hasAffix(c, engine.Affix{Prefix: prefix, Suffix: suffix})
	}
	switch t := x.is(c, pattern); t {
	case maybe:
		return maybe, &split{segment: c.free, words: []string{pattern}}
	default:
		return t, nil
	}
}

// globWord asks OPA's own implementation.
func globWord(pattern, w string) (truth, error) {
	matched := maybe
	err := topdown.GetBuiltin("glob.match")(topdown.BuiltinContext{},
		[]*ast.Term{ast.StringTerm(pattern), ast.ArrayTerm(ast.StringTerm("/")), ast.StringTerm(w)},
		func(t *ast.Term) error {
			b, _ := t.Value.(ast.Boolean)
			matched = fromBool(bool(b))
			return nil
		})
	if err != nil || slices.Contains([]truth{yes, no}, matched) {
		return matched, nil
	}
	return maybe, nil
}
