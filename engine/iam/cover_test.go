package iam

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine"
)

var coverARN = ARN{Partition: "aws", Region: "eu-west-1", Account: "123456789012", API: "a1b2c3", Stage: "prod"}

const coverPrefix = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"

// shape reads a cell: "+GET /users/{}" is allowed, "-" is not; {} is any word,
// {!a,b} any but a and b, {a-*} those that begin with a-, {!a-*} those that do not,
// and /** at the end one or more further segments.
func shape(tb testing.TB, s string) engine.Cell {
	tb.Helper()
	c := engine.Cell{Allowed: s[0] == '+'}
	method, path, _ := strings.Cut(s[1:], " ")
	c.Method = method
	path, c.Rest = strings.CutSuffix(path, "/**")
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		inside, isSet := strings.CutPrefix(part, "{")
		inside = strings.TrimSuffix(inside, "}")
		but, isNot := strings.CutPrefix(inside, "!")
		prefix, suffix, isAffix := strings.Cut(but, "*")
		switch {
		case part == "":
		case !isSet:
			c.Segments = append(c.Segments, engine.Segment{Fixed: true, Literal: part})
		case isAffix && isNot:
			c.Segments = append(c.Segments, engine.Segment{NotLike: []engine.Affix{{Prefix: prefix, Suffix: suffix}}})
		case isAffix:
			c.Segments = append(c.Segments, engine.Segment{Like: []engine.Affix{{Prefix: prefix, Suffix: suffix}}})
		case isNot:
			c.Segments = append(c.Segments, engine.Segment{Not: strings.Split(but, ",")})
		default:
			c.Segments = append(c.Segments, engine.Segment{})
		}
	}
	return c
}

func TestCover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		cells []string
		at    string
		size  int
		// want are the allowing patterns and, after "!", the denying ones.
		want     []string
		narrowed []string
	}{
		{name: "nothing", cells: []string{"-GET /orders"}, want: []string{"!*"}},
		{name: "words", cells: []string{"+GET /orders", "-PUT /orders"}, want: []string{"GET/orders"}},
		{name: "root", cells: []string{"+GET /", "-GET /{}"}, want: []string{"GET/"}},
		{name: "a parameter", cells: []string{"+GET /orders/{}"}, want: []string{"GET/orders/*"}},
		{name: "a sibling", cells: []string{"+GET /orders/{!export}", "-GET /orders/export"}, want: []string{"GET/orders/*", "!GET/orders/export"}},
		{name: "below", cells: []string{"+GET /orders/{}", "-GET /orders/{}/items"}, want: []string{"GET/orders/*", "!GET/orders/*/*"}},
		{name: "below, one of two", cells: []string{"+GET /orders/{}", "-GET /orders/{}/items", "+GET /orders/{}/notes"},
			want: []string{"GET/orders/*", "!GET/orders/*/items"}},
		{name: "greedy", cells: []string{"+GET /files/{}", "+GET /files/{}/**"}, want: []string{"GET/files/*"}},
		{name: "form", cells: []string{"+GET /users/{u-*}", "-GET /users/{!u-*}"}, want: []string{"GET/users/u-*"}},
		{name: "not a form", cells: []string{"-GET /users/{u-*}", "+GET /users/{!u-*}"}, want: []string{"GET/users/*", "!GET/users/u-*"}},
		{name: "a word with several spellings", cells: []string{"+GET /users/a b", "-GET /users/{!a b}"},
			want: []string{"!*"}, narrowed: []string{reasonSpelling}},
		{name: "a denied word with several spellings", cells: []string{"-GET /users/a b", "+GET /users/{!a b}"},
			want: []string{"!*"}, narrowed: []string{reasonDenied}},
		{name: "a denied word with several spellings beside a form", cells: []string{"-GET /users/a b", "+GET /users/{u-*}"}, want: []string{"GET/users/u-*"}},
		{name: "a denied word that is all escapes", cells: []string{"-GET /users/é", "+GET /users/{!é}", "+GET /orders"},
			want: []string{"GET/orders"}, narrowed: []string{reasonDenied}},
		{name: "what IAM cannot tell apart", cells: []string{"+GET /a/{}", "-GET /a/{}/{}", "+GET /a/{}/{}/c"},
			want: []string{"GET/a/*", "!GET/a/*/*"}, narrowed: []string{reasonCrossing}},
		{name: "what IAM cannot tell apart, with a request", cells: []string{"+GET /a/{}", "-GET /a/{}/{}", "+GET /a/{}/{}/c"}, at: "GET /a/7/8/c",
			want: []string{"GET/a/*/*/c"}, narrowed: []string{reasonCrossing}},
		{name: "too long", cells: []string{"+GET /" + strings.Repeat("x", 500)}, want: []string{"!*"}, narrowed: []string{reasonTooLong}},
		{name: "a denied word that is too long", cells: []string{"-GET /x/" + strings.Repeat("x", 600), "+GET /x/{!" + strings.Repeat("x", 600) + "}", "+GET /y/{}"},
			want: []string{"GET/y/*"}, narrowed: []string{reasonTooLong}},
		{name: "a denied word that is too long beside others", cells: []string{"-GET /x/" + strings.Repeat("x", 600), "+GET /x/{y-*}", "+GET /x/{*-z}"},
			want: []string{"GET/x/y-*", "GET/x/*-z"}, narrowed: nil},
		{name: "too large", cells: []string{"+GET /a/{}", "+GET /b/{}", "-GET /c/{}", "+GET /d/{}"}, at: "GET /d/7", size: 1280,
			want: []string{"GET/d/*"}, narrowed: []string{reasonSize, reasonSize}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var cells []engine.Cell
			for _, s := range tt.cells {
				cells = append(cells, shape(t, s))
			}
			var at Request
			if tt.at != "" {
				method, path, _ := strings.Cut(tt.at, " ")
				at = Request{method, strings.Split(path[1:], "/")}
			}
			if tt.size == 0 {
				tt.size = 6000
			}
			got, err := Cover(coverARN, cells, at, tt.size)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, patternsOf(got.Document)); diff != "" {
				t.Errorf("patterns (-want +got):\n%s", diff)
			}
			var reasons []string
			for _, n := range got.Narrowed {
				reasons = append(reasons, n.Reason)
			}
			if diff := cmp.Diff(tt.narrowed, reasons); diff != "" {
				t.Errorf("narrowed (-want +got):\n%s", diff)
			}
		})
	}
}

// patternsOf lists a document's patterns of METHOD/path, without those of
// spellings.
func patternsOf(d Document) []string {
	var ps []string
	for _, s := range d.Statement {
		for _, r := range s.Resource {
			p, own := strings.CutPrefix(r, coverPrefix)
			switch {
			case own && s.Effect == Allow:
				ps = append(ps, p)
			case own:
				ps = append(ps, "!"+p)
			}
		}
	}
	return ps
}

// FuzzCover cuts the paths of an API into cells, allows some, and holds the document
// to them path by path.
func FuzzCover(f *testing.F) {
	for seed := range byte(20) {
		f.Add([]byte{seed, 3 * seed, 7, 200 - seed, 1, 4, seed, 9, 2, 6, 5, 3, 5, 8})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rng := rand.New(&bytesSource{data: data, rest: rand.NewPCG(uint64(len(data)), 1)})
		cells := randomCells(rng)
		paths := concretePaths()
		at := Request{pickOne(rng, methods), pickOne(rng, paths)}
		size := 1200 + rng.IntN(5000)
		got, err := Cover(coverARN, cells, at, size)
		if err != nil {
			t.Fatalf("%v: %+v", err, cells)
		}
		b, err := json.Marshal(got.Document)
		if err != nil || len(b) > size && len(patternsOf(got.Document)) > 1 {
			t.Fatalf("%d bytes of %d: %v", len(b), size, err)
		}
		for _, method := range methods {
			for _, path := range paths {
				checkPath(t, got, cells, at, method, path)
			}
		}
	})
}

func checkPath(t *testing.T, got Coverage, cells []engine.Cell, at Request, method string, path []string) {
	t.Helper()
	i := slices.IndexFunc(cells, func(c engine.Cell) bool { return c.Has(method, path) })
	if i < 0 {
		return
	}
	cell := cells[i]
	spelled := strings.ReplaceAll(strings.ReplaceAll(strings.Join(path, "/"), " ", "%20"), "é", "%C3%A9")
	verdict := got.Document.Evaluate(Invoke, coverPrefix+method+"/"+spelled)
	narrowed := slices.ContainsFunc(got.Narrowed, func(n Narrowed) bool { return n.Cell.Has(method, path) })
	own := method == at.Method && slices.Equal(path, at.Segments) && !strings.Contains(spelled, "%")
	switch {
	case verdict == ImplicitDeny:
		t.Fatalf("%s /%s is denied silently: %+v", method, spelled, cells)
	case verdict == Allowed && !cell.Allowed:
		t.Fatalf("%s /%s is allowed: %+v\n%v", method, spelled, cells, patternsOf(got.Document))
	case verdict != Allowed && cell.Allowed && (!narrowed || own):
		t.Fatalf("%s /%s is not allowed: %+v\n%v\n%+v", method, spelled, cells, patternsOf(got.Document), got.Narrowed)
	}
}

var (
	methods    = []string{"GET", "PUT"}
	coverWords = []string{"a", "b", "u-", "u-1", "u-x.pdf", "x.pdf", "a b", "é", "c"}
	affixes    = []engine.Affix{{Prefix: "u-"}, {Suffix: ".pdf"}, {Prefix: "u-", Suffix: ".pdf"}, {Prefix: "a"}, {Prefix: "é"}}
)

func pickOne[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// concretePaths are all paths of up to three words, and some longer ones.
func concretePaths() [][]string {
	paths := [][]string{nil}
	for last := paths; len(last[0]) < 3; {
		var next [][]string
		for _, p := range last {
			for _, w := range coverWords {
				next = append(next, append(slices.Clip(p), w))
			}
		}
		paths, last = append(paths, next...), next
	}
	return append(paths, []string{"a", "b", "a", "c"}, []string{"a", "u-1", "b", "x.pdf", "c"})
}

// randomCells cuts each method's paths, of up to three segments and more, into
// disjoint cells.
func randomCells(rng *rand.Rand) []engine.Cell {
	var cells []engine.Cell
	for _, m := range methods {
		for n := range 5 {
			if rng.IntN(3) == 0 {
				continue
			}
			c := engine.Cell{Method: m, Rest: n == 4, Segments: make([]engine.Segment, min(n, 3))}
			cells = append(cells, cut(rng, c, rng.IntN(5))...)
		}
	}
	for i := range cells {
		cells[i].Allowed = rng.IntN(2) == 0
	}
	return cells
}

// cut divides a cell a number of times.
func cut(rng *rand.Rand, c engine.Cell, times int) []engine.Cell {
	free := slices.IndexFunc(c.Segments, func(s engine.Segment) bool { return !s.Fixed })
	if times == 0 || free < 0 {
		return []engine.Cell{c}
	}
	i := rng.IntN(len(c.Segments))
	if c.Segments[i].Fixed {
		i = free
	}
	with := func(change func(s *engine.Segment)) engine.Cell {
		part := c
		part.Segments = slices.Clone(c.Segments)
		change(&part.Segments[i])
		return part
	}
	var parts []engine.Cell
	if w := pickOne(rng, coverWords); rng.IntN(3) > 0 && c.Segments[i].Has(w) {
		parts = append(parts,
			with(func(s *engine.Segment) { *s = engine.Segment{Fixed: true, Literal: w} }),
			with(func(s *engine.Segment) { s.Not = append(slices.Clip(s.Not), w) }))
	} else {
		a := pickOne(rng, affixes)
		parts = append(parts,
			with(func(s *engine.Segment) { s.Like = append(slices.Clip(s.Like), a) }),
			with(func(s *engine.Segment) { s.NotLike = append(slices.Clip(s.NotLike), a) }))
	}
	j := rng.IntN(2)
	return append(cut(rng, parts[j], times-1), parts[1-j])
}

// bytesSource takes random numbers from what the fuzzer made, as long as there is
// any.
type bytesSource struct {
	data []byte
	rest rand.Source
}

func (s *bytesSource) Uint64() uint64 {
	if len(s.data) == 0 {
		return s.rest.Uint64()
	}
	b := uint64(s.data[0])
	s.data = s.data[1:]
	// IntN looks at the upper bits, or at the lower ones for powers of two.
	return b<<56 | b<<28 | b
}
