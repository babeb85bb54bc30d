package iam_test

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"regent/engine/iam"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		pattern string
		s       string
		want    bool
	}{
		{"equal", "a/b", "a/b", true},
		{"not equal", "a/b", "a/c", false},
		{"case", "a/B", "a/b", false},
		{"empty and empty", "", "", true},
		{"empty pattern", "", "a", false},
		{"star and empty", "*", "", true},
		{"star crosses slashes", "GET/orders/*", "GET/orders/1/items", true},
		{"star is also empty", "GET/orders/*", "GET/orders/", true},
		{"star does not reach back", "GET/orders/*", "GET/orders", false},
		{"star in the verb's place", "prod/*/op", "prod/GET/admin/op", true},
		{"star at the start", "*/b", "a/x/b", true},
		{"two stars", "a*b*c", "a1b2b3c", true},
		{"two stars, no end", "a*b*c", "a1b2b3", false},
		{"star then star", "a**c", "abc", true},
		{"last run grows", "*ab", "aab", true},
		{"question mark", "a?c", "abc", true},
		{"question mark is not empty", "a?c", "ac", false},
		{"question mark takes a slash", "a?c", "a/c", true},
		{"question mark takes a code point", "a?c", "aéc", true},
		{"question mark takes a wide one", "?", "😀", true},
		{"three for one code point", "*???", "😀", false},
		{"a run takes whole code points", "*??x*", "😀xb", false},
		{"question mark takes a stray byte", "a?c", "a\xffc", true},
		{"star then question mark", "*?", "", false},
		{"star then question mark matches one", "*?", "é", true},
		{"dot is a dot", "a.c", "abc", false},
		{"no escape", `a\*`, "a*", false},
		{"star in the text is a character", "a/b", "a/*", false},
		{"double slash", "*//*", "GET/a//b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := iam.Match(tt.pattern, tt.s); got != tt.want {
				t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
			}
		})
	}
}

// A matcher that backtracks through all stars would need more than the age of the
// universe here.
func TestMatchDoesNotExplode(t *testing.T) {
	t.Parallel()
	pattern := strings.Repeat("a*", 200) + "b"
	s := strings.Repeat("a", 4000)
	done := make(chan bool, 1)
	go func() { done <- iam.Match(pattern, s) }()
	select {
	case got := <-done:
		if got {
			t.Error("Match = true, want false")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Match takes more than ten seconds")
	}
}

// reference says the same as Match by way of a regular expression.
func reference(pattern string) *regexp.Regexp {
	var b strings.Builder
	for _, r := range pattern {
		switch r {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(`(?s)\A` + b.String() + `\z`)
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""}, {"a*b*c", "a1b2b3c"}, {"GET/orders/*", "GET/orders/1/items"}, {"*???", "😀"},
		{"*?é*", "xxé"}, {"?*?", "éa"}, {"a**?b", "aab"}, {"*\n?", "a\nb"}, {"*ab*aab", "abaaaab"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		// What a byte that is not UTF-8 matches differs from regexp's idea of it.
		if !utf8.ValidString(pattern) || !utf8.ValidString(s) || len(pattern) > 200 {
			iam.Match(pattern, s)
			return
		}
		if got, want := iam.Match(pattern, s), reference(pattern).MatchString(s); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}

const benchARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/tenants/acme/orders/17"

func BenchmarkMatch(b *testing.B) {
	const stage = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/"
	for _, bb := range []struct{ name, pattern string }{
		{"literal", benchARN},
		{"other", stage + "POST/tenants/acme/orders"},
		{"suffix", stage + "GET/tenants/acme/*"},
		{"parameter", stage + "GET/tenants/*/orders/*"},
		{"anywhere", "*//*"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				iam.Match(bb.pattern, benchARN)
			}
		})
	}
}
