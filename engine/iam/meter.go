package iam

import (
	"cmp"
	"slices"
	"strings"

	"regent/engine"
)

const (
	// mostWork bounds the work for a document, and once more that of checking it, in
	// units of about 10 ns.
	mostWork = 600_000
	// mostComparisons bounds those of patterns with each other, before there are few.
	mostComparisons = 50_000
)

// meter counts what comparing patterns with cells takes.
type meter struct{ work, limit int }

func (m *meter) tired() bool { return m.work > m.limit }

// glob is a pattern of METHOD/path.
type glob struct {
	text string
	// start is what stands before its first wildcard.
	start string
}

func newGlob(text string) glob {
	start, _, _ := strings.Cut(text, "*")
	return glob{text, start}
}

// startOf is what all paths of a cell begin with.
func startOf(c engine.Cell) string {
	var b strings.Builder
	b.WriteString(c.Method)
	b.WriteByte('/')
	for i, s := range c.Segments {
		if !s.Fixed {
			break
		}
		b.WriteString(s.Literal)
		if i < len(c.Segments)-1 || c.Rest {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// weight is how many words and forms are to be compared with a word to tell whether a
// cell has it.
func weight(c engine.Cell) int {
	n := 0
	for _, s := range c.Segments {
		n += len(s.Not) + len(s.Like) + len(s.NotLike)
	}
	return n
}

// reaches is the function of that name.
func (m *meter) reaches(g glob, p *piece) bool {
	// Most begin differently.
	m.work++
	if !strings.HasPrefix(g.start, p.start) && !strings.HasPrefix(p.start, g.start) {
		return false
	}
	return reaches(g.text, p.Cell, &m.work)
}

// contains tells whether one of some patterns matches all of a cell's paths.
func (m *meter) contains(globs []glob, p *piece) bool {
	if len(globs) == 0 {
		return false
	}
	word := symbolOf(p.Cell)
	m.work += 20 + len(word)/16
	return slices.ContainsFunc(globs, func(g glob) bool {
		m.work++
		if !strings.HasPrefix(word, g.start) {
			return false
		}
		m.work += 5 + (len(word)+len(g.text))/16
		return Match(g.text, word)
	})
}

// minimal leaves out the patterns that others include. Only one with a wildcard can
// include another, and only one that begins as that does.
func (m *meter) minimal(ps []string) []glob {
	seen := make(map[string]bool, len(ps))
	wild := map[string][]glob{}
	unique := make([]glob, 0, len(ps))
	for _, p := range ps {
		m.work += 30
		if seen[p] {
			continue
		}
		seen[p] = true
		g := newGlob(p)
		unique = append(unique, g)
		if len(g.start) < len(p) {
			wild[g.folder()] = append(wild[g.folder()], g)
		}
	}
	return slices.DeleteFunc(unique, func(p glob) bool {
		if m.tired() {
			return false
		}
		word := symbolic(p.text)
		return p.above(func(folder string) bool {
			m.work += 3
			return slices.ContainsFunc(wild[folder], func(q glob) bool {
				m.work++
				if q == p || !strings.HasPrefix(p.start, q.start) {
					return false
				}
				m.work += 5 + len(word)/16
				return Match(q.text, word)
			})
		})
	})
}

// comparisons is about how many patterns minimal compares for cells.
func (m *meter) comparisons(cells []piece) int {
	m.work += 20 * len(cells)
	wild := map[string]int{}
	for _, c := range cells {
		if g := newGlob(c.pattern); len(g.start) < len(g.text) {
			wild[g.folder()]++
		}
	}
	n := 0
	for _, c := range cells {
		newGlob(c.pattern).above(func(folder string) bool {
			n += wild[folder]
			return false
		})
	}
	return n
}

// folder is a pattern's start up to its last slash.
func (g glob) folder() string { return g.start[:strings.LastIndexByte(g.start, '/')+1] }

// above calls f for the folder of each pattern that could include this one, until f
// returns true. It returns whether f did.
func (g glob) above(f func(folder string) bool) bool {
	for i := range len(g.start) {
		if g.start[i] == '/' && f(g.start[:i+1]) {
			return true
		}
	}
	return false
}

// starts are those of some pieces, sorted.
type starts []start

type start struct {
	text  string
	place int
}

func sortedStarts(pieces []piece) starts {
	list := make(starts, len(pieces))
	for i, p := range pieces {
		list[i] = start{p.start, i}
	}
	slices.SortFunc(list, func(a, b start) int { return cmp.Compare(a.text, b.text) })
	return list
}

// near calls f for the places of the pieces that a pattern could reach, until f returns
// true. It returns whether f did.
func (s starts) near(g glob, f func(place int) bool) bool {
	from := func(text string) starts {
		i, _ := slices.BinarySearchFunc(s, text, func(a start, text string) int { return cmp.Compare(a.text, text) })
		return s[i:]
	}
	// Those that begin as the pattern does.
	for _, p := range from(g.start) {
		if !strings.HasPrefix(p.text, g.start) {
			break
		}
		if f(p.place) {
			return true
		}
	}
	// Those that are free where the pattern goes on. The start itself was among the others.
	return g.above(func(folder string) bool {
		if folder == g.start {
			return false
		}
		for _, p := range from(folder) {
			if p.text != folder {
				break
			}
			if f(p.place) {
				return true
			}
		}
		return false
	})
}
