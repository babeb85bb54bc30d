package iam

import (
	"strings"
	"unicode/utf8"
)

// Match reports whether s matches an IAM pattern as a whole: "*" is any run of
// characters, also the empty one, "?" is exactly one Unicode code point (a byte
// that is not UTF-8 counts as one), and everything else is itself. It is
// case-sensitive.
//
// It needs no memory and at most len(pattern) × len(s) steps, whatever the
// pattern.
func Match(pattern, s string) bool {
	// Patterns for one API start alike, so most are settled by comparing up to the
	// first wildcard at once.
	wild := strings.IndexByte(pattern, '*')
	if one := strings.IndexByte(pattern, '?'); one >= 0 && (wild < 0 || one < wild) {
		wild = one
	}
	if wild < 0 {
		return pattern == s
	}
	if !strings.HasPrefix(s, pattern[:wild]) {
		return false
	}
	return match(pattern[wild:], s[wild:])
}

// match goes through pattern and s together. At a "*" it notes where it is and goes
// on as if the run were empty; when stuck, it makes the run of the last "*" longer,
// up to the next place where the literal behind the star stands. Earlier stars need
// not be tried again: a longer run there leaves less for the rest to match in.
func match(pattern, s string) bool {
	p, i := 0, 0
	star, run, literal := -1, 0, ""
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			if p == len(pattern) {
				return true
			}
			star, run, literal = p, i, literalPrefix(pattern[p:])
			if run = next(s, run, literal); run < 0 {
				return false
			}
			p, i = star+len(literal), run+len(literal)
		case p < len(pattern) && pattern[p] == '?':
			p++
			i += width(s[i:])
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			if run = next(s, run+width(s[run:]), literal); run < 0 {
				return false
			}
			p, i = star+len(literal), run+len(literal)
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// literalPrefix returns what stands before the first wildcard.
func literalPrefix(pattern string) string {
	for i := range len(pattern) {
		if pattern[i] == '*' || pattern[i] == '?' {
			return pattern[:i]
		}
	}
	return pattern
}

// next returns where literal stands in s, from position on; -1 for nowhere.
func next(s string, from int, literal string) int {
	i := strings.Index(s[from:], literal)
	if i < 0 {
		return -1
	}
	return from + i
}

// width is the length in bytes of the first character of s, which is not empty.
func width(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// matchFold is Match without regard to case.
func matchFold(pattern, s string) bool {
	return pattern == s || Match(strings.ToLower(pattern), strings.ToLower(s))
}
