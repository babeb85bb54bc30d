package rules

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkShape reports what in parsed modules is over a limit that the compiler's cost
// grows with. The modules have passed scan, so their syntax trees are not deep.
func checkShape(modules map[string]*ast.Module, ps *Problems) {
	rules, work := 0, 0
	var last *ast.Location
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		ps.exceeded(refParts, len(modules[path].Package.Path), modules[path].Package.Loc())
		for _, r := range modules[path].Rules {
			s := shape{ps: ps}
			s.rule(r)
			work += s.work
			rules++
			last = r.Loc()
			if ps.exceeded(ruleCount, rules, last) || ps.exceeded(ordering, work, last) {
				return
			}
		}
	}
}

// shape measures one rule.
type shape struct {
	ps *Problems
	// work is what ordering the rule's bodies may take.
	work int
}

func (s *shape) rule(r *ast.Rule) {
	arms := 0
	for arm := r; arm != nil; arm = arm.Else {
		arms++
		s.body(arm.Body, []*ast.Term{arm.Head.Key, arm.Head.Value}, 0, arm.Loc())
	}
	s.ps.exceeded(elseArms, arms-1, r.Loc())
	vars := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipRefHead: true})
	vars.Walk(r)
	s.ps.exceeded(localCount, len(vars.Vars()), r.Loc())
	s.ps.exceeded(refParts, len(r.Head.Ref()), r.Loc())
	ast.WalkRefs(r, func(ref ast.Ref) bool { return s.ps.exceeded(refParts, len(ref), ref[0].Loc()) })
}

// body measures a body together with the terms of its head. Closures are measured as
// bodies of their own.
func (s *shape) body(body ast.Body, head []*ast.Term, depth int, loc *ast.Location) {
	if s.ps.exceeded(closureDepth, depth, loc) {
		return
	}
	calls, found := 0, 0
	var vis *ast.GenericVisitor
	vis = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Expr:
			s.ps.exceeded(withCount, len(x.With), x.Loc())
			// A term that is a call counts as that.
			if t, ok := x.Terms.(*ast.Term); !ok || !isCall(t) {
				calls++
			}
		case ast.Call:
			calls++
		case *ast.Every:
			vis.Walk(x.Domain)
			s.body(x.Body, nil, depth+1, x.Loc())
			return true
		case *ast.Term:
			if inner, terms := closure(x.Value); inner != nil {
				found++
				s.body(inner, terms, depth+1, x.Loc())
				return true
			}
			s.members(x)
		}
		return false
	})
	vis.Walk(body)
	for _, t := range head {
		if t != nil {
			vis.Walk(t)
		}
	}
	s.ps.exceeded(bodySize, len(body), loc)
	s.ps.exceeded(bodyCalls, calls, loc)
	s.ps.exceeded(closures, found, loc)
	n := min(calls, 1<<12)
	s.work += n * n * n
}

func isCall(t *ast.Term) bool {
	_, ok := t.Value.(ast.Call)
	return ok
}

// closure returns the body and the head of a comprehension.
func closure(v ast.Value) (ast.Body, []*ast.Term) {
	switch v := v.(type) {
	case *ast.ArrayComprehension:
		return v.Body, []*ast.Term{v.Term}
	case *ast.SetComprehension:
		return v.Body, []*ast.Term{v.Term}
	case *ast.ObjectComprehension:
		return v.Body, []*ast.Term{v.Key, v.Value}
	}
	return nil, nil
}

// members counts the types among the members of a collection that is written out.
func (s *shape) members(t *ast.Term) {
	types := map[uint64]bool{}
	each(t.Value, func(_, v *ast.Term) { types[kindOf(v)] = true })
	s.ps.exceeded(shapes, len(types), t.Loc())
}

// each calls f for the members of an array or an object, with their keys.
func each(v ast.Value, f func(key, value *ast.Term)) {
	switch v := v.(type) {
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { f(nil, t) })
	case ast.Object:
		v.Foreach(f)
	}
}

// kindOf is a number for a term's type as far as it is written out. Types that are
// the same have the same number.
func kindOf(t *ast.Term) uint64 {
	h := fnv.New64a()
	var number [8]byte
	fmt.Fprintf(h, "%T", t.Value)
	each(t.Value, func(k, v *ast.Term) {
		if k != nil {
			fmt.Fprint(h, k.Value)
		}
		h.Write(binary.LittleEndian.AppendUint64(number[:0], kindOf(v)))
	})
	return h.Sum64()
}
