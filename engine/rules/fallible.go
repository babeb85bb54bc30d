package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"

	"regent/engine/rules/residue"
)

// fallible looks for what plain evaluation could fail on.
//
// A builtin function that fails, and a rule with two values, are errors for the
// whole request. Specialised rules lose them: a statement that is left open is
// dropped together with its body when a later one turns out to be false. So everything
// that is left open is looked at. Where all of it is harmless for every request,
// nothing was lost; else the rules themselves have to be interpreted.
type fallible struct {
	*verdicts
	vars map[ast.Var]types.Type
	// long are the variables with texts that can be longer than a request.
	long map[ast.Var]bool
	// at is where something was seen that could fail; nil if nothing was.
	at *ast.Location
}

// verdicts are what was found out about a policy's rules: each is looked at once.
type verdicts struct {
	rules map[string][]*ast.Rule
	below map[string]bool
	// harmless are the rules in which nothing can fail, conflicting the references whose
	// rules could have two values.
	harmless    map[*ast.Rule]bool
	conflicting map[string]bool
	// clock ends the search, with an answer that means nothing. Once all rules were
	// looked at it is not needed any more.
	clock *residue.Clock
}

func newVerdicts(rules map[string][]*ast.Rule, below map[string]bool) *verdicts {
	v := &verdicts{rules: rules, below: below, harmless: map[*ast.Rule]bool{}, conflicting: map[string]bool{}}
	for ref, rs := range rules {
		v.conflicting[ref] = conflicting(rs)
	}
	return v
}

func (v *verdicts) fallible() *fallible {
	return &fallible{verdicts: v, vars: map[ast.Var]types.Type{}, long: map[ast.Var]bool{}}
}

// rule tells whether nothing in a rule can fail, whatever its arguments are.
func (v *verdicts) rule(r *ast.Rule) bool {
	harmless, ok := v.harmless[r]
	if ok || v.clock.Spend(1) != nil {
		return harmless
	}
	f := v.fallible()
	f.inRule(r)
	if v.clock.Spend(0) != nil {
		return false
	}
	v.harmless[r] = f.at == nil
	return f.at == nil
}

// open looks at an expression that is left open, with what plug knows of its
// terms, and tells whether nothing was seen so far that could fail.
func (f *fallible) open(expr *ast.Expr, plug func(*ast.Term) *ast.Term) bool {
	f.expr(expr, plug, nil)
	return f.at == nil
}

func isPartialObject(r *ast.Rule) bool {
	return r.Head.RuleKind() == ast.SingleValue && !r.Head.Ref().IsGround()
}

func (f *fallible) found(loc *ast.Location) {
	if f.at == nil {
		if loc == nil {
			loc = &ast.Location{}
		}
		f.at = loc
	}
}

// expr looks at a saved expression, or at one in the body of a rule that is not
// taken apart. What plug does not know of a variable's value is in vars.
func (f *fallible) expr(expr *ast.Expr, plug func(*ast.Term) *ast.Term, loc *ast.Location) {
	if expr.Location != nil {
		loc = expr.Location
	}
	// Inside, anything may have another value and another type.
	if len(expr.With) > 0 {
		f.found(loc)
		return
	}
	switch t := expr.Terms.(type) {
	case *ast.Term:
		f.inside(plug(t), loc)
	case []*ast.Term:
		plugged := make([]*ast.Term, len(t))
		plugged[0] = t[0]
		for i, arg := range t[1:] {
			plugged[i+1] = plug(arg)
		}
		f.call(plugged, loc)
	case *ast.Every:
		f.inside(plug(t.Domain), loc)
		f.learn(t.Value, member(f.typeOf(plug(t.Domain))))
		if t.Key != nil {
			f.learn(t.Key, types.A)
		}
		f.body(t.Body, loc)
	case *ast.SomeDecl:
	default:
		f.found(loc)
	}
}

func (f *fallible) body(b ast.Body, loc *ast.Location) {
	for _, expr := range b {
		f.expr(expr, func(t *ast.Term) *ast.Term { return t }, loc)
	}
}

// call looks at an operator and its operands.
func (f *fallible) call(ts []*ast.Term, loc *ast.Location) {
	for _, t := range ts[1:] {
		f.inside(t, loc)
	}
	name := ts[0].Value.String()
	if name == ast.Equality.Name || name == ast.Assign.Name {
		f.learn(ts[1], f.typeOf(ts[2]))
		f.learn(ts[2], f.typeOf(ts[1]))
		f.equate(ts[1], ts[2])
		return
	}
	b, ok := ast.BuiltinMap[name]
	if !ok {
		if ref, isRef := ts[0].Value.(ast.Ref); isRef {
			f.ref(ref, loc)
		}
		f.learn(ts[len(ts)-1], types.A)
		if slices.ContainsFunc(ts[1:], f.isLong) {
			f.found(loc)
		}
		f.lengthen(ts[len(ts)-1])
		return
	}
	n := b.Decl.Arity()
	args := make([]types.Type, n)
	for i := range n {
		args[i] = f.typeOf(ts[i+1])
	}
	if !harmless(b, ts[1:n+1], args) || takesLittle(b.Name) && f.areLong(ts[1:n+1]) {
		f.found(loc)
	}
	if len(ts) > n+1 {
		if name == "sprintf" || name == "concat" || f.areLong(ts[1:n+1]) {
			f.lengthen(ts[n+1:]...)
		}
		f.learn(ts[n+1], b.Decl.Result())
	}
}

// isLong tells whether a term can have more in it than a part of a request has: what
// was put together, or comes from a rule.
func (f *fallible) isLong(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Var:
		return f.long[v]
	case ast.Ref:
		head, isVar := v[0].Value.(ast.Var)
		return !isVar || f.long[head] || f.isRule(v)
	default:
		return !ast.IsConstant(v)
	}
}

// areLong is isLong of any operand; of a list that is written out, of any element.
func (f *fallible) areLong(ts []*ast.Term) bool {
	return slices.ContainsFunc(ts, func(t *ast.Term) bool {
		a, isArray := t.Value.(*ast.Array)
		if !isArray {
			return f.isLong(t)
		}
		return a.Until(f.isLong)
	})
}

// isRule tells whether a reference leads to rules.
func (f *fallible) isRule(ref ast.Ref) bool {
	if !ref.HasPrefix(ast.DefaultRootRef) {
		return false
	}
	for i := 2; i <= len(ref); i++ {
		if len(f.rules[ref[:i].String()]) > 0 {
			return true
		}
	}
	return false
}

// equate notes which variables of an equation have long values. What is taken apart has
// no longer parts.
func (f *fallible) equate(a, b *ast.Term) {
	_, aVar := a.Value.(ast.Var)
	_, bVar := b.Value.(ast.Var)
	apart := isVarOrRef(a) || isVarOrRef(b)
	switch {
	case f.isLong(a) && (bVar || !apart), f.isLong(b) && (aVar || !apart), isVarOrRef(a) && f.isLong(a), isVarOrRef(b) && f.isLong(b):
		f.lengthen(a, b)
	}
}

func (f *fallible) lengthen(ts ...*ast.Term) {
	for _, t := range ts {
		ast.WalkVars(t, func(v ast.Var) bool {
			f.long[v] = true
			return false
		})
	}
}

// takesLittle tells whether a function fails on what is several times as long as a
// request.
func takesLittle(name string) bool {
	switch name {
	case "sprintf", "concat", "regex.match", "glob.match":
		return true
	}
	return false
}

// inside looks at what a term refers to and encloses.
func (f *fallible) inside(t *ast.Term, loc *ast.Location) {
	vis := ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			for _, t := range x[1:] {
				if v, ok := t.Value.(ast.Var); ok {
					f.learn(ast.NewTerm(v), types.A)
				}
			}
			f.ref(x, loc)
		case *ast.ObjectComprehension:
			// Its keys may have two values.
			f.found(loc)
		case *ast.ArrayComprehension:
			f.body(x.Body, loc)
		case *ast.SetComprehension:
			f.body(x.Body, loc)
		case ast.Call:
			f.call(x, loc)
			return true
		}
		return f.at != nil
	})
	vis.Walk(t)
}

// ref looks at the rules that a reference names.
func (f *fallible) ref(ref ast.Ref, loc *ast.Location) {
	if !ref.HasPrefix(ast.DefaultRootRef) || len(ref) < 2 {
		return
	}
	for i := 2; i <= len(ref); i++ {
		name := ref[:i].String()
		rules := f.rules[name]
		if len(rules) == 0 {
			continue
		}
		if f.conflicting[name] || slices.ContainsFunc(rules, func(r *ast.Rule) bool { return !f.rule(r) }) {
			f.found(rules[0].Loc())
		}
		return
	}
	// The reference is to a package, or to data.
	if f.below[ref.ConstantPrefix().String()] {
		f.found(loc)
	}
}

// inRule looks at a rule's bodies. A partial object is only known not to conflict if
// nothing in it depends on the request.
func (f *fallible) inRule(r *ast.Rule) {
	if isPartialObject(r) && dependsOnInput(r) {
		f.found(r.Loc())
	}
	for branch := r; branch != nil; branch = branch.Else {
		for _, arg := range branch.Head.Args {
			f.learn(arg, types.A)
		}
		f.body(branch.Body, r.Loc())
		for _, t := range []*ast.Term{branch.Head.Key, branch.Head.Value} {
			if t != nil {
				f.inside(t, r.Loc())
			}
		}
	}
}

// dependsOnInput tells whether a rule refers to unknown input or to other rules.
func dependsOnInput(r *ast.Rule) bool {
	found := false
	vis := ast.NewGenericVisitor(func(x any) bool {
		if ref, ok := x.(ast.Ref); ok {
			found = found || ref.HasPrefix(ast.DefaultRootRef)
			found = found || ref.HasPrefix(ast.InputRootRef) && (len(ref) < 2 || !isKnownInput(ref[1]))
		}
		return found
	})
	vis.Walk(r)
	return found
}

func isKnownInput(t *ast.Term) bool {
	for _, name := range knownParts {
		if t.Equal(ast.InternedTerm(name)) {
			return true
		}
	}
	return false
}

// conflicting tells whether rules could have two values for one request.
func conflicting(rules []*ast.Rule) bool {
	var values []*ast.Term
	n := 0
	for _, r := range rules {
		if isPartialObject(r) {
			return true
		}
		if r.Default || r.Head.RuleKind() == ast.MultiValue {
			continue
		}
		n++
		for branch := r; branch != nil; branch = branch.Else {
			v := branch.Head.Value
			if v == nil {
				v = ast.BooleanTerm(true)
			}
			if !v.IsGround() && iterates(branch) {
				return true
			}
			values = append(values, v)
		}
	}
	for _, v := range values {
		if n > 1 && (!v.IsGround() || !v.Equal(values[0])) {
			return true
		}
	}
	return false
}

// learn notes what a term's variables can be, if it is of a type.
func (f *fallible) learn(t *ast.Term, of types.Type) {
	switch v := t.Value.(type) {
	case ast.Var:
		if f.vars[v] != nil && types.Compare(f.vars[v], of) != 0 {
			of = types.A
		}
		f.vars[v] = of
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { f.learn(t, member(of)) })
	case ast.Object:
		v.Foreach(func(_, t *ast.Term) { f.learn(t, types.A) })
	}
}

func member(of types.Type) types.Type {
	if a, ok := of.(*types.Array); ok && a.Dynamic() != nil {
		return a.Dynamic()
	}
	return types.A
}

var texts = types.NewArray(nil, types.S)

// typeOf is what a saved term is for every request.
func (f *fallible) typeOf(t *ast.Term) types.Type {
	switch v := t.Value.(type) {
	case ast.String:
		return types.S
	case ast.Number:
		return types.N
	case ast.Boolean:
		return types.B
	case ast.Var:
		if of := f.vars[v]; of != nil {
			return of
		}
	case *ast.Array:
		return types.NewArray(nil, f.common(v.Foreach))
	case *ast.ArrayComprehension:
		return types.NewArray(nil, types.A)
	case ast.Set:
		return types.NewSet(f.common(v.Foreach))
	case *ast.SetComprehension:
		return types.NewSet(types.A)
	case ast.Object:
		return types.NewObject(nil, types.NewDynamicProperty(types.A, types.A))
	case ast.Call:
		if b, ok := ast.BuiltinMap[v[0].Value.String()]; ok {
			return b.Decl.Result()
		}
	case ast.Ref:
		return typeOfRef(v)
	}
	return types.A
}

// common is the type of all members of a collection.
func (f *fallible) common(each func(func(*ast.Term))) types.Type {
	var of types.Type
	each(func(t *ast.Term) {
		if elem := f.typeOf(t); of == nil {
			of = elem
		} else if types.Compare(of, elem) != 0 {
			of = types.A
		}
	})
	if of == nil {
		return types.A
	}
	return of
}

// typeOfRef is what DESIGN.md §3 says of the unknown parts of the input.
func typeOfRef(ref ast.Ref) types.Type {
	if !ref.HasPrefix(ast.InputRootRef) || len(ref) < 2 {
		return types.A
	}
	name, _ := ref[1].Value.(ast.String)
	switch {
	case len(ref) == 2 && (name == "method" || name == "path" || name == "route" || name == "source_ip"),
		len(ref) == 3 && (name == "segments" || name == "params" || name == "headers"),
		len(ref) == 4 && name == "query":
		return types.S
	case len(ref) == 2 && name == "segments", len(ref) == 3 && name == "query":
		return texts
	case len(ref) == 2 && (name == "params" || name == "headers" || name == "query"):
		return types.NewObject(nil, types.NewDynamicProperty(types.S, types.A))
	}
	return types.A
}

// harmless tells whether a builtin function cannot fail on arguments of these types.
func harmless(b *ast.Builtin, args []*ast.Term, of []types.Type) bool {
	switch b.Name {
	case "equal", "neq", "gt", "gte", "lt", "lte", "internal.member_2", "internal.member_3", "type_name", "walk",
		"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "time.now_ns":
		return true
	case "startswith", "endswith", "contains", "lower", "upper", "trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix", "trim_space", "split":
		return all(of, types.S)
	case "plus", "mul":
		return all(of, types.N)
	case "count":
		_, isAny := of[0].(types.Any)
		return !isAny && of[0] != types.N && of[0] != types.B
	case "sprintf":
		_, isArray := of[1].(*types.Array)
		return isArray && isShort(args[0]) && isFew(args[1])
	case "concat":
		elem := types.Type(types.A)
		switch c := of[1].(type) {
		case *types.Array:
			elem = c.Dynamic()
		case *types.Set:
			elem = c.Of()
		}
		return isShort(args[0]) && isFew(args[1]) && elem != nil && types.Compare(elem, types.S) == 0
	case "array.slice":
		_, isArray := of[0].(*types.Array)
		return isArray && isInt(args[1]) && isInt(args[2])
	case "object.get":
		_, isObject := of[0].(*types.Object)
		return isObject
	case "regex.match", "glob.match":
		last := len(args) - 1
		for _, t := range args[:last] {
			if !ast.IsConstant(t.Value) {
				return false
			}
		}
		return types.Compare(of[last], types.S) == 0 && residue.GoodPattern(b.Name, args[:last])
	default:
		return false
	}
}

// isShort tells whether a term is a text that is short: put between all parts of a
// request it makes less than the guards allow.
func isShort(t *ast.Term) bool {
	s, ok := t.Value.(ast.String)
	return ok && len(s) <= 256 && !strings.Contains(string(s), "%[")
}

// isFew tells whether a term has no part of a request more than a few times: it is a part
// itself, or a few of them.
func isFew(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case *ast.Array:
		nested := false
		v.Foreach(func(t *ast.Term) { nested = nested || !ast.IsScalar(t.Value) && !isVarOrRef(t) })
		return v.Len() <= 4 && !nested
	case ast.Ref, ast.Var:
		return true
	default:
		return ast.IsConstant(v)
	}
}

func isVarOrRef(t *ast.Term) bool {
	switch t.Value.(type) {
	case ast.Var, ast.Ref:
		return true
	}
	return false
}

func all(of []types.Type, want types.Type) bool {
	for _, t := range of {
		if types.Compare(t, want) != 0 {
			return false
		}
	}
	return true
}

func isInt(t *ast.Term) bool {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return false
	}
	_, ok = n.Int()
	return ok
}
