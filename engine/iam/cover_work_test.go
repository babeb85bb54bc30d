package iam

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"regent/engine"
)

// TestCoverWork holds that cells which take long to compare end the covering early, and
// that what is left keeps the request at hand and is sound: rules of tenants make the
// cells, and the covering runs in the function's own process.
func TestCoverWork(t *testing.T) {
	t.Parallel()
	const wide = "/{}/{}/{}/{}"
	rnd := rand.New(rand.NewPCG(1, 1))
	cells := []engine.Cell{shape(t, "+GET"+" /x/x/x/x/a0/x/x/b0/x")}
	for i := range 2000 {
		sign := []string{"+", "-"}[rnd.IntN(2)]
		cells = append(cells, shape(t, fmt.Sprintf("%sGET %s/a%d/{}/{}/b%d/{}", sign, wide, 1+i%70, i/70)))
	}
	for _, at := range []struct {
		path string
		want bool
	}{{"x/x/x/x/a0/x/x/b0/x", true}, {"y/y/y/y/a1/y/y/b0/y", cells[1].Allowed}, {"none", false}} {
		got, err := Cover(coverARN, cells, Request{"GET", strings.Split(at.path, "/")}, MaxReply-2048)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(got.Narrowed, func(n Narrowed) bool { return n.Reason == reasonWork }) {
			t.Errorf("%s: nothing was narrowed for the work that it takes", at.path)
		}
		if allowed := got.Document.Evaluate(Invoke, coverPrefix+"GET/"+at.path) == Allowed; allowed != at.want {
			t.Errorf("%s: allowed %t, want %t", at.path, allowed, at.want)
		}
		for _, c := range cells[1:] {
			path := strings.NewReplacer("*", "z").Replace(finish(parts(t, c), c))
			if !c.Allowed && got.Document.Evaluate(Invoke, coverPrefix+path) == Allowed {
				t.Fatalf("%s: %s is allowed", at.path, path)
			}
		}
	}
}

func parts(t *testing.T, c engine.Cell) []string {
	t.Helper()
	list := []string{c.Method}
	for _, s := range c.Segments {
		p, ok := segmentPattern(s)
		if !ok {
			t.Fatalf("%v has several spellings", s)
		}
		list = append(list, p)
	}
	return list
}
