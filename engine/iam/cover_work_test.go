package iam

import (
	"fmt"
	"maps"
	"math"
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

// dear are cells whose document is dear: those that tenants' rules could make of routes,
// to keep the function busy.
func dear(tb testing.TB) map[string][]engine.Cell {
	tb.Helper()
	all := map[string][]engine.Cell{}
	add := func(name string, n int, formats ...string) {
		for i := range n {
			for _, f := range formats {
				all[name] = append(all[name], shape(tb, strings.ReplaceAll(strings.ReplaceAll(f, "#", fmt.Sprint(i)), "%", fmt.Sprint(i%7))))
			}
		}
	}
	add("free segments, interleaved", 1000, "+GET /{}/a#/{}", "-GET /{}/b#/{}")
	add("free segments, in several places", 1000, "+GET /{}/{}/{}/a%/{}/{}/b#/{}", "-GET /{}/{}/{}/a%/{}/{}/c#/{}")
	add("greedy", 1000, "+GET /{}/a#/**", "-GET /{}/b#/**", "-GET /{}/{}/a#")
	add("forms", 1000, "+GET /x/{a#-*}", "-GET /x/{b#-*}", "-GET /x/{a#-*}/{}")
	add("forms beside all others", 1000, "+GET /x/{*-a#}", "-GET /x/{*-b#}", "-GET /x/{*-a#}/{*-b#}")
	add("conflicts, one at a time", 700, "+GET /{}/a#", "-GET /{}/{}/a#", "+GET /{}/{}/{}/a#")
	add("words of one parameter", 2500, "+GET /v1/orders/a#", "-GET /v1/orders/b#")
	add("words below a wildcard", 2500, "-GET /v1/orders/a#")
	all["words below a wildcard"] = append(all["words below a wildcard"], shape(tb, "+GET /v1/orders/{}"), shape(tb, "+PUT /v1/orders/{}"))
	add("parameters of many routes", 1000, "+GET /r#/{}", "+PUT /r#/{}", "-GET /r#/x", "-PUT /r#/{}/y")
	odd := strings.Repeat("aé", 100)
	add("words of many spellings", 1000, "+GET /{}/a#/x", "-GET /{}/"+odd+"#/x")
	deep := strings.Repeat("/"+odd+"b#", 8)
	add("paths of many spellings", 300, "+GET /{}/a#/{}/{}/{}/{}/{}/{}/{}/**", "-GET "+deep)
	long := strings.Repeat("a", 400)
	add("long words", 300, "+GET /{"+long+"*}/a#/{}", "-GET /"+long+long+"/b#/{}")
	for i := range 300 {
		c := shape(tb, fmt.Sprintf("%sGET /{}/a%d", []string{"+", "-"}[i%2], i))
		for j := range 1500 {
			c.Segments[0].Not = append(c.Segments[0].Not, fmt.Sprintf("x%d", j))
		}
		all["long lists"] = append(all["long lists"], c)
	}
	return all
}

// ordinaryAPIs are the cells of APIs of 300 routes, each split by several constants.
func ordinaryAPIs(tb testing.TB) map[string][]engine.Cell {
	tb.Helper()
	all := map[string][]engine.Cell{}
	for _, prefix := range []string{"", "/v1"} {
		for _, allowed := range []int{1, 2, 5} {
			var cells []engine.Cell
			for i := range 150 {
				for m, method := range []string{"GET", "PUT"} {
					sign := "-"
					if (i+7*m)%50 < allowed {
						sign = "+"
					}
					other := "-"
					base := fmt.Sprintf("%s %s/r%d", method, prefix, i)
					cells = append(cells, shape(tb, sign+base+"/{!w1,w2,w3}"), shape(tb, sign+base+"/w1"), shape(tb, other+base+"/w2"), shape(tb, sign+base+"/w3"),
						shape(tb, sign+base), shape(tb, other+base+"/{}/items"))
				}
			}
			all[fmt.Sprintf("routes%s-%d", prefix, allowed)] = cells
		}
	}
	return all
}

// Ordinary APIs are covered with no thought of the work.
func TestCoverOfOrdinaryAPIs(t *testing.T) {
	t.Parallel()
	for name, cells := range ordinaryAPIs(t) {
		got, err := Cover(coverARN, cells, Request{"GET", []string{"r7", "w1"}}, MaxReply-2048)
		if err != nil || len(patternsOf(got.Document)) < 20 || slices.ContainsFunc(got.Narrowed, func(n Narrowed) bool { return n.Reason == reasonWork }) {
			t.Errorf("%s: %v, %d narrowed, %v", name, err, len(got.Narrowed), patternsOf(got.Document))
		}
	}
}

// A pattern and a cell that begin differently do not meet.
func TestStarts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		cells := randomCells(rng)
		all := make([]piece, len(cells))
		for i, c := range cells {
			all[i] = piece{Cell: c, start: startOf(c)}
		}
		sorted := sortedStarts(all)
		for _, c := range cells {
			for _, text := range []string{denial(c), finish([]string{c.Method}, c) + "*", pickOne(rng, []string{"GET/u*", "GET/a/u-*/*.pdf", "PUT/*", "GET/", "GET/a/*"})} {
				g, m := newGlob(text), meter{limit: math.MaxInt}
				near := make([]bool, len(all))
				sorted.near(g, func(i int) bool {
					near[i] = true
					return false
				})
				for i := range all {
					work := 0
					if reaches(text, cells[i], &work) && (!m.reaches(g, &all[i]) || !near[i]) {
						t.Fatalf("seed %d: %s reaches %+v, which begins with %s", seed, text, cells[i], all[i].start)
					}
				}
			}
		}
	}
}

// TestCoverIsBounded counts what dear cells take, in place of the time.
func TestCoverIsBounded(t *testing.T) {
	t.Parallel()
	for name, cells := range dear(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, at := range []string{"none", "q/a7/z", "v1/orders/a7", "r7/5"} {
				c := cover{arn: coverARN, at: Request{"GET", strings.Split(at, "/")}, size: MaxReply - 2048}
				if err := c.make(cells); err != nil {
					t.Fatal(err)
				}
				// To check that nothing but the request at hand is allowed, each cell is looked at.
				if most := 2*mostWork + 100*len(cells); c.work > most {
					t.Errorf("%s: work %d, want at most %d", at, c.work, most)
				}
			}
		})
	}
}

// BenchmarkCover measures dear cells, and ordinary ones.
func BenchmarkCover(b *testing.B) {
	measured := dear(b)
	maps.Copy(measured, ordinaryAPIs(b))
	for _, name := range slices.Sorted(maps.Keys(measured)) {
		b.Run(name, func(b *testing.B) {
			narrowed := 0
			for b.Loop() {
				got, err := Cover(coverARN, measured[name], Request{"GET", []string{"r7", "5"}}, MaxReply-2048)
				if err != nil {
					b.Fatal(err)
				}
				narrowed = len(got.Narrowed)
			}
			b.ReportMetric(float64(narrowed), "narrowed")
		})
	}
}
