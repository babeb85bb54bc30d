package iam

import (
	"slices"
	"strings"

	"regent/engine"
)

// pattern returns the pattern METHOD/path whose matches include a cell's paths; it
// may reach further. It returns false for a cell with words that have several
// spellings in an ARN.
func pattern(c engine.Cell) (string, bool) {
	parts := []string{c.Method}
	for _, s := range c.Segments {
		p, ok := segmentPattern(s)
		if !ok {
			return "", false
		}
		parts = append(parts, p)
	}
	return finish(parts, c), true
}

// denial returns a pattern that covers all of a cell's paths however their words
// are spelled.
func denial(c engine.Cell) string {
	parts := []string{c.Method}
	for _, s := range c.Segments {
		p, ok := segmentPattern(s)
		if !ok || !s.Fixed {
			p = "*"
		}
		if a, one := onlyAffix(s); one {
			p = blur(a.Prefix) + "*" + blur(a.Suffix)
		}
		if s.Fixed {
			p = blur(s.Literal)
		}
		for strings.Contains(p, "**") {
			p = strings.ReplaceAll(p, "**", "*")
		}
		parts = append(parts, p)
	}
	return finish(parts, c)
}

// shorten makes a pattern that is longer than there is room for a shorter one, which
// matches more.
func shorten(pattern string, room int) string {
	if len(pattern) <= room {
		return pattern
	}
	return strings.TrimRight(pattern[:room-1], "*") + "*"
}

// onlyAffix returns the form of a segment that has exactly one.
func onlyAffix(s engine.Segment) (engine.Affix, bool) {
	if s.Fixed || len(s.Like) != 1 {
		return engine.Affix{}, false
	}
	return s.Like[0], true
}

func finish(parts []string, c engine.Cell) string {
	if c.Rest {
		parts = append(parts, "*")
	}
	if len(parts) == 1 {
		parts = append(parts, "")
	}
	return strings.Join(parts, "/")
}

func segmentPattern(s engine.Segment) (string, bool) {
	if s.Fixed {
		return s.Literal, plain(s.Literal)
	}
	var prefix, suffix string
	for _, a := range s.Like {
		if len(a.Prefix) > len(prefix) {
			prefix = a.Prefix
		}
		if len(a.Suffix) > len(suffix) {
			suffix = a.Suffix
		}
	}
	return prefix + "*" + suffix, plain(prefix) && plain(suffix)
}

// hasSpellings tells whether words of a cell can be written in several ways.
func hasSpellings(c engine.Cell) bool {
	return slices.ContainsFunc(c.Segments, func(s engine.Segment) bool {
		_, plainly := segmentPattern(s)
		return !plainly
	})
}

// plain tells whether a word has one spelling only in an ARN, once needless escapes
// are denied.
func plain(word string) bool {
	for i := range len(word) {
		if !plainByte(word[i]) {
			return false
		}
	}
	return true
}

func plainByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~:@", b) >= 0
}

// mostRuns is how many runs of characters blur tells apart: each makes a pattern dearer to
// compare.
const mostRuns = 8

// blur puts a wildcard for each run of characters that have several spellings, and one
// for all that is behind the first few of them.
func blur(word string) string {
	var b strings.Builder
	run, runs := false, 0
	for i := range len(word) {
		if plainByte(word[i]) {
			b.WriteByte(word[i])
		} else if !run {
			b.WriteByte('*')
			if runs++; runs == mostRuns {
				break
			}
		}
		run = !plainByte(word[i])
	}
	return b.String()
}

// free stands for any text in a symbolic word: no pattern has it, so only a
// wildcard matches it.
const free = "\uE000"

// symbolic is one word for all that a pattern matches.
func symbolic(pattern string) string { return strings.ReplaceAll(pattern, "*", free) }

// symbolOf is one word for all of a cell's paths.
func symbolOf(c engine.Cell) string {
	parts := []string{c.Method}
	for _, s := range c.Segments {
		switch a, one := onlyAffix(s); {
		case s.Fixed:
			parts = append(parts, s.Literal)
		case one:
			parts = append(parts, a.Prefix+free+a.Suffix)
		default:
			parts = append(parts, free)
		}
	}
	if c.Rest {
		parts = append(parts, free)
	}
	if len(parts) == 1 {
		parts = append(parts, "")
	}
	return strings.Join(parts, "/")
}

// reaches tells whether a pattern matches any of a cell's paths. It may say yes
// where the answer is no, never the other way. It adds what it took to work.
func reaches(pattern string, c engine.Cell, work *int) bool {
	*work += 10
	if !alike(pattern, c) {
		return false
	}
	_, path, _ := strings.Cut(pattern, "/")
	if len(c.Segments) == 0 {
		return c.Rest && path != "" || !c.Rest && strings.Trim(path, "*") == ""
	}
	// starts are the places in the pattern where the next segment can begin.
	starts := []int{0}
	for i, segment := range c.Segments {
		*work += 5 * len(starts)
		var ends []int
		for _, start := range starts {
			for _, e := range wordEnds(path[start:], segment, work) {
				ends = include(ends, start+e)
			}
		}
		if i == len(c.Segments)-1 {
			return slices.ContainsFunc(ends, func(e int) bool {
				return c.Rest && reachesRest(path[e:]) || !c.Rest && strings.Trim(path[e:], "*") == ""
			})
		}
		starts = nil
		for _, end := range ends {
			for _, next := range slashEnds(path[end:]) {
				starts = include(starts, end+next)
			}
		}
	}
	return false
}

// alike tells whether a pattern has a cell's method and could have its first word: a
// quick no for most.
func alike(pattern string, c engine.Cell) bool {
	method, path, _ := strings.Cut(pattern, "/")
	return method == c.Method && startsAlike(path, c)
}

// startsAlike tells whether a pattern's first word could be that of a cell's paths: a
// quick answer for most, which differ there.
func startsAlike(path string, c engine.Cell) bool {
	if len(c.Segments) == 0 || !c.Segments[0].Fixed {
		return true
	}
	end := strings.IndexAny(path, "/*?")
	switch {
	case end < 0:
		return path == c.Segments[0].Literal
	case path[end] == '/':
		return path[:end] == c.Segments[0].Literal
	default:
		return strings.HasPrefix(c.Segments[0].Literal, path[:end])
	}
}

func include(set []int, n int) []int {
	if slices.Contains(set, n) {
		return set
	}
	return append(set, n)
}

// reachesRest tells whether a pattern matches a slash and at least one more
// character.
func reachesRest(p string) bool {
	return strings.HasPrefix(p, "*") || strings.HasPrefix(p, "/") && len(p) > 1
}

// slashEnds are the places where a pattern can go on behind a slash.
func slashEnds(p string) []int {
	switch {
	case strings.HasPrefix(p, "/"):
		return []int{1}
	case strings.HasPrefix(p, "*"):
		// The wildcard may go on behind the slash, or end before or with it.
		ends := []int{0}
		for _, e := range slashEnds(p[1:]) {
			ends = append(ends, e+1)
		}
		return ends
	default:
		return nil
	}
}

// wordEnds are the places in a pattern where a word of a segment's set can have
// ended. A wildcard at the place may still go on.
func wordEnds(p string, s engine.Segment, work *int) []int {
	var ends []int
	for e := 0; e <= len(p); e++ {
		atWild := e < len(p) && p[e] == '*'
		if e == len(p) || p[e] == '/' || atWild || e > 0 && p[e-1] == '*' {
			*work += 5 + (e+len(s.Literal))/16 + len(s.Like) + len(s.NotLike) + len(s.Not)/4
			if wordFits(p[:e], atWild, s) {
				ends = append(ends, e)
			}
		}
		if e < len(p) && p[e] == '/' {
			break
		}
	}
	return ends
}

// wordFits tells whether a word of the set can match a pattern without slashes;
// open tells that anything may follow.
func wordFits(p string, open bool, s engine.Segment) bool {
	if open {
		p += "*"
	}
	if s.Fixed {
		return Match(p, s.Literal)
	}
	if !strings.Contains(p, "*") {
		return s.Has(p)
	}
	a := engine.Affix{Prefix: p[:strings.IndexByte(p, '*')], Suffix: p[strings.LastIndexByte(p, '*')+1:]}
	return !slices.ContainsFunc(s.Like, a.Apart) && !slices.ContainsFunc(s.NotLike, a.Within)
}

func equalCells(a, b engine.Cell) bool {
	return a.Method == b.Method && a.Rest == b.Rest && slices.EqualFunc(a.Segments, b.Segments, func(s, t engine.Segment) bool {
		return s.Fixed == t.Fixed && s.Literal == t.Literal &&
			slices.Equal(s.Like, t.Like) && slices.Equal(s.NotLike, t.NotLike) && slices.Equal(s.Not, t.Not)
	})
}
